"""How one table is read in this run, how much one batch may contain, and what a run captured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pyarrow as pa

from ..shared.lake.manifest import BackfillCursor, DataFile, KeyFile, TableFiles, key_of_text, key_text
from ..shared.lake.object_keys import run_prefix
from ..shared.lake.store import Lake
from ..shared.model.declarations import SourceTable
from .commit_times import Transactions
from .limits import Budget
from .readers.fan_out import FanOut
from .row_set import ALL, NONE, AllRows, Key, KeysUpTo, RowSet, WrittenSince, intersection
from .source.catalog import TableInfo
from .source.interface import RowCounts, SourceSnapshot

COMPARED_EVERY_RUN = 1_000_000  # rows; what comparing keys costs: python -m benchmarks.capturing


@dataclass(frozen=True)
class FullRead:
    """Capture mode: every row, in one query."""


@dataclass(frozen=True)
class Incremental:
    """Capture mode: the rows written since the last batch, in one query."""

    since: WrittenSince


@dataclass(frozen=True)
class Backfill:
    """Capture mode: more rows than a batch may have are read in the order of their keys, over several batches.

    Each of these batches also has the rows written since the last one whose keys were already backfilled.
    """

    scope: AllRows | WrittenSince
    """The rows to read: of a full refresh all; else those that a transaction as large as many batches wrote."""
    after: Key | None = None
    """The last key that was read; None where none was read yet."""
    changes: AllRows | WrittenSince = ALL
    """The rows among those that are changes. Where the table is read once more because too many of its rows refer to
    something that changed, they are those written since then: the lake has the others as they are."""
    again: bool = False
    """Whether the table is read once more, for that reason, when the end is reached. Were it read again from the first
    key immediately, its last rows might never be read."""

    @property
    def backfilled(self) -> RowSet:
        """The rows whose keys were already reached."""
        return KeysUpTo(self.after) if self.after is not None else NONE


@dataclass(frozen=True)
class Complete:
    """The state of a table of which nothing remains to be backfilled."""


CaptureMode = FullRead | Incremental | Backfill
BackfillState = Complete | Backfill


def stored_state(files: TableFiles) -> BackfillState:
    """The state that a manifest has stored."""
    stored = files.backfill
    if stored is None:
        return Complete()
    last = stored.last_key
    after = None if last is None else key_of_text(last, len(files.key_columns))
    return Backfill(_since(stored.since_xmin), after, _since(stored.unchanged_xmin), stored.again)


def cursor(state: BackfillState) -> BackfillCursor | None:
    """``state`` as a manifest stores it."""
    match state:
        case Complete():
            return None
        case Backfill(scope, after, changes, again):
            last = None if after is None else key_text(after)
            return BackfillCursor(last, _xmin(scope), _xmin(changes), again)


def _since(xmin: int | None) -> AllRows | WrittenSince:
    return ALL if xmin is None else WrittenSince(xmin)


def _xmin(rows: AllRows | WrittenSince) -> int | None:
    return rows.xmin if isinstance(rows, WrittenSince) else None


@dataclass(frozen=True)
class TablePlan:
    """One source table, what the last batch recorded of it, and whether all of it is read again."""

    table: SourceTable
    info: TableInfo
    previous: TableFiles | None
    """What the last batch recorded of the table; None where no batch has it."""
    full_refresh: bool
    """Whether every row is read, whichever transaction wrote it."""
    since: WrittenSince
    """The rows written since the snapshot of the last batch."""
    declaration_fingerprint: str = ""

    @property
    def by_content(self) -> bool:
        """Whether changed rows are found by a hash of their values.

        So they are where policies decide which rows are shown: those appear and disappear, by a change of a policy, a
        role or whatever a policy reads, with no row written.
        """
        return self.table.by_content or self.info.row_security

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the key's columns."""
        return self.table.keys

    @property
    def key_schema(self) -> pa.Schema:
        """The key as columns of the lake."""
        return self.info.key_schema

    @property
    def before(self) -> TableFiles:
        """What the last batch recorded of the table; nothing, where no batch has it, or its rows had another key."""
        if self.previous is None or tuple(self.previous.key_columns) != self.keys:
            return TableFiles({})
        return self.previous

    @property
    def state(self) -> BackfillState:
        """What remains to be backfilled before this run."""
        return Backfill(ALL) if self.full_refresh else stored_state(self.before)

    @property
    def changed(self) -> RowSet:
        """The rows written since the last batch, of those that are not left to a backfill."""
        state = self.state
        return self.since if isinstance(state, Complete) else intersection(self.since, state.backfilled)

    def mode(self, counts: RowCounts, budget: Budget) -> CaptureMode:
        """How to read the table. ``counts``: of its rows, with ``changed`` selected. ``budget``: what the batch has
        left.

        A full refresh is backfilled where it does not fit into the rest of the batch. Changes are backfilled only where
        a whole batch would not be enough for them; that starts a backfill that is under way again from the first key.
        """
        state, size, total = self.state, self.info.bytes, counts.total or 0
        if self.full_refresh:
            fits = total <= budget.rows and size <= budget.bytes and not budget.limits.deadline.is_near
            return FullRead() if fits or not total else Backfill(ALL)
        new, limits = self.new_rows(counts), budget.limits
        if new > limits.rows or size * max(new, 0) > limits.bytes * max(total, 1):
            return replace(state, after=None) if isinstance(state, Backfill) else Backfill(self.since)
        return state if isinstance(state, Backfill) else Incremental(self.since)

    def begins_ranges(self, mode: CaptureMode) -> bool:
        """Whether ``mode`` would begin to read the table in ranges, a batch after the other."""
        return isinstance(mode, Backfill) and (self.full_refresh or self.state == Complete())

    def new_rows(self, counts: RowCounts) -> int:
        """How many of the rows selected in ``counts`` are not those that are reread although they did not change."""
        return counts.selected - (self.before.in_flight.rows if self.before.in_flight else 0)


def is_due(compared_at: str | None, interval: timedelta, now: datetime) -> bool:
    """Whether ``interval`` has passed since ``compared_at``; also where the clock was set back, as it may have."""
    if compared_at is None:
        return True
    passed = now - datetime.fromisoformat(compared_at)
    return passed < timedelta(0) or passed >= interval


def deletes_interval(table: SourceTable, rows: int) -> timedelta:
    """How often the keys of a table of so many rows are compared."""
    if table.deletes is not None:
        return table.deletes
    return timedelta(0) if rows <= COMPARED_EVERY_RUN else timedelta(hours=1)


@dataclass(frozen=True)
class CaptureRun:
    """What the tables of one run share."""

    snapshot: SourceSnapshot
    lake: Lake
    budget: Budget
    now: datetime
    """By the clock, to decide whether an interval has passed."""
    batch: int
    """The number of the batch that the run writes."""
    run: str
    """The unique id of the run."""
    transactions: Transactions = field(default_factory=Transactions)
    """Those that wrote what was captured; without those of rows that are read because every row is."""
    fan_out: FanOut | None = None
    """Who reads ranges of large tables; None: nothing does."""

    def reading_again(self, state: BackfillState) -> Backfill:
        """``state`` where all rows that the lake has of a table must be read once more, though they did not change."""
        if isinstance(state, Backfill) and (state.scope != ALL or state.after is not None):
            return replace(state, again=True)
        return state if isinstance(state, Backfill) else self.next_pass()

    def next_pass(self) -> Backfill:
        """The state of a table that is read once more, from its first key."""
        return Backfill(ALL, changes=WrittenSince(self.snapshot.position().snapshot_xmin))

    def count(self, plan: TablePlan, rows: RowSet) -> RowCounts:
        """Of one table: its rows, and how many of them are in ``rows``."""
        return self.snapshot.count({plan.name: rows}).get(plan.name, RowCounts())

    def prefix(self, table: str) -> str:
        """The beginning of the object keys of ``table``'s files."""
        return run_prefix(table, self.batch, self.run)


@dataclass(frozen=True)
class Captured:
    """What a run captured of one table, before it is part of a batch."""

    changes: DataFile | None = None
    """The new and changed rows."""
    deleted: DataFile | None = None
    """The keys of deleted rows."""
    keys: Sequence[KeyFile] = ()
    """Every key that the table had when keys were last compared, and those of each backfill since."""
    keys_since_compare: Sequence[DataFile] = ()
    """Files whose rows have the keys that were written since."""
    compared_at: str | None = None
    """When keys were last compared, ISO 8601; None where deletes are not tracked."""
    state: BackfillState = Complete()
    """What remains to be backfilled after this run."""
    in_flight: pa.Table | None = None
    """The key's columns, and ``xmin: int64``, of the rows that the next run rereads; None where there are none."""
    changed_rows: RowSet = NONE
    """The rows that were read as changes."""
    reread_rows: RowSet = NONE
    """The rows that are among the changes because they were read once more; some of them have changed."""
    captured_rows: RowSet = ALL
    """The rows that were read in this batch or an earlier one."""
    state_changed: bool = False
    """Whether a batch must record something although no row changed."""
    content: str | None = None
    """The digest of all rows, of a table that is compared by content."""
    total: int | None = None
    """How many rows the table has; None where they were not counted."""
    deletes: str = ""
    """What was decided about the deletes, and why; empty where the mode itself finds them."""
    more_changes: Sequence[DataFile] = ()
    """Further files of new and changed rows, where several readers read them."""
    fan_out: str = ""
    """Of a table that is large enough for readers: what they read, or why they did not; empty for any other."""
