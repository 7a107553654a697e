"""Whatever happens, what DuckDB reads of the lake is what the warehouse has."""

from __future__ import annotations

import os

import pytest

from tests.proof.lake_views import prove_lake
from tests.proof.proving import prove_many

HISTORIES = int(os.environ.get("LAKE_HISTORIES", "2"))  # `make lake` runs 200
pytestmark = pytest.mark.no_cover  # watching each line would take as long again


def test_views_of_the_lake_equal_the_warehouse(world):
    before = world.counts.copy()
    prove_many(world, 11, HISTORIES, prove_lake)
    counts = world.counts - before
    assert counts["histories"] >= HISTORIES
    assert counts["rows of lake views"] > 30 * HISTORIES
