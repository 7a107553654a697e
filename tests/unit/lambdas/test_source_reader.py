"""Rows of a COPY as tables of Arrow: which texts are values, which are NULL, and how many rows come together."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.extract.source import reader
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column
from lambda_toolkit.pipeline.lambdas.extract.source.reader import lake_schema, select_columns
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import UNREADABLE
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql

MARK = "\ufeff"  # the byte order mark


def read(schema: pa.Schema, *rows: str) -> list[pa.Table]:
    """The tables that are passed of rows, each of which the server sends in a message of its own."""
    found: list[pa.Table] = []

    class Server:
        def copy_out(self, statement: str, sink: Any) -> None:
            assert statement == "COPY (SELECT 1) TO STDOUT (FORMAT csv)"
            for row in rows:
                sink(row.encode())

    connection: Any = Server()
    reader.read(connection, sql.Fragment("SELECT 1"), schema, found.append)
    assert all(part.schema == schema for part in found)
    return found


def texts(*rows: str) -> list[Any]:
    """The values of a table of one column of texts."""
    return [value for part in read(pa.schema([("t", pa.string())]), *rows) for value in part["t"].to_pylist()]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("", None),
        ('""', ""),
        ("NULL", "NULL"),
        ("NA", "NA"),
        ('"NULL"', "NULL"),
        ('"a,b"', "a,b"),
        ('"a""b"', 'a"b'),
        ('"a\nb"', "a\nb"),
        ('"a\r\n\nb"', "a\r\n\nb"),
        (f"{MARK}x", f"{MARK}x"),
        (MARK, MARK),
        (f"x{MARK}", f"x{MARK}"),
        ("t", "t"),
        ("é😀", "é😀"),
    ],
)
def test_text_is_what_the_server_sent(field: str, value: str | None) -> None:
    """First or last, and between others; a row of nothing but NULL is an empty line."""
    assert texts(f"{field}\n", "x\n", f"{field}\n", f"{field}\n") == [value, "x", value, value]
    assert texts(f"{field}\n") == [value]


def test_values_are_of_the_types_of_the_schema() -> None:
    kinds = {
        "b": pa.bool_(),
        "i": pa.int64(),
        "d": pa.date32(),
        "n": pa.decimal128(10, 2),
        "t": pa.timestamp("us"),
        "x": pa.string(),
    }
    (found,) = read(
        pa.schema(kinds), "t,9223372036854775807,2024-02-29,-1.50,2024-02-29 01:02:03.5,t\n", "f,,,,,f\n", ",,,,,\n"
    )
    assert [row["b"] for row in found.to_pylist()] == [True, False, None]
    assert [row["x"] for row in found.to_pylist()] == ["t", "f", None]
    first = found.to_pylist()[0]
    assert (first["i"], first["d"], first["n"]) == (2**63 - 1, date(2024, 2, 29), Decimal("-1.50"))
    assert first["t"].isoformat() == "2024-02-29T01:02:03.500000"


def test_row_may_be_larger_than_a_block_of_arrow() -> None:
    """By default that is a mebibyte, in which a row must end."""
    long = "x" * 2**21
    assert texts(f"{long}\n") == [long]
    assert texts("a\n", f'"{long}\n"\n', "b\n") == ["a", f"{long}\n", "b"]


def test_rows_are_passed_when_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "CHUNK_BYTES", 4)
    schema = pa.schema([("i", pa.int32())])
    parts = read(schema, "1\n", "2\n", "33\n", "4\n", "5\n", "6\n", "777\n")
    assert [part["i"].to_pylist() for part in parts] == [[1, 2], [33, 4], [5, 6], [777]]
    assert read(schema) == [], "a query without rows makes no call"


def test_columns_are_selected_with_what_the_lake_cannot_hold() -> None:
    """As NULL, and as text beside all columns: the server makes both."""
    plain = [Column("id", "integer", is_key=True), Column("v", "text")]
    assert lake_schema(plain) == pa.schema([("id", pa.int32()), ("v", pa.string()), (UNREADABLE, pa.string())])
    assert select_columns(plain, ["id"]) == '"t"."id", "t"."v", NULL'
    kept = '"t"."n" <> \'NaN\''
    days = '"t"."d" >= \'0001-01-01\' AND "t"."d" < \'10000-01-01\''
    columns = [Column("k", "real", is_key=True), Column("n", "numeric(5,2)"), Column("d", "date"), Column("f", "real")]
    assert select_columns(columns, ["k"]) == ", ".join(
        (
            '("t"."k" + CAST(0 AS real))',  # 0 and -0 are one key
            f'CASE WHEN ({kept}) THEN "t"."n" END',
            f'CASE WHEN ({days}) THEN "t"."d" END',
            '"t"."f"',
            f"CASE WHEN (({kept}) AND ({days})) IS FALSE THEN jsonb_strip_nulls(jsonb_object(ARRAY['n', 'd'],"
            f' ARRAY[CASE WHEN NOT ({kept}) THEN "t"."n"::text END,'
            f' CASE WHEN NOT ({days}) THEN "t"."d"::text END]))::text END',
        )
    )
