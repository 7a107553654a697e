"""How often a schedule fires in a month of 730 hours, and when it does next."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from lambda_script import HOURS_A_MONTH

_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_PER_HOUR = {"minute": Decimal(60), "hour": Decimal(1), "day": Decimal(1) / 24}
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_YEAR = 2027  # whose days are counted: an ordinary one


def starts_a_month(schedule: str | None) -> Decimal:
    """How often EventBridge's expression ``schedule`` fires in a month, on average; 0 where there is none.

    Raises ValueError for what is neither ``rate(...)`` nor ``cron(...)``.
    """
    if not schedule:
        return Decimal(0)
    if rate := _RATE.fullmatch(schedule):
        return _PER_HOUR[rate[2]] * HOURS_A_MONTH / int(rate[1])
    if cron := _CRON.fullmatch(schedule):
        minute, hour, date, month, weekday, _ = cron.groups()
        a_day = len(_values(minute, 0, 59)) * len(_values(hour, 0, 23))
        return Decimal(a_day * _days_a_year(date, month, weekday)) / 12
    raise ValueError(f"{schedule!r} is not a schedule expression of EventBridge")


def interval(schedule: str) -> timedelta | None:
    """The interval of a ``rate(...)``; None of anything else."""
    rate = _RATE.fullmatch(schedule)
    return timedelta(hours=float(int(rate[1]) / _PER_HOUR[rate[2]])) if rate else None


def next_start(schedule: str, now: datetime) -> datetime | None:
    """When a ``cron(...)`` of EventBridge fires next after ``now``, in UTC.

    None within a year, and of one with L, W or #, which is not computed.
    """
    cron = _CRON.fullmatch(schedule)
    if not cron or set("LW#") & set(re.sub("[A-Z]{3}", "", "".join(cron.groups()).upper())):
        return None
    minute, hour, date, month, weekday, _ = cron.groups()
    minutes, hours, months = _values(minute, 0, 59), _values(hour, 0, 23), _values(month, 1, 12, _MONTHS)
    dates = None if date == "?" else _values(date, 1, 31)
    weekdays = None if weekday == "?" else _values(weekday, 1, 7, _DAYS)
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for day in (today + timedelta(days=number) for number in range(367)):
        fits = (dates is None or day.day in dates) and (weekdays is None or (day.weekday() + 1) % 7 + 1 in weekdays)
        if day.month in months and fits:
            times = (day.replace(hour=h, minute=m) for h in sorted(hours) for m in sorted(minutes))
            found = next((time for time in times if time > now), None)
            if found is not None:
                return found
    return None


def _days_a_year(date: str, month: str, weekday: str) -> int:
    months = _values(month, 1, 12, _MONTHS)
    if weekday != "?":
        if set(weekday) & set("L#") and weekday != "L":
            return len(months) * len(weekday.split(","))  # one day of each month, for each item
        days = {7} if weekday == "L" else _values(weekday, 1, 7, _DAYS)
        return sum(
            (calendar.weekday(_YEAR, number, day) + 1) % 7 + 1 in days
            for number in months
            for day in range(1, calendar.monthrange(_YEAR, number)[1] + 1)
        )
    if set(date) & set("LW"):
        return len(months) * len(date.split(","))
    dates = _values(date, 1, 31)
    return sum(day <= calendar.monthrange(_YEAR, number)[1] for number in months for day in dates)


def _values(text: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """The values of one field: ``*``, numbers or names, ranges that may wrap around, lists, and steps."""
    found: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        start = low if first in ("*", "?") else _number(first, names)
        end = _number(last, names) if last else high if step or first in ("*", "?") else start
        length = end - start if end >= start else end - start + (high - low + 1)
        size = high - low + 1
        found |= {(start - low + offset) % size + low for offset in range(0, length + 1, int(step or 1))}
    return found


def _number(text: str, names: dict[str, int] | None) -> int:
    return (names or {}).get(text.upper()) or int(text)
