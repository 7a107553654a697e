"""Loads batch by batch into the warehouse: in order, each in one transaction with its ledger row."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ..shared.errors import GapError, LakeError, NotPreparedError, WarehouseError
from ..shared.lake.manifest import DataFile, ProcessedManifest, ProcessedTable, files_of, processed_manifest
from ..shared.lake.object_keys import manifest_key
from ..shared.lake.store import Lake
from ..shared.model.declarations import Declarations, WarehouseTable
from .warehouse.interface import FirstRows, LedgerEntry, RefusedError, Warehouse, WarehouseBatch
from .warehouse.read_ahead import MissingHistoryError, NeededHistory, ReadAhead

GAP_TIMEOUT = timedelta(minutes=5)  # how long a batch may be missing when a later one exists


@dataclass(frozen=True)
class Written:
    """What was written of one table."""

    rows: int = 0
    """Rows appended or upserted."""
    pending: int = 0
    """Rows deferred: they do not meet a requirement of the table yet. And those that the warehouse itself refuses."""
    milliseconds: float = 0.0
    filled: str = ""
    """Of the first rows of a table that several connections could fill: how it was done, or why not so."""


class _RowRefusedError(Exception):
    """A table refuses a row: the batch is written again, and its rows are tried one by one."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table


@dataclass(frozen=True)
class LoadedBatch:
    """One batch that is in the warehouse now."""

    entry: LedgerEntry
    """Its row in the ledger."""
    manifest: ProcessedManifest
    written: Mapping[str, Written]
    """By the name of the warehouse table."""


@dataclass
class Loaded:
    """What a run of load did."""

    last: LedgerEntry
    """The ledger's last batch, after the run."""
    loaded: list[int] = field(default_factory=list)
    """The batches loaded by this run, in order."""
    missing_batch: int | None = None
    """The batch that is missing from the lake, and blocks the later ones."""
    appended: dict[str, int] = field(default_factory=dict)
    """Rows appended or upserted, per table."""
    pending: dict[str, int] = field(default_factory=dict)
    """Rows deferred, per table: they do not meet a requirement of the table yet."""
    busy: bool = False
    """Another load has the advisory lock: this one did nothing."""
    unfinished: bool = False
    """The deadline came before the last batch."""


def load(
    warehouse: Warehouse,
    lake: Lake,
    declarations: Declarations,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    has_time_for_next: Callable[[], bool] = lambda: True,
    on_batch: Callable[[LoadedBatch], object] = lambda _: None,
) -> Loaded:
    """Loads every batch in ``lake`` that the warehouse does not have, in order, while ``has_time_for_next()``.

    Calls ``on_batch`` after each. Stops at a missing batch. While another load runs, nothing is done. Raises GapError
    when a batch stays missing, LakeError when the lake is not the one that was loaded before, WarehouseError when the
    warehouse is not prepared, or refuses a batch: its transaction is rolled back, those before it stay.
    """
    warehouse.check_prepared()
    if not warehouse.acquire_lock():
        return Loaded(warehouse.last_loaded(), busy=True)
    warehouse.discard_leftovers()
    result = Loaded(warehouse.last_loaded())
    _check_lake(lake, result.last)
    for number in _in_order(lake, result, now):
        if not has_time_for_next():
            result.unfinished = True
            break
        key = lake.newest_revision(number)
        manifest = processed_manifest(lake.get(key), key)
        done = _load_batch(warehouse, lake, declarations, manifest)
        for table, written in done.items():
            result.appended[table] = result.appended.get(table, 0) + written.rows
            if written.pending:
                result.pending[table] = result.pending.get(table, 0) + written.pending
        result.loaded.append(number)
        result.last = warehouse.last_loaded()
        on_batch(LoadedBatch(result.last, manifest, done))
    return result


def report(warehouse: Warehouse) -> Loaded:
    """What the ledger has, without loading anything. Raises WarehouseError when the warehouse is not prepared."""
    warehouse.check_prepared()
    return Loaded(warehouse.last_loaded())


def _check_lake(lake: Lake, last: LedgerEntry) -> None:
    """Raises LakeError when ``lake`` does not have the batch that was loaded last: its numbers are of other batches."""
    if last.batch is None:
        return
    key = manifest_key(last.batch)
    content = lake.get_optional(key)
    if content is None:
        raise LakeError(
            f"The warehouse has everything up to batch {last.batch}, but its manifest s3://{lake.bucket}/{key} is "
            "missing. Nothing is loaded. If only this bucket was emptied, invoke transform with the "
            f'event {{"action": "transform", "batch": {last.batch}}}; if the lake was created again, begin '
            "with an empty warehouse too."
        )
    found = processed_manifest(content, key)
    if datetime.fromisoformat(found.extracted_at) != datetime.fromisoformat(str(last.extracted_at)):
        raise LakeError(
            f"Batch {last.batch} in s3://{lake.bucket} was extracted at {found.extracted_at}, and the one that the "
            f"warehouse loaded at {last.extracted_at}: the lake was replaced. Nothing is loaded. Restore the lake that "
            "it was loaded from, or begin with an empty warehouse."
        )


def _in_order(lake: Lake, result: Loaded, now: Callable[[], datetime]) -> Iterator[int]:
    expected = (result.last.batch or 0) + 1
    for found in lake.batches_after(expected - 1):
        if found.number != expected:
            result.missing_batch = expected
            late = now() - found.written
            if late > GAP_TIMEOUT:
                raise GapError(
                    f"Batch {expected} is missing from s3://{lake.bucket}, while batch {found.number} has existed "
                    f"for {round(late.total_seconds())} s. Nothing after it is loaded. transform looks for such "
                    "batches automatically every few minutes; if this stays, see its log, fix the cause, and "
                    f'invoke it with the event {{"action": "transform", "batch": {expected}}}.'
                )
            return
        yield found.number
        expected += 1


def _load_batch(
    warehouse: Warehouse, lake: Lake, declarations: Declarations, manifest: ProcessedManifest
) -> dict[str, Written]:
    """What was written of each table of one batch, in one transaction with its ledger row."""
    unknown = set(manifest.tables) - set(declarations.warehouse)
    if unknown:
        raise WarehouseError(
            f"Batch {manifest.batch} has {', '.join(sorted(unknown))}, which is not declared any more."
        )
    with ReadAhead(lake, sorted(files_of(manifest))) as reads:
        firsts = [
            FirstRows(declarations.warehouse[name], files.rows, functools.partial(reads.iter_files, files.data_files))
            for name, files in manifest.tables.items()
            if files.data_files
        ]
        with warehouse.beside(firsts) as ways:
            refusing: set[str] = set()
            while True:
                try:
                    attempt = functools.partial(
                        _write_batch, warehouse, reads, declarations, manifest, frozenset(refusing)
                    )
                    written = reads.attempt(attempt)
                    return {name: replace(done, filled=ways.get(name, "")) for name, done in written.items()}
                except _RowRefusedError as refused:  # again, and the rows that the table refuses are rejected
                    refusing.add(refused.table)


def _write_batch(
    warehouse: Warehouse,
    reads: ReadAhead,
    declarations: Declarations,
    manifest: ProcessedManifest,
    refusing: frozenset[str],
) -> dict[str, Written]:
    """One attempt at it. Raises MissingHistoryError with all history that ``reads`` lacks.

    Raises _RowRefusedError where a table refuses a row that is not among ``refusing``: those of which it does.
    """
    written: dict[str, Written] = {}
    missing: list[NeededHistory] = []
    location = "the ledger"
    try:
        with warehouse.begin(manifest, manifest.batch - 1, reads, refusing) as batch:
            for table in declarations.loading_order():
                location, started = table.name, time.perf_counter()
                files = manifest.tables.get(table.name)
                try:
                    resolved = batch.write_resolved(table)
                except MissingHistoryError as error:  # the other tables may lack some too, which is read with it
                    missing += error.needed
                    continue
                now = _write(batch, reads, table, files) if files else Written()
                if files or resolved:  # with files also where no row is written: see ledger.batches_with
                    took = (time.perf_counter() - started) * 1000
                    written[table.name] = Written(resolved + now.rows, now.pending, took)
            if missing:
                raise MissingHistoryError(missing)
            location = "the ledger"
            batch.record(manifest, {name: done.rows for name, done in written.items()})
    except RefusedError as error:
        if error.is_about_a_row and location not in refusing and location in declarations.warehouse:
            raise _RowRefusedError(location) from error
        raise _error(manifest.batch, location, error) from error
    return written


def _write(batch: WarehouseBatch, reads: ReadAhead, table: WarehouseTable, files: ProcessedTable) -> Written:
    """Writes what the batch has for ``table``. Writing it again writes nothing."""
    written = Written()
    if files.data_files:
        filled = batch.fill(table, functools.partial(reads.iter_files, files.data_files), files.rows)
        written = _write_rows(batch, reads, table, files.data_files) if filled is None else Written(filled)
    if files.deleted_files:
        batch.delete(table, reads.iter_files(files.deleted_files))
    if files.unfit_files and not table.record:  # of versions each counts, and what was rejected of it
        batch.discard_rejected(table, reads.iter_files(files.unfit_files))
    return written


def _write_rows(batch: WarehouseBatch, reads: ReadAhead, table: WarehouseTable, files: Sequence[DataFile]) -> Written:
    """Writes the rows of ``files`` by way of a staging table."""
    staging = batch.stage(table, reads.iter_files(files))
    refused = batch.reject_refused(table, staging)
    staging = batch.drop_unchanged(table, staging)
    deferred = batch.defer_unresolved(table, staging)
    rows = batch.apply(table, staging)
    batch.supersede(table, staging)
    if not table.record:  # rows of the table that refer to other rows of it may find them now
        rows += batch.write_resolved(table)
        deferred = batch.count_pending(table) if deferred else 0
    return Written(rows, deferred + refused)


def _error(batch: int, location: str, error: RefusedError) -> WarehouseError:
    kind = NotPreparedError if error.is_unprepared else WarehouseError
    return kind(
        f"Batch {batch} cannot be loaded into {location}: {error}. Nothing of the batch was written; the next run "
        "tries again."
    )
