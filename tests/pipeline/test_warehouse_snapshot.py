"""What a publication reads of a warehouse: its position, the versions of batches, whole tables, and deletions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.iceberg.snapshot import Loaded, Position, WarehouseSnapshot
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import CONTROL_TABLES, LIVE
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from tests.support.sample_star import COMPOSITE

ROWS = """
    CREATE TABLE fact_order (order_record bigint PRIMARY KEY, year smallint, number text, amount numeric,
        product_shop integer, product_code text);
    INSERT INTO fact_order SELECT record, 2000 + record, 'n' || record, record * 1.5, 1, NULL
    FROM unnest(ARRAY[9, 1, 2, 3, 5, 6, 7, 8, 4]) AS record;
    CREATE TABLE dim_product (shop integer, code text, name text);
    INSERT INTO dim_product VALUES (2, 'a', 'x'), (1, 'b', 'y'), (1, 'a', NULL);
    INSERT INTO pipeline.ledger
    SELECT batch, '', '2026-01-01 12:00+02'::timestamptz + batch * interval '1.5 seconds', loaded::timestamptz, '{}'
    FROM (VALUES (1, '2026-01-02 00:00+00'), (2, '2026-01-01 23:00:00.25+00'), (3, '2026-01-03 00:00+00'))
        AS l(batch, loaded);
    INSERT INTO pipeline.revision VALUES (1, 2, now(), '{}'), (1, 3, now(), '{}');
    INSERT INTO pipeline.version_range VALUES
        ('fact_order', 1, 3, 1), ('fact_order', 5, 6, 3), ('fact_order', 8, 8, 1), ('fact_order', 9, 9, 4),
        ('dim_product', 1, 9, 2);
    INSERT INTO pipeline.deletion VALUES ('t', 'b', 2, NULL), ('t', 'a', 2, 3), ('t', 'a', 1, 4), ('s', 'z', 3, NULL),
        ('s', 'y', 4, NULL);
"""
EXTRACTED = [datetime(2026, 1, 1, 10, 0, *of, tzinfo=UTC) for of in ((1, 500_000), (3,), (4, 500_000))]
FACT, PRODUCT = (COMPOSITE.declared.warehouse[name] for name in ("fact_order", "dim_product"))


@pytest.fixture
def filled(empty: Connection) -> WarehouseSnapshot:
    empty.run("SET TimeZone = 'UTC'; CREATE SCHEMA pipeline")
    for name, create in CONTROL_TABLES.items():
        empty.run(str(sql.compose(create, table=sql.table(name, "pipeline"))))
    assert WarehouseSnapshot(empty, LIVE).loaded is None
    empty.run(ROWS)
    return WarehouseSnapshot(empty, LIVE)


def rows(snapshot: WarehouseSnapshot, query: str) -> list[dict[str, Any]]:
    """The rows of a query, as its file has them."""
    with snapshot.spooled(query, "a table") as found:
        read = [found.reader().read_all() for _ in range(2)]
        assert read[0] == read[1] and found.rows == len(read[0]) and found.schema == read[0].schema
        return list(read[0].to_pylist())


def test_versions_are_those_of_loaded_batches(filled: WarehouseSnapshot) -> None:
    """Records 4 and 7 are in no batch, 9 is in one that is not loaded: they are rows that load did not write."""

    def found(after: int, *batches: int) -> list[tuple[Any, ...]]:
        read = rows(filled, filled.fact_query(FACT, after, (batches[0], batches[1])))
        return [(row["order_record"], row["number"], row["_batch"], row["_valid_from"]) for row in read]

    one, three = EXTRACTED[0], EXTRACTED[2]
    every = [*((number, f"n{number}", 1, one) for number in (1, 2, 3)), *((n, f"n{n}", 3, three) for n in (5, 6))]
    every.append((8, "n8", 1, one))
    assert found(0, 0, 3) == every and found(0, 1, 9) == every
    assert [row[0] for row in found(2, 1, 1)] == [3, 8]
    assert [row[0] for row in found(3, 2, 3)] == [5, 6]
    assert found(0, 2, 2) == found(8, 0, 3) == []
    names = ["order_record", "year", "number", "amount", "product_shop", "product_code", "_batch", "_valid_from"]
    assert [column.name for column in filled.columns_of_fact(FACT)] == names


def test_batches_and_records_are_counted_from_a_limit(filled: WarehouseSnapshot) -> None:
    first = "2026-01-01T23:00:00.250000"
    assert filled.loaded == Loaded(Position(3, 2), "2026-01-01T10:00:04.500000", first)
    assert [filled.extracted_at(batch) for batch in (1, 9)] == ["2026-01-01T10:00:01.500000", None]
    assert [filled.new_batches(FACT, batch) for batch in (0, 1, 2, 3)] == [[1, 3], [3], [3], []]
    assert [filled.count_versions(FACT, last) for last in (0, 3, 4, 5, 9)] == [(0, 0), (3, 3), (3, 3), (4, 5), (6, 8)]
    numbers = [sorted(filled.record_numbers(FACT, last).to_pylist()) for last in (0, 2, 5, 9)]
    assert numbers == [[], [1, 2], [1, 2, 3, 5], [1, 2, 3, 5, 6, 8]]
    assert filled.record_numbers(FACT, 0).type == pa.int64()


def test_other_tables_are_read_whole(filled: WarehouseSnapshot) -> None:
    assert [(row["shop"], row["code"], row["name"]) for row in rows(filled, filled.table_query(PRODUCT))] == [
        *((1, "a", None), (1, "b", "y"), (2, "a", "x")),
    ]
    times = dict(zip((1, 2, 3), EXTRACTED, strict=True))
    columns = ("table_name", "key", "batch", "deleted_at", "undeleted_batch", "undeleted_at")
    assert [tuple(row[name] for name in columns) for row in rows(filled, filled.deletions_query())] == [
        ("s", "z", 3, times[3], None, None),
        ("t", "a", 1, times[1], 4, None),
        ("t", "a", 2, times[2], 3, times[3]),
        ("t", "b", 2, times[2], None, None),
    ]
    query = filled.table_query(PRODUCT)
    contents = [filled.content(query)]
    assert filled.content(f"SELECT * FROM ({query}) AS t ORDER BY shop DESC, code DESC") == contents[0], "in any order"
    for change in (
        "UPDATE dim_product SET name = 'z' WHERE shop = 2",
        "UPDATE dim_product SET name = '' WHERE name IS NULL",
        "DELETE FROM dim_product WHERE shop = 2",
        "INSERT INTO dim_product VALUES (3, 'a', 'x')",
        "DELETE FROM dim_product",
    ):
        filled.connection.run(change)
        contents.append(filled.content(query))
    assert len(set(contents)) == 6, "a content is another one where a row differs"
