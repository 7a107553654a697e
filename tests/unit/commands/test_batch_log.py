"""Which log lines are about one batch: those that name it, and the others of the same invocations."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.client.observing import batch_log
from lambda_toolkit.pipeline.client.observing.batch_log import of_batch

FIRST, SECOND = "60ab875f-0fbc-45ec-bd04-37e3084f3ccc", "69d2adeb-3d72-415a-8089-076c6a938cc3"


def lines(*messages: Any) -> list[dict[str, Any]]:
    return [
        {"timestamp": 1_000 + at, "message": text if isinstance(text, str) else json.dumps(text)}
        for at, text in enumerate(messages)
    ]


def shown(batch: int, events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(line["level"], line["message"]) for line in of_batch(events, batch)]


def test_lines_of_the_invocations_that_name_the_batch():
    events = lines(
        f"START RequestId: {FIRST} Version: 1",
        {"level": "INFO", "message": "connected", "request_id": FIRST},
        {"level": "WARNING", "message": "every row is read", "batch": 2, "request_id": FIRST},
        f"END RequestId: {FIRST}",
        f"START RequestId: {SECOND} Version: 1",
        {"level": "INFO", "message": "done", "request_id": SECOND, "result": {"batch": 3}},
    )
    assert shown(2, events) == [
        ("INFO", f"START RequestId: {FIRST} Version: 1"),
        ("INFO", "connected"),
        ("WARNING", "every row is read  batch=2"),
        ("INFO", f"END RequestId: {FIRST}"),
    ]
    assert shown(3, events)[-1] == ("INFO", "done  result.batch=3") and shown(4, events) == []


def test_lines_about_another_batch_of_the_same_run_are_not_shown():
    events = lines(
        {"level": "INFO", "message": "loaded", "batch": 4, "request_id": FIRST},
        {"level": "INFO", "message": "loaded", "batch": 5, "request_id": FIRST},
        {"level": "INFO", "message": "done", "request_id": FIRST, "result": {"loaded": [4, 5]}},
    )
    assert [message for _, message in shown(5, events)] == ["loaded  batch=5", "done  result.loaded=[4, 5]"]


def test_lines_of_unknown_forms_are_about_no_batch():
    odd = lines("{broken", '"text"', "[1]", {"batch": True}, {"batch": "2"}, {"message": {"batch": 2}}, "")
    assert [line["timestamp"] for line in of_batch(odd, 2)] == [1_005]
    assert shown(1, odd) == []


@pytest.mark.parametrize(
    ("line", "is_of_the_run"),
    [
        (f"START RequestId: {FIRST} Version: 1", True),
        (f"REPORT RequestId: {SECOND}\tDuration: 1 ms", False),
        ("printed by a library", False),
        *(
            ({place: {name: FIRST}} if place else {name: FIRST, "message": "m"}, True)
            for name in ("request_id", "function_request_id", "requestId", "AWSRequestId")
            for place in ("", "result", "message", "record")
        ),
        ({"result": {"request_id": ""}, "record": {"requestId": FIRST}}, True),
        ({"result": FIRST, "message": FIRST, "record": FIRST, "id": FIRST}, False),
    ],
)
def test_line_is_of_the_run_whose_request_it_names(line: Any, is_of_the_run: bool) -> None:
    events = lines(line, {"batch": 7, "request_id": FIRST}, {"message": "no request", "batch": 7})
    assert [found["timestamp"] - 1000 for found in of_batch(events, 7)] == [0, 1, 2][not is_of_the_run :]


@pytest.mark.parametrize(
    ("line", "is_about_it"),
    [
        *(
            ({place: {name: value}} if place else {name: value}, True)
            for name in ("batch", "batches", "loaded", "replayed")
            for place in ("", "result", "message")
            for value in (7, [6, 7])
        ),
        ({"batch": 8, "loaded": [7]}, True),
        ({"record": {"batch": 7}}, False),
        ({"batch": [[7], "7", None]}, False),
        ({"rows": 7, "result": {"rows": 7}, "message": {"rows": 7}}, False),
    ],
)
def test_batch_is_named_by_a_line_or_by_its_result(line: Any, is_about_it: bool) -> None:
    assert len(shown(7, lines(line))) == is_about_it


def test_lines_of_all_functions_are_in_the_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a minute before the batch was extracted to a minute after it was loaded, and a day at most."""
    begun = datetime(2026, 1, 2, 3, tzinfo=UTC)
    names = {"extract": None, "load": None}
    given: list[Any] = []
    logs = {
        "extract": [
            {"timestamp": 30, "message": '{"level": "INFO", "message": "m", "batch": 7, "request_id": "a"}'},
            {"timestamp": 10, "message": '{"type": "platform.report", "record": {"requestId": "a"}}'},
        ],
        "load": [{"timestamp": 20, "message": '{"level": "ERROR", "message": "no", "batch": 7}'}],
    }

    def of_function(aws: Any, pipeline: Any, name: str, start: int, end: int) -> list[dict[str, Any]]:
        assert (aws, pipeline.functions) == ("aws", names)
        given.append((name, start, end))
        return logs[name]

    monkeypatch.setattr(batch_log, "of_function", of_function)
    arguments: Any = ("aws", SimpleNamespace(functions=names), 7, begun)
    assert batch_log.batch_lines(*arguments, begun + timedelta(seconds=5)) == [
        {
            "timestamp": 10,
            "function": "extract",
            "level": "INFO",
            "message": "platform.report  record.requestId=a",
            "runtime": True,
        },
        {"timestamp": 20, "function": "load", "level": "ERROR", "message": "no  batch=7", "runtime": False},
        {"timestamp": 30, "function": "extract", "level": "INFO", "message": "m  batch=7", "runtime": False},
    ]
    at = 1_767_322_800_000
    assert given == [("extract", at - 60_000, at + 65_000), ("load", at - 60_000, at + 65_000)]
    given.clear()
    batch_log.batch_lines(*arguments, begun + timedelta(days=3))
    assert given[0] == ("extract", at - 60_000, at + 86_460_000)
