"""The rows of a COPY, between a connection and the code that takes or gives them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator

Sink = Callable[[bytes], object]
_COPY_DATA = ord("d")  # the type of a message that carries a row of a copy
_HEADER = 5  # bytes: a message's type, and its length, in which the type is not counted
_header_at = struct.Struct("!BI").unpack_from


def whole_rows(buffered: bytes) -> tuple[list[bytes], int]:
    """The rows in the complete messages at the beginning of ``buffered``, and the number of bytes of those messages.

    What extract does for each row in Python is this loop alone, which is a fifth of its processor time: hence one call
    for a header, and no name that would be looked up each time.
    """
    rows: list[bytes] = []
    add, header_at = rows.append, _header_at
    position, size = 0, len(buffered)
    last = size - _HEADER
    while position <= last:
        kind, length = header_at(buffered, position)
        end = position + 1 + length
        if kind != _COPY_DATA or end > size:
            break
        add(buffered[position + _HEADER : end])
        position = end
    return rows, position


class Writer:
    """A stream as pg8000 requires it: an object with ``write``."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, rows: bytes) -> None:
        """Pass the rows on. Raises CallersError for an OSError of the sink."""
        try:
            self._sink(rows)
        except OSError as error:
            raise CallersError(error) from error


def given(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks. Raises CallersError for an OSError of whoever gives them."""
    try:
        yield from chunks
    except OSError as error:
        raise CallersError(error) from error


class CallersError(Exception):
    """An OSError of the code that takes or gives the rows of a COPY: not one of the connection."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error
