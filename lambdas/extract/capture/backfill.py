"""Reads a table in the order of its keys, in chunks from one snapshot, until it ends or the batch is full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa

from ...shared.lake.manifest import KeyFile
from ..limits import MEBIBYTE
from ..row_set import ALL, NONE, WITHOUT_KEY, AllRows, Key, KeysAfter, RowSet, intersection, union
from ..source.interface import RowCounts
from ..table_plan import Backfill, BackfillState, Captured, CaptureRun, Complete, TablePlan, stored_state
from .change_file import ChangeFile, store
from .key_files import KeyWriter
from .sorted_keys import boundary, text_of

FIRST_CHUNK = 1_000  # rows: the size of a row is not known yet
CHUNK_BYTES = 32 * MEBIBYTE  # of rows in Arrow's memory format, which a chunk should have
CHUNK_GROWTH = 16  # the largest factor from one chunk to the next


@dataclass(frozen=True)
class RangeRead:
    """How far a range of keys was read."""

    last_key: Key | None
    """The last key that was read; where no row was read, the key at which the range began."""
    complete: bool
    """Whether no row remains beyond it."""


def capture_backfill(
    mode: Backfill, run: CaptureRun, plan: TablePlan, counts: RowCounts, changes: ChangeFile
) -> Captured:
    """Reads the changes among the backfilled rows, and as many rows beyond them as the batch has room for."""
    # The changed rows were counted for the plan's own state: a mode that starts again has backfilled none of them.
    changed_rows = intersection(plan.since, mode.backfilled)
    if counts.selected and changed_rows != NONE:
        changes.read(changed_rows)
    if mode.after is None and any(column.representable_condition() for column in plan.info.key_columns):
        changes.read(intersection(mode.scope, WITHOUT_KEY), keep_keys=False)  # they are in no range
    written, keys = list(plan.before.keys_since_compare), tuple(plan.before.keys)
    if isinstance(mode.scope, AllRows):
        # The range's keys get files of their own; these are the keys of the other rows.
        others = store(run.lake, changes.keys, f"{run.prefix(plan.name)}.written.parquet")
        written += [others] if others else []
        read, added = _read_with_keys(mode, run, plan, changes)
        keys += added
    else:
        read = _read_range(mode, run, plan, changes.add)
    state = _state_after(mode, run, read)
    changed = changes.store()
    if changed and not isinstance(mode.scope, AllRows):
        written.append(changed)
    read_rows = ALL if read.complete else replace(mode, after=read.last_key).backfilled
    range_rows = _range_rows(mode, read_rows)
    # The rows that a huge transaction wrote, and all others of their table, were captured before it: no later batch has
    # those that it did not write.
    captured_rows = read_rows if isinstance(mode.scope, AllRows) else ALL
    return Captured(
        changes=changed,
        keys=keys,
        keys_since_compare=tuple(written),
        compared_at=plan.before.compared_at,
        state=state,
        in_flight=changes.in_flight(with_earlier=isinstance(state, Backfill)),
        changed_rows=union(changed_rows, intersection(range_rows, mode.changes)),
        reread_rows=NONE if mode.changes == ALL else range_rows,
        captured_rows=captured_rows,
        # The last batch's state need not be stored again, nor one before a row was read.
        state_changed=state != stored_state(plan.before) and (read.complete or read.last_key is not None),
    )


def _state_after(mode: Backfill, run: CaptureRun, read: RangeRead) -> BackfillState:
    """What remains to be read."""
    if not read.complete:
        return replace(mode, after=read.last_key)
    return run.next_pass() if mode.again else Complete()


def _range_rows(mode: Backfill, read: RowSet) -> RowSet:
    """The rows that this batch read in the order of their keys: ``read`` without those of earlier batches."""
    after: RowSet = KeysAfter(mode.after) if mode.after is not None else ALL
    return intersection(mode.scope, read, after)


def _read_with_keys(
    mode: Backfill, run: CaptureRun, plan: TablePlan, changes: ChangeFile
) -> tuple[RangeRead, tuple[KeyFile, ...]]:
    """Reads a range of all rows; returns how far, and the files with its keys.

    A backfill that starts again has a generation of keys of its own, as its keys are not beyond the earlier ones.
    """
    latest = max((file.generation for file in plan.before.keys), default=-1)
    generation = latest + 1 if mode.after is None else latest
    writer = KeyWriter(run.lake, plan.key_schema, f"{run.prefix(plan.name)}.range", generation=generation)

    def add(rows: pa.Table) -> None:
        changes.add(rows, keep_keys=False)
        writer.write(rows.select(plan.keys), changed=True)

    read = _read_range(mode, run, plan, add)
    writer.next_range()
    return read, tuple(writer.files)


def _read_range(mode: Backfill, run: CaptureRun, plan: TablePlan, add: Callable[[pa.Table], object]) -> RangeRead:
    """Passes the rows of ``mode`` to ``add``, in the order of their keys, until the batch's budget is spent.

    ``add`` takes what it adds from the budget. The number of rows of a chunk follows the size of those before it.
    """
    size, after = FIRST_CHUNK, mode.after
    while not run.budget.is_spent:
        chunk = _Chunk(plan, add)
        limit = min(size, run.budget.rows)
        run.snapshot.changed_range(plan.info, mode.scope, after, limit, chunk.add)
        after = chunk.last_key if chunk.last_key is not None else after
        if chunk.rows < limit:
            return RangeRead(after, True)
        size = max(1, min(size * CHUNK_GROWTH, size * CHUNK_BYTES // max(chunk.bytes, 1)))
    return RangeRead(after, False)


class _Chunk:
    """Measures the rows that it passes on."""

    def __init__(self, plan: TablePlan, add: Callable[[pa.Table], object]) -> None:
        self._keys, self._add = plan.keys, add
        self.rows = self.bytes = 0
        self.last_key: Key | None = None

    def add(self, rows: pa.Table) -> None:
        self.rows += rows.num_rows
        self.bytes += rows.nbytes
        self.last_key = text_of(boundary(rows.select(self._keys), len(self._keys)))
        self._add(rows)
