"""Preparing a warehouse: what it lacks is created, what is there already stays untouched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pg8000.exceptions import DatabaseError

from lambdas.load.schema_sql import CreateTable, statements
from lambdas.shared import sql
from lambdas.shared.declarations import CALENDAR, FACT, Declarations, WarehouseTable
from lambdas.shared.errors import WarehouseError
from lambdas.shared.postgres import message, transaction
from lambdas.shared.wire import Connection

OWN_TABLES = {
    "pipeline.ledger": """
        CREATE TABLE pipeline.ledger (
            batch            bigint PRIMARY KEY,
            source_manifest  text NOT NULL,
            extracted_at     timestamptz NOT NULL,
            loaded_at        timestamptz NOT NULL,
            written          jsonb NOT NULL          -- rows appended or upserted, per table
        )""",
    "pipeline.deletion": """
        CREATE TABLE pipeline.deletion (
            table_name   text NOT NULL,
            key          text NOT NULL,              -- of the row that the source deleted
            batch        bigint NOT NULL,            -- in which it was gone
            ended_batch  bigint,                     -- in which it was back; NULL while it is gone
            PRIMARY KEY (table_name, key, batch)
        )""",
    "pipeline.held": """
        CREATE TABLE pipeline.held (
            table_name  text NOT NULL,
            key         text NOT NULL,
            batch       bigint NOT NULL,
            version     jsonb NOT NULL,              -- of a fact that names a row which is not here yet
            PRIMARY KEY (table_name, key, batch)
        )""",
}
_CURRENT_DIMENSION = """
    CREATE VIEW $view AS SELECT t.* FROM $table AS t
    WHERE NOT EXISTS (
        SELECT FROM pipeline.deletion AS d
        WHERE d.table_name = $name AND d.key = t.$key::text AND d.ended_batch IS NULL
    )
"""
_CURRENT_FACT = """
    CREATE VIEW $view AS SELECT DISTINCT ON (t.$key) t.* FROM $table AS t
    WHERE NOT EXISTS (
        SELECT FROM pipeline.deletion AS d
        WHERE d.table_name = $name AND d.key = t.$key::text AND d.ended_batch IS NULL
    )
    ORDER BY t.$key, t.$record DESC
"""


def prepare(connection: Connection, schema_sql: str, declarations: Declarations) -> list[str]:
    """Creates what the warehouse lacks of ``schema_sql``, the ledger, and the ``current_*`` views; all or nothing.

    Returns what was created, in order. Nothing that exists is changed. Raises WarehouseError with the server's words.
    """
    created: list[str] = []
    with _explained("prepare the warehouse"), transaction(connection):
        wanted = statements(schema_sql)
        made = {entry.table for entry in _create_missing(connection, wanted, created)}
        _create_own(connection, created)
        for table in declarations.warehouse.values():
            if table.kind == CALENDAR:
                continue
            if table.kind == FACT and table.name in made:
                _create_index(connection, table, created)
            _create_view(connection, table, created)
    return created


def columns_of(connection: Connection, relation: str) -> list[str]:
    """The columns of a table or view, in order; empty where there is no such relation."""
    rows = connection.rows(
        "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        name=relation,
    )
    return [str(row[0]) for row in rows]


def current_view(table: str) -> str:
    """The name of the view that shows a table's present state."""
    return f"current_{table}"


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Turns what the server refuses into a WarehouseError."""
    try:
        yield
    except DatabaseError as error:
        raise WarehouseError(f"Cannot {doing}: {message(error)}. Nothing was changed.") from error


def _create_missing(connection: Connection, wanted: Iterable[CreateTable], created: list[str]) -> list[CreateTable]:
    made = []
    for entry in wanted:
        if columns_of(connection, str(sql.table(entry.table))):
            continue
        connection.run(entry.statement)
        created.append(f"table {entry.table}")
        made.append(entry)
    return made


def _create_own(connection: Connection, created: list[str]) -> None:
    if not connection.rows("SELECT to_regnamespace('pipeline')")[0][0]:
        connection.run("CREATE SCHEMA pipeline")
        created.append("schema pipeline")
    for name, statement in OWN_TABLES.items():
        if not columns_of(connection, name):
            connection.run(statement)
            created.append(f"table {name}")


def _create_index(connection: Connection, table: WarehouseTable, created: list[str]) -> None:
    connection.run(
        sql.compose(
            "CREATE INDEX ON $table ($key, $record)",
            table=sql.table(table.name),
            key=sql.identifier(table.key),
            record=sql.identifier(str(table.record)),
        )
    )
    created.append(f"index on {table.name} ({table.key}, {table.record})")


def _create_view(connection: Connection, table: WarehouseTable, created: list[str]) -> None:
    view = current_view(table.name)
    present = columns_of(connection, str(sql.table(table.name)))
    if columns_of(connection, str(sql.table(view))) or not {table.key, table.record or table.key} <= set(present):
        return  # there already; or the table lacks the columns by which it is defined, which `differences` names
    parts = {
        "view": sql.table(view),
        "table": sql.table(table.name),
        "name": sql.constant(table.name),
        "key": sql.identifier(table.key),
    }
    if table.kind == FACT:
        connection.run(sql.compose(_CURRENT_FACT, **parts, record=sql.identifier(str(table.record))))
    else:
        connection.run(sql.compose(_CURRENT_DIMENSION, **parts))
    created.append(f"view {view}")
