"""The conversion of source rows to the rows of one warehouse table: a pure function of Arrow tables.

Each column is derived by an expression. A value that cannot be converted becomes NULL, with a DataError that says why.
Every derived column has one value per source row, in the same order.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.conversions import DATES, NUMBERS, base_type, result_type
from ...shared.declarations import FACT, WarehouseTable
from ...shared.expression import resolve as resolution
from ...shared.expression.tree import ExpressionError, Node
from ...shared.expressions import EXPRESSIONS, ColumnExpression, Expression, SqlExpression
from ...shared.lake.parquet import UNREADABLE
from ...shared.postgres_text import key_texts, postgres_text
from ..expressions.evaluate import evaluate
from .cast import cast_column
from .currencies import NAMES
from .numbers import canonical, numeric
from .rejects import REJECTS_SCHEMA, DataError, build_rejects, error_mask
from .source_rows import SourceRows, unreadable_texts
from .times import TIMESTAMP, date_of_text


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
    unmatched: pa.Table | None = None
    """The key columns of the source rows that do not meet the table's condition; None where it has none."""


def convert(
    table: WarehouseTable,
    source: SourceRows,
    joined: Mapping[str, SourceRows],
    keys: Mapping[str, tuple[str, ...]],
    calendars: Collection[str] = (),
) -> Converted:
    """Converts ``source``, rows of the source of ``table``, to rows of ``table``.

    They have the columns of the source table in the lake's types, and ``arrow_types.UNREADABLE`` where extract found
    values that these cannot represent. ``joined``: for each joined source table, all its rows that ``source`` may
    reference, each once, in the same form. ``keys``: the key's columns of each source table. ``calendars``: the date
    dimensions.
    """
    lookups = {name: lookup(source, column, joined[name], keys[name][0], name) for name, column in table.joins.items()}
    errors: list[DataError] = []
    unmatched = None
    if table.where is not None:
        matching, errors = _matching(table.where, source, lookups)
        unmatched = source.rows.filter(pc.invert(matching)).select(list(keys[str(table.source)]))
        source = SourceRows(source.rows.filter(matching), source.types)
        lookups = {name: _kept(found, matching) for name, found in lookups.items()}
    errors += [found.error for found in lookups.values()]
    for column in table.joins.values():  # its text names a row, and its NULL would name none
        errors += _overflow_errors(column, column, source.rows)
    columns = {}
    for name, expression in table.columns.items():
        result = derive(expression, source, lookups)
        columns[name], invalid = _cast(table, name, result, lookups)
        errors += [*result.errors, *invalid]
    converted, rejects, rejected_rows = pa.table(columns), REJECTS_SCHEMA.empty_table(), 0
    mask = error_mask(errors)
    if mask is not None:
        rejects = build_rejects(str(table.source), _key_texts(table, source, converted, keys), errors)
        rejected_rows = pc.sum(mask).as_py()
        converted = converted.filter(pc.invert(mask))
    return Converted(converted, rejects, rejected_rows, _dates(table, converted, calendars), unmatched)


def _matching(
    condition: SqlExpression, source: SourceRows, lookups: Mapping[str, LookupResult]
) -> tuple[pa.ChunkedArray, list[DataError]]:
    """The rows that ``condition`` is true of, and those of which it cannot be computed; with the errors of these.

    A row that names a missing row of a joined table is among the latter, where the condition reads that table.
    """
    found = _computed(condition, source, lookups, resolution.resolve_condition)
    read = {table for table, _ in condition.reads if table}
    faults = error_mask([*found.errors, *(lookups[table].error for table in sorted(read))])
    matching = pc.fill_null(found.values.cast(pa.bool_()), False)
    if faults is None:
        return matching, []
    matching = pc.or_(matching, faults)
    errors = [
        replace(error, rows=error.rows.filter(matching), values=error.values.filter(matching)) for error in found.errors
    ]
    return matching, errors


def _kept(found: LookupResult, rows: pa.ChunkedArray) -> LookupResult:
    """What a lookup found, of these ``rows`` alone."""
    kept = SourceRows(found.found.rows.filter(rows), found.found.types)
    return LookupResult(kept, _kept_error(found.error, rows))


def _kept_error(error: DataError, rows: pa.ChunkedArray) -> DataError:
    return replace(error, rows=error.rows.filter(rows), values=error.values.filter(rows))


def _key_texts(
    table: WarehouseTable, source: SourceRows, converted: pa.Table, keys: Mapping[str, tuple[str, ...]]
) -> pa.ChunkedArray:
    """The keys as the warehouse writes them, or the source where the warehouse's type has no such value."""
    columns = []
    for key, own in zip(table.keys, keys[str(table.source)], strict=True):
        texts = postgres_text(source.rows[own], source.types[own])
        if texts.null_count:
            texts = pc.coalesce(texts, unreadable_texts(source.rows, own))
        if key in table.types:
            texts = pc.coalesce(postgres_text(converted[key], table.types[key].type), texts)
        columns.append(texts)
    return key_texts(columns)


def _cast(
    table: WarehouseTable, name: str, result: ColumnResult, lookups: Mapping[str, LookupResult]
) -> tuple[pa.ChunkedArray, list[DataError]]:
    """The column in the warehouse's type, and the errors in rows that the warehouse's schema would refuse."""
    wanted = table.types.get(name)
    if wanted is None:
        return result.values, []
    expression = table.columns[name]
    errors = []
    cast = cast_column(result.values, result.type, wanted.type)
    if cast.invalid is not None:
        reason = f"does not fit {table.name}.{name}, which is {wanted.type}"
        errors.append(DataError(cast.invalid, source_name(expression), result.source_column, reason))
    if wanted.required:
        reported = [error.rows for error in result.errors]
        reported += [lookups[read].error.rows for read, _ in expression.reads if read]
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
    type: str
    """The PostgreSQL type of ``values``."""
    source_column: pa.ChunkedArray
    """The values of the source that ``values`` is derived from; same length and order."""
    errors: tuple[DataError, ...] = ()
    """The errors in some of the rows."""


def derive(expression: ColumnExpression, source: SourceRows, joined: Mapping[str, LookupResult]) -> ColumnResult:
    """``expression`` for every row of ``source``; ``joined``: the results of the lookups, by source table."""
    if isinstance(expression, SqlExpression):
        return _computed(expression, source, joined)
    read = joined[expression.table].found if expression.table else source
    column, column_type = read.rows[expression.column], read.types[expression.column]
    errors = _overflow_errors(source_name(expression), expression.column, read.rows)
    derived = result_type(expression, column_type)
    if expression.function is None:
        return ColumnResult(column, derived, column, errors)
    values = _FUNCTIONS[expression.function](column, column_type, expression)
    # NULL that was not NULL before: the value could not be converted.
    failed = pc.and_(pc.is_valid(column), pc.is_null(values))
    reason = EXPRESSIONS[expression.function].refusal.format(*expression.arguments)
    return ColumnResult(values, derived, column, (*errors, DataError(failed, source_name(expression), column, reason)))


Resolve = Callable[[Node, resolution.TypeOf], resolution.Typed]


def _computed(
    expression: SqlExpression,
    source: SourceRows,
    joined: Mapping[str, LookupResult],
    resolve: Resolve = resolution.resolve,
) -> ColumnResult:
    """As ``derive``. A row that PostgreSQL could not compute has an error with the values that the expression reads."""

    def rows_of(path: tuple[str, ...]) -> SourceRows:
        return joined[path[0]].found if len(path) > 1 else source

    count = source.rows.num_rows
    inputs = [Expression(column, read) for read, column in expression.reads]
    columns = [rows_of((read, name) if read else (name,)).rows[name] for read, name in expression.reads]
    errors = [
        error
        for read in inputs
        for error in _overflow_errors(
            source_name(read), read.column, rows_of((read.table, "") if read.table else ("",)).rows
        )
    ]
    try:
        typed = resolve(expression.tree, lambda path: rows_of(path).types[path[-1]])
    except ExpressionError as error:  # extract refuses it; the types of an older batch may still not fit
        values, kind = pa.chunked_array([pa.nulls(count, pa.string())]), "text"
        reasons = pa.chunked_array([pa.repeat(pa.scalar(str(error)), count)])
    else:
        values, reasons = evaluate(typed, lambda path: rows_of(path).rows[path[-1]], count)
        kind = typed.type
    if reasons is not None:
        texts = _inputs(inputs, columns, count)
        errors += [
            DataError(pc.fill_null(pc.equal(reasons, reason), False), str(expression), texts, reason)
            for reason in pc.unique(reasons).drop_null().to_pylist()
        ]
    return ColumnResult(values, kind, values, tuple(errors))


def _inputs(reads: Sequence[Expression], columns: Sequence[pa.ChunkedArray], count: int) -> pa.ChunkedArray:
    """What an expression was computed of, a text for each row: ``price = 1.50, quantity = 0``."""
    parts: list[Any] = []
    for read, column in zip(reads, columns, strict=True):
        parts += [f", {source_name(read)} = " if parts else f"{source_name(read)} = ", postgres_text(column)]
    filled = [part if isinstance(part, str) else pc.fill_null(part, "NULL") for part in parts]
    if not filled:
        return pa.chunked_array([pa.nulls(count, pa.string())])
    return pc.binary_join_element_wise(*filled, "")


def source_name(expression: ColumnExpression) -> str:
    """The source column that ``expression`` reads: ``column``, or ``table.column`` of a lookup; of SQL its text."""
    if isinstance(expression, SqlExpression):
        return str(expression)
    return f"{expression.table}.{expression.column}" if expression.table else expression.column


@dataclass(frozen=True)
class LookupResult:
    """The rows of another table that a foreign key references."""

    found: SourceRows
    """The referenced row of each row, in the same order; NULL in every column where there is none."""
    error: DataError
    """The rows whose foreign key references a row that does not exist."""


def lookup(source: SourceRows, column: str, other: SourceRows, key: str, name: str) -> LookupResult:
    """Looks up the foreign key ``column`` of ``source`` in ``other``, rows of the table ``name``, by its ``key``.

    ``key`` is unique in ``other``. A value that no value of the key's type equals references nothing.
    """
    values = source.rows[column]
    mine, theirs = _comparable((values, source.types[column]), (other.rows[key], other.types[key]))
    positions = pc.index_in(mine, value_set=theirs, skip_nulls=True)
    missing = pc.and_(pc.is_valid(values), pc.is_null(positions))
    return LookupResult(
        SourceRows(other.rows.take(positions), other.types),
        DataError(missing, column, values, f"there is no such {name} in the source"),
    )


def refers(source: SourceRows, column: str, other: SourceRows, key: str) -> pa.ChunkedArray:
    """Booleans, one for each row of ``source``: whether ``column`` has the ``key`` of a row of ``other``."""
    mine, theirs = _comparable((source.rows[column], source.types[column]), (other.rows[key], other.types[key]))
    return pc.and_(pc.is_valid(mine), pc.is_in(mine, value_set=theirs))


Typed = tuple[pa.ChunkedArray, str]


def _comparable(one: Typed, other: Typed) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Two columns in one type of Arrow, in which two values are equal where PostgreSQL takes them for equal.

    A text and a value of another type are equal where the text is how PostgreSQL writes the value.
    """
    kinds = {base_type(one[1]), base_type(other[1])}
    if one[0].type == other[0].type and one[0].type in _COMPARED_AS_THEY_ARE:
        return one[0], other[0]
    if kinds <= set(NUMBERS):
        if pa.types.is_integer(one[0].type) and pa.types.is_integer(other[0].type):
            return one[0].cast(pa.int64()), other[0].cast(pa.int64())
        return canonical(one[0]), canonical(other[0])
    if kinds <= set(DATES):
        return one[0].cast(TIMESTAMP), other[0].cast(TIMESTAMP)
    return postgres_text(*one), postgres_text(*other)


_COMPARED_AS_THEY_ARE = (pa.int16(), pa.int32(), pa.int64(), pa.bool_(), pa.date32(), TIMESTAMP)


def _overflow_errors(name: str, column: str, source_rows: pa.Table) -> tuple[DataError, ...]:
    """``name``: of ``column`` in a message."""
    if UNREADABLE not in source_rows.column_names or source_rows[UNREADABLE].null_count == source_rows.num_rows:
        return ()
    texts = source_rows[UNREADABLE]
    affected = pc.fill_null(pc.match_substring(texts, f"{json.dumps(column, ensure_ascii=False)}:"), False)
    return (
        DataError(
            affected,
            name,
            texts,
            "the lake's type cannot represent this value",
            overflow=column,
        ),
    )


def _date(column: pa.ChunkedArray, column_type: str, expression: Expression) -> pa.ChunkedArray:
    if pa.types.is_string(column.type):
        return date_of_text(postgres_text(column, column_type))
    if pa.types.is_timestamp(column.type):
        column = column.cast(TIMESTAMP)  # a timestamp with time zone: its UTC time
    return column.cast(pa.date32())


def _time(column: pa.ChunkedArray, column_type: str, expression: Expression) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("us")).cast(pa.time64("us"))


def _decimal(column: pa.ChunkedArray, column_type: str, expression: Expression) -> pa.ChunkedArray:
    precision, scale = expression.arguments
    return numeric(column, precision, scale, is_number=True).values


def _currency_name(column: pa.ChunkedArray, column_type: str, expression: Expression) -> pa.ChunkedArray:
    codes, names = _currencies()
    return names.take(pc.index_in(postgres_text(column, column_type), value_set=codes))


@functools.cache
def _currencies() -> tuple[pa.Array, pa.ChunkedArray]:
    """The codes, and the values of the currencies in the same order."""
    return pa.array(list(NAMES), pa.string()), pa.chunked_array([pa.array(list(NAMES.values()), pa.string())])


_FUNCTIONS: Mapping[
    str, Callable[[pa.ChunkedArray, str, Expression], pa.ChunkedArray]
] = {  # one for each of EXPRESSIONS
    "date": _date,
    "time": _time,
    "decimal": _decimal,
    "currency_name": _currency_name,
}
