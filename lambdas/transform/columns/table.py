"""The conversion of source rows to the rows of one warehouse table: a pure function of Arrow tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.declarations import FACT, WarehouseTable
from .cast import cast_column
from .derive import ColumnResult, LookupResult, derive, lookup, source_name
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

    ``rows`` has the columns of the source table in the lake's types, and ``arrow_types.UNREADABLE`` where extract found
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
