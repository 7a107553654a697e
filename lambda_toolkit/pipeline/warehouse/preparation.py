"""Prepares a warehouse: creates what it lacks and changes nothing that exists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import (
    CONTROL_TABLES,
    CREATE_FORMAT,
    FORMAT_TABLE,
    FORMAT_VERSION,
    LIVE,
    Warehouse,
)
from lambda_toolkit.pipeline.lambdas.shared.declarations import FACT, Declarations, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import message, transaction
from lambda_toolkit.pipeline.lambdas.shared.postgres.copy import Connection
from lambda_toolkit.pipeline.warehouse.ddl import CreateTable, statements
from lambda_toolkit.pipeline.warehouse.views import view_statement, views


def prepare(
    connection: Connection, schema_sql: str, declarations: Declarations, warehouse: Warehouse = LIVE
) -> list[str]:
    """Creates what ``warehouse`` lacks of ``schema_sql``, of the control tables, and of the views; all or nothing.

    Returns what was created, in order. Nothing that exists is changed. Raises WarehouseError with the server's message.
    """
    created: list[str] = []
    with _explained("prepare the warehouse"), transaction(connection):
        wanted = statements(schema_sql)
        _create_schema(connection, warehouse.published, created)
        made = {entry.table for entry in _create_missing(connection, warehouse, wanted, created)}
        _create_schema(connection, warehouse.control, created)
        _create_control_tables(connection, warehouse, created)
        for table in declarations.warehouse.values():
            if table.kind == FACT and table.name in made:
                _create_index(connection, warehouse, table, created)
            _create_views(connection, warehouse, declarations, table, created)
    return created


def columns_of(connection: Connection, relation: str) -> list[str]:
    """The columns of a table or view, in order; empty where there is no such relation."""
    rows = connection.rows(
        "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        name=relation,
    )
    return [str(row[0]) for row in rows]


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Turns the server's error into a WarehouseError."""
    try:
        yield
    except DatabaseError as error:
        raise WarehouseError(f"Cannot {doing}: {message(error)}. Nothing was changed.") from error


def _create_schema(connection: Connection, schema: str, created: list[str]) -> None:
    if connection.rows("SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = :name", name=schema)[0][0]:
        return
    connection.run(sql.compose("CREATE SCHEMA $schema", schema=sql.identifier(schema)))
    created.append(f"schema {schema}")


def _create_missing(
    connection: Connection, warehouse: Warehouse, wanted: Iterable[CreateTable], created: list[str]
) -> list[CreateTable]:
    """Runs the statements as they were written, with only the published schema in the search path."""
    made = []
    connection.run("SELECT set_config('search_path', :path, true)", path=str(sql.identifier(warehouse.published)))
    for entry in wanted:
        if columns_of(connection, str(warehouse.table(entry.table))):
            continue
        connection.run(entry.statement)
        created.append(f"table {warehouse.display_name(entry.table)}")
        made.append(entry)
    return made


def _create_control_tables(connection: Connection, warehouse: Warehouse, created: list[str]) -> None:
    for name, statement in {**CONTROL_TABLES, FORMAT_TABLE: CREATE_FORMAT}.items():
        table = sql.table(name, warehouse.control)
        if not columns_of(connection, str(table)):
            connection.run(sql.compose(statement, table=table, version=sql.number(FORMAT_VERSION)))
            created.append(f"table {warehouse.control}.{name}")


def _create_index(connection: Connection, warehouse: Warehouse, table: WarehouseTable, created: list[str]) -> None:
    connection.run(
        sql.compose(
            "CREATE INDEX ON $table ($key, $record)",
            table=warehouse.table(table.name),
            key=sql.identifier(table.key),
            record=sql.identifier(str(table.record)),
        )
    )
    created.append(f"index on {warehouse.display_name(table.name)} ({table.key}, {table.record})")


def _create_views(
    connection: Connection,
    warehouse: Warehouse,
    declarations: Declarations,
    table: WarehouseTable,
    created: list[str],
) -> None:
    if not _is_defined(connection, warehouse, table):
        return
    columns = tuple(columns_of(connection, str(warehouse.table(table.name))))
    for view, template in views(declarations, table).items():
        if not columns_of(connection, str(warehouse.table(view))):
            connection.run(view_statement(template, view, table, columns, warehouse))
            created.append(f"view {warehouse.display_name(view)}")


def _is_defined(connection: Connection, warehouse: Warehouse, table: WarehouseTable) -> bool:
    """Whether the table has the columns that its views need; ``differences`` names a missing one."""
    present = columns_of(connection, str(warehouse.table(table.name)))
    return {table.key, table.record or table.key} <= set(present)
