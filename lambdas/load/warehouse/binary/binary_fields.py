"""Fields of PostgreSQL's binary COPY format, and the rows that they make.

A field is the value as the ``_recv`` function of its type reads it, after its length in four bytes; a row is the number
of its fields, and the fields. Most of a row of numbers and dates is the same in all rows: it is repeated as one
constant, and only the bytes that differ are written into it.
https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

HEADER, TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
MAX_BYTES = 64 * 1024 * 1024  # of rows that are encoded together: Arrow's binary columns end at 2 GiB
_LENGTH = 4  # bytes of a field's length
_NULL = b"\xff\xff\xff\xff"  # the length of a NULL: -1, and no field follows


class UnencodableError(Exception):
    """A text has not the form in which PostgreSQL writes its type: the server shall read it itself."""


@dataclass(frozen=True)
class Part:
    """A big-endian integer in every row, at the byte ``at`` of the field."""

    at: int
    values: pa.Array
    """Signed integers of the width that is written, without NULLs."""


@dataclass(frozen=True)
class Fixed:
    """The fields of a column that all have one width: the bytes of ``template``, where no part is."""

    template: bytes
    parts: tuple[Part, ...] = ()


Encoder = Callable[[pa.Array], "Fixed | pa.Array"]
"""The fields of a column without NULLs: of one width, or a binary column with their bytes."""


def constant(value: Any, kind: pa.DataType) -> pa.Scalar:
    """An Arrow scalar. ``pa.scalar`` imports pandas, where that is installed."""
    return pa.array([value], kind)[0]


def rows(batch: pa.RecordBatch, encoders: Sequence[Encoder]) -> Iterator[bytes]:
    """The rows of ``batch``, whose columns these functions encode, in pieces of about MAX_BYTES at most.

    Raises UnencodableError for a text that one of them does not read.
    """
    if batch.nbytes > MAX_BYTES and batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from rows(batch.slice(0, half), encoders)
        yield from rows(batch.slice(half), encoders)
    elif batch.num_rows:
        yield _rows(batch, encoders)


def content(column: pa.Array) -> bytes:
    """The bytes of all values of a string or binary column, one after the other."""
    _, offsets, data = column.buffers()
    if data is None:
        return b""
    first, last = (struct.unpack_from("<i", offsets, 4 * (column.offset + at))[0] for at in (0, len(column)))
    return bytes(memoryview(data)[first:last])


def packed(fields: Fixed, count: int) -> bytes:
    """The bytes of ``count`` fields, one after the other."""
    template, width = bytearray(fields.template), len(fields.template)
    places: list[tuple[int, bytes]] = []  # the byte of the field, and what it is in each
    for part in fields.parts:
        size = part.values.type.bit_width // 8
        limits = pc.min_max(part.values)
        low, high = (limits[end].as_py().to_bytes(size, "big", signed=True) for end in ("min", "max"))
        # A number between two others begins as both of them do, where these begin alike.
        same = next((byte for byte in range(size) if low[byte] != high[byte]), size)
        template[part.at : part.at + same] = low[:same]
        start = part.values.offset * size
        littles = bytes(memoryview(part.values.buffers()[1])[start : start + count * size])
        places += [(part.at + byte, littles[size - 1 - byte :: size]) for byte in range(same, size)]
    found = bytearray(bytes(template) * count)
    for at, of_all in places:
        found[at::width] = of_all
    return bytes(found)


def as_binary(fields: Fixed, count: int) -> pa.Array:
    """``count`` fields as a binary column."""
    width, buffer = pa.binary(len(fields.template)), pa.py_buffer(packed(fields, count))
    return pa.FixedSizeBinaryArray.from_buffers(width, count, [None, buffer]).cast(pa.binary())


@dataclass
class _Block:
    """Neighbouring fields of one width each, as one field: their lengths are part of it."""

    template: bytearray = field(default_factory=bytearray)
    parts: list[Part] = field(default_factory=list)

    def add(self, fields: Fixed) -> None:
        self.parts += [Part(len(self.template) + part.at, part.values) for part in fields.parts]
        self.template += fields.template

    def take(self) -> Fixed:
        """What was added, and nothing is in it any more."""
        taken = Fixed(bytes(self.template), tuple(self.parts))
        self.template, self.parts = bytearray(), []
        return taken


def _rows(batch: pa.RecordBatch, encoders: Sequence[Encoder]) -> bytes:
    count, block, pieces = batch.num_rows, _Block(), []
    block.add(Fixed(batch.num_columns.to_bytes(2, "big")))
    for column, encode in zip(batch.columns, encoders, strict=True):
        if column.null_count == count:
            block.add(Fixed(_NULL))
            continue
        fields = encode(column.drop_null() if column.null_count else column)
        if isinstance(fields, Fixed) and not column.null_count:
            block.add(Fixed(len(fields.template).to_bytes(_LENGTH, "big")))
            block.add(fields)
            continue
        values = _with_nulls(fields, column)
        lengths = pc.coalesce(pc.binary_length(values), constant(-1, pa.int32()))
        block.add(Fixed(bytes(_LENGTH), (Part(0, lengths),)))
        pieces += [as_binary(block.take(), count), values]
    if not pieces:
        return packed(block.take(), count)
    if block.template:
        pieces.append(as_binary(block.take(), count))
    return content(pc.binary_join_element_wise(*pieces, b"", null_handling="replace", null_replacement=b""))


def _with_nulls(fields: Fixed | pa.Array, column: pa.Array) -> pa.Array:
    """The fields as a binary column, and NULL where ``column`` is."""
    if isinstance(fields, Fixed):
        fields = as_binary(fields, len(column) - column.null_count)
    if not column.null_count:
        return fields
    valid = pc.is_valid(column)
    places = pc.subtract(pc.cumulative_sum(valid.cast(pa.int32())), constant(1, pa.int32()))
    return fields.take(pc.if_else(valid, places, constant(None, pa.int32())))
