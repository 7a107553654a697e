"""What changed in one table: rows written since the last batch, each told once, and keys that are gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa

from ...shared.declarations import NEVER
from ...shared.errors import SourceError
from ...shared.lake.manifest import Coverage, File, KeyFile
from ...shared.lake.parquet import ParquetPart
from ...shared.lake.store import Lake
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from ..captured import Captured
from ..counting import Counted
from ..limits import Budget
from ..source.reader import ALL, NONE, read, written_since
from ..table_plan import TablePlan, deletes_interval
from .backfill import read_range
from .by_content import capture_content
from .change_file import Changes, store, upload
from .key_files import AllStored, KeyJudge, KeyWriter, OrderedComparison, keys_in, ordering, up_to

SINCE_ROWS = 1_000_000  # keys that came since the last compare: with more, they are compared whatever the interval


def capture(
    connection: Connection,
    lake: Lake,
    plan: TablePlan,
    counted: Counted,
    budget: Budget,
    prefix: str,
    now: datetime,
) -> Captured:
    """Reads what changed; rows go to the lake as they come, below ``prefix``. Changes nothing that counts yet.

    Raises SourceError for rows that are there, though nobody wrote them since the last batch.
    """
    if plan.table.by_content:
        return capture_content(connection, lake, plan, budget, prefix, now)
    written, pending = _to_read(plan, counted, budget)
    with Changes(connection, lake, plan, budget) as changes:
        coverage, keys, read_of_range = None, tuple(plan.before.keys), NONE
        if written:
            changes.read(plan.region(pending), keep_keys=not plan.whole)
        since = list(plan.before.since)
        if pending is not None:
            if pending.since is None:
                came = store(
                    lake, pa.table([changes.keys], schema=pa.schema([plan.key_field])), f"{prefix}.came.parquet"
                )
                since += [came] if came else []
            coverage, added = _take_range(connection, lake, plan, budget, changes, pending, prefix)
            keys += added
            read_of_range = _of_range(plan, pending, coverage)
        read_of_all = sql.compose("($one OR $other)", one=plan.region(pending), other=read_of_range)
        changed = changes.store(f"{prefix}.changes.parquet")
        if changed and not plan.whole and not (pending and pending.since is None):
            since.append(changed)
        captured = Captured(
            changes=changed,
            keys=keys,
            since=tuple(since),
            compared_at=plan.before.compared_at,
            coverage=coverage,
            seen=changes.seen(with_earlier=coverage is not None),
            read=ALL if plan.whole and coverage is None else read_of_all,
            covered=_covered(plan, coverage),
            progressed=coverage != plan.before.coverage and (coverage is None or coverage.upto is not None),
        )
        told = None if plan.whole or plan.pending or pending else changes.keys
        return _with_deletes(connection, lake, plan, captured, told, counted.total, written, prefix, now)


def _to_read(plan: TablePlan, counted: Counted, budget: Budget) -> tuple[int, Coverage | None]:
    """How many changes are to be read at once, whatever their key; what is to be read in ranges."""
    pending, total, written = plan.pending, counted.total, counted.written
    if plan.whole:
        at_once = total <= budget.rows and plan.bytes <= budget.bytes and not budget.limits.deadline.is_near
        return (total, None) if at_once or not total else (0, pending)
    known = plan.before.seen.rows if plan.before.seen else 0  # which will be met again, and are no change
    limits = budget.limits
    if written - known > limits.rows or plan.bytes * max(written - known, 0) > limits.bytes * max(total, 1):
        return 0, Coverage(None, pending.since if pending else plan.since_xmin)
    return written, pending


def _remaining(pending: Coverage) -> sql.Fragment:
    """The condition on the rows that are read in ranges."""
    return ALL if pending.since is None else written_since(sql.constant(str(pending.since)))


def _of_range(plan: TablePlan, pending: Coverage, coverage: Coverage | None) -> sql.Fragment:
    """The condition on the rows that this batch read in ranges: from ``pending`` up to ``coverage``."""
    parts = [_remaining(pending), _covered(plan, coverage)]
    if pending.upto is not None:
        parts.append(sql.compose("NOT $before", before=up_to(plan.key_column, pending.upto)))
    return sql.compose("($all)", all=sql.joined(" AND ", parts))


def _covered(plan: TablePlan, coverage: Coverage | None) -> sql.Fragment:
    if coverage is None:
        return ALL
    return up_to(plan.key_column, coverage.upto) if coverage.upto is not None else NONE


def _take_range(
    connection: Connection,
    lake: Lake,
    plan: TablePlan,
    budget: Budget,
    changes: Changes,
    pending: Coverage,
    prefix: str,
) -> tuple[Coverage | None, tuple[KeyFile, ...]]:
    """Reads the next rows of ``pending``. Returns what is pending then, and the files of their keys."""
    query = changes.query(_remaining(pending))
    if pending.since is not None:
        upto, complete = read_range(connection, plan, budget, query, changes.wire, pending.upto, changes.add)
        return (None if complete else Coverage(upto, pending.since)), ()
    begun = max((part.series for part in plan.before.keys), default=-1)
    schema = pa.schema([plan.key_field])
    series = begun + 1 if pending.upto is None else begun  # a new reading's keys are a series of their own
    writer = KeyWriter(lake, schema, f"{prefix}.range", series=series)

    def add(rows: pa.Table) -> None:
        changes.add(rows, keep_keys=False)
        writer.write(rows.select([plan.key]), changed=True)

    upto, complete = read_range(connection, plan, budget, query, changes.wire, pending.upto, add)
    writer.next_range()
    return (None if complete else Coverage(upto, None)), tuple(writer.files)


def _with_deletes(
    connection: Connection,
    lake: Lake,
    plan: TablePlan,
    captured: Captured,
    told: pa.ChunkedArray | None,
    total: int,
    written: int,
    prefix: str,
    now: datetime,
) -> Captured:
    """``captured`` with the keys that are gone, where it is time to look for them and the table was read to its end."""
    interval = deletes_interval(plan.table, total)
    if interval == NEVER:
        return replace(captured, keys=tuple(plan.before.keys), since=(), compared_at=None)
    if captured.coverage is not None:
        return captured
    at_once = written and plan.whole
    due = at_once or captured.progressed or _is_due(plan.before.compared_at, interval, now)
    if not due and sum(file.rows for file in captured.since) <= SINCE_ROWS:
        return captured
    tracked = plan.before.compared_at is not None or not captured.keys
    alone = tracked and not captured.since and not any(part.series for part in captured.keys)
    if alone and not captured.changes and total == sum(part.rows for part in captured.keys):
        # Every present row was there at the last compare, and there are as many of them: the key set is the same.
        return replace(captured, compared_at=now.isoformat())
    unexplained = told if plan.before.compared_at is not None else None  # what came untracked is no surprise
    deleted, keys = _compare_keys(connection, lake, plan, captured, unexplained, prefix)
    remembered = bool(plan.before.since)  # else every run would compare again what came since
    return replace(
        captured,
        deleted=deleted,
        keys=keys,
        since=(),
        compared_at=now.isoformat(),
        progressed=captured.progressed or remembered,
    )


def _is_due(compared_at: str | None, interval: timedelta, now: datetime) -> bool:
    """Whether ``interval`` has passed; or the clock was set back, so that nobody knows."""
    if compared_at is None:
        return True
    passed = now - datetime.fromisoformat(compared_at)
    return passed < timedelta(0) or passed >= interval


def _compare_keys(
    connection: Connection,
    lake: Lake,
    plan: TablePlan,
    captured: Captured,
    told: pa.ChunkedArray | None,
    prefix: str,
) -> tuple[File | None, tuple[KeyFile, ...]]:
    """The keys that are gone, and the files of those that there are: the same where the set is."""
    schema = pa.schema([plan.key_field])
    query = sql.compose(
        "SELECT t.$key FROM $table AS t ORDER BY $order",
        key=sql.identifier(plan.key),
        table=sql.table(plan.name),
        order=ordering(plan.key_column),
    )
    with ParquetPart(schema) as gone:
        judge = KeyJudge(plan.key_field, keys_in(lake, plan.before.since, plan.key_field), told, gone)
        carried = [part for part in captured.keys if part.series == 0]
        writer = KeyWriter(lake, schema, f"{prefix}.keys", carried)
        comparison = OrderedComparison(AllStored(lake, captured.keys, schema), writer, judge, schema)
        read(connection, query, schema, comparison.add)
        keys = comparison.finish()
        if judge.strange:
            raise SourceError(
                f"The source table {plan.name} shows {judge.strange} rows that it did not show before, {plan.key} "
                f"{judge.first_strange} among them, although nobody wrote them since: a policy on its rows was "
                "changed, or a backup was put back. Nothing was extracted. Invoke extract once with the event "
                f'{{"full": ["{plan.name}"]}}.'
            )
        return upload(lake, gone, f"{prefix}.deleted.parquet"), tuple(keys)
