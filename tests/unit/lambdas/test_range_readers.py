"""Ranges of a table: how many, how they are read and stored, and when what readers read counts; without a server."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from lambda_toolkit.pipeline.lambdas.extract.capture.change_file import store
from lambda_toolkit.pipeline.lambdas.extract.limits import Budget, Limits
from lambda_toolkit.pipeline.lambdas.extract.readers import reading
from lambda_toolkit.pipeline.lambdas.extract.readers.coordinating import ReadAloneError, read_by_readers
from lambda_toolkit.pipeline.lambdas.extract.readers.fan_out import FanOut
from lambda_toolkit.pipeline.lambdas.extract.row_set import ALL, Intersection, StoredBetween, WrittenSince
from lambda_toolkit.pipeline.lambdas.extract.source import shared_snapshot
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column, TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.interface import change_schema
from lambda_toolkit.pipeline.lambdas.extract.source.shared_snapshot import SnapshotLostError, Sums
from lambda_toolkit.pipeline.lambdas.extract.table_plan import CaptureRun, TablePlan
from lambda_toolkit.pipeline.lambdas.shared.deadline import Deadline
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import (
    DataFile,
    IngestionManifest,
    SourceIdentity,
    TableFiles,
    to_json,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.messages.read_events import (
    ReadRequest,
    ReadResult,
    SharedSnapshot,
    StoredPart,
)
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable
from tests.support.memory_s3 import MemoryS3

NOW = datetime(2026, 1, 2, tzinfo=UTC)
IDENTITY = SourceIdentity("7", 1, "db", 5, 50, 100, 200, 300, 60)
SHARED = SharedSnapshot("name", "50:60:", {})
INFO = TableInfo("t", ("id",), (Column("id", "integer", is_key=True), Column("v", "text")))
SINCE = WrittenSince(50)


@pytest.fixture
def bucket() -> Lake:
    s3 = MemoryS3()
    s3.create_bucket("lake")
    return Lake(s3, "lake")


class Source:
    """What extract and its readers ask of a source, with ten connections left."""

    def __init__(self, info: TableInfo = INFO, rows: tuple[pa.Table, ...] = (), free: int = 10) -> None:
        self.info, self.rows, self.free = info, rows, free
        self.asked: list[Any] = []

    @contextlib.contextmanager
    def imported(self, shared: SharedSnapshot) -> Iterator[Any]:
        assert shared == SHARED
        yield self

    def describe(self, tables: Any) -> dict[str, TableInfo]:
        return {table.name: self.info for table in tables}

    def position(self) -> SourceIdentity:
        return IDENTITY

    def changed(self, info: TableInfo, rows: Any, consume: Any) -> None:
        self.asked.append(rows)
        for chunk in self.rows:
            consume(chunk)

    def check(self, shared: SharedSnapshot) -> None:
        self.asked.append("check")

    def free_connections(self) -> int:
        return self.free

    def ranges(self, info: TableInfo, total: int, wanted: int) -> list[StoredBetween]:
        self.asked.append((total, wanted))
        return [StoredBetween(None, "(1,0)"), StoredBetween("(1,0)", "(2,0)"), StoredBetween("(2,0)", None)]

    def export(self) -> SharedSnapshot:
        return SHARED

    def sums(self, info: TableInfo, rows: Any) -> tuple[int, dict[str, int]]:
        self.asked.append(rows)
        return 60, {"id": 3}


def chunk(*rows: tuple[int, str, int, bool]) -> pa.Table:
    """Rows of (id, v, xmin, whether it is reread)."""
    schema = change_schema(INFO)
    return pa.Table.from_pylist(
        [dict(zip(schema.names, (i, v, None, x, f), strict=True)) for i, v, x, f in rows], schema
    )


def request(batch: int = 1, **more: Any) -> ReadRequest:
    return ReadRequest("t", batch, "0123456789", 7, SHARED, "(1,0)", "(2,0)", **more)


def manifest(**tables: TableFiles) -> bytes:
    return to_json(IngestionManifest(1, None, "r", "full", NOW.isoformat(), IDENTITY, tables))


def read(source: Source, bucket: Lake, asked: ReadRequest, **table: Any) -> ReadResult:
    declared: Any = SimpleNamespace(source={"t": SourceTable("t", ("id",), **table)})
    return reading.read_range(source, bucket, declared, asked)  # type: ignore[arg-type]


def test_range_is_read_whole_or_what_was_written_since(bucket: Lake) -> None:
    """Of the first batch whole; later without the versions that the batch before has, and with their transactions."""
    rows = chunk((1, "a", 70, True), (2, "b", 71, False))
    place = StoredBetween("(1,0)", "(2,0)")
    source = Source(rows=(rows,))
    found = read(source, bucket, request())
    assert source.asked == [place, "check"]
    assert (found.number, found.visible, found.rows, found.sums) == (7, "50:60:", 2, {"id": 3})
    assert (found.transactions, found.step) == ((), 1)
    assert found.changes and found.in_flight
    assert (found.changes.rows, found.in_flight.rows) == (2, 1)
    stored = bucket.table(found.in_flight.key)
    assert stored.to_pylist() == [{"id": 1, "xmin": 70}]
    for part, kind in ((found.changes, "changes"), (found.in_flight, "rereads")):
        assert part.key == f"data/t/batch=000000000001/01234567.{kind}_00007_{part.digest[:8]}.parquet"
    before = store(bucket, stored, "before.parquet")
    bucket.put_if_absent(manifest_key(1), manifest(t=TableFiles({}, ("id",), in_flight=before)))
    source = Source(rows=(rows,))
    found = read(source, bucket, request(2, full=False))
    assert source.asked[0] == Intersection((SINCE, place))
    assert (found.rows, found.sums, found.transactions) == (2, {"id": 3}, (71,))
    assert found.changes and bucket.table(found.changes.key)["v"].to_pylist() == ["b"]
    assert read(Source(rows=(rows,)), bucket, request(2)).transactions == (), "of a full read none are of interest"


def test_range_without_a_row_stores_nothing(bucket: Lake) -> None:
    found = read(Source(), bucket, request())
    assert (found.rows, found.changes, found.in_flight) == (0, None, None)
    assert list(bucket.listing("data/")) == []


@pytest.mark.parametrize(
    ("asked", "table"),
    [
        (request(), {"by_content": True}),
        (request(full=False), {}),
        (dataclasses.replace(request(2), full=False), {}),  # the batch before does not have it
        (dataclasses.replace(request(), table="other"), {}),
    ],
    ids=["by content", "of nothing before", "that is new", "not declared"],
)
def test_range_that_has_no_meaning_is_refused(bucket: Lake, asked: ReadRequest, table: Any) -> None:
    bucket.put_if_absent(manifest_key(1), manifest(other=TableFiles({})))
    source = Source()
    with pytest.raises(SourceError):
        read(source, bucket, asked, **table)
    assert source.asked == []


def test_range_is_the_same_file_however_its_rows_arrive(bucket: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READ_ROWS", 10)
    every = [(number, "x", 70, False) for number in range(25)]
    found = set()
    for sizes in ([25], [10, 10, 5], [1, 19, 5], [3] * 8 + [1], [20, 5]):
        left = iter(every)
        source = Source(rows=tuple(chunk(*(next(left) for _ in range(size))) for size in sizes))
        found.add(read(source, bucket, request()).changes)
    (part,) = found
    assert part and part.rows == 25
    file = pq.ParquetFile(pa.BufferReader(bucket.get(part.key)))
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [10, 10, 5]
    assert file.read()["id"].to_pylist() == list(range(25))


def answer(asked: ReadRequest, **changes: Any) -> ReadResult:
    """The first range has no change; each has twenty rows, and of the sum what makes it 3 modulo 2^64."""
    part = None if asked.number == 0 else StoredPart(f"c{asked.number}", 20, "d")
    share = {0: 2**64 - 1, 1: 4, 2: 0}[asked.number]
    kept = {"visible": "50:60:", "rows": 20, "sums": {"id": share}, "transactions": (asked.number * 2,), "step": 2}
    return ReadResult(asked.number, **{**kept, "changes": part, **changes})


def gather(
    source: Source,
    bucket: Lake,
    ask: Any = answer,
    *,
    rows: Any = ALL,
    count: int = 60,
    left: float = 999.0,
    **fan_out: Any,
) -> Any:
    requests: list[ReadRequest] = []

    def asked(request: ReadRequest) -> ReadResult:
        requests.append(request)
        found: ReadResult = ask(request)
        return found

    readers: Any = SimpleNamespace(read=asked)
    limits = Limits(rows=7, deadline=Deadline(lambda: left, reserve=60.0))
    more = FanOut(readers, **{"most": 4, "rows": 60, "attempts": 1, **fan_out})
    run = CaptureRun(source, bucket, Budget(limits), NOW, 3, "run", fan_out=more)  # type: ignore[arg-type]
    plan = TablePlan(SourceTable("t", ("id",)), INFO, None, True, SINCE)
    parts = read_by_readers(run, plan, rows, count, 99)
    return parts, sorted(requests, key=lambda request: request.number), run


@pytest.mark.parametrize(
    ("count", "fan_out", "free", "wanted", "together"),
    [
        (60, {}, 10, 9, 3),  # 60 rows, 7 in each; no more at a time than there are ranges
        (56, {}, 10, 8, 3),
        (1, {}, 10, 4, 3),  # as many as read at a time
        (60, {"range_rows": 30}, 10, 4, 3),
        (60, {"range_rows": 5}, 10, 12, 3),
        (60, {"most": 2}, 10, 9, 2),
        (60, {}, 5, 9, 2),  # half of the connections that are left
        (60, {}, 4, 9, 2),
    ],
)
def test_number_of_ranges_follows_rows_and_connections(
    bucket: Lake, count: int, fan_out: Any, free: int, wanted: int, together: int
) -> None:
    source = Source(free=free)
    parts, requests, run = gather(source, bucket, count=count, **fan_out)
    assert source.asked[:2] == [(99, wanted), ALL]
    assert parts.note == f"3 ranges, {together} at a time, {count} rows"
    assert parts.changes == (DataFile("c1", 20), DataFile("c2", 20)), "in the order of the ranges"
    assert parts.in_flight is None
    assert (sorted(run.transactions.ids), run.transactions.step) == ([0, 2, 4], 2)
    assert [(each.table, each.batch, each.number, each.snapshot) for each in requests] == [
        ("t", 3, number, SHARED) for number in range(3)
    ]
    assert [(each.first, each.end, each.full) for each in requests] == [
        (None, "(1,0)", True),
        ("(1,0)", "(2,0)", True),
        ("(2,0)", None, True),
    ]
    assert len({each.run for each in requests} - {"run"}) == 1, "its files are of a run of their own"


def test_rows_in_flight_are_those_of_all_ranges(bucket: Lake) -> None:
    tables = [pa.table({"id": pa.array([number], pa.int32())}) for number in range(2)]
    files = [store(bucket, table, f"r{number}") for number, table in enumerate(tables)]

    def ask(request: ReadRequest) -> ReadResult:
        file = None if request.number == 2 else files[request.number]
        return answer(request, in_flight=file and StoredPart(file.key, 1, "d"))

    parts, requests, _ = gather(Source(), bucket, ask, rows=SINCE)
    assert parts.in_flight.equals(pa.concat_tables(tables))
    assert {each.full for each in requests} == {False}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"most": 1}, "there are no readers"),
        ({"count": 61}, "61 rows are more than the 60"),
        ({"left": 59.9}, "little time is left"),
        ({"free": 3}, "no connections left"),
        ({"ask": lambda asked: answer(asked, refused="why", visible="")}, "could not share the snapshot: why"),
        ({"ask": lambda asked: answer(asked, visible="51:60:")}, "range . was read in another snapshot"),
        ({"ask": lambda asked: dataclasses.replace(answer(asked), number=9)}, "range . was read in another snapshot"),
        ({"ask": lambda asked: answer(asked, rows=21)}, "readers read 63 rows, and the source has 60"),
        ({"ask": lambda asked: answer(asked, sums={})}, "the values of id"),
        ({"ask": lambda asked: answer(asked, sums={"id": 2})}, "the values of id"),
        ({"ask": lambda asked: 1 / 0}, "range . failed 1 times: ZeroDivisionError"),
    ],
)
def test_extract_reads_alone_unless_all_is_certain(bucket: Lake, changes: Any, why: str) -> None:
    source = Source(free=changes.pop("free", 10))
    with pytest.raises(ReadAloneError, match=why):
        gather(source, bucket, **changes)


def test_time_that_is_left_may_be_the_reserve(bucket: Lake) -> None:
    assert gather(Source(), bucket, left=60.0)[0].note


@pytest.mark.parametrize(
    ("pages", "rows", "count", "bounds"),
    [
        (10, 100, 5, ["(2,0)", "(4,0)", "(6,0)", "(8,0)"]),
        (10, 95, 5, ["(2,0)", "(4,0)", "(6,0)", "(8,0)"]),  # 9.5 rows of a page are 10 places
        (3, 7, 2, ["(1,2)"]),
        (2, 5000, 4, ["(0,500)", "(1,0)", "(1,500)"]),  # no more than a thousand places of a page
        (10, 100, 0, []),
        (10, 100, 1, []),
        (0, 100, 4, []),
        (4, 0, 4, ["(1,0)", "(2,0)", "(3,0)"]),
        (1, 2, 9, ["(0,1)"]),
    ],
)
def test_ranges_divide_the_places_evenly(pages: int, rows: int, count: int, bounds: list[str]) -> None:
    edges = [None, *bounds, None]
    expected = [StoredBetween(first, end) for first, end in itertools.pairwise(edges)]
    assert shared_snapshot.ranges(pages, rows, count) == expected


def test_sums_are_of_numbers_modulo_two_to_the_64() -> None:
    """Of integers, and of decimals of at most 20 digits in units of the last; NULL is none."""
    kinds = {"n": "bigint", "d": "numeric(20,2)", "wide": "numeric(21,2)", "f": "real", "s": "smallint", "e": "integer"}
    info = TableInfo("t", ("n",), tuple(Column(name, kind) for name, kind in kinds.items()))
    assert [column.name for column in shared_snapshot.summed_columns(info)] == ["n", "d", "s", "e"]
    found = Sums(info)
    most, price = 2**63 - 1, Decimal("999999999999999999.99")
    for n, d, s in (([most, most], [price, None], [-1, None]), ([most], [Decimal("-0.01")], [-4])):
        columns = {
            "n": pa.array(n, pa.int64()),
            "d": pa.array(d, pa.decimal128(20, 2)),
            "s": pa.array(s, pa.int16()),
            "e": pa.nulls(len(n), pa.int32()),
            "f": pa.array([1.5] * len(n), pa.float32()),
        }
        found.add(pa.table(columns))
    assert found.rows == 3
    cents = 99999999999999999999 - 1
    assert found.sums == {"n": 3 * most % 2**64, "d": cents % 2**64, "s": 2**64 - 5, "e": 0}


def test_sum_of_decimals_may_have_more_digits_than_each() -> None:
    exact = Decimal("123456789012345678901234567890123.45")
    assert shared_snapshot._units(exact, pa.decimal128(38, 2)) == 12345678901234567890123456789012345


@pytest.mark.parametrize(("version", "free"), [("139999", 0), ("140000", 5), ("180001", 5)])
def test_ranges_need_a_server_that_reads_them_alone(monkeypatch: pytest.MonkeyPatch, version: str, free: int) -> None:
    monkeypatch.setattr(shared_snapshot.left, "free_connections", lambda connection: 5)
    connection: Any = SimpleNamespace(rows=lambda query: [[version]])
    assert shared_snapshot.free_connections(connection) == free


@pytest.mark.parametrize(
    ("error", "raised", "why"),
    [
        (DatabaseError({"C": "25P02", "M": "aborted"}), SnapshotLostError, "is lost: aborted"),
        (InterfaceError("network error"), SnapshotLostError, "is lost: network error"),
        (ValueError("a defect"), ValueError, "a defect"),
    ],
)
def test_snapshot_is_lost_with_its_transaction(error: Exception, raised: type[Exception], why: str) -> None:
    def rows(query: str) -> Any:
        raise error

    connection: Any = SimpleNamespace(rows=rows, server="s")
    with pytest.raises(raised, match=why):
        shared_snapshot.check(connection, SHARED)
