"""Whether the warehouse's columns take what a batch holds: the rules of PostgreSQL's types, on whole columns.

A value passes when PostgreSQL would store it as it is. What it would refuse is refused here, and so is what it would
bend in silence: round to a scale, cut to a length, or strip of its time of day.
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

from ...shared.arrow_types import base_type
from ...shared.expressions import MAX_PRECISION

_MODIFIER = re.compile(r"\(([^)]*)\)")
_INTEGERS = {"smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64()}
_FLOATS = {"real": pa.float32(), "double precision": pa.float64()}
_TEXTS = ("character varying", "character", "text")
_WIDEST = 76  # digits of Arrow's decimal256
_MICROSECONDS = 6  # digits that PostgreSQL and the lake keep of a second
_TRUE, _FALSE = ("t", "true", "y", "yes", "on", "1"), ("f", "false", "n", "no", "off", "0")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?", re.ASCII)
_MOMENT = re.compile(rf"\d{{4}}-\d\d-\d\d[ T]{_TIME.pattern}", re.ASCII)


@dataclass(frozen=True)
class Conformed:
    """A column in the warehouse's type; ``refused``: where a value has no place there, and is NULL now."""

    values: pa.ChunkedArray
    refused: pa.ChunkedArray | None = None


def conform(values: pa.ChunkedArray, postgres_type: str) -> Conformed:
    """``values`` as a column of ``postgres_type`` (written as format_type does) holds them.

    Types that the lake keeps as text, such as uuid and jsonb, are not checked.
    """
    base, modifier = base_type(postgres_type), _modifier(postgres_type)
    if base in _INTEGERS:
        return _integer(values, _INTEGERS[base])
    if base == "numeric":
        return numeric(values, *((*modifier, 0)[:2] if modifier else (None, 0)))
    if base in _FLOATS:
        return _float(values, _FLOATS[base])
    if base in _TEXTS:
        return _text(values, modifier[0] if modifier else None)
    if base == "boolean":
        return _unless_other(values, pa.types.is_boolean, _boolean_of_text, pa.bool_())
    if base == "date":
        return _date(values)
    if base in ("timestamp without time zone", "timestamp with time zone"):
        return _timestamp(values, modifier[0] if modifier else _MICROSECONDS)
    if base == "time without time zone":
        return _time(values, modifier[0] if modifier else _MICROSECONDS)
    return Conformed(values)


def date_of_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The dates that texts of the form yyyy-mm-dd write; NULL for any other. Each distinct text is read once."""
    texts = pc.unique(column)
    moments = pc.strptime(texts, format="%Y-%m-%d", unit="s", error_is_null=True)
    # strptime takes '2023-2-3', and turns 30 February into 2 March: only what is written back the same is a date.
    exact = pc.and_kleene(pc.equal(pc.strftime(moments, format="%Y-%m-%d"), texts), pc.greater_equal(texts, "0001"))
    days = pc.if_else(pc.fill_null(exact, False), moments, pa.scalar(None, moments.type)).cast(pa.date32())
    return days.take(pc.index_in(column, value_set=texts))


def fitting(column: pa.ChunkedArray, precision: int, scale: int) -> pa.ChunkedArray:
    """Where the decimals of ``column`` fit numeric(precision, scale) without rounding; true where NULL."""
    own = column.type.scale
    wide = column.cast(pa.decimal256(_WIDEST, own))
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


def _kept(values: pa.ChunkedArray, fits: pa.ChunkedArray, to: pa.DataType) -> Conformed:
    """What fits, cast to ``to``; the rest is refused."""
    refused = pc.and_(pc.is_valid(values), pc.invert(pc.fill_null(fits, False)))
    return Conformed(pc.if_else(refused, pa.scalar(None, values.type), values).cast(to), refused)


def _none(values: pa.ChunkedArray, to: pa.DataType) -> Conformed:
    """There is no way from the one type to the other: nothing but NULL passes."""
    return Conformed(pa.chunked_array([pa.nulls(len(values), to)]), pc.is_valid(values))


def _read(values: pa.ChunkedArray, read: Callable[[str], Any], to: pa.DataType) -> Conformed:
    """Texts as ``read`` understands them, which answers None for one that it does not. Each distinct text once."""
    texts = pc.unique(pc.drop_null(values))
    found = pa.array([read(text) for text in texts.to_pylist()], to)
    result = pa.chunked_array([found.take(pc.index_in(chunk, value_set=texts)) for chunk in values.chunks], to)
    return Conformed(result, pc.and_(pc.is_valid(values), pc.is_null(result)))


def _unless_other(
    values: pa.ChunkedArray, is_it: Callable[[pa.DataType], bool], read: Callable[[str], Any], to: pa.DataType
) -> Conformed:
    """``values`` that are of the type already, or texts that ``read`` understands; nothing else has a place."""
    if is_it(values.type):
        return Conformed(values)
    return _read(values, read, to) if pa.types.is_string(values.type) else _none(values, to)


def _integer(values: pa.ChunkedArray, to: pa.DataType) -> Conformed:
    low, high = -(2 ** (to.bit_width - 1)), 2 ** (to.bit_width - 1) - 1
    kind = values.type
    if pa.types.is_integer(kind):
        if kind.bit_width <= to.bit_width:
            return Conformed(values.cast(to))
        return _kept(values, pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high)), to)
    if pa.types.is_decimal(kind):
        wide = values.cast(pa.decimal256(_WIDEST, kind.scale))
        inside = pc.and_(
            pc.greater_equal(wide, pa.scalar(Decimal(low), wide.type)),
            pc.less_equal(wide, pa.scalar(Decimal(high), wide.type)),
        )
        return _kept(values, pc.and_(inside, pc.equal(pc.round(wide, ndigits=0), wide)), to)
    if pa.types.is_floating(kind):
        inside = pc.and_(pc.greater_equal(values, float(low)), pc.less(values, float(high + 1)))
        return _kept(values, pc.and_(inside, pc.equal(pc.floor(values), values)), to)
    if pa.types.is_string(kind):
        return _read(values, lambda text: _whole(text, low, high), to)
    return _none(values, to)


def _whole(text: str, low: int, high: int) -> int | None:
    number = _decimal_of_text(text)
    return int(number) if number is not None and low <= number <= high and number == number.to_integral() else None


def numeric(values: pa.ChunkedArray, precision: int | None, scale: int) -> Conformed:
    """``values`` as numeric(precision, scale) holds them, unrounded; without a precision, any number passes."""
    kind = values.type
    if pa.types.is_integer(kind):
        values = values.cast(pa.decimal128(20, 0))
    elif pa.types.is_floating(kind):
        values = values.cast(pa.string())  # the shortest decimal that reads back as the same number
    if pa.types.is_string(values.type):
        return _numeric_of_text(values, precision, scale)
    if not pa.types.is_decimal(values.type):
        return _none(values, pa.decimal128(MAX_PRECISION, 0))
    if precision is None:
        return Conformed(values)
    to = _arrow_decimal(precision, scale) or values.type
    conformed = _kept(values, fitting(values, precision, scale), values.type)
    if to == values.type:
        return conformed
    # By way of the widest type: a direct cast checks the digits before those that are all zero are cut.
    wide = conformed.values.cast(pa.decimal256(_WIDEST, values.type.scale)).cast(pa.decimal256(_WIDEST, to.scale))
    return Conformed(wide.cast(to), conformed.refused)


def _numeric_of_text(values: pa.ChunkedArray, precision: int | None, scale: int) -> Conformed:
    """Texts that write a number; as decimals where Arrow has the type, else as they are."""
    to = _arrow_decimal(precision, scale) if precision is not None else None

    def read(text: str) -> Decimal | str | None:
        number = _decimal_of_text(text)
        if number is None or (precision is not None and not _fits(number, precision, scale)):
            return None
        return number if to else text

    return _read(values, read, to or pa.string())


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


def _float(values: pa.ChunkedArray, to: pa.DataType) -> Conformed:
    """Floats are approximate by their nature; what is out of their range is refused, as PostgreSQL does."""
    kind = values.type
    if pa.types.is_string(kind):
        return _read(values, lambda text: _float_of_text(text, to), to)
    if not (pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind)):
        return _none(values, to)
    wide = values.cast(pa.float64())
    narrow = wide.cast(to, safe=False)
    lost = pc.or_(
        pc.and_(pc.is_inf(narrow), pc.invert(pc.is_inf(wide))), pc.and_(pc.equal(narrow, 0.0), pc.not_equal(wide, 0.0))
    )
    refused = pc.fill_null(lost, False)
    return Conformed(pc.if_else(refused, pa.scalar(None, to), narrow), refused)


def _float_of_text(text: str, to: pa.DataType) -> float | None:
    if _decimal_of_text(text) is None:
        return None
    number = float(text)
    narrow = pa.scalar(number, pa.float64()).cast(to, safe=False).as_py()
    return None if math.isinf(narrow) or (narrow == 0 and _decimal_of_text(text) != 0) else number


def _text(values: pa.ChunkedArray, length: int | None) -> Conformed:
    texts = values if pa.types.is_string(values.type) else values.cast(pa.string())
    return (
        Conformed(texts) if length is None else _kept(texts, pc.less_equal(pc.utf8_length(texts), length), pa.string())
    )


def _boolean_of_text(text: str) -> bool | None:
    word = text.strip(" \t\n\r\v\f").lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _date(values: pa.ChunkedArray) -> Conformed:
    kind = values.type
    if pa.types.is_date(kind):
        return Conformed(values)
    if pa.types.is_timestamp(kind):
        moments = values.cast(pa.timestamp("us"))
        days = moments.cast(pa.date32(), safe=False)
        return _kept(moments, pc.equal(days.cast(pa.timestamp("us")), moments), pa.date32())
    if pa.types.is_string(kind):
        days = date_of_text(values)
        return Conformed(days, pc.and_(pc.is_valid(values), pc.is_null(days)))
    return _none(values, pa.date32())


def _timestamp(values: pa.ChunkedArray, digits: int) -> Conformed:
    to = pa.timestamp("us")
    if pa.types.is_date(values.type):
        return Conformed(values.cast(to))
    conformed = _unless_other(values, pa.types.is_timestamp, _moment_of_text, to)
    moments = conformed.values.cast(to)  # a time with time zone: its moment in UTC, as every session here reads it
    fine = _on_the_grain(moments, digits, pc.is_valid(moments))
    kept = _kept(moments, fine, to)
    return Conformed(kept.values, _either(conformed.refused, kept.refused))


def _time(values: pa.ChunkedArray, digits: int) -> Conformed:
    if pa.types.is_time(values.type):
        return _kept(values, _on_the_grain(values, digits, pc.is_valid(values)), values.type)
    if pa.types.is_string(values.type):
        return _read(values, lambda text: _time_of_text(text, digits), pa.string())
    return _none(values, pa.time64("us"))


def _on_the_grain(values: pa.ChunkedArray, digits: int, where: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where a moment has no more than ``digits`` digits of a second."""
    if digits >= _MICROSECONDS:
        return where
    grain = 10 ** (_MICROSECONDS - digits)
    ticks = values.cast(pa.int64())
    return pc.equal(pc.multiply(pc.divide(ticks, grain), grain), ticks)


def _time_of_text(text: str, digits: int) -> str | None:
    match = _TIME.fullmatch(text)
    return text if match and len((match[2] or ".").rstrip("0")) - 1 <= digits else None


def _moment_of_text(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text) if _MOMENT.fullmatch(text) else None
    except ValueError:
        return None


def _either(one: pa.ChunkedArray | None, other: pa.ChunkedArray | None) -> pa.ChunkedArray | None:
    if one is None or other is None:
        return one if other is None else other
    return pc.or_(one, other)
