"""Casts to numbers: integers, numeric(precision, scale), real and double precision."""

from __future__ import annotations

import math
import re
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.decimals import cut
from ...shared.model.expressions import MAX_PRECISION
from ...shared.postgres_text import postgres_text, without_trailing_zeros
from .cast_result import BLANKS, CastResult, all_invalid, keep, parse, then

MAX_DIGITS_BEFORE, MAX_DIGITS_AFTER = 131_072, 16_383  # of the point, in PostgreSQL's numeric

_MAX_DIGITS = 76  # digits of Arrow's decimal256
_MAX_INTEGER_DIGITS = 19  # of a bigint
_EXACT_DIGITS = {True: 6, False: 15}  # which PostgreSQL takes over from a real, and a double precision, to a numeric
_SAFE_LENGTH = {True: 37, False: 300}  # characters of a number that cannot leave the range of a real, and a double
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_SPECIAL = re.compile(r"nan|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)


def integer(values: pa.ChunkedArray, to: pa.DataType, *, is_number: bool) -> CastResult:
    """``is_number``: a string is the text of a numeric, and not of an integer: ``1.00`` is 1."""
    low, high = -(2 ** (to.bit_width - 1)), 2 ** (to.bit_width - 1) - 1
    dtype = values.type
    if pa.types.is_integer(dtype):
        if dtype.bit_width <= to.bit_width:
            return CastResult(values.cast(to))
        return keep(values, pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high)), to)
    if pa.types.is_decimal(dtype):
        wide = values.cast(pa.decimal256(_MAX_DIGITS, dtype.scale))
        inside = pc.and_(
            pc.greater_equal(wide, pa.scalar(Decimal(low), wide.type)),
            pc.less_equal(wide, pa.scalar(Decimal(high), wide.type)),
        )
        whole = cut(wide, 0)
        return keep(whole, pc.and_(inside, pc.equal(whole.cast(wide.type), wide)), to)
    if pa.types.is_floating(dtype):
        inside = pc.and_(pc.greater_equal(values, float(low)), pc.less(values, float(high + 1)))
        return keep(values, pc.and_(inside, pc.equal(pc.floor(values), values)), to)
    if pa.types.is_string(dtype) and is_number:
        whole = numeric(values, _MAX_INTEGER_DIGITS, 0, is_number=True)
        return then(whole, lambda found: integer(found, to, is_number=True))
    if pa.types.is_string(dtype):
        return parse(values, lambda text: _integer_of_text(text, low, high), to)
    return all_invalid(values, to)


def numeric(values: pa.ChunkedArray, precision: int | None, scale: int, *, is_number: bool = False) -> CastResult:
    """``values`` as numeric(precision, scale), unrounded; without a precision, any number passes.

    ``is_number``: a string is the text of a numeric, as PostgreSQL writes it.
    """
    dtype = values.type
    if pa.types.is_integer(dtype):
        values = values.cast(pa.decimal128(20, 0))
    elif pa.types.is_floating(dtype):
        digits = _EXACT_DIGITS[pa.types.is_float32(dtype)]
        texts = parse(values, lambda number: _numeric_of_float(number, digits, dtype), pa.string())
        return then(texts, lambda found: numeric(found, precision, scale, is_number=True))
    if pa.types.is_string(values.type):
        return _of_text(values, precision, scale, is_number=is_number)
    if not pa.types.is_decimal(values.type):
        return all_invalid(values, pa.decimal128(MAX_PRECISION, 0))
    if precision is None:
        return CastResult(values)
    exact = _arrow_decimal(precision, scale)
    if exact == values.type:
        return CastResult(values)  # checked when it was made
    to = exact or values.type
    result = keep(values, fits_numeric(values, precision, scale), values.type)
    if to == values.type:
        return result
    # By way of the widest type: a direct cast checks the digits before trailing zeros are cut.
    wide = cut(result.values.cast(pa.decimal256(_MAX_DIGITS, values.type.scale)), to.scale)
    return CastResult(wide.cast(to), result.invalid)


def fits_numeric(column: pa.ChunkedArray, precision: int, scale: int) -> pa.ChunkedArray:
    """Booleans: whether each decimal of ``column`` fits numeric(precision, scale) without rounding; true for NULL."""
    own = column.type.scale
    wide = column.cast(pa.decimal256(_MAX_DIGITS, own))
    fits = pc.is_valid(wide)
    if own > scale:
        fits = pc.and_kleene(fits, pc.equal(cut(wide, scale).cast(wide.type), wide))
    if column.type.precision - own > precision - scale:
        # A limit below the smallest number of the column's scale leaves zero alone.
        exponent = max(precision - scale, -own)
        fits = pc.and_kleene(fits, pc.less(pc.abs(wide), pa.scalar(Decimal(1).scaleb(exponent), wide.type)))
    return pc.fill_null(fits, True) if column.null_count else fits


def floating(values: pa.ChunkedArray, to: pa.DataType, *, is_number: bool) -> CastResult:
    """Rounding is accepted, since floats are approximate; a value out of range is invalid, as in PostgreSQL.

    Each value is rounded once, to the nearest: a decimal by way of its text, as PostgreSQL does it.
    """
    dtype, single = values.type, pa.types.is_float32(to)
    if pa.types.is_integer(dtype):
        return CastResult(values.cast(to, safe=False))
    if pa.types.is_decimal(dtype):  # with 38 digits at most: never out of range
        return CastResult(values.cast(pa.string()).cast(to))
    if pa.types.is_string(dtype):
        longest = pc.max(pc.binary_length(values)).as_py() or 0
        if is_number and longest <= _SAFE_LENGTH[single]:
            return CastResult(values.cast(to))
        return parse(values, lambda text: _float_of_text(text, to), to)
    if not pa.types.is_floating(dtype):
        return all_invalid(values, to)
    narrow = values.cast(to, safe=False)
    overflow = pc.or_(
        pc.and_(pc.is_inf(narrow), pc.invert(pc.is_inf(values))),
        pc.and_(pc.equal(narrow, 0.0), pc.not_equal(values, 0.0)),
    )
    invalid = pc.fill_null(overflow, False)
    return CastResult(pc.if_else(invalid, pa.scalar(None, to), narrow), invalid)


def canonical(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers as texts that are equal where the numbers are; floats with a fraction have a text of their own."""
    dtype = values.type
    if pa.types.is_floating(dtype):
        return parse(
            values, lambda number: f"{number:.0f}" if number.is_integer() else repr(number), pa.string()
        ).values
    return without_trailing_zeros(postgres_text(values))


def _of_text(values: pa.ChunkedArray, precision: int | None, scale: int, *, is_number: bool) -> CastResult:
    """Strings that write a number: as decimals where Arrow has the type, otherwise as strings."""
    to = _arrow_decimal(precision, scale) if precision is not None else None
    if is_number and precision is None:
        return CastResult(values)
    if is_number and to is not None and precision is not None:
        found = _if_all_fit(values, to)
        if found is not None:
            return CastResult(found)
        fits = pc.match_substring_regex(values, _fitting(precision, scale))
        kept = keep(values, fits, pa.string())
        return CastResult(_decimals(kept.values, to), kept.invalid)
    result = parse(values, lambda text: _numeric_of_text(text, precision, scale), pa.string())
    return result if to is None else CastResult(result.values.cast(to), result.invalid)


def _if_all_fit(texts: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray | None:
    """``texts`` of numbers, as PostgreSQL writes them, cast to ``to``; None where one may not fit.

    Arrow refuses a number that would lose a digit or has too many. But where its digits, with those of the scale, are
    more than it computes with, it takes the number for another: 1151.0 is some decimal of 38 digits after the point.
    """
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest + to.scale > MAX_PRECISION:
        return None
    try:
        return texts.cast(to)
    except pa.ArrowInvalid:
        return None


def _fitting(precision: int, scale: int) -> str:
    """A regular expression of the numbers, as PostgreSQL writes them, that fit numeric(precision, scale)."""
    before = precision - scale
    whole = rf"(0|[1-9]\d{{0,{before - 1}}})" if before > 0 else "0"
    return rf"^-?{whole}(\.\d{{0,{scale}}}0*)?$"


def _decimals(texts: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray:
    """``texts`` that fit ``to``, cast to it; beyond its scale they have zeros alone.

    Arrow's cast of a text takes no more decimals than the type has: where there are more, by way of a wider one.
    """
    point = pc.find_substring(texts, ".")
    decimals = pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(pc.binary_length(texts), point), 1))
    most = pc.max(decimals).as_py() or 0
    if most <= to.scale:
        return texts.cast(to)
    digits = to.precision - to.scale + most
    if digits > _MAX_DIGITS:
        return without_trailing_zeros(texts).cast(to)
    if digits > MAX_PRECISION:
        return cut(texts.cast(pa.decimal256(_MAX_DIGITS, most)), to.scale).cast(to)
    return cut(texts.cast(pa.decimal128(MAX_PRECISION, most)), to.scale).cast(to)


def _arrow_decimal(precision: int, scale: int) -> pa.DataType | None:
    return pa.decimal128(precision, scale) if precision <= MAX_PRECISION and 0 <= scale <= precision else None


def _decimal_of_text(text: str) -> Decimal | None:
    stripped = text.strip(BLANKS)
    return Decimal(stripped) if _NUMBER.fullmatch(stripped) else None


def _integer_of_text(text: str, low: int, high: int) -> int | None:
    stripped = text.strip(BLANKS)
    if not _INTEGER.fullmatch(stripped):
        return None
    digits = stripped.lstrip("+-").lstrip("0")
    if len(digits) > _MAX_INTEGER_DIGITS:  # Python reads no more than 4,300
        return None
    number = int(digits or "0") * (-1 if stripped.startswith("-") else 1)
    return number if low <= number <= high else None


def _numeric_of_text(text: str, precision: int | None, scale: int) -> str | None:
    """The text of the number as COPY and Arrow read it; None where it is none, or does not fit."""
    number = _decimal_of_text(text)
    if number is None:
        special = _SPECIAL.fullmatch(text.strip(BLANKS))
        is_nan = special is not None and special[0].lower() == "nan"
        return (
            special[0] if special and (precision is None or (is_nan and not _arrow_decimal(precision, scale))) else None
        )
    if not _is_within_limits(number):
        return None
    if precision is None:
        return text.strip(BLANKS)
    if not _fits(number, precision, scale):
        return None
    plain = f"{number:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _is_within_limits(number: Decimal) -> bool:
    after = -int(number.as_tuple().exponent)
    return after <= MAX_DIGITS_AFTER and (not number or number.adjusted() < MAX_DIGITS_BEFORE)


def _fits(number: Decimal, precision: int, scale: int) -> bool:
    if not number:
        return True
    _, digits, exponent = number.as_tuple()
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return int(exponent) + zeros >= -scale and number.adjusted() < precision - scale


def _numeric_of_float(number: float, digits: int, dtype: pa.DataType) -> str | None:
    """As PostgreSQL takes a float to a numeric, with so many digits; None where that is another number."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else f"{'-' if number < 0 else ''}Infinity"
    text = f"{number:.{digits}g}"
    if pa.scalar(text).cast(dtype).as_py() != number:
        return None
    return f"{Decimal(text):f}" if number else "0"


def _float_of_text(text: str, to: pa.DataType) -> float | None:
    stripped = text.strip(BLANKS)
    if not _NUMBER.fullmatch(stripped):
        return float(stripped) if _SPECIAL.fullmatch(stripped) else None
    number: float = pa.scalar(stripped).cast(to).as_py()
    return None if math.isinf(number) or (not number and bool(Decimal(stripped))) else number
