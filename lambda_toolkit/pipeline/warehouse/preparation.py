"""Prepares a warehouse: creates what it lacks, replaces views that are out of date, alters tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import (
    CONTROL_TABLES,
    CREATE_FORMAT,
    FORMAT_TABLE,
    FORMAT_VERSION,
    LIVE,
    SchemaNames,
)
from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, transaction
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message
from lambda_toolkit.pipeline.warehouse.alteration import Alteration, alterations
from lambda_toolkit.pipeline.warehouse.create_table import CreateTable
from lambda_toolkit.pipeline.warehouse.ddl import statements
from lambda_toolkit.pipeline.warehouse.views import View, columns_of, difference, exists, is_view, views


@dataclass(frozen=True)
class Prepared:
    """What a preparation did, by the names of objects, in order."""

    created: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    """Views whose definition was not the expected one any more, and is now."""
    refused: list[str] = field(default_factory=list)
    """Why such a view could not be replaced."""
    altered: list[str] = field(default_factory=list)
    """The ALTER TABLE statements that were run."""
    alterations: list[str] = field(default_factory=list)
    """Those that were not, and would lose nothing."""


# The statements that give a view its owner, its privileges and its comment again.
_RESTORE = """
    SELECT format('GRANT %s ON %s TO %s%s', p.privilege_type, c.oid::regclass,
                  CASE p.grantee WHEN 0 THEN 'PUBLIC' ELSE p.grantee::regrole::text END,
                  CASE WHEN p.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_catalog.pg_class AS c, aclexplode(c.relacl) AS p
    WHERE c.oid = to_regclass(:view) AND p.grantee <> c.relowner
    UNION ALL
    SELECT format('COMMENT ON VIEW %s IS %L', c.oid::regclass, obj_description(c.oid, 'pg_class'))
    FROM pg_catalog.pg_class AS c WHERE c.oid = to_regclass(:view) AND obj_description(c.oid, 'pg_class') IS NOT NULL
    UNION ALL
    SELECT format('ALTER VIEW %s OWNER TO %s', c.oid::regclass, c.relowner::regrole)
    FROM pg_catalog.pg_class AS c WHERE c.oid = to_regclass(:view) AND c.relowner <> current_user::regrole
"""


def prepare(
    connection: Connection,
    schema_sql: str,
    declarations: Declarations,
    schemas: SchemaNames = LIVE,
    *,
    alter: bool = False,
) -> Prepared:
    """Creates what ``warehouse`` lacks of ``schema_sql``, of the control tables, and of the views; all or nothing.

    A view with another definition, as when its table got a column, is replaced. With ``alter``, tables are altered
    where that loses nothing. Nothing else that exists is changed. Raises WarehouseError with the server's message.
    """
    done = Prepared()
    created = done.created
    with _explained("prepare the warehouse"), transaction(connection):
        wanted = statements(schema_sql)
        _create_schema(connection, schemas.published, created)
        made = {entry.table for entry in _create_missing(connection, schemas, wanted, created)}
        found = alterations(connection, wanted, schemas)
        restore = _alter(connection, schemas, declarations, found) if alter else []
        (done.altered if alter else done.alterations).extend(each.shown for each in found)
        _create_schema(connection, schemas.control, created)
        _create_control_tables(connection, schemas, created)
        for table in declarations.warehouse.values():
            if table.record and table.name in made:
                _create_index(connection, schemas, table, created)
            _prepare_views(connection, schemas, table, done)
        for statement in restore:
            connection.run(statement)
    return done


_DEPENDENTS = """
    SELECT DISTINCT r.ev_class::regclass::text FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    WHERE d.refobjid = to_regclass(:view) AND r.ev_class <> d.refobjid ORDER BY 1
"""


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
            key=sql.columns(table.keys),
            record=sql.identifier(str(table.record)),
        )
    )
    created.append(f"index on {schemas.display_name(table.name)} ({', '.join((*table.keys, str(table.record)))})")


def _alter(
    connection: Connection, schemas: SchemaNames, declarations: Declarations, found: Iterable[Alteration]
) -> list[sql.Fragment]:
    """Runs the statements; returns those that give the views that were dropped for it what they had."""
    restore: list[sql.Fragment] = []
    for alteration in found:
        if alteration.rewrites:
            table = declarations.warehouse[alteration.table]
            for view in views(table, tuple(columns_of(connection, str(schemas.table(table.name)))), schemas):
                if is_view(connection, view):
                    _check_dependents(connection, view, alteration)
                    restore += _restoring(connection, view)
                    connection.run(sql.compose("DROP VIEW $view", view=view.relation))
        connection.run(alteration.statement)
    return restore


def _check_dependents(connection: Connection, view: View, alteration: Alteration) -> None:
    """Raises WarehouseError where a view of others reads ``view``, which would have to be dropped for a moment."""
    others = [name for (name,) in connection.rows(_DEPENDENTS, view=str(view.relation))]
    if others:
        raise WarehouseError(
            f"Cannot prepare the warehouse: for {alteration.shown} the view {view.shown} has to be dropped and created "
            f"again, and {', '.join(others)} reads it. Drop that, repeat this, and create it again. "
            "Nothing was changed."
        )


def _restoring(connection: Connection, view: View) -> list[sql.Fragment]:
    return [sql.Fragment(row[0]) for row in connection.rows(_RESTORE, view=str(view.relation))]


def _prepare_views(connection: Connection, schemas: SchemaNames, table: WarehouseTable, done: Prepared) -> None:
    columns = tuple(columns_of(connection, str(schemas.table(table.name))))
    if not {*table.keys, *table.filled_by_load} <= set(columns):
        return  # what its views need; ``differences`` names the missing column
    for view in views(table, columns, schemas):
        if not exists(connection, view):
            connection.run(sql.compose("CREATE VIEW $view AS $query", view=view.relation, query=view.query))
            done.created.append(f"view {view.shown}")
            continue
        found = difference(connection, view)
        if found is None or not is_view(connection, view):
            continue
        try:
            _replace(connection, view)
            done.replaced.append(f"view {view.shown}")
        except DatabaseError as error:
            connection.run("ROLLBACK TO SAVEPOINT before_view")
            done.refused.append(f"{found}, and cannot be replaced: {message(error)}")


def _replace(connection: Connection, view: View) -> None:
    """Replaces the definition; where only a new view can have it, one with the owner and the privileges of the old."""
    parts = {"view": view.relation, "query": view.query}
    connection.run("SAVEPOINT before_view")
    try:
        connection.run(sql.compose("CREATE OR REPLACE VIEW $view AS $query", **parts))
        return
    except DatabaseError:
        connection.run("ROLLBACK TO SAVEPOINT before_view")
    restore = _restoring(connection, view)
    connection.run(sql.compose("DROP VIEW $view", **parts))
    connection.run(sql.compose("CREATE VIEW $view AS $query", **parts))
    for statement in restore:
        connection.run(statement)
