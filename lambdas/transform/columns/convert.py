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

from ...shared.conversions import result_type
from ...shared.expression import resolve as resolution
from ...shared.expression.tree import ExpressionError, Node, without_columns
from ...shared.lake.parquet import UNREADABLE, arrow_type
from ...shared.model.declarations import FACT, WarehouseTable
from ...shared.model.expressions import EXPRESSIONS, ColumnExpression, Expression, SqlExpression
from ...shared.postgres_text import key_texts, postgres_text
from ..expressions.evaluate import evaluate
from .cast import cast_column
from .cast_result import CastResult
from .currencies import NAMES
from .lookup import LookupResult, look_up
from .numbers import numeric
from .rejects import REJECTS_SCHEMA, DataError, build_rejects, error_mask, filter_error
from .source_rows import ABSENT, SourceRows, unreadable_texts
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
    reference along the joins, each once, in the same form. ``keys``: the key's columns of each source table.
    ``calendars``: the date dimensions.
    """
    lookups = look_up(table.joins, source, joined, keys)
    filtered: list[DataError] = []
    unmatched = None
    if table.where is not None:
        matching, filtered = _matching(table, table.where, source, lookups)
        unmatched = source.rows.filter(pc.invert(matching)).select(list(keys[str(table.source)]))
        source = SourceRows(source.rows.filter(matching), source.types)
        lookups = {alias: found.filter(matching) for alias, found in lookups.items()}
    errors = _unreadable_references(table, source, lookups)
    columns = {}
    for name, expression in table.columns.items():
        result = derive(expression, source, lookups)
        columns[name], invalid = _cast(table, name, result, lookups)
        errors += [*result.errors, *invalid]
    errors = [*filtered, *_dangling(table, columns, lookups), *errors]
    converted, rejects, rejected_rows = pa.table(columns), REJECTS_SCHEMA.empty_table(), 0
    mask = error_mask(errors)
    if mask is not None:
        rejects = build_rejects(str(table.source), _key_texts(table, source, converted, keys), errors)
        rejected_rows = pc.sum(mask).as_py()
        converted = converted.filter(pc.invert(mask))
    return Converted(converted, rejects, rejected_rows, _dates(table, converted, calendars), unmatched)


def _matching(
    table: WarehouseTable, condition: SqlExpression, source: SourceRows, lookups: Mapping[str, LookupResult]
) -> tuple[pa.ChunkedArray, list[DataError]]:
    """The rows that ``condition`` is true of, and those of which it cannot be computed; with the errors of these.

    A row that names a missing row of a joined table has NULL in that table's columns. One whose reference the lake
    cannot represent is among the latter, where the condition reads a joined table.
    """
    found = _computed(condition, source, lookups, resolution.resolve_condition)
    reads_joined = any(alias for alias, _ in condition.reads)
    unreadable = _unreadable_references(table, source, lookups) if reads_joined else []
    faults = error_mask([*found.errors, *unreadable])
    matching = pc.fill_null(found.values.cast(pa.bool_()), False)
    if faults is None:
        return matching, []
    matching = pc.or_(matching, faults)
    return matching, [filter_error(error, matching) for error in found.errors]


def _unreadable_references(
    table: WarehouseTable, source: SourceRows, lookups: Mapping[str, LookupResult]
) -> list[DataError]:
    """The rows with references that the lake cannot represent: their text names a row, and their NULL would not."""
    errors: list[DataError] = []
    for join in table.joins.values():
        rows = lookups[join.parent].found if join.parent else source
        for column in join.on:
            errors += _overflow_errors(f"{join.parent}.{column}" if join.parent else column, column, rows.rows)
    return errors


def _dangling(
    table: WarehouseTable, columns: Mapping[str, pa.ChunkedArray], lookups: Mapping[str, LookupResult]
) -> list[DataError]:
    """The rows whose foreign keys reference a row that does not exist, of which a NOT NULL column needs a value."""
    found: dict[tuple[str, str], DataError] = {}
    for name in table.required:
        for alias in dict.fromkeys(alias for alias, _ in table.columns[name].reads if alias):
            for error in lookups[alias].dangling:
                known = found.get((error.column, error.reason))
                rows = pc.and_(error.rows, pc.is_null(columns[name]))
                found[error.column, error.reason] = replace(error, rows=pc.or_(known.rows, rows) if known else rows)
    return list(found.values())


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
    absent = result.type == ABSENT
    if absent:
        cast = CastResult(pa.chunked_array([pa.nulls(len(result.values), arrow_type(wanted.type))]))
    else:
        cast = cast_column(result.values, result.type, wanted.type)
    if cast.invalid is not None:
        reason = f"does not fit {table.name}.{name}, which is {wanted.type}"
        errors.append(DataError(cast.invalid, source_name(expression), result.source_column, reason))
    if wanted.required:
        reported = [error.rows for error in result.errors]
        reported += [lookups[read].is_dangling for read, _ in expression.reads if read]
        missing = pc.is_null(result.values)
        for rows in reported:  # a NULL that another error explains is reported by that error alone
            missing = pc.and_(missing, pc.invert(rows))
        since = ", as the source had no such column then" if absent else ""
        reason = f"NULL{since}, and {table.name}.{name} is NOT NULL"
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
    """``expression`` for every row of ``source``; ``joined``: the results of the lookups, by alias."""
    if isinstance(expression, SqlExpression):
        return _computed(expression, source, joined)
    read = joined[expression.table].found if expression.table else source
    column, column_type = read.rows[expression.column], read.types[expression.column]
    errors = _overflow_errors(source_name(expression), expression.column, read.rows)
    if column_type == ABSENT:
        return ColumnResult(column, ABSENT, column)
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
        tree = without_columns(expression.tree, lambda path: rows_of(path).types[path[-1]] == ABSENT)
        typed = resolve(tree, lambda path: rows_of(path).types[path[-1]])
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
