"""Casts of Arrow columns to the warehouse's column types, by the rules of PostgreSQL's types.

A value passes when PostgreSQL would store it unchanged. A value that PostgreSQL would refuse is invalid, and so is one
that it would change silently (a lossy cast): round to a scale, cut to a length, or strip of its time of day.
Each function takes and returns a column (``pa.ChunkedArray``) of the same length and order.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.expressions import MAX_PRECISION
from ...shared.lake.parquet import base_type

_MODIFIER = re.compile(r"\(([^)]*)\)")
_INTEGERS = {"smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64()}
_FLOATS = {"real": pa.float32(), "double precision": pa.float64()}
_STRINGS = ("character varying", "character", "text")
_MAX_DIGITS = 76  # digits of Arrow's decimal256
_MICROSECONDS = 6  # digits that PostgreSQL and the lake keep of a second
_TRUE, _FALSE = ("t", "true", "y", "yes", "on", "1"), ("f", "false", "n", "no", "off", "0")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?", re.ASCII)
_TIMESTAMP = re.compile(rf"\d{{4}}-\d\d-\d\d[ T]{_TIME.pattern}", re.ASCII)


@dataclass(frozen=True)
class CastResult:
    """The result of a cast."""

    values: pa.ChunkedArray
    """The column in the wanted type, NULL where a value is invalid; same length and order as before."""
    invalid: pa.ChunkedArray | None = None
    """Booleans, one per value: true where the value does not fit the type. None: all values fit."""


def cast_column(values: pa.ChunkedArray, postgres_type: str) -> CastResult:
    """``values`` as a column of ``postgres_type``, which is written as PostgreSQL's format_type() does.

    Types that the lake stores as text, such as uuid and jsonb, are not checked.
    """
    base, modifier = base_type(postgres_type), _modifier(postgres_type)
    if base in _INTEGERS:
        return _integer(values, _INTEGERS[base])
    if base == "numeric":
        return numeric(values, *((*modifier, 0)[:2] if modifier else (None, 0)))
    if base in _FLOATS:
        return _float(values, _FLOATS[base])
    if base in _STRINGS:
        return _text(values, modifier[0] if modifier else None)
    if base == "boolean":
        return _same_or_parse(values, pa.types.is_boolean, _boolean_of_text, pa.bool_())
    if base == "date":
        return _date(values)
    if base in ("timestamp without time zone", "timestamp with time zone"):
        return _timestamp(values, modifier[0] if modifier else _MICROSECONDS)
    if base == "time without time zone":
        return _time(values, modifier[0] if modifier else _MICROSECONDS)
    return CastResult(values)


def date_of_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The dates (date32) of strings of the form yyyy-mm-dd; NULL for any other. Each distinct string is parsed once."""
    texts = pc.unique(column)
    times = pc.strptime(texts, format="%Y-%m-%d", unit="s", error_is_null=True)
    # strptime takes '2023-2-3', and turns 30 February into 2 March: only what formats to the same string is a date.
    exact = pc.and_kleene(pc.equal(pc.strftime(times, format="%Y-%m-%d"), texts), pc.greater_equal(texts, "0001"))
    days = pc.if_else(pc.fill_null(exact, False), times, pa.scalar(None, times.type)).cast(pa.date32())
    return days.take(pc.index_in(column, value_set=texts))


def fits_numeric(column: pa.ChunkedArray, precision: int, scale: int) -> pa.ChunkedArray:
    """Booleans: whether each decimal of ``column`` fits numeric(precision, scale) without rounding; true for NULL."""
    own = column.type.scale
    wide = column.cast(pa.decimal256(_MAX_DIGITS, own))
    fits = pc.is_valid(wide)
    if own > scale:
        fits = pc.and_kleene(fits, pc.equal(pc.round(wide, ndigits=scale), wide))
    if column.type.precision - own > precision - scale:
        # A limit below the smallest number of the column's scale leaves zero alone.
        exponent = max(precision - scale, -own)
        fits = pc.and_kleene(fits, pc.less(pc.abs(wide), pa.scalar(Decimal(1).scaleb(exponent), wide.type)))
    return pc.fill_null(fits, True) if column.null_count else fits


def _modifier(postgres_type: str) -> tuple[int, ...]:
    match = _MODIFIER.search(postgres_type)
    return tuple(int(part) for part in match[1].split(",")) if match else ()


def _keep_fitting(values: pa.ChunkedArray, fits: pa.ChunkedArray, to: pa.DataType) -> CastResult:
    """The values that fit, cast to ``to``; the others are invalid."""
    invalid = pc.and_(pc.is_valid(values), pc.invert(pc.fill_null(fits, False)))
    return CastResult(pc.if_else(invalid, pa.scalar(None, values.type), values).cast(to), invalid)


def _all_invalid(values: pa.ChunkedArray, to: pa.DataType) -> CastResult:
    """No cast exists between the two types: every value but NULL is invalid."""
    return CastResult(pa.chunked_array([pa.nulls(len(values), to)]), pc.is_valid(values))


def _parse(values: pa.ChunkedArray, parse: Callable[[str], Any], to: pa.DataType) -> CastResult:
    """Strings as ``parse`` parses them, which returns None for an invalid one. Each distinct string is parsed once."""
    texts = pc.unique(pc.drop_null(values))
    found = pa.array([parse(text) for text in texts.to_pylist()], to)
    result = pa.chunked_array([found.take(pc.index_in(chunk, value_set=texts)) for chunk in values.chunks], to)
    return CastResult(result, pc.and_(pc.is_valid(values), pc.is_null(result)))


def _same_or_parse(
    values: pa.ChunkedArray, is_same: Callable[[pa.DataType], bool], parse: Callable[[str], Any], to: pa.DataType
) -> CastResult:
    """``values`` of the wanted type already, or strings that ``parse`` parses; values of other types are invalid."""
    if is_same(values.type):
        return CastResult(values)
    return _parse(values, parse, to) if pa.types.is_string(values.type) else _all_invalid(values, to)


def _integer(values: pa.ChunkedArray, to: pa.DataType) -> CastResult:
    low, high = -(2 ** (to.bit_width - 1)), 2 ** (to.bit_width - 1) - 1
    dtype = values.type
    if pa.types.is_integer(dtype):
        if dtype.bit_width <= to.bit_width:
            return CastResult(values.cast(to))
        return _keep_fitting(values, pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high)), to)
    if pa.types.is_decimal(dtype):
        wide = values.cast(pa.decimal256(_MAX_DIGITS, dtype.scale))
        inside = pc.and_(
            pc.greater_equal(wide, pa.scalar(Decimal(low), wide.type)),
            pc.less_equal(wide, pa.scalar(Decimal(high), wide.type)),
        )
        return _keep_fitting(values, pc.and_(inside, pc.equal(pc.round(wide, ndigits=0), wide)), to)
    if pa.types.is_floating(dtype):
        inside = pc.and_(pc.greater_equal(values, float(low)), pc.less(values, float(high + 1)))
        return _keep_fitting(values, pc.and_(inside, pc.equal(pc.floor(values), values)), to)
    if pa.types.is_string(dtype):
        return _parse(values, lambda text: _integer_of_text(text, low, high), to)
    return _all_invalid(values, to)


def _integer_of_text(text: str, low: int, high: int) -> int | None:
    number = _decimal_of_text(text)
    return int(number) if number is not None and low <= number <= high and number == number.to_integral() else None


def numeric(values: pa.ChunkedArray, precision: int | None, scale: int) -> CastResult:
    """``values`` as numeric(precision, scale), unrounded; without a precision, any number passes."""
    dtype = values.type
    if pa.types.is_integer(dtype):
        values = values.cast(pa.decimal128(20, 0))
    elif pa.types.is_floating(dtype):
        values = values.cast(pa.string())  # the shortest decimal that reads back as the same number
    if pa.types.is_string(values.type):
        return _numeric_of_text(values, precision, scale)
    if not pa.types.is_decimal(values.type):
        return _all_invalid(values, pa.decimal128(MAX_PRECISION, 0))
    if precision is None:
        return CastResult(values)
    to = _arrow_decimal(precision, scale) or values.type
    result = _keep_fitting(values, fits_numeric(values, precision, scale), values.type)
    if to == values.type:
        return result
    # By way of the widest type: a direct cast checks the digits before trailing zeros are cut.
    wide = result.values.cast(pa.decimal256(_MAX_DIGITS, values.type.scale)).cast(pa.decimal256(_MAX_DIGITS, to.scale))
    return CastResult(wide.cast(to), result.invalid)


def _numeric_of_text(values: pa.ChunkedArray, precision: int | None, scale: int) -> CastResult:
    """Strings that write a number: as decimals where Arrow has the type, otherwise unchanged."""
    to = _arrow_decimal(precision, scale) if precision is not None else None

    def parse(text: str) -> Decimal | str | None:
        number = _decimal_of_text(text)
        if number is None or (precision is not None and not _fits(number, precision, scale)):
            return None
        return number if to else text

    return _parse(values, parse, to or pa.string())


def _arrow_decimal(precision: int, scale: int) -> pa.DataType | None:
    return pa.decimal128(precision, scale) if precision <= MAX_PRECISION and 0 <= scale <= precision else None


def _decimal_of_text(text: str) -> Decimal | None:
    stripped = text.strip(" \t\n\r\v\f")
    try:
        return Decimal(stripped) if _NUMBER.fullmatch(stripped) else None
    except InvalidOperation:
        return None


def _fits(number: Decimal, precision: int, scale: int) -> bool:
    if not number:
        return True
    _, digits, exponent = number.as_tuple()
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return int(exponent) + zeros >= -scale and number.adjusted() < precision - scale


def _float(values: pa.ChunkedArray, to: pa.DataType) -> CastResult:
    """Rounding is accepted, since floats are approximate; a value out of range is invalid, as in PostgreSQL."""
    dtype = values.type
    if pa.types.is_string(dtype):
        return _parse(values, lambda text: _float_of_text(text, to), to)
    if not (pa.types.is_integer(dtype) or pa.types.is_decimal(dtype) or pa.types.is_floating(dtype)):
        return _all_invalid(values, to)
    wide = values.cast(pa.float64())
    narrow = wide.cast(to, safe=False)
    overflow = pc.or_(
        pc.and_(pc.is_inf(narrow), pc.invert(pc.is_inf(wide))), pc.and_(pc.equal(narrow, 0.0), pc.not_equal(wide, 0.0))
    )
    invalid = pc.fill_null(overflow, False)
    return CastResult(pc.if_else(invalid, pa.scalar(None, to), narrow), invalid)


def _float_of_text(text: str, to: pa.DataType) -> float | None:
    if _decimal_of_text(text) is None:
        return None
    number = float(text)
    narrow = pa.scalar(number, pa.float64()).cast(to, safe=False).as_py()
    return None if math.isinf(narrow) or (narrow == 0 and _decimal_of_text(text) != 0) else number


def _text(values: pa.ChunkedArray, length: int | None) -> CastResult:
    texts = values if pa.types.is_string(values.type) else values.cast(pa.string())
    return (
        CastResult(texts)
        if length is None
        else _keep_fitting(texts, pc.less_equal(pc.utf8_length(texts), length), pa.string())
    )


def _boolean_of_text(text: str) -> bool | None:
    word = text.strip(" \t\n\r\v\f").lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _date(values: pa.ChunkedArray) -> CastResult:
    dtype = values.type
    if pa.types.is_date(dtype):
        return CastResult(values)
    if pa.types.is_timestamp(dtype):
        timestamps = values.cast(pa.timestamp("us"))
        days = timestamps.cast(pa.date32(), safe=False)
        return _keep_fitting(timestamps, pc.equal(days.cast(pa.timestamp("us")), timestamps), pa.date32())
    if pa.types.is_string(dtype):
        days = date_of_text(values)
        return CastResult(days, pc.and_(pc.is_valid(values), pc.is_null(days)))
    return _all_invalid(values, pa.date32())


def _timestamp(values: pa.ChunkedArray, digits: int) -> CastResult:
    to = pa.timestamp("us")
    if pa.types.is_date(values.type):
        return CastResult(values.cast(to))
    result = _same_or_parse(values, pa.types.is_timestamp, _timestamp_of_text, to)
    timestamps = result.values.cast(to)  # a timestamp with time zone: its UTC time, as every session here reads it
    fine = _within_precision(timestamps, digits, pc.is_valid(timestamps))
    kept = _keep_fitting(timestamps, fine, to)
    return CastResult(kept.values, _union(result.invalid, kept.invalid))


def _time(values: pa.ChunkedArray, digits: int) -> CastResult:
    if pa.types.is_time(values.type):
        return _keep_fitting(values, _within_precision(values, digits, pc.is_valid(values)), values.type)
    if pa.types.is_string(values.type):
        return _parse(values, lambda text: _time_of_text(text, digits), pa.string())
    return _all_invalid(values, pa.time64("us"))


def _within_precision(values: pa.ChunkedArray, digits: int, where: pa.ChunkedArray) -> pa.ChunkedArray:
    """Booleans: whether each time has no more than ``digits`` fractional digits of a second."""
    if digits >= _MICROSECONDS:
        return where
    grain = 10 ** (_MICROSECONDS - digits)
    ticks = values.cast(pa.int64())
    return pc.equal(pc.multiply(pc.divide(ticks, grain), grain), ticks)


def _time_of_text(text: str, digits: int) -> str | None:
    match = _TIME.fullmatch(text)
    return text if match and len((match[2] or ".").rstrip("0")) - 1 <= digits else None


def _timestamp_of_text(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text) if _TIMESTAMP.fullmatch(text) else None
    except ValueError:
        return None


def _union(one: pa.ChunkedArray | None, other: pa.ChunkedArray | None) -> pa.ChunkedArray | None:
    if one is None or other is None:
        return one if other is None else other
    return pc.or_(one, other)
