"""The capture mode of a table, and how its deletes are detected."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from lambda_toolkit.pipeline.lambdas.extract.capture.deletes import Action, delete_detection
from lambda_toolkit.pipeline.lambdas.extract.limits import DEFAULT_LIMITS, Budget, Limits
from lambda_toolkit.pipeline.lambdas.extract.row_set import ALL, NONE, KeysUpTo, WrittenSince, intersection
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column, TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.interface import RowCounts
from lambda_toolkit.pipeline.lambdas.extract.table_plan import (
    Backfill,
    Captured,
    CaptureRun,
    Complete,
    FullRead,
    Incremental,
    TablePlan,
    cursor,
    deletes_interval,
    stored_state,
)
from lambda_toolkit.pipeline.lambdas.shared.deadline import Deadline
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import BackfillCursor, DataFile, KeyFile, TableFiles
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import NEVER, SourceTable

SINCE = WrittenSince(700)
NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEYS = (KeyFile("k", 5, "9"),)


LAST_RANGE = Backfill(ALL, ("7",))
AT_END = {"changes": DataFile("c", 2), "state_changed": True}


def plan(full: bool = False, backfill: BackfillCursor | None = None, in_flight: int = 0, **files) -> TablePlan:
    previous = TableFiles(
        {}, key_columns=("id",), backfill=backfill, in_flight=DataFile("f", in_flight), keys=KEYS, **files
    )
    info = TableInfo("t", ("id",), (Column("id", "integer"),), bytes=100)
    return TablePlan(SourceTable("t", ("id",), HOUR), info, previous, full, SINCE)


@pytest.mark.parametrize(
    ("table", "total", "selected", "mode"),
    [
        (plan(full=True), 10, 0, FullRead()),
        (plan(full=True), 11, 0, Backfill(ALL)),
        (plan(full=True), 0, 0, FullRead()),
        (plan(), 50, 10, Incremental(SINCE)),
        (plan(), 50, 11, Backfill(SINCE)),
        (plan(in_flight=1), 50, 11, Incremental(SINCE)),
        (plan(backfill=BackfillCursor("7", None)), 50, 3, Backfill(ALL, ("7",))),
        (plan(backfill=BackfillCursor("7", None)), 50, 11, Backfill(ALL)),
        (plan(backfill=BackfillCursor("7", 600)), 50, 3, Backfill(WrittenSince(600), ("7",))),
        (plan(backfill=BackfillCursor("7", 600)), 50, 11, Backfill(WrittenSince(600))),
    ],
)
def test_capture_mode_follows_from_counts_and_state(table, total, selected, mode):
    assert table.mode(RowCounts(total, selected), Budget(Limits(rows=10))) == mode


@pytest.mark.parametrize(
    ("limits", "taken", "mode"),
    [
        ({"bytes": 100}, 0, FullRead()),
        ({"bytes": 99}, 0, Backfill(ALL)),
        ({"rows": 7}, 2, FullRead()),
        ({"rows": 6}, 2, Backfill(ALL)),  # what the batch has left counts
        ({"deadline": Deadline(lambda: 60.0)}, 0, FullRead()),
        ({"deadline": Deadline(lambda: 59.9)}, 0, Backfill(ALL)),
    ],
)
def test_full_read_must_fit_into_the_rest_of_the_batch(limits, taken, mode):
    budget = Budget(Limits(**limits))
    budget.take(taken, 0)
    assert plan(full=True).mode(RowCounts(5, 0), budget) == mode
    assert (
        plan(full=True).mode(RowCounts(0, 0), budget) == plan(full=True).mode(RowCounts(None, 0), budget) == FullRead()
    )


@pytest.mark.parametrize(
    ("total", "size", "mode"),
    [
        (1_000_000, 268_435_456, FullRead()),
        (1_000_001, 268_435_456, Backfill(ALL)),
        (1_000_000, 268_435_457, Backfill(ALL)),
    ],
)
def test_batch_has_a_million_rows_and_256_mebibytes(total, size, mode):
    of_size = plan(full=True)
    table = TablePlan(of_size.table, replace(of_size.info, bytes=size), None, True, SINCE)
    assert table.mode(RowCounts(total, 0), Budget(DEFAULT_LIMITS)) == mode


@pytest.mark.parametrize(
    ("rows", "size", "left", "spent"),
    [(9, 99, 60.0, False), (10, 99, 60.0, True), (9, 100, 60.0, True), (9, 99, 59.9, True)],
)
def test_budget_is_spent_with_the_first_limit(rows, size, left, spent):
    budget = Budget(Limits(rows=10, bytes=100, deadline=Deadline(lambda: left)))
    assert budget.is_spent is (left < 60)
    budget.take(rows, size)
    assert budget.is_spent is spent


@pytest.mark.parametrize(
    ("size", "total", "selected", "in_flight", "mode"),
    [
        (20, 50, 10, 0, Incremental(SINCE)),  # of rows of two bytes each
        (19, 50, 10, 0, Backfill(SINCE)),
        (19, 50, 10, 1, Incremental(SINCE)),  # which is not new
        (100, 0, 1, 0, Incremental(SINCE)),
        (99, 0, 1, 0, Backfill(SINCE)),
        (99, None, 1, 0, Backfill(SINCE)),
        (50, 1, 0, 3, Incremental(SINCE)),  # fewer than were in flight: some of those were deleted
    ],
)
def test_changes_must_fit_into_a_whole_batch(size, total, selected, in_flight, mode):
    budget = Budget(Limits(bytes=size))
    budget.take(999_999, size)
    assert plan(in_flight=in_flight).mode(RowCounts(total, selected), budget) == mode


@pytest.mark.parametrize(
    ("table", "mode", "begins"),
    [
        (plan(), Incremental(SINCE), False),
        (plan(full=True), FullRead(), False),
        (plan(), Backfill(SINCE), True),
        (plan(full=True), Backfill(ALL), True),
        (plan(full=True, backfill=BackfillCursor("7", None)), Backfill(ALL), True),
        (plan(backfill=BackfillCursor("7", None)), Backfill(ALL, ("7",)), False),
    ],
)
def test_ranges_begin_where_none_was_read_before(table, mode, begins):
    assert table.begins_ranges(mode) is begins


@pytest.mark.parametrize(
    ("state", "again"),
    [
        (Complete(), Backfill(ALL, changes=WrittenSince(900))),
        (Backfill(ALL), Backfill(ALL)),  # nothing was read yet
        (Backfill(ALL, ("7",)), Backfill(ALL, ("7",), again=True)),
        (Backfill(SINCE), Backfill(SINCE, again=True)),
        (Backfill(SINCE, ("7",), SINCE), Backfill(SINCE, ("7",), SINCE, again=True)),
    ],
)
def test_table_is_read_once_more_after_what_is_under_way(state, again):
    snapshot = SimpleNamespace(position=lambda: SimpleNamespace(snapshot_xmin=900))
    assert CaptureRun(snapshot, None, None, NOW, 1, "r").reading_again(state) == again


def test_rows_in_flight_are_not_new():
    none = TablePlan(SourceTable("t", ("id",)), plan().info, TableFiles({}, ("id",)), False, SINCE)
    assert [table.new_rows(RowCounts(9, 5)) for table in (none, plan(in_flight=2))] == [5, 3]


def test_changed_rows_leave_out_what_a_backfill_has_yet_to_read():
    assert plan().changed == SINCE
    assert plan(full=True).changed == NONE
    assert plan(backfill=BackfillCursor(None, None)).changed == NONE
    assert plan(backfill=BackfillCursor("7", 600)).changed == intersection(SINCE, KeysUpTo(("7",)))


@pytest.mark.parametrize(
    ("columns", "stored"),
    [
        (("id",), None),
        (("id",), BackfillCursor(None, None)),
        (("id",), BackfillCursor("7", None)),
        (("id",), BackfillCursor('["7"]', 6)),
        (("id",), BackfillCursor("7", None, 6, True)),
        (("id",), BackfillCursor("7", 5, 6)),
        (("a", "b"), BackfillCursor('["7", "x\\n\\"é"]', 6)),
    ],
)
def test_backfill_state_is_stored_and_read_back(columns, stored):
    state = stored_state(TableFiles({}, key_columns=columns, backfill=stored))
    assert cursor(state) == stored
    if isinstance(state, Backfill) and state.after:
        assert state.after == (("7", 'x\n"é') if len(columns) > 1 else (stored.last_key,))


def test_nothing_is_known_of_rows_that_had_another_key():
    """Its files have the columns of the former key."""
    files = plan(compared_at=NOW.isoformat(), backfill=BackfillCursor("7", None)).previous
    other = TablePlan(SourceTable("t", ("id", "n")), TableInfo("t", ("id", "n")), files, True, SINCE)
    assert other.before == TableFiles({})
    assert other.previous == files


@pytest.mark.parametrize(
    ("declared", "rows", "interval"),
    [
        (None, 0, timedelta(0)),
        (None, 1_000_000, timedelta(0)),
        (None, 1_000_001, HOUR),
        (HOUR, 5, HOUR),
        (timedelta(0), 1_000_001, timedelta(0)),
        (NEVER, 5, NEVER),
    ],
)
def test_keys_of_a_large_table_are_compared_hourly(declared, rows, interval):
    assert deletes_interval(SourceTable("t", ("id",), declared), rows) == interval


@pytest.mark.parametrize(
    ("compared", "mode", "captured", "total", "action", "reason"),
    [
        (NOW, Incremental(SINCE), {}, 5, Action.SKIP, "the interval has not passed"),
        (NOW, Backfill(ALL), {"state": Backfill(ALL, ("7",))}, 5, Action.SKIP, "the table is not read to its end"),
        (NOW, FullRead(), {"changes": DataFile("c", 5)}, 5, Action.COMPARE, "every row was read"),
        (NOW, Backfill(ALL, ("7",)), {"state": Complete(), "state_changed": True}, 4, Action.COMPARE, "is complete"),
        (NOW, LAST_RANGE, {**AT_END}, 4, Action.COMPARE, "is complete"),
        (NOW, LAST_RANGE, {**AT_END}, 5, Action.UNCHANGED, "no row that was read was written since"),
        (NOW, LAST_RANGE, {**AT_END, "keys_since_compare": (DataFile("c", 1),)}, 5, Action.COMPARE, "is complete"),
        (NOW, LAST_RANGE, {**AT_END, "keys": (KeyFile("k", 5, "9", 1),)}, 5, Action.COMPARE, "is complete"),
        (NOW, LAST_RANGE, {**AT_END, "keys": (*KEYS, KeyFile("k", 5, "9", 1))}, 10, Action.COMPARE, "is complete"),
        (NOW, Backfill(ALL), {**AT_END}, 5, Action.COMPARE, "is complete"),
        (NOW, Backfill(SINCE, ("7",)), {**AT_END}, 5, Action.COMPARE, "is complete"),
        (NOW - HOUR, Incremental(SINCE), {}, 4, Action.COMPARE, "the interval has passed"),
        (NOW + HOUR, Incremental(SINCE), {}, 4, Action.COMPARE, "the interval has passed"),
        (NOW - HOUR, Incremental(SINCE), {}, 5, Action.UNCHANGED, "no row was written"),
        (NOW, Incremental(SINCE), {"keys_since_compare": (DataFile("c", 1_000_001),)}, 5, Action.COMPARE, "many keys"),
        (NOW, Incremental(SINCE), {"keys_since_compare": (DataFile("c", 1_000_000),)}, 5, Action.SKIP, "not passed"),
        (NOW, FullRead(), {}, 0, Action.SKIP, "the interval has not passed"),
        (NOW, FullRead(), {}, 5, Action.UNCHANGED, "no row was written"),
        (NOW - HOUR, Incremental(SINCE), {"changes": DataFile("c", 2)}, 5, Action.COMPARE, "the interval has passed"),
        (None, Incremental(SINCE), {}, 5, Action.COMPARE, "the interval has passed"),
        (None, Incremental(SINCE), {"keys": ()}, 0, Action.UNCHANGED, "no row was written"),
    ],
)
def test_delete_detection_gives_its_reason(compared, mode, captured, total, action, reason):
    table = plan(compared_at=compared and compared.isoformat())
    found = delete_detection(table, mode, Captured(**{"keys": KEYS, **captured}), total, NOW)
    assert (found.action, reason in found.reason) == (action, True)


@pytest.mark.parametrize(
    ("mode", "captured"), [(Incremental(SINCE), {}), (LAST_RANGE, {"state_changed": True})], ids=["later", "backfill"]
)
def test_rows_without_a_key_do_not_stand_for_deleted_ones(mode, captured):
    """A key that may be NaN is not in the lake, so as many rows as keys may be other ones."""
    before = plan(compared_at=(NOW - HOUR).isoformat())
    priced, numbered = Column("id", "numeric(5,2)"), Column("n", "integer")
    for keys, columns in ((("id",), (priced,)), (("id", "n"), (priced, numbered)), (("n", "id"), (priced, numbered))):
        info = TableInfo("t", keys, columns, bytes=100)
        table = TablePlan(before.table, info, before.previous, False, SINCE)
        assert delete_detection(table, mode, Captured(keys=KEYS, **captured), 5, NOW).action is Action.COMPARE


def test_delete_detection_is_disabled_by_the_declaration():
    table = plan(compared_at=NOW.isoformat())
    never = TablePlan(SourceTable("t", ("id",), NEVER), table.info, table.previous, False, SINCE)
    assert delete_detection(never, FullRead(), Captured(keys=KEYS), 5, NOW).action is Action.DISABLE
