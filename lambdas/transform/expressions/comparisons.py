"""Comparisons. NaN equals NaN and is above every number; texts are compared by their code points (collation "C")."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.expression.resolve import Typed
from ...shared.expression.types import BPCHAR, kind
from .evaluated import Evaluated, decimals, same_scale

_KERNELS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": pc.equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def comparison(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``= <> < <= > >=`` of two values of one type."""
    return Evaluated(compared(node.name, kind(node.arguments[0].type), *columns))


def compared(name: str, postgres_type: str, left: pa.Array, right: pa.Array) -> pa.Array:
    """Booleans: ``left`` ``name`` ``right``."""
    if postgres_type == "numeric":
        scaled = same_scale(left, right)
        if scaled is None:
            return _numerics(name, decimals(left), decimals(right))
        left, right = scaled
    elif postgres_type == BPCHAR:
        left, right = pc.utf8_rtrim(left, " "), pc.utf8_rtrim(right, " ")
    elif pa.types.is_boolean(left.type):
        left, right = left.cast(pa.int8()), right.cast(pa.int8())
    elif pa.types.is_floating(left.type) and _has_nan(left, right):
        # NaN above infinity: compared by whether they are NaN first.
        found = _KERNELS[name](pc.if_else(pc.is_nan(left), 1, 0), pc.if_else(pc.is_nan(right), 1, 0))
        both = pc.and_(pc.invert(pc.is_nan(left)), pc.invert(pc.is_nan(right)))
        return pc.if_else(both, _KERNELS[name](left, right), found)
    return _KERNELS[name](left, right)


def _has_nan(*columns: pa.Array) -> bool:
    return any(pc.any(pc.is_nan(column)).as_py() for column in columns)


def _numerics(name: str, left: Sequence[Decimal | None], right: Sequence[Decimal | None]) -> pa.Array:
    apply = _OPERATORS[name]
    values = [
        None if one is None or other is None else apply(_ordered(one), _ordered(other))
        for one, other in zip(left, right, strict=True)
    ]
    return pa.array(values, pa.bool_())


def _ordered(number: Decimal) -> tuple[bool, Decimal]:
    """A NaN is above every other number, and equal to a NaN."""
    return (True, Decimal(0)) if number.is_nan() else (False, number)
