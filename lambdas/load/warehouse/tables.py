"""One table of one batch: into a staging table by COPY, from there into the warehouse by set-based SQL."""

from __future__ import annotations

from dataclasses import dataclass

from ...shared.declarations import WarehouseTable
from ...shared.lake.manifest import ProcessedTable
from ...shared.postgres import sql
from .kinds import kind_of
from .late_arrivals import rebuild_history
from .pending import defer_unresolved, stage_resolvable
from .session import WarehouseSession
from .staging import stage_rows, temporary

_UNDELETE = """
    UPDATE $deletion AS d SET undeleted_batch = $batch
    FROM $staging AS s WHERE d.table_name = $name AND d.key = s.$key::text AND d.undeleted_batch IS NULL
"""
_DELETE = """
    INSERT INTO $deletion (table_name, key, batch)
    SELECT $name, s.$key::text, $batch FROM $staging AS s
    WHERE NOT EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = s.$key::text AND d.undeleted_batch IS NULL
    )
"""


@dataclass(frozen=True)
class Written:
    """What was written of one table."""

    rows: int = 0
    """Rows appended or upserted."""
    pending: int = 0
    """Rows deferred: they do not meet a requirement of the table yet."""


def write_table(session: WarehouseSession, table: WarehouseTable, files: ProcessedTable, batch: int) -> Written:
    """Writes what ``batch`` has for ``table``. Writing it again writes nothing. Runs within a transaction."""
    written = Written()
    if files.key is not None:
        written = _write(session, table, files.key, batch)
    if files.deleted is not None:
        _delete(session, table, files.deleted.key, batch)
    return written


def write_resolved(session: WarehouseSession, table: WarehouseTable, last: int) -> int:
    """Writes the pending rows of ``table`` that meet its requirements now, each at its position in the history.

    ``last``: the last batch loaded. Returns how many rows were appended or upserted.
    """
    resolvable = temporary(f"resolvable_{table.name}")
    first = stage_resolvable(session, table, resolvable)
    return 0 if first is None else rebuild_history(session, table, resolvable, first, last)


def stage_file(session: WarehouseSession, table: WarehouseTable, key: str | None) -> sql.Fragment:
    """The staging table with the rows of the file ``key``; none of them where it is None."""
    rows = session.lake.tables(key) if key else iter(())
    return stage_rows(session, table, table.column_names, f"staging_{table.name}", rows)


def stage_deleted_keys(session: WarehouseSession, table: WarehouseTable, key: str) -> sql.Fragment:
    """The staging table with the deleted keys in the file ``key``."""
    return stage_rows(session, table, (table.key,), f"deleted_{table.name}", session.lake.tables(key))


def _write(session: WarehouseSession, table: WarehouseTable, key: str, batch: int) -> Written:
    """The staged rows are the latest of their keys, and none of these keys is deleted any more."""
    kind, staging = kind_of(table), stage_file(session, table, key)
    deferred = defer_unresolved(session, table, staging, batch)
    rows = kind.apply(session, table, staging, batch)
    kind.discard_superseded(session, table, staging, batch)
    session.run(_UNDELETE, **session.sql(table).parts, staging=staging, batch=sql.number(batch))
    return Written(rows, deferred)


def _delete(session: WarehouseSession, table: WarehouseTable, key: str, batch: int) -> None:
    staging = stage_deleted_keys(session, table, key)
    session.run(_DELETE, **session.sql(table).parts, staging=staging, batch=sql.number(batch))
    kind_of(table).discard_superseded(session, table, staging, batch)
