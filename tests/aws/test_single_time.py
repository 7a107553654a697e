"""A schedule that fires once: in its zone, deleted by Scheduler, never made again; and what Scheduler costs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lambda_script import Schedule, ScheduleError
from lambda_toolkit.pipeline.cost.workload import Declared, month, of_spec

GROUP = "my-function-dev"


def schedules(client) -> dict[str, dict]:
    scheduler = client("scheduler")
    names = [item["Name"] for item in scheduler.list_schedules(GroupName=GROUP)["Schedules"]]
    return {name: scheduler.get_schedule(GroupName=GROUP, Name=name) for name in names}


def test_single_time_is_deleted_by_scheduler_and_not_made_again(script, client) -> None:
    """In its zone; when its time is past, it is not created again."""
    once = {"schedule": "at(2126-07-01T09:00:00)", "timezone": "Europe/London"}
    declared = script(**once, stage="dev")
    declared.deploy()
    [(name, live)] = schedules(client).items()
    assert (live["ScheduleExpression"], live["ScheduleExpressionTimezone"]) == (once["schedule"], once["timezone"])
    assert live["ActionAfterCompletion"] == "DELETE"
    assert not declared.plan()
    later = script(**{**once, "schedule": "at(2126-07-02T09:00:00)"}, stage="dev")
    assert [str(change.kind) for change in later.plan().changes] == ["Scheduler schedule"]
    later.deploy()
    assert schedules(client)[name]["ScheduleExpression"] == "at(2126-07-02T09:00:00)"
    assert not later.plan()
    client("scheduler").delete_schedule(GroupName=GROUP, Name=name)  # as Scheduler does when it has fired
    past = script(schedule="at(2020-07-02T09:00:00)", timezone="Europe/London", stage="dev")
    assert not [change for change in past.plan().changes if change.action == "create"]


def test_single_time_that_was_changed_by_hand_is_restored(script, client) -> None:
    """Also that it is to be deleted: else it would stay when it has fired."""
    declared = script(schedule="at(2126-07-01T09:00:00)", timezone="Europe/London", stage="dev")
    declared.deploy()
    [(name, live)] = schedules(client).items()
    sent = ("ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target")
    kept = {key: live[key] for key in sent}
    client("scheduler").update_schedule(
        GroupName=GROUP, Name=name, **kept, ActionAfterCompletion="NONE", State="DISABLED"
    )
    [change] = declared.plan().changes
    shown = {str(item) for item in change.differences}
    assert shown == {"after completion: NONE -> DELETE", "state: DISABLED -> ENABLED"}
    declared.deploy()
    assert schedules(client)[name]["ActionAfterCompletion"] == "DELETE"
    assert not declared.plan()


def test_single_time_is_one_instant_of_its_zone() -> None:
    once = Schedule("at(2026-07-01T09:00:00)", "Europe/London")
    assert once.next_fire(datetime(2026, 7, 1, 7, 59, tzinfo=UTC)) == datetime(2026, 7, 1, 8, tzinfo=UTC)
    assert once.next_fire(datetime(2026, 7, 1, 8, tzinfo=UTC)) is None
    assert once.has_ended(datetime(2026, 7, 1, 8, tzinfo=UTC))
    assert not once.has_ended(datetime(2026, 7, 1, 7, 59, tzinfo=UTC))


@pytest.mark.parametrize(
    "wrong", ["at(2027-02-30T09:00:00)", "at(2027-01-31 09:00)", "at(2027-01-31T09:00:00Z)", "at()"]
)
def test_single_time_that_is_none_is_said(script, wrong) -> None:
    with pytest.raises(ScheduleError, match=r"write it like at\(2027-01-31T09:00:00\)"):
        script(schedule=wrong)


@pytest.mark.parametrize(
    ("schedule", "zone", "scheduled"),
    [
        ("*/5 * * * *", "Europe/London", 8760),
        ("*/5 * * * *", None, 0),
        ("at(2127-01-31T09:00:00)", None, 0),
    ],
)
def test_cost_counts_what_scheduler_starts(script, schedule, zone, scheduled) -> None:
    """Rules cost nothing, and once is nothing a month."""
    function = of_spec("report", script(schedule=schedule, timezone=zone).spec, secrets_read=0)
    assert month(Declared((function,), frozenset())).scheduled == scheduled
