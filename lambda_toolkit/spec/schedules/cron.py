"""Translate unix cron, ``rate(...)`` and ``cron(...)`` to EventBridge schedule expressions, in UTC. Pure.

Unix cron by crontab(5): five fields, names, ranges, lists, steps, 0 and 7 both Sunday, ``@daily`` and the other macros.
EventBridge by https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html: six fields,
Sunday is 1, and one of the two day fields must be ``?``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from lambda_toolkit.errors import ScheduleError

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ONCE = "%Y-%m-%dT%H:%M:%S"  # the form of a one-time schedule, to the second
_SHORTEST_RANGE = 3  # "1,2" reads better than "1-2"


@dataclass(frozen=True)
class _Field:
    """One field of a cron expression."""

    label: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    cycle: int | None = None  # 7 days or 12 months: a range may wrap around (FRI-MON), and Sunday is 0 and 7

    @property
    def size(self) -> int:
        """The number of distinct values."""
        return self.cycle or self.high - self.low + 1

    def number(self, text: str, line: str) -> int:
        """The value of ``text``, a number or a name. Raises ScheduleError, which quotes ``line``."""
        if text.upper() in self.names:
            return self.low + self.names.index(text.upper())
        if not re.fullmatch(r"[0-9]{1,4}", text):
            foreign = " `?`, `L`, `W` and `#` are EventBridge's syntax: write cron(...) with six fields."
            hint = foreign if set(text) & set("?LW#") else ""
            raise ScheduleError(f"Schedule `{line}`: `{text}` is not a value for the {self.label}.{hint}")
        value = int(text)
        if not self.low <= value <= self.high:
            raise ScheduleError(f"Schedule `{line}`: {value} is not a valid {self.label}: {self.low} to {self.high}.")
        return value

    def span(self, text: str, line: str) -> range:
        """The values of a range, a single value or ``*``. A range may wrap around the end of a cycle."""
        if text == "*":
            return range(self.low, self.low + self.size)
        first_text, dash, last_text = text.partition("-")
        first = self.number(first_text, line)
        last = self.number(last_text, line) if dash else first
        if first > last and self.cycle:
            last += self.cycle
        if first > last:
            raise ScheduleError(f"Schedule `{line}`: the range {text} of the {self.label} runs backwards.")
        return range(first, last + 1)

    def values(self, text: str, line: str) -> frozenset[int]:
        """The values of ``text``: a list of ``*``, values and ranges; a step may follow a ``*`` or a range."""
        found: set[int] = set()
        for item in text.split(","):
            span, slash, step = item.partition("/")
            if slash and not re.fullmatch(_STEP, step):
                raise ScheduleError(f"Schedule `{line}`: the step in `{item}` of the {self.label} must be 1 or more.")
            if slash and span != "*" and "-" not in span:
                raise ScheduleError(
                    f"Schedule `{line}`: crons disagree on what `{item}` means. Write {span}-{self.high}/{step}."
                )
            found.update(self.span(span, line)[:: int(step) if slash else 1])
        return frozenset(self.low + (value - self.low) % self.size for value in found)


_STEP = r"0*[1-9][0-9]*"
_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_DAY_OF_MONTH = _Field("day of the month", 1, 31)
_MONTH = _Field("month", 1, 12, _MONTHS, cycle=12)
_DAY_OF_WEEK = _Field("day of the week", 0, 7, _DAYS, cycle=7)


def to_eventbridge(schedule: str) -> str:
    """The EventBridge expression of ``schedule``: unix cron, a macro as ``@daily``, ``rate()``, ``cron()`` or ``at()``.

    Times are in UTC. Raises ScheduleError for what cannot be parsed and for what EventBridge cannot express.
    """
    text = " ".join(schedule.split())
    if match := re.fullmatch(r"rate\((.*)\)", text):
        return _rate(match[1].strip(), text)
    if match := re.fullmatch(r"cron\((.*)\)", text):
        return _eventbridge_cron(match[1].split(), text)
    if match := re.fullmatch(r"at\((.*)\)", text):
        return _once(match[1].strip(), text)
    if text.startswith("@"):
        if text.lower() not in _MACROS:
            raise ScheduleError(f"Schedule `{text}` is unknown. Known are {', '.join(_MACROS)}.")
        text = _MACROS[text.lower()]
    return _unix_cron(text)


def _once(content: str, line: str) -> str:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#one-time."""
    try:
        found = datetime.strptime(content, _ONCE)
    except ValueError:
        raise ScheduleError(
            f"Schedule `{line}`: write it like at(2027-01-31T09:00:00), without an offset: the zone is `timezone`."
        ) from None
    return f"at({found:{_ONCE}})"


def _rate(content: str, line: str) -> str:
    match = re.fullmatch(r"([0-9]+) (minute|hour|day)(s?)", content)
    if match is None or int(match[1]) == 0:
        raise ScheduleError(
            f"Schedule `{line}`: write it like rate(5 minutes), with minutes, hours or days, 1 or more."
        )
    number, unit = int(match[1]), match[2]
    right = f"rate({number} {unit}{'' if number == 1 else 's'})"
    if bool(match[3]) != (number > 1):
        raise ScheduleError(
            f"Schedule `{line}`: EventBridge requires the singular for 1 and the plural above. Write {right}."
        )
    return right


def _unix_cron(line: str) -> str:
    parts = line.split()
    if len(parts) != 5:
        raise ScheduleError(
            f"Schedule `{line}` has {len(parts)} fields. Unix cron has five: minute, hour, day of the month, month, "
            "day of the week (`0 6 * * MON-FRI`). EventBridge's six go into cron(...)."
        )
    minute, hour = _MINUTE.values(parts[0], line), _HOUR.values(parts[1], line)
    month = _MONTH.values(parts[3], line)
    day_of_month = _DAY_OF_MONTH.values(parts[2], line)
    day_of_week = _DAY_OF_WEEK.values(parts[4], line)
    every_date = len(day_of_month) == _DAY_OF_MONTH.size
    every_weekday = len(day_of_week) == _DAY_OF_WEEK.size
    # crontab(5): where neither day field starts with a star, either may match; otherwise both must.
    either = not parts[2].startswith("*") and not parts[4].startswith("*")
    if not every_date and not every_weekday:
        raise ScheduleError(
            f"Schedule `{line}` restricts both the day of the month and the day of the week, which EventBridge cannot "
            "express: it requires `?` in one of them. Leave one of the two as `*`; or restrict one here and let the "
            "function check the other; or deploy the function twice, under two names, with one schedule each."
        )
    if (every_date and every_weekday) or either:
        dates, weekdays = "*", "?"
    elif every_date:
        dates, weekdays = "?", _render(day_of_week, _DAY_OF_WEEK)
    else:
        if min(day_of_month) > max(_LONGEST_MONTH[number - 1] for number in month):
            raise ScheduleError(f"Schedule `{line}` never matches: no such date in {_render(month, _MONTH)}.")
        dates, weekdays = _render(day_of_month, _DAY_OF_MONTH), "?"
    fields = (_render(minute, _MINUTE), _render(hour, _HOUR), dates, _render(month, _MONTH), weekdays, "*")
    return f"cron({' '.join(fields)})"


def _render(values: frozenset[int], field: _Field) -> str:
    """``values`` in EventBridge's syntax. Weekdays are written by name: their numbers differ (Sunday is 1 there)."""
    ordered = sorted(values)
    if len(ordered) == field.size:
        return "*"

    def name(value: int) -> str:
        return field.names[value - field.low] if field is _DAY_OF_WEEK else str(value)

    steps = {later - earlier for earlier, later in pairwise(ordered)}
    step = steps.pop() if len(steps) == 1 else 1
    if step > 1 and len(ordered) >= _SHORTEST_RANGE and ordered[-1] + step > field.high and field is not _DAY_OF_WEEK:
        return f"{ordered[0]}/{step}"
    runs: list[list[int]] = []
    for value in ordered:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ",".join(
        f"{name(run[0])}-{name(run[-1])}" if len(run) >= _SHORTEST_RANGE else ",".join(map(name, run)) for run in runs
    )


_EVENTBRIDGE = (
    _MINUTE,
    _HOUR,
    _DAY_OF_MONTH,
    _MONTH,
    _Field("day of the week", 1, 7, _DAYS, cycle=7),
    _Field("year", 1970, 2199),
)


def _eventbridge_cron(parts: Sequence[str], line: str) -> str:
    if len(parts) != len(_EVENTBRIDGE):
        raise ScheduleError(
            f"Schedule `{line}` has {len(parts)} fields. EventBridge has six: minute, hour, "
            "day of the month, month, day of the week, year (`cron(0 6 ? * MON-FRI *)`). Write unix cron's five "
            "without cron(...)."
        )
    if (parts[2] == "?") == (parts[4] == "?"):
        raise ScheduleError(
            f"Schedule `{line}`: EventBridge requires `?` in exactly one of the third field (day of the month) and "
            "the fifth (day of the week)."
        )
    for field, text in zip(_EVENTBRIDGE, parts, strict=True):
        for item in text.split(","):
            _check_eventbridge_item(field, item, text, line)
    return f"cron({' '.join(parts)})"


def _check_eventbridge_item(field: _Field, item: str, text: str, line: str) -> None:
    """Raise ScheduleError unless EventBridge's documentation allows ``item`` in ``field``."""
    is_date, is_weekday = field is _DAY_OF_MONTH, field is _EVENTBRIDGE[4]
    if item == "?" and text == "?" and (is_date or is_weekday):
        return
    if item == "L" and (is_date or is_weekday):
        return
    if is_date and (match := re.fullmatch(r"([0-9]{1,2})W", item)):
        field.number(match[1], line)
        return
    if is_weekday and (match := re.fullmatch(r"([0-9A-Za-z]{1,3}?)(L|#[1-5])", item)):
        field.number(match[1], line)
        return
    start, slash, step = item.partition("/")
    if slash and (is_weekday or not re.fullmatch(_STEP, step)):
        raise ScheduleError(f"Schedule `{line}`: EventBridge does not allow the step `{item}` in the {field.label}.")
    field.span(start, line)
