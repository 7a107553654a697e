"""Applies batches again in their newest revisions: what differs is replayed into the history, the rest stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..shared.errors import WarehouseError
from ..shared.lake.manifest import ProcessedManifest, ProcessedTable, files_of, processed_manifest
from ..shared.lake.store import Lake
from ..shared.model.declarations import CALENDAR, Declarations, WarehouseTable
from .warehouse.interface import RefusedError, Warehouse, WarehouseBatch
from .warehouse.read_ahead import MissingHistoryError, NeededHistory, ReadAhead


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
    warehouse: Warehouse,
    lake: Lake,
    declarations: Declarations,
    batches: list[int],
    *,
    has_time_for_next: Callable[[], bool] = lambda: True,
) -> Replayed:
    """Applies the newest revisions of ``batches``, in order, each in one transaction, while ``has_time_for_next()``.

    A batch that was not loaded yet is left to load. While another load runs, nothing is done. Raises LakeError for a
    batch that the lake does not have, WarehouseError when the warehouse is not prepared or refuses one: those before it
    stay.
    """
    warehouse.check_prepared()
    todo = sorted(set(batches))
    if not warehouse.acquire_lock():
        return Replayed(left=todo, busy=True)
    last = warehouse.last_loaded().batch or 0
    result = Replayed(not_loaded=[batch for batch in todo if batch > last])
    todo = [batch for batch in todo if batch <= last]
    while todo:
        if not has_time_for_next():
            result.left = todo
            break
        batch = todo.pop(0)
        key = lake.newest_revision(batch)
        manifest = processed_manifest(lake.get(key), key)
        for table, rows in _apply(warehouse, lake, declarations, manifest, last).items():
            result.written[table] = result.written.get(table, 0) + rows
        result.replayed.append(batch)
    return result


def _apply(
    warehouse: Warehouse, lake: Lake, declarations: Declarations, manifest: ProcessedManifest, last: int
) -> dict[str, int]:
    """Applies one revision in one transaction; returns the rows written per table. ``last``: the last batch loaded."""
    with ReadAhead(lake, sorted(files_of(manifest))) as reads:
        return reads.attempt(lambda: _apply_with(warehouse, reads, declarations, manifest, last))


def _apply_with(
    warehouse: Warehouse, reads: ReadAhead, declarations: Declarations, manifest: ProcessedManifest, last: int
) -> dict[str, int]:
    """One attempt at it. Raises MissingHistoryError with the history that ``reads`` lacks."""
    written: dict[str, int] = {}
    missing: list[NeededHistory] = []
    try:
        with warehouse.begin(manifest, last, reads) as batch:
            batch.discard_refused()
            for table in declarations.loading_order():
                files = manifest.tables.get(table.name, ProcessedTable())
                try:
                    rows = _apply_table(batch, reads, table, files, manifest.batch)
                except MissingHistoryError as error:  # the other tables may lack some too, which is read with it
                    missing += error.needed
                    continue
                if rows:
                    written[table.name] = rows
            if missing:
                raise MissingHistoryError(missing)
            batch.record_revision(declarations, manifest, written)
    except RefusedError as error:
        raise WarehouseError(
            f"Batch {manifest.batch} cannot be applied again: {error}. Nothing of it was changed."
        ) from error
    return written


def _apply_table(
    batch: WarehouseBatch, reads: ReadAhead, table: WarehouseTable, files: ProcessedTable, number: int
) -> int:
    if table.kind == CALENDAR:  # a date has one content, whichever batch has it
        return batch.apply(table, batch.stage(table, reads.iter_files(files.data_files))) if files.key else 0
    rows = batch.write_resolved(table)
    deleted = reads.iter_files(files.deleted_files) if files.deleted_files else None
    changed = batch.stage_changed_keys(table, reads.iter_files(files.data_files), deleted)
    if changed is not None:
        rows += batch.rebuild_history(table, changed, number)
        if not table.record:  # rows of the table that refer to other rows of it may find them now
            rows += batch.write_resolved(table)
    return rows
