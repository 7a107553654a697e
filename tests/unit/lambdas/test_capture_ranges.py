"""One table captured in ranges of its keys, a batch after the other: what each range asks for, has, and leaves."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.extract.capture import backfill
from lambda_toolkit.pipeline.lambdas.extract.limits import Budget, Limits
from lambda_toolkit.pipeline.lambdas.extract.row_set import (
    ALL,
    NONE,
    WITHOUT_KEY,
    Intersection,
    KeysAfter,
    KeysUpTo,
    WrittenSince,
    intersection,
    union,
)
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column, TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.interface import RowCounts
from lambda_toolkit.pipeline.lambdas.extract.table_plan import Backfill, CaptureRun, Complete, TablePlan
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import BackfillCursor, DataFile
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable
from tests.support.captured_table import HOUR, KNOWN, NOW, SINCE, WRITTEN, XMIN, CapturedTable, object_key, table_files


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> CapturedTable:
    monkeypatch.setattr(backfill, "FIRST_CHUNK", 3)
    return CapturedTable()


def test_backfill_goes_on_from_batch_to_batch(world: CapturedTable) -> None:
    """Three rows and then more; each batch has the changes below its last key, and the keys of its own range."""
    world.rows = dict.fromkeys(range(1, 11), 40)
    found = world.run(world.plan(full=True), RowCounts(10, 0), Limits(rows=4))
    assert world.asked == [(ALL, None, 3), (ALL, ("3",), 1)]
    assert (world.found(found.changes), found.state) == ([1, 2, 3, 4], Backfill(ALL, ("4",)))
    assert [(file.key, file.rows, file.last_key, file.generation) for file in found.keys] == [
        ("data/t/batch=000000000001/run00001.range_0.parquet", 4, "4", 0)
    ]
    assert (found.changed_rows, found.reread_rows, found.captured_rows) == (KeysUpTo(("4",)), NONE, KeysUpTo(("4",)))
    assert found.state_changed and found.in_flight is not None and found.in_flight.num_rows == 0
    before = table_files(keys=found.keys, backfill=BackfillCursor("4", None), keys_since_compare=(WRITTEN,))
    world.rows |= {2: 70, 9: XMIN}
    found = world.run(world.plan(before), RowCounts(None, 1), Limits(rows=5))
    below = intersection(SINCE, KeysUpTo(("4",)))
    assert world.asked == [("count", below), below, (ALL, ("4",), 3), (ALL, ("7",), 1)]
    assert (world.found(found.changes), found.state) == ([2, 5, 6, 7, 8], Backfill(ALL, ("8",)))
    assert [world.found(file) for file in found.keys] == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert found.keys_since_compare == (WRITTEN, DataFile(object_key(2, "written"), 1))
    assert world.found(found.keys_since_compare[1]) == [2]
    assert found.changed_rows == union(below, intersection(KeysUpTo(("8",)), KeysAfter(("4",))))
    assert found.captured_rows == KeysUpTo(("8",))
    before = table_files(keys=found.keys, backfill=BackfillCursor("8", None))
    found = world.run(world.plan(before), RowCounts(None, 0))
    assert (world.found(found.changes), found.state, found.state_changed) == ([9, 10], Complete(), True)
    assert (found.changed_rows, found.captured_rows) == (
        union(intersection(SINCE, KeysUpTo(("8",))), KeysAfter(("8",))),
        ALL,
    )
    assert found.in_flight and found.in_flight.to_pylist() == [{"id": 9, "xmin": XMIN}]
    assert found.deletes == "unchanged: no row that was read was written since, and there are as many"
    assert [world.found(file) for file in found.keys] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


def test_backfill_that_starts_again_has_keys_of_its_own(world: CapturedTable) -> None:
    world.rows = dict.fromkeys(range(1, 7), 60)
    before = table_files(keys=(replace(KNOWN, generation=3), KNOWN), backfill=BackfillCursor("4", None))
    found = world.run(world.plan(before, full=True), RowCounts(6, 0), Limits(rows=2))
    assert world.asked == [(ALL, None, 2)]
    assert [file.generation for file in found.keys] == [3, 0, 4]
    before = table_files(keys=found.keys, backfill=BackfillCursor("2", None))
    assert [file.generation for file in world.run(world.plan(before), RowCounts(None, 0), Limits(rows=2)).keys] == [
        *(3, 0, 4),
        4,
    ]


def test_rows_without_a_key_are_read_with_the_first_range() -> None:
    """They are in no range; of what a transaction wrote, those that it wrote."""
    world = CapturedTable("numeric(12,2)")
    world.rows = {None: 60}
    found = world.run(world.plan(full=True), RowCounts(9, 0), Limits(rows=2))
    assert world.asked[0] == WITHOUT_KEY
    assert (found.changes and found.changes.rows, found.keys) == (1, ())
    world.rows = {None: 60, **dict.fromkeys(range(3), 60)}
    world.run(world.plan(table_files()), RowCounts(9, 3), Limits(rows=2))
    assert world.asked[0] == Intersection((SINCE, WITHOUT_KEY))
    world.run(world.plan(table_files(backfill=BackfillCursor("1", None))), RowCounts(None, 0), Limits(rows=2))
    assert WITHOUT_KEY not in world.asked


@pytest.mark.parametrize("keys", [("k", "n"), ("n", "k")])
def test_one_column_that_is_none_leaves_a_row_without_a_key(world: CapturedTable, keys: tuple[str, ...]) -> None:
    info = TableInfo("t", keys, (Column("k", "integer", is_key=True), Column("n", "numeric(5,2)", is_key=True)))
    plan = TablePlan(SourceTable("t", keys), info, None, True, SINCE)
    read: list[Any] = []
    changes: Any = SimpleNamespace(
        read=lambda rows, keep_keys: read.append((rows, keep_keys)),
        keys=info.key_schema.empty_table(),
        store=lambda: None,
        in_flight=lambda with_earlier: None,
    )
    snapshot: Any = world
    run = CaptureRun(snapshot, world.lake, Budget(Limits(rows=0)), NOW, 1, "run")
    backfill.capture_backfill(Backfill(ALL), run, plan, RowCounts(9, 0), changes)
    assert read == [(WITHOUT_KEY, False)]


def test_rows_of_a_huge_transaction_are_read_in_ranges(world: CapturedTable) -> None:
    """Their keys are in the file of the changes; all other rows were captured before."""
    world.deletes = HOUR
    world.rows = {**dict.fromkeys(range(1, 9), 60), 3: 40}
    found = world.run(world.plan(table_files(compared_at="then")), RowCounts(8, 7), Limits(rows=4))
    assert world.asked == [(SINCE, None, 3), (SINCE, ("4",), 1)]
    assert (world.found(found.changes), found.state) == ([1, 2, 4, 5], Backfill(SINCE, ("5",)))
    assert (found.keys, found.keys_since_compare) == ((KNOWN,), (found.changes,))
    assert (found.changed_rows, found.captured_rows) == (Intersection((SINCE, KeysUpTo(("5",)))), ALL)
    assert (found.compared_at, found.deletes) == ("then", "skip: the table is not read to its end")
    before = table_files(backfill=BackfillCursor("8", 50), compared_at="then")
    found = world.run(world.plan(before), RowCounts(None, 0), Limits(rows=4))
    assert (found.changes, found.state, found.state_changed) == (None, Complete(), True)


def test_table_that_is_read_once_more_has_few_changes(world: CapturedTable) -> None:
    """The lake has the others as they are; where it must be read again after that, it is read from its first key."""
    world.rows = dict.fromkeys(range(1, 7), 60)
    cursor = BackfillCursor("2", None, 70, True)
    found = world.run(world.plan(table_files(backfill=cursor)), RowCounts(None, 0), Limits(rows=2))
    rows = intersection(KeysUpTo(("4",)), KeysAfter(("2",)))
    below = intersection(SINCE, KeysUpTo(("2",)))
    assert (found.changed_rows, found.reread_rows) == (union(below, intersection(rows, WrittenSince(70))), rows)
    assert found.state == Backfill(ALL, ("4",), WrittenSince(70), again=True)
    found = world.run(world.plan(table_files(backfill=cursor)), RowCounts(None, 0), Limits(rows=9))
    assert found.state == Backfill(ALL, changes=WrittenSince(XMIN))


@pytest.mark.parametrize(
    ("cursor", "full", "limit", "changed"),
    [
        (BackfillCursor("2", None), False, 0, False),  # the batch has no room, and nothing is new
        (BackfillCursor("2", None), False, 1, True),
        (None, True, 0, False),  # no row was read
        (BackfillCursor("9", None), False, 1, True),  # it is complete
    ],
)
def test_state_is_stored_where_it_is_another(
    world: CapturedTable, cursor: Any, full: bool, limit: int, changed: bool
) -> None:
    world.rows = dict.fromkeys(range(1, 7), 60)
    world.deletes = HOUR
    before = table_files(backfill=cursor, compared_at=NOW.isoformat(), keys=(replace(KNOWN, rows=6),))
    found = world.run(world.plan(before, full=full), RowCounts(6 if full else None, 0), Limits(rows=limit))
    assert found.state_changed is changed


def test_rows_in_flight_are_kept_while_ranges_are_read(world: CapturedTable) -> None:
    world.rows = {1: 60, 5: XMIN, 6: XMIN, 7: XMIN}
    kept = world.in_flight((1, 60))
    plan = world.plan(table_files(backfill=BackfillCursor("4", None), in_flight=kept))
    found = world.run(plan, RowCounts(None, 0), Limits(rows=1))
    assert found.in_flight and found.in_flight.column(0).to_pylist() == [5, 1]
    found = world.run(plan, RowCounts(None, 0), Limits(rows=9))
    assert found.in_flight and found.in_flight.column(0).to_pylist() == [5, 6, 7], "all rows were read"


@pytest.mark.parametrize(
    ("row_bytes", "limits"),
    [
        (2**22, [10, 8, 8]),  # of 4 MiB: 32 MiB at a time
        (2**20, [10, 32, 32]),
        (2**10, [10, 160, 2560]),  # no more than sixteen times as many
        (2**26, [10, 1, 1]),
    ],
)
def test_chunks_follow_the_size_of_rows(monkeypatch: pytest.MonkeyPatch, row_bytes: int, limits: list[int]) -> None:
    monkeypatch.setattr(backfill, "FIRST_CHUNK", 10)
    asked: list[int] = []

    class Rows:
        """As many as were asked for, of a size that no memory is needed for."""

        def __init__(self, count: int) -> None:
            self.num_rows, self.nbytes = count, count * row_bytes

        def select(self, keys: Any) -> pa.Table:
            return pa.table({"id": [self.num_rows]})

    class Snapshot:
        def changed_range(self, info: Any, rows: Any, after: Any, limit: int, consume: Any) -> None:
            asked.append(limit)
            for count in (limit - limit // 2, limit // 2):
                consume(Rows(count))

    world = CapturedTable()
    snapshot: Any = Snapshot()
    budget = Budget(Limits(rows=10**9, bytes=10**15))
    run = CaptureRun(snapshot, world.lake, budget, NOW, 1, "run")

    def add(rows: Any) -> None:
        if len(asked) == len(limits):
            budget.take(10**9, 0)

    read = backfill._read_range(Backfill(ALL), run, world.plan(full=True), add)
    assert (asked, read.complete) == (limits, False)
