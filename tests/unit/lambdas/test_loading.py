"""What load asks of a warehouse: of which batches, in which order, and again after which errors."""

from __future__ import annotations

import dataclasses
import itertools
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.load import loading
from lambda_toolkit.pipeline.lambdas.load.loading import LoadedBatch, load, report
from lambda_toolkit.pipeline.lambdas.load.warehouse.interface import LedgerEntry, RefusedError
from lambda_toolkit.pipeline.lambdas.load.warehouse.read_ahead import MissingHistoryError, NeededHistory
from lambda_toolkit.pipeline.lambdas.shared.errors import GapError, LakeError, NotPreparedError, WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
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
from tests.support.written_lake import BEGINNING


@pytest.fixture
def lake() -> ListedLake:
    return ListedLake()


@pytest.fixture
def warehouse() -> RecordedWarehouse:
    return RecordedWarehouse()


def test_batch_is_written_table_by_table_in_order(
    lake: ListedLake, warehouse: RecordedWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dimensions first; pending rows before new ones, and again where rows of a table may refer to its own."""
    product = dataclasses.replace(
        lake.of(PRODUCT, [1, 2], deleted=[3]), unfit=lake.files(PRODUCT, [9], folder="unfit")[0]
    )
    order = dataclasses.replace(lake.of(ORDER, [4, 5], [6], deleted=[7]), unfit=product.unfit)
    manifest = lake.batch(1, dim_product=product, fact_order=order)
    warehouse.answers |= {
        ("write_resolved", PRODUCT): [20, 3],
        ("reject_refused", PRODUCT): 100,
        ("defer_unresolved", PRODUCT): 2,
        ("apply", PRODUCT): 7,
        ("count_pending", PRODUCT): 1,
        ("write_resolved", "dim_date"): 5,
        ("apply", ORDER): 50,
        ("defer_unresolved", ORDER): 4,
        ("reject_refused", ORDER): 10,
    }
    warehouse.ways = {ORDER: "three connections"}
    ticks = itertools.count()
    monkeypatch.setattr(loading, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    batches: list[LoadedBatch] = []
    result = load(warehouse, lake, DECLARATIONS, on_batch=batches.append)
    assert warehouse.calls == [
        ("discard_leftovers",),
        ("beside", (PRODUCT, 2, [1, 2]), (ORDER, 3, [4, 5, 6])),
        ("begin", 1, 0),
        ("write_resolved", "dim_date"),
        ("write_resolved", PRODUCT),
        ("fill", PRODUCT, 2, [1, 2]),
        ("stage", PRODUCT, [1, 2]),
        ("reject_refused", PRODUCT, "staged dim_product"),
        ("drop_unchanged", PRODUCT, "staged dim_product"),
        ("defer_unresolved", PRODUCT, "fresh dim_product"),
        ("apply", PRODUCT, "fresh dim_product"),
        ("supersede", PRODUCT, "fresh dim_product"),
        ("write_resolved", PRODUCT),
        ("count_pending", PRODUCT),
        ("delete", PRODUCT, [3]),
        ("discard_rejected", PRODUCT, [9]),
        ("write_resolved", ORDER),
        ("fill", ORDER, 3, [4, 5, 6]),
        ("stage", ORDER, [4, 5, 6]),
        ("reject_refused", ORDER, "staged fact_order"),
        ("drop_unchanged", ORDER, "staged fact_order"),
        ("defer_unresolved", ORDER, "fresh fact_order"),
        ("apply", ORDER, "fresh fact_order"),
        ("supersede", ORDER, "fresh fact_order"),
        ("delete", ORDER, [7]),
        ("record", {"dim_date": 5, PRODUCT: 30, ORDER: 50}),
        ("commit",),
    ]
    assert (result.loaded, result.last, result.missing_batch) == ([1], loaded(1), None)
    assert (result.appended, result.pending) == ({"dim_date": 5, PRODUCT: 30, ORDER: 50}, {PRODUCT: 101, ORDER: 14})
    assert (result.busy, result.unfinished) == (False, False)
    [batch] = batches
    assert (batch.entry, batch.manifest) == (loaded(1), manifest)
    assert batch.written == {
        "dim_date": loading.Written(5, 0, 1000.0, ""),
        PRODUCT: loading.Written(30, 101, 1000.0, ""),
        ORDER: loading.Written(50, 14, 1000.0, "three connections"),
    }


def test_filled_rows_are_not_staged(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    """A table that a batch only deletes from is recorded too, and one that it has nothing of is not."""
    lake.batch(1, fact_order=lake.of(ORDER, [1, 2], deleted=[3]), dim_product=lake.of(PRODUCT, deleted=[4]))
    warehouse.answers[("fill", ORDER)] = 2
    assert load(warehouse, lake, DECLARATIONS).appended == {PRODUCT: 0, ORDER: 2}
    assert warehouse.of("stage") == []
    assert warehouse.of("delete") == [(PRODUCT, [4]), (ORDER, [3])]
    assert warehouse.of("record") == [({PRODUCT: 0, ORDER: 2},)]
    assert warehouse.of("beside") == [((ORDER, 2, [1, 2]),)]
    assert warehouse.of("count_pending") == []


def test_batches_are_loaded_in_order_and_add_up(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    for number in (1, 2, 3):
        lake.batch(number, fact_order=lake.of(ORDER, [number]))
    lake.batch(2, revision=2, fact_order=lake.of(ORDER, [22]))
    warehouse.last = loaded(1)
    warehouse.answers |= {("apply", ORDER): [4, 5], ("defer_unresolved", ORDER): [1, 2]}
    result = load(warehouse, lake, DECLARATIONS)
    assert result.loaded == [2, 3]
    assert warehouse.of("begin") == [(2, 1), (3, 2)]
    assert warehouse.of("stage") == [(ORDER, [22]), (ORDER, [3])], "of a batch the newest revision counts"
    assert (result.appended, result.pending, result.last) == ({ORDER: 9}, {ORDER: 3}, loaded(3))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_load_ends_where_the_time_does(lake: ListedLake, warehouse: RecordedWarehouse, count: int) -> None:
    for number in (1, 2):
        lake.batch(number)
    result = load(warehouse, lake, DECLARATIONS, has_time_for_next=some_times(count))
    assert result.loaded == [1, 2][:count]
    assert result.unfinished == (count < 2)


@pytest.mark.parametrize("late", [0, 300, 301])
def test_a_missing_batch_is_waited_for(lake: ListedLake, warehouse: RecordedWarehouse, late: int) -> None:
    """For five minutes since a later one was written."""
    for number in (1, 3, 4):
        lake.batch(number)
    now: Any = lambda: BEGINNING + timedelta(seconds=late)  # noqa: E731
    if late > 300:
        with pytest.raises(GapError, match="Batch 2 is missing"):
            load(warehouse, lake, DECLARATIONS, now)
        assert warehouse.last == loaded(1)
        return
    result = load(warehouse, lake, DECLARATIONS, now)
    assert (result.loaded, result.missing_batch) == ([1], 2)


def test_a_warehouse_that_another_load_writes_to_is_left_alone(lake: ListedLake) -> None:
    lake.batch(1)
    warehouse: Any = RecordedWarehouse(loaded(7), is_busy=True)
    result = load(warehouse, lake, DECLARATIONS)
    assert (result.busy, result.loaded, result.last, warehouse.calls) == (True, [], loaded(7), [])


def test_a_warehouse_that_is_not_prepared_is_not_asked(lake: ListedLake) -> None:
    warehouse: Any = RecordedWarehouse(is_prepared=False)
    with pytest.raises(NotPreparedError):
        load(warehouse, lake, DECLARATIONS)
    with pytest.raises(NotPreparedError):
        report(warehouse)
    assert warehouse.calls == []
    assert report(RecordedWarehouse(loaded(2))).last == loaded(2)


def test_another_lake_than_the_one_before_is_not_loaded(lake: ListedLake) -> None:
    """The last batch must be there, of the same moment, however that is written."""
    lake.batch(1)
    with pytest.raises(LakeError, match=f"s3://processed/{manifest_key(2)} is missing"):
        load(RecordedWarehouse(loaded(2)), lake, DECLARATIONS)
    with pytest.raises(LakeError, match="the lake was replaced"):
        load(RecordedWarehouse(LedgerEntry(1, "2026-01-01T00:02:00Z", "")), lake, DECLARATIONS)
    same = RecordedWarehouse(LedgerEntry(1, "2026-01-01T00:01:00.000000Z", ""))
    assert load(same, lake, DECLARATIONS).loaded == []


def test_a_batch_with_a_table_that_is_not_declared_is_refused(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    lake.batch(1, dim_other=lake.of("dim_other", [1]), dim_more=lake.of("dim_more", [1]))
    with pytest.raises(WarehouseError, match="Batch 1 has dim_more, dim_other, which is not declared"):
        load(warehouse, lake, DECLARATIONS)
    assert warehouse.of("begin") == []


def refused(**how: bool) -> RefusedError:
    return RefusedError("a reason", **{"is_unprepared": False, **how})


def test_rows_of_a_table_that_refuses_one_are_tried_then(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    """The batch is written again; and once more where another table refuses a row."""
    lake.batch(1, dim_product=lake.of(PRODUCT, [1]), fact_order=lake.of(ORDER, [2]))
    about = refused(is_about_a_row=True)
    warehouse.answers |= {("apply", ORDER): [about, 1], ("supersede", PRODUCT): [0, about]}
    assert load(warehouse, lake, DECLARATIONS).loaded == [1]
    assert warehouse.of("begin") == [(1, 0), (1, 0, ORDER), (1, 0, PRODUCT, ORDER)]
    assert [call[0] for call in warehouse.calls if call[0] in ("rollback", "commit")] == [*["rollback"] * 2, "commit"]
    assert len(warehouse.of("beside")) == 1


@pytest.mark.parametrize(
    ("at", "errors", "raised", "message"),
    [
        (("apply", ORDER), [refused()], WarehouseError, "Batch 1 cannot be loaded into fact_order: a reason"),
        (("apply", ORDER), [refused(is_about_a_row=True)] * 2, WarehouseError, "into fact_order: a reason"),
        (("apply", ORDER), [refused(is_unprepared=True)], NotPreparedError, "into fact_order: a reason"),
        (("record", ""), [refused(is_about_a_row=True)], WarehouseError, "into the ledger: a reason"),
    ],
)
def test_what_a_warehouse_refuses_ends_the_load(
    lake: ListedLake,
    warehouse: RecordedWarehouse,
    at: tuple[str, str],
    errors: list[Exception],
    raised: type[Exception],
    message: str,
) -> None:
    """Unless it is a row that is refused for the first time."""
    lake.batch(1, fact_order=lake.of(ORDER, [2]))
    warehouse.answers[at] = list(errors)
    with pytest.raises(raised, match=message) as found:
        load(warehouse, lake, DECLARATIONS)
    assert type(found.value) is raised
    assert len(warehouse.of("rollback")) == len(errors)


def test_history_that_several_tables_need_is_read_together(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    """Then the transaction is repeated."""
    lake.batch(1, dim_product=lake.of(PRODUCT, [1]), fact_order=lake.of(ORDER, [2]))
    for table in (PRODUCTS, ORDERS):
        missing = MissingHistoryError([NeededHistory(table, ("1",), 1, 1, ())])
        warehouse.answers["write_resolved", table.name] = [missing]
    assert load(warehouse, lake, DECLARATIONS).loaded == [1]
    assert (len(warehouse.of("begin")), len(warehouse.of("rollback")), len(warehouse.of("record"))) == (2, 1, 1)
