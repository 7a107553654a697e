"""pg8000's connection, with what a bulk transfer needs of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pg8000.native

Sink = Callable[[bytes], object]


class Connection(pg8000.native.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A connection that copies to a function and from an iterable."""

    def set_timeout(self, seconds: float | None) -> None:
        """How long a single answer of the server may take from now on."""
        self._usock.settimeout(seconds)

    def copy_out(self, statement: str, sink: Sink) -> None:
        """Runs ``COPY ... TO STDOUT``; ``sink`` is called with one or more whole rows at a time."""
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


class _Writer:
    """The shape of stream that pg8000 wants."""

    def __init__(self, sink: Sink) -> None:
        self.write = sink
