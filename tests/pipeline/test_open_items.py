"""Open items: what is listed and counted of what waits and what was rejected, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.load.open_items import count_open, open_rows
from lambda_toolkit.pipeline.lambdas.shared.errors import NotPreparedError
from lambda_toolkit.pipeline.lambdas.shared.messages.events import OpenCounts, OpenItem
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.databases import empty_database
from tests.support.sample_star import DECLARED, SCHEMA

# Batch, table, key, column and value, in another order than that in which they are listed.
REJECTED = [
    (2, "dim_product", "1", "b", "v"),
    (1, "fact_order", "2", "a", None),
    (1, "fact_order", "1", "b", "x" * 1001),
    (1, "fact_order", "1", "a", "y" * 1000),
    (3, "fact_order", "1", "a", "v"),
    (1, "dim_product", "9", "a", "v"),
]
# Table, key, batch, content, and the batch that deleted the row.
PENDING = """
    INSERT INTO pipeline.pending_row VALUES
        ('fact_order', '1', 2, '{"order_id": 1, "product_id": 9}', NULL),
        ('fact_order', '3', 1, '{"order_id": 3, "product_id": 8}', NULL),
        ('fact_order', '2', 1, '{"order_id": 2, "product_id": 9}', NULL),
        ('fact_order', '4', 1, '{"order_id": 4, "product_id": 1}', NULL),
        ('fact_order', '5', 1, '{"order_id": 5, "product_id": 9}', 2),
        ('fact_order', '6', 1, '{"order_id": 6}', NULL),
        ('dim_product', '1', 1, '{"product_id": 1}', NULL),
        ('dim_product', '2', 1, '{"product_id": 2}', 3)
"""
MISSING, NULLS = "not in dim_product yet", "NULL, which the warehouse refuses"


@pytest.fixture(scope="module")
def warehouse(postgres_server: Any) -> Iterator[Connection]:
    with empty_database(postgres_server, "open_items") as connection:
        prepare(connection, SCHEMA, DECLARED)
        yield connection


def test_nothing_is_open_at_first(warehouse: Connection) -> None:
    found = open_rows(warehouse, DECLARED)
    assert (found.counts, found.batches, found.rejected, found.pending) == (OpenCounts(0, 0), (), (), ())
    assert found.last_batch is None


def test_open_items_are_listed_oldest_first(warehouse: Connection) -> None:
    """Once for each value that was rejected, and for each requirement that a row does not meet; counted by row."""
    warehouse.run("BEGIN; INSERT INTO dim_product VALUES (1, 'one')")
    warehouse.run(PENDING)
    for batch, table, key, column, value in REJECTED:
        values = {"t": table, "k": key, "b": batch, "c": column, "v": value}
        warehouse.run("INSERT INTO pipeline.rejected_value VALUES (:t, :k, :b, :c, :v, 'bad')", **values)
    warehouse.run("INSERT INTO pipeline.ledger SELECT b, 'm', now(), now(), '{}' FROM generate_series(1, 3) AS b")
    found = open_rows(warehouse, DECLARED)
    assert found.counts == count_open(warehouse) == OpenCounts(5, 6)
    assert (found.batches, found.last_batch) == ((1, 2, 3), 3)
    assert found.rejected == (
        OpenItem(1, "dim_product", "9", "a", "v", "bad"),
        OpenItem(1, "fact_order", "1", "a", "y" * 1000, "bad"),
        OpenItem(1, "fact_order", "1", "b", "x" * 1000, "bad"),
        OpenItem(1, "fact_order", "2", "a", None, "bad"),
        OpenItem(2, "dim_product", "1", "b", "v", "bad"),
        OpenItem(3, "fact_order", "1", "a", "v", "bad"),
    )
    pending = (
        OpenItem(1, "dim_product", "1", "name", None, NULLS),
        OpenItem(1, "fact_order", "2", "product_id", "9", MISSING),
        OpenItem(1, "fact_order", "3", "product_id", "8", MISSING),
        OpenItem(2, "fact_order", "1", "product_id", "9", MISSING),
        OpenItem(1, "fact_order", "6", "product_id", None, NULLS),
    )
    assert found.pending == pending
    for limit in (1, 2, 4):
        few = open_rows(warehouse, DECLARED, limit=limit)
        assert (few.rejected, few.pending, few.counts) == (found.rejected[:limit], pending[:limit], found.counts)
    warehouse.run("ROLLBACK")


def test_open_items_of_no_warehouse_are_an_error(warehouse: Connection) -> None:
    warehouse.run("BEGIN; DROP TABLE pipeline.freshness")
    with pytest.raises(NotPreparedError, match="freshness"):
        open_rows(warehouse, DECLARED)
    warehouse.run("ROLLBACK")
