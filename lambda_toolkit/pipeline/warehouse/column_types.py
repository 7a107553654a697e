"""What config/warehouse.sql declares: the types of columns, which must not be NULL, and the foreign keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.lambdas.shared.conversions import modifiers, refusal, unfit_key, unsupported
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.expression import tree
from lambda_toolkit.pipeline.lambdas.shared.model.calendar import ATTRIBUTES, LONGEST_TEXTS
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations, WarehouseTable, parse
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import SqlExpression
from lambda_toolkit.pipeline.lambdas.shared.model.history import VALID_TO, VALIDITY
from lambda_toolkit.pipeline.warehouse.create_table import Column, CreateTable
from lambda_toolkit.pipeline.warehouse.ddl import statements


def parse_sql(text: str) -> tree.Node:
    """As parse_expression, whose module is imported where a declaration has an expression: many have none."""
    from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression

    return parse_expression(text)


def tables(schema_sql: str) -> Mapping[str, CreateTable]:
    """Table -> its CREATE TABLE statement in ``schema_sql``, each after those that it refers to.

    Raises WarehouseError for what :func:`.ddl.statements` refuses.
    """
    return {entry.table: entry for entry in statements(schema_sql)}


def with_types(tables_declared: Mapping[str, Mapping[str, Any]], schema_sql: str, where: str) -> dict[str, Any]:
    """The sections ``source`` and ``warehouse`` with the ``types`` and ``references`` of each warehouse table.

    Raises ConfigurationError, naming ``where``, when the declaration and ``schema_sql`` do not fit each other.
    """
    try:
        declared = parse(tables_declared, parse_sql)
    except PipelineError as error:
        raise ConfigurationError(str(error)) from error
    try:
        schema = tables(schema_sql)
    except PipelineError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    problems = [f"{where}{problem}" for problem in _problems(declared, schema)]
    if problems:
        raise ConfigurationError("\n".join(problems))
    warehouse = {
        name: {**entry, **_parsed(declared.warehouse[name], entry), **_packaged(schema[name], declared.warehouse[name])}
        for name, entry in tables_declared["warehouse"].items()
    }
    return {**tables_declared, "warehouse": warehouse}


def _parsed(table: WarehouseTable, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The columns and the filter as declared, but SQL as the tree that it was parsed to."""
    found = {name: column.to_json() for name, column in table.columns.items() if isinstance(column, SqlExpression)}
    where = {"where": table.where.to_json()} if table.where else {}
    return {"columns": {**entry["columns"], **found}, **where} if found or where else {}


def _packaged(table: CreateTable, declared: WarehouseTable) -> dict[str, Any]:
    """The types and the foreign keys of the columns that transform fills, as JSON values."""
    names = declared.column_names
    references = [
        {"columns": list(found.columns), "table": found.table, "keys": list(found.keys)}
        for found in table.references
        if set(found.columns) <= set(names)
    ]
    return {"types": _types(table.columns, names), "references": references}


def _types(schema: Mapping[str, Column], names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    return {name: {"type": schema[name].type, "required": schema[name].required} for name in names}


def _problems(declared: Declarations, schema: Mapping[str, CreateTable]) -> Iterator[str]:
    """What does not fit, each as it follows the name of the schema's file."""
    for table in declared.warehouse.values():
        if table.name not in schema:
            yield (f" has no table {table.name}, which [warehouse.{table.name}] declares.")
            continue
        present = schema[table.name].columns
        named = (*table.column_names, *table.filled_by_load)
        for name in named:
            if name not in present:
                yield (
                    f": table {table.name} has no column {name}, which [warehouse.{table.name}] declares. "
                    f"It has: {', '.join(present)}."
                )
        for name, column in present.items():
            if column.required and not column.filled and name not in named:
                yield (
                    f": column {name} of {table.name} is NOT NULL without a default, and "
                    f"[warehouse.{table.name}] does not say where it comes from. Declare it, or let it be NULL."
                )
        for reason in _unfit_types(table, {name: present[name].type for name in table.column_names if name in present}):
            yield f": {reason}."
        if table.record and table.record in present and not present[table.record].filled:
            yield (
                f": column {table.record} of {table.name} must be GENERATED BY DEFAULT AS IDENTITY: "
                "it numbers the versions."
            )
        for name in table.validity:
            if name in present and present[name].type != VALIDITY[name]:
                yield f": column {name} of {table.name} must be {VALIDITY[name]}: load writes the times of versions."
            if name == VALID_TO and name in present and present[name].required:
                yield f": column {name} of {table.name} cannot be NOT NULL: it is NULL of the present version."
        yield from _key_problems(declared, table, schema[table.name])


def _unfit_types(table: WarehouseTable, types: Mapping[str, str]) -> Iterator[str]:
    """Why the columns that transform fills cannot have their types, which is known without the source."""
    for name, kind in types.items():
        if table.calendar is None:
            reason = unsupported(kind) or (unfit_key(kind) if name in table.keys else None)
        else:
            attribute, length = table.calendar.columns[name], modifiers(kind)
            reason = refusal(ATTRIBUTES[attribute], kind)
            if reason is None and length and length[0] < LONGEST_TEXTS.get(attribute, 0):
                reason = f"{LONGEST_TEXTS[attribute]} characters are needed"
        if reason is not None:
            yield f"column {name} of {table.name}: {reason}"


def _key_problems(declared: Declarations, table: WarehouseTable, schema: CreateTable) -> Iterator[str]:
    """What load does with a row needs these keys."""
    if not table.record and not any(set(columns) == set(table.keys) for columns in schema.keys):
        yield (f": {_named(table.keys)} of {table.name} must be its PRIMARY KEY, or UNIQUE: load updates rows by it.")
    if table.validity and any(set(columns) <= set(table.keys) for columns in schema.keys):
        yield f": {_named(table.keys)} of {table.name} cannot be UNIQUE: with `history`, each version is a row."
    for columns in schema.keys:
        unique, own = f"UNIQUE ({', '.join(columns)}) of {table.name}", set(columns) <= set(table.column_names)
        if own and table.record and not table.validity:
            yield f": {unique} would refuse versions: a fact has several rows of a key. Remove it."
        elif own and not set(columns) >= set(table.keys):
            yield (
                f": {unique} would refuse rows: two that exchange their values are written one after the other, and "
                "those of deleted rows stay. Remove it; create an index in the warehouse to look them up."
            )
    for name in (*table.column_names, *table.filled_by_load[1:]):
        if name in schema.columns and schema.columns[name].computed:
            yield (
                f": column {name} of {table.name} is GENERATED ALWAYS: no value can be written to it. Do not "
                f"declare it in [warehouse.{table.name}], or write GENERATED BY DEFAULT."
            )
    for found in schema.references:
        other = declared.warehouse.get(found.table)
        entry = next((entry for entry in table.versions if entry.column in found.columns), None)
        if entry is not None and (found.table, found.keys) != (entry.dimension, (entry.record,)):
            yield f": column {entry.column} of {table.name} can only refer to {entry.dimension} ({entry.record})."
        if entry is not None and found.columns not in schema.deferrable:
            yield (
                f": column {entry.column} of {table.name} refers to a version: write REFERENCES {entry.dimension} "
                "DEFERRABLE, as late rows renumber versions."
            )
        if entry is not None or other is None or not set(found.columns) <= set(table.column_names):
            continue
        if other.record or set(found.keys) != set(other.keys):
            yield (
                f": ({', '.join(found.columns)}) of {table.name} refers to {found.table} "
                f"({', '.join(found.keys)}). A row can only refer to a dimension without history, by its key"
                f"{'' if other.record else ' ' + ', '.join(other.keys)}: other columns change, and a fact, or a "
                "dimension with history, has versions."
            )


def _named(columns: tuple[str, ...]) -> str:
    return f"column {columns[0]}" if len(columns) == 1 else f"the columns ({', '.join(columns)})"
