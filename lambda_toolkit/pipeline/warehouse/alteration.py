"""What brings a warehouse's table to its declaration and loses nothing: columns added, NULL allowed, types widened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.warehouse.create_table import Column, CreateTable
from lambda_toolkit.pipeline.warehouse.widening import widens

_COLUMNS = (
    "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_catalog.pg_attribute"
    " WHERE attrelid = to_regclass(:relation) AND attnum > 0 AND NOT attisdropped"
)


@dataclass(frozen=True)
class Alteration:
    """One change of one table."""

    table: str
    statement: sql.Fragment
    """The ALTER TABLE statement."""
    shown: str
    """The same as a person writes it, without the schema where that is the usual one."""
    rewrites: bool = False
    """Whether it changes the type of a column, which a view of the table prevents."""


def alterations(connection: Connection, wanted: Iterable[CreateTable], schemas: SchemaNames) -> tuple[Alteration, ...]:
    """What brings the tables that exist to what ``wanted`` says, in the order of tables and columns.

    Only what loses nothing and fits whatever rows there are: a column that may be NULL is added, NOT NULL is dropped, a
    type is widened. Anything else that differs stays as it is.
    """
    return tuple(
        found
        for entry in wanted
        for found in _of_table(entry, _present(connection, schemas.table(entry.table)), schemas)
    )


def _present(connection: Connection, relation: sql.Fragment) -> dict[str, tuple[str, bool]]:
    rows = connection.rows(_COLUMNS, relation=str(relation))
    return {name: (kind, required) for name, kind, required in rows}


def _of_table(entry: CreateTable, present: dict[str, tuple[str, bool]], schemas: SchemaNames) -> Iterator[Alteration]:
    for name, column in entry.columns.items() if present else ():
        if name not in present:
            if not column.required and not column.filled:
                yield _alteration(entry.table, schemas, "ADD COLUMN $column $type", name, column)
            continue
        kind, required = present[name]
        if widens(kind, column.type):
            yield _alteration(entry.table, schemas, "ALTER COLUMN $column TYPE $type", name, column, rewrites=True)
        if required and not column.required:
            yield _alteration(entry.table, schemas, "ALTER COLUMN $column DROP NOT NULL", name, column)


def _alteration(
    table: str, schemas: SchemaNames, template: str, name: str, column: Column, *, rewrites: bool = False
) -> Alteration:
    # The type is one that the reader of warehouse.sql has read, and writes as format_type() does.
    parts = {"column": sql.identifier(name), "type": sql.Fragment(column.type)}
    action = sql.compose(template, **parts)
    statement = sql.compose("ALTER TABLE $table $action", table=schemas.table(table), action=action)
    shown = f"ALTER TABLE {schemas.display_name(table)} {action}"
    return Alteration(table, statement, shown, rewrites)
