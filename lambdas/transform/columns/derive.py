"""Evaluates expressions on columns. A value that cannot be converted becomes NULL, with a DataError that says why.

Every result has one value per row of ``rows``, in the same order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.arrow_types import UNREADABLE
from ...shared.expressions import EXPRESSIONS, Expression
from .cast import date_of_text, numeric
from .currencies import NAMES
from .rejects import DataError


@dataclass(frozen=True)
class ColumnResult:
    """A warehouse column, before it is cast to the warehouse's type."""

    values: pa.ChunkedArray
    """The column; NULL where a value could not be converted."""
    source_column: pa.ChunkedArray
    """The values of the source that ``values`` is derived from; same length and order."""
    errors: tuple[DataError, ...] = ()
    """The errors in some of the rows."""


def derive(expression: Expression, rows: pa.Table, joined: Mapping[str, LookupResult]) -> ColumnResult:
    """``expression`` for every row of ``rows``; ``joined``: the results of the lookups, by source table."""
    source_rows = joined[expression.table].rows if expression.table else rows
    column = source_rows[expression.column]
    errors = _overflow_errors(expression, source_rows)
    if expression.function is None:
        return ColumnResult(column, column, errors)
    values = _FUNCTIONS[expression.function](column, expression)
    # NULL that was not NULL before: the value could not be converted.
    failed = pc.and_(pc.is_valid(column), pc.is_null(values))
    reason = EXPRESSIONS[expression.function].refusal.format(*expression.arguments)
    return ColumnResult(values, column, (*errors, DataError(failed, source_name(expression), column, reason)))


def source_name(expression: Expression) -> str:
    """The source column that ``expression`` reads: ``column``, or ``table.column`` of a lookup."""
    return f"{expression.table}.{expression.column}" if expression.table else expression.column


@dataclass(frozen=True)
class LookupResult:
    """The rows of another table that a foreign key references."""

    rows: pa.Table
    """The referenced row of each row, in the same order; NULL in every column where there is none."""
    error: DataError
    """The rows whose foreign key references a row that does not exist."""


def lookup(rows: pa.Table, column: str, other: pa.Table, key: str, name: str) -> LookupResult:
    """Looks up the foreign key ``column`` of ``rows`` in ``other``, the rows of source table ``name``, by its ``key``.

    ``key`` is unique in ``other``.
    """
    values = rows[column]
    positions = pc.index_in(values.cast(other.schema.field(key).type), value_set=other[key])
    missing = pc.and_(pc.is_valid(values), pc.is_null(positions))
    return LookupResult(
        other.take(positions), DataError(missing, column, values, f"there is no such {name} in the source")
    )


def _overflow_errors(expression: Expression, source_rows: pa.Table) -> tuple[DataError, ...]:
    if UNREADABLE not in source_rows.column_names or source_rows[UNREADABLE].null_count == source_rows.num_rows:
        return ()
    texts = source_rows[UNREADABLE]
    affected = pc.fill_null(pc.match_substring(texts, f'"{expression.column}":'), False)
    return (
        DataError(
            affected,
            source_name(expression),
            texts,
            "the lake's type cannot represent this value",
            value_in_overflow=True,
        ),
    )


def _date(column: pa.ChunkedArray, expression: Expression) -> pa.ChunkedArray:
    if pa.types.is_string(column.type):
        return date_of_text(column)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us"))  # a timestamp with time zone: its UTC time
    return column.cast(pa.date32())


def _time(column: pa.ChunkedArray, expression: Expression) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("us")).cast(pa.time64("us"))


def _decimal(column: pa.ChunkedArray, expression: Expression) -> pa.ChunkedArray:
    precision, scale = expression.arguments
    return numeric(column, precision, scale).values


def _currency_name(column: pa.ChunkedArray, expression: Expression) -> pa.ChunkedArray:
    codes, names = _currencies()
    return names.take(pc.index_in(column, value_set=codes))


@functools.cache
def _currencies() -> tuple[pa.Array, pa.ChunkedArray]:
    """The codes, and the values of the currencies in the same order."""
    return pa.array(list(NAMES), pa.string()), pa.chunked_array([pa.array(list(NAMES.values()), pa.string())])


_FUNCTIONS: Mapping[str, Callable[[pa.ChunkedArray, Expression], pa.ChunkedArray]] = {  # one for each of EXPRESSIONS
    "date": _date,
    "time": _time,
    "decimal": _decimal,
    "currency_name": _currency_name,
}
