"""The conversion of source rows to the rows of one warehouse table: a pure function of Arrow tables.

Each column is derived by an expression. A value that cannot be converted becomes NULL, with a DataError that says why.
Every derived column has one value per source row, in the same order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.declarations import FACT, WarehouseTable
from ...shared.expressions import EXPRESSIONS, Expression
from ...shared.lake.parquet import UNREADABLE
from .cast import cast_column, date_of_text, numeric
from .currencies import NAMES
from .rejects import REJECTS_SCHEMA, DataError, build_rejects, error_mask


@dataclass(frozen=True)
class Converted:
    """What source rows become."""

    rows: pa.Table
    """The valid rows, in the order of the source rows. One column per column of the warehouse table, in its order and,
    where the declaration has the warehouse's types, in the type that fits it."""
    rejects: pa.Table
    """One row per invalid value, with the schema ``rejects.REJECTS_SCHEMA``."""
    rejected_rows: int
    """The number of source rows that are not in ``rows``: one row may have several invalid values."""
    dates: pa.Array
    """The distinct dates (date32, unordered) in ``rows`` that the date dimension must contain: those in columns that
    refer to it, and all dates of a fact."""


def convert(
    table: WarehouseTable,
    rows: pa.Table,
    joined: Mapping[str, pa.Table],
    keys: Mapping[str, str],
    calendars: Collection[str] = (),
) -> Converted:
    """Converts ``rows`` of the source of ``table`` to rows of ``table``.

    ``rows`` has the columns of the source table in the lake's types, and ``parquet.UNREADABLE`` where extract found
    values that these cannot represent. ``joined``: for each joined source table, all its rows that ``rows`` may
    reference, each once, in the same form. ``keys``: the key column of each source table. ``calendars``: the date
    dimensions.
    """
    lookups = {name: lookup(rows, column, joined[name], keys[name], name) for name, column in table.joins.items()}
    errors = [found.error for found in lookups.values()]
    columns = {}
    for name, expression in table.columns.items():
        result = derive(expression, rows, lookups)
        columns[name], invalid = _cast(table, name, result, lookups)
        errors += [*result.errors, *invalid]
    converted, rejects, rejected_rows = pa.table(columns), REJECTS_SCHEMA.empty_table(), 0
    mask = error_mask(errors)
    if mask is not None:
        source = str(table.source)
        rejects = build_rejects(source, rows[keys[source]], errors)
        rejected_rows = pc.sum(mask).as_py()
        converted = converted.filter(pc.invert(mask))
    return Converted(converted, rejects, rejected_rows, _dates(table, converted, calendars))


def _cast(
    table: WarehouseTable, name: str, result: ColumnResult, lookups: Mapping[str, LookupResult]
) -> tuple[pa.ChunkedArray, list[DataError]]:
    """The column in the warehouse's type, and the errors in rows that the warehouse's schema would refuse."""
    wanted = table.types.get(name)
    if wanted is None:
        return result.values, []
    expression = table.columns[name]
    errors = []
    cast = cast_column(result.values, wanted.type)
    if cast.invalid is not None:
        reason = f"does not fit {table.name}.{name}, which is {wanted.type}"
        errors.append(DataError(cast.invalid, source_name(expression), result.source_column, reason))
    if wanted.required:
        reported = [error.rows for error in result.errors]
        if expression.table:
            reported.append(lookups[expression.table].error.rows)
        missing = pc.is_null(result.values)
        for rows in reported:  # a NULL that another error explains is reported by that error alone
            missing = pc.and_(missing, pc.invert(rows))
        reason = f"NULL, and {table.name}.{name} is NOT NULL"
        errors.append(DataError(missing, source_name(expression), result.source_column, reason))
    return cast.values, errors


def _dates(table: WarehouseTable, rows: pa.Table, calendars: Collection[str]) -> pa.Array:
    referring = {name for reference in table.references if reference.table in calendars for name in reference.columns}
    found = [
        pc.unique(column.cast(pa.date32(), safe=False))  # a timestamp that refers to a date is midnight
        for name, column in zip(rows.column_names, rows.columns, strict=True)
        if (name in referring and pa.types.is_temporal(column.type) and not pa.types.is_time(column.type))
        or (table.kind == FACT and pa.types.is_date(column.type))
    ]
    return pc.drop_null(pc.unique(pa.concat_arrays(found))) if found else pa.array([], pa.date32())


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
