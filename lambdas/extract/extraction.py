"""One run of extract: what was committed since the last batch becomes the next one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ..shared.declarations import Declarations
from ..shared.lake.manifest import File, IngestionManifest, SourceIdentity, TableFiles, ingestion_manifest, to_json
from ..shared.lake.object_keys import manifest_key
from ..shared.lake.parquet import ParquetPart
from ..shared.lake.store import Lake
from ..shared.postgres import sql
from ..shared.postgres.copy import Connection
from .capture.by_transaction import capture
from .capture.change_file import store, upload
from .captured import Captured
from .counting import Counted, count
from .join_context import context_conditions
from .limits import DEFAULT_LIMITS, Budget, Limits
from .source.catalog import check_kind, check_needed, describe, drift, lockable, parts
from .source.reader import ALL, NOW, SINCE, lake_schema, read, select_columns
from .source.snapshot import XID_HORIZON, Snapshot, snapshot, why_full
from .table_plan import TablePlan

FULL, CHANGES = "full", "changes"


@dataclass(frozen=True)
class Request:
    """What an event may ask for: ``full`` tables are read whole and compared; ``accept_types``: retyped columns."""

    full: frozenset[str] = frozenset()
    accept_types: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Extracted:
    """``batch`` is None when nothing had changed, or another run was first; ``last_batch`` is the last there is.

    ``incomplete``: of the tables that are read in key ranges, and not to their end yet: how far.
    """

    batch: int | None
    last_batch: int | None
    rows: Mapping[str, int] = field(default_factory=dict)
    deleted: Mapping[str, int] = field(default_factory=dict)
    reason_for_full: str | None = None
    incomplete: Mapping[str, str] = field(default_factory=dict)
    drift: tuple[str, ...] = ()  # what to say of columns that are new, or gone, with this batch


def extract(
    connection: Connection,
    lake: Lake,
    declarations: Declarations,
    run: str,
    request: Request = Request(),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    limits: Limits = DEFAULT_LIMITS,
) -> Extracted:
    """Captures what was committed since the last batch in ``lake``; commits it as the next batch, if it is anything.

    ``run`` names this run uniquely, so that two at once never write the same key. A table with more rows to read than
    ``limits`` allow is taken in key ranges, by this batch and the next ones. Raises SourceError, naming table and
    column, when the source is not what the declarations need; then nothing is committed.
    """
    last = lake.last_batch()
    before = ingestion_manifest(lake.read(manifest_key(last)), manifest_key(last)) if last else None
    clock = now()
    at = _later(clock, before)
    number = (last or 0) + 1
    with snapshot(connection, _checked_kinds(connection, declarations)) as moment:
        reason = why_full(before.source if before else None, moment)
        if before is not None and request.full >= set(declarations.source):
            reason = "it was asked for"
        plans = _plans(connection, declarations, before, moment, reason is not None, request)
        _announce(connection, before.source if before else moment.identity, moment)
        stem = f"{at:%Y-%m-%d}/batch-{number:012d}-{run[:8]}"
        budget = Budget(limits)
        counts = count(connection, plans.values())
        captured = {
            name: capture(connection, lake, plan, counts.get(name, Counted()), budget, f"{name}/{stem}", clock)
            for name, plan in plans.items()
        }
        active = {name for name, found in captured.items() if found.changes}
        if not active and not any(found.deleted or found.progressed for found in captured.values()):
            return Extracted(None, last, reason_for_full=reason, incomplete=_incomplete(declarations, before))
        context = _read_context(connection, lake, declarations, plans, captured, active, stem)
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
    return _commit(lake, declarations, manifest, reason, tuple(line for lines in said for line in lines))


def _later(now: datetime, before: IngestionManifest | None) -> datetime:
    """``now``, or just after the last batch where the clock was set back: batches are told in order by their times."""
    return now if before is None else max(now, datetime.fromisoformat(before.extracted_at) + timedelta(microseconds=1))


def _checked_kinds(connection: Connection, declarations: Declarations) -> list[str]:
    """The tables that can be locked. Raises SourceError for one that does not tell who wrote its rows, but should."""
    found = parts(connection, declarations.source)
    for name, table in declarations.source.items():
        if not table.by_content:
            check_kind(name, found[name])
    return [name for name, table in declarations.source.items() if lockable(found[name])]


def _plans(
    connection: Connection,
    declarations: Declarations,
    before: IngestionManifest | None,
    moment: Snapshot,
    full: bool,
    request: Request,
) -> dict[str, TablePlan]:
    needed = declarations.needed_columns()
    described = describe(connection, declarations.source)
    plans = {}
    for table in declarations.capture_order():
        found = described[table.name]
        meaning = declarations.meaning(table.name)
        files = before.tables.get(table.name) if before else None
        known = files.columns if files else {}
        check_needed(table.name, found.columns, needed[table.name], known, request.accept_types)
        # Read whole: what earlier batches do not have; another table of this name, whose rows were written before it
        # came here; what is read in another way than it was; and types that change without a row being written.
        whole = (
            full
            or files is None
            or table.name in request.full
            or not set(needed[table.name]) <= set(known)
            or tuple(files.relations) != found.relations
            or files.meaning != meaning
            or any(accepted.startswith(f"{table.name}.") for accepted in request.accept_types)
            or _is_out_of_reach(files, moment)
        )
        plans[table.name] = TablePlan(
            table=table,
            columns=found.columns,
            previous=files,
            whole=whole,
            since_xmin=before.source.snapshot_xmin if before else 0,
            bytes=found.bytes,
            relations=found.relations,
            meaning=meaning,
        )
    return plans


def _is_out_of_reach(files: TableFiles, moment: Snapshot) -> bool:
    """Whether what remains of a reading in ranges was written too long ago to be told by its age."""
    since = files.coverage.since if files.coverage else None
    return since is not None and moment.xmax - since >= XID_HORIZON


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
    captured: Mapping[str, Captured],
    active: Collection[str],
    stem: str,
) -> dict[str, File]:
    written = {name: found.read for name, found in captured.items()}
    covered = {name: found.covered for name, found in captured.items()}
    files = {}
    for name, condition in context_conditions(declarations, written, covered, active).items():
        if written[name] == ALL and not plans[name].table.by_content:
            continue  # every row of it is among the changes
        file = _context_of(connection, lake, plans[name], condition, f"{name}/{stem}.context.parquet")
        if file is not None:
            files[name] = file
    return files


def _context_of(connection: Connection, lake: Lake, plan: TablePlan, condition: sql.Fragment, key: str) -> File | None:
    query = sql.compose(
        "SELECT $columns FROM $table AS t WHERE $condition",
        columns=select_columns(plan.columns),
        table=sql.table(plan.name),
        condition=condition,
    )
    schema = lake_schema(plan.columns)
    with ParquetPart(schema) as part:
        read(connection, query, schema, part.write)
        return upload(lake, part, key)


def _stored(lake: Lake, plan: TablePlan, found: Captured, context: File | None, prefix: str) -> TableFiles:
    return TableFiles(
        columns={column.name: column.type for column in plan.columns},
        changes=found.changes,
        context=context,
        deleted=found.deleted,
        keys=found.keys,
        seen=store(lake, found.seen, f"{prefix}.seen.parquet"),
        relations=plan.relations,
        meaning=plan.meaning,
        since=found.since,
        compared_at=found.compared_at,
        coverage=found.coverage,
        by_content=plan.table.by_content,
    )


def _incomplete(declarations: Declarations, manifest: IngestionManifest | None) -> dict[str, str]:
    """Of the tables that ``manifest`` does not cover to their end: how far they were read."""
    found = {}
    for name, files in manifest.tables.items() if manifest else ():
        if files.coverage is None or name not in declarations.source:
            continue
        upto = files.coverage.upto
        found[name] = f"read up to {declarations.source[name].key} {upto}" if upto is not None else "not read yet"
    return found


def _commit(
    lake: Lake, declarations: Declarations, manifest: IngestionManifest, reason: str | None, said: tuple[str, ...]
) -> Extracted:
    key = manifest_key(manifest.batch)
    if not lake.put_if_absent(key, to_json(manifest)):
        winner = ingestion_manifest(lake.read(key), key)
        if winner.run != manifest.run:  # else it is our own: a retried request finds what its first try wrote
            return Extracted(None, lake.last_batch(), incomplete=_incomplete(declarations, winner))
    return Extracted(
        manifest.batch,
        manifest.batch,
        rows={name: files.changes.rows for name, files in manifest.tables.items() if files.changes},
        deleted={name: files.deleted.rows for name, files in manifest.tables.items() if files.deleted},
        reason_for_full=reason,
        incomplete=_incomplete(declarations, manifest),
        drift=said,
    )
