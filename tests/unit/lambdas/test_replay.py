"""What replay and rebuild ask of a warehouse: of which batches, in which order, and what they leave."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.load.rebuild import rebuild
from lambda_toolkit.pipeline.lambdas.load.replay import replay
from lambda_toolkit.pipeline.lambdas.load.warehouse.interface import RefusedError
from lambda_toolkit.pipeline.lambdas.load.warehouse.read_ahead import MissingHistoryError, NeededHistory
from lambda_toolkit.pipeline.lambdas.shared.errors import NotPreparedError, WarehouseError
from tests.support import written_lake
from tests.support.recorded_warehouse import (
    DECLARATIONS,
    ORDER,
    ORDERS,
    PRODUCT,
    PRODUCTS,
    ListedLake,
    RecordedWarehouse,
    loaded,
    some_times,
)


@pytest.fixture
def lake() -> ListedLake:
    return ListedLake()


@pytest.fixture
def warehouse() -> RecordedWarehouse:
    """Five batches are loaded."""
    return RecordedWarehouse(loaded(5))


def test_batch_is_applied_again_table_by_table(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    """Of keys that differ the history is rebuilt; a date has one content, whichever batch has it."""
    lake.batch(3, dim_product=lake.of(PRODUCT, [0]))
    lake.batch(
        3,
        revision=2,
        dim_date=lake.of("dim_date", [7]),
        dim_product=lake.of(PRODUCT, [1], [2], deleted=[3]),
        fact_order=lake.of(ORDER, [4]),
    )
    warehouse.answers |= {
        ("apply", "dim_date"): 1,
        ("write_resolved", PRODUCT): [10, 5],
        ("stage_changed_keys", PRODUCT): True,
        ("rebuild_history", PRODUCT): 200,
        ("write_resolved", ORDER): [30, 1000],
        ("stage_changed_keys", ORDER): True,
        ("rebuild_history", ORDER): 2,
    }
    result = replay(warehouse, lake, DECLARATIONS, [3])
    assert warehouse.calls == [
        ("begin", 3, 5),
        ("discard_refused",),
        ("stage", "dim_date", [7]),
        ("apply", "dim_date", "staged dim_date"),
        ("write_resolved", PRODUCT),
        ("stage_changed_keys", PRODUCT, [1, 2], [3]),
        ("rebuild_history", PRODUCT, "changed dim_product", 3),
        ("write_resolved", PRODUCT),
        ("write_resolved", ORDER),
        ("stage_changed_keys", ORDER, [4], None),
        ("rebuild_history", ORDER, "changed fact_order", 3),
        ("record_revision", 3, 2, {"dim_date": 1, PRODUCT: 215, ORDER: 32}),
        ("commit",),
    ]
    assert (result.replayed, result.written) == ([3], {"dim_date": 1, PRODUCT: 215, ORDER: 32})
    assert (result.left, result.not_loaded, result.busy) == ([], [], False)


def test_keys_that_do_not_differ_are_left_alone(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    """A date is written only where the batch has one."""
    lake.batch(5, dim_product=lake.of(PRODUCT, [1]), fact_order=lake.of(ORDER, deleted=[2]))
    assert replay(warehouse, lake, DECLARATIONS, [5]).written == {}
    assert [call[0] for call in warehouse.calls] == [
        *("begin", "discard_refused", "write_resolved", "stage_changed_keys", "write_resolved", "stage_changed_keys"),
        *("record_revision", "commit"),
    ]
    assert warehouse.of("stage_changed_keys") == [(PRODUCT, [1], None), (ORDER, [], [2])]
    assert warehouse.of("record_revision") == [(5, 1, {})]


def test_batches_are_replayed_in_order_while_there_is_time(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    """Each once; a batch that is not loaded yet is left to load."""
    for number in range(1, 7):
        lake.batch(number, fact_order=lake.of(ORDER, [number]))
    warehouse.answers["write_resolved", ORDER] = [3, 4]
    result = replay(warehouse, lake, DECLARATIONS, [5, 6, 2, 5, 4, 1], has_time_for_next=some_times(2))
    assert warehouse.of("begin") == [(1, 5), (2, 5)]
    assert (result.replayed, result.left, result.not_loaded, result.written) == ([1, 2], [4, 5], [6], {ORDER: 7})
    assert replay(RecordedWarehouse(), lake, DECLARATIONS, [1]).not_loaded == [1]


def test_history_that_several_tables_need_is_read_together(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    """Then the transaction is repeated."""
    lake.batch(1, dim_product=lake.of(PRODUCT, [1]), fact_order=lake.of(ORDER, [2]))
    for method, table in (("write_resolved", PRODUCTS), ("stage_changed_keys", ORDERS)):
        warehouse.answers[method, table.name] = [MissingHistoryError([NeededHistory(table, ("1",), 1, 1, ())])]
    assert replay(warehouse, lake, DECLARATIONS, [1]).replayed == [1]
    counts = [len(warehouse.of(method)) for method in ("begin", "rollback", "record_revision", "commit")]
    assert counts == [2, 1, 1, 1]


def test_what_a_warehouse_refuses_ends_the_replay(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    """The batches before it stay."""
    for number in (1, 2):
        lake.batch(number, fact_order=lake.of(ORDER, [number]))
    warehouse.answers["write_resolved", ORDER] = [0, RefusedError("a reason", is_unprepared=False)]
    with pytest.raises(WarehouseError, match="Batch 2 cannot be applied again: a reason"):
        replay(warehouse, lake, DECLARATIONS, [1, 2])
    assert [call[0] for call in warehouse.calls if call[0] in ("commit", "rollback")] == ["commit", "rollback"]


def test_a_busy_warehouse_is_left_alone(lake: ListedLake) -> None:
    lake.batch(1)
    warehouse: Any = RecordedWarehouse(loaded(7), is_busy=True)
    again = replay(warehouse, lake, DECLARATIONS, [3, 1, 3])
    assert (again.busy, again.left, again.replayed, warehouse.calls) == (True, [1, 3], [], [])
    rebuilt = rebuild(warehouse, lake, DECLARATIONS, lambda: True)
    assert (rebuilt.busy, rebuilt.done, rebuilt.last_batch, warehouse.calls) == (True, False, 7, [])
    with pytest.raises(NotPreparedError):
        replay(RecordedWarehouse(is_prepared=False), lake, DECLARATIONS, [1])


@pytest.fixture
def revised(lake: ListedLake) -> ListedLake:
    """Five batches; the first, the third and the fifth have a revision that is not applied, the second has one."""
    for number in range(1, 6):
        lake.batch(number)
    for number, revision in ((1, 2), (2, 2), (2, 3), (3, 2), (3, 3), (5, 2)):
        lake.batch(number, revision)
    return lake


APPLIED = {2: 3, 3: 2}


def test_rebuild_loads_what_is_left_and_applies_revisions(revised: ListedLake) -> None:
    warehouse = RecordedWarehouse(loaded(3), revisions=dict(APPLIED) | {5: 2})
    result = rebuild(warehouse, revised, DECLARATIONS, lambda: True)
    assert (result.loaded, result.replayed, result.last_batch) == ([4, 5], [1, 3], 5)
    assert (result.done, result.busy, result.missing_batch) == (True, False, None)
    assert warehouse.of("record_revision") == [(1, 2, {}), (3, 3, {})]


@pytest.mark.parametrize(
    ("count", "loaded_then", "replayed", "is_done"),
    [(0, [], [], False), (1, [5], [], False), (2, [5], [1], False), (3, [5], [1, 3], True)],
)
def test_rebuild_goes_on_where_the_time_ended(
    revised: ListedLake, count: int, loaded_then: list[int], replayed: list[int], is_done: bool
) -> None:
    warehouse = RecordedWarehouse(loaded(4), revisions=dict(APPLIED) | {5: 2})
    result = rebuild(warehouse, revised, DECLARATIONS, some_times(count))
    assert (result.loaded, result.replayed, result.done) == (loaded_then, replayed, is_done)


def test_rebuild_waits_for_a_missing_batch(lake: ListedLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The revisions too: they are applied when every batch is there."""
    monkeypatch.setattr(written_lake, "BEGINNING", datetime.now(UTC))  # when all objects are written
    for number, revision in ((1, 1), (1, 2), (3, 1)):
        lake.batch(number, revision)
    warehouse = RecordedWarehouse(loaded(1))
    result = rebuild(warehouse, lake, DECLARATIONS, lambda: True)
    assert (result.missing_batch, result.replayed, result.done, warehouse.of("begin")) == (2, [], False, [])


def test_rebuild_of_an_empty_lake_is_done(lake: ListedLake) -> None:
    result = rebuild(RecordedWarehouse(), lake, DECLARATIONS, lambda: True)
    assert (result.last_batch, result.loaded, result.replayed, result.done) == (None, [], [], True)


def test_rebuild_that_meets_another_writer_is_not_done(revised: ListedLake, warehouse: RecordedWarehouse) -> None:
    """It has the lock for its batches, and not for the revisions."""
    answers = iter([True, False])
    warehouse.acquire_lock = lambda: next(answers)  # type: ignore[method-assign]
    result = rebuild(warehouse, revised, DECLARATIONS, lambda: True)
    assert (result.busy, result.done, result.replayed) == (True, False, [])
