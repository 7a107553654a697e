"""A load or a replay that dies at any statement leaves the warehouse as it was, and the next one does it all."""

from __future__ import annotations

import contextlib
import functools

import pytest

from lambda_toolkit.pipeline.lambdas.load.handler import warehouse_of
from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.replay import replay
from lambda_toolkit.pipeline.lambdas.load.warehouse.parallel.parallel_copy import Connections
from lambda_toolkit.pipeline.lambdas.shared.database import connected
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect
from lambda_toolkit.pipeline.warehouse import duckdb_preparation
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.sample_star import FILE_SCHEMA, REFERRING, SCHEMA, Batch, Row, expected, found, repaired, write
from tests.support.thresholds import small_thresholds
from tests.support.written_lake import WrittenLake

STEP = 7  # of the statements, every so many
A, B, LATER = (1, 1), (2, 1), (3, 7)
HISTORY = [
    Batch({1: Row(A), 2: Row(A)}, {1: Row("one")}),
    Batch({1: Row(LATER), 2: Row(B, rejected=True)}, {2: Row("two", rejected=True)}),
    Batch({1: Row(A), 2: None}),
    Batch({2: Row(A)}, {7: Row("seven")}),  # releases the pending rows
]


class KilledError(OSError):
    """The session has ended."""


def mortal(connection, statements, asked):
    """Makes the session end when it, and others with the same ``asked``, get one statement more than these."""
    run = connection.run

    def until_then(*arguments, **named):
        if asked[0] >= statements:
            raise KilledError
        asked[0] += 1
        return run(*arguments, **named)

    connection.run = until_then
    return connection


@pytest.fixture(params=["postgresql", "duckdb"])
def warehouse(request, tmp_path):
    if request.param == "duckdb":
        found, schema = Credentials.of_file(str(tmp_path / "warehouse.duckdb"), "a test"), FILE_SCHEMA
        with connected(found) as connection:
            duckdb_preparation.prepare(connection, schema, REFERRING)
        return found
    prepare(request.getfixturevalue("empty"), SCHEMA, REFERRING)
    return request.getfixturevalue("credentials")[1]


def another(warehouse, lives, asked):
    return mortal(connect(warehouse), lives, asked)


def survive(warehouse, act, before, after, most=1):
    """Runs ``act`` in processes that live longer and longer, until one lives long enough."""
    lives = 0
    while True:
        asked = [0]
        further = Connections(functools.partial(another, warehouse, lives, asked), most)
        with connected(warehouse) as connection:
            mortal(connection, lives, asked)
            with contextlib.suppress(KilledError):
                done = act(warehouse_of(connection, connections=further))
                if done.busy:  # the server has not ended the killed session yet, which has the lock
                    continue
                break
        with connected(warehouse) as connection:
            state = found(connection)
            assert state in (before, after), f"killed after {lives} statements"
            if state == after:  # it died once all was done
                return asked[0]
        lives += STEP
    with connected(warehouse) as connection:
        assert found(connection) == after
    return asked[0]


@pytest.mark.parametrize(
    ("thresholds", "most"),
    [(contextlib.nullcontext, 1), (small_thresholds, 1), (small_thresholds, 2)],
    ids=["few rows", "as many rows", "over several connections"],
)
def test_a_load_that_dies_anywhere_leaves_nothing_half_done(warehouse, thresholds, most):
    """Nor a table that took no place: the load that comes next drops it."""
    if most > 1 and warehouse.file is not None:
        pytest.skip("a file is written over one connection")
    lake = WrittenLake()
    for number, batch in enumerate(HISTORY, 1):
        write(lake, number, batch)
        before, after = expected(HISTORY[: number - 1]), expected(HISTORY[:number])
        with thresholds():
            statements = survive(warehouse, lambda into: load(into, lake, REFERRING), before, after, most)
        is_filled_beside = most > 1 and number == 1 and warehouse.file is None
        assert statements > (120 if is_filled_beside else 20)
    if warehouse.file is None:
        with connected(warehouse) as connection:
            assert connection.rows("SELECT relname FROM pg_class WHERE relname LIKE 'filling%'") == []


def test_a_replay_that_dies_anywhere_leaves_nothing_half_done(warehouse):
    lake = WrittenLake()
    for number, batch in enumerate(HISTORY, 1):
        write(lake, number, batch)
    with connected(warehouse) as connection:
        load(warehouse_of(connection), lake, REFERRING)
    corrected = repaired(HISTORY[1])
    write(lake, 2, corrected, revision=2)
    after = expected([HISTORY[0], corrected, *HISTORY[2:]])
    statements = survive(
        warehouse,
        lambda into: replay(into, lake, REFERRING, [2]),
        expected(HISTORY),
        after,
    )
    assert statements > 30
