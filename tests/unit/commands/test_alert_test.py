"""``alert-test`` counts the alarms that would reach a person, and waits for what the notifier says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lambda_script import AwsError
from lambda_toolkit.pipeline.client.observing import alert_test
from lambda_toolkit.pipeline.errors import CommandError
from tests.unit.commands.test_observed_documents import PIPELINE, Answers


def test_alarms_count_where_they_notify_a_topic_of_the_pipeline() -> None:
    names = [f"{each.spec.name}-{alarm}" for each in PIPELINE.functions.values() for alarm in each.alarms or ()]
    topics = {"alarms": "arn:alarms", "alerts": "arn:alerts"}
    listed = [
        {"AlarmName": names[0], "AlarmActions": ["arn:alarms"]},
        {"AlarmName": names[1], "AlarmActions": ["arn:other", "arn:alerts"], "ActionsEnabled": True},
        {"AlarmName": names[2], "AlarmActions": ["arn:alarms"], "ActionsEnabled": False},
        {"AlarmName": names[3], "AlarmActions": ["arn:other"]},
        {"AlarmName": "totes-dev-other", "AlarmActions": ["arn:alarms"]},
        {"AlarmName": names[4]},
    ]
    aws: Any = Answers(describe_alarms=listed)
    counts = {"declared": len(names), "deployed": 5, "notifying": 2}
    quiet = {**PIPELINE.functions, "quiet": replace(PIPELINE.functions["load"], alarms=None)}
    assert alert_test._alarms(aws, replace(PIPELINE, functions=quiet), topics) == counts
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


@pytest.mark.parametrize("notifier", ["notifier", None])
def test_test_is_published_where_alarms_are(notifier: str | None) -> None:
    topics = {"alarms": "arn:aws:sns:eu-west-2:123456789012:x-alarms", "alerts": "arn:aws:sns:eu-west-2:123456789012:x"}
    aws: Any = Answers(publish={"MessageId": "id-1"})
    assert alert_test._publish(aws, topics, "ab12", notifier) == "id-1"
    [(service, operation, parameters)] = aws.asked
    assert (service, operation) == ("sns", "publish")
    text = parameters.pop("Message")
    assert (json.loads(text) == {alert_test.TEST: "ab12"}) if notifier else ("ab12" in text)
    assert parameters == {"TopicArn": topics["alarms" if notifier else "alerts"], "Subject": "A test: nothing is wrong"}
    aws.answers["publish"] = AwsError("none", code="NotFound")
    with pytest.raises(CommandError, match=f"There is no topic x{'-alarms' if notifier else ''} yet"):
        alert_test._publish(aws, topics, "ab12", notifier)
    for error in (AwsError("no", code="AuthorizationError"), ZeroDivisionError()):
        aws.answers["publish"] = error
        with pytest.raises(type(error)):
            alert_test._publish(aws, topics, "ab12", notifier)


@pytest.mark.parametrize(
    ("slack", "state", "reached"),
    [
        ("sent", "confirmed", True),
        ("none", "confirmed", True),
        ("dropped", "confirmed", False),
        ("sent", "not confirmed", False),
    ],
)
def test_test_says_how_far_it_came(monkeypatch, slack: str, state: str, reached: bool) -> None:
    addresses = [{"address": "a@x.com", "state": state}, {"address": "b@x.com", "state": "not confirmed"}]
    line = {"email": "id-2", "slack": slack, "reason": "r"}
    monkeypatch.setattr(alert_test, "_publish", lambda aws, topics, identity, notifier: "id-1")
    monkeypatch.setattr(alert_test, "_line", lambda *of: line)
    monkeypatch.setattr(alert_test, "_alarms", lambda *of: {"declared": 1})
    monkeypatch.setattr(alert_test, "subscription_states", lambda aws, pipeline: addresses)
    found = alert_test.send(Answers(), PIPELINE)  # type: ignore[arg-type]
    assert len(found.pop("test")) == 12 and found.pop("seconds") >= 0
    assert found == {
        "format": 1,
        "topic": "totes-dev-alarms",
        "email": {"state": "published", "message": "id-2"},
        "slack": {"state": slack, "reason": "r"},
        "addresses": addresses,
        "alarms": {"declared": 1},
        "reached": reached,
    }
    functions = {name: each for name, each in PIPELINE.functions.items() if not each.is_notifier}
    alone = alert_test.send(Answers(), replace(PIPELINE, functions=functions))  # type: ignore[arg-type]
    assert (alone["topic"], alone["email"]["message"]) == ("totes-dev-alerts", "id-1")
    assert (alone["slack"], alone["reached"]) == ({"state": "none", "reason": None}, state == "confirmed")


def test_answer_is_looked_for_from_when_the_test_was_sent(monkeypatch) -> None:
    """Each part is asked about the topics of the pipeline, by their ARNs."""
    clock = iter([60.5, 62.84])
    monkeypatch.setattr(alert_test.time, "time", lambda: next(clock))
    asked: dict[str, Any] = {}

    def part(name: str, answer: Any) -> None:
        monkeypatch.setattr(alert_test, name, lambda *of: asked.update({name: of}) or answer)

    part("_publish", "id")
    part("_line", {"slack": "sent"})
    part("_alarms", {})
    part("subscription_states", [])
    aws: Any = Answers()
    found = alert_test.send(aws, PIPELINE, print, 7.0)
    topics = {name: f"arn:aws:sns:eu-west-2:123456789012:totes-dev-{name}" for name in ("alerts", "alarms")}
    assert asked == {
        "_publish": (aws, topics, found["test"], "notifier"),
        "_line": (aws, PIPELINE, "notifier", found["test"], 60_500, print, 7.0),
        "_alarms": (aws, PIPELINE, topics),
        "subscription_states": (aws, PIPELINE),
    }
    assert (found["seconds"], found["reached"], found["email"]["message"]) == (2.3, False, None)
