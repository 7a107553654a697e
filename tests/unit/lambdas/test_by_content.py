"""Rows compared by their hashes, of a source that answers as the test wants: what is reported, kept, and left."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.extract.capture import change_file, key_files
from lambda_toolkit.pipeline.lambdas.extract.capture.by_content import ContentDigest, capture_by_content
from lambda_toolkit.pipeline.lambdas.extract.limits import Budget, Limits
from lambda_toolkit.pipeline.lambdas.extract.row_set import ALL, NONE, KeysIn, WrittenSince
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column, TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.interface import row_hash_schema
from lambda_toolkit.pipeline.lambdas.extract.table_plan import Backfill, Captured, CaptureRun, Complete, TablePlan
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import BackfillCursor, DataFile, KeyFile, TableFiles
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import NEVER, SourceTable
from tests.support.memory_s3 import MemoryS3

NOW = datetime(2026, 1, 2, tzinfo=UTC)
Row = tuple[int | None, str | None, str]
"""The key's two columns, and a value."""


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:32]


class World:
    """A view of which every run reads all rows."""

    def __init__(self) -> None:
        s3 = MemoryS3()
        s3.create_bucket("lake")
        self.lake = Lake(s3, "lake")
        columns = (Column("v", "text"), Column("n", "integer", is_key=True), Column("s", "text", is_key=True))
        self.info = TableInfo("t", ("n", "s"), columns)
        self.deletes: timedelta | None = None
        self.before: TableFiles | None = None
        self.batch = 0
        self.chunks: list[list[Row]] = []

    def row_hashes(self, info: TableInfo, consume: Any) -> None:
        schema = row_hash_schema(self.info)
        for rows in self.chunks:
            values = [(n, s, digest(v), v, n, s, None) for n, s, v in rows]
            consume(pa.table([list(each) for each in zip(*values, strict=True)], schema=schema))

    def run(
        self, *chunks: list[Row], rows: int = 999_999, full: bool = False, backfill: BackfillCursor | None = None
    ) -> Captured:
        """What a run captures, which the next one knows."""
        self.chunks, self.batch = list(chunks), self.batch + 1
        table = SourceTable("t", ("n", "s"), self.deletes, by_content=True)
        plan = TablePlan(table, self.info, self.before, full, WrittenSince(1))
        snapshot: Any = self
        run = CaptureRun(snapshot, self.lake, Budget(Limits(rows=rows)), NOW, self.batch, f"run{self.batch:05d}")
        found = capture_by_content(run, plan)
        self.before = TableFiles({}, ("n", "s"), keys=found.keys, by_content=True, backfill=backfill)
        return found

    def rows(self, file: DataFile | KeyFile | None) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.lake.table(file.key).to_pylist()] if file else []


def test_rows_with_another_hash_are_changes_missing_ones_deleted() -> None:
    world = World()
    found = world.run([(1, "a", "x"), (1, "b", "x")], [(2, "a", "x")])
    assert world.rows(found.changes) == [("x", 1, "a", None), ("x", 1, "b", None), ("x", 2, "a", None)]
    assert (found.deleted, found.state, found.state_changed) == (None, Complete(), False)
    assert found.compared_at == NOW.isoformat()
    assert found.changed_rows == KeysIn((("1", "a"), ("1", "b"), ("2", "a")))
    assert [(file.rows, file.last_key) for file in found.keys] == [(3, '["2", "a"]')]
    known = found.keys
    found = world.run([(1, "a", "x")], [(1, "b", "x"), (2, "a", "x")])
    assert (found.changes, found.deleted, found.changed_rows, found.keys) == (None, None, NONE, known)
    found = world.run([(1, "b", "y"), (2, "a", "x"), (2, "b", "z")])
    assert world.rows(found.changes) == [("y", 1, "b", None), ("z", 2, "b", None)]
    assert world.rows(found.deleted) == [(1, "a")]
    assert found.changed_rows == KeysIn((("1", "b"), ("2", "b")))
    found = world.run([(1, "b", "y"), (2, "a", "x"), (2, "b", "z")], full=True)
    assert (found.changes and found.changes.rows, found.deleted) == (3, None)
    found = world.run()
    assert world.rows(found.deleted) == [(1, "b"), (2, "a"), (2, "b")]
    assert (found.keys, found.content) == ((), "0:0")


def test_keys_without_hashes_are_stored_with_them() -> None:
    """Those of a capture by transaction: every row is another then, and which were deleted is known."""
    world = World()
    schema = pa.schema([("n", pa.int32()), ("s", pa.string())])
    keys = change_file.store(world.lake, pa.table({"n": [1, 2], "s": ["a", "a"]}, schema=schema), "keys")
    assert keys
    world.before = TableFiles({}, ("n", "s"), keys=(KeyFile(keys.key, 2, '["2", "a"]'),))
    found = world.run([(1, "a", "x"), (3, "a", "x")])
    assert ([row[1] for row in world.rows(found.changes)], world.rows(found.deleted)) == ([1, 3], [(2, "a")])
    assert [row for file in found.keys for row in world.rows(file)] == [(1, "a", digest("x")), (3, "a", digest("x"))]
    world.before = TableFiles({}, ("n", "s"), keys=(KeyFile(keys.key, 2, '["2", "a"]'),))
    found = world.run([(1, "a", "x"), (2, "a", "x")], rows=0)
    assert (found.changes, [row for file in found.keys for row in world.rows(file)]) == (
        None,
        [(1, "a", ""), (2, "a", "")],
    )


def test_keys_with_hashes_are_in_files_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which only those are written again whose rows have changed."""
    monkeypatch.setattr(key_files, "KEY_FILE_ROWS", 2)
    world = World()
    rows: list[Row] = [(number, "a", "x") for number in range(6)]
    first = world.run(rows)
    assert [(file.rows, file.last_key) for file in first.keys] == [
        (2, '["1", "a"]'),
        (2, '["3", "a"]'),
        (2, '["5", "a"]'),
    ]
    found = world.run([*rows[:2], (2, "a", "y"), *rows[3:]])
    assert world.rows(found.changes) == [("y", 2, "a", None)]
    assert [file in first.keys for file in found.keys] == [True, False, True]


def test_files_are_named_after_their_run() -> None:
    world = World()
    world.run([(1, "a", "x")])
    found = world.run([(2, "a", "x")])
    begin = "data/t/batch=000000000002/run00002."
    assert found.changes and found.deleted
    names = (found.changes.key, found.deleted.key, found.keys[0].key)
    assert names == (f"{begin}changes.parquet", f"{begin}deleted.parquet", f"{begin}keys_0.parquet")


@pytest.mark.parametrize(("deletes", "kept"), [(None, True), (timedelta(hours=1), True), (NEVER, False)])
def test_deletes_are_not_reported_where_that_is_declared(deletes: timedelta | None, kept: bool) -> None:
    """Then freshness cannot be known: of such a table no digest is kept."""
    world = World()
    world.deletes = deletes
    world.run([(1, "a", "x"), (2, "a", "x")])
    found = world.run([(2, "a", "x")])
    assert world.rows(found.deleted) == ([(1, "a")] if kept else [])
    assert found.content == (f"1:{int(digest('x')[:16], 16)}" if kept else None)


def test_rows_beyond_a_batch_are_left_to_the_next() -> None:
    """They still differ then: those that are new as new ones, those that are known as changed ones."""
    world = World()
    first, second = [(1, "a", "x"), (1, "b", "x")], [(2, "a", "x"), (2, "b", "x")]
    found = world.run(first, second, rows=2)
    assert [row[1:3] for row in world.rows(found.changes)] == [(1, "a"), (1, "b")]
    assert (found.state, found.state_changed) == (Backfill(ALL), False)
    again = BackfillCursor(None, None)
    world.before = TableFiles({}, ("n", "s"), keys=found.keys, by_content=True, backfill=again)
    found = world.run(first, second, rows=2)
    assert [row[1:3] for row in world.rows(found.changes)] == [(2, "a"), (2, "b")]
    assert (found.state, found.state_changed) == (Complete(), True), "that it is complete must be stored"
    changed = [(1, "a", "y"), (1, "b", "y")]
    found = world.run(changed, [(2, "a", "y")], rows=1, backfill=again)
    assert [row[1:3] for row in world.rows(found.changes)] == [(1, "a"), (1, "b")]
    assert world.rows(found.deleted) == [(2, "b")], "deletes are reported beyond the limit, too"
    found = world.run(changed, [(2, "a", "y")], rows=0, backfill=again)
    assert (found.changes, found.state, found.state_changed) == (None, Backfill(ALL), False)
    found = world.run(changed, [(2, "a", "y")])
    assert [row[:3] for row in world.rows(found.changes)] == [("y", 2, "a")]
    assert world.run(rows=0).state == Complete(), "a row that is deleted need not be read"


@pytest.mark.parametrize(("count", "named"), [(1000, True), (1001, False)])
def test_changed_rows_are_named_up_to_a_thousand(count: int, named: bool) -> None:
    rows: list[Row] = [(number, "a", "x") for number in range(count)]
    found = World().run(rows[:600], rows[600:]).changed_rows
    assert found == (KeysIn(tuple((str(number), "a") for number in range(count))) if named else ALL)


@pytest.mark.parametrize(
    ("chunks", "problem"),
    [
        ([[(1, "a", "x"), (1, "a", "y")]], "not unique"),
        ([[(1, "a", "x")], [(1, "a", "x")]], "not unique"),
        ([[(1, "a", "x"), (2, "a", "x")], [(2, "a", "x"), (3, "a", "x")]], "not unique"),
        ([[(1, None, "x")]], "NULL, or NaN,"),
        ([[(1, "a", "x"), (None, "a", "x")]], "NULL, or NaN,"),
    ],
)
def test_key_that_identifies_no_row_is_refused(chunks: list[list[Row]], problem: str) -> None:
    with pytest.raises(SourceError, match=f"The key n, s of t is {problem} in some rows"):
        World().run(*chunks)


def test_digest_is_the_number_and_the_sum_of_hashes() -> None:
    """Modulo 2^64, of their first 16 digits, in any order and in any chunks."""
    found = ContentDigest()
    assert str(found) == "0:0"
    found.add(pa.chunked_array([["ffffffffffffffff" + "1" * 16, "0000000000000003" + "2" * 16]]))
    assert str(found) == "2:2"
    found.add(pa.chunked_array([["0123456789abcdef" + "3" * 16]]))
    assert str(found) == f"3:{0x0123456789ABCDEF + 2}"
