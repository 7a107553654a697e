"""Pending rows: they do not meet a requirement of their table yet, and wait in the control table ``pending_row``.

The cause is a late-arriving dimension row: one that was rejected, or that is pending itself. Without this a single
unknown currency would stop every later batch. A pending row is written, at its position in the history, by the first
batch after which it is resolvable. Of a dimension, which keeps the latest row only, a newer row or a deletion discards
the pending ones.
"""

from __future__ import annotations

from ...shared.declarations import WarehouseTable
from ...shared.postgres import sql
from .requirements import any_unmet, requirements
from .session import WarehouseSession

_DEFER = """
    WITH unmet AS (DELETE FROM $staging AS s WHERE $unmet RETURNING s.*)
    INSERT INTO $pending_row (table_name, key, batch, content)
    SELECT $name, u.$key::text, $batch, to_jsonb(u) FROM unmet AS u
    ON CONFLICT DO NOTHING
"""
_DEFER_EVENTS = """
    WITH unmet AS (DELETE FROM $staging AS s WHERE NOT s."_deleted" AND ($unmet) RETURNING s.*)
    INSERT INTO $pending_row (table_name, key, batch, content)
    SELECT $name, u.$key::text, u."_batch", to_jsonb(u) - '_batch' - '_deleted' FROM unmet AS u
    ON CONFLICT DO NOTHING
"""
_SUPERSEDED = """
    DELETE FROM $pending_row AS p USING $staging AS s
    WHERE p.table_name = $name AND p.key = s.$key::text AND p.batch <= $batch
"""
_SUPERSEDED_BY_EVENTS = """
    DELETE FROM $pending_row AS p USING $staging AS s
    WHERE p.table_name = $name AND p.key = s.$key::text AND p.batch < s."_batch"
"""
_RESOLVABLE = """
    CREATE TEMPORARY TABLE $resolvable ON COMMIT DROP AS
    SELECT s.$key, min(p.batch) AS batch
    FROM $pending_row AS p, jsonb_populate_record(NULL::$table, p.content) AS s
    WHERE p.table_name = $name AND NOT ($unmet) GROUP BY 1
"""


def defer_unresolved(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> int:
    """Moves the rows of ``batch`` that do not meet the requirements from ``staging`` to the pending rows.

    Returns how many were moved.
    """
    return _defer(_DEFER, session, table, staging, batch=sql.number(batch))


def defer_unresolved_events(session: WarehouseSession, table: WarehouseTable, events: sql.Fragment) -> int:
    """As :func:`defer_unresolved`, of a staging table of events, in which every row has its own batch."""
    return _defer(_DEFER_EVENTS, session, table, events)


def stage_resolvable(session: WarehouseSession, table: WarehouseTable, resolvable: sql.Fragment) -> int | None:
    """Creates the table ``resolvable`` with the keys of pending rows that meet the requirements now.

    Returns the oldest batch of these rows; None where there are none: then the table may not exist.
    """
    names = session.sql(table).parts
    if not session.rows("SELECT EXISTS (SELECT FROM $pending_row WHERE table_name = $name)", **names)[0][0]:
        return None
    unmet = any_unmet(requirements(session.connection, session.schemas, table))
    session.run(_RESOLVABLE, **names, resolvable=resolvable, unmet=unmet)
    first = session.rows("SELECT min(batch) FROM $resolvable", resolvable=resolvable)[0][0]
    return None if first is None else int(first)


def discard_superseded(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> None:
    """Deletes the pending rows of the keys in ``staging``, up to ``batch``."""
    session.run(_SUPERSEDED, **session.sql(table).parts, staging=staging, batch=sql.number(batch))


def discard_superseded_by_events(session: WarehouseSession, table: WarehouseTable, events: sql.Fragment) -> None:
    """Deletes the pending rows that are older than an event of their key."""
    session.run(_SUPERSEDED_BY_EVENTS, **session.sql(table).parts, staging=events)


def _defer(
    template: str, session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, **parts: sql.Fragment
) -> int:
    required = requirements(session.connection, session.schemas, table)
    if not required:
        return 0
    return session.run(template, **session.sql(table).parts, **parts, staging=staging, unmet=any_unmet(required))
