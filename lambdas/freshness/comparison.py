"""Compares the source with the last loaded batch, table by table, and says how far behind the warehouse is at most.

The warehouse is *fresh as of T* of a table when it has every change of it that was committed before T. T is the time of
the last loaded batch's snapshot, or a later time at which a comparison found nothing that this batch does not have. So
a source in which nothing changes is fresh, whether or not extract runs; and one that cannot be compared is as fresh as
when it last could be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pg8000.exceptions import DatabaseError

from ..shared.lake.manifest import IngestionManifest, TableFiles
from ..shared.lake.store import Lake
from ..shared.messages.freshness_events import CHANGED, UNCHANGED, UNKNOWN, FreshnessResult, TableFreshness
from ..shared.model.declarations import SourceTable
from ..shared.postgres.server_errors import message, sqlstate
from .source import ComparedSource, Position
from .state import Known, LoadedBatch

SMALL = 64 * 1024 * 1024  # bytes: a larger table is looked at only where its promise is half used
NOT_COMPARABLE = "it is compared by content and its deletes are not: whether it changed cannot be known"
UNPROMISED = timedelta(hours=1)  # a large table of which nothing is promised is looked at as if this were
_ENDED = ("57P01", "57P02", "57P03", "08006")  # SQLSTATE: the server is going away


@dataclass(frozen=True)
class Loaded:
    """What is in the warehouse: the last loaded batch, and its manifest in the ingestion bucket."""

    batch: LoadedBatch
    manifest: IngestionManifest


@dataclass(frozen=True)
class Comparison:
    """One comparison of a source with what is loaded; None: nothing is."""

    source: ComparedSource
    lake: Lake
    loaded: Loaded | None
    now: datetime
    has_time: Callable[[], bool] = field(default=lambda: True)

    def tables(
        self,
        tables: Mapping[str, SourceTable],
        known: Mapping[str, Known],
        promises: Mapping[str, timedelta | None],
    ) -> dict[str, Known]:
        """What is known of each table now. ``known``: what was known of them, ``promises``: how soon changes are due.

        Those that are the furthest behind are compared first. Raises what ends the connection to the source.
        """
        before = as_loaded(tables, known, self.loaded, self.now)
        position = self.source.position()
        ahead = position.clock - self.now  # of the source's clock
        sizes = self.source.sizes(tables.values())
        found: dict[str, Known] = {}
        for name in sorted(tables, key=lambda each: before[each].complete_at):
            as_of = None if position.as_of is None else min(position.as_of - ahead, self.now)
            try:
                one = _Table(tables[name], before[name], self._files(name), sizes.get(name, 0), promises[name])
                found[name] = self._compared(one, position, as_of)
            except DatabaseError as error:
                if sqlstate(error) in _ENDED:
                    raise
                found[name] = replace(before[name], state=UNKNOWN, problem=message(error))
        return {name: found[name] for name in tables}

    def _files(self, name: str) -> TableFiles | None:
        return self.loaded.manifest.tables.get(name) if self.loaded else None

    def _compared(self, one: _Table, position: Position, as_of: datetime | None) -> Known:
        known = replace(one.known, batch=self.loaded.batch.number if self.loaded else None, problem=None)
        if not one.is_due(self.now):
            return known
        if not self.has_time():
            return replace(known, state=UNKNOWN, problem="there was no time left to compare it")
        state = self._state(one, position)
        if state == UNKNOWN:
            return replace(known, state=state, problem=NOT_COMPARABLE)
        if state != UNCHANGED or as_of is None:
            return replace(known, state=state)
        return replace(known, state=state, fresh_at=max(as_of, known.fresh_at or as_of))

    def _state(self, one: _Table, position: Position) -> str:
        """Whether the table has changes that the loaded batch does not have."""
        files, stored = one.files, self.loaded.manifest.source if self.loaded else None
        if files is None or stored is None:
            return CHANGED if self.source.has_rows(one.table) else UNCHANGED
        if files.backfill is not None:
            return CHANGED
        if files.by_content:
            return UNKNOWN if files.content is None else _state(self.source.content(one.table) != files.content)
        if not position.continues(stored):
            return _state(files.rows != 0 or self.source.has_rows(one.table))  # an empty table needs no server
        if self.source.has_changes(one.table, stored.snapshot_xmin, self._in_flight(files)):
            return CHANGED
        return _state(files.rows is not None and self.source.count(one.table) != files.rows)

    def _in_flight(self, files: TableFiles) -> list[int]:
        """The transactions whose rows the batch has although they were not older than all unfinished ones."""
        if files.in_flight is None:
            return []
        import pyarrow.compute as pc  # imported on use: most comparisons need no Arrow

        known: list[int] = pc.unique(self.lake.table(files.in_flight.key, ["xmin"])["xmin"]).to_pylist()
        return known


@dataclass(frozen=True)
class _Table:
    """A table that is compared."""

    table: SourceTable
    known: Known
    files: TableFiles | None
    bytes: int
    within: timedelta | None

    def is_due(self, now: datetime) -> bool:
        """Whether to look at it: a small one always, any other once half of what is promised has passed."""
        by_content = self.table.by_content or (self.files is not None and self.files.by_content)
        if self.bytes <= SMALL and not by_content:
            return True
        return self.known.fresh_at is None or now - self.known.fresh_at >= (self.within or UNPROMISED) / 2


def as_loaded(
    tables: Mapping[str, SourceTable], known: Mapping[str, Known], loaded: Loaded | None, now: datetime
) -> dict[str, Known]:
    """What is known of each of ``tables`` without a look at the source: the last loaded batch may be a later one."""
    found = {}
    for name in tables:
        of = known.get(name) or Known(now)
        files = loaded.manifest.tables.get(name) if loaded else None
        if loaded and files and files.backfill is None:
            times = [time for time in (of.fresh_at, loaded.batch.extracted_at) if time is not None]
            of = replace(of, fresh_at=max(times))
        found[name] = of
    return found


def result(
    known: Mapping[str, Known],
    promises: Mapping[str, timedelta | None],
    batch: int | None,
    now: datetime,
    problem: str | None = None,
) -> FreshnessResult:
    """What was found at the time ``now``, in the order of ``known``. ``problem``: why nothing could be compared."""
    tables = tuple(
        TableFreshness(
            name,
            of.state,
            of.fresh_at.isoformat() if of.fresh_at else None,
            round(max((now - of.complete_at).total_seconds(), 0.0), 3),
            within.total_seconds() if (within := _promised(of, promises[name])) is not None else None,
            of.problem,
        )
        for name, of in known.items()
    )
    promised = [table for table in tables if table.fresh_within is not None]
    overdue = [table.seconds_behind - (table.fresh_within or 0.0) for table in promised]
    return FreshnessResult(
        now.isoformat(),
        batch,
        max((table.seconds_behind for table in promised or tables), default=0.0),
        max((*overdue, 0.0)),
        tables,
        problem,
    )


def _promised(known: Known, within: timedelta | None) -> timedelta | None:
    """What is promised of a table; of one that can never be compared, nothing can be."""
    return None if known.problem == NOT_COMPARABLE else within


def _state(changed: bool) -> str:
    return CHANGED if changed else UNCHANGED
