"""Late versions, pending or rejected before, get the position that they would have had without delay."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.load.compare import compare
from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.replay import replay
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import CONTROL_TABLES, LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connected
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.pipeline import credentials_of
from tests.support.sample_star import (
    COMPOSITE,
    DATED,
    DELETED,
    SINGLE,
    Batch,
    Row,
    expected,
    expected_times,
    found,
    repaired,
    times,
    write,
)
from tests.support.written_lake import WrittenLake

REBUILT = SchemaNames.shadow("rebuilt")


@pytest.fixture(scope="module")
def warehouses(postgres_server):
    """A connection to a warehouse of each form of the star."""
    with contextlib.ExitStack() as stack:
        admin = stack.enter_context(connected(credentials_of(postgres_server, "postgres")))
        connections = []
        for star, name in ((SINGLE, "late_versions"), (COMPOSITE, "late_composite"), (DATED, "late_dated")):
            admin.run(f"CREATE DATABASE {name}")
            connection = stack.enter_context(connected(credentials_of(postgres_server, name)))
            prepare(connection, star.schema, star.declared)
            prepare(connection, star.schema, star.declared, REBUILT)
            connections.append((star, connection))
        yield connections


def empty(connection):
    connection.run("SELECT pg_advisory_unlock_all()")
    for schema, own in (("public", "pipeline"), (REBUILT.published, REBUILT.control)):
        tables = [f"{schema}.fact_order", f"{schema}.dim_product", *(f"{own}.{name}" for name in CONTROL_TABLES)]
        connection.run("; ".join(f"DELETE FROM {table}" for table in tables))


def run(connection, history, star):
    """Loads the batches one after the other, replaying what is repaired; after each step the model agrees."""
    empty(connection)
    declared, lake, known = star.declared, WrittenLake(), []
    for number, batch in enumerate(history, 1):
        known.append(batch)
        write(lake, number, batch, star=star)
        assert load(PostgresWarehouse(connection), lake, declared).loaded == [number]
        check(connection, known, star, f"after batch {number}")
        for other in batch.repairs:
            if other > number or repaired(known[other - 1]) == known[other - 1]:
                continue
            known[other - 1] = repaired(known[other - 1])
            write(lake, other, known[other - 1], revision=2, star=star)
            assert replay(PostgresWarehouse(connection), lake, declared, [other]).replayed == [other]
            check(connection, known, star, f"after replaying batch {other} once batch {number} was in")
    again = replay(PostgresWarehouse(connection), lake, declared, list(range(1, len(history) + 1)))
    assert (again.replayed, again.written) == (list(range(1, len(history) + 1)), {})
    load(PostgresWarehouse(connection, REBUILT), lake, declared)
    assert found(connection, "rebuilt", "rebuilt_pipeline", star) == expected(known, star)
    assert compare(connection, declared, LIVE, REBUILT).tables[0].differences == 0


def check(connection, known, star, when):
    assert found(connection, star=star) == expected(known, star), when
    if star is DATED:
        assert times(connection) == expected_times(expected(known)), when


A, B = (1, 1), (2, 1)
LATER = (3, 7)  # names a product that is not there at first
PRODUCT = {1: Row("one")}
FORMS = (1, 2)


def changes(rows):
    return st.dictionaries(st.integers(1, 3), st.one_of(st.none(), rows), max_size=2)


orders = changes(st.builds(Row, st.tuples(st.integers(1, 2), st.integers(1, 2)), st.sampled_from([False, False, True])))
products = changes(st.builds(Row, st.sampled_from(["x", "y"]), st.sampled_from([False, False, True])))
batches = st.builds(Batch, orders, products, st.lists(st.integers(1, 6), max_size=2).map(tuple))


@pytest.mark.no_cover
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(st.lists(batches, min_size=1, max_size=6), st.integers(0, 2).map(lambda form: (form,)))
@example([Batch({1: Row(A)}, PRODUCT), Batch({1: Row(LATER)}), Batch({1: Row(A)}), Batch({}, {7: Row("seven")})], FORMS)
@example([Batch({1: Row(A)}, PRODUCT), Batch({1: Row(B, True)}), Batch({1: Row(A)}, {}, (2,))], FORMS)
@example(
    [
        Batch({1: Row(A)}, PRODUCT),
        Batch({1: DELETED}),
        Batch({1: Row(LATER)}),
        Batch({1: DELETED}),
        Batch({}, {7: Row("x")}),
    ],
    FORMS,
)
@example(
    [
        Batch({1: Row(A)}, PRODUCT),
        Batch({1: DELETED}),
        Batch({1: Row(LATER)}),
        Batch({1: Row(B)}),
        Batch({}, {7: Row("x")}),
    ],
    FORMS,
)
@example([Batch({1: Row(LATER)}, PRODUCT), Batch({1: DELETED}), Batch({1: Row(B)}), Batch({}, {7: Row("x")})], FORMS)
@example([Batch({}, {1: Row("x", True)}), Batch({}, {1: Row("y", True)}), Batch({}, {}, (1,))], FORMS)
def test_whatever_comes_late_the_history_is_that_of_the_model(warehouses, history, forms):
    """``forms``: with keys and references of one column, or of two; with a dimension that keeps its history."""
    for form in forms:
        star, connection = warehouses[form]
        run(connection, history, star)
