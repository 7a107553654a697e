"""Schedules, rules and subscriptions as AWS returns them, how they differ from a declaration, and what is sent then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.aws.account import Place
from lambda_toolkit.errors import AwsError, TriggerError
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.schedules import event_rule, schedule
from lambda_toolkit.resources.triggers import event_pattern_rule, topic_subscription
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.schedules.schedule import Schedule
from lambda_toolkit.spec.triggers.event import EventTrigger
from lambda_toolkit.spec.triggers.topic import TopicTrigger

HERE = Place("123456789012", "eu-west-2")
LIVE = "arn:aws:lambda:eu-west-2:123456789012:function:f:live"
ROLE = "arn:aws:iam::123456789012:role/f.schedule-role"
QUEUE = "arn:aws:sqs:eu-west-2:123456789012:q"
NOW = datetime(2027, 1, 1, tzinfo=UTC)


def spec(**different: Any) -> FunctionSpec:
    return FunctionSpec(**{"name": "f", "source": Path("f.py"), **different})


class Calls(Place):
    """AWS, which notes what it is asked and answers what a test says."""

    def __init__(self, *answers: Any) -> None:
        super().__init__("123456789012", "eu-west-2")
        object.__setattr__(self, "made", [])
        object.__setattr__(self, "answers", [*answers])

    def call(self, service: str, operation: str, **given: Any) -> Any:
        given.pop("also_retry", None)
        self.made.append((service, operation, given))  # type: ignore[attr-defined]
        answer = self.answers.pop(0) if self.answers else {}  # type: ignore[attr-defined]
        if isinstance(answer, Exception):
            raise answer
        return answer


PLAIN: dict[str, Any] = {
    "ScheduleExpression": "rate(1 day)",
    "ScheduleExpressionTimezone": "UTC",
    "State": "ENABLED",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {
        "Arn": LIVE,
        "RoleArn": ROLE,
        "RetryPolicy": {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185},
    },
    "ActionAfterCompletion": "NONE",
}


def target(**different: Any) -> dict[str, Any]:
    return {"Target": {**PLAIN["Target"], **different}}


SENT: tuple[tuple[Schedule, dict[str, Any]], ...] = (
    (Schedule("rate(1 day)"), {}),
    (Schedule("rate(1 day)", "Etc/UTC"), {}),
    (Schedule("rate(1 day)", "Europe/London"), {"ScheduleExpressionTimezone": "Europe/London"}),
    (Schedule("rate(1 day)", input={"b": 1, "a": "é"}), target(Input='{"a": "é", "b": 1}')),
    (Schedule("rate(1 day)", input=0), target(Input="0")),
    (
        Schedule("rate(1 day)", flexible_minutes=5),
        {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}},
    ),
    (
        Schedule("rate(1 day)", retries=0, max_event_age=60),
        target(RetryPolicy={"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}),
    ),
    (Schedule("rate(1 day)", dead_letter_queue=QUEUE), target(DeadLetterConfig={"Arn": QUEUE})),
    (
        Schedule("rate(1 day)", start="2027-01-02", end="2027-01-03T00:00:00+02:00"),
        {"StartDate": datetime(2027, 1, 2, tzinfo=UTC), "EndDate": datetime(2027, 1, 2, 22, tzinfo=UTC)},
    ),
    (
        Schedule("at(2027-02-01T09:00:00)"),
        {"ScheduleExpression": "at(2027-02-01T09:00:00)", "ActionAfterCompletion": "DELETE"},
    ),
)


@pytest.mark.parametrize(("declared", "sent"), SENT)
def test_schedule_is_sent_as_declared_and_then_does_not_differ(declared: Schedule, sent: dict[str, Any]) -> None:
    wanted = schedule._wanted(HERE, spec(), declared)
    request = schedule._request(wanted, NOW)
    assert request == {**PLAIN, **sent}
    assert differences(schedule._known(request), wanted) == ()


def test_schedule_whose_start_is_past_has_begun() -> None:
    wanted = schedule._wanted(HERE, spec(), Schedule("rate(1 day)", start="2027-01-01", end="2027-01-02"))
    request = schedule._request(wanted, NOW)
    assert "StartDate" not in request
    assert request["EndDate"] == datetime(2027, 1, 2, tzinfo=UTC)


KNOWN: tuple[tuple[dict[str, Any], list[str]], ...] = (
    ({"ScheduleExpressionTimezone": None, "State": "ENABLED", "FlexibleTimeWindow": None}, []),
    ({"ScheduleExpressionTimezone": "Etc/UTC", "ActionAfterCompletion": None}, []),
    (target(RetryPolicy=None, Input=None, DeadLetterConfig=None), []),
    ({"ScheduleExpression": "rate(2 days)"}, ["schedule: rate(2 days) -> rate(1 day)"]),
    ({"ScheduleExpressionTimezone": "Asia/Tokyo"}, ["timezone: Asia/Tokyo -> UTC"]),
    ({"State": "DISABLED"}, ["state: DISABLED -> ENABLED"]),
    ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}}, ["flexible minutes: 5 -> 0"]),
    ({"StartDate": NOW}, ["start: 2027-01-01T00:00:00+00:00 -> none"]),
    ({"EndDate": NOW.astimezone(timezone(timedelta(hours=2)))}, ["end: 2027-01-01T00:00:00+00:00 -> none"]),
    ({"ActionAfterCompletion": "DELETE"}, ["after completion: DELETE -> NONE"]),
    (target(Input="{}"), ["input: {} -> none"]),
    (target(Input="no JSON"), ["input: no JSON -> none"]),
    (target(RetryPolicy={"MaximumRetryAttempts": 0}), ["retries: 0 -> 185"]),
    (target(RetryPolicy={"MaximumEventAgeInSeconds": 60}), ["max event age: 60 -> 86400"]),
    (target(DeadLetterConfig={"Arn": QUEUE}), [f"dead letter queue: {QUEUE} -> none"]),
    (target(Arn="arn"), [f"target: arn -> {LIVE}"]),
    (target(RoleArn="arn"), [f"role: arn -> {ROLE}"]),
)


@pytest.mark.parametrize(("live", "expected"), KNOWN)
def test_schedule_that_was_changed_by_hand_differs(live: dict[str, Any], expected: list[str]) -> None:
    wanted = schedule._wanted(HERE, spec(), Schedule("rate(1 day)"))
    assert [str(each) for each in differences(schedule._known({**PLAIN, **live}), wanted)] == expected


def test_schedule_that_no_read_showed_is_written() -> None:
    aws: Any = Calls(AwsError("x", code="ConflictException"))
    schedule._create(aws, {"Name": "n"})
    assert aws.made == [("scheduler", name, {"Name": "n"}) for name in ("create_schedule", "update_schedule")]
    other: Any = Calls(AwsError("x", code="Other"))
    with pytest.raises(AwsError):
        schedule._create(other, {"Name": "n"})
    assert len(other.made) == 1


PATTERN = {"source": ["shop"], "detail": {"a": [1]}}
RULE = {"EventPattern": '{"detail":{"a":[1]},"source":["shop"]}', "State": "ENABLED"}
OWN = {"Id": "lambda-script", "Arn": LIVE}


@pytest.mark.parametrize(
    ("rule", "targeted", "trigger", "expected"),
    [
        (RULE, OWN, EventTrigger(PATTERN), []),
        ({**RULE, "ScheduleExpression": ""}, {**OWN, "Input": ""}, EventTrigger(PATTERN), []),
        ({**RULE, "State": "DISABLED"}, OWN, EventTrigger(PATTERN), ["enabled: False -> True"]),
        (RULE, OWN, EventTrigger(PATTERN, enabled=False), ["enabled: True -> False"]),
        ({**RULE, "State": "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"}, OWN, EventTrigger(PATTERN), []),
        ({**RULE, "ScheduleExpression": "rate(1 day)"}, OWN, EventTrigger(PATTERN), ["schedule: rate(1 day) -> none"]),
        ({"State": "ENABLED"}, OWN, EventTrigger({"a": [1]}), ['pattern: none -> {"a": [1]}']),
        ({**RULE, "EventPattern": "x"}, OWN, EventTrigger({"a": [1]}), ['pattern: x -> {"a": [1]}']),
        (RULE, {}, EventTrigger(PATTERN), [f"target: none -> {LIVE}"]),
        (RULE, {**OWN, "Input": "{}"}, EventTrigger(PATTERN), ["input: {} -> none"]),
        (RULE, {**OWN, "InputPath": "$.a"}, EventTrigger(PATTERN), ["input: $.a -> none"]),
        (RULE, {**OWN, "InputTransformer": {"a": 1}}, EventTrigger(PATTERN), ['input: {"a": 1} -> none']),
    ],
)
def test_rule_with_a_pattern_is_compared_as_a_whole(
    rule: dict[str, Any], targeted: dict[str, Any], trigger: EventTrigger, expected: list[str]
) -> None:
    live = event_pattern_rule._Live(rule, {}, targeted)
    ruled, of_target = event_pattern_rule._compare(live, trigger, LIVE)
    assert [str(each) for each in (*ruled, *of_target)] == expected
    assert all(str(each).startswith(("target", "input")) for each in of_target)


def test_rule_is_written_with_what_is_not_managed() -> None:
    tagged = spec(tags={"team": "data"})
    trigger = EventTrigger(PATTERN, "orders", "shop", enabled=False)
    aws: Any = Calls()
    event_pattern_rule._put_rule(aws, tagged, trigger, None)
    common = {"Name": "f-orders", "EventBusName": "shop", "EventPattern": RULE["EventPattern"], "State": "DISABLED"}
    tags = [("lambda-script:function", "f"), ("managed-by", "lambda_script"), ("team", "data")]
    new = {
        "Tags": [{"Key": key, "Value": value} for key, value in tags],
        "Description": "Events that start the Lambda function f",
    }
    others = {"Description": "theirs", "RoleArn": "arn"}
    live = event_pattern_rule._Live({**RULE, **others, "Arn": "x"}, {}, {})
    event_pattern_rule._put_rule(aws, tagged, trigger, live)
    event_pattern_rule._put_rule(aws, tagged, trigger, event_pattern_rule._Live(RULE, {}, {}))
    assert aws.made == [("events", "put_rule", {**common, **more}) for more in (new, others, {})]


def test_target_of_a_rule_keeps_its_retries() -> None:
    kept = {"DeadLetterConfig": {"Arn": QUEUE}, "RetryPolicy": {"MaximumRetryAttempts": 1}}
    rule = event_pattern_rule._Rule("f-orders", "shop")
    aws: Any = Calls()
    event_pattern_rule._put_target(aws, "f", rule, {**OWN, **kept, "Input": "{}"})
    event_rule._put_target(aws, "f", {**OWN, **kept, "Input": "{}"})
    event_rule._put_target(aws, "f", {})
    assert aws.made == [
        ("events", "put_targets", {"Rule": "f-orders", "EventBusName": "shop", "Targets": [{**OWN, **kept}]}),
        ("events", "put_targets", {"Rule": "f-schedule", "Targets": [{**OWN, **kept}]}),
        ("events", "put_targets", {"Rule": "f-schedule", "Targets": [OWN]}),
    ]
    failed = {"FailedEntryCount": 1, "FailedEntries": [{"ErrorCode": "Limit", "ErrorMessage": "too many"}]}
    refusing: Any = Calls(failed)
    with pytest.raises(AwsError, match="schedule f-schedule: EventBridge did not accept its target: too many") as said:
        event_rule._put_target(refusing, "f", {})
    assert said.value.code == "Limit"
    event_rule.require_all({"FailedEntryCount": 0, "FailedEntries": []}, "x", "accept")


@pytest.mark.parametrize(
    ("name", "bus", "resource"),
    [
        ("r", "default", "rule/r"),
        ("r", "shop", "rule/shop/r"),
        ("r", "aws.partner/shop.com/orders", "rule/aws.partner/shop.com/orders/r"),
    ],
)
def test_rule_is_found_by_its_arn(name: str, bus: str, resource: str) -> None:
    rule = event_pattern_rule._Rule(name, bus)
    assert rule.resource == resource
    assert event_pattern_rule._Rule.of(resource) == rule
    assert (rule.named, rule.ruled) == (
        {"Name": name, "EventBusName": bus},
        {"Rule": name, "EventBusName": bus},
    )
    declared = spec(name="x", event_triggers=(EventTrigger(PATTERN, "r", bus),))
    start = "arn:aws:events:eu-west-2:123456789012"
    rules = [f"{start}:{resource.replace('/r', '/x-r')}" if bus == "default" else f"{start}:rule/{bus}/x-r"]
    buses = [] if bus == "default" else [f"{start}:event-bus/{bus}"]
    assert event_pattern_rule.deployer_resources(declared, HERE) == [*rules, *buses]


def subscription(**attributes: str) -> Any:
    return topic_subscription._Subscription("sub", LIVE, attributes)


NEW = {"kind": ["new"]}


@pytest.mark.parametrize(
    ("own", "trigger", "expected"),
    [
        (subscription(), TopicTrigger("t"), []),
        (subscription(FilterPolicy="{}", FilterPolicyScope="MessageBody"), TopicTrigger("t"), []),
        (subscription(FilterPolicy='{"kind":["new"]}'), TopicTrigger("t", NEW), []),
        (
            subscription(FilterPolicy='{"kind":["new"]}'),
            TopicTrigger("t"),
            ['filter_policy: {"kind": ["new"]} -> none'],
        ),
        (subscription(), TopicTrigger("t", NEW), ['filter_policy: none -> {"kind": ["new"]}']),
        (subscription(FilterPolicy="x"), TopicTrigger("t"), ["filter_policy: x -> none"]),
        (
            subscription(FilterPolicy='{"kind":["new"]}', FilterPolicyScope="MessageBody"),
            TopicTrigger("t", NEW),
            ["filter_scope: MessageBody -> MessageAttributes"],
        ),
        (
            subscription(FilterPolicy='{"kind":["new"]}'),
            TopicTrigger("t", NEW, "MessageBody"),
            ["filter_scope: MessageAttributes -> MessageBody"],
        ),
    ],
)
def test_filter_of_a_subscription_is_compared(own: Any, trigger: TopicTrigger, expected: list[str]) -> None:
    assert [str(each) for each in topic_subscription._filter_differences(own, trigger)] == expected


def test_filter_is_sent_with_its_scope_and_removed_without() -> None:
    aws: Any = Calls()
    topic_subscription._set_filter(aws, "sub", TopicTrigger("t", NEW, "MessageBody"))
    topic_subscription._set_filter(aws, "sub", TopicTrigger("t"))
    sent = [("FilterPolicyScope", "MessageBody"), ("FilterPolicy", '{"kind": ["new"]}'), ("FilterPolicy", "{}")]
    assert aws.made == [
        (
            "sns",
            "set_subscription_attributes",
            {"SubscriptionArn": "sub", "AttributeName": name, "AttributeValue": value},
        )
        for name, value in sent
    ]


def test_alias_is_subscribed_to_a_topic_that_exists() -> None:
    topic = "arn:aws:sns:eu-west-2:123456789012:orders"
    aws: Any = Calls()
    topic_subscription._subscribe(aws, "f", topic, LIVE, TopicTrigger("orders", NEW, "MessageBody"))
    topic_subscription._subscribe(aws, "f", topic, LIVE, TopicTrigger("orders"))
    filtered = {"FilterPolicy": '{"kind": ["new"]}', "FilterPolicyScope": "MessageBody"}
    common = {"TopicArn": topic, "Protocol": "lambda", "Endpoint": LIVE}
    assert aws.made == [("sns", "subscribe", {**common, "Attributes": each}) for each in (filtered, {})]
    missing: Any = Calls(AwsError("x", code="NotFound"))
    with pytest.raises(AwsError, match="There is no topic orders to trigger f") as said:
        topic_subscription._subscribe(missing, "f", topic, LIVE, TopicTrigger("orders"))
    assert said.value.code == "NotFound"
    denied: Any = Calls(AwsError("no", code="AccessDenied"))
    with pytest.raises(AwsError, match=r"^no$"):
        topic_subscription._subscribe(denied, "f", topic, LIVE, TopicTrigger("orders"))
    topic_subscription._require_same_region("f", topic, topic)
    with pytest.raises(TriggerError, match="is in eu-west-2, and the function is in us-east-1"):
        topic_subscription._require_same_region("f", topic, topic.replace("eu-west-2", "us-east-1"))
    both = spec(topic_triggers=(TopicTrigger("orders"), TopicTrigger(topic.replace("orders", "a"))))
    assert topic_subscription.deployer_resources(both, HERE) == [topic.replace("orders", "a"), topic]
    assert topic_subscription.subscription_name("f", topic) == "f on orders"
