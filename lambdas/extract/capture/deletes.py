"""Finds the deleted rows of a table: the keys that it had at the last compare, or since, and has no more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto

import pyarrow as pa

from ...shared.errors import SourceError
from ...shared.lake.manifest import DataFile, KeyFile
from ...shared.lake.parquet import ParquetPart
from ...shared.model.declarations import NEVER
from ..row_set import ALL, NONE
from ..source.dense_keys import are_dense
from ..table_plan import (
    COMPARED_EVERY_RUN,
    Backfill,
    Captured,
    CaptureMode,
    CaptureRun,
    FullRead,
    Incremental,
    TablePlan,
    deletes_interval,
    is_due,
)
from .change_file import ChangeFile, upload
from .key_files import KeyDiff, KeyWriter, MergedKeyFiles, OrderedComparison, keys_in
from .sorted_keys import ordered

_LARGE = COMPARED_EVERY_RUN + 1  # rows: as good as any number of a table that is not compared in every run
KEYS_SINCE_COMPARE = 1_000_000  # keys written since the last compare: with more, the next is due whatever the interval


class Action(Enum):
    """What is done about deletes."""

    DISABLE = auto()
    """Forget what is known of the keys."""
    SKIP = auto()
    """Leave the keys to a later run."""
    UNCHANGED = auto()
    """Record a compare without reading the keys: the set of keys cannot have changed."""
    COMPARE = auto()
    """Read all keys and compare them with the stored ones."""


@dataclass(frozen=True)
class DeleteDetection:
    """What is done about the deletes of a table in this run, and why."""

    action: Action
    reason: str


def with_deletes(
    run: CaptureRun, plan: TablePlan, mode: CaptureMode, captured: Captured, changes: ChangeFile, total: int | None
) -> Captured:
    """``captured`` with the keys of deleted rows, where it is time to look for them.

    ``total``: rows of the table; None: they are counted where that matters.
    """
    if total is None and _needs_total(plan, captured, run.now):
        total = run.count(plan, NONE).total
    captured = replace(captured, total=total)
    detection = delete_detection(plan, mode, captured, _LARGE if total is None else total, run.now)
    captured = replace(captured, deletes=f"{detection.action.name.lower()}: {detection.reason}")
    match detection.action:
        case Action.DISABLE:
            return replace(captured, keys=tuple(plan.before.keys), keys_since_compare=(), compared_at=None)
        case Action.SKIP:
            return captured
        case Action.UNCHANGED:
            return replace(captured, compared_at=run.now.isoformat())
        case Action.COMPARE:
            return _compare(run, plan, mode, captured, changes)


def _needs_total(plan: TablePlan, captured: Captured, now: datetime) -> bool:
    """Whether the rows of a table that were not counted must be. They were not where it is being backfilled, and where
    it has those of the last batch and so many that keys are not compared in every run.
    """
    interval = deletes_interval(plan.table, _LARGE)
    if interval == NEVER or isinstance(captured.state, Backfill):
        return False
    return captured.state_changed or is_due(plan.before.compared_at, interval, now) or _are_many(captured)


def _are_many(captured: Captured) -> bool:
    """Whether so many keys were written since the last compare that the next is due."""
    return sum(file.rows for file in captured.keys_since_compare) > KEYS_SINCE_COMPARE


def delete_detection(
    plan: TablePlan, mode: CaptureMode, captured: Captured, total: int, now: datetime
) -> DeleteDetection:
    """Decides on the deletes of a table with ``total`` rows, from what was captured of it."""
    interval = deletes_interval(plan.table, total)
    if interval == NEVER:
        return DeleteDetection(Action.DISABLE, "the declaration says never")
    if isinstance(captured.state, Backfill):
        return DeleteDetection(Action.SKIP, "the table is not read to its end")
    if isinstance(mode, FullRead) and total:
        reason = "every row was read"
    elif captured.state_changed:
        reason = "a backfill is complete"
    elif is_due(plan.before.compared_at, interval, now):
        reason = "the interval has passed"
    elif _are_many(captured):
        reason = "many keys were written since the last compare"
    else:
        return DeleteDetection(Action.SKIP, "the interval has not passed")
    if _are_counted(plan, captured) and total == sum(file.rows for file in captured.keys):
        tracked = plan.before.compared_at is not None or not captured.keys
        if tracked and not captured.changes:
            return DeleteDetection(Action.UNCHANGED, "no row was written, and there are as many as at the last compare")
        if captured.state_changed and isinstance(mode, Backfill) and mode.scope == ALL and mode.after is not None:
            return DeleteDetection(Action.UNCHANGED, "no row that was read was written since, and there are as many")
    return DeleteDetection(Action.COMPARE, reason)


def _are_counted(plan: TablePlan, captured: Captured) -> bool:
    """Whether the present keys are those of ``captured.keys`` where there are as many rows.

    So it is where each row has a key that the lake can represent, and no row of a known key was written since the key
    was read: what a backfill finds of that in its later batches is among the keys written since. Then no key that is
    there now is new, and where none is new, there are fewer when one was deleted.
    """
    every_row_has_key = not any(column.representable_condition() for column in plan.info.key_columns)
    one_pass = not any(file.generation for file in captured.keys)
    return every_row_has_key and one_pass and not captured.keys_since_compare


def _compare(run: CaptureRun, plan: TablePlan, mode: CaptureMode, captured: Captured, changes: ChangeFile) -> Captured:
    """``captured`` with the result of comparing all keys.

    Only an incremental run that continues a tracked table can explain each new key by a row that it has read.
    """
    tracked = plan.before.compared_at is not None
    explained = changes.keys if isinstance(mode, Incremental) and tracked else None
    present = changes.keys if isinstance(mode, FullRead) else None  # those of all rows, as they are in this snapshot
    deleted, keys = _compare_keys(run, plan, captured, explained, present)
    remembered = bool(plan.before.keys_since_compare)  # else every run would compare again the keys written since
    return replace(
        captured,
        deleted=deleted,
        keys=keys,
        keys_since_compare=(),
        compared_at=run.now.isoformat(),
        state_changed=captured.state_changed or remembered,
    )


def _compare_keys(
    run: CaptureRun, plan: TablePlan, captured: Captured, explained: pa.Table | None, present: pa.Table | None
) -> tuple[DataFile | None, tuple[KeyFile, ...]]:
    """The keys of deleted rows, and the files of the present keys: the earlier ones where the set is the same.

    ``explained``: the keys that may be new; None: every key may. ``present``: the keys that the table has, in any
    order; None: they are read. Raises SourceError for a new key that is not explained.
    """
    schema, prefix = plan.key_schema, run.prefix(plan.name)
    with ParquetPart(schema) as deleted:
        written = keys_in(run.lake, plan.before.keys_since_compare, schema)
        in_order = len({file.generation for file in captured.keys}) <= 1
        diff = KeyDiff(written, explained, deleted, in_order=in_order)
        carried = [file for file in captured.keys if file.generation == 0]
        writer = KeyWriter(run.lake, schema, f"{prefix}.keys", carried)
        comparison = OrderedComparison(MergedKeyFiles(run.lake, captured.keys, schema), writer, diff, schema)
        if present is None:
            run.snapshot.keys(plan.info, comparison.add, dense=in_order and are_dense(captured.keys, schema))
        else:
            comparison.add(ordered(present))
        keys = comparison.finish()
        if diff.unexplained:
            raise SourceError(
                f"The source table {plan.name} shows {diff.unexplained} rows that it did not show before, although no "
                "transaction wrote them since: a row-level security policy was changed, or a backup was restored. "
                f'Nothing was extracted. Invoke extract once with the event {{"full": ["{plan.name}"]}}.'
            )
        return upload(run.lake, deleted, f"{prefix}.deleted.parquet"), tuple(keys)
