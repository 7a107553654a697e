"""What the function extract takes from its event, its environment and its context, and what it logs."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.extract import handler
from lambda_toolkit.pipeline.lambdas.extract.extraction import Extracted, Request
from lambda_toolkit.pipeline.lambdas.shared import runtime
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.logs import TableWork
from lambda_toolkit.pipeline.lambdas.shared.messages.read_events import ReadRequest, ReadResult, SharedSnapshot
from lambda_toolkit.pipeline.lambdas.shared.model.scale import READER_ROWS

DONE = Extracted(4, 5, {"a": 1}, {"a": 2}, incomplete={"b": "not read yet"})
READ = ReadRequest("t", 2, "run", 7, SharedSnapshot("n", "1:1:", {}))


class World:
    """A function whose runs the test answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[dict[str, Any]] = []
        self.calls: list[Any] = []
        self.batches: list[Extracted] = [DONE]
        self.range = ReadResult(7, rows=3)
        declared = SimpleNamespace(source={"a": 1, "b": 2})
        monkeypatch.setattr(runtime.logger, "write", lambda line: self.said.append(json.loads(line)))
        monkeypatch.setattr(runtime, "ingestion_lake", lambda: "lake")
        monkeypatch.setattr(handler, "_credentials", lambda: "credentials")
        monkeypatch.setattr(handler, "connected", contextlib.nullcontext)
        monkeypatch.setattr(handler.declarations, "load", lambda: declared)
        monkeypatch.setattr(handler, "asked_function", lambda name, most: (name, most))
        monkeypatch.setattr(handler, "extract_all", self._extract)
        monkeypatch.setattr(handler, "read_range", self._read)

    def _extract(self, source: Any, lake: Any, declared: Any, request: Any, limits: Any, log: Any, fan_out: Any) -> Any:
        assert (source._connection, lake, set(declared.source)) == ("credentials", "lake", {"a", "b"})
        self.calls.append(SimpleNamespace(request=request, limits=limits, fan_out=fan_out))
        for batch in self.batches:
            log(batch)
        return self.batches[-1]

    def _read(self, source: Any, lake: Any, declared: Any, request: Any) -> ReadResult:
        assert (source._connection, lake, set(declared.source)) == ("credentials", "lake", {"a", "b"})
        self.calls.append(request)
        return self.range

    def run(self, event: Any, milliseconds: float = 900_000) -> Any:
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)
        return handler.lambda_handler(event, context)

    def lines(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.said if line["message"] == message]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("READER_FUNCTION", "READERS", "READER_ROWS"):
        monkeypatch.delenv(name, raising=False)
    return World(monkeypatch)


def test_result_is_that_of_all_runs(world: World) -> None:
    assert world.run({}) == {
        "batch": 4,
        "last_batch": 5,
        "rows": {"a": 1},
        "deleted": {"a": 2},
        "incomplete": {"b": "not read yet"},
    }
    (summary,) = world.lines("summary")
    assert (summary["action"], summary["outcome"]) == ("extract", "done")


@pytest.mark.parametrize(
    ("asked", "request_"),
    [
        ({}, Request()),
        ({"full": False}, Request()),
        ({"full": True}, Request(frozenset({"a", "b"}))),
        ({"full": ["b"]}, Request(frozenset({"b"}))),
        ({"full": []}, Request()),
        ({"accept_types": ["a.x"]}, Request(accept_types=frozenset({"a.x"}))),
    ],
)
def test_event_says_what_is_read_again(world: World, asked: Any, request_: Request) -> None:
    world.run({"action": "extract", **asked})
    assert world.calls[0].request == request_


@pytest.mark.parametrize("event", [{"action": "extract", "full": ["a", "c"]}, {"action": "load"}, ["read"], "read"])
def test_event_without_a_meaning_is_refused(world: World, event: Any) -> None:
    with pytest.raises(PipelineError):
        world.run(event)
    assert world.calls == []


@pytest.mark.parametrize(("seconds", "reserve"), [(900, 60.0), (300, 60.0), (100, 20.0), (10, 2.0)])
def test_reserve_is_a_minute_or_a_fifth(world: World, seconds: int, reserve: float) -> None:
    world.run({}, seconds * 1000)
    deadline = world.calls[0].limits.deadline
    assert (deadline.reserve, deadline.seconds_left()) == (pytest.approx(reserve), seconds)


@pytest.mark.parametrize(
    ("environment", "most", "rows"),
    [
        ({}, None, None),
        ({"READERS": "4"}, None, None),
        ({"READER_FUNCTION": "reader"}, None, None),
        ({"READER_FUNCTION": "reader", "READERS": ""}, None, None),
        ({"READER_FUNCTION": "reader", "READERS": "1"}, None, None),
        ({"READER_FUNCTION": "reader", "READERS": "2"}, 2, READER_ROWS),
        ({"READER_FUNCTION": "reader", "READERS": "8", "READER_ROWS": "77"}, 8, 77),
    ],
)
def test_readers_are_those_of_the_environment(
    world: World, monkeypatch: pytest.MonkeyPatch, environment: Any, most: int | None, rows: int | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    world.run({})
    fan_out = world.calls[0].fan_out
    assert (fan_out and fan_out.most, fan_out and fan_out.rows) == (most, rows)
    if fan_out:
        assert fan_out.readers._function == ("reader", most)


def test_range_is_read_for_the_run_that_asks(world: World) -> None:
    event = READ.to_json()
    assert world.run(event) == world.range.to_json()
    assert world.calls == [READ]
    assert world.lines("summary")[0]["action"] == "read"
    assert [line["level"] for line in world.said if line.get("table") == "t"] == ["INFO"]
    world.range = ReadResult(7, refused="why")
    world.run(event)
    assert [line["level"] for line in world.said if line["message"] == "why"] == ["WARN"]


def test_each_batch_is_logged_with_what_is_remarkable(world: World) -> None:
    world.batches = [
        Extracted(
            1,
            1,
            {"a": 3, "b": 4},
            {"b": 5},
            reason_for_full="first",
            drift=("a.x is new",),
            deletes={"a": "skip: why"},
            readers={"a": "read alone: why", "b": "5 ranges"},
            incomplete={"b": "not read yet"},
            work={"a": TableWork(3, 100, 2.0)},
        ),
        Extracted(None, 1),
    ]
    world.run({})
    (summary,) = world.lines("summary")
    assert summary["RowsExtracted"] == 12
    assert [(line["table"], line["batch"]) for line in world.lines("table extracted")] == [("a", 1)]
    assert [(line["level"], line["reason"], line["batch"]) for line in world.lines("every row is read")] == [
        ("WARN", "first", 1)
    ]
    assert [line["batch"] for line in world.lines("a.x is new")] == [1]
    assert [line["tables"] for line in world.lines("deletes")] == [{"a": "skip: why"}]
    assert [(line["level"], line["table"], line["batch"], line["what"]) for line in world.lines("readers")] == [
        ("WARN", "a", 1, "read alone: why"),
        ("INFO", "b", 1, "5 ranges"),
    ]
    assert [line["tables"] for line in world.lines("more remains to be read")] == [["b"]]


def test_run_without_a_batch_logs_only_its_summary(world: World) -> None:
    world.batches = [Extracted(None, 1)]
    world.run({})
    assert [line["message"] for line in world.said] == ["summary"]
