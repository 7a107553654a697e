"""What a batch does to one table beside its rows: keys deleted and undeleted, pending rows that are resolved."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from ...shared.declarations import WarehouseTable
from ...shared.postgres import sql
from .kinds import kind_of
from .late_arrivals import rebuild_history
from .pending import stage_resolvable
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


def supersede(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> None:
    """The staged rows of ``batch`` are the latest of their keys, and none of these keys is deleted any more."""
    kind_of(table).discard_superseded(session, table, staging, batch)
    session.run(_UNDELETE, **session.sql(table).parts, staging=staging, batch=sql.number(batch))


def delete(session: WarehouseSession, table: WarehouseTable, keys: Iterable[pa.Table], batch: int) -> None:
    """Records that ``batch`` deletes ``keys``: Arrow tables with the field ``table.key``."""
    staging = stage_deleted_keys(session, table, keys)
    session.run(_DELETE, **session.sql(table).parts, staging=staging, batch=sql.number(batch))
    kind_of(table).discard_superseded(session, table, staging, batch)


def write_resolved(session: WarehouseSession, table: WarehouseTable, last: int) -> int:
    """Writes the pending rows of ``table`` that meet its requirements now, each at its position in the history.

    ``last``: the last batch loaded. Returns how many rows were appended or upserted.
    """
    resolvable = temporary(f"resolvable_{table.name}")
    first = stage_resolvable(session, table, resolvable)
    return 0 if first is None else rebuild_history(session, table, resolvable, first, last)


def stage_deleted_keys(session: WarehouseSession, table: WarehouseTable, keys: Iterable[pa.Table]) -> sql.Fragment:
    """The staging table with these deleted keys."""
    return stage_rows(session, table, (table.key,), f"deleted_{table.name}", keys)
