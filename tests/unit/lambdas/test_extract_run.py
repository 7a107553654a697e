"""One run of extract, of a source that is as the test says: what its manifest has, and what it tells."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.extract import extraction
from lambda_toolkit.pipeline.lambdas.extract.context import Context
from lambda_toolkit.pipeline.lambdas.extract.extraction import Extracted, Request, extract
from lambda_toolkit.pipeline.lambdas.extract.row_set import ALL, WrittenSince
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column, TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.interface import RowCounts
from lambda_toolkit.pipeline.lambdas.extract.table_plan import Backfill, Captured, TablePlan
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import (
    BackfillCursor,
    Commits,
    DataFile,
    KeyFile,
    SourceIdentity,
    TableFiles,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.logs import TableWork
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from tests.support.lake_contents import manifest
from tests.support.memory_s3 import MemoryS3

IDENTITY = SourceIdentity("7", 1, "db", 5, 50, 100, 200, 300, 60)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUN = "0123456789abcdef"
COLUMNS = (Column("id", "integer", "of id", is_key=True), Column("v", "text", "of v"))
DECLARED = parse(
    {
        "source": {
            "a": {"key": "id", "deletes": "every run"},
            "ab": {"key": "id", "deletes": "1 hour"},
            "c": {"key": "id", "compare": "content"},
        },
        "warehouse": {
            f"dim_{name}": {"kind": "dimension", "from": name, "key": "id", "columns": {"id": "id", "v": "v"}}
            for name in ("a", "ab", "c")
        },
    }
)
FILES = [DataFile(f"f{number}", number) for number in range(9)]
CHANGED = Captured(changes=FILES[1])


class World:
    """A source whose tables are captured as the test says, and a lake."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        s3 = MemoryS3()
        s3.create_bucket("lake")
        self.lake = Lake(s3, "lake")
        self.reason: str | None = None
        self.captured: dict[str, Captured] = {}
        self.context = ({}, {})  # type: ignore[var-annotated]
        self.plans: dict[str, TablePlan] = {}
        self.columns = COLUMNS
        self.ticks = iter(range(100))
        monkeypatch.setattr(extraction, "capture", self._capture)
        monkeypatch.setattr(
            extraction, "read_context", lambda run, declared, plans, found: Context(*self.context, found)
        )

    def _capture(self, run: Any, plan: TablePlan, counts: RowCounts) -> Captured:
        self.plans[plan.name] = plan
        run.transactions.add(pa.chunked_array([pa.array([51, 52], pa.int64())]))
        return self.captured.get(plan.name, Captured())

    @contextlib.contextmanager
    def snapshot(self, tables: Any) -> Iterator[Any]:
        assert [table.name for table in tables] == [*DECLARED.source]
        infos = {
            name: TableInfo(name, ("id",), self.columns, (number,), enum_labels={"9": name})
            for number, name in enumerate(DECLARED.source)
        }
        yield SimpleNamespace(
            full_refresh_reason=lambda before: "this is the first run" if before is None else self.reason,
            shows_the_same=lambda before: False,
            describe=lambda tables: infos,
            position=lambda: IDENTITY,
            is_within_horizon=lambda xmin: xmin > 0,
            count=lambda asked, partial: dict.fromkeys(asked, RowCounts(5, 5)),
        )

    def commit_times(self, transactions: Any) -> list[datetime]:
        return [NOW + timedelta(seconds=number) for number in transactions]

    def run(self, captured: dict[str, Captured], **request: Any) -> Extracted:
        self.captured, self.plans = captured, {}
        source: Any = self
        asked = Request(**{name: frozenset(value) for name, value in request.items()})
        return extract(source, self.lake, DECLARED, RUN, asked, lambda: NOW, clock=lambda: next(self.ticks) ** 2)

    def full(self) -> set[str]:
        """The tables that the last run read again."""
        return {name for name, plan in self.plans.items() if plan.full_refresh}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_manifest_has_what_was_captured_of_each_table(world: World) -> None:
    in_flight = pa.table({"id": pa.array([1], pa.int32()), "xmin": pa.array([55], pa.int64())})
    world.context = ({"a": FILES[7]}, {"ab": FILES[8]})
    world.captured = {
        "a": Captured(
            FILES[1],
            FILES[2],
            (KeyFile("k", 3, "9"),),
            (FILES[4],),
            "then",
            Backfill(WrittenSince(40), ("7",)),
            in_flight,
            total=6,
            content="digest",
            more_changes=(FILES[5],),
            deletes="why",
        ),
        "ab": Captured(total=7, fan_out="by readers"),
    }
    done = world.run(world.captured)
    assert done.reason_for_full == "this is the first run"
    assert (done.deletes, done.readers) == ({"a": "why"}, {"ab": "by readers"})
    assert done.work == {
        "a": TableWork(6, 0, 1000, {"deleted": 2, "context": 7}),
        "ab": TableWork(0, 0, 5000, {"lookups": 8}),
    }, "each took from one tick to the next"
    stored = manifest(world.lake, 1)
    assert (stored.batch, stored.previous, stored.run, stored.mode) == (1, None, RUN, "full")
    assert (stored.extracted_at, stored.source) == (NOW.isoformat(), IDENTITY)
    times = tuple((NOW + timedelta(seconds=number)).isoformat() for number in (51, 52))
    assert stored.commits == Commits(2, times)
    file = DataFile(f"data/a/batch=000000000001/{RUN[:8]}.in_flight.parquet", 1)
    assert stored.tables["a"].in_flight == file
    assert world.lake.table(file.key).equals(in_flight)
    same: dict[str, Any] = {
        "columns": {"id": "integer", "v": "text"},
        "key_columns": ("id",),
        "column_identities": {"id": "of id", "v": "of v"},
    }
    for name, files in {
        "a": TableFiles(
            **same,
            changes=FILES[1],
            context=FILES[7],
            deleted=FILES[2],
            keys=(KeyFile("k", 3, "9"),),
            in_flight=file,
            relation_oids=(0,),
            enum_labels={"9": "a"},
            declaration_fingerprint=DECLARED.fingerprint("a"),
            keys_since_compare=(FILES[4],),
            compared_at="then",
            backfill=BackfillCursor("7", 40),
            rows=6,
            content="digest",
            more_changes=(FILES[5],),
        ),
        "ab": TableFiles(
            **same,
            lookups=FILES[8],
            relation_oids=(1,),
            enum_labels={"9": "ab"},
            declaration_fingerprint=DECLARED.fingerprint("ab"),
        ),
        "c": TableFiles(
            **same,
            relation_oids=(2,),
            enum_labels={"9": "c"},
            declaration_fingerprint=DECLARED.fingerprint("c"),
            by_content=True,
        ),
    }.items():
        assert stored.tables[name] == files, "the number of rows is kept where keys are compared in every run"


def test_run_without_a_change_commits_nothing(world: World) -> None:
    shown: dict[str, Any] = {"a": Captured(deletes="why"), "c": Captured(fan_out="alone")}
    first = Extracted(None, None, reason_for_full="this is the first run", deletes={"a": "why"}, readers={"c": "alone"})
    assert world.run(shown) == first
    assert world.run(shown, full=DECLARED.source) == first, "nothing else may be said of a first run"
    assert world.run({"a": Captured(changes=FILES[1], state=Backfill(ALL))}).batch == 1
    world.reason = "another server"
    again = Extracted(
        None,
        1,
        reason_for_full="another server",
        incomplete={"a": "not read yet"},
        deletes={"a": "why"},
        readers={"c": "alone"},
    )
    assert world.run(shown) == again


@pytest.mark.parametrize(
    "captured", [CHANGED, Captured(deleted=FILES[1]), Captured(state_changed=True)], ids=["rows", "deletes", "state"]
)
def test_any_change_of_one_table_makes_a_batch(world: World, captured: Captured) -> None:
    assert world.run({"ab": captured}).batch == 1
    assert manifest(world.lake, 1).mode == "full"
    done = world.run({"ab": captured})
    assert (done.batch, done.reason_for_full) == (2, None)
    assert (manifest(world.lake, 2).mode, manifest(world.lake, 2).previous) == ("changes", 1)


def test_another_run_that_was_first_leaves_no_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def put_if_absent(key: str, content: bytes) -> bool:
        world.lake.upload(key, io.BytesIO(content.replace(RUN.encode(), b"another")))
        return False

    monkeypatch.setattr(world.lake, "put_if_absent", put_if_absent)
    done = world.run({"a": Captured(changes=FILES[1], deletes="why")})
    assert (done.batch, done.work, done.deletes) == (None, {}, {"a": "why"})


def test_tables_are_read_again_where_that_is_asked_for(world: World) -> None:
    assert world.run({"a": CHANGED}).batch == 1
    assert world.full() == {"a", "ab", "c"}, "every row is read by the first run"
    assert world.plans["a"].since == WrittenSince(50)
    assert (world.run({}).batch, world.full()) == (None, set())
    assert world.plans["a"].previous == manifest(world.lake, 1).tables["a"]
    world.run({}, full=["ab"])
    assert world.full() == {"ab"}
    world.run({}, accept_types=["a.v"])
    assert world.full() == {"a"}, "and not the table whose name begins so"
    for tables, reason in ((["a", "ab"], None), (["a", "ab", "c"], "it was asked for")):
        done = world.run({}, full=tables)
        assert (done.reason_for_full, world.full()) == (reason, set(tables))
    world.reason = "another server"
    assert world.run({}).reason_for_full == "another server"
    assert world.full() == {"a", "ab", "c"}


def test_columns_are_checked_before_anything_is_read(world: World) -> None:
    assert world.run({"a": CHANGED}).batch == 1
    world.columns = (COLUMNS[0], Column("v", "boolean", "of v"))
    with pytest.raises(SourceError, match=r"a\.v was of type text and is now boolean"):
        world.run({"a": CHANGED})
    assert world.plans == {}
    world.columns = (*COLUMNS, Column("w", "text", "of w"))
    assert world.run({"a": CHANGED}).drift == tuple(
        f"The source column {name}.w (text) is new. It is ingested; the warehouse is not affected."
        for name in ("a", "ab", "c")
    )
