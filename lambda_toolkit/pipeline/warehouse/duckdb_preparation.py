"""Prepares a DuckDB file as a warehouse: the same tables and views as in PostgreSQL, without keys and constraints."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import (
    CONTROL_TABLES,
    CREATE_FORMAT,
    FORMAT_TABLE,
    FORMAT_VERSION,
    LIVE,
    SchemaNames,
)
from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import DuckdbConnection
from lambda_toolkit.pipeline.lambdas.shared.duckdb.dialect import MAIN, create_json_text
from lambda_toolkit.pipeline.lambdas.shared.duckdb.types import BLOB, duckdb_type
from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import transaction
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message
from lambda_toolkit.pipeline.warehouse.alteration import Alteration
from lambda_toolkit.pipeline.warehouse.create_table import CreateTable
from lambda_toolkit.pipeline.warehouse.ddl import statements
from lambda_toolkit.pipeline.warehouse.preparation import Prepared
from lambda_toolkit.pipeline.warehouse.views import View, views

_SCHEMAS = "SELECT count(*) FROM duckdb_schemas() WHERE database_name = current_database() AND schema_name = $name"
_MACROS = "SELECT count(*) FROM duckdb_functions() WHERE schema_name = 'pipeline' AND function_name = 'json_text'"
_VIEWS = """
    SELECT sql FROM duckdb_views()
    WHERE database_name = current_database() AND schema_name = $schema AND view_name = $name
"""
_EXPECTED = "SELECT sql FROM duckdb_views() WHERE database_name = 'temp' AND view_name = 'expected_view'"
_KEYLESS = ("FLOAT", "DOUBLE", BLOB)  # whose texts are others than PostgreSQL's, by which the lake finds a key
_WIDER = {  # a type -> those that have all of its values
    "SMALLINT": ("INTEGER", "BIGINT"),
    "INTEGER": ("BIGINT",),
    "FLOAT": ("DOUBLE",),
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def prepare(
    connection: DuckdbConnection,
    schema_sql: str,
    declarations: Declarations,
    schemas: SchemaNames = LIVE,
    *,
    alter: bool = False,
) -> Prepared:
    """As ``preparation.prepare``. Raises WarehouseError, also for a key of a type that DuckDB writes differently."""
    done, wanted = Prepared(), statements(schema_sql)
    _check_keys(declarations, wanted)
    try:
        with transaction(connection):
            for schema in (_schema(schemas), schemas.control, LIVE.control):
                _create_schema(connection, schema, done.created)
            if not connection.execute(_MACROS)[0][0]:
                connection.execute(create_json_text())
            for entry in wanted:
                if not connection.column_types(str(schemas.table(entry.table))):
                    connection.run(_create(entry, schemas))
                    done.created.append(f"table {schemas.display_name(entry.table)}")
            for found in alterations(connection, wanted, schemas):
                (done.altered if alter else done.alterations).append(found.shown)
                if alter:
                    connection.run(found.statement)
                    connection.forget_columns()
            for name, statement in {**CONTROL_TABLES, FORMAT_TABLE: CREATE_FORMAT}.items():
                table = sql.table(name, schemas.control)
                if not connection.column_types(str(table)):
                    created = sql.compose(_without_keys(statement), table=table, version=sql.number(FORMAT_VERSION))
                    connection.run(created)
                    done.created.append(f"table {schemas.control}.{name}")
            for declared in declarations.warehouse.values():
                _prepare_views(connection, schemas, declared, done)
    except DatabaseError as error:
        raise WarehouseError(f"Cannot prepare the warehouse: {message(error)}. Nothing was changed.") from error
    return done


def differences(
    connection: DuckdbConnection, schema_sql: str, declarations: Declarations, schemas: SchemaNames = LIVE
) -> tuple[str, ...]:
    """As ``verification.differences``, of what a DuckDB file has: tables, their columns and types, and views."""
    wanted = {entry.table: entry for entry in statements(schema_sql)}
    found = [text for entry in wanted.values() for text in _of_table(connection, entry, schemas)]
    for table in declarations.warehouse.values():
        if table.name not in wanted:
            found.append(f"table {table.name} is declared, but not in the warehouse's schema")
            continue
        missing = [c for c in (*table.column_names, *table.filled_by_load) if c not in wanted[table.name].columns]
        found += [f"table {table.name}: column {c} is declared, but not in the warehouse's schema" for c in missing]
        found += [
            f"view {view.shown} is missing" if present is None else f"view {view.shown} has another definition"
            for view, present in _views(connection, schemas, table)
            if not _is_same(connection, view, present)
        ]
    control = (*CONTROL_TABLES, FORMAT_TABLE)
    return (
        *found,
        *(f"table {schemas.control}.{name} is missing" for name in control if not _has(connection, schemas, name)),
    )


def alterations(
    connection: DuckdbConnection, wanted: tuple[CreateTable, ...], schemas: SchemaNames
) -> tuple[Alteration, ...]:
    """As ``alteration.alterations``: columns added, types widened. There is no NOT NULL to drop."""
    found = []
    for entry in wanted:
        relation = schemas.table(entry.table)
        present = connection.column_types(str(relation))
        for name, column in entry.columns.items() if present else ():
            kind, parts = duckdb_type(column.type), {"column": sql.identifier(name)}
            parts["type"] = sql.Fragment(kind)
            if name not in present and not column.required and not column.filled:
                action = sql.compose("ADD COLUMN $column $type", **parts)
            elif name in present and _widens(present[name], kind):
                action = sql.compose("ALTER COLUMN $column TYPE $type", **parts)
            else:
                continue
            statement = sql.compose("ALTER TABLE $table $action", table=relation, action=action)
            shown = f"ALTER TABLE {schemas.display_name(entry.table)} {action}"
            found.append(Alteration(entry.table, statement, shown))
    return tuple(found)


def _check_keys(declarations: Declarations, wanted: tuple[CreateTable, ...]) -> None:
    types = {entry.table: entry.columns for entry in wanted}
    for table in declarations.warehouse.values():
        for name, found in types.get(table.name, {}).items():
            if found.filled and name not in (*table.column_names, *table.filled_by_load):
                raise WarehouseError(
                    f"Cannot prepare the warehouse: {table.name}.{name} gets its value from a default, which a table "
                    "in a DuckDB file does not have. Declare the column in pipeline.toml, or leave it out. Nothing was "
                    "changed."
                )
        for key in table.keys:
            column = types.get(table.name, {}).get(key)
            if column is not None and duckdb_type(column.type) in _KEYLESS:
                raise WarehouseError(
                    f"Cannot prepare the warehouse: {table.name}.{key} is a key and {column.type}, of which DuckDB "
                    "writes other texts than PostgreSQL, by which load finds rows in the lake. Declare it as text or "
                    "numeric, or keep this warehouse in PostgreSQL. Nothing was changed."
                )


def _schema(schemas: SchemaNames) -> str:
    """The schema of the published tables in the file."""
    return MAIN if schemas.published == LIVE.published else schemas.published


def _create_schema(connection: DuckdbConnection, schema: str, created: list[str]) -> None:
    if not connection.execute(_SCHEMAS, {"name": schema})[0][0]:
        connection.run(sql.compose("CREATE SCHEMA $schema", schema=sql.identifier(schema)))
        created.append(f"schema {schema}")


def _create(entry: CreateTable, schemas: SchemaNames) -> sql.Fragment:
    columns = [
        sql.compose("$column $type", column=sql.identifier(name), type=sql.Fragment(duckdb_type(column.type)))
        for name, column in entry.columns.items()
    ]
    parts = {"table": schemas.table(entry.table), "columns": sql.joined(", ", columns)}
    return sql.compose("CREATE TABLE $table ($columns)", **parts)


def _without_keys(statement: str) -> str:
    """A statement of a control table without its keys: what a transaction changes in them twice is refused."""
    text = re.sub(r"--[^\n]*", "", statement).replace("jsonb", "json")
    return re.sub(r",\s*PRIMARY KEY \([^)]*\)|\s+PRIMARY KEY|\s+NOT NULL", "", text)


def _of_table(connection: DuckdbConnection, entry: CreateTable, schemas: SchemaNames) -> Iterator[str]:
    shown = schemas.display_name(entry.table)
    present = connection.column_types(str(schemas.table(entry.table)))
    if not present:
        yield f"table {shown} is missing"
        return
    for name, column in entry.columns.items():
        kind = duckdb_type(column.type)
        if name not in present:
            yield f"table {shown}: column {name} ({kind}) is missing"
        elif present[name] != kind:
            yield f"table {shown}: column {name} is {present[name]}, expected {kind}"
    for name in present:
        if name not in entry.columns:
            yield f"table {shown}: column {name} is not expected"


def _has(connection: DuckdbConnection, schemas: SchemaNames, name: str) -> bool:
    return bool(connection.column_types(str(sql.table(name, schemas.control))))


def _views(
    connection: DuckdbConnection, schemas: SchemaNames, table: WarehouseTable
) -> Iterator[tuple[View, str | None]]:
    """The views of ``table``, each with the statement that made it; None where it is missing."""
    columns = tuple(connection.column_types(str(schemas.table(table.name))))
    if not {*table.keys, *table.filled_by_load} <= set(columns):
        return
    for view in views(table, columns, schemas):
        found = connection.execute(_VIEWS, {"schema": _schema(schemas), "name": view.name})
        yield view, found[0][0] if found else None


def _prepare_views(connection: DuckdbConnection, schemas: SchemaNames, table: WarehouseTable, done: Prepared) -> None:
    for view, present in _views(connection, schemas, table):
        if _is_same(connection, view, present):
            continue
        connection.run(sql.compose("CREATE OR REPLACE VIEW $view AS $query", view=view.relation, query=view.query))
        (done.created if present is None else done.replaced).append(f"view {view.shown}")


def _is_same(connection: DuckdbConnection, view: View, present: str | None) -> bool:
    """Whether the view is what it should be: DuckDB keeps its definition as it writes it itself."""
    if present is None:
        return False
    connection.run(sql.compose("CREATE OR REPLACE TEMPORARY VIEW expected_view AS $query", query=view.query))
    found = connection.execute(_EXPECTED)
    connection.execute("DROP VIEW temp.expected_view")
    return bool(found) and _definition(found[0][0]) == _definition(present)


def _definition(statement: str) -> str:
    return statement.split(" AS ", 1)[1]


def _widens(present: str, wanted: str) -> bool:
    if wanted in _WIDER.get(present, ()):
        return True
    one, other = _DECIMAL.fullmatch(present), _DECIMAL.fullmatch(wanted)
    if one is None or other is None or present == wanted:
        return False
    digits, scale = map(int, one.groups())
    more, longer = map(int, other.groups())
    return longer >= scale and more - longer >= digits - scale
