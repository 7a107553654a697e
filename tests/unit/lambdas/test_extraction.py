"""The steps of extract around what it reads: when it goes on, what it counts, commits and says."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.extract import extraction
from lambda_toolkit.pipeline.lambdas.extract.extraction import Extracted, extract_all, extract_with_readers
from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.extract.row_set import WrittenSince
from lambda_toolkit.pipeline.lambdas.extract.source.interface import RowCounts
from lambda_toolkit.pipeline.lambdas.extract.source.shared_snapshot import SnapshotLostError
from lambda_toolkit.pipeline.lambdas.extract.table_plan import Backfill, Complete
from lambda_toolkit.pipeline.lambdas.shared.deadline import Deadline
from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import (
    BackfillCursor,
    DataFile,
    IngestionManifest,
    SourceIdentity,
    TableFiles,
    to_json,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.logs import TableWork
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from tests.support.memory_s3 import MemoryS3

Scripted: Any = SimpleNamespace
IDENTITY = SourceIdentity("7", 1, "db", 5, 50, 100, 200, 300, 60)
COLUMNS = {"id": "id"}
DECLARED = parse(
    {
        "source": {"a": {"key": "id"}, "b": {"key": "id"}},
        "warehouse": {
            f"dim_{name}": {"kind": "dimension", "from": name, "key": "id", "columns": COLUMNS} for name in "ab"
        },
    }
)
LEFT = {"a": "not read yet"}


def run_all(monkeypatch: pytest.MonkeyPatch, found: list[Extracted], left: float = 999.0) -> Any:
    """What ``extract_all`` makes of runs that find this; and the arguments of each, in their order."""
    calls: list[Any] = []

    def extract(*arguments: Any, **named: Any) -> Extracted:
        calls.append(Scripted(arguments=arguments, named=named))
        return found[len(calls) - 1]

    said: list[Extracted] = []
    monkeypatch.setattr(extraction, "extract", extract)
    limits = Limits(deadline=Deadline(lambda: left, reserve=10.0))
    fan_out: Any = object()
    done = extract_all("source", "lake", "declared", "asked", limits, said.append, fan_out)  # type: ignore[arg-type]
    assert said == found[: len(calls)]
    assert all(call.named == {"limits": limits, "fan_out": fan_out} for call in calls)
    assert [call.arguments[:3] for call in calls] == [("source", "lake", "declared")] * len(calls)
    assert [call.arguments[4:] for call in calls] == [("asked",), *[()] * (len(calls) - 1)], "it is asked for once"
    assert len({call.arguments[3] for call in calls}) == len(calls), "each run has an id of its own"
    return done, len(calls)


def test_runs_go_on_until_nothing_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Extracted(1, 1, {"b": 2, "a": 3}, {"b": 1}, incomplete=LEFT, reason_for_full="first"),
        Extracted(2, 2, {"c": 5, "a": 4}, {"a": 7, "b": 6}, incomplete=LEFT),
        Extracted(3, 3, {"a": 1}, drift=("new",)),
        Extracted(4, 4),
    ]
    done, runs = run_all(monkeypatch, found)
    assert (runs, done) == (3, Extracted(3, 3, {"b": 2, "a": 8, "c": 5}, {"b": 7, "a": 7}, drift=("new",)))
    assert [*done.rows] == ["b", "a", "c"]
    assert [*done.deleted] == ["b", "a"]


def test_runs_end_where_another_committed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the first; what was made before is shown."""
    overtaken = Extracted(None, 5, incomplete=LEFT)
    assert run_all(monkeypatch, [overtaken, overtaken]) == (overtaken, 1)
    done, runs = run_all(monkeypatch, [Extracted(4, 4, {"a": 2}, incomplete=LEFT), overtaken, overtaken])
    assert (done, runs) == (replace(overtaken, batch=4, rows={"a": 2}), 2)


@pytest.mark.parametrize(("left", "runs"), [(20.0, 1), (20.1, 2), (29.0, 2)])
def test_runs_end_where_twice_the_reserve_is_left(monkeypatch: pytest.MonkeyPatch, left: float, runs: int) -> None:
    assert run_all(monkeypatch, [Extracted(1, 1, incomplete=LEFT), Extracted(2, 2)], left)[1] == runs


def test_lost_snapshot_is_read_again_without_readers() -> None:
    """In another session; any other error is the caller's."""
    sessions, lost, calls = iter("xyz"), [], []
    errors: list[Exception] = [SnapshotLostError("it ended"), LakeError("no bucket")]

    @contextlib.contextmanager
    def connect() -> Iterator[Any]:
        yield next(sessions)

    def run(source: Any, fan_out: Any) -> Any:
        calls.append((source, fan_out))
        if fan_out:
            raise errors.pop(0)
        return "done"

    assert extract_with_readers(connect, run, "readers", lost.append) == "done"  # type: ignore[arg-type]
    assert (calls, lost) == ([("x", "readers"), ("y", None)], ["it ended"])
    with pytest.raises(LakeError):
        extract_with_readers(connect, run, "readers", lost.append)  # type: ignore[arg-type]
    assert len(calls) == 3


def plan(**changes: Any) -> Any:
    before = Scripted(rows=changes.pop("rows", 9))
    return Scripted(
        **{"by_content": False, "full_refresh": False, "state": Complete(), "changed": "c", "before": before, **changes}
    )


@pytest.mark.parametrize(
    ("same", "known", "asked", "partial"),
    [
        (True, {"kept": 9, "unknown": None, "ranges": 9}, {"full"}, {"ranges"}),
        (False, {}, {"kept", "unknown", "ranges", "full"}, {"ranges"}),
    ],
)
def test_rows_are_counted_where_a_transaction_ended(same: bool, known: Any, asked: Any, partial: Any) -> None:
    """Of a table that is read whole always; of one compared by content never; of one in ranges the changes alone."""
    counted: list[Any] = []

    def count(selections: Any, only: Any) -> Any:
        counted.append((set(selections), set(selections.values()), set(only)))
        return {name: RowCounts(5, 4) for name in selections}

    plans = {
        "kept": plan(),
        "unknown": plan(rows=None),
        "ranges": plan(state=Backfill(WrittenSince(3))),
        "full": plan(full_refresh=True, state=Backfill(WrittenSince(3))),
        "content": plan(by_content=True),
    }
    snapshot: Any = Scripted(shows_the_same=lambda position: same and position == "p", count=count)
    found = extraction._counts(snapshot, plans, Scripted(source="p"))
    assert found == {name: RowCounts(rows, 0) for name, rows in known.items()} | dict.fromkeys(asked, RowCounts(5, 4))
    assert counted == [(asked, {"c"}, partial)]
    assert set(extraction._counts(snapshot, plans, None)) == {"kept", "unknown", "ranges", "full"}, "of the first run"


@pytest.fixture
def bucket() -> Lake:
    s3 = MemoryS3()
    s3.create_bucket("lake")
    return Lake(s3, "lake")


def batch(number: int, run: str = "own", **tables: TableFiles) -> IngestionManifest:
    at = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    return IngestionManifest(number, number - 1 or None, run, "changes", at, IDENTITY, tables)


TABLES = {
    "a": TableFiles({}, ("id",), changes=DataFile("1", 3), deleted=DataFile("2", 4), more_changes=(DataFile("3", 2),)),
    "b": TableFiles({}, ("id", "n"), backfill=BackfillCursor('["7", "x"]', None)),
    "dropped": TableFiles({}, backfill=BackfillCursor(None, None)),
}


def test_run_says_what_its_manifest_has(bucket: Lake) -> None:
    stored = batch(1, **TABLES)
    shown = Extracted(
        1,
        1,
        {"a": 5},
        {"a": 4},
        "why",
        incomplete={"b": 'read up to id, n ["7", "x"]'},
        drift=("a line",),
    )
    for _ in range(2):  # a retried request finds what its first try wrote
        assert extraction._commit(bucket, DECLARED, stored, "why", ("a line",)) == shown
    assert bucket.get(manifest_key(1)) == to_json(stored)
    other = batch(1, "other")
    assert extraction._commit(bucket, DECLARED, other, "why", ()) == Extracted(None, 1, incomplete=shown.incomplete)
    unread = replace(stored, batch=2, previous=1, tables={"b": replace(TABLES["b"], backfill=BackfillCursor(None, 6))})
    assert extraction._commit(bucket, DECLARED, unread, None, ()) == Extracted(2, 2, incomplete={"b": "not read yet"})


@pytest.mark.parametrize("listed", [None, 0])
def test_manifest_that_is_not_listed_ends_a_run(bucket: Lake, monkeypatch: pytest.MonkeyPatch, listed: Any) -> None:
    """Whether it was there when the run began, or was stored by another meanwhile."""
    bucket.put_if_absent(manifest_key(1), to_json(batch(1, "other")))
    monkeypatch.setattr(bucket, "last_batch", lambda: listed)
    for attempt in (
        lambda: extraction._last_batch(bucket),
        lambda: extraction._commit(bucket, DECLARED, batch(1), None, ()),
    ):
        with pytest.raises(LakeError, match="manifests/batch-000000000001.json exists"):
            attempt()


def test_last_batch_is_the_one_after_which_there_is_none(bucket: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert extraction._last_batch(bucket) is None
    for number in (1, 2):
        bucket.put_if_absent(manifest_key(number), to_json(batch(number)))
    listings = iter((1, 2))
    monkeypatch.setattr(bucket, "last_batch", lambda: next(listings))
    assert extraction._last_batch(bucket) == 2, "another run has committed it since"


def test_times_of_batches_are_in_their_order() -> None:
    at = datetime.fromisoformat(batch(1).extracted_at)
    hour, tick = timedelta(hours=1), timedelta(microseconds=1)
    assert extraction._later(at, None) == at
    assert [extraction._later(at + later, batch(1)) for later in (hour, tick, timedelta(0), -hour)] == [
        at + hour,
        *[at + tick] * 3,
    ]


def test_work_is_of_the_tables_that_the_batch_has(bucket: Lake) -> None:
    """With the sizes of their files, of those that this run wrote."""
    for number in range(1, 8):
        bucket.upload(f"{number}", io.BytesIO(b"x" * number))
    files = [DataFile(f"{number}", 10 * number) for number in range(9)]
    tables = {
        "a": TableFiles({}, changes=files[1], more_changes=(files[2],), deleted=files[3]),
        "b": TableFiles({}, context=files[4], lookups=files[5]),
        "c": TableFiles({}, changes=files[6], in_flight=files[7]),
        "d": TableFiles({}, deleted=files[8]),
        "e": TableFiles({}, in_flight=files[7]),
    }
    assert extraction._work(bucket, batch(1, **tables), dict(zip("abcde", range(5), strict=True))) == {
        "a": TableWork(30, 1 + 2 + 3, 0, {"deleted": 30}),
        "b": TableWork(0, 4 + 5, 1, {"context": 40, "lookups": 50}),
        "c": TableWork(60, 6, 2, {}),
        "d": TableWork(0, 0, 3, {"deleted": 80}),
    }
