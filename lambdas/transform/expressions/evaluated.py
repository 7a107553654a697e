"""The result of an operation on a column, and what the operations share.

An operation takes and returns whole columns (``pa.Array``) of the same length and order. Where PostgreSQL would raise
an error for a row, its value is NULL and the reason is beside it. A numeric is a decimal where every value has the same
scale by its type, otherwise the text that PostgreSQL writes: each value shows its own scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.expression.constants import InvalidValueError
from ...shared.expression.resolve import Typed
from ...shared.postgres_text import postgres_text

MAX_DIGITS = 76  # of Arrow's decimal256
NO_REASON = pa.scalar(None, pa.string())


@dataclass(frozen=True)
class Evaluated:
    """A column, and why some rows have no value."""

    values: pa.Array
    reasons: pa.Array | None = None
    """Strings, one per row: why the row cannot be computed, NULL where it can. None: every row can."""


Kernel = Callable[[Typed, Sequence[pa.Array]], Evaluated]
"""Computes an operation; of a strict one every argument that is NULL makes the row NULL."""


def by_row(function: Callable[..., Any], to: pa.DataType, *columns: Sequence[Any]) -> Evaluated:
    """``function`` of each row of ``columns``; NULL where one of them is. It may raise InvalidValueError."""
    values: list[Any] = []
    reasons: dict[int, str] = {}
    for row in zip(*columns, strict=True):
        if any(value is None for value in row):
            values.append(None)
            continue
        try:
            values.append(function(*row))
        except InvalidValueError as error:
            reasons[len(values)] = str(error)
            values.append(None)
    if not reasons:
        return Evaluated(pa.array(values, to))
    return Evaluated(
        pa.array(values, to), pa.array([reasons.get(number) for number in range(len(values))], pa.string())
    )


def refused(values: pa.Array, where: pa.Array, reason: str) -> Evaluated:
    """``values``, where the rows of ``where`` have the ``reason`` instead."""
    where = pc.fill_null(where, False)
    if not pc.any(where).as_py():
        return Evaluated(values)
    return Evaluated(
        pc.if_else(where, pa.scalar(None, values.type), values),
        pc.if_else(where, pa.scalar(reason, pa.string()), NO_REASON),
    )


def first_reason(*found: pa.Array | None) -> pa.Array | None:
    """Of each row the first reason that there is."""
    given = [reasons for reasons in found if reasons is not None]
    return pc.coalesce(*given) if given else None


def decimals(column: pa.Array) -> list[Decimal | None]:
    """A numeric column as Python's numbers, each with the scale that it shows."""
    return [None if number is None else Decimal(number) for number in column.to_pylist()]


def numeric_text(number: Decimal) -> str:
    """As PostgreSQL writes it."""
    return f"{number:f}"


def numeric_texts(column: pa.Array) -> pa.Array:
    """A numeric column as the texts that PostgreSQL writes."""
    return postgres_text(pa.chunked_array([column])).combine_chunks()


def same_scale(*columns: pa.Array) -> list[pa.Array] | None:
    """Decimals as decimals of one type, exactly; None where one is text, or Arrow's digits are not enough."""
    if not all(pa.types.is_decimal(column.type) for column in columns):
        return None
    scale = max(column.type.scale for column in columns)
    digits = max(column.type.precision - column.type.scale for column in columns) + scale
    if digits > MAX_DIGITS:
        return None
    to = pa.decimal256(digits, scale)
    return [column if column.type == to else column.cast(to) for column in columns]


def unified(columns: Sequence[pa.Array]) -> list[pa.Array]:
    """Columns of one PostgreSQL type as one Arrow type: numerics of different scales as text."""
    if len({column.type for column in columns}) == 1:
        return list(columns)
    return [numeric_texts(column) for column in columns]
