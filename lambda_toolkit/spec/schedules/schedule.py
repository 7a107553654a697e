"""Schedules as declared: which of them is a rule, and which EventBridge Scheduler runs. Pure.

A rule knows a time in UTC and nothing else. Scheduler has time zones, several schedules for one function, each with an
input, flexible windows, retries, dead-letter queues, a start and an end.
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from lambda_toolkit.errors import ScheduleError
from lambda_toolkit.spec.ownership import APPLICATION_TAG, STAGE_TAG, bounded, short_hash
from lambda_toolkit.spec.schedules.cron import to_eventbridge
from lambda_toolkit.spec.schedules.fire_times import fires_a_year, next_fire

RETRIES, MAX_EVENT_AGE = 185, 86_400
"""Scheduler's own number of retries, and the seconds that it keeps an invocation which fails."""
UTC_NAMES = ("", "UTC", "Etc/UTC")
"""The time zones of a rule."""
LONGEST_LABEL = 23  # characters; with a function's name of 40 and a dot, Scheduler's 64
_LONGEST_OWNER = 40
ONLY = "schedule"  # the label of a function's only schedule
_EXAMPLE = '{"expression": "0 9 * * MON-FRI", "timezone": "Europe/London"}'


@dataclass(frozen=True)
class Schedule:
    """One schedule of a function."""

    expression: str
    """Unix cron, ``rate(...)``, EventBridge's ``cron(...)``, or once: ``at(2027-01-31T09:00:00)``."""
    timezone: str = ""
    """The IANA name of the time zone of a cron expression: ``Europe/London``. Empty: UTC. Times that daylight saving
    skips are skipped; of times that it repeats, only the first fires."""
    name: str = ""
    """A name among the function's schedules, of at most 23 letters, digits, ``-`` and ``_``. One without a name and
    with another expression, time zone or input is another schedule."""
    input: Any = None
    """The event that the function gets, as a JSON value. ``None``: Scheduler's own."""
    flexible_minutes: int = 0
    """Within how many minutes after its time Scheduler may invoke the function: 0 to 1,440."""
    retries: int = RETRIES
    """How often Scheduler repeats an invocation that Lambda did not accept: 0 to 185."""
    max_event_age: int = MAX_EVENT_AGE
    """For how many seconds it repeats it: 60 to 86,400."""
    dead_letter_queue: str = ""
    """The ARN of the standard SQS queue for invocations that Lambda did not accept."""
    start: str = ""
    """Nothing fires before: ISO 8601, in the schedule's time zone where it has no offset."""
    end: str = ""
    """Nothing fires after it."""

    @staticmethod
    def read(value: Any, timezone: str | None = None) -> tuple[str | None, tuple[Schedule, ...] | None]:
        """As :func:`read`, for declarations in a file."""
        return read(value, timezone)

    @staticmethod
    def owner(function: str) -> str:
        """What the names on AWS of all schedules of ``function`` have before their dot."""
        return owner_name(function)

    def fires_a_year(self) -> int | None:
        """How often a ``cron(...)`` fires in an ordinary year; ``None`` of a rate."""
        return fires_a_year(self.expression)

    @property
    def starts(self) -> datetime | None:
        """``start`` in UTC."""
        return moment(self.start, self.timezone)

    @property
    def ends(self) -> datetime | None:
        """``end`` in UTC."""
        return moment(self.end, self.timezone)

    @property
    def label(self) -> str:
        """Its name among several schedules: the declared one, or one that follows from what it does."""
        does = json.dumps([self.expression, self.timezone, self.input], sort_keys=True, default=str)
        return self.name or f"{ONLY}-{short_hash(does)}"

    def __str__(self) -> str:
        """``cron(0 9 ? * MON-FRI *) Europe/London``."""
        zone = "" if self.timezone in UTC_NAMES or self.is_rate else f" {self.timezone}"
        return f"{self.expression}{zone}"

    @property
    def is_rate(self) -> bool:
        """Whether it is a ``rate(...)``, which knows no time zone."""
        return self.expression.startswith("rate(")

    @property
    def is_once(self) -> bool:
        """Whether it is an ``at(...)``: Scheduler deletes it when it has fired."""
        return self.expression.startswith("at(")

    def next_fire(self, after: datetime) -> datetime | None:
        """When it fires next after ``after``, in UTC; ``None`` where that is never or unknown, or of a rate."""
        if self.timezone not in UTC_NAMES and self.timezone not in zones():
            return None
        start, end = self.starts, self.ends
        fire = next_fire(self.expression, self.timezone, max(after, start) if start else after)
        return None if fire is None or (end and fire > end) else fire

    def has_ended(self, now: datetime) -> bool:
        """Whether it never fires again: its end is past, or its one time."""
        once = moment(self.expression[3:-1], self.timezone) if self.is_once else None
        return any(end is not None and end <= now for end in (once, self.ends))


_OneSchedule = str | Schedule | Mapping[str, Any]
Schedules = _OneSchedule | Sequence[_OneSchedule]
"""One or several schedules: expressions, or with the fields of :class:`Schedule`."""


def read(value: Any, timezone: str | None = None) -> tuple[str | None, tuple[Schedule, ...] | None]:
    """The argument ``schedule`` as the expression of a rule and the schedules of Scheduler; one of the two is empty.

    ``value`` is a text, a :class:`Schedule`, a mapping with its fields, or a list of these; ``timezone`` is that of
    those without one of their own. Both results are ``None`` where ``value`` is. Raises ScheduleError.
    """
    if timezone is not None and not isinstance(timezone, str):
        raise ScheduleError(f"timezone must be the name of a time zone, such as Europe/London, not {timezone!r}.")
    if value is None and timezone:
        raise ScheduleError(f"timezone `{timezone}` is that of a schedule, and no schedule is declared beside it.")
    if value is None:
        return None, None
    items = [value] if isinstance(value, str | Schedule | Mapping) else value
    if not isinstance(items, Sequence) or isinstance(items, bytes):
        raise ScheduleError(_message(value))
    found = [_schedule(item, timezone or "") for item in items if item != ""]
    if len(found) == 1 and _is_rule(found[0]):
        return found[0].expression, ()
    if len(found) == 1 and not found[0].name:
        found = [replace(found[0], name=ONLY)]
    return "", tuple(found)


def group_name(function: str, tags: Mapping[str, str]) -> str:
    """The name of the schedule group of the application and stage in ``tags``; without them, of the function alone."""
    parts = (tags.get(APPLICATION_TAG, ""), tags.get(STAGE_TAG, ""))
    wanted = "-".join(filter(None, parts)) if parts[0] else function
    allowed = re.sub(r"[^0-9A-Za-z_.-]", "-", wanted)
    return bounded(allowed if allowed == wanted else f"{allowed}-{short_hash(wanted)}", 64)


def owner_name(function: str) -> str:
    """What the names of all schedules of ``function`` have before their dot. No function's name has one."""
    return bounded(function, _LONGEST_OWNER)


def schedule_name(function: str, schedule: Schedule) -> str:
    """The name on AWS of a schedule of ``function``."""
    return f"{owner_name(function)}.{schedule.label}"


def schedule_role_name(function: str) -> str:
    """The name of the role with which Scheduler invokes ``function``."""
    return f"{owner_name(function)}.schedule-role"


@functools.cache
def zones() -> frozenset[str]:
    """The names of the time zones that this machine knows; reading them takes some hundredths of a second."""
    from zoneinfo import available_timezones  # imported where there is a time zone

    return frozenset(available_timezones())


def moment(text: str, zone: str) -> datetime | None:
    """An ISO 8601 time in UTC; without an offset, of the time zone. Raises ValueError."""
    if not text:
        return None
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        from zoneinfo import ZoneInfo

        found = found.replace(tzinfo=UTC if zone in UTC_NAMES else ZoneInfo(zone))
    return found.astimezone(UTC).replace(microsecond=0)


def _is_rule(schedule: Schedule) -> bool:
    """Whether a rule can do what is declared. A rate is the same in all time zones."""
    is_utc = schedule.timezone in UTC_NAMES or (schedule.is_rate and schedule.timezone in zones())
    return is_utc and not schedule.is_once and replace(schedule, timezone="", name="") == Schedule(schedule.expression)


def _schedule(value: Any, timezone: str) -> Schedule:
    if isinstance(value, str):
        return Schedule(to_eventbridge(value), timezone)
    known = {field.name: field.type for field in fields(Schedule)}
    if isinstance(value, Mapping):
        unknown = sorted(str(name) for name in value if name not in known)
        if unknown or "expression" not in value:
            problem = f"the unknown key `{', '.join(unknown)}`" if unknown else "no `expression`"
            raise ScheduleError(f"schedule: {dict(value)!r} has {problem}. A schedule has {', '.join(known)}.")
        value = Schedule(**value)
    if not isinstance(value, Schedule):
        raise ScheduleError(_message(value))
    for name, kind in known.items():
        item = getattr(value, name)
        right = isinstance(item, str) if kind == "str" else isinstance(item, int) and not isinstance(item, bool)
        if kind in ("str", "int") and not right:
            wanted = "a string" if kind == "str" else "an integer"
            raise ScheduleError(f"schedule `{value.expression}`: {name} must be {wanted}, not {item!r}.")
    return replace(value, expression=to_eventbridge(value.expression), timezone=value.timezone or timezone)


def _message(value: Any) -> str:
    return (
        "schedule must be a string such as `0 0 * * *` or `rate(5 minutes)`, or the fields of a Schedule such as "
        f"{_EXAMPLE}, or a list of these, not {value!r}."
    )
