"""How a warehouse differs from the schema that the pipeline expects. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import CONTROL_TABLES, FORMAT_TABLE, LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message
from lambda_toolkit.pipeline.warehouse.ddl import statements
from lambda_toolkit.pipeline.warehouse.views import columns_of, difference, view_names, views

_COLUMNS = (
    "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity <> '' FROM pg_catalog.pg_attribute"
    " WHERE attrelid = CAST(:relation AS regclass) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
_CONSTRAINTS = """
    SELECT c.contype::text, f.relname,
        (SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, n)
         JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum)
    FROM pg_catalog.pg_constraint AS c LEFT JOIN pg_catalog.pg_class AS f ON f.oid = c.confrelid
    WHERE c.conrelid = CAST(:relation AS regclass) AND c.contype IN ('p', 'f')
"""


@dataclass(frozen=True)
class _Column:
    type: str
    required: bool
    identity: bool


@dataclass(frozen=True)
class _Table:
    columns: dict[str, _Column]
    constraints: frozenset[str]


def differences(
    connection: Connection, schema_sql: str, declarations: Declarations, schemas: SchemaNames = LIVE
) -> tuple[str, ...]:
    """Every difference between ``warehouse`` and ``schema_sql``, of the control tables, and of the views.

    The schema is created among this session's temporary tables, compared by the catalogs, and rolled back: nothing in
    the warehouse changes. Raises WarehouseError when ``schema_sql`` itself cannot be created.
    """
    wanted = statements(schema_sql)
    found: list[str] = []
    connection.run("BEGIN")
    try:
        connection.run("SET LOCAL search_path TO pg_temp")
        for entry in wanted:
            connection.run(entry.statement)
        expected = {entry.table: _describe(connection, sql.table(entry.table, "pg_temp")) for entry in wanted}
        for name, table in expected.items():
            relation, shown = schemas.table(name), schemas.display_name(name)
            if columns_of(connection, str(relation)):
                found.extend(_compare(shown, table, _describe(connection, relation)))
            else:
                found.append(f"table {shown} is missing")
        found.extend(_compare_declared(declarations, expected))
        found.extend(_compare_control(connection, declarations, schemas))
    except DatabaseError as error:
        raise WarehouseError(f"The warehouse's schema cannot be created for comparison: {message(error)}.") from error
    finally:
        connection.run("ROLLBACK")
    return tuple(found)


def _describe(connection: Connection, relation: sql.Fragment) -> _Table:
    columns = {
        name: _Column(kind, required, identity)
        for name, kind, required, identity in connection.rows(_COLUMNS, relation=str(relation))
    }
    constraints = frozenset(
        f"primary key ({names})" if kind == "p" else f"foreign key ({names}) to {other}"
        for kind, other, names in connection.rows(_CONSTRAINTS, relation=str(relation))
    )
    return _Table(columns, constraints)


def _compare(name: str, expected: _Table, present: _Table) -> Iterable[str]:
    for column, wanted in expected.columns.items():
        found = present.columns.get(column)
        if found is None:
            yield f"table {name}: column {column} ({wanted.type}) is missing"
            continue
        if found.type != wanted.type:
            yield f"table {name}: column {column} is {found.type}, expected {wanted.type}"
        if found.required != wanted.required:
            yield (
                f"table {name}: column {column} is {'NOT NULL' if found.required else 'nullable'}, "
                f"expected {'NOT NULL' if wanted.required else 'nullable'}"
            )
        if wanted.identity and not found.identity:
            yield f"table {name}: column {column} is not an identity column (its numbers must come from a default)"
    for column in present.columns:
        if column not in expected.columns:
            yield f"table {name}: column {column} is not expected"
    for constraint in sorted(expected.constraints - present.constraints):
        yield f"table {name}: {constraint} is missing"
    for constraint in sorted(present.constraints - expected.constraints):
        yield f"table {name}: {constraint} is not expected"


def _compare_declared(declarations: Declarations, expected: dict[str, _Table]) -> Iterable[str]:
    """The declaration and the schema are two files: the schema must have what the declaration names."""
    for table in declarations.warehouse.values():
        if table.name not in expected:
            yield f"table {table.name} is declared, but not in the warehouse's schema"
            continue
        for column in (*table.column_names, *table.filled_by_load):
            if column not in expected[table.name].columns:
                yield f"table {table.name}: column {column} is declared, but not in the warehouse's schema"


def _compare_control(connection: Connection, declarations: Declarations, schemas: SchemaNames) -> Iterable[str]:
    for name in (*CONTROL_TABLES, FORMAT_TABLE):
        if not columns_of(connection, str(sql.table(name, schemas.control))):
            yield f"table {schemas.control}.{name} is missing"
    for table in declarations.warehouse.values():
        columns = tuple(columns_of(connection, str(schemas.table(table.name))))
        if {*table.keys, *table.filled_by_load} <= set(columns):
            yield from filter(None, (difference(connection, view) for view in views(table, columns, schemas)))
        else:  # its views cannot be compared without these columns, which are missing
            for name in view_names(table):
                if not columns_of(connection, str(schemas.table(name))):
                    yield f"view {schemas.display_name(name)} is missing"
