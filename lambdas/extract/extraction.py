"""One run of extract: what was committed since the last batch becomes the next one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from lambdas.extract.capture import Captured, Previous, TablePlan, capture, read_context
from lambdas.extract.catalog import check_kind, check_needed, describe, drift, relations
from lambdas.extract.context import context_conditions
from lambdas.extract.reading import ALL, written_since
from lambdas.extract.snapshot import Snapshot, snapshot, why_full
from lambdas.shared.declarations import Declarations
from lambdas.shared.lake import Lake
from lambdas.shared.layout import manifest_key
from lambdas.shared.manifest import File, IngestionManifest, SourceIdentity, TableFiles, ingestion_manifest, to_json
from lambdas.shared.wire import Connection

FULL, CHANGES = "full", "changes"
SINCE, NOW = "pipeline.since", "pipeline.now"  # session settings that carry the two snapshots' xmin to the queries


@dataclass(frozen=True)
class Request:
    """What an event may ask for: ``full`` tables are read whole and compared; ``accept_types``: retyped columns."""

    full: frozenset[str] = frozenset()
    accept_types: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Extracted:
    """``batch`` is None when nothing had changed, or another run was first; ``last_batch`` is the last there is."""

    batch: int | None
    last_batch: int | None
    rows: Mapping[str, int] = field(default_factory=dict)
    deleted: Mapping[str, int] = field(default_factory=dict)
    reason_for_full: str | None = None
    drift: tuple[str, ...] = ()  # what to say of columns that are new, or gone, with this batch


def extract(
    connection: Connection,
    lake: Lake,
    declarations: Declarations,
    run: str,
    request: Request = Request(),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Extracted:
    """Captures what was committed since the last batch in ``lake``; commits it as the next batch, if it is anything.

    ``run`` names this run uniquely, so that two at once never write the same key. Raises SourceError, naming table and
    column, when the source is not what the declarations need; then nothing is committed.
    """
    last = lake.last_batch()
    before = ingestion_manifest(lake.read(manifest_key(last)), manifest_key(last)) if last else None
    at = _later(now(), before)
    number = (last or 0) + 1
    for name in declarations.source:
        check_kind(connection, name)
    with snapshot(connection, declarations.source) as moment:
        reason = why_full(before.source if before else None, moment)
        if before is not None and request.full >= set(declarations.source):
            reason = "it was asked for"
        plans = _plans(connection, declarations, before, reason is not None, request)
        _announce(connection, before.source if before else moment.identity, moment)
        stem = f"{at:%Y-%m-%d}/batch-{number:012d}-{run[:8]}"
        captured = {name: capture(connection, lake, plan, f"{name}/{stem}") for name, plan in plans.items()}
        active = {name for name, found in captured.items() if found.changes}
        if not active and not any(found.deleted for found in captured.values()):
            return Extracted(None, last, reason_for_full=reason)
        context = _read_context(connection, lake, declarations, plans, active, stem)
    tables = {
        name: _stored(lake, plans[name], found, context.get(name), f"{name}/{stem}") for name, found in captured.items()
    }
    manifest = IngestionManifest(
        batch=number,
        previous=last,
        run=run,
        mode=FULL if reason else CHANGES,
        extracted_at=at.isoformat(),
        source=moment.identity,
        tables=tables,
    )
    said = [
        drift(name, plan.columns, before.tables[name].columns)
        for name, plan in plans.items()
        if before and name in before.tables
    ]
    return _commit(lake, manifest, reason, tuple(line for lines in said for line in lines))


def _later(now: datetime, before: IngestionManifest | None) -> datetime:
    """``now``, or just after the last batch where the clock was set back: batches are told in order by their times."""
    return now if before is None else max(now, datetime.fromisoformat(before.extracted_at) + timedelta(microseconds=1))


def _plans(
    connection: Connection, declarations: Declarations, before: IngestionManifest | None, full: bool, request: Request
) -> dict[str, TablePlan]:
    needed = declarations.needed_columns()
    plans = {}
    for table in declarations.source.values():
        columns, found = describe(connection, table.name), relations(connection, table.name)
        meaning = declarations.meaning(table.name)
        files = before.tables.get(table.name) if before else None
        known = files.columns if files else {}
        check_needed(table.name, columns, needed[table.name], known, request.accept_types)
        # Read whole: what earlier batches do not have; another table of this name, whose rows were written before it
        # came here; what is read in another way than it was; and types that change without a row being written.
        whole = (
            full
            or files is None
            or table.name in request.full
            or not set(needed[table.name]) <= set(known)
            or tuple(files.relations) != found
            or files.meaning != meaning
            or any(accepted.startswith(f"{table.name}.") for accepted in request.accept_types)
        )
        plans[table.name] = TablePlan(
            name=table.name,
            key=table.key,
            columns=columns,
            written=ALL if whole else written_since(SINCE),
            written_again=written_since(NOW),
            previous=Previous(files.keys if files else None, files.seen if files and not whole else None),
            relations=found,
            meaning=meaning,
        )
    return plans


def _announce(connection: Connection, before: SourceIdentity, moment: Snapshot) -> None:
    connection.run(
        "SELECT set_config(:since, :before, true), set_config(:now, :moment, true)",
        since=SINCE,
        before=str(before.snapshot_xmin),
        now=NOW,
        moment=str(moment.identity.snapshot_xmin),
    )


def _read_context(
    connection: Connection,
    lake: Lake,
    declarations: Declarations,
    plans: Mapping[str, TablePlan],
    active: Collection[str],
    stem: str,
) -> dict[str, File]:
    written = {name: plan.written for name, plan in plans.items()}
    found = {}
    for name, condition in context_conditions(declarations, written, active).items():
        if plans[name].written == ALL:
            continue  # every row of it is among the changes
        file = read_context(connection, lake, plans[name], condition, f"{name}/{stem}")
        if file is not None:
            found[name] = file
    return found


def _stored(lake: Lake, plan: TablePlan, found: Captured, context: File | None, prefix: str) -> TableFiles:
    return TableFiles(
        columns={column.name: column.type for column in plan.columns},
        changes=found.changes,
        context=context,
        deleted=found.store_deleted(lake, prefix),
        keys=found.store_keys(lake, prefix),
        seen=found.store_seen(lake, prefix),
        relations=plan.relations,
        meaning=plan.meaning,
    )


def _commit(lake: Lake, manifest: IngestionManifest, reason: str | None, said: tuple[str, ...]) -> Extracted:
    key = manifest_key(manifest.batch)
    if not lake.put_if_absent(key, to_json(manifest)):
        winner = ingestion_manifest(lake.read(key), key)
        if winner.run != manifest.run:  # else it is our own: a retried request finds what its first try wrote
            return Extracted(None, lake.last_batch())
    return Extracted(
        manifest.batch,
        manifest.batch,
        rows={name: files.changes.rows for name, files in manifest.tables.items() if files.changes},
        deleted={name: files.deleted.rows for name, files in manifest.tables.items() if files.deleted},
        reason_for_full=reason,
        drift=said,
    )
