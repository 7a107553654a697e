"""What the handler of load answers and logs: of batches, and of each action, without a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.load import handler
from lambda_toolkit.pipeline.lambdas.load.loading import LoadedBatch, Written
from lambda_toolkit.pipeline.lambdas.load.warehouse.interface import LedgerEntry
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import DataFile, ProcessedManifest, ProcessedTable
from lambda_toolkit.pipeline.lambdas.shared.logs import TableWork
from lambda_toolkit.pipeline.lambdas.shared.messages.events import OpenCounts, load_request
from lambda_toolkit.pipeline.lambdas.shared.metrics import (
    BATCH_LATENCY,
    OPEN_PENDING,
    OPEN_REJECTED,
    ROWS_REJECTED,
    VERSIONS_WRITTEN,
)
from tests.support.recorded_warehouse import DECLARATIONS, ORDER, PRODUCT, ListedLake, RecordedWarehouse, loaded


class Logged:
    """The log of the functions, as a list."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []
        self.metrics: list[tuple[Any, ...]] = []
        self.work: list[tuple[Any, ...]] = []
        self.run = SimpleNamespace(put=lambda *put: self.metrics.append(put), fields={})

    def info(self, message: str, **fields: Any) -> None:
        self.lines.append(("info", fields))

    def warning(self, message: str, metrics: Any = None, **fields: Any) -> None:
        self.lines.append(("warning", metrics, fields))

    def tables(self, message: str, batch: int, work: dict[str, TableWork]) -> None:
        self.work.append((batch, work))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Logged:
    found = Logged()
    monkeypatch.setattr(handler, "logger", found)
    return found


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> ListedLake:
    found = ListedLake()
    monkeypatch.setattr(handler.runtime, "processed_lake", lambda: found)
    return found


@pytest.fixture
def warehouse(monkeypatch: pytest.MonkeyPatch, log: Logged) -> RecordedWarehouse:
    """That of every connection, and of every schema."""
    found = RecordedWarehouse()
    monkeypatch.setattr(handler, "warehouse_of", lambda *_, **__: found)
    monkeypatch.setattr(handler.declarations, "load", lambda: DECLARATIONS)
    monkeypatch.setattr(handler, "count_open", lambda _: OpenCounts(5, 6))
    return found


class Clock:
    """Lambda's context: an hour is left, or a minute less at each look."""

    def __init__(self, minutes: float = 60, step: int = 0) -> None:
        self.minutes, self.step = minutes, step

    def get_remaining_time_in_millis(self) -> float:
        self.minutes -= self.step
        return self.minutes * 60_000


def answer(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    return handler._answer(None, load_request(event), context or Clock()).to_json()  # type: ignore[arg-type]


def test_load_answers_what_it_loaded(lake: ListedLake, warehouse: RecordedWarehouse, log: Logged) -> None:
    for number in (1, 2):
        lake.batch(number, fact_order=lake.of(ORDER, [1]))
    warehouse.answers |= {("apply", ORDER): [2, 3], ("defer_unresolved", ORDER): [0, 1]}
    found = answer({})
    last = loaded(2)
    assert (
        found
        | {
            "loaded": [1, 2],
            "last_batch": 2,
            "extracted_at": last.extracted_at,
            "loaded_at": last.loaded_at,
            "missing_batch": None,
            "appended": {ORDER: 5},
            "pending": {ORDER: 1},
            "open": {"rejected": 5, "pending": 6},
            "busy": False,
        }
        == found
    )
    assert log.metrics[-2:] == [(OPEN_REJECTED, 5), (OPEN_PENDING, 6)]
    assert [batch for batch, _ in log.work] == [1, 2]


def test_load_beside_another_one_says_so(lake: ListedLake, warehouse: RecordedWarehouse, log: Logged) -> None:
    """The metrics of the other one count."""
    warehouse.is_busy = True
    assert answer({})["busy"] is True
    assert (log.lines, log.metrics) == ([("warning", None, {})], [])


def test_load_begins_its_first_batch_with_however_little_time(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    """The next ones where half as much time again is left as the longest took, and twenty seconds."""
    for number in range(1, 6):
        lake.batch(number)
    assert answer({}, Clock(0))["loaded"] == [1]
    assert answer({}, Clock(290.5 / 60, 1))["loaded"] == [2, 3, 4]


def test_report_says_where_requirements_differ(warehouse: RecordedWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse.last = loaded(3)
    monkeypatch.setattr(warehouse, "differences", lambda _: ["one is missing"])
    found = answer({"action": "report"})
    assert (found["last_batch"], found["differences"], found["open"]["pending"]) == (3, ["one is missing"], 6)
    assert warehouse.calls == []


def test_replay_answers_what_it_applied(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    for number in (1, 2, 3, 4):
        lake.batch(number, fact_order=lake.of(ORDER, [1]))
    warehouse.last = loaded(3)
    warehouse.answers["write_resolved", ORDER] = [7]
    assert answer({"action": "replay", "batches": [3, 1, 2, 4]}, Clock(3, 1)) == {
        "replayed": [1],
        "written": {ORDER: 7},
        "not_loaded": [4],
        "left": [2, 3],
        "busy": False,
        "open": {"rejected": 5, "pending": 6},
    }
    with pytest.raises(PipelineError, match="at least one batch"):
        answer({"action": "replay", "batches": []})


def test_rebuild_answers_how_far_it_came(lake: ListedLake, warehouse: RecordedWarehouse) -> None:
    for number in (1, 2, 3):
        lake.batch(number)
    lake.batch(1, revision=2)
    event = {"action": "rebuild", "schema": "check"}
    assert answer(event, Clock(3, 1)) == {
        "last_batch": 1,
        "loaded": [1],
        "replayed": [],
        "missing_batch": None,
        "done": False,
        "busy": False,
    }
    found = answer(event)
    assert (found["loaded"], found["replayed"], found["done"]) == ([2, 3], [1], True)
    for schema in ("public", "pg_x", "Check"):
        with pytest.raises(PipelineError, match=f"cannot be '{schema}'"):
            answer({"action": "rebuild", "schema": schema})
        with pytest.raises(PipelineError, match=f"cannot be '{schema}'"):
            answer({"action": "compare", "schema": schema})


@pytest.mark.parametrize(("value", "most"), [(None, 1), ("", 1), ("4", 4)])
def test_connections_are_as_many_as_the_function_has(
    monkeypatch: pytest.MonkeyPatch, value: str | None, most: int
) -> None:
    monkeypatch.delenv("LOAD_CONNECTIONS", raising=False)
    if value is not None:
        monkeypatch.setenv("LOAD_CONNECTIONS", value)
    monkeypatch.setattr(handler, "_credentials", lambda: "credentials")
    monkeypatch.setattr(handler, "connect", lambda to: f"connected with {to}")
    connections = handler._connections()
    assert (connections.most, connections.open()) == (most, "connected with credentials")
    assert type(handler.warehouse_of(None, connections=connections)) is PostgresWarehouse  # type: ignore[arg-type]


def batch_of(written: dict[str, Written], entry: LedgerEntry) -> LoadedBatch:
    tables = {
        PRODUCT: ProcessedTable(3, "a", DataFile("b", 2), more=[DataFile("c", 1)], more_deleted=[DataFile("d", 5)]),
        ORDER: ProcessedTable(1, "e"),
    }
    return LoadedBatch(entry, ProcessedManifest(4, "m", "", tables), written)


def test_batch_that_was_loaded_is_logged_by_table(log: Logged) -> None:
    """A table that the batch has no files of, too: rows may have waited. The latency is that of the snapshot."""
    lake: Any = SimpleNamespace(sizes={"a": 10, "b": 200, "c": 3000, "d": 40_000})
    written = {
        PRODUCT: Written(7, 2, 1.5, "three connections"),
        ORDER: Written(1, 0, 2.5),
        "dim_date": Written(4, 0, 3.5),
    }
    entry = LedgerEntry(4, "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:30.5+00:00")
    handler._log(lake, batch_of(written, entry))
    nothing = {"deleted": 0, "pending": 0}
    assert log.work == [
        (
            4,
            {
                PRODUCT: TableWork(7, 43_210, 1.5, {"deleted": 7, "pending": 2}),
                ORDER: TableWork(1, 0, 2.5, nothing),
                "dim_date": TableWork(4, 0, 3.5, nothing),
            },
        )
    ]
    assert log.lines == [
        ("info", {"batch": 4, "table": PRODUCT, "what": "three connections"}),
        ("warning", {ROWS_REJECTED: 2}, {"batch": 4, "table": PRODUCT, "rows": 2}),
    ]
    assert log.metrics == [(VERSIONS_WRITTEN, 12), (BATCH_LATENCY, 90.5)]


@pytest.mark.parametrize(
    ("extracted", "loaded_at", "metrics"),
    [
        ("2026-01-01T00:00:01+00:00", "2026-01-01T00:00:00+00:00", [(BATCH_LATENCY, 0.0)]),
        (None, "2026-01-01T00:00:00+00:00", []),
        ("2026-01-01T00:00:01+00:00", None, []),
    ],
)
def test_latency_is_never_negative_and_of_two_times(
    log: Logged, extracted: str | None, loaded_at: str | None, metrics: list[Any]
) -> None:
    handler._log(SimpleNamespace(sizes={}), batch_of({}, LedgerEntry(4, extracted, loaded_at)))  # type: ignore[arg-type]
    assert log.metrics == [(VERSIONS_WRITTEN, 0), *metrics]
