"""What a batch has beside its changes: which rows are looked for along paths of joins, and which files have them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.extract.context import Context, read_context
from lambda_toolkit.pipeline.lambdas.extract.limits import Budget, Limits
from lambda_toolkit.pipeline.lambdas.extract.row_set import (
    ALL,
    NONE,
    Dangling,
    KeysUpTo,
    ReferencedBy,
    Referencing,
    RowSet,
    WrittenSince,
    intersection,
    union,
)
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column, TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.reader import lake_schema
from lambda_toolkit.pipeline.lambdas.extract.table_plan import Backfill, Captured, CaptureRun, TablePlan
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import DataFile, SourceIdentity
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable, parse
from tests.support.memory_s3 import MemoryS3

IDENTITY = SourceIdentity("7", 1, "db", 5, 77, 100, 200, 300, 80)
SINCE, FILE = WrittenSince(50), DataFile("f", 1)
COLUMNS = {"id": "id"}
TOWN, LAND = {"table": "town", "on": "town_id"}, {"table": "land", "on": "land_id", "from": "town"}


def table(of: str, **joins: Any) -> dict[str, Any]:
    return {"kind": "dimension", "from": of, "key": "id", "columns": COLUMNS, **({"join": joins} if joins else {})}


DECLARED = parse(
    {
        "source": {name: {"key": "id"} for name in ("person", "town", "land", "alone")},
        "warehouse": {
            "dim_person": table("person", land=LAND, town=TOWN),  # the second before what it starts from
            "dim_town": table("town", land={"table": "land", "on": "land_id"}),
            "dim_land": table("land"),
            "dim_alone": table("alone"),
        },
    }
)
CHANGED = Captured(changes=FILE, changed_rows=SINCE)
LIMIT = 3


class World:
    """A source that has so many rows of what is asked for of each table; three, unless the test says otherwise."""

    def __init__(self) -> None:
        s3 = MemoryS3()
        s3.create_bucket("lake")
        self.lake = Lake(s3, "lake")
        self.asked: list[tuple[str, RowSet, int | None]] = []
        self.rows: dict[str, int] = {}
        self.plans = {name: self.plan(name) for name in DECLARED.source}

    def plan(self, name: str, *, full: bool = False, by_content: bool = False) -> TablePlan:
        columns = (Column("id", "integer", is_key=True), Column("town_id", "integer"), Column("land_id", "integer"))
        source = SourceTable(name, ("id",), by_content=by_content)
        return TablePlan(source, TableInfo(name, ("id",), columns), None, full, SINCE)

    def position(self) -> SourceIdentity:
        return IDENTITY

    def related(self, info: TableInfo, rows: RowSet, write: Any, limit: int | None) -> None:
        self.asked.append((info.name, rows, limit))
        schema = lake_schema(info.columns)
        count = self.rows.get(info.name, LIMIT)
        write(pa.Table.from_pylist([{"id": number} for number in range(count)], schema))

    def read(self, **captured: Captured) -> Context:
        found = {name: captured.get(name, Captured()) for name in DECLARED.source}
        snapshot: Any = self
        run = CaptureRun(snapshot, self.lake, Budget(Limits(rows=LIMIT)), datetime(2026, 1, 2, tzinfo=UTC), 2, "run")
        return read_context(run, DECLARED, self.plans, found)


@pytest.fixture
def world() -> World:
    return World()


def file(name: str, kind: str, rows: int = LIMIT) -> DataFile:
    return DataFile(f"data/{name}/batch=000000000002/run.{kind}.parquet", rows)


TOWNS = Referencing(("land_id",), "land", SINCE)
PEOPLE = Referencing(("town_id",), "town", TOWNS)
WITHOUT_CHANGE = Referencing(("town_id",), "town", Referencing(("land_id",), "land", NONE))


def test_change_reaches_rows_upward_and_looks_up_downward(world: World) -> None:
    """Land changed: its towns, and the people of these, are made again; of each, what they refer to is looked up."""
    found = world.read(land=CHANGED)
    needed = ReferencedBy("person", ("town_id",), PEOPLE)
    lands = union(ReferencedBy("town", ("land_id",), needed), ReferencedBy("town", ("land_id",), TOWNS))
    assert world.asked == [
        ("person", PEOPLE, LIMIT + 1),
        ("town", TOWNS, LIMIT + 1),
        ("town", needed, None),
        ("land", lands, None),
    ]
    reached = {name: file(name, "context") for name in ("person", "town", "land")}
    assert found == Context(reached, {"town": file("town", "lookups")}, found.captured)
    assert world.lake.table(file("land", "context").key).schema == lake_schema(world.plans["land"].info.columns)
    assert found.captured == {**dict.fromkeys(DECLARED.source, Captured()), "land": CHANGED}


def test_own_changes_are_not_looked_for_again(world: World) -> None:
    """People changed, and some were read once more: what these refer to is looked up, and nothing else is made."""
    world.rows["person"] = 0
    found = world.read(person=replace(CHANGED, reread_rows=KeysUpTo(("7",))))
    needed = ReferencedBy("person", ("town_id",), union(SINCE, KeysUpTo(("7",)), WITHOUT_CHANGE))
    assert world.asked == [
        ("person", WITHOUT_CHANGE, LIMIT + 1),
        ("town", needed, None),
        ("land", ReferencedBy("town", ("land_id",), needed), None),
    ]
    assert (found.reached, found.looked_up) == ({"land": file("land", "context")}, {"town": file("town", "lookups")})


def test_rows_that_are_not_read_yet_are_not_reached(world: World) -> None:
    world.read(land=CHANGED, person=Captured(captured_rows=KeysUpTo(("7",))), town=Captured(captured_rows=NONE))
    asked = {name: rows for name, rows, limit in world.asked if limit}
    assert asked == {"person": intersection(KeysUpTo(("7",)), PEOPLE)}


def test_deleted_row_reaches_those_that_still_refer_to_it(world: World) -> None:
    """And so do the rows that refer to these; rows that were read once more reach none."""
    world.read(land=Captured(deleted=FILE, changed_rows=SINCE))
    towns = union(Dangling(("land_id",), "land"))
    asked = {name: rows for name, rows, limit in world.asked if limit}
    nothing = Referencing(("land_id",), "land", NONE)
    assert asked["town"] == union(nothing, towns)
    assert asked["person"] == Referencing(("town_id",), "town", union(nothing, towns))


@pytest.mark.parametrize("captured", [{}, {"alone": CHANGED}, {"land": Captured(state_changed=True)}])
def test_nothing_is_asked_for_where_no_join_is_concerned(world: World, captured: Any) -> None:
    found = world.read(**captured)
    assert (world.asked, found.reached, found.looked_up) == ([], {}, {})


def test_table_of_which_too_many_rows_are_reached_is_read_again(world: World) -> None:
    """Nothing is stored of those, and what they refer to is left to the batches that have them."""
    world.rows["person"] = LIMIT + 1
    found = world.read(land=CHANGED, person=CHANGED)
    again = Backfill(ALL, changes=WrittenSince(77))
    assert found.captured["person"] == replace(CHANGED, state=again, state_changed=True)
    assert found.captured["town"] == Captured()
    assert set(found.reached) == {"town", "land"}
    assert ("town", ReferencedBy("person", ("town_id",), SINCE), None) in world.asked, "of the own changes alone"
    begun = Backfill(ALL, ("7",))
    found = world.read(land=CHANGED, person=replace(CHANGED, state=begun))
    assert found.captured["person"].state == replace(begun, again=True)


def test_rows_that_are_looked_up_are_not_limited(world: World) -> None:
    world.rows.update(person=0, town=0, land=LIMIT + 1)
    found = world.read(person=CHANGED)
    assert found.reached == {"land": file("land", "context", LIMIT + 1)}
    assert found.looked_up == {}, "there is no town"


@pytest.mark.parametrize(
    ("plan", "captured", "limits"),
    [
        ({"full": True}, {}, []),  # every row is among the changes
        ({"full": True}, {"state": Backfill(ALL, ("7",))}, [LIMIT + 1]),
        ({"by_content": True}, {}, [None]),  # its rows are not read again
        ({"full": True, "by_content": True}, {}, [None]),
    ],
)
def test_rows_are_looked_for_where_not_all_are_changes(world: World, plan: Any, captured: Any, limits: Any) -> None:
    world.plans["person"] = world.plan("person", **plan)
    world.rows["person"] = LIMIT + 1 if limits == [None] else LIMIT
    found = world.read(land=CHANGED, person=Captured(**captured))
    assert [limit for name, _, limit in world.asked if name == "person"] == limits
    assert ("person" in found.reached) is bool(limits)
    assert found.captured["person"] == Captured(**captured)
