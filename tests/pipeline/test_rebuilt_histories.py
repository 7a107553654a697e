"""The keys that another revision of a batch changes, and their history from then on: theirs alone, and no other row's.

Both tables have the same keys, and every table has rows of other keys, batches and tables beside those that matter.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.interface import Staging, WarehouseBatch
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.load.warehouse.read_ahead import ReadAhead
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import CONTROL_TABLES
from lambda_toolkit.pipeline.lambdas.load.warehouse.tables import facts
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import ProcessedManifest, processed_manifest
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.databases import empty_database
from tests.support.sample_star import DECLARED, SCHEMA
from tests.support.written_lake import WrittenLake

TABLES = ("dim_product", "fact_order")
LAST = 6
LEDGER = """
    INSERT INTO pipeline.ledger SELECT b, 'm', timestamptz '2026-01-01' + b * interval '1 minute', now(),
        '{"dim_product": 0, "fact_order": 0}' FROM generate_series(1, 6) AS b
"""


@pytest.fixture(scope="module")
def database(postgres_server: Any) -> Iterator[Connection]:
    with empty_database(postgres_server, "rebuilt_histories") as connection:
        prepare(connection, SCHEMA, DECLARED)
        connection.run("ALTER TABLE fact_order ALTER order_record SET GENERATED ALWAYS")  # load numbers its rows itself
        yield connection


@pytest.fixture
def warehouse(database: Connection) -> Connection:
    """Six batches are loaded, and nothing else is there."""
    database.run(
        "; ".join(f"DELETE FROM {t}" for t in ("fact_order", "dim_product", *map("pipeline.{}".format, CONTROL_TABLES)))
    )
    database.run(LEDGER)
    return database


def rows_of(name: str, values: dict[int, int]) -> pa.Table:
    """Rows of a table, by their keys: the name of a product, the amount of an order."""
    keys, found = pa.array(list(values), pa.int32()), list(values.values())
    if name == "dim_product":
        return pa.table({"product_id": keys, "name": [str(value) for value in found]})
    amounts = pa.array(found, pa.int64()).cast(pa.decimal128(20, 0))
    return pa.table({"order_id": keys, "amount": amounts, "product_id": pa.array([1] * len(found), pa.int32())})


def keys_of(name: str, keys: list[int]) -> pa.Table:
    return pa.table({DECLARED.warehouse[name].keys[0]: pa.array(keys, pa.int32())})


def stored(connection: Connection, name: str, versions: list[tuple[int, int, int | None]]) -> None:
    """Writes versions (key, value, batch) of orders, numbered from 1; of products the last one of each key."""
    if name == "dim_product":
        latest = {key: value for key, value, _ in versions}
        connection.run(
            f"INSERT INTO dim_product VALUES {', '.join(f'({key}, {value})' for key, value in latest.items())}"
        )
        return
    connection.run("INSERT INTO dim_product VALUES (1, 'one')")
    for number, (key, value, batch) in enumerate(versions, 1):
        connection.run(f"INSERT INTO fact_order OVERRIDING SYSTEM VALUE VALUES ({number}, {key}, {value}, 1)")
        connection.run(
            f"INSERT INTO pipeline.version_range VALUES ('dim_product', {number}, {number}, {7 - number % 7})"
        )
        if batch:
            connection.run(f"INSERT INTO pipeline.version_range VALUES ('fact_order', {number}, {number}, {batch})")


def deleted(connection: Connection, name: str, *deletions: tuple[int, int, int | None]) -> None:
    """Records deletions: key, batch, and the batch that undid it."""
    for key, batch, until in deletions:
        connection.run(f"INSERT INTO pipeline.deletion VALUES ('{name}', '{key}', {batch}, {until or 'NULL'})")


def changed(
    batch: WarehouseBatch, connection: Connection, name: str, values: dict[int, int], *without: int
) -> set[int]:
    table = DECLARED.warehouse[name]
    found = batch.stage_changed_keys(table, [rows_of(name, values)], [keys_of(name, list(without))])
    rows = connection.rows(f"SELECT {table.keys[0]} FROM pg_temp.changed_{name}")
    assert (found is not None) == bool(rows)
    return {row[0] for row in rows}


def begin(connection: Connection, reads: ReadAhead, number: int):  # type: ignore[no-untyped-def]  # a context manager
    manifest = ProcessedManifest(number, "m", f"2026-01-01T00:0{number}:00Z", {})
    return PostgresWarehouse(connection).begin(manifest, LAST, reads)


def other_of(name: str) -> str:
    return TABLES[1 - TABLES.index(name)]


@pytest.mark.parametrize("name", TABLES)
def test_keys_that_a_revision_deletes_are_known(warehouse: Connection, name: str) -> None:
    """Those whose deletion was not in force as of the batch; and those of rows of the batch that wait."""
    stored(warehouse, name, [(1, 1, 1)])
    deleted(warehouse, name, (20, 3, None), (22, 1, 4), (23, 1, 3), (24, 4, None), (26, 1, None), (27, 1, 2))
    deleted(warehouse, other_of(name), (21, 1, None), (25, 3, None))
    key = DECLARED.warehouse[name].keys[0]
    for table, number, batch in ((name, 10, 3), (name, 11, 2), (other_of(name), 12, 3)):
        content = f'{{"{key}": {number}}}'
        warehouse.run(f"INSERT INTO pipeline.pending_row VALUES ('{table}', '{number}', {batch}, '{content}')")
    with ReadAhead(WrittenLake(), []) as reads, begin(warehouse, reads, 3) as batch:
        assert changed(batch, warehouse, name, {}, *range(20, 28)) == {10, 21, 23, 24, 25, 27}


def test_products_that_a_revision_changes_are_known(warehouse: Connection) -> None:
    stored(warehouse, "dim_product", [(key, key, None) for key in (1, 2, 4, 5, 6, 7, 8, 9)])
    deleted(warehouse, "dim_product", (4, 1, None), (5, 2, 4), (6, 1, 3), (7, 3, None), (9, 4, None), (99, 1, None))
    deleted(warehouse, "fact_order", (8, 1, None))
    with ReadAhead(WrittenLake(), []) as reads, begin(warehouse, reads, 3) as batch:
        staged = {key: key for key in range(1, 10)} | {2: 22}
        assert changed(batch, warehouse, "dim_product", staged) == {2, 3, 4, 5}


def test_orders_that_a_revision_changes_are_known(warehouse: Connection) -> None:
    """Compared with the last version up to the batch; and those of which the batch has a version no more."""
    versions = [(1, 1, 1), (2, 1, 1), (3, 1, 1), (8, 8, 1), (2, 2, 2), (3, 2, 2), (4, 4, 2), (9, 9, 2), (10, 10, 2)]
    versions += [(11, 11, 2), (6, 6, 3), (7, 7, 3), (4, 5, 4), (5, 5, 4), (13, 13, 4)]
    stored(warehouse, "fact_order", [*versions, (12, 12, None)])
    deleted(warehouse, "fact_order", (8, 3, None), (9, 1, 2), (10, 4, None), (99, 3, None))
    deleted(warehouse, "dim_product", (11, 3, None))
    with ReadAhead(WrittenLake(), []) as reads, begin(warehouse, reads, 3) as batch:
        staged = {1: 1, 2: 2, 3: 1, 4: 4, 5: 5, 7: 7, 8: 8, 9: 9, 10: 10, 11: 11, 12: 12}
        assert changed(batch, warehouse, "fact_order", staged) == {3, 5, 6, 8, 12}


VERSIONS = [
    *((2, 21, 1), (5, 51, 1), (6, 61, 1), (9, 91, 1), (1, 12, 2), (10, 102, 2), (4, 43, 3), (3, 33, 4)),
    *((5, 54, 4), (4, 45, 5), (6, 65, 5), (10, 105, 5)),
]
DELETIONS = [
    *((1, 1, 2), (1, 3, 4), (1, 5, None), (2, 3, None), (3, 4, 5), (3, 6, None), (4, 2, 3), (4, 4, 5), (5, 2, 4)),
    *((6, 2, 5), (8, 1, None)),
]


def written(name: str) -> WrittenLake:
    """What the lake has of the batches from the fourth on."""
    lake = WrittenLake()
    for number, rows, without in (
        (4, {1: 14, 3: 99, 7: 74, 10: 102}, []),
        (5, {5: 55, 7: 75, 10: 105}, [1, 2, 9]),
        (6, {1: 16, 2: 26, 6: 66}, []),
    ):
        lake.write(number, {name: rows_of(name, rows)}, {name: keys_of(name, without)} if without else {})
    return lake


def rebuild(connection: Connection, lake: WrittenLake, name: str, *keys: int) -> int:
    """Rebuilds the history of these keys from the fourth batch on; returns how many rows were written."""
    table = DECLARED.warehouse[name]
    with ReadAhead(lake, []) as reads:

        def attempt() -> int:
            with begin(connection, reads, 4) as batch:
                connection.run(f"CREATE TEMPORARY TABLE mine ({table.keys[0]} integer) ON COMMIT DROP")
                connection.run("INSERT INTO mine SELECT unnest(CAST(:keys AS integer[]))", keys=[*keys, keys[0]])
                return int(batch.rebuild_history(table, Staging("mine"), 4))

        return reads.attempt(attempt)


def recorded(connection: Connection, what: str) -> set[tuple[object, ...]]:
    more = ", undeleted_batch" if what == "deletion" else ""
    return {tuple(row) for row in connection.rows(f"SELECT table_name, key, batch{more} FROM pipeline.{what}")}


@pytest.mark.parametrize("name", TABLES)
def test_history_is_rebuilt_of_its_keys_alone(warehouse: Connection, name: str) -> None:
    """Deletions that ended before are kept, those in force at the first batch end where the lake says so.

    What the warehouse refused is no version. Only the latest row of a product counts: what waits, or was rejected,
    and is older than it is discarded.
    """
    other, refused = other_of(name), "the warehouse refuses it: no"
    stored(warehouse, name, VERSIONS)
    deleted(warehouse, name, *DELETIONS)
    deleted(warehouse, other, *DELETIONS[:3], *DELETIONS[4:], (10, 2, None))
    for table in TABLES:
        for key in (1, 3, 4):
            for batch in (3, 4, 5):
                warehouse.run(f"INSERT INTO pipeline.pending_row VALUES ('{table}', '{key}', {batch}, '{{}}')")
    rejected = [(name, 7, 3, refused), (name, 7, 4, "bad"), (name, 7, 5, refused), (name, 8, 3, "bad")]
    rejected += [(other, 7, 4, refused), (name, 6, 4, refused), (name, 9, 5, refused), (name, 1, 5, refused)]
    for table, key, batch, reason in rejected:
        warehouse.run(f"INSERT INTO pipeline.rejected_value VALUES ('{table}', '{key}', {batch}, 'c', 'v', '{reason}')")
    before = {what: recorded(warehouse, what) for what in ("deletion", "pending_row", "rejected_value")}
    count = rebuild(warehouse, written(name), name, 1, 2, 4, 5, 6, 7, 9, 10)
    assert count == {"dim_product": 5, "fact_order": 6}[name]
    expected = {(1, 1, 2), (1, 3, 4), (1, 5, 6), (2, 3, 6), (4, 2, 3), (5, 2, 5), (6, 2, 6), (9, 5, None)}
    expected |= {(3, 4, 5), (3, 6, None), (8, 1, None)}
    assert recorded(warehouse, "deletion") == {
        *((name, str(key), batch, until) for key, batch, until in expected),
        *(row for row in before["deletion"] if row[0] == other),
    }
    newer = {("1", 4), ("1", 5), ("4", 4), ("4", 5), *([("1", 3)] if name == "dim_product" else [])}
    assert before["pending_row"] - recorded(warehouse, "pending_row") == {
        row for row in before["pending_row"] if row[0] == name and row[1:3] in newer
    }
    older = {("7", 3), ("6", 4), ("1", 5)} if name == "dim_product" else set()
    assert before["rejected_value"] - recorded(warehouse, "rejected_value") == {
        row for row in before["rejected_value"] if row[0] == name and row[1:3] in older
    }
    if name == "dim_product":
        found = warehouse.rows("SELECT product_id, name::integer FROM dim_product ORDER BY 1")
        assert found == [[1, 16], [2, 26], [3, 33], [4, 45], [5, 55], [6, 66], [7, 74], [9, 91], [10, 105]]
        return
    loaded = "JOIN pipeline.version_range ON table_name = 'fact_order' AND order_record BETWEEN first_record"
    assert warehouse.rows(
        f"SELECT order_id, amount::int, batch FROM fact_order {loaded} AND last_record ORDER BY order_record"
    ) == [
        *([2, 21, 1], [5, 51, 1], [6, 61, 1], [9, 91, 1], [1, 12, 2], [10, 102, 2], [4, 43, 3], [3, 33, 4]),
        *([10, 105, 5], [1, 14, 4], [7, 74, 4], [5, 55, 5], [1, 16, 6], [2, 26, 6], [6, 66, 6]),
    ]


def test_row_of_nulls_that_is_back_undoes_its_deletion(warehouse: Connection) -> None:
    """It has the same content as the deletion, whose columns are not there."""
    lake, table = WrittenLake(), DECLARED.warehouse["dim_product"]
    row = {"dim_product": pa.table({"product_id": pa.array([20], pa.int32()), "name": pa.array([None], pa.string())})}
    lake.write(4, row)
    lake.write(5, {}, {"dim_product": keys_of("dim_product", [20])})
    lake.write(6, row)
    warehouse.run("ALTER TABLE dim_product ALTER name DROP NOT NULL")
    try:
        rebuild(warehouse, lake, table.name, 20)
        assert recorded(warehouse, "deletion") == {("dim_product", "20", 5, 6)}
        assert warehouse.rows("SELECT * FROM dim_product") == [[20, None]]
    finally:
        warehouse.run("DELETE FROM dim_product; ALTER TABLE dim_product ALTER name SET NOT NULL")


PROBED, FILTERED, ALL = (0, 0), (10**9, -1), (10**9, 10**9)


@pytest.mark.parametrize("ratios", [PROBED, FILTERED, ALL], ids=["each key alone", "the staged keys", "all keys"])
def test_new_versions_are_those_unlike_the_last_one(
    warehouse: Connection, monkeypatch: pytest.MonkeyPatch, ratios: tuple[int, int]
) -> None:
    """However the last version of each key is looked up; and those of a key that is deleted."""
    for name, ratio in zip(("PROBED_RATIO", "_FILTERED_RATIO"), ratios, strict=True):
        monkeypatch.setattr(facts, name, ratio)
    versions = [(1, 1, 1), (2, 5, 1), (4, 4, 1), (5, 5, 1), (6, 6, 1), (7, 7, 1), (1, 2, 2), (7, 8, 2), (9, 9, 2)]
    stored(warehouse, "fact_order", versions)
    deleted(warehouse, "fact_order", (4, 2, None), (5, 2, 3), (9, 1, 2), (99, 1, None))
    deleted(warehouse, "dim_product", (6, 2, None))
    table, staged = DECLARED.warehouse["fact_order"], {1: 2, 2: 6, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 9: 9}
    with ReadAhead(WrittenLake(), []) as reads, begin(warehouse, reads, 7) as batch:
        fresh = batch.drop_unchanged(table, batch.stage(table, [rows_of("fact_order", staged)]))
        assert warehouse.rows(f"SELECT order_id FROM pg_temp.{fresh.name} ORDER BY 1") == [[2], [3], [4], [7]]
        assert batch.apply(table, fresh) == 4
    new = "SELECT order_record, order_id FROM fact_order WHERE order_record > 9 ORDER BY 1"
    assert warehouse.rows(new) == [[10, 2], [11, 3], [12, 4], [13, 7]]


def test_rows_that_waited_undo_older_deletions_alone(warehouse: Connection) -> None:
    """Each by the first row that is newer. What waits of another table, or has to wait still, stays."""
    waiting = [(1, 3, "a"), (1, 5, "b"), (2, 3, "c"), (5, 3, "d"), (5, 5, "e"), (4, 3, None)]
    for key, batch, label in waiting:
        content = json.dumps({"product_id": key, "name": label})
        warehouse.run(f"INSERT INTO pipeline.pending_row VALUES ('dim_product', '{key}', {batch}, '{content}')")
    content = json.dumps({"order_id": 1, "product_id": 7, "name": "of another table"})
    warehouse.run(f"INSERT INTO pipeline.pending_row VALUES ('fact_order', '1', 3, '{content}')")
    deletions = [(1, 2, None), (2, 1, 2), (2, 3, None), (3, 2, None), (4, 2, None), (5, 4, None)]
    for table in TABLES:
        deleted(warehouse, table, *deletions)
        for key, batch in ((1, 2), (1, 4), (1, 5), (2, 2), (4, 2)):
            warehouse.run(f"INSERT INTO pipeline.rejected_value VALUES ('{table}', '{key}', {batch}, 'c', 'v', 'bad')")
    before = {what: recorded(warehouse, what) for what in ("deletion", "pending_row", "rejected_value")}
    with ReadAhead(WrittenLake(), []) as reads, begin(warehouse, reads, 7) as batch:
        assert batch.write_resolved(DECLARED.warehouse["dim_product"]) == 3
    assert warehouse.rows("SELECT * FROM dim_product ORDER BY 1") == [[1, "b"], [2, "c"], [5, "e"]]
    assert recorded(warehouse, "pending_row") == {("dim_product", "4", 3), ("fact_order", "1", 3)}
    undone = {("dim_product", "1", 2): 3, ("dim_product", "5", 4): 5}
    assert recorded(warehouse, "deletion") == {(*row[:3], undone.get(row[:3], row[3])) for row in before["deletion"]}
    older = {("dim_product", "1", 2), ("dim_product", "1", 4), ("dim_product", "2", 2)}
    assert before["rejected_value"] - recorded(warehouse, "rejected_value") == older


def test_what_a_revision_rejects_takes_the_place_of_what_was(warehouse: Connection) -> None:
    """Of that batch alone. Of a product only where no later row or deletion of its key is in the lake."""
    lake = WrittenLake()
    for number, rows, without in ((2, {3: 20}, []), (4, {1: 14}, []), (5, {}, [4]), (6, {}, [])):
        rows_by_table = {"dim_product": rows_of("dim_product", rows)} if rows else {}
        lake.write(number, rows_by_table, {"dim_product": keys_of("dim_product", without)} if without else {})
    lake.write(
        3,
        {},
        rejected={
            "dim_product": [("product", key, "name", f"v{key}", "bad") for key in ("1", "3", "4")],
            "fact_order": [("order", "1", "amount", None, "bad"), ("order", "1", "product_id", "x", "worse")],
        },
    )
    for table, key, batch in (("dim_product", "8", 3), ("dim_product", "7", 2), ("fact_order", "9", 4)):
        warehouse.run(f"INSERT INTO pipeline.rejected_value VALUES ('{table}', '{key}', {batch}, 'c', 'v', 'bad')")
    manifest = dataclasses.replace(processed_manifest(lake.get(manifest_key(3)), "m"), revision=2)
    with ReadAhead(lake, []) as reads:

        def attempt() -> None:
            with PostgresWarehouse(warehouse).begin(manifest, LAST, reads) as batch:
                batch.record_revision(DECLARED, manifest, {"fact_order": 1})

        reads.attempt(attempt)
    columns = "table_name, key, batch, column_name, value, reason"
    assert warehouse.rows(f"SELECT {columns} FROM pipeline.rejected_value ORDER BY batch, table_name, key, reason") == [
        ["dim_product", "7", 2, "c", "v", "bad"],
        ["dim_product", "3", 3, "name", "v3", "bad"],
        ["fact_order", "1", 3, "amount", None, "bad"],
        ["fact_order", "1", 3, "product_id", "x", "worse"],
        ["fact_order", "9", 4, "c", "v", "bad"],
    ]
    assert warehouse.rows("SELECT batch, revision, rows_written FROM pipeline.revision") == [[3, 2, {"fact_order": 1}]]
