"""Casts that an expression asks for, or that PostgreSQL makes for it. Explicit casts round and cut, unlike a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.conversions import DATES, FLOATS, INTEGERS, TEXTS, TIME, modifiers
from ...shared.expression.constants import READERS
from ...shared.expression.resolve import Typed
from ...shared.expression.types import BOOLEAN, BPCHAR, NUMERIC, UUID, kind
from ...shared.postgres_text import postgres_text
from .arithmetic import FLOAT_TYPES, INTEGER_TYPES, as_whole, float_as_whole, rounded_to
from .evaluated import Evaluated, by_row, decimals, first_reason, numeric_text, refused
from .moments import TIMESTAMP

_INTEGER_DIGITS = 19  # of a bigint
_EXACT_DIGITS = {pa.float32(): 6, pa.float64(): 15}  # that PostgreSQL takes from a float to a numeric


def cast(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``columns[0]::type``."""
    source, wanted = node.arguments[0].type, node.type
    column, to = columns[0], kind(wanted)
    if to in TEXTS:
        return Evaluated(_as_text(column, source, wanted))
    if kind(source) in TEXTS:
        return _from_text(column, source, wanted)
    if to == NUMERIC:
        return _as_numeric(column, wanted)
    if to in INTEGERS:
        return _as_integer(column, kind(source), to)
    if to in FLOATS:
        return _as_float(column, kind(source), to)
    if to == BOOLEAN and kind(source) in INTEGERS:
        return Evaluated(pc.not_equal(column, 0))
    if to == TIME and kind(source) in DATES:
        return Evaluated(_time_of_day(column))
    if to == "date":
        return Evaluated(column if pa.types.is_date(column.type) else _day(column))
    if to in DATES:
        return Evaluated(column.cast(TIMESTAMP))
    return Evaluated(column)


def _as_text(column: pa.Array, source: str, wanted: str) -> pa.Array:
    """As PostgreSQL writes the value; a text that is longer than its type is cut, a char(n) padded."""
    length = modifiers(wanted)
    text = column
    if kind(source) != kind(wanted):
        text = postgres_text(pa.chunked_array([column]), source).combine_chunks()
    if not length:
        return text
    cut = pc.utf8_slice_codeunits(text, 0, length[0])
    return pc.utf8_rpad(cut, length[0], " ") if kind(wanted) == BPCHAR else cut


def _from_text(column: pa.Array, source: str, wanted: str) -> Evaluated:
    to = kind(wanted)
    if kind(source) == BPCHAR and to != UUID:  # the only type that takes no blanks around it
        column = pc.utf8_rtrim(column, " ")
    read: Callable[[str], Any] = READERS[to]
    if to == NUMERIC:
        limit = modifiers(wanted)
        return _numbers(lambda text: _limited(read(text), limit), column.to_pylist())
    arrow = {BOOLEAN: pa.bool_(), "date": pa.date32(), UUID: pa.string(), TIME: pa.string()}.get(to)
    arrow = arrow or INTEGER_TYPES.get(to) or FLOAT_TYPES.get(to) or TIMESTAMP
    return by_row(read, arrow, column.to_pylist())


def _numbers(read: Callable[[Any], Decimal], values: Sequence[Any]) -> Evaluated:
    return by_row(lambda value: numeric_text(read(value)), pa.string(), values)


def _limited(number: Decimal, limit: tuple[int, ...]) -> Decimal:
    return rounded_to(number, *limit) if limit else number


def _as_numeric(column: pa.Array, wanted: str) -> Evaluated:
    limit = modifiers(wanted)
    if pa.types.is_integer(column.type):
        column = column.cast(pa.decimal128(_INTEGER_DIGITS, 0))
    if pa.types.is_floating(column.type):
        digits = _EXACT_DIGITS[column.type]
        return _numbers(lambda number: _limited(_of_float(number, digits), limit), column.to_pylist())
    if not limit:
        return Evaluated(column)
    return _numbers(lambda number: _limited(number, limit), decimals(column))


def _of_float(number: float, digits: int) -> Decimal:
    return READERS[NUMERIC](f"{number:.{digits}g}")  # type: ignore[no-any-return]


def _as_integer(column: pa.Array, source: str, to: str) -> Evaluated:
    arrow = INTEGER_TYPES[to]
    if source in INTEGERS:
        if arrow.bit_width >= column.type.bit_width:
            return Evaluated(column.cast(arrow))
        limit = 2 ** (arrow.bit_width - 1)
        found = refused(column, pc.or_(pc.less(column, -limit), pc.greater_equal(column, limit)), f"{to} out of range")
        return Evaluated(found.values.cast(arrow), found.reasons)
    if source in FLOATS:
        return by_row(lambda number: float_as_whole(number, to), arrow, column.to_pylist())
    return by_row(lambda number: as_whole(number, to), arrow, decimals(column))


def _as_float(column: pa.Array, source: str, to: str) -> Evaluated:
    arrow = FLOAT_TYPES[to]
    if source in INTEGERS:
        return Evaluated(column.cast(arrow, safe=False))  # rounded once, also a bigint to a real
    if source in FLOATS:
        narrow = column.cast(arrow, safe=False)
        infinite = pc.and_(pc.is_inf(narrow), pc.invert(pc.is_inf(column)))
        vanished = pc.and_(pc.equal(narrow, 0.0), pc.not_equal(column, 0.0))
        found = refused(narrow, infinite, "value out of range: overflow")
        small = refused(found.values, vanished, "value out of range: underflow")
        return Evaluated(small.values, first_reason(small.reasons, found.reasons))
    return by_row(lambda number: READERS[to](numeric_text(number)), arrow, decimals(column))


def _day(column: pa.Array) -> pa.Array:
    return column.cast(pa.date32(), safe=False)


def _time_of_day(column: pa.Array) -> pa.Array:
    time = column.cast(pa.time64("us"))
    return postgres_text(pa.chunked_array([time])).combine_chunks()
