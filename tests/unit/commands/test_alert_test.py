"""``alert-test`` counts the alarms that would reach a person, and waits for what the notifier says."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_toolkit.pipeline.client.observing import alert_test
from lambda_toolkit.pipeline.errors import CommandError
from tests.unit.commands.test_observed import PIPELINE, Answers


def test_alarms_count_where_they_notify_a_topic_of_the_pipeline() -> None:
    names = [f"{each.spec.name}-{alarm}" for each in PIPELINE.functions.values() for alarm in each.alarms or ()]
    topics = {"alarms": "arn:alarms", "alerts": "arn:alerts"}
    listed = [
        {"AlarmName": names[0], "AlarmActions": ["arn:alarms"]},
        {"AlarmName": names[1], "AlarmActions": ["arn:other", "arn:alerts"], "ActionsEnabled": True},
        {"AlarmName": names[2], "AlarmActions": ["arn:alarms"], "ActionsEnabled": False},
        {"AlarmName": names[3], "AlarmActions": ["arn:other"]},
        {"AlarmName": "totes-dev-other", "AlarmActions": ["arn:alarms"]},
    ]
    aws: Any = Answers(describe_alarms=listed)
    counts = {"declared": len(names), "deployed": 4, "notifying": 2}
    assert alert_test._alarms(aws, PIPELINE, topics) == counts
    assert aws.asked == [("cloudwatch", "describe_alarms", {"AlarmNamePrefix": "totes-dev-"})]


def test_test_that_is_not_answered_is_a_failure(monkeypatch) -> None:
    clock = iter([0.0, 0.0, 1.0, 2.0, 3.0])
    monkeypatch.setattr(alert_test.time, "time", lambda: next(clock))
    asked: list[Any] = []
    events = [[{"message": "text"}, {"message": '{"letter": "test other"}'}], [], []]

    def of_function(*arguments: Any) -> list[dict[str, Any]]:
        asked.append(arguments[2:])
        return events[len(asked) - 1]

    monkeypatch.setattr(alert_test.logs, "of_function", of_function)
    waited: list[float] = []
    with pytest.raises(CommandError, match="notifier has not said within 2 s"):
        alert_test._line(None, PIPELINE, "notifier", "ab", 60_000, waited.append, 2.0)  # type: ignore[arg-type]
    assert (asked, waited) == ([("notifier", 55_000)] * 2, [1.0, 1.0])
    said = {"letter": f"{alert_test.Kind.TEST} ab", "slack": "sent"}
    events[2] = [{"message": alert_test.json.dumps(said)}]
    clock = iter([0.0, 0.0])
    assert alert_test._line(None, PIPELINE, "notifier", "ab", 60_000, waited.append, 2.0) == said  # type: ignore[arg-type]
