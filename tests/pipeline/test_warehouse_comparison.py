"""Two warehouses of one database, compared: each column counts once, and what has the same content is equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.load import compare as comparison
from lambda_toolkit.pipeline.lambdas.load.compare import EXAMPLES, compare
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.errors import NotPreparedError
from lambda_toolkit.pipeline.lambdas.shared.messages.events import CompareResult
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, connect
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.databases import empty_database
from tests.support.pipeline import credentials_of
from tests.support.sample_star import DECLARED, SCHEMA

CHECK, MISSING = SchemaNames.shadow("check"), SchemaNames.shadow("missing")
EVERY = "unnest(ARRAY['dim_product', 'fact_order']) AS t, unnest(ARRAY['1', '2']) AS k, generate_series(1, 2) AS b"
FILL = f"""
    INSERT INTO {{0}}.dim_product VALUES (1, 'one'), (2, 'two');
    INSERT INTO {{0}}.fact_order VALUES (1, 1, 10, 1), (2, 2, 20.50, 1), (3, 3, 30, 2), (4, 1, 40, 2);
    INSERT INTO {{1}}.version_range VALUES ('fact_order', 1, 2, 1), ('fact_order', 3, 4, 2);
    INSERT INTO {{1}}.ledger SELECT b, 'm' || b, timestamptz '2026-01-01' + b * interval '1 h', clock_timestamp(),
        '{{{{}}}}' FROM generate_series(1, 3) AS b;
    INSERT INTO {{1}}.deletion SELECT t, k, b, b + 1 FROM {EVERY};
    INSERT INTO {{1}}.pending_row SELECT t, k, b, '{{{{"a": 1}}}}', b + 1 FROM {EVERY};
    INSERT INTO {{1}}.rejected_value SELECT t, k, b, 'c', 'v', 'r' FROM {EVERY};
    INSERT INTO {{1}}.rejected_value SELECT t, k, b, 'd', NULL, 'r' FROM {EVERY}
"""


@pytest.fixture(scope="module")
def database(postgres_server: Any) -> Iterator[Connection]:
    with empty_database(postgres_server, "warehouse_comparison") as connection:
        for place in (LIVE, CHECK):
            prepare(connection, SCHEMA, DECLARED, place)
        connection.run("ALTER TABLE dim_product ALTER name DROP NOT NULL")
        yield connection


@pytest.fixture
def warehouses(database: Connection) -> Connection:
    """A session where two warehouses are equal."""
    for place in (LIVE, CHECK):
        tables = [*map(place.table, ("fact_order", "dim_product")), *place.control_tables().values()]
        database.run("; ".join(f"DELETE FROM {table}" for table in tables))
        database.run(FILL.format(f'"{place.published}"', place.control))
    database.run('UPDATE "check".fact_order SET amount = amount WHERE order_record = 1')  # it comes last then
    return database


def compared(connection: Connection) -> CompareResult:
    return compare(connection, DECLARED, LIVE, CHECK)


KEYS = ("table_name = 'x'", "key = 'x'", "batch = 9")
# What is changed in the first warehouse, each in another row; and how many rows then differ in which table.
ROWS = [
    f"table_name = '{t}' AND key = '{k}' AND batch = {b}"
    for t in ("dim_product", "fact_order")
    for k in (1, 2)
    for b in (1, 2)
]
CHANGES = {
    "dim_product": (["SET name = NULL WHERE product_id = 1"], 1),
    "fact_order": (
        [
            "SET amount = 11 WHERE order_record = 1",
            "SET product_id = 2 WHERE order_record = 2",
            "SET order_id = 9 WHERE order_record = 3",
        ],
        1 + 1 + 2,
    ),
    "pipeline.ledger": (
        [
            "SET batch = 9 WHERE batch = 1",
            "SET source_manifest = 'x' WHERE batch = 2",
            "SET extracted_at = now() WHERE batch = 3",
        ],
        2 + 1 + 1,
    ),
    **{
        f"pipeline.{table}": (
            [f"SET {change} WHERE {row}" for change, row in zip((*KEYS, *more), ROWS, strict=False)],
            2 * len(KEYS) + len(more),
        )
        for table, more in {
            "deletion": ("undeleted_batch = NULL",),
            "pending_row": ("deleted_batch = 7", "content = '[]'"),
            "rejected_value": ("column_name = 'x'", "value = NULL", "reason = 'x'"),
        }.items()
    },
}


def test_each_column_of_each_table_counts(warehouses: Connection) -> None:
    for table, (changes, _) in CHANGES.items():
        for change in changes:
            warehouses.run(f"UPDATE {table} {change}")
    result = compared(warehouses)
    assert {each.table: each.differences for each in result.tables} == {name: n for name, (_, n) in CHANGES.items()}
    assert {len(each.examples) for each in result.tables if each.differences > EXAMPLES} == {EXAMPLES}
    assert not result.equal
    shown = {example for each in result.tables for example in each.examples}
    assert {
        "product_id 1: name is NULL in public.dim_product and 'one' in check.dim_product",
        "order_id 1, version 1: amount is 11 in public.fact_order and 10 in check.fact_order",
        "order_id 3, version 1: in check.fact_order, but not in public.fact_order",
        "batch 9: in pipeline.ledger, but not in check_pipeline.ledger",
    } <= shown


def test_order_and_repetition_of_rejected_values_count_not(warehouses: Connection) -> None:
    """Nor when a batch was loaded, nor the number of a version once a batch was replayed."""
    warehouses.run("INSERT INTO pipeline.rejected_value SELECT * FROM pipeline.rejected_value")
    warehouses.run("UPDATE pipeline.ledger SET loaded_at = now(), rows_written = '[]'")
    result = compared(warehouses)
    assert (result.equal, result.renumbered, result.replayed) == (True, 0, False)
    assert (result.last_batches, result.rows) == ((3, 3), 2 + 4)
    rows = {each.table: each.rows for each in result.tables}
    assert (rows.pop("dim_product"), rows.pop("fact_order"), rows.pop("pipeline.ledger")) == ((2, 2), (4, 4), (3, 3))
    assert rows == dict.fromkeys(("pipeline.deletion", "pipeline.pending_row", "pipeline.rejected_value"), (8, 8))
    for statement in (
        "UPDATE fact_order SET order_record = order_record + 10 WHERE order_record > 2",
        "UPDATE pipeline.version_range SET first_record = 13, last_record = 14 WHERE first_record = 3",
    ):
        warehouses.run(statement)
    result = compared(warehouses)
    assert (result.equal, result.renumbered, result.replayed) == (False, 2, False)
    warehouses.run("INSERT INTO check_pipeline.revision VALUES (1, 2, now(), '{}')")
    assert not compared(warehouses).equal, "nothing was replayed in the first one"
    warehouses.run("INSERT INTO pipeline.revision VALUES (1, 2, now(), '{}')")
    result = compared(warehouses)
    assert (result.equal, result.renumbered, result.replayed) == (True, 2, True)
    warehouses.run("UPDATE dim_product SET name = 'x'")
    assert not compared(warehouses).equal


def test_rows_of_one_warehouse_alone_are_named_with_it(warehouses: Connection) -> None:
    warehouses.run("INSERT INTO dim_product VALUES (3, 'three'); DELETE FROM fact_order")
    warehouses.run("DELETE FROM dim_product WHERE product_id = 2")
    warehouses.run("""INSERT INTO "check".dim_product VALUES (4, ''), (5, '')""")
    products = compared(warehouses).tables[0]
    assert (products.table, products.rows, products.differences) == ("dim_product", (2, 4), 4)
    assert set(products.examples) == {
        "product_id 2: in check.dim_product, but not in public.dim_product",
        "product_id 3: in public.dim_product, but not in check.dim_product",
        "product_id 4: in check.dim_product, but not in public.dim_product",
        "product_id 5: in check.dim_product, but not in public.dim_product",
    }


def test_what_is_written_meanwhile_is_no_difference(
    warehouses: Connection, postgres_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is read as of one moment."""
    original = comparison.last_entry

    def written(connection: Connection, place: SchemaNames) -> object:
        found = original(connection, place)
        with connect(credentials_of(postgres_server, "warehouse_comparison")) as other:
            other.run("DELETE FROM fact_order")
        return found

    monkeypatch.setattr(comparison, "last_entry", written)
    assert compared(warehouses).equal


@pytest.mark.parametrize("order", [(LIVE, MISSING), (MISSING, LIVE)])
def test_a_warehouse_that_is_not_prepared_is_not_compared(
    database: Connection, order: tuple[SchemaNames, SchemaNames]
) -> None:
    with pytest.raises(NotPreparedError, match="lacks the table missing_pipeline.ledger"):
        compare(database, DECLARED, *order)
