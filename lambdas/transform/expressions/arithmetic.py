"""Operators and functions of numbers.

Integers and floats by Arrow's kernels, with PostgreSQL's errors found afterwards. Numerics by Arrow where the scale of
the result follows from the types (sums and products of numeric(p,s)), else one by one, as numeric.c does it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    ROUND_05UP,
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
)

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.conversions import FLOATS, INTEGERS
from ...shared.expression.constants import BITS, InvalidValueError, as_integer, as_numeric
from ...shared.expression.resolve import Typed
from ...shared.expression.types import BIGINT, DATE, INTERVAL, kind
from ..columns.numbers import numeric
from .evaluated import MAX_DIGITS, Evaluated, by_row, decimals, first_reason, numeric_text, refused
from .moments import add_days, add_interval

DIVISION_BY_ZERO = "division by zero"
INTEGER_TYPES = dict(zip(INTEGERS, (pa.int16(), pa.int32(), pa.int64()), strict=True))
FLOAT_TYPES = dict(zip(FLOATS, (pa.float32(), pa.float64()), strict=True))

_EXACT = Context(prec=400_000, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])  # more digits than any result has
_NBASE_DIGITS, _SIGNIFICANT_DIGITS, _MAX_SCALE = 4, 16, 1000  # numeric.c: DEC_DIGITS, MIN_SIG_DIGITS, MAX_DISPLAY_SCALE
_LARGEST_SCALE, _SMALLEST_SCALE = 16_383, -131_073


def arithmetic(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``+ - * / %`` of two numbers of one type, and of dates with integers."""
    left, right = columns
    types = [kind(argument.type) for argument in node.arguments]
    if INTERVAL in types:
        place = types.index(INTERVAL)
        return add_interval(columns[1 - place], node.arguments[place].value, -1 if node.name == "-" else 1)
    if DATE in types:
        return _date_arithmetic(node.name, types, left, right)
    if types[0] in INTEGERS:
        return _integers(node.name, types[0], left.cast(pa.int64()), right.cast(pa.int64()))
    if types[0] in FLOATS:
        return _floats(node.name, left, right)
    return _numerics(node.name, left, right)


def _date_arithmetic(name: str, types: Sequence[str], left: pa.Array, right: pa.Array) -> Evaluated:
    if types == [DATE, DATE]:
        return Evaluated(pc.subtract(left.cast(pa.int32()), right.cast(pa.int32())))
    days, number = (left, right) if types[0] == DATE else (right, left)
    return add_days(days, number if name == "+" else pc.negate(number.cast(pa.int64())))


def _integers(name: str, postgres_type: str, left: pa.Array, right: pa.Array) -> Evaluated:
    if name in ("/", "%"):
        zero = pc.equal(right, 0)
        right = pc.if_else(zero, pa.scalar(None, pa.int64()), right)
        if name == "%":
            right = pc.if_else(pc.equal(right, -1), 1, right)  # the same remainder, without an overflow
        quotient = pc.divide(left, right)
        values = quotient if name == "/" else pc.subtract(left, pc.multiply(quotient, right))
        found = _in_range(values, postgres_type)
        if name == "/" and postgres_type == BIGINT:
            overflow = pc.and_(pc.equal(right, -1), pc.equal(left, -(2**63)))
            found = refused(found.values, overflow, f"{BIGINT} out of range")
        divided = refused(found.values, zero, DIVISION_BY_ZERO)
        return Evaluated(divided.values, first_reason(divided.reasons, found.reasons))
    checked = {"+": pc.add_checked, "-": pc.subtract_checked, "*": pc.multiply_checked}[name]
    try:
        return _in_range(checked(left, right), postgres_type)
    except pa.ArrowInvalid:  # somewhere in the column a result does not fit: then one after the other
        one = _ON_INTEGERS[name]
        return by_row(
            lambda first, second: as_integer(one(first, second), postgres_type),
            INTEGER_TYPES[postgres_type],
            left.to_pylist(),
            right.to_pylist(),
        )


_ON_INTEGERS: Mapping[str, Callable[[int, int], int]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
}


def _in_range(values: pa.Array, postgres_type: str) -> Evaluated:
    """64-bit integers as the type; those that it does not have are refused."""
    if postgres_type == BIGINT:
        return Evaluated(values)
    limit = 2 ** (BITS[postgres_type] - 1)
    outside = pc.or_(pc.less(values, -limit), pc.greater_equal(values, limit))
    found = refused(values, outside, f"{postgres_type} out of range")
    return Evaluated(found.values.cast(INTEGER_TYPES[postgres_type]), found.reasons)


def _floats(name: str, left: pa.Array, right: pa.Array) -> Evaluated:
    """https://www.postgresql.org/docs/current/functions-math.html; errors as in float.h."""
    values = {"+": pc.add, "-": pc.subtract, "*": pc.multiply, "/": pc.divide}[name](left, right)
    infinite = pc.and_(pc.is_inf(values), pc.invert(pc.or_(pc.is_inf(left), pc.is_inf(right))))
    found = refused(values, infinite, "value out of range: overflow")
    if name in ("+", "-"):
        return found
    vanished = pc.and_(pc.equal(values, 0.0), pc.not_equal(left, 0.0))
    vanished = pc.and_(vanished, pc.invert(pc.is_inf(right)) if name == "/" else pc.not_equal(right, 0.0))
    small = refused(found.values, vanished, "value out of range: underflow")
    reasons = first_reason(small.reasons, found.reasons)
    if name == "/":
        zero = pc.and_(pc.equal(right, 0.0), pc.invert(pc.is_nan(left)))
        divided = refused(small.values, zero, DIVISION_BY_ZERO)
        return Evaluated(divided.values, first_reason(divided.reasons, reasons))
    return Evaluated(small.values, reasons)


def _numerics(name: str, left: pa.Array, right: pa.Array) -> Evaluated:
    by_arrow = _by_arrow(name, left, right)
    if by_arrow is not None:
        return Evaluated(by_arrow)
    if name == "/":
        columns = decimals(left), decimals(right), _scales(left), _scales(right)
        return by_row(lambda *row: numeric_text(as_numeric(_divide(*row))), pa.string(), *columns)
    operation = _ON_NUMERICS[name]
    return by_row(
        lambda one, other: numeric_text(as_numeric(operation(one, other))), pa.string(), decimals(left), decimals(right)
    )


def _scales(column: pa.Array) -> Sequence[int]:
    """How many decimals each number shows."""
    if pa.types.is_decimal(column.type):
        return [column.type.scale] * len(column)
    return [0 if text is None else len(text.partition(".")[2]) for text in column.to_pylist()]


def _by_arrow(name: str, left: pa.Array, right: pa.Array) -> pa.Array | None:
    """A sum or a product whose scale and digits follow from the types."""
    if name not in ("+", "-", "*") or not (pa.types.is_decimal(left.type) and pa.types.is_decimal(right.type)):
        return None
    one, other = left.type, right.type
    whole = max(one.precision - one.scale, other.precision - other.scale)
    digits = one.precision + other.precision if name == "*" else whole + max(one.scale, other.scale)
    if digits >= MAX_DIGITS:  # Arrow's result has one more
        return None
    wide = (pa.decimal256(one.precision, one.scale), pa.decimal256(other.precision, other.scale))
    operation = {"+": pc.add, "-": pc.subtract, "*": pc.multiply}[name]
    return operation(left.cast(wide[0]), right.cast(wide[1]))


def _add(left: Decimal, right: Decimal) -> Decimal:
    return _EXACT.add(left, right)


def _subtract(left: Decimal, right: Decimal) -> Decimal:
    return _EXACT.subtract(left, right)


def _multiply(left: Decimal, right: Decimal) -> Decimal:
    product = _EXACT.multiply(left, right)
    if product.is_finite() and _scale(product) > _LARGEST_SCALE:
        return product.quantize(_unit(_LARGEST_SCALE), ROUND_HALF_UP, _EXACT)
    return product


def _divide(left: Decimal, right: Decimal, left_scale: int, right_scale: int) -> Decimal:
    """With the scale of numeric.c's select_div_scale: 16 significant digits or more."""
    _check_divisor(left, right)
    if not left.is_finite() or right.is_nan():
        return _EXACT.divide(left, right)
    if not right.is_finite():
        return Decimal(0)
    (weight, digit), (other_weight, other_digit) = _leading(left), _leading(right)
    quotient_weight = weight - other_weight - (digit <= other_digit)
    scale = max(_SIGNIFICANT_DIGITS - quotient_weight * _NBASE_DIGITS, left_scale, right_scale, 0)
    scale = min(scale, _MAX_SCALE)
    digits = max(left.adjusted() - right.adjusted() + 1 + scale, 1) + 2
    return _rounding(digits).divide(left, right).quantize(_unit(scale), ROUND_HALF_UP, _EXACT)


@functools.lru_cache(maxsize=1024)
def _rounding(digits: int) -> Context:
    """So many digits, of which the last is never 0 or 5 by rounding: the result can be rounded a second time."""
    return Context(digits, ROUND_05UP, MIN_EMIN, MAX_EMAX, traps=[])


@functools.lru_cache(maxsize=1024)
def _unit(scale: int) -> Decimal:
    return Decimal(1).scaleb(-scale)


def _leading(number: Decimal) -> tuple[int, int]:
    """The weight and the value of the first digit in base 10000, as numeric.c stores a number."""
    if not number:
        return 0, 0
    weight = number.adjusted() // _NBASE_DIGITS
    return weight, int(number.copy_abs().scaleb(-_NBASE_DIGITS * weight, _EXACT))


def _scale(number: Decimal) -> int:
    return -int(number.as_tuple().exponent)


def _modulo(left: Decimal, right: Decimal) -> Decimal:
    _check_divisor(left, right)
    return _EXACT.remainder(left, right)


def _check_divisor(left: Decimal, right: Decimal) -> None:
    if not right and not left.is_nan():
        raise InvalidValueError(DIVISION_BY_ZERO)


_ON_NUMERICS: Mapping[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "%": _modulo,
}


def negative(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """The minus before a number."""
    return _signed(node, columns[0], pc.negate, lambda number: number.copy_negate())


def positive(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """The plus before a number, which changes nothing."""
    return Evaluated(columns[0])


def absolute(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``abs``."""
    return _signed(node, columns[0], pc.abs, lambda number: number.copy_abs())


def _signed(
    node: Typed,
    column: pa.Array,
    kernel: Callable[[pa.Array], pa.Array],
    one: Callable[[Decimal], Decimal],
) -> Evaluated:
    postgres_type = kind(node.arguments[0].type)
    if postgres_type in FLOATS:
        return Evaluated(kernel(column))
    if postgres_type in INTEGERS:
        smallest = pc.equal(column, -(2 ** (BITS[postgres_type] - 1)))
        checked = refused(column, smallest, f"{postgres_type} out of range")
        return Evaluated(kernel(checked.values), checked.reasons)
    if pa.types.is_decimal(column.type):
        return Evaluated(kernel(column))
    return by_row(
        lambda number: numeric_text(number if number.is_nan() else as_numeric(one(number))),
        pa.string(),
        decimals(column),
    )


def rounded(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``round``: of a float to the nearest, halves to even; of a numeric halves away from zero. ``trunc``: to zero."""
    is_round = node.name == "round"
    if kind(node.arguments[0].type) in FLOATS:
        return Evaluated(pc.round(columns[0], round_mode="half_to_even") if is_round else pc.trunc(columns[0]))
    rounding = ROUND_HALF_UP if is_round else ROUND_DOWN
    places = columns[1].to_pylist() if len(columns) == 2 else [0] * len(columns[0])
    return by_row(lambda number, scale: _quantized(number, scale, rounding), pa.string(), decimals(columns[0]), places)


def sign(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """-1, 0 or 1; of NaN, NaN where it is a numeric, and 0 where it is a float."""
    if kind(node.arguments[0].type) in FLOATS:
        return Evaluated(pc.if_else(pc.is_nan(columns[0]), 0.0, pc.sign(columns[0])))
    return by_row(
        lambda number: "NaN" if number.is_nan() else str((number > 0) - (number < 0)), pa.string(), decimals(columns[0])
    )


def floor(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """The largest whole number that is not above."""
    return _whole(node, columns[0], pc.floor, ROUND_FLOOR)


def ceil(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """The smallest whole number that is not below."""
    return _whole(node, columns[0], pc.ceil, ROUND_CEILING)


def _whole(node: Typed, column: pa.Array, kernel: Callable[[pa.Array], pa.Array], rounding: str) -> Evaluated:
    if kind(node.arguments[0].type) in FLOATS:
        return Evaluated(kernel(column))
    return by_row(lambda number: _quantized(number, 0, rounding), pa.string(), decimals(column))


def _quantized(number: Decimal, scale: int, rounding: str) -> str:
    """Rounded to ``scale`` decimals, which it shows; negative: to tens, hundreds, ..."""
    if not number.is_finite():
        return numeric_text(number)
    scale = max(min(scale, _LARGEST_SCALE), _SMALLEST_SCALE)
    exact = number.quantize(_unit(scale), rounding, _EXACT)
    return numeric_text(as_numeric(exact))


def rounded_to(number: Decimal, precision: int, scale: int) -> Decimal:
    """``number::numeric(precision, scale)``. Raises InvalidValueError."""
    if number.is_nan():
        return number
    if number.is_finite():
        number = as_numeric(number.quantize(_unit(scale), ROUND_HALF_UP, _EXACT))
        if number.adjusted() < precision - scale:
            return number
    raise InvalidValueError("numeric field overflow")


def as_whole(number: Decimal, postgres_type: str) -> int:
    """``number`` as an integer type, halves away from zero. Raises InvalidValueError."""
    if not number.is_finite():
        raise InvalidValueError(f"cannot convert {'NaN' if number.is_nan() else 'infinity'} to {postgres_type}")
    if number and number.adjusted() > 20:
        raise InvalidValueError(f"{postgres_type} out of range")
    return as_integer(int(number.quantize(_unit(0), ROUND_HALF_UP, _EXACT)), postgres_type)


def float_as_whole(number: float, postgres_type: str) -> int:
    """A float as an integer type, halves to even. Raises InvalidValueError."""
    if not math.isfinite(number):
        raise InvalidValueError(f"{postgres_type} out of range")
    return as_integer(round(number), postgres_type)


def fitting(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``decimal(c, p, s)``: the number, where it fits without rounding."""
    precision, _, scale = node.type.removeprefix("numeric(").removesuffix(")").partition(",")
    found = numeric(pa.chunked_array([columns[0]]), int(precision), int(scale), is_number=True)
    values = found.values.combine_chunks()
    if found.invalid is None:
        return Evaluated(values)
    return refused(values, found.invalid.combine_chunks(), f"does not fit {node.type}")
