"""EventBridge Scheduler as AWS has it: with time zones, and the rights of each schedule's role.

Loaded by ``emulator_launcher``: nothing but the standard library here. The times are those of ``spec.fire_times``, so
that the local stack and ``status`` agree. Not emulated: flexible windows (a schedule starts at their begin), retries,
dead-letter queues.
"""

from __future__ import annotations

import fnmatch
import importlib
import json
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

SERVICE = "scheduler.amazonaws.com"
Key = tuple[str, str, str]
"""Account, region, and ``group/name``."""


@dataclass
class Schedules:
    """Fires the schedules of ministack, in place of its own sweep."""

    stored: MutableMapping[Key, dict[str, Any]]
    roles: Mapping[str, dict[str, Any]]
    """Those of the account that :attr:`enter` chose."""
    interval: Callable[[str], float | None]
    """The seconds of a ``rate()``."""
    next_fire: Callable[[str, str, datetime], datetime | None]
    enter: Callable[[str, str], None]
    """Makes the account and region those of the calls that follow."""
    invoke: Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], None]
    now: Callable[[], float]
    looked: float = 0.0
    """When it was looked at the schedules last, in seconds since 1970."""
    _fired: dict[Key, float] = field(default_factory=dict)

    def tick(self) -> None:
        """Fire what has become due since the last look. One that was written since then is due after that."""
        before, self.looked = self.looked or self.now(), self.now()
        for key, schedule in list(self.stored.items()):
            if schedule.get("State") == "ENABLED" and self._is_due(key, schedule, before):
                self._fired[key] = self.looked
                self._fire(key, schedule)
                if schedule.get("ActionAfterCompletion") == "DELETE" and _is_once(schedule):
                    self.stored.pop(key, None)

    def _is_due(self, key: Key, schedule: Mapping[str, Any], before: float) -> bool:
        start, end = _seconds(schedule.get("StartDate"), -math.inf), _seconds(schedule.get("EndDate"), math.inf)
        if not start <= self.looked <= end:
            return False
        expression = str(schedule["ScheduleExpression"])
        every = self.interval(expression)
        if every is not None:
            last = self._fired.get(key, max(float(schedule["CreationDate"]), start))
            return self.looked - last >= every
        since = max(before, float(schedule["LastModificationDate"]), start - 1)
        zone = str(schedule.get("ScheduleExpressionTimezone") or "")
        fire = self.next_fire(expression, zone, datetime.fromtimestamp(since, UTC))
        return fire is not None and fire.timestamp() <= self.looked

    def _fire(self, key: Key, schedule: dict[str, Any]) -> None:
        account, region, name = key
        self.enter(account, region)
        target = dict(schedule["Target"])
        group = f"arn:aws:scheduler:{region}:{account}:schedule-group/{name.partition('/')[0]}"
        role = self.roles.get(str(target.get("RoleArn")).rpartition("/")[2])
        if role is None or not may_invoke(role, account, group, str(target.get("Arn"))):
            logging.getLogger("launcher").warning("schedule %s may not invoke its target: see its role", name)
            return
        event = {
            "EventId": str(uuid.uuid4()),
            "Source": "aws.scheduler",
            "DetailType": "Scheduled Event",
            "Detail": "{}",
            "Time": self.looked,
            "Resources": [schedule["Arn"]],
            "Account": account,
            "Region": region,
        }
        self.invoke(target, event, schedule)


def install(
    private: Callable[[ModuleType, str], Any],
    next_fire: Callable[[str, str, datetime], datetime | None],
    tick: float,
    now: Callable[[], float] = time.time,
) -> None:
    """Fire ministack's schedules, looked at each ``tick`` seconds; ``private`` gets a name of a module of it."""
    scheduler, eventbridge, iam = (
        importlib.import_module(f"ministack.services.{name}") for name in ("scheduler", "eventbridge", "iam")
    )
    for name in ("_tick_schedules", "_SCHEDULE_TICK_INTERVAL"):
        private(scheduler, name)
    enter_account, enter_region = (private(scheduler, f"set_request_{name}") for name in ("account_id", "region"))

    def enter(account: str, region: str) -> None:
        enter_account(account)
        enter_region(region)

    schedules = Schedules(
        stored=private(scheduler, "_schedules")._data,
        roles=private(iam, "_roles"),
        interval=lambda expression: eventbridge._parse_rate_seconds(expression),  # the launcher replaces it
        next_fire=next_fire,
        enter=enter,
        invoke=private(eventbridge, "_invoke_target"),  # without the check of the function's policy, as the role has it
        now=now,
    )
    vars(scheduler).update(_tick_schedules=schedules.tick, _SCHEDULE_TICK_INTERVAL=tick)


def may_invoke(role: Mapping[str, Any], account: str, group: str, function: str) -> bool:
    """Whether Scheduler may assume the role for schedules of ``group``, and the role may invoke the function."""
    known = {"aws:SourceAccount": account, "aws:SourceArn": group}
    is_trusted = any(
        statement.get("Principal", {}).get("Service") == SERVICE
        and statement.get("Condition", {}).get("StringEquals", {}).items() <= known.items()
        for statement in _statements([role.get("AssumeRolePolicyDocument")])
    )
    return is_trusted and allows(role, "lambda:InvokeFunction", function)


def allows(role: Mapping[str, Any], action: str, resource: str) -> bool:
    """Whether the role's own policies allow ``action`` on ``resource``."""
    return any(
        any(fnmatch.fnmatchcase(action, wanted) for wanted in _listed(statement.get("Action")))
        and any(fnmatch.fnmatchcase(resource, wanted) for wanted in _listed(statement.get("Resource")))
        for statement in _statements(role.get("InlinePolicies", {}).values())
    )


def _is_once(schedule: Mapping[str, Any]) -> bool:
    return str(schedule["ScheduleExpression"]).startswith("at(")


def _statements(documents: Iterable[Any]) -> Iterable[dict[str, Any]]:
    for document in documents:
        parsed = json.loads(document) if isinstance(document, str) else document or {}
        for statement in _listed(parsed.get("Statement")):
            if statement.get("Effect") == "Allow":
                yield statement


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _seconds(value: Any, otherwise: float) -> float:
    """Seconds since 1970 of a time as boto3 or a person writes it; ``otherwise`` where there is none."""
    if value is None:
        return otherwise
    return float(value) if isinstance(value, int | float) else datetime.fromisoformat(str(value)).timestamp()
