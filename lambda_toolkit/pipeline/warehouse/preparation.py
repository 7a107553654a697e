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
    SchemaNames,
)
from lambda_toolkit.pipeline.lambdas.shared.declarations import FACT, Declarations, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, message, transaction
from lambda_toolkit.pipeline.warehouse.ddl import CreateTable, statements
from lambda_toolkit.pipeline.warehouse.views import view_statement, views


def prepare(
    connection: Connection, schema_sql: str, declarations: Declarations, schemas: SchemaNames = LIVE
) -> list[str]:
    """Creates what ``warehouse`` lacks of ``schema_sql``, of the control tables, and of the views; all or nothing.

    Returns what was created, in order. Nothing that exists is changed. Raises WarehouseError with the server's message.
    """
    created: list[str] = []
    with _explained("prepare the warehouse"), transaction(connection):
        wanted = statements(schema_sql)
        _create_schema(connection, schemas.published, created)
        made = {entry.table for entry in _create_missing(connection, schemas, wanted, created)}
        _create_schema(connection, schemas.control, created)
        _create_control_tables(connection, schemas, created)
        for table in declarations.warehouse.values():
            if table.kind == FACT and table.name in made:
                _create_index(connection, schemas, table, created)
            _create_views(connection, schemas, declarations, table, created)
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
    connection: Connection, schemas: SchemaNames, wanted: Iterable[CreateTable], created: list[str]
) -> list[CreateTable]:
    """Runs the statements as they were written, with only the published schema in the search path."""
    made = []
    connection.run("SELECT set_config('search_path', :path, true)", path=str(sql.identifier(schemas.published)))
    for entry in wanted:
        if columns_of(connection, str(schemas.table(entry.table))):
            continue
        connection.run(entry.statement)
        created.append(f"table {schemas.display_name(entry.table)}")
        made.append(entry)
    return made


def _create_control_tables(connection: Connection, schemas: SchemaNames, created: list[str]) -> None:
    for name, statement in {**CONTROL_TABLES, FORMAT_TABLE: CREATE_FORMAT}.items():
        table = sql.table(name, schemas.control)
        if not columns_of(connection, str(table)):
            connection.run(sql.compose(statement, table=table, version=sql.number(FORMAT_VERSION)))
            created.append(f"table {schemas.control}.{name}")


def _create_index(connection: Connection, schemas: SchemaNames, table: WarehouseTable, created: list[str]) -> None:
    connection.run(
        sql.compose(
            "CREATE INDEX ON $table ($key, $record)",
            table=schemas.table(table.name),
            key=sql.identifier(table.key),
            record=sql.identifier(str(table.record)),
        )
    )
    created.append(f"index on {schemas.display_name(table.name)} ({table.key}, {table.record})")


def _create_views(
    connection: Connection,
    schemas: SchemaNames,
    declarations: Declarations,
    table: WarehouseTable,
    created: list[str],
) -> None:
    if not _is_defined(connection, schemas, table):
        return
    columns = tuple(columns_of(connection, str(schemas.table(table.name))))
    for view, template in views(declarations, table).items():
        if not columns_of(connection, str(schemas.table(view))):
            connection.run(view_statement(template, view, table, columns, schemas))
            created.append(f"view {schemas.display_name(view)}")


def _is_defined(connection: Connection, schemas: SchemaNames, table: WarehouseTable) -> bool:
    """Whether the table has the columns that its views need; ``differences`` names a missing one."""
    present = columns_of(connection, str(schemas.table(table.name)))
    return {table.key, table.record or table.key} <= set(present)
