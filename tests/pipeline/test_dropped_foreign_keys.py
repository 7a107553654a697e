"""Foreign keys that are dropped while many rows are written: those that can be added again as they were."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.references import foreign_keys
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from tests.support.databases import empty_database

SCHEMA = """
    CREATE TABLE dims (id integer PRIMARY KEY); INSERT INTO dims VALUES (1), (2);
    CREATE TABLE fact_order (record bigint PRIMARY KEY, a integer CONSTRAINT zebra REFERENCES dims,
        b integer CONSTRAINT "Ape" REFERENCES dims ON DELETE CASCADE, c integer CONSTRAINT noted REFERENCES dims,
        d integer CHECK (d > 0), UNIQUE (a, b));
    CREATE TABLE others (a integer CONSTRAINT of_others REFERENCES dims);
    COMMENT ON CONSTRAINT noted ON fact_order IS 'ours';
    ALTER TABLE fact_order ADD CONSTRAINT unchecked FOREIGN KEY (d) REFERENCES dims NOT VALID
"""
KEYS = """
    SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid IN ('fact_order'::regclass, 'others'::regclass) AND contype = 'f'
"""
SHORTER = """
    SELECT interval '0' < current_setting('lock_timeout')::interval
        AND current_setting('lock_timeout')::interval < current_setting('deadlock_timeout')::interval
"""
FACTS = LIVE.table("fact_order")


@pytest.fixture(scope="module")
def database(postgres_server: Any) -> Iterator[Connection]:
    with empty_database(postgres_server, "dropped_foreign_keys") as connection:
        yield connection


@pytest.fixture
def connection(database: Connection) -> Iterator[Connection]:
    """A transaction that is rolled back."""
    database.run("BEGIN")
    database.run(SCHEMA)
    yield database
    database.run("ROLLBACK")


def keys(connection: Connection) -> dict[str, str]:
    return dict(connection.rows(KEYS))


def test_foreign_keys_are_added_as_they_were(connection: Connection) -> None:
    before = keys(connection)
    added = foreign_keys.drop(connection, FACTS)
    assert before.keys() - keys(connection).keys() == {"zebra", "Ape"}
    assert [statement.split(" FOREIGN KEY ")[0] for statement in added] == [
        'ALTER TABLE fact_order ADD CONSTRAINT "Ape"',
        "ALTER TABLE fact_order ADD CONSTRAINT zebra",
    ]
    for statement in added:
        connection.run(statement)
    assert keys(connection) == before
    connection.run('ALTER TABLE fact_order DROP CONSTRAINT zebra, DROP CONSTRAINT "Ape"')
    assert foreign_keys.drop(connection, FACTS) == []


def test_foreign_key_of_a_partitioned_table_stays(connection: Connection) -> None:
    connection.run(
        "CREATE TABLE whole (record bigint, a integer CONSTRAINT of_whole REFERENCES dims) PARTITION BY RANGE (record);"
        "CREATE TABLE part PARTITION OF whole DEFAULT"
    )
    assert foreign_keys.drop(connection, LIVE.table("part")) == []
    assert len(foreign_keys.drop(connection, LIVE.table("whole"))) == 1


def test_foreign_key_that_may_not_be_added_again_stays(connection: Connection) -> None:
    """The owner of the fact needs a right on the table that it refers to."""
    connection.run("CREATE ROLE clerk; GRANT ALL ON SCHEMA public TO clerk; ALTER TABLE fact_order OWNER TO clerk")
    connection.run("SET LOCAL ROLE clerk")
    assert foreign_keys.drop(connection, FACTS) == []
    connection.run("RESET ROLE; GRANT REFERENCES ON dims TO clerk; SET LOCAL ROLE clerk")
    assert len(foreign_keys.drop(connection, FACTS)) == 2


def test_what_cannot_be_dropped_leaves_the_transaction_as_it_was(connection: Connection) -> None:
    """Also what was done in it before, and how long it waits for locks."""
    connection.run("CREATE ROLE clerk; GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk; INSERT INTO dims VALUES (3)")
    before = keys(connection)
    connection.run("SET LOCAL lock_timeout = '7s'; SET LOCAL ROLE clerk")
    assert foreign_keys.drop(connection, FACTS) == []
    assert keys(connection) == before
    assert connection.rows("SELECT count(*), current_setting('lock_timeout') FROM dims") == [[3, "7s"]]


def test_locks_are_waited_for_a_moment(connection: Connection) -> None:
    """Shorter than it takes the server to look for a deadlock and cancel a reader; then as long as before."""
    connection.run("SET LOCAL lock_timeout = '7s'")
    with foreign_keys.short_waits(connection):
        assert connection.rows(SHORTER) == [[True]]
    assert connection.rows("SHOW lock_timeout") == [["7s"]]
    foreign_keys.lock_soon(connection, FACTS)
    modes = "SELECT mode FROM pg_locks WHERE relation = 'fact_order'::regclass AND pid = pg_backend_pid()"
    assert ["AccessExclusiveLock"] in connection.rows(modes)
    assert connection.rows("SHOW lock_timeout") == [["7s"]]


def test_known_rows_are_those_of_the_statistics(connection: Connection) -> None:
    assert foreign_keys.known_rows(connection, FACTS) == 0
    connection.run("ANALYZE dims; ANALYZE fact_order")
    assert foreign_keys.known_rows(connection, LIVE.table("dims")) == 2
    assert foreign_keys.known_rows(connection, FACTS) == 0
