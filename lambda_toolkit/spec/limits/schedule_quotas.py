"""What EventBridge Scheduler would reject of a declaration. Pure.

https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from difflib import get_close_matches

from lambda_toolkit.spec.limit_checks import Doubt, Found, in_range
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.schedules.schedule import LONGEST_LABEL, ONLY, UTC_NAMES, Schedule, moment, zones

_LABEL = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_LABEL}}}")
_LONGEST_ZONE = 50  # characters
_QUEUE = re.compile(r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}", re.A)
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", re.A)
_WINDOW, _RETRIES, _AGE = (0, 1440), (0, 185), (60, 86_400)  # minutes, attempts, seconds


def schedule_problems(spec: FunctionSpec) -> Found:
    """What Scheduler would reject: a sentence each, with what to write instead."""
    labels = [schedule.label for schedule in spec.schedules or ()]
    for label in sorted({label for label in labels if labels.count(label) > 1}):
        same = "two schedules are the same" if label.startswith(f"{ONLY}-") else f"two schedules are called `{label}`"
        yield f"{same}; each needs an expression, an input or a name of its own."
    for schedule in spec.schedules or ():
        yield from _problems(schedule)
    if spec.schedule_role and not _ROLE.fullmatch(spec.schedule_role):
        yield (
            f"schedule_role `{spec.schedule_role}` is not the ARN of a role; write it like "
            "arn:aws:iam::123456789012:role/scheduler."
        )
    if spec.schedules and spec.role and not spec.schedule_role:
        yield (
            "its role is given, so that nothing of IAM is written: give a `schedule_role`, too, with which EventBridge "
            "Scheduler invokes it."
        )


def _problems(schedule: Schedule) -> Found:
    where = f"its schedule `{schedule.expression}`:"
    if schedule.name and not _LABEL.fullmatch(schedule.name):
        yield f"{where} its name must be 1 to {LONGEST_LABEL} letters, digits, `-` and `_`."
    yield from _zone_problems(where, schedule.timezone)
    for what, shape, value, known, unit in (
        ("flexible_minutes", "MaximumWindowInMinutes", schedule.flexible_minutes, _WINDOW, "minutes"),
        ("retries", "MaximumRetryAttempts", schedule.retries, _RETRIES, "attempts"),
        ("max_event_age", "MaximumEventAgeInSeconds", schedule.max_event_age, _AGE, "seconds"),
    ):
        yield from in_range("scheduler", shape, f"{where} {what}", value, known, unit)
    if schedule.dead_letter_queue and not _QUEUE.fullmatch(schedule.dead_letter_queue):
        yield (
            f"{where} dead_letter_queue `{schedule.dead_letter_queue}` is not the ARN of a standard queue; write it "
            "like arn:aws:sqs:eu-west-2:123456789012:failed."
        )
    try:
        json.dumps(schedule.input, allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"{where} its input cannot be sent as JSON: {error}."
    yield from _date_problems(where, schedule)


def _zone_problems(where: str, zone: str) -> Found:
    if not zone or zone in UTC_NAMES:
        return
    known = zones()
    if not known:
        yield Doubt(
            f"{where} this machine knows no time zones, so AWS decides on `{zone}`; the package tzdata has them"
        )
    elif zone not in known or len(zone) > _LONGEST_ZONE:
        close = get_close_matches(zone, known, 1)
        meant = f" Did you mean {close[0]}?" if close else " Write it like Europe/London."
        yield f"{where} timezone `{zone}` is not the name of a time zone.{meant}"


def _date_problems(where: str, schedule: Schedule) -> Iterator[str]:
    if schedule.timezone and schedule.timezone not in zones():
        if not zones() and (schedule.start or schedule.end):
            yield f"{where} to know when it starts and ends, this machine needs its time zones: install tzdata."
        return  # which is reported
    found: dict[str, datetime | None] = {}
    for what, text in (("start", schedule.start), ("end", schedule.end)):
        try:
            found[what] = moment(text, schedule.timezone)
        except (ValueError, OverflowError):
            yield f"{where} {what} `{text}` is not a time of ISO 8601, such as 2027-01-31T09:00:00."
    start, end = found.get("start"), found.get("end")
    if start and end and start >= end:
        yield f"{where} it ends ({schedule.end}) before it starts ({schedule.start})."
