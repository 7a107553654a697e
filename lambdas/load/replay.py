"""Applies batches again in their newest revisions: what differs is replayed into the history, the rest stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pg8000.exceptions import DatabaseError

from ..shared.declarations import CALENDAR, Declarations, WarehouseTable
from ..shared.errors import WarehouseError
from ..shared.lake.manifest import ProcessedManifest, ProcessedTable, processed_manifest
from ..shared.lake.store import Lake
from ..shared.postgres import sql
from ..shared.postgres.connection import message, transaction
from ..shared.postgres.copy import Connection
from .warehouse import ledger, rejects
from .warehouse.kinds import kind_of
from .warehouse.late_arrivals import rebuild_history
from .warehouse.schemas import LIVE, Warehouse
from .warehouse.session import WarehouseSession
from .warehouse.staging import temporary
from .warehouse.tables import stage_deleted_keys, stage_file, write_resolved

# The pending rows of the batch count as changed: in the revision they may be others.
_PENDING_KEYS = """
    INSERT INTO $changed
    SELECT DISTINCT s.$key FROM $pending_row AS p, jsonb_populate_record(NULL::$table, p.content) AS s
    WHERE p.table_name = $name AND p.batch = $batch
"""
_DELETED_KEYS = """
    INSERT INTO $changed SELECT s.$key FROM $deleted AS s WHERE NOT EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = s.$key::text
        AND d.batch <= $batch AND (d.undeleted_batch IS NULL OR d.undeleted_batch > $batch)
    )
"""


@dataclass
class Replayed:
    """What a replay did."""

    replayed: list[int] = field(default_factory=list)
    """The batches applied again, in order."""
    written: dict[str, int] = field(default_factory=dict)
    """Rows appended or upserted, per table."""
    not_loaded: list[int] = field(default_factory=list)
    """Requested batches that load has not loaded yet: load takes their newest revisions."""
    left: list[int] = field(default_factory=list)
    """Batches for another run: the deadline came, or another load is running."""
    busy: bool = False
    """Another load has the advisory lock: this replay did nothing."""


def replay(
    connection: Connection,
    lake: Lake,
    declarations: Declarations,
    batches: list[int],
    *,
    warehouse: Warehouse = LIVE,
    has_time_for_next: Callable[[], bool] = lambda: True,
) -> Replayed:
    """Applies the newest revisions of ``batches``, in order, each in one transaction, while ``has_time_for_next()``.

    A batch that was not loaded yet is left to load. While another load runs, nothing is done. Raises LakeError for a
    batch that the lake does not have, WarehouseError when the warehouse is not prepared or refuses one: those before it
    stay.
    """
    ledger.check_prepared(connection, warehouse)
    todo = sorted(set(batches))
    if not ledger.acquire_lock(connection, warehouse):
        return Replayed(left=todo, busy=True)
    last = ledger.last_entry(connection, warehouse).batch or 0
    session = WarehouseSession(connection, warehouse, lake)
    result = Replayed(not_loaded=[batch for batch in todo if batch > last])
    todo = [batch for batch in todo if batch <= last]
    while todo:
        if not has_time_for_next():
            result.left = todo
            break
        batch = todo.pop(0)
        key = lake.newest_revision(batch)
        manifest = processed_manifest(lake.read(key), key)
        for table, rows in _apply(session, declarations, manifest, last).items():
            result.written[table] = result.written.get(table, 0) + rows
        result.replayed.append(batch)
    return result


def _apply(
    session: WarehouseSession, declarations: Declarations, manifest: ProcessedManifest, last: int
) -> dict[str, int]:
    """Applies one revision in one transaction; returns the rows written per table. ``last``: the last batch loaded."""
    written: dict[str, int] = {}
    try:
        with transaction(session.connection):
            for table in declarations.loading_order():
                files = manifest.tables.get(table.name, ProcessedTable())
                rows = _apply_table(session, table, files, manifest.batch, last)
                if rows:
                    written[table.name] = rows
            rejects.replace(session, declarations, manifest, last)
            ledger.record_revision(session.connection, session.warehouse, manifest, written)
    except DatabaseError as error:
        raise WarehouseError(
            f"Batch {manifest.batch} cannot be applied again: {message(error)}. Nothing of it was changed."
        ) from error
    return written


def _apply_table(session: WarehouseSession, table: WarehouseTable, files: ProcessedTable, batch: int, last: int) -> int:
    if table.kind == CALENDAR:  # a date has one content, whichever batch has it
        return kind_of(table).apply(session, table, stage_file(session, table, files.key), batch) if files.key else 0
    rows = write_resolved(session, table, last)
    changed = _changed_keys(session, table, files, batch)
    if session.rows("SELECT EXISTS (SELECT FROM $changed)", changed=changed)[0][0]:
        rows += rebuild_history(session, table, changed, batch, last)
    return rows


def _changed_keys(session: WarehouseSession, table: WarehouseTable, files: ProcessedTable, batch: int) -> sql.Fragment:
    """The temporary table of the keys of which the warehouse, as of the batch, differs from the revision."""
    changed = temporary(f"changed_{table.name}")
    parts = {
        **session.sql(table).parts,
        "staging": stage_file(session, table, files.key),
        "changed": changed,
        "as_of": temporary(f"as_of_{table.name}"),
        "batch": sql.number(batch),
        "staged": sql.columns(table.column_names, of="s"),
        "present": sql.columns(table.column_names, of="a"),
    }
    kind_of(table).stage_changed_keys(session, parts)
    session.run(_PENDING_KEYS, **parts)
    if files.deleted is not None:
        session.run(_DELETED_KEYS, **parts, deleted=stage_deleted_keys(session, table, files.deleted.key))
    return changed
