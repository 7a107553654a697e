"""What one snapshot of PostgreSQL passes of a table: ranges, keys, hashes, related rows, and times of commits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from lambda_toolkit.pipeline.lambdas.extract.row_set import ALL, KeysIn, KeysUpTo
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.interface import ROW_HASH, RowCounts
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSnapshot, PostgresSource
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import UNREADABLE, own_field
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, connect

TABLE = """
CREATE TABLE priced (v text, k numeric(5, 2) PRIMARY KEY);
INSERT INTO priced VALUES ('c', 3), ('x', 'NaN'), ('a', -1), (NULL, 10), ('b', 2.5);
CREATE MATERIALIZED VIEW seen AS SELECT k, v FROM priced WHERE k < 99;
"""
PRICED, SEEN = SourceTable("priced", ("k",)), SourceTable("seen", ("k",), by_content=True)


@pytest.fixture
def admin(credentials) -> Iterator[Connection]:
    with connect(credentials[0]) as connection:
        connection.run(TABLE)
        yield connection


@pytest.fixture
def taken(admin: Connection) -> Iterator[tuple[PostgresSnapshot, TableInfo]]:
    with PostgresSource(admin).snapshot([PRICED]) as snapshot:
        yield snapshot, snapshot.describe([PRICED])["priced"]


def passed(method: Any, *arguments: Any, **named: Any) -> list[dict[str, Any]]:
    """The rows that a method passes to its consumer."""
    found: list[pa.Table] = []
    method(*arguments, consume=found.append, **named)
    return [row for part in found for row in part.to_pylist()]


def keys(rows: list[dict[str, Any]]) -> list[Decimal | None]:
    return [row["k"] for row in rows]


def numbers(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


def test_ranges_are_in_the_order_of_keys(taken) -> None:
    """Without the rows whose key the lake cannot represent, which are in no range."""
    snapshot, info = taken
    first = passed(snapshot.changed_range, info, ALL, None, limit=2)
    assert keys(first) == numbers("-1.00", "2.50")
    assert keys(passed(snapshot.changed_range, info, ALL, ("2.50",), limit=9)) == numbers("3.00", "10.00")
    assert keys(passed(snapshot.changed_range, info, KeysUpTo(("3",)), ("2.5",), limit=9)) == numbers("3.00")
    assert keys(passed(snapshot.keys, info, dense=False)) == numbers("-1.00", "2.50", "3.00", "10.00")
    assert snapshot.count({"priced": KeysUpTo(("2.5",))}) == {"priced": RowCounts(5, 2)}
    assert snapshot.count({"priced": KeysUpTo(("2.5",))}, ["priced"]) == {"priced": RowCounts(None, 2)}
    assert snapshot.count({}) == {}


def test_rows_are_passed_with_what_the_lake_cannot_represent(taken) -> None:
    """And related rows at most as many as were asked for."""
    snapshot, info = taken
    (row,) = [row for row in passed(snapshot.changed, info, ALL) if row["k"] is None]
    assert (row["v"], row[UNREADABLE]) == ("x", '{"k": "NaN"}')
    some = KeysIn((("3",), ("10",), ("2.5",)))
    assert sorted(keys(passed(snapshot.related, info, some))) == numbers("2.50", "3.00", "10.00")
    assert len(passed(snapshot.related, info, some, limit=2)) == 2
    assert len(passed(snapshot.related, info, some, limit=3)) == 3


def test_hash_of_a_row_is_that_of_its_text(admin: Connection) -> None:
    """Of SHA-256 the first 32 digits; rows come in the order of their keys. A materialized view cannot be locked."""
    with PostgresSource(admin).snapshot([SEEN]) as snapshot:
        found = passed(snapshot.row_hashes, snapshot.describe([SEEN])["seen"])
    texts = ["(-1.00,a)", "(2.50,b)", "(3.00,c)", "(10.00,)"]
    assert [row[ROW_HASH] for row in found] == [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
    assert [(row[own_field("_key_0")], row["k"], row["v"]) for row in found] == [
        (Decimal(key), Decimal(key), value) for key, value in (("-1", "a"), ("2.5", "b"), ("3", "c"), ("10", None))
    ]


def test_times_are_those_that_the_server_still_knows(admin: Connection) -> None:
    admin.run("UPDATE priced SET v = 'z' WHERE k = 3")
    (own,) = admin.rows("SELECT xmin::text::bigint FROM priced WHERE k = 3")[0]
    found = PostgresSource(admin).commit_times([3, own])
    assert found is not None and [type(time) for time in found] == [datetime], (
        "of the server's beginnings none is known"
    )
    assert PostgresSource(admin).commit_times([]) is None


@pytest.mark.parametrize(
    ("error", "is_raised"),
    [(DatabaseError({"C": "55000"}), False), (InterfaceError("network error"), False), (ValueError("a defect"), True)],
)
def test_times_of_commits_cost_no_batch(error: Exception, is_raised: bool) -> None:
    class Lost:
        """A connection whose statements end so."""

        def run(self, statement: str, **parameters: Any) -> None:
            raise error

        rows = run

    connection: Any = Lost()
    if is_raised:
        with pytest.raises(ValueError, match="a defect"):
            PostgresSource(connection).commit_times([5])
    else:
        assert PostgresSource(connection).commit_times([5]) is None
