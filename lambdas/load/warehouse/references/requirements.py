"""What a warehouse table requires of its rows: that referenced rows exist, and that columns are not NULL.

The declaration (config/warehouse.sql, packaged) says which rows wait, also where the warehouse does not enforce it. The
constraints that the warehouse enforces beyond it are read from its catalogs, so that they do not refuse a whole batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ....shared.model.declarations import Declarations, WarehouseTable
from ....shared.postgres import sql
from ....shared.postgres.connection import Connection
from ..schemas import LIVE, SchemaNames

FOREIGN_KEYS = """
    SELECT n.nspname, f.relname,
        ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, n)
              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum ORDER BY k.n),
        ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k(attnum, n)
              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = k.attnum ORDER BY k.n)
    FROM pg_catalog.pg_constraint AS c
    JOIN pg_catalog.pg_class AS f ON f.oid = c.confrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = f.relnamespace
    WHERE c.conrelid = to_regclass(:relation) AND c.contype = 'f'
    ORDER BY c.conname
"""
_NOT_NULL = """
    SELECT attname, atthasdef OR attidentity <> '' OR attgenerated <> '' FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass(:relation) AND attnum > 0 AND NOT attisdropped AND attnotnull ORDER BY attnum
"""


@dataclass(frozen=True)
class Requirement:
    """One requirement of a table on its rows."""

    columns: tuple[str, ...]
    """The columns that must not be NULL, or that refer to another row."""
    referenced_table: str | None
    """The table that must have the referenced row; None where the columns must not be NULL."""
    unmet: sql.Fragment
    """The condition that a row ``s`` does not meet it."""
    same: sql.Fragment | None = None
    """The condition that a row ``s`` refers to the row ``p`` of its own table; None where it refers to no such row."""


def requirements(connection: Connection, schemas: SchemaNames, table: WarehouseTable) -> tuple[Requirement, ...]:
    """What the declaration and the warehouse require of the rows of ``table``, each requirement once."""
    found = (*declared(schemas, table), *enforced(connection, schemas, table))
    return tuple(dict.fromkeys((*found, *_versions(schemas, table))))


def declared(schemas: SchemaNames, table: WarehouseTable) -> Iterator[Requirement]:
    """What the declaration requires, whether the warehouse enforces it or not."""
    for reference in table.references:
        is_own = reference.table == table.name
        yield _reference(reference.columns, schemas.published, reference.table, reference.keys, is_own=is_own)
    for column in table.required:
        yield _not_null(column)


def _versions(schemas: SchemaNames, table: WarehouseTable) -> Iterator[Requirement]:
    """That a dimension with history has any version of the row that a fact refers to: no constraint says so."""
    for entry in table.versions:
        yield _reference(entry.columns, schemas.published, entry.dimension, entry.keys, is_own=False)


def enforced(connection: Connection, schemas: SchemaNames, table: WarehouseTable) -> Iterator[Requirement]:
    """What the warehouse enforces now, by foreign keys and NOT NULL, of the rows that load writes.

    A column that load does not fill, that is NOT NULL and has no default, refuses every row.
    """
    if connection.is_duckdb:  # it enforces nothing: what is declared is proven by load alone
        return
    relation = str(schemas.table(table.name))
    for schema, other, columns, keys in connection.rows(FOREIGN_KEYS, relation=relation):
        if set(columns) <= set(table.column_names):
            is_own = (schema, other) == (schemas.published, table.name)
            yield _reference(tuple(columns), schema, other, tuple(keys), is_own=is_own)
    for column, has_default in connection.rows(_NOT_NULL, relation=relation):
        if column in table.column_names:
            yield _not_null(column)
        elif not has_default and column not in table.filled_by_load:
            yield Requirement((column,), None, sql.compose("true"))


def any_unmet(required: Iterable[Requirement]) -> sql.Fragment:
    """The condition that a row ``s`` does not meet one of the requirements."""
    return sql.joined(" OR ", [requirement.unmet for requirement in required]) or sql.compose("false")


def differences(connection: Connection, declarations: Declarations, schemas: SchemaNames = LIVE) -> list[str]:
    """Where the warehouse enforces other requirements than the declaration has: one sentence each.

    Only tables whose declaration says its types, which the deployment packages, are compared.
    """
    if connection.is_duckdb:
        return []
    return [
        f"table {schemas.display_name(table.name)}: {difference}"
        for table in declarations.warehouse.values()
        if table.types
        for difference in _differences(set(declared(schemas, table)), set(enforced(connection, schemas, table)))
    ]


def _differences(wanted: set[Requirement], present: set[Requirement]) -> Iterator[str]:
    for requirement in sorted(wanted ^ present, key=lambda found: (found.columns, found.referenced_table or "")):
        columns = ", ".join(requirement.columns)
        is_missing = requirement in wanted
        if requirement.referenced_table is not None:
            state = "is missing" if is_missing else "is not declared"
            yield f"foreign key ({columns}) to {requirement.referenced_table} {state}"
        else:
            found, expected = ("nullable", "NOT NULL") if is_missing else ("NOT NULL", "nullable")
            yield f"column {columns} is {found}, expected {expected}"


def _reference(
    columns: tuple[str, ...], schema: str, table: str, keys: tuple[str, ...], *, is_own: bool
) -> Requirement:
    """As MATCH SIMPLE: a row with a NULL among ``columns`` refers to nothing.

    https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-PARMS-REFERENCES
    """
    pairs = [
        {"column": sql.identifier(column), "key": sql.identifier(key)}
        for column, key in zip(columns, keys, strict=True)
    ]
    unmet = sql.compose(
        "($is_set AND NOT EXISTS (SELECT FROM $table AS r WHERE $same))",
        is_set=sql.joined(" AND ", [sql.compose("s.$column IS NOT NULL", column=pair["column"]) for pair in pairs]),
        table=sql.table(table, schema),
        same=sql.joined(" AND ", [sql.compose("r.$key = s.$column", **pair) for pair in pairs]),
    )
    same = sql.joined(" AND ", [sql.compose("p.$key = s.$column", **pair) for pair in pairs]) if is_own else None
    return Requirement(columns, table, unmet, same)


def _not_null(column: str) -> Requirement:
    return Requirement((column,), None, sql.compose("s.$column IS NULL", column=sql.identifier(column)))
