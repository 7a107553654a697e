"""What the notifier asks CloudWatch, alarms and logs, and what it makes of the answers."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.notifier.cloudwatch import described, read_record
from lambda_toolkit.pipeline.lambdas.notifier.findings import Findings, of_lines, read
from lambda_toolkit.pipeline.lambdas.notifier.incidents import ALARM, OK, Observation, Transition
from lambda_toolkit.pipeline.lambdas.notifier.letters import Kind, Letter

NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=1))


class Client:
    """A client that has an answer for each request, and keeps the requests."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def describe_alarms(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return self._answers.pop(0)

    filter_log_events = describe_alarms


def alarm(name: str, **more: Any) -> dict[str, Any]:
    return {"AlarmName": name, "StateValue": OK, "StateUpdatedTimestamp": NOON, **more}


def test_both_kinds_of_alarms_are_described_a_hundred_at_a_time() -> None:
    names = [f"a{number:03}" for number in range(101)]
    client = Client(
        {"MetricAlarms": [alarm("a000")], "CompositeAlarms": [alarm("a001", StateValue=ALARM)]},
        {"CompositeAlarms": [alarm("a100")]},
    )
    found = described(client, reversed(names))
    assert {name: item.state for name, item in found.items()} == {"a000": OK, "a001": ALARM, "a100": OK}
    always = {"AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 100}
    assert client.asked == [{"AlarmNames": names[:100], **always}, {"AlarmNames": names[100:], **always}]
    assert described(Client(), ()) == {}, "nothing is asked for no alarm"


def test_alarm_is_described_as_far_as_it_says() -> None:
    """The time of the last transition is exact; that of the last update may be of something else."""
    local = NOON.astimezone(BERLIN)
    full = alarm(
        "full",
        StateTransitionedTimestamp=local - timedelta(hours=2),
        StateReason="three errors",
        AlarmDescription="Call them.",
        InsufficientDataActions=["arn:of:a:topic"],
    )
    bare = alarm(
        "bare", StateUpdatedTimestamp=local, StateReason=None, AlarmDescription=None, InsufficientDataActions=[]
    )
    found = described(Client({"MetricAlarms": [full, bare, alarm("less")]}), ["full"])
    assert found["full"] == Observation(
        OK, NOON - timedelta(hours=2), "three errors", needs_data=True, description="Call them."
    )
    assert found["bare"] == found["less"] == Observation(OK, NOON, is_exact=False)
    assert [item.since.tzinfo for item in found.values()] == [UTC] * 3, "times are written down, and compared as texts"


CHANGED = {"AlarmName": "a", "OldStateValue": OK, "NewStateValue": ALARM, "StateChangeTime": "2026-11-29T14:00:00+0200"}


def test_transition_has_what_the_message_says() -> None:
    for more in ({}, {"NewStateReason": None, "AlarmDescription": None}):
        assert read_record(record({**CHANGED, **more}), NOON) == Transition("a", OK, ALARM, NOON)
    said = {"NewStateReason": "three errors", "AlarmDescription": "Call them."}
    assert read_record(record({**CHANGED, **said}), NOON) == Transition(
        "a", OK, ALARM, NOON, "three errors", "Call them."
    )


def test_time_of_a_transition_is_in_utc_wherever_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        for text in ("2026-11-29T14:00:00+0200", "2026-11-29T12:00:00"):
            found = read_record(record({**CHANGED, "StateChangeTime": text}), NOON)
            assert isinstance(found, Transition) and found.at.isoformat() == "2026-11-29T12:00:00+00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("name", CHANGED)
def test_message_without_a_part_of_a_transition_is_a_note(name: str) -> None:
    for time_of_it in (5, "now"):
        changed = {**CHANGED, "StateChangeTime": time_of_it}
        found = read_record(record({key: value for key, value in changed.items() if key != name}), NOON)
        assert isinstance(found, Letter) and found.kind == Kind.NOTE


def record(document: object) -> dict[str, Any]:
    return {"Sns": {"Message": json.dumps(document), "MessageId": "m-1"}}


def test_note_without_a_name_or_a_subject() -> None:
    assert read_record({"Sns": {"Message": "words"}}, NOON) == Letter("note words", Kind.NOTE, NOON, text="words")
    assert read_record({"Sns": {}}, NOON) == read_record({"Sns": None}, NOON) == Letter("note ", Kind.NOTE, NOON)
    assert read_record(record({"AlertTest": "7"}), NOON) == Letter("test 7", Kind.TEST, NOON, text="7")


def line(**content: object) -> dict[str, Any]:
    return {"message": json.dumps(content), "timestamp": 1}


def test_log_is_read_from_before_the_alarm_a_few_pages_long() -> None:
    pages = [
        {"events": [line(level="ERROR", message="first")], "nextToken": "1"},
        {"nextToken": "2"},  # a page may be empty, and not the last one
        {"events": [line(level="ERROR", message="third")]},
        {"events": [line(level="ERROR", message="another log")]},
    ]
    client = Client(*pages)
    assert read(client, "/aws/lambda/load", NOON, NOON + timedelta(minutes=1)) == Findings("third")
    every = {"logGroupName": "/aws/lambda/load", "startTime": 1795953000000, "endTime": 1795953660000}
    assert client.asked == [every, {**every, "nextToken": "1"}, {**every, "nextToken": "2"}]
    endless = Client(*([{"events": [], "nextToken": "more"}] * 5))
    assert read(endless, "g", NOON, NOON) == Findings()
    assert len(endless.asked) == 5


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"level": "CRITICAL", "message": "it fails"}, "it fails"),
        ({"level": "FATAL", "errorMessage": "it ended"}, "it ended"),
        ({"level": "ERROR", "message": "", "errorMessage": "it ended"}, "it ended"),
        ({"level": "ERROR"}, "before"),
        ({"level": "WARN", "message": "rows were rejected"}, "before"),
        ({"message": "it fails"}, "before"),
    ],
)
def test_last_error_of_a_log_is_the_one_that_has_words(content: dict[str, str], error: str) -> None:
    lines = [json.dumps({"level": "ERROR", "message": "before"}), json.dumps(content), "END RequestId: 1"]
    assert of_lines(lines).error == error


def test_rows_of_warnings_are_counted_by_batch_and_table() -> None:
    warnings = [
        {"batch": 3, "table": "staff", "rows": 2},
        {"batch": 3, "table": "town", "rows": 5},
        {"batch": 4, "rows": 1},
        {"batch": 3, "table": "staff", "rows": "many"},
        {"batch": "5", "table": "staff", "rows": 1},
    ]
    lines = [json.dumps({"level": "WARN", **warning}) for warning in warnings]
    assert of_lines(lines) == Findings("", {3: {"staff": 2, "town": 5}, 4: {"None": 1}})
