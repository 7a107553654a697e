"""Whatever happens to the source, and to the pipeline, the warehouse ends up as the oracle says: all of it."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse import foreign_keys
from tests.proof.proving import prove_in_ranges, prove_many
from tests.proof.simulation import on_moto

HISTORIES = 50  # of each seed
pytestmark = pytest.mark.no_cover  # watching each line would take as long again


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_after_any_history_the_warehouse_holds_what_the_runs_could_see(world, seed):
    before = world.told.copy()
    prove_many(world, seed, HISTORIES)
    told = world.told - before
    assert told["histories"] >= HISTORIES
    assert told["batches"] > 2 * HISTORIES
    for what in ("crashes", "races", "rejected values", "held rows"):
        assert told[what], f"there were no {what}: then nothing is proven of them"


def test_it_does_so_on_the_s3_of_moto(world):
    with on_moto(world):
        prove_many(world, 5, 2)


def test_tables_that_are_read_in_ranges_end_up_whole_whatever_happens_meanwhile(world):
    prove_many(world, 6, 4, prove_in_ranges)


def test_foreign_keys_that_are_checked_together_hold_back_nothing_more_and_nothing_less(world, monkeypatch):
    monkeypatch.setattr(foreign_keys, "MANY", 1)
    prove_many(world, 7, 4)
