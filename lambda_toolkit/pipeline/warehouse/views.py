"""The views of the published tables: the current state of each, and the history of facts with its times.

A view is complete when its definition is the one that the declaration and the columns of its table give now.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.load.warehouse.table_sql import TableSql
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import CALENDAR, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.model.history import IS_CURRENT
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection

_CURRENT_DIMENSION = """
    SELECT $columns FROM $table AS t
    WHERE NOT EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = $key_text_of_t AND d.undeleted_batch IS NULL
    )
"""
_CURRENT_VERSION = "SELECT $columns FROM $table AS t WHERE t.$is_current"
_CURRENT_FACT = """
    SELECT DISTINCT ON ($key_of_t) $columns FROM $table AS t
    WHERE NOT EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = $key_text_of_t AND d.undeleted_batch IS NULL
    )
    ORDER BY $key_of_t, t.$record DESC
"""
# A version ends when the next one of its key begins, or when the source deleted the row, whichever is earlier. Of a row
# that load did not write, both times are NULL.
_HISTORY = """
    SELECT $columns, v.valid_from AS $valid_from,
        LEAST(lead(v.valid_from) OVER (PARTITION BY $key_of_t ORDER BY t.$record), deleted.valid_to) AS $valid_to
    FROM $table AS t
    CROSS JOIN LATERAL (
        SELECT max(r.batch) AS batch, max(l.extracted_at) AS valid_from
        FROM (
            SELECT * FROM $version_range AS v
            WHERE v.table_name = $name AND v.first_record <= t.$record ORDER BY v.first_record DESC LIMIT 1
        ) AS r
        JOIN $ledger AS l ON l.batch = r.batch
        WHERE r.last_record >= t.$record
    ) AS v
    CROSS JOIN LATERAL (
        SELECT min(l.extracted_at) AS valid_to
        FROM $deletion AS d JOIN $ledger AS l ON l.batch = d.batch
        WHERE d.table_name = $name AND d.key = $key_text_of_t AND d.batch > v.batch
    ) AS deleted
"""

_TIMES = ("valid_from", "valid_to")
_RELATION = "SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = to_regclass(:name)"
_DEFINITIONS = "SELECT pg_catalog.pg_get_viewdef(to_regclass(:one)) = pg_catalog.pg_get_viewdef(to_regclass(:other))"
_PROBE = sql.table("expected_view", "pg_temp")


@dataclass(frozen=True)
class View:
    """One view of a published table."""

    name: str
    shown: str
    """Its name in messages."""
    relation: sql.Fragment
    """Its name in statements, with its schema."""
    query: sql.Fragment
    """What it selects."""


def views(table: WarehouseTable, columns: tuple[str, ...], schemas: SchemaNames = LIVE) -> tuple[View, ...]:
    """The views of ``table``, which has these ``columns``."""
    times = dict(zip(_TIMES, map(sql.identifier, history_times(columns)), strict=True))
    times["is_current"] = sql.identifier(IS_CURRENT)
    parts = {**TableSql.of(schemas, table).parts, **times, "columns": sql.columns(columns, of="t")}
    return tuple(
        View(name, schemas.display_name(name), schemas.table(name), sql.compose(template, **parts))
        for name, template in _templates(table).items()
    )


def history_times(columns: Collection[str]) -> tuple[str, str]:
    """The columns of a history with the times of a version, beside these ``columns`` of its table.

    ``valid_from`` and ``valid_to``; where the table has one of them, ``version_valid_from`` and ``version_valid_to``.
    """
    names = _TIMES
    while not set(names).isdisjoint(columns):
        names = (f"version_{names[0]}", f"version_{names[1]}")
    return names


def view_names(table: WarehouseTable) -> tuple[str, ...]:
    """The names of the views of ``table``.

    They have the name of the table itself, such as ``current_dim_staff`` and ``history_fact_payment``, so that no other
    declaration changes them. A name of more than 63 bytes is cut, and ends in a hash of the whole.
    """
    return tuple(_templates(table))


def _templates(table: WarehouseTable) -> dict[str, str]:
    if table.kind == CALENDAR:
        return {}
    current = sql.bounded(f"current_{table.name}")
    if not table.record:
        return {current: _CURRENT_DIMENSION}
    if table.validity:  # the table itself is its history
        return {current: _CURRENT_VERSION}
    return {current: _CURRENT_FACT, sql.bounded(f"history_{table.name}"): _HISTORY}


def is_view(connection: Connection, view: View) -> bool:
    """Whether what has the name of ``view`` is a view."""
    return connection.rows(_RELATION, name=str(view.relation)) == [["v"]]


def exists(connection: Connection, view: View) -> bool:
    """Whether there is a relation with the name of ``view``, a view or another."""
    return bool(connection.rows(_RELATION, name=str(view.relation)))


def difference(connection: Connection, view: View) -> str | None:
    """How ``view`` differs from what it should be, as a sentence; None where it does not.

    Creates a temporary view for comparison and drops it: call it in a transaction.
    """
    if not exists(connection, view):
        return f"view {view.shown} is missing"
    if not is_view(connection, view):
        return f"{view.shown} is not a view: the view of that name cannot be created. Rename what has it now"
    connection.run(sql.compose("CREATE TEMPORARY VIEW $probe AS $query", probe=_PROBE, query=view.query))
    same = connection.rows(_DEFINITIONS, one=str(view.relation), other=str(_PROBE))[0][0]
    present, expected = columns_of(connection, str(view.relation)), columns_of(connection, str(_PROBE))
    connection.run(sql.compose("DROP VIEW $probe", probe=_PROBE))
    if same:
        return None
    missing = [column for column in expected if column not in present]
    if missing:
        return f"view {view.shown} lacks {', '.join(missing)}"
    return f"view {view.shown} has another definition"


def columns_of(connection: Connection, relation: str) -> list[str]:
    """The columns of a table or view, in order; empty where there is no such relation."""
    rows = connection.rows(
        "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        name=relation,
    )
    return [str(row[0]) for row in rows]
