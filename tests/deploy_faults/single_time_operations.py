"""The operations of the matrix about schedules that fire once; added to the others."""

from __future__ import annotations

from typing import Any

from lambda_toolkit.spec.model import Deployment
from tests.deploy_faults.operations import OPERATIONS, Operation, World, shop

ONCE: dict[str, Any] = {
    "schedule": {"expression": "at(2126-07-01T09:00:00)", "input": {"to": "new"}},
    "timezone": "Europe/London",
}


class FirstSingleTime(Operation):
    """A function that starts once: Scheduler is to delete the schedule when it has fired."""

    def declared(self, world: World) -> Deployment:
        return shop(world.function(**ONCE))


class ChangeSingleTime(FirstSingleTime):
    """The day is another one, and so is the zone. By hand it was made to stay when it has fired."""

    def prepare(self, world: World) -> None:
        world.deploy(super().declared(world))
        scheduler = world.bare("scheduler")
        [name] = [item["Name"] for item in scheduler.list_schedules(GroupName="shop-dev")["Schedules"]]
        live = scheduler.get_schedule(GroupName="shop-dev", Name=name)
        kept = {key: live[key] for key in ("ScheduleExpression", "ScheduleExpressionTimezone", "State", "Target")}
        window = {"FlexibleTimeWindow": {"Mode": "OFF"}, "ActionAfterCompletion": "NONE"}
        scheduler.update_schedule(GroupName="shop-dev", Name=name, **kept, **window)

    def declared(self, world: World) -> Deployment:
        moved = {"expression": "at(2126-08-01T10:00:00)", "input": {"to": "new"}}
        return shop(world.function(schedule=moved, timezone="America/New_York"))


class SingleTimeHasFired(FirstSingleTime):
    """Scheduler has deleted the schedule, its time is past, and the code changes: it is not made again."""

    def prepare(self, world: World) -> None:
        world.deploy(super().declared(world))
        scheduler = world.bare("scheduler")
        for item in scheduler.list_schedules(GroupName="shop-dev")["Schedules"]:
            scheduler.delete_schedule(GroupName="shop-dev", Name=item["Name"])
        world.write("shop-dev-one", "2")

    def declared(self, world: World) -> Deployment:
        past = {"expression": "at(2026-01-31T09:00:00)", "input": {"to": "new"}}
        return shop(world.function(schedule=past, timezone="Europe/London"))


class SingleTimeToRule(FirstSingleTime):
    """What starts once is to start each day, before it has: a rule replaces it, its role and its group are removed."""

    def prepare(self, world: World) -> None:
        world.deploy(super().declared(world))

    def declared(self, world: World) -> Deployment:
        return shop(world.function(schedule="0 9 * * *"))


OPERATIONS.update(
    {kind.__name__: kind for kind in (FirstSingleTime, ChangeSingleTime, SingleTimeHasFired, SingleTimeToRule)}
)
