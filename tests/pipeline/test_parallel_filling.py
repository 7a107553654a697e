"""The first rows of a fact over several connections: the same as over one, whole or not at all, and nothing is lost."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.warehouse.binary import copying
from lambda_toolkit.pipeline.lambdas.load.warehouse.parallel import parallel_copy, replacement
from lambda_toolkit.pipeline.lambdas.load.warehouse.parallel.parallel_copy import Connections, copy_in_parallel
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.load.warehouse.references import foreign_keys
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect, transaction
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from lambda_toolkit.pipeline.warehouse.verification import differences
from tests.pipeline.test_filling import FOUND, MADE, lake_of, orders
from tests.support.sample_star import DECLARED, REFERRING, SCHEMA

MANY = [5, 3, 9, 1, 7, 8, 2]
LEFT = "SELECT count(*) FROM pg_class WHERE relname LIKE 'filling%'"
IDENTITY = "SELECT 'fact_order'::regclass::oid"


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    """Three rows are many, and each connection takes two at a time."""
    monkeypatch.setattr(foreign_keys, "MANY", 3)
    monkeypatch.setattr(copying, "PIECE_ROWS", 2)
    monkeypatch.setattr(parallel_copy, "PART_ROWS", 2)


@pytest.fixture
def several(credentials):
    return Connections(lambda: connect(credentials[1]), 3)


def prepared(connection, before=""):
    connection.run("DROP SCHEMA IF EXISTS public, pipeline CASCADE; CREATE SCHEMA public")
    prepare(connection, SCHEMA, DECLARED)
    if before:
        connection.run(before)


def filled(connection, lake, connections, declared=DECLARED):
    """What load says of each first batch of orders that several connections could fill."""
    connection.run("SELECT pg_advisory_unlock_all()")
    ways = []
    load(
        PostgresWarehouse(connection, connections=connections),
        lake,
        declared,
        on_batch=lambda done: ways.extend(each.filled for each in done.written.values() if each.filled),
    )
    return ways


@pytest.mark.parametrize("keys", [[1, 2, 3, 4, 5], MANY, list(range(2000, 0, -1))])
def test_rows_and_numbers_are_those_of_one_connection(empty, several, keys):
    """Also the batches after it, the indexes and the constraints."""
    lake = lake_of(orders(keys), orders([key + 1 for key in keys]))
    prepared(empty)
    known = empty.rows(IDENTITY)
    assert filled(empty, lake, None) == []
    expected, made = empty.rows(FOUND), empty.rows(MADE)
    assert empty.rows(IDENTITY) == known
    prepared(empty)
    known = empty.rows(IDENTITY)
    assert filled(empty, lake, several) == ["3 connections"]
    assert empty.rows(FOUND) == expected
    assert empty.rows(MADE) == made
    assert empty.rows(LEFT) == [[0]]
    assert empty.rows(IDENTITY) != known


def test_each_connection_copies_a_part(empty, several, credentials, monkeypatch):
    """The rows are in as many transactions: of each, the server knows which wrote it."""
    prepared(empty)
    barrier, original = threading.Barrier(3, timeout=20), parallel_copy.copy_rows

    def together(connection, to, columns, tables):
        first = next(tables)
        barrier.wait()
        return original(connection, to, columns, iter((first, *tables)))

    monkeypatch.setattr(parallel_copy, "copy_rows", together)
    assert filled(empty, lake_of(orders(MANY)), several) == ["3 connections"]
    assert empty.rows("SELECT count(DISTINCT xmin::text) FROM fact_order") == [[3]]


KEPT = """
    CREATE ROLE analyst_of_orders; CREATE ROLE other_of_orders;
    GRANT SELECT ON fact_order TO analyst_of_orders WITH GRANT OPTION; GRANT SELECT, UPDATE ON fact_order TO PUBLIC;
    GRANT USAGE ON SEQUENCE fact_order_order_record_seq TO other_of_orders;
    ALTER DEFAULT PRIVILEGES IN SCHEMA pipeline GRANT SELECT ON TABLES TO other_of_orders;
    COMMENT ON TABLE fact_order IS 'What ''was'' ordered'; COMMENT ON COLUMN fact_order.amount IS 'in euros';
    ALTER TABLE fact_order SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01);
    ALTER TABLE fact_order ADD CONSTRAINT "is: positive" CHECK (amount >= 0), ALTER amount SET DEFAULT 7;
    ALTER TABLE fact_order ADD COLUMN twice numeric GENERATED ALWAYS AS (amount * 2) STORED;
    ALTER TABLE fact_order ADD COLUMN extra text; ALTER TABLE fact_order DROP COLUMN twice, DROP COLUMN extra;
    ALTER TABLE fact_order ADD COLUMN half numeric GENERATED ALWAYS AS (amount / 2) STORED;
    CREATE UNIQUE INDEX "one $of each" ON fact_order (order_id, (amount + 1)) WHERE amount > 0;
    ALTER TABLE fact_order ADD CONSTRAINT once UNIQUE (order_id, order_record);
    SELECT setval('fact_order_order_record_seq', 41);
    CREATE SCHEMA reports;
    CREATE VIEW reports.large WITH (security_barrier = true) AS
        SELECT order_id, amount FROM fact_order WHERE amount > 3;
    GRANT SELECT ON reports.large TO analyst_of_orders; COMMENT ON VIEW reports.large IS 'ours';
    CREATE VIEW reports.largest AS SELECT max(amount) FROM reports.large
"""
OF_VIEWS = """
    SELECT c.oid, c.relacl::text, c.reloptions::text, pg_get_viewdef(c.oid), obj_description(c.oid, 'pg_class')
    FROM pg_class AS c WHERE relkind = 'v' AND relnamespace::regnamespace::text IN ('public', 'reports') ORDER BY 1
"""
OF_TABLE = """
    SELECT ARRAY(SELECT p::text FROM aclexplode(c.relacl) AS p ORDER BY 1)::text, c.reloptions::text,
        obj_description(c.oid, 'pg_class'), col_description(c.oid, 3),
        (SELECT string_agg(conname || pg_get_constraintdef(oid), ';' ORDER BY conname) FROM pg_constraint
         WHERE conrelid = c.oid), (SELECT string_agg(indexdef, ';' ORDER BY indexdef) FROM pg_indexes
         WHERE tablename = 'fact_order'),
        (SELECT ARRAY(SELECT p::text FROM aclexplode(s.relacl) AS p ORDER BY 1)::text FROM pg_class AS s
         WHERE s.oid = 'fact_order_order_record_seq'::regclass)
    FROM pg_class AS c WHERE c.oid = 'fact_order'::regclass
"""


def test_what_belongs_to_the_table_is_kept(empty, several):
    """Privileges, views and those that read them, comments, options, keys and their names, the sequence."""
    prepared(empty, KEPT)
    try:
        before = empty.rows(OF_VIEWS), empty.rows(OF_TABLE)
        as_prepared = differences(empty, SCHEMA, DECLARED)
        assert filled(empty, lake_of(orders(MANY)), several) == ["3 connections"]
        assert (empty.rows(OF_VIEWS), empty.rows(OF_TABLE)) == before
        assert differences(empty, SCHEMA, DECLARED) == as_prepared
        assert empty.rows("SELECT * FROM reports.largest") == [[6]]
        assert empty.rows("SELECT count(*) FROM history_fact_order") == [[7]]
        added = "INSERT INTO fact_order (order_id, product_id) VALUES (99, 1) RETURNING order_record, amount"
        assert empty.rows(added) == [[42, 7]]
    finally:
        empty.run(
            "DROP OWNED BY analyst_of_orders, other_of_orders CASCADE; DROP ROLE analyst_of_orders, other_of_orders;"
            "DROP SCHEMA reports CASCADE"
        )


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("CREATE MATERIALIZED VIEW kept AS SELECT * FROM fact_order", "depend"),
        ("CREATE FUNCTION kept() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM fact_order; END", "depend"),
        ("CREATE TABLE kept (orders fact_order)", "depend"),
        ("CREATE VIEW kept AS SELECT f FROM fact_order AS f", "data type"),
        ("CREATE PUBLICATION kept FOR TABLE fact_order", "publications"),
        ("CREATE PUBLICATION kept FOR ALL TABLES WITH (publish = 'insert')", "replication"),
        ("CREATE STATISTICS kept ON order_id, product_id FROM fact_order", "statistics"),
        ("ALTER TABLE fact_order REPLICA IDENTITY FULL", "table"),
        ("ALTER TABLE fact_order ALTER amount SET STATISTICS 7", "columns"),
        ("REVOKE INSERT ON fact_order FROM CURRENT_USER", "privileges"),
        ("GRANT SELECT (amount) ON fact_order TO PUBLIC", "columns"),
        ("CREATE INDEX kept ON fact_order (amount); COMMENT ON INDEX kept IS 'ours'", "indexes"),
        ("ALTER TABLE fact_order CLUSTER ON fact_order_pkey", "indexes"),
        ("ALTER TABLE fact_order ADD EXCLUDE USING btree (order_id WITH =)", "constraints"),
        ("COMMENT ON CONSTRAINT fact_order_pkey ON fact_order IS 'ours'", "constraints"),
        ("COMMENT ON CONSTRAINT fact_order_product_id_fkey ON fact_order IS 'ours'", "constraints"),
        ("ALTER TABLE fact_order DISABLE TRIGGER ALL", "constraints"),
        ("ALTER TABLE fact_order DROP CONSTRAINT fact_order_pkey", "twice|each once|record numbers"),
    ],
)
def test_a_table_of_which_anything_would_be_lost_stays(empty, several, monkeypatch, before, why):
    """It is found before a row is copied, and load takes the way over one connection."""
    prepared(empty, before)
    copied = []
    monkeypatch.setattr(parallel_copy, "copy_rows", lambda *arguments: copied.append(arguments))
    known = empty.rows(IDENTITY)
    [way] = filled(empty, lake_of(orders(MANY)), several)
    assert way.startswith("one connection: ")
    assert any(part in way for part in why.split("|")), way
    assert copied == []
    assert empty.rows(IDENTITY) == known
    assert empty.rows("SELECT count(*), max(order_record) FROM fact_order") == [[7, 7]]


@pytest.mark.parametrize("enforced", [True, False])
def test_a_row_that_must_wait_leaves_no_copy(empty, several, enforced):
    drop = "" if enforced else "ALTER TABLE fact_order DROP CONSTRAINT fact_order_product_id_fkey"
    prepared(empty, drop)
    known = empty.rows(IDENTITY)
    lake = lake_of(orders(MANY, [1, 1, 1, 8, 1, 1, 1]))
    [way] = filled(empty, lake, several, DECLARED if enforced else REFERRING)
    assert way.startswith("one connection: ")
    assert empty.rows("SELECT count(*), max(order_record) FROM fact_order") == [[6, 6]]
    assert empty.rows("SELECT key FROM pipeline.pending_row") == [["1"]]
    assert (empty.rows(IDENTITY), empty.rows(LEFT)) == (known, [[0]])


def test_no_session_sees_a_row_before_the_ledger_does(empty, several, credentials, monkeypatch):
    """While it is copied, and when it is, the fact is empty to others; readers do not wait until the places change.

    Autovacuum must not look at the table meanwhile: it would have a lock of it when the keys are added.
    """
    prepared(empty)
    seen, original = [], parallel_copy.run_in_parallel

    def look(*arguments):
        with connect(credentials[1]) as reader:
            for query in ("SELECT count(*) FROM fact_order", "SELECT count(*) FROM pipeline.ledger"):
                seen.append(reader.rows(query)[0][0])
            options = "SELECT reloptions::text FROM pg_class WHERE relname LIKE 'filling%' AND relkind = 'r'"
            assert reader.rows(options) == [["{autovacuum_enabled=false}"]]
        return original(*arguments)

    monkeypatch.setattr(
        "lambda_toolkit.pipeline.lambdas.load.warehouse.parallel.parallel_filling.run_in_parallel", look
    )
    assert filled(empty, lake_of(orders(MANY)), several) == ["3 connections"]
    assert seen == [0, 0]
    assert empty.rows("SELECT reloptions FROM pg_class WHERE relname = 'fact_order'") == [[None]]


def test_a_reader_of_the_fact_is_not_stopped(empty, several, credentials):
    prepared(empty)
    with connect(credentials[1]) as reader, transaction(reader):
        assert reader.rows("SELECT count(*) FROM current_fact_order") == [[0]]
        [way] = filled(empty, lake_of(orders(MANY)), several)
        assert way.startswith("one connection: ") and "lock" in way
    assert empty.rows("SELECT count(*) FROM fact_order") == [[7]]


def test_rows_that_others_write_meanwhile_stay(empty, several, credentials, monkeypatch):
    """They are in the fact when the places would change."""
    prepared(empty, "INSERT INTO dim_product VALUES (8, 'eight')")
    original = replacement.Replacement.add_keys

    def written(self, connection):
        if connection.rows(LEFT)[0][0] > 1 and not done:  # not in the rehearsal
            done.append(1)
            with connect(credentials[1]) as other:
                other.run("INSERT INTO fact_order (order_record, order_id, product_id) VALUES (70, 70, 8)")
        return original(self, connection)

    done = []
    monkeypatch.setattr(replacement.Replacement, "add_keys", written)
    calls = filled(empty, lake_of(orders(MANY)), several)
    assert calls == ["one connection: another session has written to it"]
    assert empty.rows("SELECT count(*), max(order_record) FROM fact_order") == [[8, 77]]


def test_a_grant_meanwhile_is_not_lost(empty, several, credentials, monkeypatch):
    prepared(empty)
    original = replacement.Replacement.check_rows

    def granted(self, connection, rows):
        if rows:
            with connect(credentials[1]) as other:
                other.run("GRANT SELECT ON fact_order TO PUBLIC")
        return original(self, connection, rows)

    monkeypatch.setattr(replacement.Replacement, "check_rows", granted)
    assert filled(empty, lake_of(orders(MANY)), several) == ["3 connections"]
    assert empty.rows("SELECT relacl::text LIKE '%,=r/%' FROM pg_class WHERE relname = 'fact_order'") == [[True]]


def test_a_trigger_meanwhile_is_not_lost(empty, several, credentials, monkeypatch):
    """It was not there when load looked whether the table is plain; and then it fires for each row."""
    prepared(empty)
    empty.run("CREATE TABLE audit (id integer)")
    empty.run(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (NEW.order_id);"
        " RETURN NULL; END $$"
    )
    original = replacement.Replacement.check_rows

    def added(self, connection, rows):
        if rows:
            with connect(credentials[1]) as other:
                other.run("SET lock_timeout = '5s'")
                other.run("CREATE TRIGGER noted AFTER INSERT ON fact_order FOR EACH ROW EXECUTE FUNCTION note()")
        return original(self, connection, rows)

    monkeypatch.setattr(replacement.Replacement, "check_rows", added)
    assert filled(empty, lake_of(orders(MANY)), several) == ["one connection: its triggers cannot be kept"]
    assert empty.rows("SELECT count(*) FROM audit") == [[7]]


def test_a_grant_that_would_be_lost_fails(empty, several, credentials, monkeypatch):
    """Once load has read the privileges, others must not change those of the table that is to be dropped."""
    prepared(empty)
    original, failed = replacement.Replacement._give_details, []

    def granting(self, *arguments):
        with connect(credentials[1]) as other:
            other.run("SET statement_timeout = '300ms'")
            try:
                other.run("GRANT SELECT ON fact_order TO PUBLIC")
            except DatabaseError as error:
                failed.append(error)
        return original(self, *arguments)

    monkeypatch.setattr(replacement.Replacement, "_give_details", granting)
    assert filled(empty, lake_of(orders(MANY)), several) == ["3 connections"]
    assert len(failed) == 4  # of the table and its sequence, in the rehearsal and then
    assert empty.rows("SELECT relacl FROM pg_class WHERE relname = 'fact_order'") == [[None]]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_connection_that_is_lost_costs_nothing_but_time(empty, several, monkeypatch, which):
    prepared(empty)
    opened, original = [], parallel_copy.copy_rows

    def lost(connection, to, columns, tables):
        opened.append(connection)
        if len(opened) == which + 1:
            next(tables)
            connection._usock.close()
            raise InterfaceError("network error")
        return original(connection, to, columns, tables)

    monkeypatch.setattr(parallel_copy, "copy_rows", lost)
    lake = lake_of(orders(list(range(1, 200))))
    assert filled(empty, lake, several) == ["one connection: a connection failed: network error"]
    assert empty.rows("SELECT count(*), max(order_record) FROM fact_order") == [[199, 199]]


def test_a_lost_part_is_noticed_before_the_places_change(empty, several, monkeypatch):
    """Whatever the reason: the rows are counted again in the transaction."""
    prepared(empty)
    original = parallel_copy.copy_rows

    def fewer(connection, to, columns, tables):
        return original(connection, to, columns, (part.slice(1) for part in tables))

    monkeypatch.setattr(parallel_copy, "copy_rows", fewer)
    assert filled(empty, lake_of(orders(MANY)), several) == ["one connection: not all of the 7 rows are there"]
    assert empty.rows("SELECT count(*), max(order_record) FROM fact_order") == [[7, 7]]


def test_an_error_of_the_lake_ends_all_copies(empty, credentials):
    """No connection commits what it was given, and none waits for more."""
    empty.run("CREATE TABLE plain (a integer)")

    def rows():
        yield pa.table({"a": pa.array(range(50), pa.int32())})
        raise OSError("the lake is lost")

    connections = [connect(credentials[1]) for _ in range(3)]
    with pytest.raises(OSError, match="the lake is lost"):
        copy_in_parallel(connections, sql.table("plain"), ("a",), rows())
    assert empty.rows("SELECT count(*) FROM plain") == [[0]]


@pytest.mark.parametrize(
    "limit", ["ALTER DATABASE {} CONNECTION LIMIT 5", "ALTER ROLE CURRENT_USER CONNECTION LIMIT 0"]
)
def test_connections_are_bounded_by_those_left(empty, several, credentials, limit):
    """No more than half of what is left: others may need a connection, too."""
    database = credentials[1].database
    prepared(empty, limit.format(database))
    try:
        [way] = filled(empty, lake_of(orders(MANY)), several)
        assert way in ("2 connections", "one connection: the server has no connections left")
        assert ("ROLE" in limit) == way.startswith("one")
        assert empty.rows("SELECT count(*) FROM fact_order") == [[7]]
    finally:
        empty.run("ALTER ROLE CURRENT_USER CONNECTION LIMIT -1")


def test_what_a_killed_load_left_is_dropped(empty, several, credentials):
    """By the next one, whichever way it takes; unless a session uses it, and nothing that has another name."""
    prepared(empty)
    name = f"filling_{'0' * 16}"
    others = ["pipeline.filling_of_others", f"pipeline.{name}_more", f"public.{name}"]
    empty.run("; ".join(f"CREATE TABLE {table} (a int)" for table in (f"pipeline.{name}", *others)))
    with connect(credentials[1]) as other, transaction(other):
        other.run(f"LOCK TABLE pipeline.{name}")
        filled(empty, lake_of(orders([1])), None)
        assert empty.rows(LEFT) == [[4]]
    filled(empty, lake_of(orders([1])), None)
    left = "SELECT relnamespace::regnamespace || '.' || relname FROM pg_class WHERE relname LIKE 'filling%'"
    assert sorted(row[0] for row in empty.rows(left)) == sorted(others)


def test_few_rows_and_filled_facts_take_the_usual_way(empty, several):
    prepared(empty)
    assert filled(empty, lake_of(orders([1, 2]), orders([3, 4, 5, 6])), several) == []
