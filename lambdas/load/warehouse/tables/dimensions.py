"""Dimensions and calendars: one row per key, the latest, as in a slowly changing dimension of type 1.

The functions are those of :class:`.session.TableKind`.
"""

from __future__ import annotations

from ....shared.model.declarations import WarehouseTable
from ....shared.postgres import sql
from ..control import pending, rejects
from ..references import refusals
from ..schemas import SchemaNames
from ..session import WarehouseSession, temporary
from ..table_sql import TableSql, compared, content
from .filling import Read

_UPSERT = """
    INSERT INTO $table AS t ($columns) $rows
    ON CONFLICT ($key) DO UPDATE SET ($columns) = ROW($excluded)
    WHERE ROW($present) IS DISTINCT FROM ROW($new)
"""
# DuckDB updates by a unique key alone, and has none here.
_MERGE = """
    MERGE INTO $table AS t USING ($rows) AS excluded ON ($key_of_t) = ($key_of_excluded)
    WHEN MATCHED AND ROW($present) IS DISTINCT FROM ROW($new) THEN UPDATE SET $changes
    WHEN NOT MATCHED THEN INSERT ($columns) VALUES ($excluded)
"""
_STAGED = "SELECT $columns FROM $staging"
_LATEST_OF_HISTORY = """
    SELECT DISTINCT ON ($key) $columns FROM $history WHERE NOT "_deleted" ORDER BY $key, "_batch" DESC
"""
_LATEST_RESOLVED = 'SELECT DISTINCT ON ($key) $columns FROM $resolved ORDER BY $key, "_batch" DESC'
# By a row that is newer than the deletion: one that was deleted while it waited stays so.
_UNDELETE_RESOLVED = """
    UPDATE $deletion AS d SET undeleted_batch = s.batch
    FROM (
        SELECT d.key, min(r."_batch") AS batch FROM $resolved AS r
        JOIN $deletion AS d ON d.table_name = $name AND d.key = $key_text_of_r AND d.batch < r."_batch"
        WHERE d.undeleted_batch IS NULL GROUP BY 1
    ) AS s
    WHERE d.table_name = $name AND d.key = s.key AND d.undeleted_batch IS NULL
"""
_CHANGED_KEYS = """
    CREATE TEMPORARY TABLE $changed ON COMMIT DROP AS
    SELECT $key_of_s FROM $staging AS s LEFT JOIN $table AS a ON ($key_of_a) = ($key_of_s)
    WHERE ($key_of_a) IS NULL OR ROW($staged) IS DISTINCT FROM ROW($present) OR EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = $key_text_of_s
        AND d.batch < $batch AND (d.undeleted_batch IS NULL OR d.undeleted_batch > $batch)
    )
"""


def apply(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> int:
    """Upserts the staged rows; returns how many were new or different."""
    return _upsert(session, table, sql.compose(_STAGED, **session.sql(table).parts, staging=staging))


def fill(session: WarehouseSession, table: WarehouseTable, read: Read, rows: int, batch: int) -> int | None:
    """None: dimensions are small."""
    return None


def drop_unchanged(
    session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, fresh: sql.Fragment
) -> bool:
    """False: the upsert compares each with its row."""
    return False


def trial(session: WarehouseSession, table: WarehouseTable, rows: sql.Fragment, batch: int) -> sql.Fragment:
    """Upserts the row."""
    return _upsert_of(session, table, sql.compose(_STAGED, **session.sql(table).parts, staging=rows))


def write_resolved(session: WarehouseSession, table: WarehouseTable, last: int) -> int:
    """Writes the pending rows that meet the requirements now, together; returns how many were new or different.

    They are newer than the rows of their keys in the table, and of each key the latest counts. So the lake is not read.
    """
    resolved = temporary(f"resolved_{table.name}")
    if not pending.stage_resolved_rows(session, table, resolved):
        return 0
    parts = {**session.sql(table).parts, "resolved": resolved}
    if table.name in session.tries_rows_of:
        batch, one = sql.compose('s."_batch"'), lambda row: trial(session, table, row, last)
        for row in refusals.reject_refused(session, table, resolved, batch, one):
            pending.discard(session, table, row.key, row.batch)
    rows = _upsert(session, table, sql.compose(_LATEST_RESOLVED, **parts))
    session.run(_UNDELETE_RESOLVED, **parts)
    pending.discard_resolved(session, table, resolved)
    rejects.discard_superseded_by_events(session, table, resolved)
    session.run("DROP TABLE $resolved", resolved=resolved)
    return rows


def discard_superseded(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> None:
    """Only the latest row matters: deletes what is pending, or was rejected, of the staged keys up to ``batch``."""
    pending.discard_superseded(session, table, staging, batch)
    rejects.discard_superseded(session, table, staging, batch)


def discard_deleted(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> None:
    """What is pending of the staged keys waits as deleted; what was rejected of them is discarded."""
    pending.mark_deleted(session, table, staging, batch)
    rejects.discard_superseded(session, table, staging, batch)


def discard_superseded_by_events(session: WarehouseSession, table: WarehouseTable, events: sql.Fragment) -> None:
    """Only the latest row matters: discards what is pending, or was rejected, and older than an event of its key."""
    pending.discard_superseded_by_events(session, table, events)
    rejects.discard_superseded_by_events(session, table, events)


def stage_state_before(session: WarehouseSession, parts: dict[str, sql.Fragment]) -> sql.Fragment | None:
    """None: what the row was before the first event is not kept."""
    return None


def write_history(session: WarehouseSession, table: WarehouseTable, parts: dict[str, sql.Fragment]) -> int:
    """Upserts the latest rows of ``$history``; returns how many were new or different."""
    return _upsert(session, table, sql.compose(_LATEST_OF_HISTORY, **parts))


def stage_changed_keys(session: WarehouseSession, parts: dict[str, sql.Fragment]) -> None:
    """Creates ``$changed``: the keys of which the table has another row than ``$staging``, or a deletion."""
    session.run(_CHANGED_KEYS, **parts)


def compared_rows(schemas: SchemaNames, table: WarehouseTable) -> sql.Fragment:
    """The query of what a comparison reads: the rows."""
    columns = content(table, of="t")
    template = 'SELECT true AS "_present", $of_table FROM $table AS t'
    return sql.compose(template, **TableSql.of(schemas, table).parts, of_table=columns)


def compared_columns(table: WarehouseTable) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that identify a compared row, and those that are compared."""
    return table.keys, table.column_names


def _upsert(session: WarehouseSession, table: WarehouseTable, rows: sql.Fragment) -> int:
    session.connection.run(_upsert_of(session, table, rows))
    return int(session.connection.row_count)


def _upsert_of(session: WarehouseSession, table: WarehouseTable, rows: sql.Fragment) -> sql.Fragment:
    """The statement that upserts ``rows``, a query."""
    changes = [sql.compose("$c = excluded.$c", c=sql.identifier(name)) for name in table.column_names]
    return sql.compose(
        _MERGE if session.connection.is_duckdb else _UPSERT,
        **session.sql(table).parts,
        key_of_excluded=sql.columns(table.keys, of="excluded"),
        changes=sql.joined(", ", changes),
        rows=rows,
        present=compared(table, of="t"),
        new=compared(table, of="excluded"),
        excluded=sql.columns(table.column_names, of="excluded"),
    )
