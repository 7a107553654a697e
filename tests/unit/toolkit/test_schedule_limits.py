"""Each limit of a schedule at its edges: what EventBridge Scheduler takes, and what it would refuse."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.errors import ScheduleError
from lambda_toolkit.spec.limits import schedule_quotas
from lambda_toolkit.spec.limits.quotas import function_doubts, function_problems
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.ownership import APPLICATION_TAG, STAGE_TAG
from lambda_toolkit.spec.schedules import schedule as schedules
from lambda_toolkit.spec.schedules.schedule import Schedule, group_name, moment, read, schedule_name

QUEUE = "arn:aws:sqs:eu-west-2:123456789012:failed"
DAILY = "cron(0 9 * * ? *)"
ZONE = "Europe/London"


def shown(value: object) -> str:
    """The start of the name of a case."""
    return str(value)[:60]


def spec(*declared: Schedule) -> FunctionSpec:
    return FunctionSpec("f", Path("f.py"), schedules=declared)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


TAKEN: tuple[dict[str, Any], ...] = (
    {"name": "x" * 23},
    {"name": "A_b-9"},
    {"timezone": "UTC"},
    {"timezone": "Etc/UTC", "start": "2027-01-01"},
    {"timezone": ZONE, "start": "2027-01-01", "end": "2027-01-01T00:00:01"},
    {"start": "2027-01-01T00:00:00+14:00"},
    {"end": "2027-01-01"},
    {"flexible_minutes": 0, "retries": 0, "max_event_age": 60},
    {"flexible_minutes": 1440, "retries": 185, "max_event_age": 86_400},
    {"dead_letter_queue": QUEUE},
    {"dead_letter_queue": f"arn:aws-cn:sqs:cn-north-1:123456789012:{'q' * 80}"},
    {"input": {"a": [1, None, "é"]}},
    {"input": None},
)


@pytest.mark.parametrize("different", TAKEN, ids=shown)
def test_schedule_that_scheduler_takes_has_no_finding(different: dict[str, Any]) -> None:
    declared = spec(Schedule(DAILY, **different))
    assert [*function_problems(declared), *function_doubts(declared)] == []


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"name": "x" * 24}, "its name must be"),
    ({"name": "a.b"}, "its name must be"),
    ({"timezone": "Europe/Lodnon"}, "Did you mean Europe/London?"),
    ({"timezone": "Nowhere", "start": "no time"}, "Write it like Europe/London."),
    ({"flexible_minutes": -1}, "flexible_minutes -1"),
    ({"flexible_minutes": 1441}, "flexible_minutes 1441"),
    ({"retries": -1}, "retries -1"),
    ({"retries": 186}, "retries 186"),
    ({"max_event_age": 59}, "max_event_age 59"),
    ({"max_event_age": 86_401}, "max_event_age 86401"),
    ({"dead_letter_queue": f"{QUEUE}.fifo"}, "dead_letter_queue"),
    ({"dead_letter_queue": f"arn:aws:sqs:eu-west-2:123456789012:{'q' * 81}"}, "dead_letter_queue"),
    ({"input": {1, 2}}, "cannot be sent as JSON"),
    ({"input": float("nan")}, "cannot be sent as JSON"),
    ({"start": "tomorrow"}, "start `tomorrow` is not a time"),
    ({"end": "tomorrow", "start": "2027-01-01"}, "end `tomorrow` is not a time"),
    ({"start": "0001-01-01T00:00:00+14:00"}, "start `0001"),
    ({"start": "2027-01-01", "end": "2027-01-01"}, "it ends (2027-01-01) before"),
    ({"start": "2027-01-02", "end": "2027-01-01"}, "it ends (2027-01-01) before"),
    # The clock in London is an hour ahead of UTC in summer.
    ({"timezone": ZONE, "start": "2027-07-01T09:00Z", "end": "2027-07-01T10:00"}, "it ends"),
)


@pytest.mark.parametrize(("different", "says"), REFUSED, ids=shown)
def test_schedule_that_scheduler_refuses_has_one_finding(different: dict[str, Any], says: str) -> None:
    declared = spec(Schedule(DAILY, **different))
    [found] = [*function_problems(declared), *function_doubts(declared)]
    assert found.startswith(f"its schedule `{DAILY}`:")
    assert says in found


def test_schedules_that_have_the_same_name_are_refused() -> None:
    three = (Schedule(DAILY, name="a"), Schedule("rate(1 day)", name="b"), Schedule("rate(2 days)", name="a"))
    [found] = function_problems(spec(*three))
    assert found.startswith("two schedules are called `a`;")
    [found] = function_problems(spec(Schedule(DAILY), Schedule("rate(1 day)"), Schedule(DAILY, retries=3)))
    assert found.startswith("two schedules are the same;")
    different = (Schedule(DAILY), Schedule(DAILY, ZONE), Schedule(DAILY, input=1), Schedule("rate(1 day)"))
    assert function_problems(spec(*different)) == []


def test_machine_without_time_zones_leaves_them_to_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_quotas, "zones", frozenset)
    inside = spec(Schedule(DAILY, ZONE))
    assert function_problems(inside) == []
    [doubt] = function_doubts(inside)
    assert "AWS decides on `Europe/London`" in doubt
    for limited in (Schedule(DAILY, ZONE, start="2027-01-01"), Schedule(DAILY, ZONE, end="2027-01-01")):
        [problem] = function_problems(spec(limited))
        assert "install tzdata" in problem
    assert function_problems(spec(Schedule(DAILY, start="2027-01-01", end="2027-01-02"))) == []


@pytest.mark.parametrize(
    ("value", "timezone", "rule", "found"),
    [
        (None, None, None, None),
        ("", None, "", ()),
        ([], None, "", ()),
        ("rate(5 minutes)", None, "rate(5 minutes)", ()),
        ("0 9 * * *", "UTC", DAILY, ()),
        ({"expression": DAILY, "timezone": "Etc/UTC", "name": "nine"}, ZONE, DAILY, ()),
        (["", DAILY], None, DAILY, ()),
        ("rate(1 day)", ZONE, "rate(1 day)", ()),
        ("rate(1 day)", "Nowhere", "", (Schedule("rate(1 day)", "Nowhere", "schedule"),)),
        (DAILY, ZONE, "", (Schedule(DAILY, ZONE, "schedule"),)),
        ({"expression": DAILY, "timezone": ZONE}, "Asia/Tokyo", "", (Schedule(DAILY, ZONE, "schedule"),)),
        ("at(2027-01-31T09:00:00)", None, "", (Schedule("at(2027-01-31T09:00:00)", "", "schedule"),)),
        (Schedule(DAILY, name="nine", retries=3), None, "", (Schedule(DAILY, name="nine", retries=3),)),
        ({"expression": "@hourly", "input": 0}, None, "", (Schedule("cron(0 * * * ? *)", "", "schedule", 0),)),
        ([DAILY, "@hourly"], ZONE, "", (Schedule(DAILY, ZONE), Schedule("cron(0 * * * ? *)", ZONE))),
    ],
    ids=shown,
)
def test_declared_schedule_is_a_rule_where_a_rule_can_do_it(
    value: Any, timezone: str | None, rule: str | None, found: tuple[Schedule, ...] | None
) -> None:
    assert read(value, timezone) == (rule, found)
    assert Schedule.read(value, timezone) == (rule, found)


@pytest.mark.parametrize(
    ("value", "timezone", "says"),
    [
        (None, ZONE, "no schedule is declared beside it"),
        (DAILY, 5, "timezone must be"),
        (None, 0, "timezone must be"),
        (b"rate(1 day)", None, "schedule must be a string"),
        ({1: 2}, None, "the unknown key `1`"),
        ({"expression": DAILY, "b": 1, "a": 2}, None, "the unknown key `a, b`"),
        ({"name": "a"}, None, "has no `expression`"),
        ({"expression": DAILY, "retries": True}, None, "retries must be an integer, not True"),
        ({"expression": DAILY, "max_event_age": None}, None, "max_event_age must be an integer"),
        ({"expression": DAILY, "flexible_minutes": 1.5}, None, "flexible_minutes must be an integer"),
        ({"expression": DAILY, "start": 5}, None, "start must be a string"),
        ({"expression": DAILY, "name": None}, None, "name must be a string"),
        ([[DAILY]], None, "schedule must be a string"),
    ],
    ids=shown,
)
def test_declared_schedule_of_another_form_is_refused(value: Any, timezone: Any, says: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        read(value, timezone)
    assert says in str(refused.value)


def test_names_on_aws_fit_and_differ_between_functions() -> None:
    """Scheduler allows 64 characters; the name of a schedule role is one of IAM, with 64, too."""
    assert schedule_name("report", Schedule(DAILY, name="nine")) == "report.nine"
    assert Schedule.owner("report") == "report"
    assert schedules.schedule_role_name("report") == "report.schedule-role"
    one, other = "x" * 63 + "1", "x" * 63 + "2"
    names = {schedule_name(function, Schedule(DAILY, name="n" * 23)) for function in (one, other)}
    assert len(names) == 2
    assert {len(name) for name in names} == {64}
    assert len(Schedule(DAILY, ZONE).label) <= 23
    assert schedules.owner_name("x" * 40) == "x" * 40


def test_group_is_that_of_application_and_stage() -> None:
    assert group_name("report", {APPLICATION_TAG: "shop", STAGE_TAG: "dev"}) == "shop-dev"
    assert group_name("report", {APPLICATION_TAG: "shop"}) == "shop"
    assert group_name("report", {STAGE_TAG: "dev"}) == group_name("report", {}) == "report"
    assert group_name("report", {APPLICATION_TAG: "A.b_c-9"}) == "A.b_c-9"
    spaces = {group_name("f", {APPLICATION_TAG: name}) for name in ("my shop", "my/shop", "my-shop")}
    assert len(spaces) == 3
    assert all(name.startswith("my-shop") for name in spaces)
    assert len(group_name("f", {APPLICATION_TAG: "x" * 100})) == 64


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("", ZONE, None),
        ("2027-07-01T09:00:00.5", ZONE, "2027-07-01T08:00"),
        ("2027-07-01T09:00", "", "2027-07-01T09:00"),
        ("2027-07-01T09:00", "Etc/UTC", "2027-07-01T09:00"),
        ("2027-07-01T09:00+02:00", ZONE, "2027-07-01T07:00"),
        ("2027-07-01", "Asia/Tokyo", "2027-06-30T15:00"),
    ],
)
def test_time_without_offset_is_of_the_time_zone(text: str, zone: str, expected: str | None) -> None:
    assert moment(text, zone) == (at(expected) if expected else None)
    declared = Schedule(DAILY, zone, start=text, end=text)
    assert (declared.starts, declared.ends) == (moment(text, zone), moment(text, zone))


@pytest.mark.parametrize(
    ("declared", "fires"),
    [
        (Schedule(DAILY), "2027-01-01T09:00"),
        (Schedule(DAILY, "Asia/Tokyo"), "2027-01-02T00:00"),
        (Schedule(DAILY, "Nowhere"), None),
        (Schedule(DAILY, start="2027-02-01"), "2027-02-01T09:00"),
        (Schedule(DAILY, start="2026-02-01"), "2027-01-01T09:00"),
        (Schedule(DAILY, end="2027-01-01T09:00"), "2027-01-01T09:00"),
        (Schedule(DAILY, end="2027-01-01T08:59"), None),
        (Schedule("rate(1 day)"), None),
        (Schedule("at(2027-01-31T09:00:00)", ZONE), "2027-01-31T09:00"),
    ],
    ids=shown,
)
def test_next_time_is_between_start_and_end(declared: Schedule, fires: str | None) -> None:
    assert declared.next_fire(at("2027-01-01T00:30")) == (at(fires) if fires else None)


@pytest.mark.parametrize(
    ("declared", "ended"),
    [
        (Schedule(DAILY), False),
        (Schedule(DAILY, end="2027-01-01T12:00"), True),
        (Schedule(DAILY, end="2027-01-01T12:01"), False),
        (Schedule("at(2027-01-01T12:00:00)"), True),
        (Schedule("at(2027-01-01T12:00:00)", "America/New_York"), False),
        (Schedule("at(2027-01-01T13:00:00)", end="2027-01-01T11:00"), True),
    ],
    ids=shown,
)
def test_schedule_ends_with_its_end_or_its_only_time(declared: Schedule, ended: bool) -> None:
    assert declared.has_ended(at("2027-01-01T12:00")) is ended


def test_time_zone_is_shown_where_it_matters() -> None:
    assert str(Schedule(DAILY, ZONE)) == f"{DAILY} {ZONE}"
    assert str(Schedule(DAILY, "Etc/UTC")) == DAILY
    assert str(Schedule("rate(1 day)", ZONE)) == "rate(1 day)"
