"""A warehouse in a DuckDB file: what it has, what it refuses, and one process at a time."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from lambda_toolkit.pipeline.client.warehouses import ledger
from lambda_toolkit.pipeline.client.warehouses.query import Warehouse
from lambda_toolkit.pipeline.dashboard import warehouse_documents
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.load.compare import compare
from lambda_toolkit.pipeline.lambdas.load.handler import warehouse_of
from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.open_items import open_rows
from lambda_toolkit.pipeline.lambdas.load.rebuild import rebuild
from lambda_toolkit.pipeline.lambdas.load.replay import replay
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.database import connected
from lambda_toolkit.pipeline.lambdas.shared.duckdb import connection as files
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError, NotPreparedError, WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect
from lambda_toolkit.pipeline.local_stack.source_comparison import compare as source_comparison
from lambda_toolkit.pipeline.local_stack.warehouse_file import add_macros
from lambda_toolkit.pipeline.warehouse.column_types import with_types
from lambda_toolkit.pipeline.warehouse.duckdb_preparation import differences, prepare
from tests.support.databases import made
from tests.support.pipeline import credentials_of
from tests.support.sample_star import (
    COMPOSITE,
    DATED,
    REFERRING,
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

COMPARED_SOURCE = """
    CREATE TABLE shop (id int PRIMARY KEY, name text, price numeric(9, 3), ratio double precision, is_open boolean);
    INSERT INTO shop VALUES (1, 'Ada', 1.500, 0.1, true), (2, NULL, 7, 1, NULL)
"""
COMPARED_SCHEMA = """
    CREATE TABLE dim_shop (id bigint PRIMARY KEY, name varchar, price numeric(9, 3), ratio double precision,
        is_open boolean)
"""
_COLUMNS = {name: name for name in ("id", "name", "price", "ratio", "is_open")}
COMPARED = {
    "source": {"shop": {"key": "id"}},
    "warehouse": {"dim_shop": {"kind": "dimension", "from": "shop", "key": "id", "columns": _COLUMNS}},
}
A, B, LATER = (1, 1), (2, 1), (3, 7)
HISTORY = [
    Batch({1: Row(A), 2: Row(A)}, {1: Row("one")}),
    Batch({1: Row(LATER), 2: Row(B, rejected=True), 3: Row(A)}, {2: Row("two", rejected=True)}),
    Batch({1: Row(A), 2: None}),
    Batch({2: Row(A), 4: Row((5, 3))}, {7: Row("seven")}),
    Batch({3: None}, {3: Row("three"), 1: None}),
]
HOLD = "import duckdb, sys; opened = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


def of_file(star):
    """The star with a type that DuckDB has as a number, and with its foreign keys declared: nothing else has them."""
    schema = star.schema.replace("amount numeric,", "amount numeric(10, 2),")
    return dataclasses.replace(star, schema=schema, declared=REFERRING if star is SINGLE else star.declared)


@pytest.fixture
def credentials(tmp_path):
    return Credentials.of_file(str(tmp_path / "warehouse.duckdb"), "a test", "the warehouse")


@pytest.fixture
def source(postgres_server):
    with (
        made(postgres_server, "duckdb_source", COMPARED_SOURCE) as database,
        connect(credentials_of(postgres_server, database.database)) as session,
    ):
        yield session


@pytest.fixture
def connection(credentials):
    with connected(credentials) as session:
        yield session


@pytest.mark.parametrize("star", [SINGLE, COMPOSITE, DATED], ids=["single", "composite", "dated"])
def test_history_replay_and_rebuild_are_what_the_model_says(connection, star):
    star, lake = of_file(star), WrittenLake()
    beside = SchemaNames.shadow("check")
    for place in (LIVE, beside):
        prepare(connection, star.schema, star.declared, place)
    for number, batch in enumerate(HISTORY, 1):
        write(lake, number, batch, star=star)
        assert load(warehouse_of(connection), lake, star.declared).loaded == [number]
        assert found(connection, star=star) == expected(HISTORY[:number], star)
    corrected = repaired(HISTORY[1])
    write(lake, 2, corrected, 2, star)
    assert replay(warehouse_of(connection), lake, star.declared, [2]).replayed == [2]
    batches = [HISTORY[0], corrected, *HISTORY[2:]]
    assert found(connection, star=star) == expected(batches, star)
    if star.history == "fact_order":
        assert times(connection) == expected_times(expected(batches, star))
    rebuild(warehouse_of(connection, beside), lake, star.declared, lambda: True)
    compared = compare(connection, star.declared, LIVE, beside)
    assert compared.equal, compared
    assert not replay(warehouse_of(connection), lake, star.declared, [2]).written


def test_a_difference_between_two_warehouses_is_found(connection):
    star, lake = of_file(SINGLE), WrittenLake()
    beside = SchemaNames.shadow("check")
    for place in (LIVE, beside):
        prepare(connection, star.schema, star.declared, place)
    write(lake, 1, HISTORY[0])
    for place in (LIVE, beside):
        load(warehouse_of(connection, place), lake, star.declared)
    connection.run("UPDATE public.fact_order SET amount = 9 WHERE order_id = 2")
    examples = compare(connection, star.declared, LIVE, beside).tables[1].examples
    assert "order_id 2" in examples[0]
    assert "9" in examples[0]


def test_open_items_name_what_waits_and_what_was_rejected(connection):
    star, lake = of_file(SINGLE), WrittenLake()
    prepare(connection, star.schema, star.declared)
    for number, batch in enumerate(HISTORY[:2], 1):
        write(lake, number, batch)
    load(warehouse_of(connection), lake, star.declared)
    items = open_rows(connection, star.declared)
    assert (items.counts.rejected, items.counts.pending) == (2, 1)
    assert items.batches == (2,)
    assert items.last_batch == 2


def test_preparing_twice_changes_nothing(connection):
    star = of_file(DATED)
    first = prepare(connection, star.schema, star.declared)
    assert "table fact_order" in first.created
    assert "view current_fact_order" in first.created
    again = prepare(connection, star.schema, star.declared)
    assert (again.created, again.replaced, again.alterations) == ([], [], [])
    assert differences(connection, star.schema, star.declared) == ()


def test_columns_are_added_and_widened_when_asked(connection):
    star = of_file(SINGLE)
    prepare(connection, star.schema, star.declared)
    wider = star.schema.replace("numeric(10, 2)", "numeric(12, 2), note text").replace(
        "order_id integer", "order_id bigint"
    )
    assert len(prepare(connection, wider, star.declared).alterations) == 3
    assert "column note (VARCHAR) is missing" in " ".join(differences(connection, wider, star.declared))
    prepare(connection, wider, star.declared, alter=True)
    assert differences(connection, wider, star.declared) == ()


def test_a_view_that_was_changed_is_made_again(connection):
    star = of_file(SINGLE)
    prepare(connection, star.schema, star.declared)
    connection.execute("CREATE OR REPLACE VIEW main.current_fact_order AS SELECT 1 AS one")
    assert differences(connection, star.schema, star.declared) == ("view current_fact_order has another definition",)
    assert prepare(connection, star.schema, star.declared).replaced == ["view current_fact_order"]


@pytest.mark.parametrize("kind", ["double precision", "real", "bytea"])
def test_a_key_that_duckdb_writes_otherwise_is_refused(connection, kind):
    schema = SINGLE.schema.replace("order_id integer", f"order_id {kind}")
    with pytest.raises(WarehouseError, match="fact_order.order_id is a key"):
        prepare(connection, schema, SINGLE.declared)
    assert connection.execute("SELECT count(*) FROM duckdb_tables()") == [[0]]


def test_a_default_that_a_file_does_not_have_is_refused(connection):
    schema = SINGLE.schema.replace("amount numeric", "amount numeric, origin text DEFAULT 'x'")
    with pytest.raises(WarehouseError, match="fact_order.origin gets its value from a default"):
        prepare(connection, schema, SINGLE.declared)


def test_load_into_a_file_without_tables_says_so(connection):
    with pytest.raises(NotPreparedError, match="lacks the table pipeline.ledger"):
        load(warehouse_of(connection), WrittenLake(), SINGLE.declared)


def test_a_file_that_another_process_has_open_gets_a_sentence(credentials):
    with connected(credentials):
        pass
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(credentials.file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    waited = []

    def pause(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            holder.communicate()  # it ends

    try:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(ConnectionFailedError, match="Another process has the DuckDB file"):
            files.connect(credentials.file, wait=0.1, pause=lambda seconds: None)
        files.connect(credentials.file, pause=pause).close()
    finally:
        holder.kill()
        holder.wait()
    assert len(waited) == 3


def test_two_readers_share_a_file_and_cannot_write(credentials):
    with connected(credentials) as writer:
        prepare(writer, SINGLE.schema, SINGLE.declared)
    with connected(credentials, read_only=True) as one, connected(credentials, read_only=True) as other:
        assert one.rows("SELECT count(*) FROM public.fact_order") == other.rows("SELECT 0")
        with pytest.raises(Exception, match="read-only"):
            one.run("DELETE FROM public.fact_order")


def test_a_missing_file_is_not_created_by_a_reader(credentials):
    with pytest.raises(ConnectionFailedError, match="There is no DuckDB file"), connected(credentials, read_only=True):
        pass


def test_two_sessions_of_one_process_do_not_both_load(credentials):
    with connected(credentials) as one, connected(credentials) as other:
        prepare(one, SINGLE.schema, SINGLE.declared)
        assert warehouse_of(one).acquire_lock()
        assert load(warehouse_of(other), WrittenLake(), SINGLE.declared).busy
        one.close()
        assert warehouse_of(other).acquire_lock()


def test_errors_do_not_quote_values(connection):
    connection.execute("CREATE TABLE t (a integer)")
    with pytest.raises(Exception) as raised:
        connection.execute("INSERT INTO t SELECT CAST('secret value' AS integer)")
    assert "secret value" not in str(raised.value)


@pytest.mark.parametrize("text", ['{"engine": "duckdb"}', '{"engine": "duckdb", "file": "relative.duckdb"}'])
def test_a_secret_without_an_absolute_path_is_refused(text):
    with pytest.raises(ConnectionFailedError, match="absolute path"):
        Credentials.from_json(text, "the secret")


def test_a_secret_names_the_file(tmp_path):
    value = {"engine": "duckdb", "file": str(tmp_path / "w.duckdb")}
    read = Credentials.from_json(json.dumps(value), "the secret", "the warehouse")
    assert str(read) == f"the warehouse in the DuckDB file {tmp_path}/w.duckdb (the secret)"


def test_a_package_from_another_folder_is_found(monkeypatch, tmp_path):
    (tmp_path / "packages" / "duckdb").mkdir(parents=True)
    (tmp_path / "packages" / "duckdb" / "__init__.py").write_text("raise ImportError('of another Python')")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ConnectionFailedError, match=r'pip install "lambda-script\[duckdb\]"'):
        files.connect(str(tmp_path / "w.duckdb"))
    monkeypatch.setenv(files.DRIVER_VARIABLE, str(tmp_path / "packages"))
    monkeypatch.delitem(sys.modules, "duckdb")
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ConnectionFailedError, match="of another Python"):
        files.connect(str(tmp_path / "w.duckdb"))
    assert sys.path == []


def test_reader_gives_arrow_and_csv_of_a_file(credentials):
    with connected(credentials) as writer:
        star, lake = of_file(SINGLE), WrittenLake()
        prepare(writer, star.schema, star.declared)
        write(lake, 1, HISTORY[0])
        load(warehouse_of(writer), lake, star.declared)
    warehouse = Warehouse.at(f"duckdb://{credentials.file}")
    assert warehouse.tables() == [
        *("current_dim_product", "current_fact_order", "dim_product", "fact_order", "history_fact_order"),
    ]
    assert warehouse.table("dim_product").to_pylist() == [{"product_id": 1, "name": "one"}]
    found = warehouse.query(
        "SELECT amount, order_id AS same, order_id AS same, sum(order_id) OVER () AS total, DATE '2024-02-29' AS day,"
        " uuid() AS id, NULL AS nothing FROM public.current_fact_order ORDER BY order_id -- a comment"
    )
    assert [str(kind) for kind in found.schema.types[:5]] == [
        *("decimal128(10, 2)", "int32", "int32", "decimal128(38, 0)", "date32[day]"),
    ]
    assert found.column_names[1:3] == ["same", "same_1"]  # DuckDB makes names of a subquery different
    written: list[bytes] = []
    warehouse.csv("SELECT name, NULL AS \"a,b\", '' AS empty FROM dim_product", written.append)
    assert b"".join(written) == b'name,"a,b",empty\n"one",,""\n'
    with pytest.raises(CommandError, match="refuses the query"):
        warehouse.query("DELETE FROM dim_product")
    with pytest.raises(CommandError, match="Is dim_product meant"):
        warehouse.table("dim_products")
    assert warehouse.rows("SELECT count(*) FROM dim_product WHERE name = :name", name="one") == [[1]]


def test_commands_read_ledger_and_dashboard_of_a_file(credentials):
    with connected(credentials) as writer:
        star, lake = of_file(SINGLE), WrittenLake()
        prepare(writer, star.schema, star.declared)
        for number, batch in enumerate(HISTORY, 1):
            write(lake, number, batch)
        load(warehouse_of(writer), lake, star.declared)
    warehouse = Warehouse.at(f"duckdb://{credentials.file}")
    batches = ledger.loaded(warehouse, 1, 9)
    assert sorted(batches) == [1, 2, 3, 4, 5]
    assert batches[2].rejected == 2
    tables = warehouse_documents.tables(warehouse, star.declared.warehouse)["tables"]
    assert {row["table"]: (row["rows"], row["problem"]) for row in tables}["dim_product"] == (3, None)
    shown = warehouse_documents.history(warehouse, star.declared.warehouse, "fact_order", "1")
    assert len(shown["versions"]) == 3
    assert {row["table"]: (row["rows"], row["present"]) for row in tables}["fact_order"] == (7, 3)


def test_comparison_with_the_source_reads_a_file(credentials, source):
    declared = parse(with_types(COMPARED, COMPARED_SCHEMA, "warehouse.sql"))
    with connected(credentials) as writer:
        prepare(writer, COMPARED_SCHEMA, declared)
        writer.execute("INSERT INTO main.dim_shop VALUES (1, 'Ada', 1.5, 0.1, true), (2, NULL, 7, 1, NULL)")
    with connected(credentials, read_only=True) as file:
        add_macros(file)
        agreed = source_comparison(declared, COMPARED["warehouse"], source, file)
    assert agreed.agrees, agreed
    assert agreed.not_compared == ()
    with connected(credentials) as writer:
        writer.execute("UPDATE main.dim_shop SET name = 'Eve' WHERE id = 1")
    with connected(credentials, read_only=True) as file:
        add_macros(file)
        differs = source_comparison(declared, COMPARED["warehouse"], source, file)
    assert "name is 'Eve' and should be 'Ada'" in differs.tables[0].examples[0]
