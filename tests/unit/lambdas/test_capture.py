"""One table captured by the transactions that wrote its rows: in one query, by readers, and when keys are compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.extract.capture import backfill, by_transaction
from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.extract.readers.coordinating import Parts, ReadAloneError
from lambda_toolkit.pipeline.lambdas.extract.row_set import ALL, NONE, RowSet
from lambda_toolkit.pipeline.lambdas.extract.source.interface import RowCounts
from lambda_toolkit.pipeline.lambdas.extract.source.shared_snapshot import SnapshotLostError
from lambda_toolkit.pipeline.lambdas.extract.table_plan import Backfill, CaptureRun, Complete, TablePlan
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import BackfillCursor, DataFile, KeyFile
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import EVERY_RUN, NEVER
from tests.support.captured_table import HOUR, KNOWN, NOW, SINCE, WRITTEN, XMIN, CapturedTable, object_key, table_files


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> CapturedTable:
    monkeypatch.setattr(backfill, "FIRST_CHUNK", 3)
    return CapturedTable()


def test_whole_table_is_read_in_one_query(world: CapturedTable) -> None:
    world.rows = dict.fromkeys(range(5), 60)
    before = table_files(backfill=BackfillCursor("7", None), keys_since_compare=(WRITTEN,), compared_at="then")
    found = world.run(world.plan(before, full=True), RowCounts(5, 0))
    assert world.asked == [ALL]
    assert (world.found(found.changes), found.changes) == ([0, 1, 2, 3, 4], DataFile(object_key(1, "changes"), 5))
    assert (found.changed_rows, found.captured_rows, found.state, found.state_changed) == (ALL, ALL, Complete(), True)
    assert not world.run(world.plan(table_files(), full=True), RowCounts(5, 0)).state_changed
    world.rows = {}
    found = world.run(world.plan(table_files(), full=True), RowCounts(0, 0))
    assert (world.asked, found.changes) == ([], None), "there is nothing to read"


def test_keys_of_a_whole_table_are_not_read_twice(world: CapturedTable) -> None:
    world.rows = {3: 60, 1: XMIN, 2: 60}
    world.deletes = EVERY_RUN
    found = world.run(world.plan(full=True), RowCounts(3, 0))
    assert world.asked == [ALL]
    assert [world.found(file) for file in found.keys] == [[1, 2, 3]]
    assert found.in_flight and found.in_flight.to_pylist() == [{"id": 1, "xmin": XMIN}]
    assert (found.compared_at, found.keys_since_compare, found.total) == (NOW.isoformat(), (), 3)


def test_written_rows_are_read_in_one_query(world: CapturedTable) -> None:
    """Their file has the keys that were written since keys were compared."""
    world.rows = {1: 60, 2: 40, 3: XMIN + 5}
    world.deletes = HOUR
    before = table_files(keys_since_compare=(WRITTEN,), compared_at=NOW.isoformat())
    found = world.run(world.plan(before), RowCounts(3, 2))
    changes = DataFile(object_key(1, "changes"), 2)
    assert (world.asked, found.changes, world.found(found.changes)) == ([SINCE], changes, [1, 3])
    assert found.keys_since_compare == (WRITTEN, changes)
    assert (found.keys, found.compared_at, found.changed_rows) == ((KNOWN,), NOW.isoformat(), SINCE)
    assert found.in_flight and found.in_flight.to_pylist() == [{"id": 3, "xmin": XMIN + 5}]
    assert (found.deletes, found.fan_out) == ("skip: the interval has not passed", "")
    world.rows = {2: 40}
    found = world.run(world.plan(before), RowCounts(1, 0))
    assert (world.asked, found.changes, found.keys_since_compare) == ([], None, (WRITTEN,))


@pytest.mark.parametrize(
    ("counts", "in_flight", "counted"),
    [
        (RowCounts(None, 0), 0, False),
        (RowCounts(None, 1), 1, False),  # it is read once more, and known
        (RowCounts(None, 2), 1, True),
        (RowCounts(None, 1), 0, True),
        (RowCounts(9, 1), 0, False),
    ],
)
def test_rows_are_counted_before_changes_are_read(
    world: CapturedTable, counts: RowCounts, in_flight: int, counted: bool
) -> None:
    kept = world.in_flight(*((number, 60) for number in range(in_flight)))
    world.rows = dict.fromkeys(range(2), 60)
    found = world.run(world.plan(table_files(in_flight=kept, compared_at=NOW.isoformat())), counts)
    assert (("count", SINCE) in world.asked) is counted
    assert found.total == (2 if counted else counts.total)


PARTS = Parts((DataFile("p1", 5), DataFile("p2", 6)), pa.table({"id": [1], "xmin": [60]}), "2 ranges")


@pytest.mark.parametrize(
    ("full", "counts", "rows", "asked", "written"),
    [
        (True, RowCounts(9, 0), ALL, (9, 9), ()),
        (False, RowCounts(20, 9), SINCE, (9, 20), PARTS.changes),
    ],
)
def test_readers_read_as_one_query_does(
    world: CapturedTable,
    monkeypatch: pytest.MonkeyPatch,
    full: bool,
    counts: RowCounts,
    rows: RowSet,
    asked: Any,
    written: Any,
) -> None:
    calls: list[Any] = []
    found = [PARTS, Parts((), None, "1 range"), Parts(PARTS.changes[:1], None, "1 range")]

    def read(run: CaptureRun, plan: TablePlan, rows: RowSet, count: int, total: int) -> Parts:
        calls.append((rows, count, total))
        return found[len(calls) - 1]

    monkeypatch.setattr(by_transaction, "read_by_readers", read)
    world.fan_out = object()
    world.deletes = HOUR
    world.rows = dict.fromkeys(range(1, 3), 40)
    before = table_files(keys_since_compare=(WRITTEN,), compared_at=NOW.isoformat())
    done = world.run(world.plan(before, full=full), counts, Limits(rows=4))
    assert calls == [(rows, *asked)]
    assert (done.changes, done.more_changes) == (PARTS.changes[0], PARTS.changes[1:])
    assert (done.changed_rows, done.state, done.fan_out) == (rows, Complete(), "2 ranges")
    assert done.in_flight and done.in_flight.equals(PARTS.in_flight)
    if full:
        assert (done.deletes, done.keys_since_compare) == ("compare: a backfill is complete", ())
    else:
        assert (done.keys, done.keys_since_compare) == ((KNOWN,), (WRITTEN, *written))
        assert (done.compared_at, done.deletes) == (NOW.isoformat(), "skip: the interval has not passed")
        done = world.run(world.plan(before), counts, Limits(rows=4))
        assert (done.changes, done.more_changes, done.keys_since_compare) == (None, (), (WRITTEN,))
        done = world.run(world.plan(before), counts, Limits(rows=4))
        assert (done.changes, done.more_changes) == (PARTS.changes[0], ())


def test_extract_reads_alone_where_readers_did_not(world: CapturedTable, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[Exception] = [ReadAloneError("why"), SnapshotLostError("lost")]

    def read(*arguments: Any) -> Parts:
        raise errors.pop(0)

    monkeypatch.setattr(by_transaction, "read_by_readers", read)
    world.fan_out = object()
    world.rows = dict.fromkeys(range(1, 7), 60)
    found = world.run(world.plan(full=True), RowCounts(6, 0), Limits(rows=2))
    assert (found.fan_out, found.state) == ("read alone: why", Backfill(ALL, ("2",)))
    assert world.run(world.plan(full=True), RowCounts(6, 0)).fan_out == "", "one query is enough"
    with pytest.raises(SnapshotLostError):
        world.run(world.plan(full=True), RowCounts(6, 0), Limits(rows=2))


@pytest.mark.parametrize(
    ("deletes", "ago", "total", "written", "counted"),
    [
        (None, 1, None, 0, False),  # it may have a million rows: an hour must have passed
        (None, 60, None, 0, True),
        (HOUR, 59, None, 0, False),
        (HOUR, 60, None, 0, True),
        (HOUR, 60, 9, 0, False),  # it was counted
        (HOUR, 1, None, 1_000_001, True),
        (HOUR, 1, None, 1_000_000, False),
        (NEVER, 60, None, 0, False),
    ],
)
def test_rows_are_counted_where_keys_are_compared(
    world: CapturedTable, deletes: Any, ago: int, total: int | None, written: int, counted: bool
) -> None:
    world.deletes = deletes
    world.rows = dict.fromkeys(range(1, 10), 40)
    at = (NOW - timedelta(minutes=ago)).isoformat()
    since = tuple(replace(WRITTEN, rows=rows) for rows in [written] if rows)
    world.run(world.plan(table_files(compared_at=at, keys_since_compare=since)), RowCounts(total, 0))
    assert (("count", NONE) in world.asked) is counted


BEFORE = (NOW - timedelta(days=1)).isoformat()


def test_compare_stores_deleted_and_present_keys(world: CapturedTable) -> None:
    """Of those that it knew, or that were written since; a compare that reads such keys is remembered."""
    world.deletes = EVERY_RUN
    world.rows = {1: 40, 2: 40, 12: 60}
    before = table_files(compared_at=BEFORE, keys_since_compare=(DataFile(world.in_flight((11, 60)).key, 1),))
    found = world.run(world.plan(before), RowCounts(3, 1))
    assert world.asked == [SINCE, ("keys", True)], "there were nine keys up to 9: they are read as a dense run"
    assert found.deleted == DataFile(object_key(1, "deleted"), 8)
    assert world.found(found.deleted) == [3, 4, 5, 6, 7, 8, 9, 11]
    assert found.keys == (KeyFile(object_key(1, "keys_0"), 3, "12"),)
    assert (found.keys_since_compare, found.compared_at, found.state_changed) == ((), NOW.isoformat(), True)


def test_keys_that_are_the_same_are_not_stored_again(world: CapturedTable) -> None:
    """Those that two starts of a backfill have read become one file again; they are no dense run."""
    world.deletes = EVERY_RUN
    world.rows = {**dict.fromkeys(range(1, 10), 40), 5: 60}
    one = KeyFile(object_key(2, "keys_0"), 9, "9")
    for keys, dense, kept in (((KNOWN,), True, KNOWN), ((KNOWN, replace(KNOWN, generation=2)), False, one)):
        found = world.run(world.plan(table_files(compared_at=BEFORE, keys=keys)), RowCounts(9, 1))
        assert world.asked == [SINCE, ("keys", dense)]
        assert (found.keys, found.deleted, found.state_changed) == ((kept,), None, False)


def test_key_that_is_new_must_have_been_written(world: CapturedTable) -> None:
    """Unless nothing was known of the keys, or every row is read."""
    world.deletes = EVERY_RUN
    world.rows = {**dict.fromkeys(range(1, 10), 40), 10: 40, 11: 60}
    with pytest.raises(SourceError, match="shows 1 rows that it did not show before"):
        world.run(world.plan(table_files(compared_at=BEFORE)), RowCounts(11, 1))
    for before, full in ((table_files(), False), (table_files(compared_at=BEFORE), True)):
        found = world.run(world.plan(before, full=full), RowCounts(11, 1))
        assert [world.found(file) for file in found.keys] == [[*range(1, 12)]]
        assert (found.deleted, found.compared_at) == (None, NOW.isoformat())


def test_keys_are_forgotten_where_deletes_are_not_looked_for(world: CapturedTable) -> None:
    world.deletes = NEVER
    world.rows = {1: 60}
    found = world.run(world.plan(table_files(compared_at=BEFORE, keys_since_compare=(WRITTEN,))), RowCounts(1, 1))
    assert (found.keys, found.keys_since_compare, found.compared_at) == ((KNOWN,), (), None)
    assert found.deletes == "disable: the declaration says never"


def test_compare_without_a_change_is_noted(world: CapturedTable) -> None:
    world.deletes = EVERY_RUN
    world.rows = dict.fromkeys(range(1, 10), 40)
    found = world.run(world.plan(table_files(compared_at=BEFORE)), RowCounts(9, 0))
    assert (world.asked, found.compared_at, found.keys, found.state_changed) == ([], NOW.isoformat(), (KNOWN,), False)
