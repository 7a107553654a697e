"""When the emulator fires a schedule, to the second, what it sends, and which role may send it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack.aws_emulator.emulator_schedules import Schedules, allows, may_invoke
from lambda_toolkit.spec.schedules.fire_times import next_fire

NINE = datetime(2026, 7, 1, 9, tzinfo=UTC).timestamp()
KEY = ("000000000000", "eu-west-2", "totes-dev/load")
GROUP = "arn:aws:scheduler:eu-west-2:000000000000:schedule-group/totes-dev"
FUNCTION = "arn:aws:lambda:eu-west-2:000000000000:function:load:live"
TRUST = {"aws:SourceAccount": "000000000000", "aws:SourceArn": GROUP}
DAILY, MINUTELY, ONCE = "cron(0 9 ? * * *)", "rate(1 minute)", "at(2026-07-01T09:00:00)"
OVER = "at(2020-01-01T00:00:00)"


def role(allowed: Any = None, **changes: Any) -> dict[str, Any]:
    """A role that trusts Scheduler, with one policy; ``changes`` are of the statement that trusts."""
    trusting = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}}
    trusting |= {"Condition": {"StringEquals": TRUST}, **changes}
    allowed = allowed or {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": FUNCTION}
    return {"AssumeRolePolicyDocument": {"Statement": trusting}, "InlinePolicies": {"p": {"Statement": allowed}}}


class Clock:
    """Schedules with everything around them replaced; what was invoked, and in which account and region."""

    def __init__(self, at: float, **changes: Any) -> None:
        self.at = at
        self.invoked: list[Any] = []
        self.entered: list[Any] = []
        target = {"Arn": FUNCTION, "RoleArn": "arn:aws:iam::000000000000:role/path/mine", "Input": "{}"}
        times = {"CreationDate": 0, "LastModificationDate": 0}
        self.schedule = {"ScheduleExpression": DAILY, "State": "ENABLED", "Arn": "arn:s", "Target": target, **times}
        self.schedule.update(changes)
        self.of = Schedules(
            stored={KEY: self.schedule},
            roles={"mine": role()},
            interval=lambda expression: 60.0 if expression == MINUTELY else None,
            next_fire=next_fire,
            enter=lambda *of: self.entered.append(of),
            invoke=lambda *of: self.invoked.append(of),
            now=lambda: self.at,
        )
        self.of.tick()

    def look(self, at: float) -> int:
        """How often it fires at a look."""
        self.invoked.clear()
        self.at = at
        self.of.tick()
        return len(self.invoked)


@pytest.mark.parametrize(
    ("changes", "before", "looked", "fires"),
    [
        ({}, -1, 0, True),
        ({}, -1, -0.5, False),
        ({}, 0, 1, False),
        ({"State": "DISABLED"}, -1, 0, False),
        ({"ScheduleExpressionTimezone": "Europe/London"}, -1, 0, False),
        ({"ScheduleExpressionTimezone": "Europe/London"}, -3601, -3600, True),
        ({"LastModificationDate": NINE - 0.5}, -1, 1, True),
        ({"LastModificationDate": NINE}, -1, 1, False),
        ({"StartDate": NINE}, -1, 0, True),
        ({"StartDate": "2026-07-01T09:00:00+00:00"}, -1, 0, True),
        ({"StartDate": NINE + 1}, -1, 0, False),
        ({"StartDate": NINE + 1}, -1, 2, False),
        ({"EndDate": NINE}, -1, 0, True),
        ({"EndDate": NINE}, -1, 0.5, False),
        ({"EndDate": "2026-07-01T09:00:01+00:00"}, -1, 0.5, True),
        ({"StartDate": NINE - 9, "EndDate": NINE + 9}, -1, 0, True),
        ({"ScheduleExpression": ONCE}, -1, 0, True),
        ({"ScheduleExpression": OVER}, -1, 0, False),
        ({"ScheduleExpression": MINUTELY, "CreationDate": NINE}, 0, 59.5, False),
        ({"ScheduleExpression": MINUTELY, "CreationDate": NINE}, 0, 60, True),
        ({"ScheduleExpression": MINUTELY, "CreationDate": NINE, "StartDate": NINE + 30}, 0, 89.5, False),
        ({"ScheduleExpression": MINUTELY, "CreationDate": NINE, "StartDate": NINE + 30}, 0, 90, True),
        ({"ScheduleExpression": MINUTELY, "CreationDate": NINE, "EndDate": NINE + 59}, 0, 60, False),
        ({"Target": {}}, -1, 0, False),
    ],
)
def test_schedule_fires_between_two_looks(changes: dict[str, Any], before: float, looked: float, fires: bool) -> None:
    """Times in seconds from nine o'clock, when it is due."""
    clock = Clock(NINE + before, **changes)
    assert clock.look(NINE + looked) == fires
    assert clock.look(NINE + looked) == 0, "not twice"


def test_interval_counts_from_the_last_firing() -> None:
    clock = Clock(NINE, ScheduleExpression=MINUTELY, CreationDate=NINE)
    assert [clock.look(NINE + seconds) for seconds in (70, 129, 130, 189)] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("expression", "action", "kept"),
    [
        (ONCE, "DELETE", False),
        (ONCE, "NONE", True),
        (ONCE, None, True),
        (DAILY, "DELETE", True),
        (OVER, "DELETE", True),
    ],
)
def test_schedule_for_once_is_deleted_if_it_says_so(expression: str, action: str | None, kept: bool) -> None:
    clock = Clock(NINE - 1, ScheduleExpression=expression, ActionAfterCompletion=action)
    clock.look(NINE)
    assert (KEY in clock.of.stored) is kept


def test_event_of_a_schedule_is_that_of_its_account(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(NINE - 1)
    assert clock.look(NINE) == 1 and clock.entered == [("000000000000", "eu-west-2")]
    [(target, event, schedule)] = clock.invoked
    assert (target, schedule) == (clock.schedule["Target"], clock.schedule)
    assert len(event.pop("EventId")) == 36
    assert event == {
        "Source": "aws.scheduler",
        "DetailType": "Scheduled Event",
        "Detail": "{}",
        "Time": NINE,
        "Resources": ["arn:s"],
        "Account": "000000000000",
        "Region": "eu-west-2",
    }
    for change in ({"RoleArn": "arn:aws:iam::000000000000:role/none"}, {"Arn": "arn:other"}):
        clock = Clock(NINE - 1, Target={**target, **change})
        with caplog.at_level(logging.WARNING, logger="launcher"):
            assert clock.look(NINE) == 0
    assert len(caplog.records) == 2, "who waits for it finds out why"


@pytest.mark.parametrize(
    ("changes", "trusted"),
    [
        ({}, True),
        ({"Condition": {}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceAccount": "000000000000"}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceArn": GROUP}}}, True),
        ({"Condition": {"StringEquals": {**TRUST, "aws:SourceAccount": "111111111111"}}}, False),
        ({"Condition": {"StringEquals": {**TRUST, "aws:SourceArn": f"{GROUP}2"}}}, False),
        ({"Principal": {"Service": "lambda.amazonaws.com"}}, False),
        ({"Principal": {}}, False),
        ({"Effect": "Deny"}, False),
    ],
)
def test_role_trusts_schedules_of_its_group(changes: dict[str, Any], trusted: bool) -> None:
    assert may_invoke(role(**changes), "000000000000", GROUP, FUNCTION) is trusted
    more = role(**changes)
    more["AssumeRolePolicyDocument"]["Statement"] = [{"Effect": "Allow"}, more["AssumeRolePolicyDocument"]["Statement"]]
    assert may_invoke(more, "000000000000", GROUP, FUNCTION) is trusted, "one statement of several is enough"


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([("Allow", "lambda:InvokeFunction", FUNCTION)], True),
        ([("Allow", ["s3:*", "lambda:Invoke*"], ["arn:none", "arn:aws:lambda:*"])], True),
        ([("Allow", "s3:*", "*"), ("Allow", "*", FUNCTION)], True),
        ([("Allow", "s3:*", FUNCTION), ("Allow", "lambda:InvokeFunction", "arn:none")], False),
        ([("Deny", "*", "*")], False),
        ([("Allow", None, "*")], False),
        ([("Allow", "*", None)], False),
        ([], False),
    ],
)
def test_policy_allows_an_action_on_a_resource(statements: list[tuple[str, Any, Any]], allowed: bool) -> None:
    listed = [{"Effect": effect, "Action": action, "Resource": of} for effect, action, of in statements]
    document = {"Statement": [{name: value for name, value in each.items() if value} for each in listed]}
    for written in (document, json.dumps(document)):
        policies = {"InlinePolicies": {"empty": None, "p": written}}
        assert allows(policies, "lambda:InvokeFunction", FUNCTION) is allowed
    assert not allows({}, "lambda:InvokeFunction", FUNCTION)
