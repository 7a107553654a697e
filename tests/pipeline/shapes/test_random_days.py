"""Three shapes of databases through random days: every warehouse table equals SQL on the source, and its history."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.extract.capture import backfill
from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from tests.pipeline.shapes.music import MUSIC
from tests.pipeline.shapes.rental import RENTAL
from tests.pipeline.shapes.trading import TRADING
from tests.pipeline.shapes.world import World

SHAPES = (RENTAL, MUSIC, TRADING)
RUNS = 12


@pytest.fixture(params=SHAPES, ids=[shape.name for shape in SHAPES])
def shape(request):
    return request.param


@pytest.fixture
def source(credentials):
    with connect(credentials[0]) as connection:
        yield connection


@pytest.mark.parametrize("seed", [3])
def test_star_equals_sql_on_the_source_after_every_run(shape, source, empty, seed):
    """Its present, every version with its times, and at the end a warehouse that is made again from the lake."""
    world = World(shape, source, empty, seed)
    for _ in range(RUNS):
        world.run()
        world.compare()
        world.days.change(12)
    world.run()
    world.compare()
    world.compare_rebuilt()
    assert world.days.done > 5 * RUNS


def test_star_equals_sql_where_tables_are_read_in_ranges(shape, source, empty, monkeypatch):
    """Batches of few rows, into which neither a table fits nor what a change reaches."""
    monkeypatch.setattr(backfill, "FIRST_CHUNK", 3)
    world = World(shape, source, empty, 2, Limits(rows=12))
    for _ in range(12):
        world.run()
        world.days.change(8)
    world.run_until_done()
    world.compare_present()
    world.compare_rebuilt()
