"""Expressions evaluated on whole columns. A value that cannot be converted becomes NULL, and a fault tells why."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.arrow_types import UNREADABLE
from ...shared.expressions import Expression
from .cast import date_of_text, numeric
from .currencies import NAMES
from .rejects import Fault


@dataclass(frozen=True)
class Derived:
    """A warehouse column, the source's values that it was made of, and what is wrong with some of its rows."""

    values: pa.ChunkedArray
    origin: pa.ChunkedArray
    faults: tuple[Fault, ...] = ()


def derive(expression: Expression, rows: pa.Table, joined: Mapping[str, Joined]) -> Derived:
    """``expression`` for every row of ``rows``. ``joined``: the rows that the joins find, by table."""
    origin = joined[expression.table].rows if expression.table else rows
    column = origin[expression.column]
    faults = _unreadable(expression, origin)
    if expression.function is None:
        return Derived(column, column, faults)
    function, requirement = _FUNCTIONS[expression.function]
    values = function(column, expression)
    # A value that was there and is not any more could not be converted.
    lost = pc.and_(pc.is_valid(column), pc.is_null(values))
    reason = requirement.format(*expression.arguments)
    return Derived(values, column, (*faults, Fault(lost, named(expression), column, reason)))


def named(expression: Expression) -> str:
    """The source column that ``expression`` reads; of a join, with its table."""
    return f"{expression.table}.{expression.column}" if expression.table else expression.column


@dataclass(frozen=True)
class Joined:
    """For each row of a table, the row of another that it names: all NULL where it names none."""

    rows: pa.Table
    fault: Fault


def join(rows: pa.Table, column: str, other: pa.Table, key: str, name: str) -> Joined:
    """The rows of ``other`` (called ``name``) that ``column`` names by ``key``. One that is not there is a fault."""
    names = rows[column]
    places = pc.index_in(names.cast(other.schema.field(key).type), value_set=other[key])
    missing = pc.and_(pc.is_valid(names), pc.is_null(places))
    return Joined(other.take(places), Fault(missing, column, names, f"there is no such {name} in the source"))


def _unreadable(expression: Expression, origin: pa.Table) -> tuple[Fault, ...]:
    if UNREADABLE not in origin.column_names or origin[UNREADABLE].null_count == origin.num_rows:
        return ()
    texts = origin[UNREADABLE]
    told = pc.fill_null(pc.match_substring(texts, f'"{expression.column}":'), False)
    return (Fault(told, named(expression), texts, "the lake's type has no place for this value", untold=True),)


def _date(column: pa.ChunkedArray, expression: Expression) -> pa.ChunkedArray:
    if pa.types.is_string(column.type):
        return date_of_text(column)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us"))  # a time with time zone: its moment in UTC
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
    """The codes, and their names in the same order."""
    return pa.array(list(NAMES), pa.string()), pa.chunked_array([pa.array(list(NAMES.values()), pa.string())])


_FUNCTIONS: Mapping[str, tuple[Callable[[pa.ChunkedArray, Expression], pa.ChunkedArray], str]] = {
    "date": (_date, "not a date of the form yyyy-mm-dd"),
    "time": (_time, "not a time"),
    "decimal": (_decimal, "does not fit numeric({}, {})"),
    "currency_name": (_currency_name, "not a currency code of ISO 4217"),
}
