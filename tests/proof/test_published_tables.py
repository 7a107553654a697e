"""Whatever happens, the published Iceberg tables are the warehouse's, row for row."""

from __future__ import annotations

import os

import pytest

from tests.proof.proving import prove_many
from tests.proof.published_tables import prove_published

HISTORIES = int(os.environ.get("ICEBERG_HISTORIES", "2"))  # `make iceberg` runs 200
pytestmark = pytest.mark.no_cover  # watching each line would take as long again


def test_published_tables_equal_the_warehouse(world):
    before = world.counts.copy()
    prove_many(world, 12, HISTORIES, prove_published)
    counts = world.counts - before
    assert counts["histories"] >= HISTORIES
    assert counts["published rows"] > 30 * HISTORIES
    if HISTORIES >= 20:  # a few histories need not have all
        assert counts["publications that died"] and counts["published"] > HISTORIES
