"""Whether the SQL of the declarations fits the types of the source: asked by `plan`, where it can read the source, and
by extract before each batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..conversions import refusal
from ..model.declarations import Declarations, WarehouseTable
from ..model.expressions import SqlExpression
from .resolve import resolve, resolve_condition
from .tree import ExpressionError

SourceTypes = Mapping[str, Mapping[str, str]]
"""Source table -> column -> PostgreSQL type."""


def refused_expressions(declarations: Declarations, types: SourceTypes) -> Iterator[str]:
    """One sentence for each column and each filter that PostgreSQL refuses, is not in the closed list, or does not fit.

    Expressions that read a table or a column that is not in ``types`` are not checked.
    """
    for table in declarations.warehouse.values():
        if table.where is not None and _is_known(table, table.where, types):
            yield from _refused_filter(table, table.where, types)
        for name, expression in table.columns.items():
            if isinstance(expression, SqlExpression) and _is_known(table, expression, types):
                yield from _refused_column(table, name, expression, types)


def _is_known(table: WarehouseTable, expression: SqlExpression, types: SourceTypes) -> bool:
    return all(column in types.get(table.table_of(read), {}) for read, column in expression.reads)


def _refused_filter(table: WarehouseTable, condition: SqlExpression, types: SourceTypes) -> Iterator[str]:
    try:
        resolve_condition(condition.tree, lambda path: _type_of(table, types, path))
    except ExpressionError as error:
        yield f"The filter of {table.name}, where = {str(condition)!r}, cannot be computed: {error}."


def _refused_column(table: WarehouseTable, name: str, expression: SqlExpression, types: SourceTypes) -> Iterator[str]:
    try:
        found = result_type(table, expression, types)
    except ExpressionError as error:
        yield f"The column {table.name}.{name} = {str(expression)!r} cannot be computed: {error}."
        return
    reason = refusal(found, table.types[name].type) if name in table.types else None
    if reason is not None:
        yield (
            f"The column {table.name}.{name} = {str(expression)!r} is of type {found} and cannot be stored in "
            f"{table.types[name].type}: {reason}."
        )


def result_type(table: WarehouseTable, expression: SqlExpression, types: SourceTypes) -> str:
    """The PostgreSQL type of a column of ``table``. Raises ExpressionError."""
    return resolve(expression.tree, lambda path: _type_of(table, types, path)).type


def _type_of(table: WarehouseTable, types: SourceTypes, path: tuple[str, ...]) -> str:
    return types[table.table_of(path[0] if len(path) > 1 else None)][path[-1]]
