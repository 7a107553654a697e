"""Rows copied over several connections: each by one of them, and none is committed where any of them fails."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from lambda_toolkit.pipeline.lambdas.load.warehouse.parallel import parallel_copy
from lambda_toolkit.pipeline.lambdas.load.warehouse.parallel.parallel_copy import (
    Connections,
    CopyFailedError,
    copy_in_parallel,
    opened,
    run_in_parallel,
)
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql

ERRORS = [
    (DatabaseError({"M": "refused", "C": "23505"}), "a connection failed: refused"),
    (InterfaceError("network error"), "a connection failed: network error"),
    (OSError("no route"), "a connection failed: no route"),
]


class Session:
    """A connection that notes what it runs."""

    def __init__(self, failing: Exception | None = None) -> None:
        self.ran: list[str] = []
        self.copied: list[int] = []
        self.failing, self.is_closed, self.is_busy = failing, False, False

    def run(self, statement: str) -> None:
        assert not self.is_busy
        self.is_busy = True
        self.ran.append(statement)
        self.is_busy = False
        if self.failing and statement not in ("BEGIN", "COMMIT"):
            raise self.failing

    def close(self) -> None:
        self.is_closed = True
        raise InterfaceError("connection is closed")


@pytest.fixture(autouse=True)
def copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """COPY takes two rows at a time, and notes them."""

    def copied(connection: Session, to: Any, columns: tuple[str, ...], tables: Iterable[pa.Table]) -> int:
        for part in tables:
            assert len(part) <= 2
            connection.copied += part["a"].to_pylist()
            if connection.failing:
                raise connection.failing
        return len(connection.copied)

    monkeypatch.setattr(parallel_copy, "copy_rows", copied)
    monkeypatch.setattr(parallel_copy, "PART_ROWS", 2)
    monkeypatch.setattr(parallel_copy, "_POLL", 0.01)


def tables(*counts: int, then: Exception | None = None) -> Iterator[pa.Table]:
    first = 0
    for count in counts:
        yield pa.table({"a": list(range(first, first + count))})
        first += count
    if then:
        raise then


def copied_by(sessions: list[Session], rows: Iterable[pa.Table]) -> int:
    return copy_in_parallel(sessions, sql.table("t"), ("a",), rows)  # type: ignore[arg-type]


@pytest.mark.parametrize("counts", [(), (1,), (5, 0, 4), (100,)])
def test_each_row_is_copied_once_and_committed(counts: tuple[int, ...]) -> None:
    sessions = [Session(), Session(), Session()]
    assert copied_by(sessions, tables(*counts)) == sum(counts)
    assert sorted(row for session in sessions for row in session.copied) == list(range(sum(counts)))
    assert [session.ran for session in sessions] == [["BEGIN", "COMMIT"]] * 3
    assert not any(session.is_closed for session in sessions)


def test_nothing_is_committed_where_the_rows_end_too_soon() -> None:
    sessions = [Session(), Session()]
    with pytest.raises(OSError, match="the lake is lost"):
        copied_by(sessions, tables(5, 60, then=OSError("the lake is lost")))
    assert [session.ran for session in sessions] == [["BEGIN"]] * 2
    assert all(session.is_closed for session in sessions)


@pytest.mark.parametrize(("error", "message"), ERRORS)
def test_copy_that_fails_says_why(error: Exception, message: str) -> None:
    """Whether rows are left for it to take, or none is."""
    for count in (500, 1):
        sessions = [Session(error), Session(error)]
        with pytest.raises(CopyFailedError, match=message):
            copied_by(sessions, tables(count))
        assert all("COMMIT" not in session.ran for session in sessions if session.copied)
        assert all(session.is_closed for session in sessions if session.copied)


def test_error_of_another_kind_is_raised_as_it_is() -> None:
    with pytest.raises(KeyError):
        copied_by([Session(KeyError("a")), Session(KeyError("a"))], tables(500))
    with pytest.raises(KeyError):
        run_in_parallel([Session(KeyError("a"))], ["one"])  # type: ignore[list-item]


def test_copies_that_end_before_the_rows_do_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_copy, "copy_rows", lambda *_: 0)
    with pytest.raises(CopyFailedError, match="the copies ended before the rows did"):
        copied_by([Session(), Session()], tables(500))


def test_each_statement_is_run_once_over_a_free_connection() -> None:
    sessions = [Session(), Session()]
    statements = [f"statement {number}" for number in range(9)]
    run_in_parallel(sessions, statements)  # type: ignore[arg-type]
    assert sorted(statement for session in sessions for statement in session.ran) == statements


def test_statements_are_run_side_by_side() -> None:
    barrier = threading.Barrier(2, timeout=5)

    class Waiting(Session):
        def run(self, statement: str) -> None:
            barrier.wait()
            super().run(statement)

    sessions = [Waiting(), Waiting()]
    run_in_parallel(sessions, ["one", "other", "third", "fourth"])  # type: ignore[arg-type]
    assert [len(session.ran) for session in sessions] == [2, 2]


@pytest.mark.parametrize(("error", "message"), ERRORS)
def test_statement_that_fails_says_why(error: Exception, message: str) -> None:
    with pytest.raises(CopyFailedError, match=message):
        run_in_parallel([Session(), Session(error)], ["one"] * 40)  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("most", "free", "there", "found"),
    [
        *((3, 100, 9, 3), (3, 7, 9, 3), (3, 5, 9, 2), (3, 4, 9, 2), (9, 100, 2, 2)),
        *((3, 3, 9, 0), (1, 100, 9, 0), (3, 100, 1, 0), (3, 100, 0, 0), (3, 0, 9, 0)),
    ],
)
def test_connections_are_at_least_two_and_half_of_those_left(
    monkeypatch: pytest.MonkeyPatch, most: int, free: int, there: int, found: int
) -> None:
    """All are closed at the end, also where they were too few."""
    monkeypatch.setattr(parallel_copy, "free_connections", lambda _: free)
    sessions: list[Session] = []

    def another() -> Any:
        if len(sessions) == there:
            raise ConnectionFailedError("no more")
        sessions.append(Session())
        return sessions[-1]

    if found:
        with opened(Connections(another, most), Session()) as several:  # type: ignore[arg-type]
            assert several == sessions
            assert not any(session.is_closed for session in sessions)
        assert len(sessions) == found
    else:
        with pytest.raises(CopyFailedError, match="no connections left"), opened(Connections(another, most), Session()):  # type: ignore[arg-type]
            pass
    assert all(session.is_closed for session in sessions)
