"""The file of one table's changes: what is in it, what is left to the next run, and that its local file is closed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.extract.capture import change_file
from lambda_toolkit.pipeline.lambdas.extract.capture.change_file import ChangeFile
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column
from lambda_toolkit.pipeline.lambdas.extract.source.interface import XMIN
from lambda_toolkit.pipeline.lambdas.extract.source.reader import lake_schema
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import DataFile
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from tests.support.memory_s3 import MemoryS3

COLUMNS = (Column("id", "integer"), Column("v", "text"))
KEYS = pa.schema([("id", pa.int32())])
IN_FLIGHT = pa.schema([("id", pa.int32()), (XMIN, pa.int64())])


class World:
    """A lake, and what a run learns while a file is written."""

    def __init__(self, *, before: Any = (), full_refresh: bool = False, backfill: object = None) -> None:
        s3 = MemoryS3()
        s3.create_bucket("lake")
        self.lake = Lake(s3, "lake")
        self.transactions: list[int] = []
        self.taken: list[int] = []
        in_flight = change_file.store(self.lake, pa.Table.from_pylist(list(before), IN_FLIGHT), "before.parquet")
        self.plan: Any = SimpleNamespace(
            info=SimpleNamespace(columns=COLUMNS),
            full_refresh=full_refresh,
            before=SimpleNamespace(in_flight=in_flight, backfill=backfill),
            keys=("id",),
            key_schema=KEYS,
            name="t",
        )
        self.run: Any = SimpleNamespace(
            lake=self.lake,
            prefix=lambda name: f"{name}/batch=1/x",
            transactions=SimpleNamespace(add=lambda found: self.transactions.extend(found.to_pylist())),
            budget=SimpleNamespace(take=lambda rows, size: self.taken.append(rows)),
            snapshot=SimpleNamespace(changed=lambda info, rows, add: add(rows)),
        )

    def file(self) -> ChangeFile:
        return ChangeFile(self.run, self.plan)


def changed(*rows: tuple[int, str, int, bool]) -> pa.Table:
    """Rows of (id, v, xmin, whether its transaction is reread)."""
    schema = pa.schema([*lake_schema(COLUMNS), (XMIN, pa.int64()), ("in_flight", pa.bool_())])
    names = schema.names
    return pa.Table.from_pylist([dict(zip(names, (i, v, None, x, f), strict=True)) for i, v, x, f in rows], schema)


def stored(world: World, found: DataFile | None) -> list[tuple[int, str]]:
    assert found is not None and found.key == "t/batch=1/x.changes.parquet"
    rows = world.lake.table(found.key)
    assert rows.schema == lake_schema(COLUMNS) and found.rows == rows.num_rows
    return [(row["id"], row["v"]) for row in rows.to_pylist()]


def test_changes_are_stored_without_those_reported_before() -> None:
    """The version is the key with xmin: another xmin of the key, or the xmin of another key, is another version."""
    world = World(before=[{"id": 1, XMIN: 70}, {"id": 9, XMIN: 71}])
    with world.file() as file:
        file.read(changed((1, "a", 70, True), (1, "b", 71, False), (2, "c", 70, True)))
        file.add(changed((3, "d", 72, False)), keep_keys=False)
        assert stored(world, file.store()) == [(1, "b"), (2, "c"), (3, "d")]
        assert file.keys.to_pylist() == [{"id": 1}, {"id": 2}]
        assert file.keys.schema == KEYS
        own = [{"id": 1, XMIN: 70}, {"id": 2, XMIN: 70}]
        assert file.in_flight().to_pylist() == own
        assert file.in_flight(with_earlier=True).to_pylist() == [*own, {"id": 1, XMIN: 70}, {"id": 9, XMIN: 71}]
    assert world.transactions == [71, 70, 72]
    assert world.taken == [2, 1]
    assert file._part.file.closed, "the local file is deleted"


def test_versions_are_compared_as_texts_where_types_differ() -> None:
    world = World()
    world.plan.before.in_flight = change_file.store(
        world.lake, pa.table({"id": pa.array([1], pa.int64()), XMIN: pa.array([70], pa.int64())}), "before.parquet"
    )
    with world.file() as file:
        file.add(changed((1, "a", 70, True), (1, "b", 7, True), (170, "c", 7, True)))
        assert stored(world, file.store()) == [(1, "b"), (170, "c")]
        assert file.in_flight(with_earlier=True).schema.field("id").type == pa.int32()


def test_nothing_is_stored_of_nothing() -> None:
    world = World(before=[{"id": 1, XMIN: 70}])
    with world.file() as file:
        assert file.store() is None
        assert (file.keys.num_rows, file.keys.schema) == (0, KEYS)
        assert file.in_flight() is None
        assert file.in_flight(with_earlier=True).to_pylist() == [{"id": 1, XMIN: 70}], "this run may not have read"
        file.add(changed((1, "a", 70, True)))
        assert file.store() is None, "it was reported before"
        assert file.keys.num_rows == 0
    assert change_file.store(world.lake, None, "k") is change_file.store(world.lake, KEYS.empty_table(), "k") is None
    assert not world.lake.exists("k") and not world.lake.exists("t/batch=1/x.changes.parquet")


@pytest.mark.parametrize(("full_refresh", "backfill"), [(True, None), (False, object())])
def test_transactions_are_noted_while_changes_alone_are_read(full_refresh: bool, backfill: object) -> None:
    world = World(before=[{"id": 1, XMIN: 70}], full_refresh=full_refresh, backfill=backfill)
    with world.file() as file:
        file.add(changed((1, "a", 70, False), (2, "b", 71, False)))
        found = stored(world, file.store())
    assert found == ([(1, "a"), (2, "b")] if full_refresh else [(2, "b")]), "a table read whole has every row"
    assert world.transactions == []
