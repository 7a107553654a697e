"""Staging tables: their statistics, and the columns that a batch of an earlier declaration lacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.session import LARGE, SAMPLE, analyze, temporary, with_columns
from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from tests.support.sample_star import DECLARED

ORDERS = DECLARED.warehouse["fact_order"]


def statements(*columns: str, rows: int = 0, is_duckdb: bool = False) -> list[str]:
    ran: list[str] = []
    connection: Any = SimpleNamespace(is_duckdb=is_duckdb, run=lambda statement: ran.append(str(statement).strip()))
    analyze(connection, sql.table("t"), columns, rows)
    return ran


def test_statistics_are_of_the_columns_that_are_named() -> None:
    [statement] = statements()
    assert statement.split() == ["ANALYZE", str(sql.table("t"))]
    [statement] = statements("a", "B", rows=LARGE - 1)
    assert statement.split() == ["ANALYZE", str(sql.table("t")), '("a",', '"B")']
    assert statements("a", is_duckdb=True) == []


def test_statistics_of_many_rows_are_those_of_fewer() -> None:
    """What follows in the transaction has the usual target again."""
    before, _, after = statements("a", rows=LARGE)
    assert before == f"SET LOCAL default_statistics_target = {SAMPLE}"
    assert after == "SET LOCAL default_statistics_target = DEFAULT"
    assert statements("a", rows=LARGE)[1:2] == statements("a")


def test_columns_that_a_batch_lacks_are_null() -> None:
    rows = pa.table({"product_id": [7, 8], "order_id": [1, 2]})
    found = with_columns(ORDERS, ("order_id", "amount", "product_id"), rows)
    assert found.select(["order_id", "amount", "product_id"]).to_pylist() == [
        {"order_id": 1, "amount": None, "product_id": 7},
        {"order_id": 2, "amount": None, "product_id": 8},
    ]
    assert with_columns(ORDERS, ("product_id",), rows) is rows
    lacking = with_columns(ORDERS, ("order_id", "product_id", "amount"), pa.table({"order_id": [1]}))
    assert lacking.to_pylist() == [{"order_id": 1, "product_id": None, "amount": None}]


def test_a_batch_without_a_column_of_the_key_is_refused() -> None:
    with pytest.raises(WarehouseError, match="fact_order had no column order_id, which is of its key now"):
        with_columns(ORDERS, ("amount", "order_id"), pa.table({"product_id": [7]}))


def test_long_names_of_temporary_tables_stay_different() -> None:
    one, other = (str(temporary(f"{'x' * 70}{end}")) for end in "ab")
    assert one != other
    assert str(temporary("staging_t")).replace('"', "") == "pg_temp.staging_t"
