"""Which log lines are about one batch: those that name it, and the others of the same invocations."""

from __future__ import annotations

import json
from typing import Any

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
