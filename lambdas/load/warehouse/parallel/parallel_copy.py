"""Rows copied into one table over several connections, each in a transaction of its own; and statements side by side.

The rows are read once, in order, and each connection takes the next ones when it is ready for them: so each row is
copied by one of them. Where one fails, the table has not all rows, and is of no use.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import pyarrow as pa
from pg8000.exceptions import DatabaseError, InterfaceError

from ....shared.errors import ConnectionFailedError
from ....shared.postgres import sql
from ....shared.postgres.connection import Connection
from ....shared.postgres.free_connections import free_connections
from ....shared.postgres.server_errors import message
from ..binary.copying import copy_rows

PART_ROWS = 16 * 1024  # which a connection takes at a time: about a megabyte
_WAITING = 2  # parts for each connection that are read before one is ready for them
_POLL = 0.5  # seconds


@dataclass(frozen=True)
class Connections:
    """How further connections to the warehouse are opened, and how many there may be."""

    open: Callable[[], Connection]
    most: int


class CopyFailedError(Exception):
    """A connection failed, or there are too few: the table has not all rows. The message is for the log."""


@contextmanager
def opened(connections: Connections, first: Connection) -> Iterator[list[Connection]]:
    """At least two connections beside ``first``, to the same server. Raises CopyFailedError where these are too many.

    They are no more than a half of those that the server has left, so that others find some.
    """
    count = min(connections.most, free_connections(first) // 2)
    with ExitStack() as stack:
        found: list[Connection] = []
        with suppress(ConnectionFailedError):
            while len(found) < count:
                connection = connections.open()
                stack.callback(_close, connection)
                found.append(connection)
        if len(found) < 2:
            raise CopyFailedError("the server has no connections left")
        yield found


def copy_in_parallel(
    connections: Sequence[Connection], to: sql.Fragment, columns: tuple[str, ...], tables: Iterable[pa.Table]
) -> int:
    """Copies these columns of ``tables`` into the table ``to`` over all connections; returns how many rows.

    Raises CopyFailedError where one of them fails, and what ``tables`` raises: then the connections must be closed.
    """
    parts: queue.Queue[pa.Table | None] = queue.Queue(_WAITING * len(connections))
    stopped = threading.Event()

    def taken() -> Iterator[pa.Table]:
        while (part := parts.get()) is not None:
            yield part
        if stopped.is_set():
            raise CopyFailedError("it was given up")  # inside COPY: the transaction must not be committed

    def copy(connection: Connection) -> int:
        try:
            connection.run("BEGIN")
            copied = copy_rows(connection, to, columns, taken())
            connection.run("COMMIT")
        except BaseException:
            _close(connection)  # inside COPY the server would take a ROLLBACK for rows
            raise
        return copied

    with ThreadPoolExecutor(len(connections), thread_name_prefix="copy") as pool:
        copies = [pool.submit(copy, connection) for connection in connections]
        try:
            for part in _parts(tables):
                _put(parts, part, copies)
            for _ in connections:
                _put(parts, None, copies)
        except BaseException:
            stopped.set()
            _end(parts, len(connections))
            raise
        return sum(_result(copied) for copied in copies)


def run_in_parallel(connections: Sequence[Connection], statements: Sequence[str]) -> None:
    """Runs the statements, each over the next free connection. Raises CopyFailedError where one fails."""
    free: queue.SimpleQueue[Connection] = queue.SimpleQueue()
    for connection in connections:
        free.put(connection)

    def run(statement: str) -> int:
        connection = free.get()
        try:
            connection.run(statement)
        finally:
            free.put(connection)
        return 0

    with ThreadPoolExecutor(len(connections), thread_name_prefix="index") as pool:
        for done in [pool.submit(run, statement) for statement in statements]:
            _result(done)


def _parts(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        for first in range(0, table.num_rows, PART_ROWS):
            yield table.slice(first, PART_ROWS)


def _put(parts: queue.Queue[pa.Table | None], part: pa.Table | None, copies: Sequence[Future[int]]) -> None:
    """Adds a part when there is room. Raises what a copy raised that has ended: it takes no more."""
    while True:
        for copied in copies:
            if copied.done() and copied.exception() is not None:
                _result(copied)
        if all(copied.done() for copied in copies):
            if part is None:
                return
            raise CopyFailedError("the copies ended before the rows did")
        with suppress(queue.Full):
            parts.put(part, timeout=_POLL)
            return


def _end(parts: queue.Queue[pa.Table | None], readers: int) -> None:
    """Every connection that waits for a part learns that there is none."""
    with suppress(queue.Empty):
        while True:
            parts.get_nowait()
    for _ in range(readers):
        with suppress(queue.Full):
            parts.put_nowait(None)


def _result(done: Future[int]) -> int:
    try:
        return done.result()
    except DatabaseError as error:
        raise CopyFailedError(f"a connection failed: {message(error)}") from error
    except (InterfaceError, OSError) as error:
        raise CopyFailedError(f"a connection failed: {error}") from error


def _close(connection: Connection) -> None:
    with suppress(InterfaceError, OSError):  # it may be inside a copy
        connection.close()
