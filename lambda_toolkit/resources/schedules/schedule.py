"""Schedules of EventBridge Scheduler, in the group of the application and stage, with the alias as their target.

A schedule has no tags: it is the toolkit's where its group is, and where its name begins with that of the function.
What replaces a rule or another schedule is created, and read back, before the old one is removed (:mod:`.handover`).

https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import Task, task
from lambda_toolkit.changes import Change
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning import alias
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.destinations import missing_destination
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.resources.schedules import schedule_group, schedule_role
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.schedules.schedule import (
    MAX_EVENT_AGE,
    RETRIES,
    UTC_NAMES,
    Schedule,
    schedule_name,
    schedule_role_name,
)

KIND = Kind.SCHEDULE
DEPLOYER_ACTIONS = DeployerActions(
    "SchedulerSchedules",
    "scheduler",
    (
        "CreateSchedule",
        "CreateScheduleGroup",
        "DeleteSchedule",
        "DeleteScheduleGroup",
        "GetSchedule",
        "GetScheduleGroup",
        "ListTagsForResource",
        "TagResource",
        "UntagResource",
        "UpdateSchedule",
    ),
    lists=("ListSchedules",),
)
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new group is not known everywhere yet
_EXISTS = "ConflictException"
_UNMANAGED = ("Description", "KmsKeyArn")  # UpdateSchedule replaces all attributes, so these are resent unchanged
_DEAD_LETTERS = "dead letter queue"
_ESSENTIAL = ("schedule", "timezone", "state", "target")  # what is read back after a write
Settings = dict[str, Any]
"""The attributes of a schedule by the words of a plan, each with one form for what AWS and the declaration say."""


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The group, and the schedules in it. None for functions that have a rule."""
    if not spec.schedules:
        return []
    group = schedule_group.name_of(spec)
    return [schedule_group.arn_of(arns, group), arns.arn("scheduler", f"schedule/{group}/*")]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """None: Scheduler invokes the function with a role of its own (:mod:`.schedule_role`)."""
    return ()


def destinations(spec: FunctionSpec) -> Sequence[str]:
    """The ARNs of the queues that get what could not be delivered."""
    return [item.dead_letter_queue for item in spec.schedules or () if item.dead_letter_queue]


def prefetch(context: Context) -> Prefetch:
    """The list of schedules of the group, and each declared schedule."""
    reads, spec = context.reads, context.spec
    if not spec.schedules:
        return Prefetch({})
    group = schedule_group.name_of(spec)
    shared: dict[object, Task[object]] = {("schedules", group): task(schedule_group.schedules, reads, group)}
    names = [schedule_name(spec.name, item) for item in spec.schedules]
    return Prefetch(shared, [task(schedule_group.live, reads, group, name) for name in names])


def plan(context: Context) -> list[Change]:
    """The changes that bring the schedules and their group to ``context.spec``. Raises OwnershipError.

    One whose end is past is neither created nor changed: it never fires again.
    """
    spec = context.spec
    if not spec.schedules:
        return _plan_leftovers(context)
    now = datetime.fromtimestamp(context.aws.clock.wall(), UTC)
    planned = [_plan_one(context, item, now) for item in spec.schedules if not item.has_ended(now)]
    return [
        *schedule_group.plan(context),
        *(change for change in planned if change),
        *_plan_leftovers(context),
    ]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """The removal of schedules where the declaration says nothing of any."""
    return _removals(context, schedule_group.undeclared(context))


def plan_removal(context: Context) -> list[Change]:
    """The changes that delete the function's schedules, where the group is the toolkit's."""
    return _removals(context, schedule_group.in_removal(context))


def _removals(context: Context, names: Sequence[str]) -> list[Change]:
    group, role = schedule_group.name_of(context.spec), schedule_role_name(context.spec.name)
    after = frozenset({(Kind.SCHEDULE_ROLE, role)})
    return [schedule_group.removal(group, name, after) for name in names]


def _plan_leftovers(context: Context) -> list[Change]:
    """The removal of schedules that are not declared any more: after what replaces them, and after their role.

    With the schedules, what shows that there is a role would be removed.
    """
    spec, reads = context.spec, context.reads
    group = schedule_group.name_of(spec)
    replacements = schedule_group.replacements(spec)
    waits = bool(replacements) and bool(spec.schedules or spec.schedule_role)  # else the removal of the role waits
    after = frozenset({*replacements, (Kind.SCHEDULE_ROLE, schedule_role_name(spec.name))})
    changes = []
    for name in schedule_group.leftovers(context):
        live = schedule_group.live(reads, group, name)
        if live is None:
            continue  # the list lags behind
        change = schedule_group.removal(group, name, after, (str(live.get("ScheduleExpression", "")),))
        changes.append(_after_handover(change, spec, live) if waits else change)
    return changes


def _after_handover(change: Change, spec: FunctionSpec, live: Mapping[str, Any]) -> Change:
    def apply(executor_aws: Aws) -> None:
        schedule_group.hand_over(executor_aws, spec, change.name, live)
        change.apply(executor_aws)

    return replace(change, apply=apply)


def _plan_one(context: Context, schedule: Schedule, now: datetime) -> Change | None:
    spec, group = context.spec, schedule_group.name_of(context.spec)
    name = schedule_name(spec.name, schedule)
    live = schedule_group.live(context.reads, group, name)
    wanted = _wanted(context.reads, spec, schedule)
    known = _known(live) if live else {}
    if schedule.starts and schedule.starts <= now:  # AWS refuses a start that is past, and the schedule has started
        wanted["start"] = known.get("start") if known.get("start") == wanted["start"] else None
    found = differences(known, wanted)
    if live and not found:
        return None
    request = {
        "Name": name,
        "GroupName": group,
        "Description": schedule_group.description(spec.name),
        **{key: live[key] for key in _UNMANAGED if live and live.get(key)},
        **_request(wanted, now),
    }

    def write(executor_aws: Aws) -> None:
        if live:
            executor_aws.call("scheduler", "update_schedule", **request)
        else:
            _create(executor_aws, request)
        essential = {key: wanted[key] for key in _ESSENTIAL}

        def read_back() -> bool | None:
            written = executor_aws.find("scheduler", "get_schedule", GroupName=group, Name=name)
            return True if written and not differences(_known(written), essential) else None

        executor_aws.wait_until(read_back, f"schedule {name} is as declared")

    after = {context.function_key, (Kind.SCHEDULE_GROUP, group)}
    if not spec.schedule_role:  # otherwise its own role, which it does not use any more, is removed after it
        after.add((Kind.SCHEDULE_ROLE, schedule_role_name(spec.name)))
    missing = missing_destination(context, schedule.dead_letter_queue, found, _DEAD_LETTERS)
    if live:
        return Change(KIND, name, "update", (), frozenset(after), found, missing=missing, apply=write)
    return Change(KIND, name, "create", (str(schedule),), frozenset(after), missing=missing, apply=write)


def _create(aws: Aws, request: Mapping[str, Any]) -> None:
    """Create it, or write it where it exists although no read showed it: an attempt without an answer created it."""
    try:
        aws.call("scheduler", "create_schedule", also_retry=_NEW, **request)
    except AwsError as error:
        if error.code != _EXISTS:
            raise
        aws.call("scheduler", "update_schedule", **request)


def _wanted(arns: ArnFormat, spec: FunctionSpec, schedule: Schedule) -> Settings:
    return {
        "schedule": schedule.expression,
        "timezone": "UTC" if schedule.timezone in UTC_NAMES else schedule.timezone,
        "state": "ENABLED",
        "input": None if schedule.input is None else _canonical(schedule.input),
        "flexible minutes": schedule.flexible_minutes,
        "retries": schedule.retries,
        "max event age": schedule.max_event_age,
        _DEAD_LETTERS: schedule.dead_letter_queue or None,
        "start": _iso(schedule.starts),
        "end": _iso(schedule.ends),
        "after completion": "DELETE" if schedule.is_once else "NONE",
        "target": alias.arn(arns, spec.name),
        "role": schedule_role.role_arn(arns, spec),
    }


def _known(live: Mapping[str, Any]) -> Settings:
    """The attributes of a schedule as GetSchedule returns it."""
    target = live.get("Target") or {}
    retry = target.get("RetryPolicy") or {}
    zone = live.get("ScheduleExpressionTimezone") or "UTC"
    return {
        "schedule": live.get("ScheduleExpression"),
        "timezone": "UTC" if zone in UTC_NAMES else zone,
        "state": live.get("State", "ENABLED"),
        "input": _as_canonical(target.get("Input")),
        "flexible minutes": (live.get("FlexibleTimeWindow") or {}).get("MaximumWindowInMinutes") or 0,
        "retries": retry.get("MaximumRetryAttempts", RETRIES),
        "max event age": retry.get("MaximumEventAgeInSeconds", MAX_EVENT_AGE),
        _DEAD_LETTERS: (target.get("DeadLetterConfig") or {}).get("Arn"),
        "start": _iso(live.get("StartDate")),
        "end": _iso(live.get("EndDate")),
        "after completion": live.get("ActionAfterCompletion") or "NONE",
        "target": target.get("Arn"),
        "role": target.get("RoleArn"),
    }


def _request(wanted: Settings, now: datetime) -> dict[str, Any]:
    minutes = wanted["flexible minutes"]
    target = {
        "Arn": wanted["target"],
        "RoleArn": wanted["role"],
        "RetryPolicy": {
            "MaximumEventAgeInSeconds": wanted["max event age"],
            "MaximumRetryAttempts": wanted["retries"],
        },
    }
    if wanted["input"] is not None:
        target["Input"] = wanted["input"]
    if wanted[_DEAD_LETTERS]:
        target["DeadLetterConfig"] = {"Arn": wanted[_DEAD_LETTERS]}
    dates = {"StartDate": wanted["start"], "EndDate": wanted["end"]}
    moments = {key: datetime.fromisoformat(text) for key, text in dates.items() if text}
    return {
        "ScheduleExpression": wanted["schedule"],
        "ScheduleExpressionTimezone": wanted["timezone"],
        "State": wanted["state"],
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": minutes} if minutes else {"Mode": "OFF"},
        "Target": target,
        "ActionAfterCompletion": wanted["after completion"],
        **{key: moment for key, moment in moments.items() if key != "StartDate" or moment > now},
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).replace(microsecond=0).isoformat()


def _canonical(event: Any) -> str:
    """A JSON value as one text, whatever the order of its keys."""
    return json.dumps(event, sort_keys=True, ensure_ascii=False)


def _as_canonical(text: str | None) -> str | None:
    """The input of a schedule in that form; of what is no JSON, the text."""
    try:
        return None if text is None else _canonical(json.loads(text))
    except ValueError:
        return text
