"""When a schedule fires: EventBridge's ``cron(...)`` in a time zone. Pure, and the standard library alone.

By https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html: an expression is evaluated in the local
time of its zone. A time that does not exist, as clocks are put forward, is skipped; one that exists twice, as they are
put back, fires once. AWS does not say at which of the two: here it is the first.

The local stack fires schedules by this module, too: it is loaded there by its file.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_ONCE = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_LONGEST = 8 * 366 + 1  # days until a 29 February comes at the latest: 1896 to 1904, 2096 to 2104
_SATURDAY = 7
_ORDINARY = 2027  # a year of 365 days


def next_fire(expression: str, zone: str, after: datetime) -> datetime | None:
    """When a ``cron()`` or ``at()`` in the zone ``zone`` (IANA's name; empty: UTC) fires next after ``after``, in UTC.

    ``None`` where that is never, within eight years, or of a rate. Raises ZoneInfoNotFoundError
    for a zone that this machine does not know.
    """
    return next(fires(expression, zone, after), None)


def fires(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    """All times, in UTC, at which the expression fires after ``after``, for eight years. See :func:`next_fire`."""
    if once := _ONCE.fullmatch(expression):
        instant = _instant(datetime.fromisoformat(once[1]), _place(zone))
        yield from (found for found in (instant,) if found is not None and found > after)
        return
    cron = _CRON.fullmatch(expression)
    if cron is None:
        return
    place: tzinfo = _place(zone)
    minute, hour = _values(cron[1], 0, 59), _values(cron[2], 0, 23)
    times = [time(h, m) for h in sorted(hour) for m in sorted(minute)]
    months, years = _values(cron[4], 1, 12, _MONTHS), _values(cron[6], 1970, 2199)
    today = after.astimezone(place).date()
    for number in range(_LONGEST):
        day = today + timedelta(days=number)
        if day.month in months and day.year in years and _is_day(day, cron[3], cron[5]):
            instants = (_instant(datetime.combine(day, each), place) for each in times)
            yield from (instant for instant in instants if instant is not None and instant > after)


def fires_a_year(expression: str) -> int | None:
    """How often a ``cron(...)`` fires in an ordinary year, whatever its own years; ``None`` of anything else."""
    cron = _CRON.fullmatch(expression)
    if cron is None:
        return None
    months, first = _values(cron[4], 1, 12, _MONTHS), date(_ORDINARY, 1, 1)
    days = (first + timedelta(days=number) for number in range(365))
    a_day = len(_values(cron[1], 0, 59)) * len(_values(cron[2], 0, 23))
    return a_day * sum(day.month in months and _is_day(day, cron[3], cron[5]) for day in days)


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


def _place(zone: str) -> tzinfo:
    if zone in ("", "UTC", "Etc/UTC"):
        return UTC
    from zoneinfo import ZoneInfo  # imported where there is a time zone

    return ZoneInfo(zone)


def _number(text: str, names: dict[str, int] | None) -> int:
    return (names or {}).get(text.upper()) or int(text)


def _instant(local: datetime, place: tzinfo) -> datetime | None:
    """The first moment of that local time; ``None`` where it does not exist."""
    moment = local.replace(tzinfo=place).astimezone(UTC)
    return moment if moment.astimezone(place).replace(tzinfo=None) == local else None


def _is_day(day: date, dates: str, weekdays: str) -> bool:
    """Whether both day fields match; one of them is ``?``, which any day matches."""
    return any(_is_date(day, item) for item in dates.split(",")) and any(
        _is_weekday(day, item) for item in weekdays.split(",")
    )


def _is_date(day: date, item: str) -> bool:
    last = calendar.monthrange(day.year, day.month)[1]
    if item == "L":
        return day.day == last
    if item.endswith("W"):
        wanted = int(item[:-1])
        return wanted <= last and day == _nearest_working_day(day.replace(day=wanted), last)
    return day.day in _values(item, 1, 31)


def _nearest_working_day(day: date, last: int) -> date:
    """The nearest day from Monday to Friday in the same month."""
    if day.weekday() == calendar.SATURDAY:
        return day + timedelta(days=-1 if day.day > 1 else 2)
    if day.weekday() == calendar.SUNDAY:
        return day + timedelta(days=1 if day.day < last else -2)
    return day


def _is_weekday(day: date, item: str) -> bool:
    number = (day.weekday() + 1) % 7 + 1  # EventBridge's: Sunday is 1
    if item.upper() == "L":
        return number == _SATURDAY
    if match := re.fullmatch(r"(\w+)#([1-5])", item):
        return number == _number(match[1], _DAYS) and (day.day - 1) // 7 + 1 == int(match[2])
    if match := re.fullmatch(r"(\d|[A-Za-z]{3})L", item):
        return number == _number(match[1], _DAYS) and (day + timedelta(days=7)).month != day.month
    return number in _values(item, 1, 7, _DAYS)
