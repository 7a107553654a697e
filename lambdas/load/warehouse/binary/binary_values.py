"""Columns of Arrow as the fields of PostgreSQL's binary COPY format, type by type.

A field is what the ``_recv`` function of its type reads, which gives the same value as reading its text does.
``encoder_of`` says which function serves a column; what none serves is copied as CSV.
https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from ....shared.conversions import FLOATS, INTEGERS, TIME, TIMESTAMP, TIMESTAMPTZ
from .binary_fields import Encoder, Fixed, Part, UnencodableError, constant, content
from .binary_numeric import decimals, number_texts

_EPOCH_DAYS = 10_957  # from 1970-01-01 to 2000-01-01, where PostgreSQL counts from
_EPOCH = _EPOCH_DAYS * 86_400_000_000  # microseconds
_UUID_LENGTH, _DASHES = 36, (8, 13, 18, 23)
_TIME_OF_DAY = r"^\d\d:\d\d:\d\d(\.\d{1,6})?$"
_HEX = r"^\\x([0-9a-f]{2})*$"
_JSONB_VERSION = constant(b"\1", pa.binary())
_NAN = {pa.float32(): constant(math.nan, pa.float32()), pa.float64(): constant(math.nan, pa.float64())}


def encoder_of(arrow: pa.DataType, postgres: str) -> Encoder | None:
    """The function that encodes columns of ``arrow`` for a column of the base type ``postgres``; None: there is none.

    ``postgres``: as format_type() writes it, without modifiers. Of ``pa.null()``, which only has NULLs, any function.
    """
    if pa.types.is_null(arrow):
        return _nothing
    found = _ENCODERS.get(postgres)
    return found(arrow) if found is not None else None


def _nothing(column: pa.Array) -> Fixed:
    return Fixed(b"")


def _of_integer(to: pa.DataType) -> Callable[[pa.DataType], Encoder | None]:
    def choose(arrow: pa.DataType) -> Encoder | None:
        fits = pa.types.is_signed_integer(arrow) and arrow.bit_width <= to.bit_width
        return (lambda column: _integers(column.cast(to))) if fits else None

    return choose


def _of_timestamp(arrow: pa.DataType) -> Encoder | None:
    fits = pa.types.is_timestamp(arrow) and arrow.unit != "ns" and arrow.tz in (None, "UTC")
    return _timestamps if fits else None


def _of_time(arrow: pa.DataType) -> Encoder | None:
    if pa.types.is_string(arrow):
        return _time_texts
    return _times if pa.types.is_time(arrow) and arrow.unit != "ns" else None


def _of_numeric(arrow: pa.DataType) -> Encoder | None:
    if pa.types.is_string(arrow):
        return number_texts
    return decimals if pa.types.is_decimal128(arrow) and arrow.scale >= 0 else None


def _of(matches: Callable[[pa.DataType], bool], encode: Encoder) -> Callable[[pa.DataType], Encoder | None]:
    return lambda arrow: encode if matches(arrow) else None


def _integers(column: pa.Array) -> Fixed:
    return Fixed(bytes(column.type.bit_width // 8), (Part(0, column),))


def _booleans(column: pa.Array) -> Fixed:
    return _integers(column.cast(pa.int8()))


def _floats(column: pa.Array) -> Fixed:
    """The bits of the number; every NaN is the one that PostgreSQL reads from a text."""
    same = pc.if_else(pc.is_nan(column), _NAN[column.type], column)
    return _integers(same.view(pa.int32() if column.type.bit_width == 32 else pa.int64()))


def _dates(column: pa.Array) -> Fixed:
    return _integers(pc.subtract_checked(column.view(pa.int32()), constant(_EPOCH_DAYS, pa.int32())))


def _times(column: pa.Array) -> Fixed:
    return _integers(column.cast(pa.time64("us")).view(pa.int64()))


def _timestamps(column: pa.Array) -> Fixed:
    ticks = column.cast(pa.timestamp("us", column.type.tz)).view(pa.int64())
    return _integers(pc.subtract_checked(ticks, constant(_EPOCH, pa.int64())))


def _time_texts(column: pa.Array) -> Fixed:
    """Times of day as PostgreSQL writes them, 24:00:00 too, which Arrow's times do not have."""
    if not _all_match(column, _TIME_OF_DAY):
        raise UnencodableError
    hours, minutes, seconds = (pc.utf8_slice_codeunits(column, at, at + 2).cast(pa.int64()) for at in (0, 3, 6))
    fraction = pc.utf8_rpad(pc.utf8_slice_codeunits(column, 9), 6, "0").cast(pa.int64())
    minutes = pc.add(pc.multiply(hours, 60), minutes)
    return _integers(pc.add(pc.multiply(pc.add(pc.multiply(minutes, 60), seconds), 1_000_000), fraction))


def _texts(column: pa.Array) -> pa.Array:
    return column.cast(pa.binary())


def _jsonbs(column: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(_JSONB_VERSION, column.cast(pa.binary()), b"")


def _uuids(column: pa.Array) -> pa.Array:
    """Texts of the form that PostgreSQL writes, decoded together."""
    count, texts = len(column), content(column)
    lengths = pc.min_max(pc.binary_length(column)).as_py()
    dashes = all(texts[at::_UUID_LENGTH] == b"-" * count for at in _DASHES)
    if lengths != {"min": _UUID_LENGTH, "max": _UUID_LENGTH} or not dashes:
        raise UnencodableError
    decoded = _unhex(texts.replace(b"-", b""))
    if len(decoded) != 16 * count:
        raise UnencodableError
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, pa.py_buffer(decoded)])
    return fixed.cast(pa.binary())


def _byteas(column: pa.Array) -> pa.Array:
    """Texts of the form that PostgreSQL writes (bytea_output = hex), decoded together."""
    if not _all_match(column, _HEX):
        raise UnencodableError
    digits = pc.binary_replace_slice(column.cast(pa.binary()), start=0, stop=2, replacement=b"")
    decoded = _unhex(content(digits))
    ends = pc.cumulative_sum(pc.divide(pc.binary_length(digits), constant(2, pa.int32())))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.Array.from_buffers(pa.binary(), len(column), [None, offsets.buffers()[1], pa.py_buffer(decoded)])


def _unhex(digits: bytes) -> bytes:
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError as error:
        raise UnencodableError from error


def _all_match(column: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(column, pattern)).as_py())


_ENCODERS: Mapping[str, Callable[[pa.DataType], Encoder | None]] = {
    **{name: _of_integer(kind) for name, kind in zip(INTEGERS, (pa.int16(), pa.int32(), pa.int64()), strict=True)},
    **dict(zip(FLOATS, (_of(pa.types.is_float32, _floats), _of(pa.types.is_float64, _floats)), strict=True)),
    **dict.fromkeys(("text", "character varying", "character", "json"), _of(pa.types.is_string, _texts)),
    **dict.fromkeys((TIMESTAMP, TIMESTAMPTZ), _of_timestamp),
    "boolean": _of(pa.types.is_boolean, _booleans),
    "date": _of(pa.types.is_date32, _dates),
    TIME: _of_time,
    "numeric": _of_numeric,
    "uuid": _of(pa.types.is_string, _uuids),
    "bytea": _of(pa.types.is_string, _byteas),
    "jsonb": _of(pa.types.is_string, _jsonbs),
}
