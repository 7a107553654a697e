"""Readers of ranges as threads of this process, each with a connection of its own; and those that fail."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pg8000.exceptions import InterfaceError

from lambda_toolkit.pipeline.lambdas.extract.readers.fan_out import FanOut
from lambda_toolkit.pipeline.lambdas.extract.readers.reading import read_range
from lambda_toolkit.pipeline.lambdas.extract.row_set import StoredBetween
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.messages.read_events import ReadRequest, ReadResult
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection


class ThreadReaders:
    """Reads with connections that are used again. What travels between functions on AWS travels as JSON here, too."""

    def __init__(self, connect: Callable[[], Connection], declarations: Declarations) -> None:
        self._connect, self.declarations = connect, declarations
        self.lake: Lake
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._opened: list[Connection] = []
        self._lock = threading.Condition()
        self._reading = 0
        self.requests: list[ReadRequest] = []

    def read(self, request: ReadRequest) -> ReadResult:
        """As Readers has it."""
        with self._lock:
            self.requests.append(request)
            self._reading += 1
        try:
            return self._read(request)
        finally:
            with self._lock:
                self._reading -= 1
                self._lock.notify_all()

    def _read(self, request: ReadRequest) -> ReadResult:
        event = request.to_json()
        asked = ReadRequest.from_json({key: value for key, value in event.items() if key != "action"})
        with self._connection() as connection:
            found = read_range(PostgresSource(connection), self.lake, self.declarations, asked)
        return ReadResult.from_json(found.to_json())

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._connect()
            self._opened.append(connection)
        try:
            yield connection
        except BaseException:
            with contextlib.suppress(InterfaceError, OSError):
                connection.close()
            raise
        self._idle.put(connection)

    def wait(self) -> None:
        """Waits until none of them reads."""
        with self._lock:
            self._lock.wait_for(lambda: not self._reading, 60)

    def close(self) -> None:
        """Ends its sessions."""
        for connection in self._opened:
            with contextlib.suppress(InterfaceError, OSError):
                connection.close()
        self._opened.clear()
        self._idle = queue.SimpleQueue()


class ChangedReaders:
    """Readers whose ``read`` a test replaces: by a function of the request and of what would read it."""

    def __init__(
        self, readers: ThreadReaders, read: Callable[[ReadRequest, Callable[[ReadRequest], ReadResult]], ReadResult]
    ) -> None:
        self._readers, self._read = readers, read

    def read(self, request: ReadRequest) -> ReadResult:
        """As Readers has it."""
        return self._read(request, self._readers.read)


def quick(readers: ThreadReaders | ChangedReaders, **changed: object) -> FanOut:
    """A fan-out of at most four readers that does not wait between two tries."""
    return FanOut(readers, **{"most": 4, "pause": 0.0, "heartbeat": 0.05, "seconds": 300.0, **changed})  # type: ignore[arg-type]


def ranges_of_two(snapshot: Any, table: TableInfo, rows: int, count: int) -> list[StoredBetween]:
    """In place of ``PostgresSnapshot.ranges``: two rows in each, wherever in their page they are."""
    query = sql.compose("SELECT DISTINCT t.ctid FROM $table AS t ORDER BY t.ctid", table=table.sql_name)
    places = [row[0] for row in snapshot._connection.rows(query)]
    return [StoredBetween(*pair) for pair in itertools.pairwise([None, *places[2::2], None])]
