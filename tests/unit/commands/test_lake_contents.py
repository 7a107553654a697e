"""What the views of the lake show of a few batches, row by row, as DuckDB reads their files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lake.columns import LakeType
from lambda_toolkit.pipeline.lake.views import ATHENA, DUCKDB, SPARK, Column, LakeTable, View, folded, lake_table, views
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.warehouse.column_types import with_types
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
from tests.support.lake_reader import reading
from tests.support.sample_star import COMPOSITE, Batch, Row, write
from tests.support.written_lake import BEGINNING, Objects, WrittenLake

A, B, C, D = (COMPOSITE.parts(key) for key in (1, 2, 3, 4))  # keys: of an order, year and number
FIRST = Batch({1: Row((1, 1)), 2: Row((2, 1)), 3: Row((3, 1))}, {1: Row("one"), 2: Row("two")})
SECOND = Batch({1: Row((1, 1)), 2: None, 3: Row((3, 2))}, {1: Row("uno"), 2: None})
THIRD = Batch({2: Row((2, 1)), 3: Row((3, 2))}, {2: Row("two")})
WRONG = Batch({3: Row((9, 4)), 4: Row((9, 4))}, {4: Row("wrong")})
FOURTH = Batch({1: None}, {1: None})


@pytest.fixture
def lake() -> WrittenLake:
    """Four batches, the third in three revisions; in the fifth an order is deleted and inserted again as it was."""
    lake = WrittenLake()
    for number, batch in enumerate((FIRST, SECOND, WRONG, FOURTH), 1):
        write(lake, number, batch, star=COMPOSITE)
    write(lake, 3, WRONG, revision=2, star=COMPOSITE)
    write(lake, 3, THIRD, revision=10, star=COMPOSITE)
    again = pa.table({"year": pa.array([B[0]], pa.int16()), "number": [B[1]]})
    columns = {"amount": pa.array([2], pa.decimal128(10, 2)), "product_shop": pa.array([A[0]], pa.int32())}
    row = {**dict(zip(again.column_names, again.columns, strict=True)), **columns, "product_code": [A[1]]}
    lake.write(5, {"fact_order": pa.table(row)}, {"fact_order": again})
    write(lake, 7, WRONG, star=COMPOSITE)  # load waits for the sixth
    return lake


def opened(lake: WrittenLake, folder: Path) -> Any:
    objects: Objects = lake._client
    for key, content in objects.objects.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(content)
    return reading(COMPOSITE.declared, folder)


def at(batch: int | None) -> Any:
    return batch and (BEGINNING + timedelta(minutes=batch)).replace(tzinfo=None)


def test_history_has_a_version_for_each_change(lake: WrittenLake, tmp_path: Path) -> None:
    """None where nothing changed; one for a row that was deleted and is again as it was. A deletion ends a version."""

    def rows(connection: duckdb.DuckDBPyConnection, relation: str) -> list[Any]:
        return sorted(connection.execute(f"SELECT * FROM {relation}").fetchall(), key=str)

    with opened(lake, tmp_path) as connection:
        orders = [
            (A, 1, A, 1, 4),
            *((B, 2, A, 1, 2), (B, 2, A, 3, 5), (B, 2, A, 5, None)),
            *((C, 3, A, 1, 2), (C, 3, B, 2, None)),
        ]
        history = [(*key, f"{n}.00", *of, begun, at(begun), at(ended)) for key, n, of, begun, ended in orders]
        assert rows(connection, "history_fact_order") == sorted(history, key=str)
        current = [(*key, f"{amount}.00", *of) for key, amount, of, _, ended in orders if ended is None]
        assert rows(connection, "current_fact_order") == sorted(current, key=str)
        assert rows(connection, "dim_product") == sorted([(*A, "uno"), (*B, "two")], key=str), "deleted ones, too"
        assert rows(connection, "current_dim_product") == [(*B, "two")]
        products = [(*A, "one", 1, 2), (*A, "uno", 2, 4), (*B, "two", 1, 2), (*B, "two", 3, None)]
        assert rows(connection, "history_dim_product") == sorted(
            [(*row[:3], row[3], at(row[3]), at(row[4])) for row in products], key=str
        )
        assert rows(connection, "lake_batches") == [(number, at(number)) for number in range(1, 6)]
        files = connection.execute("SELECT lake_batch, extracted_at, count(*) FROM lake_files GROUP BY ALL ORDER BY 1")
        assert files.fetchall() == [(number, at(number), n) for number, n in enumerate((3, 5, 3, 3, 3), 1)]


def test_lake_begins_with_the_first_batch(lake: WrittenLake, tmp_path: Path) -> None:
    objects: Objects = lake._client
    del objects.objects[manifest_key(1)]
    with opened(lake, tmp_path) as connection:
        for relation in ("lake_batches", "lake_files", "dim_product", "history_fact_order"):
            assert connection.execute(f"SELECT count(*) FROM {relation}").fetchone() == (0,)


# ---------------------------------------------------------------------------------------------------- names and columns

SCHEMA = """
    CREATE TABLE dim_shop (id integer PRIMARY KEY, opens time, a numeric, b numeric(9, 3), c numeric, d text);
"""
COLUMNS = {"id": "id", "opens": "opens", "a": "decimal(x, 5, 2)", "b": "decimal(x, 5, 2)", "c": "x", "d": "upper(y)"}
DOCUMENT = {
    "source": {"shop": {"key": "id"}},
    "warehouse": {"dim_shop": {"kind": "dimension", "from": "shop", "key": "id", "columns": COLUMNS}},
}


def test_columns_are_those_that_the_engine_reads() -> None:
    """A time of day is DuckDB's alone. Of decimal() the files have its digits, where the warehouse takes any number."""
    shop = parse(with_types(DOCUMENT, SCHEMA, "s.sql"), parse_expression).warehouse["dim_shop"]
    types = {"id": "int", "a": "decimal(5,2)", "b": "decimal(9,3)", "c": "string", "d": "string"}
    for dialect in (ATHENA, DUCKDB, SPARK):
        table = lake_table(shop, dialect)
        found = {column.name: column.kind.hive for column in table.columns}
        assert found == (types if dialect is not DUCKDB else {**types, "opens": None})
        assert [key.name for key in table.keys] == ["id"] and table.keeps_latest and not table.is_calendar
    assert list(lake_table(shop, DUCKDB).columns)[1].name == "opens", "in the order of the files"


def test_names_of_an_engine_are_quoted() -> None:
    kind = LakeType(None, "time", "TIME")
    shown = [(each.quoted('a"b`c'), each.type_name(kind), each.reads(kind)) for each in (ATHENA, DUCKDB, SPARK)]
    assert shown == [('"a""b`c"', "time", False), ('"a""b`c"', "TIME", True), ('`a"b``c`', "None", False)]
    view = View("Current_X", (Column("Id", kind),), "SELECT")
    assert folded(view) == View("current_x", (Column("id", kind),), "SELECT")


def test_table_of_keys_alone_has_versions_by_its_deletions() -> None:
    """Nothing of it can change: one row is as the one before. Views say which columns they have."""
    key = Column("id", LakeType("int", "integer", "INTEGER"))
    table = LakeTable("t", (key,), (key,), is_calendar=False, keeps_latest=False)
    found = {view.name: view for view in views([table], DUCKDB)}
    assert list(found) == ["lake_files", "lake_batches", "history_t", "current_t"]
    columns = {name: [(column.name, column.kind.hive) for column in view.columns] for name, view in found.items()}
    times = [(name, "timestamp") for name in ("valid_from", "valid_to")]
    moment, batch = ("extracted_at", "timestamp"), ("lake_batch", "bigint")
    assert columns == {
        "lake_files": [batch, moment, ("file", "string")],
        "lake_batches": [batch, moment],
        "history_t": [("id", "int"), batch, *times],
        "current_t": [("id", "int")],
    }
    assert "        true AS lake_is_same\n" in found["history_t"].query
    calendar = LakeTable("d", (key,), (key,), is_calendar=True, keeps_latest=True)
    assert [view.name for view in views([calendar], ATHENA)][2:] == ["d"]
