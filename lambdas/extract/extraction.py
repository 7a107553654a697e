"""One run of extract: the changes committed since the last batch become the next; and runs until nothing remains."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from ..shared.errors import LakeError
from ..shared.lake.manifest import IngestionManifest, TableFiles, ingestion_manifest, to_json
from ..shared.lake.object_keys import manifest_key
from ..shared.lake.store import Lake
from ..shared.logs import TableWork
from ..shared.model.declarations import EVERY_RUN, Declarations
from .capture.by_transaction import capture
from .capture.change_file import store
from .commit_times import summary
from .context import Context, read_context
from .limits import DEFAULT_LIMITS, Budget, Limits
from .readers.fan_out import FanOut
from .row_set import WrittenSince
from .source.catalog import check_conversions
from .source.full_refresh import can_be_continued
from .source.interface import RowCounts, Source, SourceSnapshot
from .source.schema_drift import check_needed, drift
from .source.shared_snapshot import SnapshotLostError
from .table_plan import Captured, CaptureRun, Complete, TablePlan, cursor, deletes_interval

FULL, CHANGES = "full", "changes"  # modes of a manifest


@dataclass(frozen=True)
class Request:
    """What an event may ask for."""

    full: frozenset[str] = frozenset()
    """The tables of which every row is read again."""
    accept_types: frozenset[str] = frozenset()
    """The columns, as ``table.column``, whose type was changed on purpose."""


@dataclass(frozen=True)
class Extracted:
    """What one run, or several, made."""

    batch: int | None
    """The last batch made; None when nothing had changed, or another run was first."""
    last_batch: int | None
    """The last batch in the lake; None when there is none."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Changed rows by source table."""
    deleted: Mapping[str, int] = field(default_factory=dict)
    """Deleted rows by source table."""
    reason_for_full: str | None = None
    """Why every row of every table was read; None when not."""
    incomplete: Mapping[str, str] = field(default_factory=dict)
    """The tables that are being backfilled, and how far they are."""
    drift: tuple[str, ...] = ()
    """One line for each column that was added or dropped with this batch."""
    deletes: Mapping[str, str] = field(default_factory=dict)
    """What was decided about the deletes of each source table, and why."""
    readers: Mapping[str, str] = field(default_factory=dict)
    """Of tables that are large enough for readers: what they read, or why extract read alone."""
    work: Mapping[str, TableWork] = field(default_factory=dict)
    """What was done with each source table of which this batch has rows."""


def extract_all(
    source: Source,
    lake: Lake,
    declarations: Declarations,
    request: Request,
    limits: Limits,
    on_batch: Callable[[Extracted], object] = lambda _: None,
    fan_out: FanOut | None = None,
) -> Extracted:
    """Runs ``extract`` until no table is incomplete, another run commits first, or the time is up.

    Calls ``on_batch`` after each run. Returns what the last run made, with the rows of all. Each batch has its own
    snapshot.
    """
    done = extract(source, lake, declarations, uuid.uuid4().hex, request, limits=limits, fan_out=fan_out)
    on_batch(done)
    following = done
    deadline = limits.deadline
    while following.batch is not None and following.incomplete and deadline.has(2 * deadline.reserve):
        release_memory()
        following = extract(source, lake, declarations, uuid.uuid4().hex, limits=limits, fan_out=fan_out)
        on_batch(following)
        done = replace(
            following,
            batch=following.batch or done.batch,
            rows=_sum(done.rows, following.rows),
            deleted=_sum(done.deleted, following.deleted),
        )
    return done


def release_memory() -> None:
    """Returns what Arrow's allocator keeps of a batch: else each batch of a backfill leaves 10 to 15 MB."""
    pa.default_memory_pool().release_unused()


def extract_with_readers(
    connect: Callable[[], AbstractContextManager[Source]],
    run: Callable[[Source, FanOut | None], Extracted],
    fan_out: FanOut | None,
    on_lost: Callable[[str], object],
) -> Extracted:
    """What ``run`` made with a source of ``connect``, with ``fan_out``; without it, where its snapshot was lost.

    Then nothing was committed, and the session may have ended: there is another one. ``on_lost`` is called with why.
    """
    try:
        with connect() as source:
            return run(source, fan_out)
    except SnapshotLostError as error:
        on_lost(str(error))
    with connect() as source:
        return run(source, None)


def extract(
    source: Source,
    lake: Lake,
    declarations: Declarations,
    run: str,
    request: Request = Request(),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    limits: Limits = DEFAULT_LIMITS,
    clock: Callable[[], float] = time.perf_counter,
    fan_out: FanOut | None = None,
) -> Extracted:
    """Captures what was committed since the last batch in ``lake``; commits it as the next batch if anything changed.

    ``run`` is unique to this run, so that concurrent runs never write the same object. A table with more rows to read
    than ``limits`` allow is backfilled over this batch and the next ones; where there is a ``fan_out``, its readers
    read it instead, all of it for this batch. Raises SourceError, naming table and column, when the source does not
    match the declarations; then nothing is committed.
    """
    last = _last_batch(lake)
    before = ingestion_manifest(lake.get(manifest_key(last)), manifest_key(last)) if last else None
    began = now()
    extracted_at = _later(began, before)
    number = (last or 0) + 1
    with source.snapshot(declarations.source.values()) as snapshot:
        reason = snapshot.full_refresh_reason(before.source if before else None)
        if before is not None and request.full >= set(declarations.source):
            reason = "it was asked for"
        plans = _plans(snapshot, declarations, before, reason is not None, request)
        capture_run = CaptureRun(snapshot, lake, Budget(limits), began, number, run, fan_out=fan_out)
        counts = _counts(snapshot, plans, before)
        captured, took = {}, {}
        for name, plan in plans.items():
            started = clock()
            captured[name] = capture(capture_run, plan, counts.get(name, RowCounts()))
            took[name] = (clock() - started) * 1000
        deletes = {name: found.deletes for name, found in captured.items() if found.deletes}
        readers = {name: found.fan_out for name, found in captured.items() if found.fan_out}
        if not any(found.changes or found.deleted or found.state_changed for found in captured.values()):
            return Extracted(
                None,
                last,
                reason_for_full=reason,
                incomplete=_incomplete(declarations, before),
                deletes=deletes,
                readers=readers,
            )
        context = read_context(capture_run, declarations, plans, captured)
        position = snapshot.position()
    tables = {name: _table_files(capture_run, plans[name], found, context) for name, found in context.captured.items()}
    manifest = IngestionManifest(
        batch=number,
        previous=last,
        run=run,
        mode=FULL if reason else CHANGES,
        extracted_at=extracted_at.isoformat(),
        source=position,
        tables=tables,
        commits=summary(capture_run.transactions, source.commit_times(capture_run.transactions.ids)),
    )
    done = _commit(lake, declarations, manifest, reason, _drift(plans))
    return replace(done, deletes=deletes, readers=readers, work=_work(lake, manifest, took) if done.batch else {})


def _counts(
    snapshot: SourceSnapshot, plans: Mapping[str, TablePlan], before: IngestionManifest | None
) -> dict[str, RowCounts]:
    """The rows of the tables that are not compared by content, and how many of them changed, counted where needed.

    Where no transaction has ended since the last batch, none changed, and there are as many as then. While a table is
    backfilled, its changed rows are counted alone.
    """
    counted = {name: plan for name, plan in plans.items() if not plan.by_content}
    continued = {name: plan for name, plan in counted.items() if not plan.full_refresh}
    known = {}
    if snapshot.shows_the_same(before.source if before else None):
        known = {name: RowCounts(plan.before.rows, 0) for name, plan in continued.items()}
    partial = {name for name, plan in continued.items() if plan.state != Complete()}
    asked = {name: plan.changed for name, plan in counted.items() if name not in known}
    return {**known, **snapshot.count(asked, partial)}


def _last_batch(lake: Lake) -> int | None:
    """The highest number of a batch, after which S3 has no manifest; None when there is no batch.

    A run that continued an older batch could commit nothing, and would report that nothing had changed. Raises
    LakeError when S3 has the manifest of the next batch and does not list it.
    """
    last = lake.last_batch() or 0
    while lake.get_optional(manifest_key(last + 1)) is not None:  # the answer to a HEAD would not say what is wrong
        listed = lake.last_batch() or 0  # another run may have committed it since
        if listed <= last:
            raise _unlisted(lake, last + 1)
        last = listed
    return last or None


def _unlisted(lake: Lake, batch: int) -> LakeError:
    return LakeError(
        f"s3://{lake.bucket}/{manifest_key(batch)} exists, but S3 does not list it among the manifests: this run did "
        "not read the last batch, and committed nothing. The next run tries again. If it stays so, list the bucket "
        "with `aws s3api list-objects-v2 --prefix manifests/`, and compare."
    )


def _later(now: datetime, before: IngestionManifest | None) -> datetime:
    """``now``, or just after the last batch where the clock was set back: the times of batches are in their order."""
    return now if before is None else max(now, datetime.fromisoformat(before.extracted_at) + timedelta(microseconds=1))


def _plans(
    snapshot: SourceSnapshot,
    declarations: Declarations,
    before: IngestionManifest | None,
    full: bool,
    request: Request,
) -> dict[str, TablePlan]:
    """How each table is read, in the order in which they are read. ``full``: every row of all of them.

    Raises SourceError for a table that is not as the declarations need it.
    """
    needed = declarations.needed_columns()
    described = snapshot.describe(declarations.source.values())
    check_conversions(declarations, described)
    # Where there is no batch before, every table is refreshed in full and this is not used.
    since = WrittenSince((before.source if before else snapshot.position()).snapshot_xmin)
    plans = {}
    for table in declarations.capture_order():
        info = described[table.name]
        fingerprint = declarations.fingerprint(table.name)
        files = before.tables.get(table.name) if before else None
        known = files.columns if files else {}
        check_needed(table.name, info.column_types, needed[table.name], known, request.accept_types)
        full_refresh = (
            full
            or table.name in request.full
            or any(accepted.startswith(f"{table.name}.") for accepted in request.accept_types)
            or not can_be_continued(files, table, info, fingerprint, needed[table.name], snapshot)
        )
        plans[table.name] = TablePlan(table, info, files, full_refresh, since, fingerprint)
    return plans


def _table_files(run: CaptureRun, plan: TablePlan, found: Captured, context: Context) -> TableFiles:
    """What the manifest records of one table."""
    compared = found.total is not None and deletes_interval(plan.table, found.total) == EVERY_RUN
    return TableFiles(
        columns={column.name: column.type for column in plan.info.columns},
        key_columns=plan.keys,
        changes=found.changes,
        more_changes=found.more_changes,
        context=context.reached.get(plan.name),
        lookups=context.looked_up.get(plan.name),
        deleted=found.deleted,
        keys=found.keys,
        in_flight=store(run.lake, found.in_flight, f"{run.prefix(plan.name)}.in_flight.parquet"),
        relation_oids=plan.info.relation_oids,
        column_identities={column.name: column.identity for column in plan.info.columns},
        enum_labels=plan.info.enum_labels,
        declaration_fingerprint=plan.declaration_fingerprint,
        keys_since_compare=found.keys_since_compare,
        compared_at=found.compared_at,
        backfill=cursor(found.state),
        by_content=plan.by_content,
        rows=found.total if compared else None,
        content=found.content,
    )


def _work(lake: Lake, manifest: IngestionManifest, took: Mapping[str, float]) -> dict[str, TableWork]:
    """What was done with each table of which the batch has rows; ``took``: the milliseconds."""
    work = {}
    for name, files in manifest.tables.items():
        found = {"deleted": files.deleted, "context": files.context, "lookups": files.lookups}
        more = {kind: file.rows for kind, file in found.items() if file}
        if files.changes or more:
            size = sum(lake.sizes.get(file.key, 0) for file in (*files.change_files, *found.values()) if file)
            work[name] = TableWork(files.changed_rows, size, took[name], more)
    return work


def _drift(plans: Mapping[str, TablePlan]) -> tuple[str, ...]:
    """One line for each column that was added or dropped since the last batch."""
    lines = [
        drift(name, plan.info.column_types, plan.previous.columns) for name, plan in plans.items() if plan.previous
    ]
    return tuple(line for of_table in lines for line in of_table)


def _incomplete(declarations: Declarations, manifest: IngestionManifest | None) -> dict[str, str]:
    """The tables that are being backfilled at ``manifest``, and how far they are."""
    found = {}
    for name, files in manifest.tables.items() if manifest else ():
        if files.backfill is None or name not in declarations.source:
            continue
        last_key = files.backfill.last_key
        found[name] = (
            f"read up to {', '.join(files.key_columns)} {last_key}" if last_key is not None else "not read yet"
        )
    return found


def _commit(
    lake: Lake, declarations: Declarations, manifest: IngestionManifest, reason: str | None, drift: tuple[str, ...]
) -> Extracted:
    """Stores ``manifest``, and with it the batch, unless another run has stored this batch since this one began.

    Raises LakeError when S3 refuses the manifest as there already, and does not list it.
    """
    key = manifest_key(manifest.batch)
    if not lake.put_if_absent(key, to_json(manifest)):
        winner = ingestion_manifest(lake.get(key), key)
        if winner.run != manifest.run:  # else it is our own: a retried request finds what its first try wrote
            last = lake.last_batch()
            if (last or 0) < manifest.batch:
                raise _unlisted(lake, manifest.batch)
            return Extracted(None, last, incomplete=_incomplete(declarations, winner))
    return Extracted(
        manifest.batch,
        manifest.batch,
        rows={name: files.changed_rows for name, files in manifest.tables.items() if files.changes},
        deleted={name: files.deleted.rows for name, files in manifest.tables.items() if files.deleted},
        reason_for_full=reason,
        incomplete=_incomplete(declarations, manifest),
        drift=drift,
    )


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """The sum by name, in the order in which names come."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in dict.fromkeys((*one, *other))}
