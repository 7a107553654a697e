"""pg8000's connection, with COPY in bulk.

For speed it uses names of pg8000 that are not its public interface (``PRIVATE_NAMES``), which another release may
change: the requirement is limited to ``<2``, and a test checks that the installed release has them.
"""

from __future__ import annotations

import functools
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any

import pg8000.native

PRIVATE_NAMES = ("_usock", "_sock", "_context", "execute_unnamed", "handle_COPY_DATA")

_parsed = functools.lru_cache(maxsize=1024)(pg8000.native.to_statement)

Sink = Callable[[bytes], object]

BUFFER = 256 * 1024  # bytes of the socket's read buffer

_COPY_DATA = ord("d")  # the type of a message that carries a row of a copy
_HEADER = 5  # bytes: a message's type, and its length, in which the type is not counted
_length_at = struct.Struct("!I").unpack_from


class Connection(pg8000.native.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A connection that copies to a function and from an iterable."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A copy ends with small packets. Were each to wait for the server's delayed acknowledgement of the one before,
        # as TCP does by default, every copy would take 40 ms longer.
        self._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The server sends nothing before the first statement: the buffer that this replaces is empty.
        self._sock = self._usock.makefile("rwb", buffering=BUFFER)

    def run(self, sql: str, stream: Any = None, types: None = None, **params: Any) -> Any:
        """As pg8000's, but parses a statement once: pg8000 parses it, character by character, each time it runs."""
        if types is not None or (stream is None and not params):
            return super().run(sql, stream, types, **params)
        statement, values = _parsed(str(sql))
        self._context = self.execute_unnamed(statement, values(params), oids=(), stream=stream)
        return self._context.rows

    def set_timeout(self, seconds: float | None) -> None:
        """Sets the seconds that one response of the server may take; None: no limit."""
        self._usock.settimeout(seconds)

    def copy_out(self, statement: str, sink: Sink) -> None:
        """Runs ``COPY ... TO STDOUT``; calls ``sink`` with the bytes of one or more complete rows."""
        self.run(statement, stream=_Writer(sink))

    def copy_in(self, statement: str, chunks: Iterable[bytes]) -> int:
        """Runs ``COPY ... FROM STDIN`` with the bytes of ``chunks``; returns the number of rows copied.

        When ``chunks`` raises, the connection is left inside the copy and must be closed.
        """
        self.run(statement, stream=chunks)
        return int(self.row_count)

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        """The rows that ``statement`` returns."""
        return list(self.run(statement, **parameters) or ())

    def handle_COPY_DATA(self, data: bytes, context: Any) -> None:  # noqa: N802  # pg8000's name
        """Passes on a row that pg8000 has read, with all complete rows in the read buffer.

        The server sends a message per row, and pg8000 spends two reads and a dispatch on each. Peeking
        into the buffer finds the complete messages; pg8000 reads the rest.
        """
        rows, taken = whole_rows(self._sock.peek())
        self._sock.read(taken)
        context.stream_write(b"".join((data, *rows)))


def whole_rows(buffered: bytes) -> tuple[list[bytes], int]:
    """The rows in the complete messages at the beginning of ``buffered``, and the number of bytes of those messages."""
    rows = []
    position, last = 0, len(buffered) - _HEADER
    while position <= last and buffered[position] == _COPY_DATA:
        end = position + 1 + _length_at(buffered, position + 1)[0]
        if end > len(buffered):
            break
        rows.append(buffered[position + _HEADER : end])
        position = end
    return rows, position


class _Writer:
    """A stream as pg8000 requires it: an object with ``write``."""

    def __init__(self, sink: Sink) -> None:
        self.write = sink
