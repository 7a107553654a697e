"""Whatever happens to the source, and to the pipeline, the warehouse ends up as the oracle says: all of it."""

from __future__ import annotations

import os
from contextlib import nullcontext

import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.references import foreign_keys, proven_references
from tests.proof.proving import (
    prove_by_readers,
    prove_in_parts,
    prove_in_ranges,
    prove_many,
    prove_over_connections,
)
from tests.proof.worlds import on_moto, with_twin
from tests.support.thresholds import small_thresholds

HISTORIES = int(os.environ.get("HISTORIES_PER_SEED", "5"))  # `make test-proof` runs 50, `make soak` new ones for hours
DUCKDB_HISTORIES = max(3, HISTORIES // 4)
ENOUGH = 50  # histories of a seed, among which every kind of step is
pytestmark = pytest.mark.no_cover  # watching each line would take as long again


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_warehouse_equals_the_oracle_after_any_history(world, seed):
    """After any history the warehouse holds what the runs could see. Half of them take the ways for many rows."""
    before = world.counts.copy()
    with small_thresholds() if seed % 2 else nullcontext():
        prove_many(world, seed, HISTORIES)
    counts = world.counts - before
    assert counts["histories"] >= HISTORIES
    assert counts["batches"] > 2 * HISTORIES
    rare = (
        ("pending rows", "crashes", "races") if HISTORIES >= ENOUGH else ()
    )  # a few histories need not have all kinds of steps
    for what in ("rejected values", "filtered rows", *rare):
        assert counts[what], f"there were no {what}: then nothing is proven of them"


def test_it_does_so_on_the_s3_of_moto(world):
    with on_moto(world):
        prove_many(world, 5, 2)


def test_tables_read_in_ranges_end_up_complete(world):
    """Tables that are read in ranges end up complete whatever happens meanwhile."""
    prove_many(world, 6, 4, prove_in_ranges)


def test_tables_read_by_readers_end_up_complete(world):
    """Readers of two rows, some of which die: every batch has what the run could see, and nothing else."""
    before = world.counts.copy()
    prove_many(world, 8, 4, prove_by_readers)
    assert (world.counts - before)["tables read by readers"] > 40


def test_batches_transformed_in_parts_end_up_complete(world):
    """Parts of one file, some of whose workers die or lie: the batches and the warehouse of transform alone."""
    before = world.counts.copy()
    prove_many(world, 9, 3, prove_in_parts)
    assert (world.counts - before)["parts transformed by workers"] > 20


def test_duckdb_file_equals_postgresql_row_for_row(world, tmp_path):
    """Both load the same batches, and die at the same effects: the same rows, record numbers and control tables."""
    before = world.counts.copy()
    with with_twin(world, tmp_path):
        prove_many(world, 10, DUCKDB_HISTORIES)
    assert (world.counts - before)["rows equal in DuckDB"] > 100 * DUCKDB_HISTORIES


def test_facts_filled_over_connections_end_up_complete(world):
    """Load dies before and after any statement of any of its connections: a batch is there, or nothing of it is."""
    before = world.counts.copy()
    with small_thresholds():
        prove_many(world, 9, max(4, HISTORIES // 4), prove_over_connections)
    assert (world.counts - before)["facts filled over several connections"] > 10


def test_deferred_foreign_key_check_defers_the_same_rows(world, monkeypatch):
    """Foreign keys that are dropped and added hold back nothing more and nothing less."""
    monkeypatch.setattr(foreign_keys, "MANY", 1)
    monkeypatch.setattr(proven_references, "FEW", 1000)
    prove_many(world, 7, 4)
