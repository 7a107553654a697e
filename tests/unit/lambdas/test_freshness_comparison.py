"""What a comparison says of a table, of a source that answers as the test wants; ``test_freshness`` has a real one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from lambda_toolkit.pipeline.lambdas.extract.capture.change_file import store
from lambda_toolkit.pipeline.lambdas.freshness.comparison import (
    NOT_COMPARABLE,
    Comparison,
    Loaded,
    as_loaded,
    result,
)
from lambda_toolkit.pipeline.lambdas.freshness.source import Position
from lambda_toolkit.pipeline.lambdas.freshness.state import Known, LoadedBatch
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.source_table import SourceTable
from tests.support.memory_s3 import MemoryS3

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SERVER = ("7", 1, 5, 100, 200)
SMALL = 67_108_864  # bytes, which are 64 MB
STORED = SimpleNamespace(
    system_identifier="7", timeline=1, database_oid=5, started=100, statistics_reset=200, snapshot_xmin=50
)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def files(**more: Any) -> Any:
    return SimpleNamespace(
        **{"backfill": None, "by_content": False, "content": None, "rows": 3, "in_flight": None, **more}
    )


class Source:
    """Answers, and remembers which questions were asked."""

    def __init__(self, *, changes: bool = False, count: int = 3, has_rows: bool = True, content: str = "c") -> None:
        self.place = Position(NOW, NOW, SERVER, 60, 70)
        self.size = 1
        self.asked: list[Any] = []
        self.failure: Exception | None = None
        self._changes, self._count, self._has_rows, self._content = changes, count, has_rows, content

    def position(self) -> Position:
        return self.place

    def sizes(self, tables: Iterable[SourceTable]) -> dict[str, int]:
        return {table.name: self.size for table in tables}

    def has_rows(self, table: SourceTable) -> bool:
        self.asked.append(("rows", table.name))
        return self._has_rows

    def content(self, table: SourceTable) -> str:
        return self._content

    def count(self, table: SourceTable) -> int:
        return self._count

    def has_changes(self, table: SourceTable, since: int, in_flight: list[int]) -> bool:
        self.asked.append((table.name, since, in_flight))
        if self.failure:
            raise self.failure
        return self._changes


def compared(source: Source, found: Any = None, *, known: Known | None = None, **more: Any) -> Known:
    """What is known of the table ``t`` after a comparison with a batch that was extracted a minute ago."""
    s3 = MemoryS3()
    s3.create_bucket("lake")
    lake = more.pop("lake", Lake(s3, "lake"))
    tables = {} if found is None else {"t": found}
    manifest: Any = SimpleNamespace(tables=tables, source=more.pop("stored", STORED))
    loaded = Loaded(LoadedBatch(4, ago(60)), manifest) if more.pop("has_batch", True) else None
    by_content, within = more.pop("by_content", False), more.pop("within", timedelta(minutes=1))
    comparison = Comparison(source, lake, loaded, NOW, **more)  # type: ignore[arg-type]
    table = SourceTable("t", ("id",), by_content=by_content)
    return comparison.tables({"t": table}, {"t": known} if known else {}, {"t": within})["t"]


def test_table_without_changes_is_fresh_now() -> None:
    source = Source()
    assert compared(source, files()) == Known(NOW, NOW, "unchanged", 4, None)
    assert source.asked == [("t", 50, [])]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (Source(changes=True), files()),
        (Source(count=2), files()),
        (Source(), files(backfill=object())),
        (Source(content="d"), files(by_content=True, content="c")),
        (Source(), None),
    ],
)
def test_table_with_changes_is_as_fresh_as_its_batch(source: Source, found: Any) -> None:
    known = compared(source, found)
    assert (known.state, known.problem) == ("changed", None)
    assert known.fresh_at == (ago(60) if found is not None and found.backfill is None else None)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (Source(count=9), files(rows=None)),
        (Source(content="c"), files(by_content=True, content="c")),
        (Source(has_rows=False), None),
    ],
)
def test_table_with_another_proof_is_unchanged(source: Source, found: Any) -> None:
    assert compared(source, found).state == "unchanged"


KNOWN = Known(ago(9999), ago(61), "changed", 3)


def test_table_that_cannot_be_compared_says_so() -> None:
    known = compared(Source(), files(by_content=True), known=KNOWN)
    assert (known.state, known.problem, known.fresh_at) == ("unknown", NOT_COMPARABLE, ago(60))


@pytest.mark.parametrize(
    ("rows", "has_rows", "state"), [(0, False, "unchanged"), (0, True, "changed"), (3, False, "changed")]
)
def test_other_server_proves_nothing_but_emptiness(rows: int, has_rows: bool, state: str) -> None:
    for other in (("8", *SERVER[1:]), (*SERVER[:4], 201)):
        source = Source(has_rows=has_rows)
        source.place = Position(NOW, NOW, other, 60, 70)
        assert compared(source, files(rows=rows)).state == state


def test_batch_without_a_position_proves_emptiness_alone() -> None:
    assert compared(Source(has_rows=True), files(), stored=None).state == "changed"
    assert compared(Source(has_rows=False), files(), stored=None).state == "unchanged"
    assert compared(Source(has_rows=True), has_batch=False) == Known(NOW, None, "changed", None, None)


@pytest.mark.parametrize(
    ("xmin", "xmax", "continues"),
    [
        (50, 50, True),
        (49, 70, False),  # its ids run backwards
        (60, 50 + 2_147_483_647, True),
        (60, 50 + 2_147_483_648, False),  # the batch's ids are too old to be compared
    ],
)
def test_position_continues_within_two_billion_transactions(xmin: int, xmax: int, continues: bool) -> None:
    stored: Any = STORED
    assert Position(NOW, NOW, SERVER, xmin, xmax).continues(stored) is continues
    assert not Position(NOW, NOW, ("7", 2, 5, 100, 200), xmin, xmax).continues(stored)


@pytest.mark.parametrize(
    ("clock", "as_of", "fresh_at"),
    [
        (NOW, ago(10), ago(10)),
        (ago(-5), ago(10), ago(15)),  # the source's clock is ahead
        (ago(5), ago(10), ago(5)),
        (ago(5), NOW, NOW),  # never later than now
        (NOW, None, ago(60)),
        (NOW, ago(90), ago(60)),  # never earlier than known
    ],
)
def test_moment_is_the_sources_by_our_clock(clock: datetime, as_of: datetime | None, fresh_at: datetime) -> None:
    source = Source()
    source.place = Position(clock, as_of, SERVER, 60, 70)
    assert compared(source, files()).fresh_at == fresh_at


def test_transactions_of_the_batch_are_no_changes() -> None:
    s3 = MemoryS3()
    s3.create_bucket("lake")
    lake, source = Lake(s3, "lake"), Source()
    kept = store(lake, pa.table({"id": [1, 2, 3], "xmin": pa.array([70, 71, 70], pa.int64())}), "k.parquet")
    compared(source, files(in_flight=kept), lake=lake)
    assert source.asked == [("t", 50, [70, 71])]


@pytest.mark.parametrize(
    ("size", "by_content", "within", "known_for", "is_looked_at"),
    [
        (SMALL, False, 100, 1, True),
        (SMALL + 1, False, 100, 49, False),
        (SMALL + 1, False, 100, 50, True),
        (SMALL + 1, False, 100, None, True),
        (SMALL + 1, False, None, 1799, False),
        (SMALL + 1, False, None, 1800, True),
        (1, True, 100, 49, False),
        (1, True, 100, 50, True),
    ],
)
def test_large_table_is_looked_at_late(
    size: int, by_content: bool, within: int | None, known_for: float | None, is_looked_at: bool
) -> None:
    source = Source()
    source.size = size
    known = Known(ago(9999), None if known_for is None else ago(known_for), "unknown", 3, "why")
    promised = None if within is None else timedelta(seconds=within)
    found = compared(source, None, known=known, within=promised, by_content=by_content)
    assert bool(source.asked) is is_looked_at
    assert (found.state, found.batch, found.problem) == ("changed" if is_looked_at else "unknown", 4, None)


def test_table_for_which_no_time_is_left_is_unknown() -> None:
    known = compared(Source(), files(), known=KNOWN, has_time=lambda: False)
    assert (known.state, known.fresh_at, known.problem) == ("unknown", ago(60), "there was no time left to compare it")


def test_failure_is_of_one_table_unless_the_server_ends() -> None:
    source = Source()
    source.failure = DatabaseError({"C": "42501", "M": "permission denied"})
    known = compared(source, files(), known=KNOWN)
    assert (known.state, known.problem, known.fresh_at) == ("unknown", "permission denied", ago(60))
    for state in ("57P01", "57P02", "57P03", "08006"):
        source.failure = DatabaseError({"C": state, "M": "going away"})
        with pytest.raises(DatabaseError):
            compared(source, files())
    source.failure = InterfaceError("network error")
    with pytest.raises(InterfaceError):
        compared(source, files())


def test_furthest_behind_is_compared_first_and_shown_in_order() -> None:
    source = Source()
    manifest: Any = SimpleNamespace(tables={"a": files(), "b": files()}, source=STORED)
    tables = {name: SourceTable(name, ("id",)) for name in ("a", "b")}
    known = {"a": Known(ago(99), ago(10)), "b": Known(ago(99), ago(20))}
    comparison = Comparison(source, None, Loaded(LoadedBatch(4, ago(60)), manifest), NOW)  # type: ignore[arg-type]
    assert list(comparison.tables(tables, known, {"a": None, "b": None})) == ["a", "b"]
    assert [name for name, *_ in source.asked] == ["b", "a"]


def test_later_batch_makes_a_table_as_fresh_as_it_is() -> None:
    manifest: Any = SimpleNamespace(tables={"a": files(), "b": files(), "c": files(backfill=object())})
    loaded = Loaded(LoadedBatch(4, ago(60)), manifest)
    tables = {name: SourceTable(name, ("id",)) for name in "abcd"}
    found = as_loaded(tables, {"a": Known(ago(99), ago(90)), "b": Known(ago(99), ago(30))}, loaded, NOW)
    assert [found[name].fresh_at for name in "abcd"] == [ago(60), ago(30), None, None]
    assert found["d"] == Known(NOW) and as_loaded(tables, {}, None, NOW)["a"] == Known(NOW)


def test_result_has_the_furthest_behind_and_the_most_overdue() -> None:
    known = {
        "a": Known(ago(500), ago(100), "changed", 4),
        "b": Known(ago(300), None, "unknown", None, "why"),
        "c": Known(ago(900), ago(800), "unknown", 4, NOT_COMPARABLE),
        "d": Known(ago(900), ago(-5), "unchanged", 4),
        "e": Known(ago(900), ago(0.123456), "unchanged", 4),
    }
    promises = {
        "a": timedelta(seconds=70),
        "b": timedelta(seconds=290),
        "c": timedelta(seconds=1),
        "d": None,
        "e": None,
    }
    found = result(known, promises, 4, NOW, "down")
    assert (found.at, found.batch, found.problem) == (NOW.isoformat(), 4, "down")
    assert (found.seconds_behind, found.seconds_overdue) == (300.0, 30.0), "of those that are promised"
    shown = [(table.table, table.fresh_at, table.seconds_behind, table.fresh_within) for table in found.tables]
    assert shown == [
        ("a", ago(100).isoformat(), 100.0, 70.0),
        ("b", None, 300.0, 290.0),
        ("c", ago(800).isoformat(), 800.0, None),
        ("d", ago(-5).isoformat(), 0.0, None),
        ("e", ago(0.123456).isoformat(), 0.123, None),
    ]
    assert [table.problem for table in found.tables] == [None, "why", NOT_COMPARABLE, None, None]
    unpromised = result({"c": known["c"], "d": known["d"]}, {"c": None, "d": None}, None, NOW)
    assert (unpromised.seconds_behind, unpromised.seconds_overdue) == (800.0, 0.0)
    assert result({}, {}, None, NOW).seconds_behind == 0.0
