"""Schedules of EventBridge Scheduler: zones, inputs, drift, ownership, and the change from a rule and back."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lambda_script import DeployError, Deployment, LimitError, OwnershipError, PlanError, Schedule, ScheduleError
from lambda_toolkit.aws.client import Aws, Clock
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.spec.schedules.fire_times import fires
from tests.support.moto_scheduler import may_assume
from tests.support.sessions import REGION

ACCOUNT = "123456789012"  # moto's
GROUP = "my-function-dev"
GROUP_ARN = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/{GROUP}"
LIVE = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function:live"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:unstarted"
ROLE = "my-function.schedule-role"
THEIRS = f"arn:aws:iam::{ACCOUNT}:role/theirs"
NINE = {"schedule": "0 9 * * MON-FRI", "timezone": "Europe/London"}
FULL = Schedule(
    "0 9 * * MON-FRI",
    "Europe/London",
    input={"mode": "full", "day": "Montag, März"},
    flexible_minutes=15,
    retries=3,
    max_event_age=3600,
    dead_letter_queue=QUEUE,
    start="2126-12-01",
    end="2127-12-01T00:00:00+00:00",
)


def schedules(client, group: str = GROUP) -> dict[str, dict]:
    scheduler = client("scheduler")
    try:
        names = [item["Name"] for item in scheduler.list_schedules(GroupName=group)["Schedules"]]
    except scheduler.exceptions.ResourceNotFoundException:
        return {}
    return {name: scheduler.get_schedule(GroupName=group, Name=name) for name in names}


def rules(client) -> list[str]:
    return [rule["Name"] for rule in client("events").list_rules()["Rules"]]


def roles(client) -> list[str]:
    return sorted(role["RoleName"] for role in client("iam").list_roles()["Roles"])


def left_in_scheduler(client) -> list[str]:
    return [item["Name"] for item in client("scheduler").list_schedule_groups()["ScheduleGroups"]]


def test_zone_makes_a_schedule_that_may_invoke_the_alias_alone(script, client, recorder) -> None:
    script(**NINE).deploy()
    [schedule] = schedules(client).values()
    assert (schedule["ScheduleExpression"], schedule["ScheduleExpressionTimezone"], schedule["State"]) == (
        "cron(0 9 ? * MON-FRI *)",
        "Europe/London",
        "ENABLED",
    )
    assert (schedule["Target"]["Arn"], schedule["FlexibleTimeWindow"]) == (LIVE, {"Mode": "OFF"})
    policy = client("iam").get_role_policy(RoleName=ROLE, PolicyName="lambda_script")["PolicyDocument"]
    assert policy["Statement"] == [{"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": [LIVE]}]
    role = schedule["Target"]["RoleArn"]
    assert may_assume(ACCOUNT, role, GROUP_ARN)
    assert not may_assume(ACCOUNT, role, f"{GROUP_ARN}-2"), "no schedule of another group"
    assert rules(client) == []
    tags = {
        tag["Key"]: tag["Value"] for tag in client("scheduler").list_tags_for_resource(ResourceArn=GROUP_ARN)["Tags"]
    }
    assert tags == {"managed-by": "lambda_script", "application": "my-function", "stage": "dev"}
    recorder.clear()
    assert script(**NINE).deploy().done == ()
    assert recorder.writes == []
    of_scheduler = ("ListSchedules", "GetSchedule", "ListTagsForResource")
    assert [recorder.calls.count(name) for name in of_scheduler] == [1, 1, 0]
    assert len(recorder.calls) <= 12


def test_rule_costs_the_calls_that_it_always_did(aws, script, client, recorder) -> None:
    """UTC, by whatever name, and a rate in any zone: no call of Scheduler, neither at first nor later."""
    declared = (
        {"schedule": "@daily"},
        {"schedule": "rate(1 hour)", "timezone": "Europe/London"},
        {"schedule": [Schedule("@daily", "UTC")]},
    )
    specs = tuple(script(**each, function_name_template=f"one-{number}").spec for number, each in enumerate(declared))
    deployment = Deployment(specs, application="shop", stage="dev")
    assert execute(aws, make_plan(aws, deployment, prune=True)).ok
    recorder.clear()
    assert not make_plan(aws, deployment, prune=True)
    assert not any("Schedule" in name for name in recorder.calls)
    assert len(rules(client)) == 3


def test_everything_that_scheduler_has_is_written_and_restored(script, client, recorder) -> None:
    script(schedule=FULL).deploy()
    [schedule] = schedules(client).values()
    target = schedule["Target"]
    assert json.loads(target["Input"]) == FULL.input
    assert schedule["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 3}
    assert target["DeadLetterConfig"] == {"Arn": QUEUE}
    assert schedule["StartDate"].astimezone(UTC) == datetime(2126, 12, 1, tzinfo=UTC)
    policy = client("iam").get_role_policy(RoleName=ROLE, PolicyName="lambda_script")["PolicyDocument"]
    assert policy["Statement"][1] == {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": [QUEUE]}
    assert not script(schedule=FULL).plan()

    by_hand = {
        "ScheduleExpression": "rate(1 minute)",
        "ScheduleExpressionTimezone": "Asia/Tokyo",
        "State": "DISABLED",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "StartDate": schedule["StartDate"] + timedelta(days=1),
        "EndDate": schedule["EndDate"] + timedelta(days=1),
        "Target": {"Arn": LIVE.removesuffix(":live"), "RoleArn": target["RoleArn"], "Input": "no JSON"},
    }
    client("scheduler").update_schedule(Name=schedule["Name"], GroupName=GROUP, Description="theirs", **by_hand)
    [planned] = script(schedule=FULL).plan().changes
    assert {item.attribute for item in planned.differences} == {
        *("schedule", "timezone", "state", "flexible minutes", "input", "retries", "max event age"),
        *("dead letter queue", "target", "start", "end"),
    }
    assert [change.key for change in script(schedule=FULL).deploy().done] == [planned.key]
    assert not script(schedule=FULL).plan()
    [schedule] = schedules(client).values()
    assert schedule["Description"] == "theirs", "what is not managed stays"
    client("scheduler").delete_schedule(GroupName=GROUP, Name=schedule["Name"])
    client("iam").delete_role_policy(RoleName=ROLE, PolicyName="lambda_script")
    client("scheduler").untag_resource(ResourceArn=GROUP_ARN, TagKeys=["stage"])
    assert {change.kind: change.action for change in script(schedule=FULL).deploy().done} == {
        "schedule role": "update",
        "schedule group": "update",
        "Scheduler schedule": "create",
    }
    assert not script(schedule=FULL).plan()


def test_several_schedules_each_have_an_input(script, client, recorder) -> None:
    morning = {"expression": "0 9 * * *", "input": {"mode": "full"}}
    evening = {"expression": "0 18 * * *", "input": {"mode": "delta"}, "timezone": "America/New_York"}
    script(schedule=[morning, evening], timezone="Europe/London").deploy()
    found = {
        item["ScheduleExpressionTimezone"]: json.loads(item["Target"]["Input"]) for item in schedules(client).values()
    }
    assert found == {"Europe/London": {"mode": "full"}, "America/New_York": {"mode": "delta"}}
    assert not script(schedule=[evening, morning], timezone="Europe/London").plan(), "their order means nothing"
    recorder.clear()
    changed = {**evening, "input": {"mode": "other"}}
    script(schedule=[morning, changed], timezone="Europe/London").deploy()
    assert recorder.writes == ["CreateSchedule", "DeleteSchedule"], "the new one first"
    named = [{**morning, "name": "morning"}, {**changed, "name": "evening"}]
    script(schedule=named, timezone="Europe/London").deploy()
    assert sorted(schedules(client)) == ["my-function.evening", "my-function.morning"]
    recorder.clear()
    script(schedule=[named[0], {**named[1], "expression": "0 19 * * *"}], timezone="Europe/London").deploy()
    assert recorder.writes == ["UpdateSchedule"]
    script(schedule=[{**named[0], "input": {}}, named[1]], timezone="Europe/London").deploy()
    assert schedules(client)["my-function.morning"]["Target"]["Input"] == "{}"
    script(schedule=[]).deploy()
    assert (schedules(client), roles(client)) == ({}, ["my-function-role"])
    assert not script(schedule=[]).plan()


@pytest.mark.parametrize(
    ("minute", "second"), [("08:59", 0), ("08:59", 59), ("09:00", 0), ("09:00", 59), ("09:01", 1), ("12:00", 0)]
)
def test_change_of_kind_never_misses_a_firing(script, session, client, recorder, fake_time, minute, second) -> None:
    """From a rule to a schedule and back, begun around a firing. AWS may start a target at any second of the minute.

    So a firing is certain where the new one was there before it, or the old one still was a minute after it.
    """
    begin = datetime.fromisoformat(f"2026-07-01 {minute}:{second:02}+00:00")

    def wall() -> float:
        return begin.timestamp() + fake_time.now()

    aws = Aws(REGION, session=session, clock=Clock(fake_time.now, fake_time.sleep, random=lambda: 1.0, wall=wall))
    at: dict[str, float] = {}

    def record(model, **_) -> None:
        at.setdefault(str(model.name), wall())

    session.events.register("before-call.*.*", record)
    declared = ({"schedule": "0 9 * * *"}, {"schedule": "0 10 * * *", "timezone": "Europe/London"})
    created, deleted = ("PutTargets", "CreateSchedule"), ("DeleteRule", "DeleteSchedule")

    def deploy(number: int) -> None:
        function = script(**declared[number], function_name_template="shop-dev-one")
        deployment = Deployment((function.spec,), application="shop", stage="dev")
        assert execute(aws, make_plan(aws, deployment, prune=True)).ok, "also where a role is found by its name"

    deploy(0)
    for number in (1, 0):
        begin = datetime.fromisoformat(f"2026-07-01 {minute}:{second:02}+00:00") - timedelta(seconds=fake_time.now())
        at.clear()
        deploy(number)
        new, old = at[created[number]], at[deleted[1 - number]]
        assert new <= old
        around = datetime.fromtimestamp(new, UTC) - timedelta(minutes=5)
        due = [item.timestamp() for item in fires("cron(0 9 * * ? *)", "", around)][:1]
        assert all(new < fire or fire + 60 <= old for fire in due)
        assert old - new <= 121, "it waits two minutes at the most"
        assert (minute != "12:00") or old == new, "and not at all where nothing is due"
    assert (schedules(client, "shop-dev"), rules(client)) == ({}, ["shop-dev-one-schedule"])


def test_old_one_stays_where_the_new_one_fails(script, client, recorder, fake_time) -> None:
    """The same command, given again, makes the change; meanwhile the rule fires."""
    script(schedule="0 9 * * *").deploy()
    with denied(recorder, "CreateSchedule"), pytest.raises(DeployError, match="scheduler:CreateSchedule"):
        script(**NINE).deploy()
    assert rules(client) == ["my-function-schedule"]
    script(**NINE).deploy()
    assert rules(client) == []
    for call in ("PutTargets", "DeleteRole", "DeleteSchedule"):
        with denied(recorder, call), pytest.raises(DeployError):
            script(schedule="0 9 * * *").deploy()
        assert schedules(client), f"after {call} was denied"
    script(schedule="0 9 * * *").deploy()
    assert (schedules(client), roles(client)) == ({}, ["my-function-role"])
    assert not script(schedule="0 9 * * *").plan()


@contextmanager
def denied(recorder, operation: str) -> Iterator[None]:
    faults = list(recorder._faults)
    recorder.refuse(operation, "AccessDeniedException", "not authorized to perform this")
    yield
    recorder._faults[:] = faults


def test_open_window_of_the_old_one_is_waited_for_or_named(script, session, client, fake_time) -> None:
    """A flexible window may start the function until its end: the old one stays, and the same command removes it."""
    now = datetime(2026, 7, 1, 8, 5, tzinfo=UTC).timestamp()
    clock = Clock(fake_time.now, fake_time.sleep, random=lambda: 1.0, wall=lambda: now + fake_time.now())
    aws = Aws(REGION, session=session, clock=clock)

    def plan(**declared):
        return make_plan(aws, Deployment((script(**declared).spec,), application="my-function", stage="dev"))

    flexible = Schedule("0 9 * * *", "Europe/London", flexible_minutes=30)
    assert execute(aws, plan(schedule=flexible)).ok
    report = execute(aws, plan(schedule="0 8 * * *"))
    assert "until 2026-07-01 08:31 UTC" in report.failed[0].message
    assert (len(schedules(client)), len(rules(client))) == (1, 1)
    fake_time.sleep(1600)
    assert execute(aws, plan(schedule="0 8 * * *")).ok
    assert (len(schedules(client)), len(rules(client))) == (0, 1)


def test_given_role_is_used_and_nothing_of_iam_is_touched(script, client, recorder) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"},
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
        ],
    }
    client("iam").create_role(RoleName="theirs", AssumeRolePolicyDocument=json.dumps(trust))
    given = {**NINE, "role": THEIRS, "schedule_role": THEIRS}
    with pytest.raises(LimitError, match="give a `schedule_role`, too"):
        script(**NINE, role=THEIRS)
    script(**given).deploy()
    [schedule] = schedules(client).values()
    assert schedule["Target"]["RoleArn"] == THEIRS
    assert not any("Role" in name for name in recorder.calls)
    script(**given).destroy()
    assert roles(client) == ["theirs"]
    script(**NINE).deploy()
    script(**NINE, schedule_role=THEIRS).deploy()
    assert roles(client) == ["my-function-role", "theirs"], "its own one is removed once it is unused"
    assert not script(**NINE, schedule_role=THEIRS).plan()


def test_destroy_removes_group_and_role_and_nothing_of_others(aws, script, client) -> None:
    script(**NINE).deploy()
    own = schedules(client)["my-function.schedule"]
    kept = {key: own[key] for key in ("GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    client("scheduler").create_schedule(Name="theirs", **kept)
    deployment = Deployment((script(**NINE).spec,), application="my-function", stage="dev")
    plan = make_destroy_plan(aws, deployment, delete_data=True)
    assert plan.notes == (f"schedule group {GROUP} is kept: it has schedules of others: theirs",)
    assert execute(aws, plan).ok
    assert list(schedules(client)) == ["theirs"]
    client("scheduler").delete_schedule(GroupName=GROUP, Name="theirs")
    assert script(**NINE).destroy().ok, "the same command removes the rest"
    assert (left_in_scheduler(client), roles(client)) == (["default"], [])


def test_prune_removes_what_no_function_declares(aws, script, client) -> None:
    def shop(*functions) -> Deployment:
        return Deployment(tuple(item.spec for item in functions), application="shop", stage="dev")

    def deploy(*functions) -> None:
        assert execute(aws, make_plan(aws, shop(*functions), prune=True)).ok
        assert not make_plan(aws, shop(*functions), prune=True)

    one, two = {"function_name_template": "shop-dev-one"}, {"function_name_template": "shop-dev-two"}
    deploy(script(**NINE, **one), script(**NINE, **two))
    assert sorted(schedules(client, "shop-dev")) == ["shop-dev-one.schedule", "shop-dev-two.schedule"]
    deploy(script(**one), script(**NINE, **two))
    assert list(schedules(client, "shop-dev")) == ["shop-dev-two.schedule"]
    assert "shop-dev-one.schedule-role" not in roles(client)
    client("lambda").delete_function(FunctionName="shop-dev-two")
    for name in ("shop-dev-two-role", "shop-dev-two.schedule-role"):
        client("iam").delete_role_policy(RoleName=name, PolicyName="lambda_script")
        client("iam").delete_role(RoleName=name)
    client("logs").delete_log_group(logGroupName="/aws/lambda/shop-dev-two")
    deploy(script(**one))
    assert left_in_scheduler(client) == ["default"], "also where nothing else is left of the function"


def test_group_of_others_is_refused_or_adopted(script, client, recorder) -> None:
    client("scheduler").create_schedule_group(Name=GROUP)
    with pytest.raises(OwnershipError, match=f"schedule group `{GROUP}` exists already"):
        script(**NINE).plan()
    assert script(**NINE, adopt=True).deploy().ok
    assert not script(**NINE).plan()
    client("scheduler").untag_resource(ResourceArn=GROUP_ARN, TagKeys=["managed-by"])
    with pytest.raises(OwnershipError):
        script(**NINE).plan()
    assert script(**NINE).destroy().ok
    assert list(schedules(client)) == ["my-function.schedule"], "it is not the toolkit's any more, so it stays"


def test_start_that_is_past_and_end_that_is_past(script, client) -> None:
    """AWS refuses a start that is past; one that has ended is not created, and stays where it is."""
    started = Schedule("0 9 * * *", "Europe/London", start="2026-01-01", end="2126-01-01")
    script(schedule=started).deploy()
    [schedule] = schedules(client).values()
    assert "StartDate" not in schedule
    assert not script(schedule=started).plan()
    ended = Schedule("0 9 * * *", "Europe/London", end="2026-01-01")
    assert not script(schedule=ended).plan()
    assert script(schedule=ended, function_name_template="other").deploy().ok
    assert schedules(client, "other-dev") == {}


def test_example_deploys_three_schedules_and_removes_them(client, monkeypatch) -> None:
    file = Path(__file__).parents[2] / "examples" / "schedules" / "deploy.py"
    monkeypatch.setenv("AWS_REGION", REGION)
    for arguments, names in (([], ["evening", "morning", "quarter"]), (["destroy"], [])):
        monkeypatch.setattr(sys, "argv", ["deploy.py", *arguments])
        runpy.run_path(str(file))
        assert sorted(schedules(client, "dev-report-dev")) == [f"dev-report.{name}" for name in names]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"schedule": "0 9 * * *", "timezone": "Europe/Lodnon"}, "Did you mean Europe/London"),
        ({"schedule": "0 9 * * *", "timezone": "europe/london"}, "not the name of a time zone"),
        ({"schedule": "0 9 * * *", "timezone": 5}, "timezone must be"),
        ({"schedule": 5}, "schedule must be a string"),
        ({"schedule": [5]}, "schedule must be a string"),
        ({"schedule": {"input": {}}}, "no `expression`"),
        ({"schedule": {"expression": "@daily", "zone": "UTC"}}, "the unknown key `zone`"),
        ({"schedule": {"expression": "@daily", "retries": "3"}}, "retries must be an integer"),
        ({"schedule": {"expression": 5}}, "expression must be a string"),
        ({"schedule": {"expression": "9 o'clock"}}, "has 2 fields"),
        ({"schedule": {"expression": "@daily", "retries": 186}}, "retries 186 is outside 0 to 185"),
        ({"schedule": {"expression": "@daily", "max_event_age": 59}}, "max_event_age 59 is outside 60 to 86400"),
        ({"schedule": {"expression": "@daily", "flexible_minutes": 1441}}, "flexible_minutes 1441 is outside 0"),
        ({"schedule": {"expression": "@daily", "dead_letter_queue": f"{QUEUE}.fifo"}}, "ARN of a standard queue"),
        ({"schedule": {"expression": "@daily", "input": {1, 2}}}, "cannot be sent as JSON"),
        ({"schedule": {"expression": "@daily", "start": "tomorrow"}}, "start `tomorrow` is not a time of ISO 8601"),
        ({"schedule": {"expression": "@daily", "start": "2027-02-01", "end": "2027-01-01"}}, "ends .* before it"),
        ({"schedule": ["@daily", "@daily"]}, "two schedules are the same"),
        ({"schedule": [{"expression": "@daily", "name": "a"}, {"expression": "@hourly", "name": "a"}]}, "called `a`"),
        ({"schedule": [{"expression": "@daily", "name": "a.b"}, "@hourly"]}, "its name must be 1 to 23"),
        ({"schedule": "0 9 * * *", "timezone": "Europe/London", "schedule_role": "scheduler"}, "not the ARN of a role"),
    ],
)  # fmt: skip
def test_schedule_that_aws_would_reject_is_refused(script, recorder, declared, message) -> None:
    with pytest.raises((ScheduleError, LimitError, PlanError), match=message):
        script(**declared)
    assert recorder.calls == []
