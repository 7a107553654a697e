"""Expressions evaluated on whole columns. A value that cannot be converted becomes NULL and is marked with a reason."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from lambdas.shared.columns import UNREADABLE
from lambdas.shared.expressions import MAX_PRECISION, Expression
from lambdas.transform.currencies import NAMES

_DAY = "%Y-%m-%d"


@dataclass(frozen=True)
class Fault:
    """Where ``rows`` is true, ``reason`` keeps the row out of the warehouse."""

    rows: pa.ChunkedArray
    reason: str


@dataclass(frozen=True)
class Derived:
    """A warehouse column, and what is wrong with some of its rows."""

    values: pa.ChunkedArray
    faults: tuple[Fault, ...] = ()


def derive(expression: Expression, rows: pa.Table, joined: Mapping[str, Joined]) -> Derived:
    """``expression`` for every row of ``rows``. ``joined``: the rows that the joins find, by table."""
    origin = joined[expression.table].rows if expression.table else rows
    column = origin[expression.column]
    faults = _unreadable(expression, origin)
    if expression.function is None:
        return Derived(column, faults)
    derived = _FUNCTIONS[expression.function](column, expression)
    return Derived(derived.values, (*faults, *derived.faults))


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
    return Joined(other.take(places), Fault(missing, f"{column}: there is no such {name} in the source"))


def _unreadable(expression: Expression, origin: pa.Table) -> tuple[Fault, ...]:
    if UNREADABLE not in origin.column_names or origin[UNREADABLE].null_count == origin.num_rows:
        return ()
    told = pc.fill_null(pc.match_substring(origin[UNREADABLE], f'"{expression.column}":'), False)
    return (Fault(told, f"{expression}: the value has no place in the lake's type (see {UNREADABLE})"),)


def _date(column: pa.ChunkedArray, expression: Expression) -> Derived:
    if pa.types.is_string(column.type):
        return _date_of_text(column, expression)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us"))  # a time with time zone: its moment in UTC
    return Derived(column.cast(pa.date32()))


def _date_of_text(column: pa.ChunkedArray, expression: Expression) -> Derived:
    """Dates are few and rows are many: each distinct text is read once."""
    texts = pc.unique(column)
    moments = pc.strptime(texts, format=_DAY, unit="s", error_is_null=True)
    # strptime takes '2023-2-3', and turns 30 February into 2 March: only what is written back the same is a date.
    exact = pc.and_kleene(pc.equal(pc.strftime(moments, format=_DAY), texts), pc.greater_equal(texts, "0001-01-01"))
    days = pc.if_else(pc.fill_null(exact, False), moments, pa.scalar(None, moments.type)).cast(pa.date32())
    values = days.take(pc.index_in(column, value_set=texts))
    return _checked(column, values, f"{expression}: not a date of the form yyyy-mm-dd")


def _time(column: pa.ChunkedArray, expression: Expression) -> Derived:
    return Derived(column.cast(pa.timestamp("us")).cast(pa.time64("us")))


def _decimal(column: pa.ChunkedArray, expression: Expression) -> Derived:
    precision, scale = expression.arguments
    if pa.types.is_integer(column.type):
        column = column.cast(pa.decimal128(20, 0))
    fits = pc.equal(pc.round(column, ndigits=scale), column) if column.type.scale > scale else pc.is_valid(column)
    whole_digits = precision - scale
    if column.type.precision - column.type.scale > whole_digits:
        limit = pa.scalar(Decimal(10) ** whole_digits, column.type)
        fits = pc.and_(fits, pc.less(pc.abs(column), limit))
    values = pc.if_else(fits, column, pa.scalar(None, column.type))
    # By way of the widest type: a direct cast checks the digits before those that are all zero are cut.
    wide = values.cast(pa.decimal128(MAX_PRECISION, column.type.scale)).cast(pa.decimal128(MAX_PRECISION, scale))
    return _checked(column, wide.cast(pa.decimal128(precision, scale)), f"{expression}: does not fit")


def _currency_name(column: pa.ChunkedArray, expression: Expression) -> Derived:
    codes, names = _currencies()
    values = names.take(pc.index_in(column, value_set=codes))
    return _checked(column, values, f"{expression}: not a currency code of ISO 4217")


def _checked(column: pa.ChunkedArray, values: pa.Array | pa.ChunkedArray, reason: str) -> Derived:
    """A value that was there and is not any more could not be converted."""
    return Derived(values, (Fault(pc.and_(pc.is_valid(column), pc.is_null(values)), reason),))


@functools.cache
def _currencies() -> tuple[pa.Array, pa.ChunkedArray]:
    """The codes, and their names in the same order."""
    return pa.array(list(NAMES), pa.string()), pa.chunked_array([pa.array(list(NAMES.values()), pa.string())])


_FUNCTIONS = {"date": _date, "time": _time, "decimal": _decimal, "currency_name": _currency_name}
