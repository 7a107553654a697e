"""Batch by batch into the warehouse: in order, each in one transaction with its ledger row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pg8000.exceptions import DatabaseError

from ..shared.declarations import Declarations
from ..shared.errors import GapError, LakeError, WarehouseError
from ..shared.lake.manifest import ProcessedManifest, processed_manifest
from ..shared.lake.object_keys import manifest_key
from ..shared.lake.store import Lake
from ..shared.postgres.connection import message, sqlstate, transaction
from ..shared.postgres.copy import Connection
from .warehouse import ledger, rejects
from .warehouse.ledger import LedgerEntry
from .warehouse.schemas import LIVE, Warehouse
from .warehouse.tables import Written, write_held, write_table

GAP_PATIENCE = timedelta(minutes=5)  # how long a batch may be late when a later one is there already

_UNPREPARED = ("42P01", "42703", "42P10")  # no such table, no such column, no unique key to upsert by


@dataclass
class Loaded:
    """The ledger's last batch; the batches loaded now; the batch that is missing.

    ``appended``: rows written per table, a dimension's upserted ones among them. ``held``: rows that wait, because what
    they name, or a value that they must have, is not there.
    ``busy``: another load is running, and this one did nothing. ``unfinished``: time was up before the last batch.
    """

    last: LedgerEntry
    loaded: list[int] = field(default_factory=list)
    waiting_for: int | None = None
    appended: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    busy: bool = False
    unfinished: bool = False


def load(
    connection: Connection,
    lake: Lake,
    declarations: Declarations,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    warehouse: Warehouse = LIVE,
    in_time: Callable[[], bool] = lambda: True,
) -> Loaded:
    """Loads every batch in ``lake`` that the warehouse does not have, in order, as long as ``in_time`` says.

    Stops at a missing batch. While another load runs, nothing is done. Raises GapError when a batch stays missing,
    LakeError when the lake is not the one that was loaded before, WarehouseError when the warehouse is not prepared, or
    refuses a batch: its transaction is rolled back, those before it stay.
    """
    ledger.check_prepared(connection, warehouse)
    if not ledger.take_turn(connection, warehouse):
        return Loaded(ledger.last_entry(connection, warehouse), busy=True)
    result = Loaded(ledger.last_entry(connection, warehouse))
    _check_lake(lake, result.last)
    for number in _in_order(lake, result, now):
        if not in_time():
            result.unfinished = True
            break
        key = lake.newest_revision(number)
        manifest = processed_manifest(lake.read(key), key)
        for table, written in _load_batch(connection, warehouse, lake, declarations, manifest).items():
            result.appended[table] = result.appended.get(table, 0) + written.rows
            if written.held:
                result.held[table] = result.held.get(table, 0) + written.held
        result.loaded.append(number)
        result.last = ledger.last_entry(connection, warehouse)
    return result


def report(connection: Connection, warehouse: Warehouse = LIVE) -> Loaded:
    """What the ledger says, without loading anything. Raises WarehouseError when the warehouse is not prepared."""
    ledger.check_prepared(connection, warehouse)
    return Loaded(ledger.last_entry(connection, warehouse))


def _check_lake(lake: Lake, last: LedgerEntry) -> None:
    """Raises LakeError when ``lake`` does not hold the batch that was loaded last: its numbers mean something else."""
    if last.batch is None:
        return
    key = manifest_key(last.batch)
    content = lake.find(key)
    if content is None:
        raise LakeError(
            f"The warehouse holds everything up to batch {last.batch}, which s3://{lake.bucket}/{key} should tell of "
            "and which is not there. Nothing is loaded. If only this bucket was emptied, invoke transform with the "
            f'event {{"action": "transform", "batch": {last.batch}}}; if the lake began anew, begin with an empty '
            "warehouse too."
        )
    found = processed_manifest(content, key)
    if datetime.fromisoformat(found.extracted_at) != datetime.fromisoformat(str(last.extracted_at)):
        raise LakeError(
            f"Batch {last.batch} in s3://{lake.bucket} was extracted at {found.extracted_at}, and the one that the "
            f"warehouse loaded at {last.extracted_at}: the lake was replaced. Nothing is loaded. Put back the one that "
            "it was loaded from, or begin with an empty warehouse."
        )


def _in_order(lake: Lake, result: Loaded, now: Callable[[], datetime]) -> Iterator[int]:
    expected = (result.last.batch or 0) + 1
    for found in lake.batches_after(expected - 1):
        if found.number != expected:
            result.waiting_for = expected
            late = now() - found.written
            if late > GAP_PATIENCE:
                raise GapError(
                    f"Batch {expected} is missing from s3://{lake.bucket}, while batch {found.number} has been there "
                    f"for {round(late.total_seconds())} s. Nothing after it is loaded. transform looks for such "
                    "batches by itself every few minutes; if this stays, see its log, mend what it complains of, and "
                    f'invoke it with the event {{"action": "transform", "batch": {expected}}}.'
                )
            return
        yield found.number
        expected += 1


def _load_batch(
    connection: Connection,
    warehouse: Warehouse,
    lake: Lake,
    declarations: Declarations,
    manifest: ProcessedManifest,
) -> dict[str, Written]:
    unknown = set(manifest.tables) - set(declarations.warehouse)
    if unknown:
        raise WarehouseError(
            f"Batch {manifest.batch} holds {', '.join(sorted(unknown))}, which the declaration does not name any more."
        )
    written: dict[str, Written] = {}
    place = "the ledger"
    try:
        with transaction(connection):
            for table in declarations.loading_order():
                place = table.name
                late = write_held(connection, warehouse, lake, table, manifest.batch - 1)
                files = manifest.tables.get(table.name)
                now = write_table(connection, warehouse, lake, table, files, manifest.batch) if files else Written()
                if files or late:
                    written[table.name] = Written(late + now.rows, now.held)
            place = "the ledger"
            rejects.record(connection, warehouse, lake, manifest)
            ledger.record(connection, warehouse, manifest, {name: done.rows for name, done in written.items()})
    except DatabaseError as error:
        raise WarehouseError(_refusal(manifest.batch, place, error)) from error
    return written


def _refusal(batch: int, table: str, error: DatabaseError) -> str:
    advice = (
        "Run: python deploy.py prepare, which creates what is missing and names what differs."
        if sqlstate(error) in _UNPREPARED
        else "Nothing of the batch was written; it is tried again at the next run."
    )
    return f"Batch {batch} cannot be loaded into {table}: {message(error)}. {advice}"
