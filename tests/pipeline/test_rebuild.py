"""Outstanding rows, reapplied batches, and a rebuild in a shadow schema: through the handler of load."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.load import handler
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError, WarehouseError
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.sample_star import DECLARED, SCHEMA, Batch, Row, repaired, write
from tests.support.written_lake import WrittenLake

CHECK = SchemaNames.shadow("check")
A, B, LATER = (1, 1), (2, 1), (3, 7)
HISTORY = [
    Batch({1: Row(A), 2: Row(A)}, {1: Row("one"), 2: Row("two", rejected=True)}),
    Batch({1: Row(LATER), 2: Row(B, rejected=True)}),
    Batch({1: Row(B)}),
]


@pytest.fixture
def lake():
    written = WrittenLake()
    for number, batch in enumerate(HISTORY, 1):
        write(written, number, batch)
    return written


@pytest.fixture
def warehouse(empty):
    prepare(empty, SCHEMA, DECLARED)
    return empty


@pytest.fixture
def load(credentials, warehouse, lake, monkeypatch):
    """The handler of load on this warehouse and this lake."""
    monkeypatch.setattr(handler, "_credentials", lambda: credentials[1])
    monkeypatch.setattr(handler.runtime, "processed_lake", lambda: lake)
    monkeypatch.setattr(handler.declarations, "load", lambda: DECLARED)

    def call(event, context=None):
        while warehouse.rows(OTHERS_TURN)[0][0]:  # the session of the call before has its turn until it has ended
            pass
        return handler.lambda_handler(event, context)

    return call


OTHERS_TURN = (
    "SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database AND d.datname = current_database()"
    " WHERE l.locktype = 'advisory' AND l.pid <> pg_backend_pid()"
)


class Clock:
    """A context of Lambda in which every look at the time that remains costs a minute."""

    def __init__(self, minutes: int) -> None:
        self.minutes = minutes

    def get_remaining_time_in_millis(self) -> int:
        self.minutes -= 1
        return self.minutes * 60_000


def test_open_rows_are_reported_with_their_reason(load):
    assert load({})["open"] == {"rejected": 2, "pending": 1}
    reported = load({"action": "rejected"})
    assert (reported["counts"], reported["batches"]) == ({"rejected": 2, "pending": 1}, [1, 2])
    bad = {"column": "x", "value": None, "reason": "bad"}
    assert reported["rejected"] == [
        {"batch": 1, "table": "dim_product", "key": "2", **bad},
        {"batch": 2, "table": "fact_order", "key": "2", **bad},
    ]
    pending = {"batch": 2, "table": "fact_order", "key": "1", "column": "product_id", "value": "7"}
    assert reported["pending"] == [{**pending, "reason": "not in dim_product yet"}]
    assert load({"action": "report"})["open"] == reported["counts"]


def test_open_rows_are_counted_beyond_those_reported(warehouse, load, lake):
    rejected = {"fact_order": [("order", str(n), "x", "v" * 5000, "bad") for n in range(1000)]}
    lake.write(4, {}, rejected=rejected)
    load({})
    reported = load({"action": "rejected"})
    assert (reported["counts"]["rejected"], len(reported["rejected"])) == (1002, 500)
    assert max(len(entry["value"] or "") for entry in reported["rejected"]) == 1000


def test_replay_writes_only_rows_that_differ(warehouse, load, lake):
    """A replay writes what came out differently and nothing else."""
    load({})
    before = warehouse.rows("SELECT * FROM history_fact_order ORDER BY 1")
    for _ in range(2):
        done = load({"action": "replay", "batches": [3, 1, 2, 9]})
        assert (done["replayed"], done["written"], done["not_loaded"]) == ([1, 2, 3], {}, [9])
    assert warehouse.rows("SELECT * FROM history_fact_order ORDER BY 1") == before
    write(lake, 2, repaired(HISTORY[1]), revision=2)
    done = load({"action": "replay", "batches": [2]})
    assert (done["written"], done["open"]) == ({"fact_order": 1}, {"rejected": 1, "pending": 1})
    assert warehouse.rows("SELECT batch, revision, rows_written FROM pipeline.revision") == [[2, 2, {"fact_order": 1}]]
    assert load({"action": "replay", "batches": [2]})["written"] == {}


def test_a_replay_that_is_refused_changes_nothing(warehouse, load, lake):
    load({})
    write(lake, 2, repaired(HISTORY[1]), revision=2)
    warehouse.run("ALTER TABLE pipeline.revision ADD CHECK (revision < 2)")
    before = warehouse.rows("SELECT * FROM history_fact_order ORDER BY 1")
    with pytest.raises(WarehouseError, match="Batch 2 cannot be applied again"):
        load({"action": "replay", "batches": [2]})
    assert warehouse.rows("SELECT * FROM history_fact_order ORDER BY 1") == before
    assert load({"action": "report"})["open"]["rejected"] == 2


def test_one_at_a_time_writes_to_a_warehouse(warehouse, load):
    prepare(warehouse, SCHEMA, DECLARED, CHECK)
    warehouse.run("SELECT pg_advisory_lock(CAST(:key AS bigint))", key=SchemaNames().lock)
    assert load({})["loaded"] == []
    busy = load({"action": "replay", "batches": [1]})
    assert (busy["busy"], busy["replayed"], busy["left"]) == (True, [], [1])
    assert load({"action": "rebuild", "schema": "check"})["done"]  # another warehouse
    warehouse.run("SELECT pg_advisory_unlock_all(); SELECT 1")
    warehouse.run("SELECT pg_advisory_lock(CAST(:key AS bigint))", key=CHECK.lock)
    assert load({"action": "rebuild", "schema": "check"})["busy"]
    assert load({})["loaded"] == [1, 2, 3]


def test_rebuild_resumes_and_equals_the_live_warehouse(warehouse, load):
    """A rebuild goes on where the time ended and equals the live warehouse."""
    load({})
    prepare(warehouse, SCHEMA, DECLARED, CHECK)
    first, second = (load({"action": "rebuild", "schema": "check"}, Clock(4)) for _ in range(2))
    assert (first["last_batch"], first["done"]) == (2, False)
    assert (second["last_batch"], second["done"]) == (3, True)
    compared = load({"action": "compare", "schema": "check"})
    assert compared["equal"], compared
    assert (compared["last_batches"], compared["rows"], compared["renumbered"]) == ([3, 3], 4, 0)


def test_load_stops_before_its_deadline_and_resumes(load):
    """Load itself stops before its time ends and goes on at the next run."""
    assert load({}, Clock(4))["loaded"] == [1, 2]
    assert load({}, Clock(4))["loaded"] == [3]


def test_rebuild_after_a_replay_differs_only_in_version_numbers(warehouse, load, lake):
    """After a replay the rebuilt warehouse is equal but for the numbers."""
    load({})
    write(lake, 2, repaired(HISTORY[1]), revision=2)
    load({"action": "replay", "batches": [2]})
    lake.write(4, {"dim_product": pa.table({"product_id": pa.array([7], pa.int32()), "name": ["seven"]})})
    load({})
    prepare(warehouse, SCHEMA, DECLARED, CHECK)
    assert load({"action": "rebuild", "schema": "check"})["done"]
    compared = load({"action": "compare", "schema": "check"})
    assert compared["equal"], compared
    assert (compared["replayed"], compared["renumbered"] > 0) == (True, True)


def test_a_rebuilt_warehouse_takes_the_revisions_that_came_since(warehouse, load, lake):
    prepare(warehouse, SCHEMA, DECLARED, CHECK)
    load({"action": "rebuild", "schema": "check"})
    write(lake, 2, repaired(HISTORY[1]), revision=2)
    assert load({"action": "rebuild", "schema": "check"})["replayed"] == [2]
    assert load({"action": "rebuild", "schema": "check"})["replayed"] == []


@pytest.mark.parametrize(
    ("statement", "table", "reported"),
    [
        ("UPDATE fact_order SET amount = 9 WHERE order_record = 1", "fact_order",
         "order_id 1, version 1: amount is 9 in public.fact_order and 1.00 in check.fact_order"),
        ("DELETE FROM fact_order WHERE order_record = 2", "fact_order",
         "order_id 2, version 1: in check.fact_order, but not in public.fact_order"),
        ("UPDATE pipeline.version_range SET batch = 2 WHERE batch = 3", "fact_order",
         "order_id 1, version 2: batch is 2 in public.fact_order and 3 in check.fact_order"),
        ("UPDATE dim_product SET name = NULL", "dim_product", None),
        ("DELETE FROM pipeline.pending_row", "pipeline.pending_row",
         "table_name fact_order, key 1, batch 2: in check_pipeline.pending_row, but not in pipeline.pending_row"),
        ("UPDATE pipeline.rejected_value SET reason = 'worse' WHERE batch = 1", "pipeline.rejected_value", None),
        ("INSERT INTO pipeline.deletion VALUES ('fact_order', '1', 3, NULL)", "pipeline.deletion",
         "table_name fact_order, key 1, batch 3: in pipeline.deletion, but not in check_pipeline.deletion"),
    ],
)  # fmt: skip
def test_every_kind_of_difference_is_named(warehouse, load, statement, table, reported):
    load({})
    prepare(warehouse, SCHEMA, DECLARED, CHECK)
    load({"action": "rebuild", "schema": "check"})
    warehouse.run("ALTER TABLE dim_product ALTER COLUMN name DROP NOT NULL")
    warehouse.run(statement)
    compared = load({"action": "compare", "schema": "check"})
    assert not compared["equal"]
    different = {found["table"]: found for found in compared["tables"] if found["differences"]}
    assert list(different) == [table]
    assert different[table]["differences"] == 1
    assert reported is None or reported in different[table]["examples"]


def test_other_numbers_without_a_replay_are_a_difference(warehouse, load):
    load({})
    prepare(warehouse, SCHEMA, DECLARED, CHECK)
    load({"action": "rebuild", "schema": "check"})
    warehouse.run("UPDATE fact_order SET order_record = 50 WHERE order_record = 3")
    warehouse.run("UPDATE pipeline.version_range SET first_record = 50, last_record = 50 WHERE first_record = 3")
    compared = load({"action": "compare", "schema": "check"})
    assert (compared["equal"], compared["renumbered"]) == (False, 1)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"action": "dance"}, "has the actions load, report, rejected"),
        ({"action": "replay"}, "lacks the key `batches`: it must be a list of integers of at least 1"),
        ({"action": "replay", "batches": [0]}, "`batches` must be a list"),
        ({"action": "rebuild", "schema": "public"}, "the live warehouse's own schema"),
        ({"action": "rebuild", "schema": "pipeline"}, "the live warehouse's own schema"),
        ({"action": "rebuild", "schema": "Check; DROP"}, "a name has small letters"),
        ({"action": "rebuild", "schema": "pg_check"}, "PostgreSQL reserves that name"),
        ({"action": "rebuild", "schema": "check_pipeline"}, "for control tables"),
        ({"action": "compare"}, "lacks the key `schema`: it must be a string"),
    ],
)
def test_an_event_that_cannot_be_meant_is_refused(load, event, message):
    with pytest.raises(PipelineError, match=message):
        load(event)


def test_a_schema_that_was_not_prepared_is_named(load):
    with pytest.raises(WarehouseError, match=r"lacks the table check_pipeline\.ledger"):
        load({"action": "rebuild", "schema": "check"})
