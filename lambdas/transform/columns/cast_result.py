"""The result of a cast, and the steps that casts share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

BLANKS = " \t\n\r\v\f"  # what PostgreSQL ignores around a number


@dataclass(frozen=True)
class CastResult:
    """The result of a cast."""

    values: pa.ChunkedArray
    """The column in the wanted type, NULL where a value is invalid; same length and order as before."""
    invalid: pa.ChunkedArray | None = None
    """Booleans, one per value: true where the value does not fit the type. None: all values fit."""


def keep(values: pa.ChunkedArray, fits: pa.ChunkedArray, to: pa.DataType) -> CastResult:
    """The values that fit, cast to ``to``; the others are invalid."""
    invalid = pc.and_(pc.is_valid(values), pc.invert(pc.fill_null(fits, False)))
    return CastResult(pc.if_else(invalid, pa.scalar(None, values.type), values).cast(to), invalid)


def all_invalid(values: pa.ChunkedArray, to: pa.DataType) -> CastResult:
    """No cast exists between the two types: every value but NULL is invalid."""
    return CastResult(pa.chunked_array([pa.nulls(len(values), to)]), pc.is_valid(values))


def parse(values: pa.ChunkedArray, read: Callable[[Any], Any], to: pa.DataType) -> CastResult:
    """Each value as ``read`` reads it, which returns None for an invalid one. Each distinct value is read once."""
    distinct = pc.unique(pc.drop_null(values))
    found = pa.array([read(value) for value in distinct.to_pylist()], to)
    result = pa.chunked_array([found.take(pc.index_in(chunk, value_set=distinct)) for chunk in values.chunks], to)
    return CastResult(result, pc.and_(pc.is_valid(values), pc.is_null(result)))


def then(first: CastResult, following: Callable[[pa.ChunkedArray], CastResult]) -> CastResult:
    """The result of a cast cast again: a value is invalid that is invalid in either."""
    second = following(first.values)
    if first.invalid is None or second.invalid is None:
        return CastResult(second.values, first.invalid if second.invalid is None else second.invalid)
    return CastResult(second.values, pc.or_(first.invalid, second.invalid))
