"""Pending rows: they do not meet a requirement of their table yet, and wait in the control table ``pending_row``.

The cause is a late-arriving dimension row: one that was rejected, or that is pending itself. Without this a single
unknown currency would stop every later batch. A pending row is written, at its position in the history, by the first
batch after which it is resolvable. Of a dimension, which keeps the latest row only, a newer row discards the pending
ones. One whose key the source deletes goes on to wait, as a row that was deleted: others may refer to it.

Rows of a table that refers to itself are written together, so each may refer to another row that is written with it,
and in a circle: PostgreSQL checks a foreign key at the end of the statement. What waits is a row that does not meet a
requirement whatever is written with it, and then each row that refers to one that waits, at any distance.
"""

from __future__ import annotations

from ....shared.model.declarations import WarehouseTable
from ....shared.postgres import sql
from ..references.requirements import any_unmet, requirements
from ..session import WarehouseSession, analyze, temporary
from ..table_sql import content
from .duckdb_pending import move_unmet

_DEFER = """
    $deleted INSERT INTO $pending_row (table_name, key, batch, content)
    SELECT $name, $key_text_of_u, $batch, to_jsonb(x) FROM deleted AS u CROSS JOIN LATERAL (SELECT $content) AS x
    ON CONFLICT DO NOTHING
"""
_DEFER_EVENTS = """
    $deleted INSERT INTO $pending_row (table_name, key, batch, content)
    SELECT $name, $key_text_of_u, u."_batch", to_jsonb(x) FROM deleted AS u CROSS JOIN LATERAL (SELECT $content) AS x
    ON CONFLICT DO NOTHING
"""
_DELETE_UNMET = "WITH deleted AS (DELETE FROM $staging AS s WHERE $is_row AND ($unmet) RETURNING s.*)"
# A row that waits makes the rows wait that have no other row to refer to. A row that is in the table stays there.
# OFFSET 0: each level looks up its own rows in the index. A join of all rows, at each level, is quadratic.
_DELETE_UNMET_TOGETHER = """
    WITH RECURSIVE unmet AS (
        SELECT s.ctid AS "_row" FROM $staging AS s WHERE $is_row AND ($unmet)
        UNION
        SELECT r."_row" FROM unmet AS u CROSS JOIN LATERAL (
            SELECT f."_row" FROM $referring AS f WHERE f."_referred" = u."_row" OFFSET 0
        ) AS r
    ),
    deleted AS (DELETE FROM $staging AS s USING unmet AS u WHERE s.ctid = u."_row" RETURNING s.*)
"""
_CREATE_REFERRING = "CREATE TEMPORARY TABLE $referring ON COMMIT DROP AS $references"
_REFERENCES = """
    SELECT "_row", "_referred" FROM (
        SELECT s.ctid AS "_row", p.ctid AS "_referred", count(*) OVER (PARTITION BY s.ctid) AS "_choices"
        FROM $staging AS s JOIN $staging AS p ON $same
        WHERE $is_row AND $is_referred AND $unmet
    ) AS c WHERE "_choices" = 1 AND "_row" <> "_referred"
"""
_UNMET_TOGETHER = "($unmet AND NOT EXISTS (SELECT FROM $staging AS p WHERE $is_referred AND $same))"

_SUPERSEDED = """
    DELETE FROM $pending_row AS p USING $staging AS s
    WHERE p.table_name = $name AND p.key = $key_text_of_s AND p.batch <= $batch
"""
_SUPERSEDED_BY_EVENTS = """
    DELETE FROM $pending_row AS p USING $staging AS s
    WHERE p.table_name = $name AND p.key = $key_text_of_s AND p.batch < s."_batch" AND NOT s."_deleted"
"""
_DELETED = """
    UPDATE $pending_row AS p SET deleted_batch = $batch FROM $staging AS s
    WHERE p.table_name = $name AND p.key = $key_text_of_s AND p.batch <= $batch AND p.deleted_batch IS NULL
"""
_DELETED_BY_EVENTS = """
    UPDATE $pending_row AS p SET deleted_batch = e.batch FROM (
        SELECT p.key, p.batch AS of, min(s."_batch") AS batch FROM $staging AS s
        JOIN $pending_row AS p ON p.key = $key_text_of_s AND p.batch < s."_batch"
        WHERE p.table_name = $name AND s."_deleted" GROUP BY 1, 2
    ) AS e WHERE p.table_name = $name AND p.key = e.key AND p.batch = e.of
"""
_RESOLVABLE = """
    CREATE TEMPORARY TABLE $resolvable ON COMMIT DROP AS
    SELECT $key_of_s, min(p.batch) AS "_batch"
    FROM $pending_row AS p, jsonb_populate_record(NULL::$table, p.content) AS s
    WHERE p.table_name = $name AND NOT ($unmet) GROUP BY $key_of_s
"""
_WAITING = """
    CREATE TEMPORARY TABLE $waiting ON COMMIT DROP AS
    SELECT s.*, p.batch AS "_batch" FROM $pending_row AS p, jsonb_populate_record(NULL::$table, p.content) AS s
    WHERE p.table_name = $name
"""
_DISCARD_RESOLVED = """
    DELETE FROM $pending_row AS p USING $resolved AS s
    WHERE p.table_name = $name AND p.key = $key_text_of_s AND p.batch <= s."_batch"
"""


def defer_unresolved(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> int:
    """Moves the rows of ``batch`` that do not meet the requirements from ``staging`` to the pending rows.

    Returns how many were moved.
    """
    return _delete_unmet(session, table, staging, _DEFER, batch=sql.number(batch))


def defer_unresolved_events(session: WarehouseSession, table: WarehouseTable, events: sql.Fragment) -> int:
    """As :func:`defer_unresolved`, of a staging table of events, in which every row has its own batch."""
    return _delete_unmet(session, table, events, _DEFER_EVENTS, is_row='NOT $row."_deleted"')


def count_pending(session: WarehouseSession, table: WarehouseTable, batch: int) -> int:
    """How many rows of ``table`` in ``batch`` are pending now."""
    query = "SELECT count(*) FROM $pending_row WHERE table_name = $name AND batch = $batch"
    return int(session.rows(query, **session.sql(table).parts, batch=sql.number(batch))[0][0])


def stage_resolvable(session: WarehouseSession, table: WarehouseTable, resolvable: sql.Fragment) -> int | None:
    """Creates the table ``resolvable`` with the keys of pending rows that meet the requirements now.

    Returns the oldest batch of these rows; None where there are none: then the table may not exist.
    """
    names = session.sql(table).parts
    if not _has_pending(session, table):
        return None
    unmet = any_unmet(requirements(session.connection, session.schemas, table))
    session.run(_RESOLVABLE, **names, resolvable=resolvable, unmet=unmet)
    first = session.rows('SELECT min("_batch") FROM $resolvable', resolvable=resolvable)[0][0]
    return None if first is None else int(first)


def stage_resolved_rows(session: WarehouseSession, table: WarehouseTable, resolved: sql.Fragment) -> bool:
    """Creates the table ``resolved``: the pending rows that meet the requirements now, or will when written together.

    Its columns: those of the table, and ``_batch`` (bigint). Returns whether there are any; else it does not exist.
    """
    if not _has_pending(session, table):
        return False
    session.run(_WAITING, **session.sql(table).parts, waiting=resolved)
    analyze(session.connection, resolved)
    _delete_unmet(session, table, resolved, "$deleted SELECT FROM deleted")
    if session.rows("SELECT EXISTS (SELECT FROM $resolved)", resolved=resolved)[0][0]:
        return True
    session.run("DROP TABLE $resolved", resolved=resolved)
    return False


def discard_resolved(session: WarehouseSession, table: WarehouseTable, resolved: sql.Fragment) -> None:
    """Deletes the pending rows in ``resolved``, a table as of :func:`stage_resolved_rows`, and what is older."""
    session.run(_DISCARD_RESOLVED, **session.sql(table).parts, resolved=resolved)


def discard(session: WarehouseSession, table: WarehouseTable, key: str, batch: int) -> None:
    """Deletes the pending row of this key and batch."""
    query = "DELETE FROM $pending_row WHERE table_name = $name AND key = $text AND batch = $batch"
    session.run(query, **session.sql(table).parts, text=sql.constant(key), batch=sql.number(batch))


def discard_superseded(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> None:
    """Deletes the pending rows of the keys in ``staging``, up to ``batch``."""
    session.run(_SUPERSEDED, **session.sql(table).parts, staging=staging, batch=sql.number(batch))


def discard_superseded_by_events(session: WarehouseSession, table: WarehouseTable, events: sql.Fragment) -> None:
    """Deletes the pending rows that are older than another row of their key; marks those that were deleted."""
    session.run(_SUPERSEDED_BY_EVENTS, **session.sql(table).parts, staging=events)
    session.run(_DELETED_BY_EVENTS, **session.sql(table).parts, staging=events)


def mark_deleted(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> None:
    """Marks the pending rows of the keys in ``staging``, which ``batch`` deletes."""
    session.run(_DELETED, **session.sql(table).parts, staging=staging, batch=sql.number(batch))


def _has_pending(session: WarehouseSession, table: WarehouseTable) -> bool:
    query = "SELECT EXISTS (SELECT FROM $pending_row WHERE table_name = $name)"
    return bool(session.rows(query, **session.sql(table).parts)[0][0])


def _delete_unmet(
    session: WarehouseSession,
    table: WarehouseTable,
    staging: sql.Fragment,
    template: str,
    *,
    is_row: str = "true",
    **parts: sql.Fragment,
) -> int:
    """Deletes from ``staging`` the rows that do not meet the requirements, and runs ``template`` with ``deleted``.

    ``is_row``: the condition that ``$row`` is a row, not a deletion. Returns how many rows ``template`` wrote.
    """
    required = requirements(session.connection, session.schemas, table)
    if not required:
        return 0
    if session.connection.is_duckdb:
        kept = sql.compose('u."_batch"') if template is _DEFER_EVENTS else parts.get("batch")
        has_batches = template is not _DEFER
        return move_unmet(session, table, staging, required, kept, is_row=is_row, has_batches=has_batches)
    rows = {
        "staging": staging,
        "is_row": sql.compose(is_row, row=sql.compose("s")),
        "is_referred": sql.compose(is_row, row=sql.compose("p")),
        "referring": temporary(f"referring_{table.name}"),
    }
    # As text where a jsonb cannot hold the value: a json may have \\u0000.
    parts = {**session.sql(table).parts, **parts, "content": content(table, of="u")}
    own = [{"same": entry.same, "unmet": entry.unmet} for entry in required if entry.same]
    if not own:
        return session.run(template, **parts, deleted=sql.compose(_DELETE_UNMET, **rows, unmet=any_unmet(required)))
    references = [sql.compose(_REFERENCES, **rows, **entry) for entry in own]
    session.run(_CREATE_REFERRING, **rows, references=sql.joined(" UNION ALL ", references))
    session.run('CREATE INDEX ON $referring ("_referred")', **rows)
    unmet = [entry.unmet for entry in required if not entry.same]
    unmet += [sql.compose(_UNMET_TOGETHER, **rows, **entry) for entry in own]
    deleted = sql.compose(_DELETE_UNMET_TOGETHER, **rows, unmet=sql.joined(" OR ", unmet))
    written = 0
    while moved := session.run(template, **parts, deleted=deleted):  # without these, others may refer to nothing
        written += moved
    session.run("DROP TABLE $referring", **rows)
    return written
