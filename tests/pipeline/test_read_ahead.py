"""Load reads the lake before its transaction begins: a row that waited for long does not stop the line."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.replay import replay
from lambda_toolkit.pipeline.lambdas.load.warehouse import read_ahead
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect, connected
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.sample_star import DECLARED, SCHEMA, Batch, Row, expected, found, repaired, write
from tests.support.written_lake import WrittenLake

BETWEEN = 20  # batches from the one whose row waits to the one that has what it waits for
IN_TRANSACTION = b"T"


class Watched:
    """An S3 client that counts requests by operation, calls ``before`` with each key that is read, and may be slow.

    It refuses to answer while ``connection`` is in a transaction.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.exceptions = client.exceptions
        self.connection: Any = None
        self.read: list[str] = []
        self.listed = 0
        self.seconds = 0.0
        self.before: Any = lambda key: None

    def get_object(self, **request: Any) -> Any:
        self._check(request["Key"])
        self.read.append(request["Key"])
        self.before(request["Key"])
        return self._client.get_object(**request)

    def list_objects_v2(self, **request: Any) -> Any:
        self._check(request["Prefix"])
        self.listed += 1
        return self._client.list_objects_v2(**request)

    def put_object(self, **request: Any) -> Any:
        return self._client.put_object(**request)

    def _check(self, key: str) -> None:
        status = getattr(self.connection, "_transaction_status", None)
        assert status != IN_TRANSACTION, f"{key} is read in a transaction"
        time.sleep(self.seconds)


@pytest.fixture
def lake():
    lake = WrittenLake()
    lake._client = Watched(lake._client)
    return lake


@pytest.fixture
def warehouse(credentials, empty):
    prepare(empty, SCHEMA, DECLARED)
    return credentials[1]


def waiting(lake, between=BETWEEN, orders_in=()):
    """A lake: an order that waits for product 7, ``between`` batches of others, and product 7; batches as a list."""
    history = [Batch({1: Row((1, 7)), 2: Row((1, 1))}, {1: Row("one")})]
    for number in range(2, between + 2):
        orders = {2: Row((number, 1))} if number in orders_in else {}
        history.append(Batch(orders, {2: Row(f"two {number}")}))
    history.append(Batch({2: Row((9, 1))}, {7: Row("seven")}))
    for number, batch in enumerate(history, 1):
        write(lake, number, batch)
    return history


def loaded(warehouse, lake, *settings):
    """What a load in a new session does, and what the warehouse has then."""
    with connected(warehouse) as connection:
        lake._client.connection = connection
        for setting in settings:
            connection.run(setting)
        done = load(PostgresWarehouse(connection), lake, DECLARED)
        lake._client.connection = None
        return done, found(connection)


def test_row_that_waited_long_is_written_over_a_slow_lake(warehouse, lake):
    """Neither an open transaction nor an idle session waits for S3, however many batches are read again."""
    history = waiting(lake, orders_in=range(2, BETWEEN))
    with connected(warehouse) as connection:
        load(PostgresWarehouse(connection), lake, DECLARED, has_time_for_next=upto(len(history) - 1))
    lake._client.seconds = 0.25
    done, state = loaded(warehouse, lake, "SET idle_in_transaction_session_timeout = '500ms'")
    assert (done.loaded, done.appended) == ([len(history)], {"dim_product": 1, "fact_order": 2})
    assert state == expected(history)


def upto(batches):
    """Time for this many batches."""
    left = [batches]

    def has_time_for_next():
        left[0] -= 1
        return left[0] >= 0

    return has_time_for_next


def test_only_batches_that_wrote_the_table_are_read(warehouse, lake):
    """Requests of a load that writes a row that waited: two per batch that has files of its table, and a few more."""
    history = waiting(lake, between=20, orders_in=(5, 16))
    with connected(warehouse) as connection:
        load(PostgresWarehouse(connection), lake, DECLARED, has_time_for_next=upto(len(history) - 1))
    lake._client.read.clear()
    lake._client.listed = 0
    done, state = loaded(warehouse, lake)
    assert state == expected(history)
    # Manifests: of the last batch loaded, of the batch, and of 1, 5 and 16; files: two of the batch, and three.
    assert len(lake._client.read) == 5 + 5
    assert lake._client.listed == 3  # the batches after the last, the revisions of the batch, all revisions
    assert done.loaded == [len(history)]


def test_files_that_only_a_later_revision_has_are_read(warehouse, lake):
    """The ledger does not have a table that a batch got with a revision that is not applied yet: the lake does."""
    history = waiting(lake, between=3)
    rejected = Batch({1: Row((5, 7), rejected=True)}, {2: Row("two")})
    history[2] = repaired(rejected)
    lake = WrittenLake()
    lake._client = Watched(lake._client)
    for number, batch in enumerate(history[:-1], 1):
        write(lake, number, rejected if number == 3 else batch)
    loaded(warehouse, lake)
    write(lake, 3, history[2], revision=2)
    write(lake, len(history), history[-1])
    with connected(warehouse) as connection:
        load(PostgresWarehouse(connection), lake, DECLARED)
        replay(PostgresWarehouse(connection), lake, DECLARED, [3])
        assert found(connection) == expected(history)


@pytest.mark.parametrize("at", [1, 4, 9, 10])
def test_load_that_dies_while_it_reads_leaves_nothing(warehouse, lake, at):
    """Before the transaction, and between an attempt and the next: the next load does all of it."""
    history = waiting(lake, between=4, orders_in=(3, 4))
    with connected(warehouse) as connection:
        load(PostgresWarehouse(connection), lake, DECLARED, has_time_for_next=upto(len(history) - 1))
    lake._client.read.clear()

    def die(key):
        if len(lake._client.read) == at:
            raise OSError("the process has died")

    lake._client.before = die
    with pytest.raises(OSError, match="died"):
        loaded(warehouse, lake)
    with connected(warehouse) as connection:
        assert found(connection) == expected(history[:-1])
    lake._client.before = lambda key: None
    assert loaded(warehouse, lake)[1] == expected(history)


def test_load_that_moved_on_meanwhile_is_noticed(warehouse, lake):
    """Another load commits the batch while this one reads, as behind a pooler that shares sessions: nothing twice."""
    history = waiting(lake, between=4)
    with connected(warehouse) as connection:
        load(PostgresWarehouse(connection), lake, DECLARED, has_time_for_next=upto(len(history) - 1))
    for again in (None, [2]):
        with connected(warehouse) as slow, connect(warehouse) as quick:

            def overtake(key, slow=slow, quick=quick, again=again):
                lake._client.before = lambda key: None
                slow.run("SELECT pg_advisory_unlock_all()")
                number = len(history) + 1
                if again:
                    history.append(Batch({2: Row((11, 1))}))
                    write(lake, number, history[-1])
                load(PostgresWarehouse(quick), lake, DECLARED)

            lake._client.before = lambda key: overtake(key) if key.startswith("data/") else None
            with pytest.raises(WarehouseError, match="Another session writes to the warehouse"):
                if again is None:
                    load(PostgresWarehouse(slow), lake, DECLARED)
                else:
                    replay(PostgresWarehouse(slow), lake, DECLARED, again)
            assert found(quick) == expected(history)


def test_writer_in_its_transaction_is_not_overtaken(warehouse, lake):
    """The lock is acquired in the transaction too: who lost the session's lock waits for the next run."""
    write(lake, 1, Batch({}, {1: Row("one")}))
    with connected(warehouse) as slow, connect(warehouse) as other:

        def lose(key):
            slow.run("SELECT pg_advisory_unlock_all()")
            assert PostgresWarehouse(other).acquire_lock()

        lake._client.before = lambda key: lose(key) if key.startswith("data/") else None
        with pytest.raises(WarehouseError, match="Another session writes to the warehouse"):
            load(PostgresWarehouse(slow), lake, DECLARED)
        assert found(slow) == expected([])


def test_files_beyond_the_limit_are_streamed(warehouse, lake, monkeypatch):
    """What is larger than /tmp can hold is read while it is copied, as rows: the result is the same."""
    monkeypatch.setattr(read_ahead, "AHEAD", 1)
    history = waiting(lake, between=3, orders_in=(3,))
    with connected(warehouse) as connection:
        load(PostgresWarehouse(connection), lake, DECLARED)
        assert found(connection) == expected(history)


def test_sessions_are_not_ended_while_they_read(warehouse):
    """A server whose settings end idle sessions does not end one of the pipeline while it reads the lake."""
    with connected(warehouse) as connection:
        user = connection.rows("SELECT current_user")[0][0]
        connection.run(f"ALTER ROLE {user} SET idle_session_timeout = '200ms'")
    try:
        with connected(warehouse) as connection:
            time.sleep(0.6)
            assert connection.rows("SELECT 1") == [[1]]
    finally:
        with connected(warehouse) as connection:
            connection.run(f"ALTER ROLE {user} RESET idle_session_timeout")
