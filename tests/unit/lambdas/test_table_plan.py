"""The capture mode of a table, and how its deletes are detected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lambda_toolkit.pipeline.lambdas.extract.capture.deletes import Action, delete_detection
from lambda_toolkit.pipeline.lambdas.extract.limits import Budget, Limits
from lambda_toolkit.pipeline.lambdas.extract.row_set import ALL, NONE, KeysUpTo, WrittenSince, intersection
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column, TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.interface import RowCounts
from lambda_toolkit.pipeline.lambdas.extract.table_plan import (
    Backfill,
    Captured,
    Complete,
    FullRead,
    Incremental,
    TablePlan,
    cursor,
    deletes_interval,
    stored_state,
)
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
        (NOW, Backfill(ALL), {**AT_END}, 5, Action.COMPARE, "is complete"),
        (NOW, Backfill(SINCE, ("7",)), {**AT_END}, 5, Action.COMPARE, "is complete"),
        (NOW - HOUR, Incremental(SINCE), {}, 4, Action.COMPARE, "the interval has passed"),
        (NOW + HOUR, Incremental(SINCE), {}, 4, Action.COMPARE, "the interval has passed"),
        (NOW - HOUR, Incremental(SINCE), {}, 5, Action.UNCHANGED, "no row was written"),
        (NOW, Incremental(SINCE), {"keys_since_compare": (DataFile("c", 1_000_001),)}, 5, Action.COMPARE, "many keys"),
    ],
)
def test_delete_detection_gives_its_reason(compared, mode, captured, total, action, reason):
    table = plan(compared_at=compared.isoformat())
    found = delete_detection(table, mode, Captured(**{"keys": KEYS, **captured}), total, NOW)
    assert (found.action, reason in found.reason) == (action, True)


@pytest.mark.parametrize(
    ("mode", "captured"), [(Incremental(SINCE), {}), (LAST_RANGE, {"state_changed": True})], ids=["later", "backfill"]
)
def test_rows_without_a_key_do_not_stand_for_deleted_ones(mode, captured):
    """A key that may be NaN is not in the lake, so as many rows as keys may be other ones."""
    before = plan(compared_at=(NOW - HOUR).isoformat())
    info = TableInfo("t", ("id",), (Column("id", "numeric(5,2)"),), bytes=100)
    table = TablePlan(before.table, info, before.previous, False, SINCE)
    assert delete_detection(table, mode, Captured(keys=KEYS, **captured), 5, NOW).action is Action.COMPARE


def test_delete_detection_is_disabled_by_the_declaration():
    table = plan(compared_at=NOW.isoformat())
    never = TablePlan(SourceTable("t", ("id",), NEVER), table.info, table.previous, False, SINCE)
    assert delete_detection(never, FullRead(), Captured(keys=KEYS), 5, NOW).action is Action.DISABLE
