"""When schedules fire: by the clock of a zone, across daylight saving, compared with a walk over every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_toolkit.spec.schedules.fire_times import fires, next_fire
from lambda_toolkit.spec.schedules.schedule import Schedule

LONDON = "Europe/London"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # nine o'clock in London is eight in UTC in summer
        ("cron(0 9 ? * MON-FRI *)", LONDON, "2026-03-27 09:00", "2026-03-30 08:00"),
        ("cron(0 9 ? * MON-FRI *)", LONDON, "2026-10-23 08:00", "2026-10-26 09:00"),
        # clocks go from 01:00 to 02:00 on 29 March 2026: half past one does not exist
        ("cron(30 1 ? * * *)", LONDON, "2026-03-28 01:30", "2026-03-30 00:30"),
        ("cron(0 2 ? * * *)", LONDON, "2026-03-28 02:00", "2026-03-29 01:00"),
        # and from 02:00 to 01:00 on 25 October 2026: half past one exists twice, and fires once
        ("cron(30 1 ? * * *)", LONDON, "2026-10-24 12:00", "2026-10-25 00:30"),
        ("cron(30 1 ? * * *)", LONDON, "2026-10-25 00:30", "2026-10-26 01:30"),
        # at half an hour, in the south, and a date that a zone skipped as a whole
        ("cron(15 2 ? * * *)", "Australia/Lord_Howe", "2026-10-02 16:00", "2026-10-04 15:15"),
        ("cron(0 12 30 12 ? 2011)", "Pacific/Apia", "2011-12-01 00:00", None),
        ("cron(0 12 31 12 ? *)", "Pacific/Apia", "2011-12-01 00:00", "2011-12-30 22:00"),
        # EventBridge's own
        ("cron(0 0 L * ? *)", "", "2027-02-01 00:00", "2027-02-28 00:00"),
        ("cron(0 0 1W * ? *)", "", "2027-04-02 00:00", "2027-05-03 00:00"),
        ("cron(0 0 31W * ? *)", "", "2027-01-02 00:00", "2027-01-29 00:00"),
        ("cron(0 0 ? * 6L *)", "", "2027-01-01 00:00", "2027-01-29 00:00"),
        ("cron(0 0 ? * MON#2 *)", "", "2027-01-01 00:00", "2027-01-11 00:00"),
        ("cron(0 0 ? * L *)", "", "2027-01-01 00:00", "2027-01-02 00:00"),
        ("cron(0 0 29 2 ? *)", "", "2097-01-01 00:00", "2104-02-29 00:00"),
        ("cron(0 0 30 2 ? *)", "", "2027-01-01 00:00", None),
        ("cron(0 0 1 1 ? 2026)", "", "2027-01-01 00:00", None),
        ("rate(5 minutes)", LONDON, "2027-01-01 00:00", None),
    ],
)
def test_next_time_is_that_of_the_zone(expression, zone, after, expected) -> None:
    assert next_fire(expression, zone, moment(after)) == (expected and moment(expected))


def test_every_local_time_fires_once_as_clocks_change() -> None:
    """Hourly: 23 times on the short day, and 24 on the long one, whose repeated hour has none."""
    short, long = moment("2026-03-28 23:59"), moment("2026-10-24 22:59")
    local = [fire.astimezone(ZoneInfo(LONDON)).hour for fire in islice(fires("cron(0 * ? * * *)", LONDON, short), 23)]
    assert local == [0, *range(2, 24)]
    found = list(islice(fires("cron(0 * ? * * *)", LONDON, long), 24))
    assert [fire.astimezone(ZoneInfo(LONDON)).hour for fire in found] == list(range(24))
    assert max(later - earlier for earlier, later in pairwise(found)) == timedelta(hours=2)


@settings(max_examples=25, deadline=None)
@given(
    minute=st.sampled_from(["0", "30", "0/20", "5-10", "*"]),
    hour=st.sampled_from(["0", "1", "2", "1-3", "*", "0/6"]),
    days=st.sampled_from(["* * ?", "? * SUN", "? * MON-FRI", "29 3 ?", "25/1 10 ?", "L * ?"]),
    zone=st.sampled_from(["", LONDON, "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kolkata"]),
    around=st.sampled_from(["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]),
)
def test_times_are_those_of_a_walk_over_local_minutes(minute, hour, days, zone, around) -> None:
    """The walk goes through UTC and looks at the local clock, which shows each time at most twice."""
    expression = f"cron({minute} {hour} {days} *)"
    begin = moment(f"{around} 00:00") - timedelta(hours=14)
    place = ZoneInfo(zone or "UTC")
    seen: set[datetime] = set()
    walked = []
    for number in range(1, 40 * 60):
        instant = begin + timedelta(minutes=number)
        local = instant.astimezone(place).replace(tzinfo=None)
        if local not in seen and matches(expression, local):
            walked.append(instant)
        seen.add(local)
    until = begin + timedelta(minutes=40 * 60)
    assert [fire for fire in islice(fires(expression, zone, begin), 2400) if fire < until] == walked


def matches(expression: str, local: datetime) -> bool:
    """Whether a local time fits, without the module that is tested."""
    minute, hour, date, month, weekday, _ = expression[5:-1].split()

    def fits(text: str, value: int, last: int) -> bool:
        if text in ("*", "?"):
            return True
        if "/" in text:
            first, step = map(int, text.split("/"))
            return value >= first and (value - first) % step == 0
        first, _, end = text.partition("-")
        return int(first) <= value <= int(end or first)

    names = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
    number = (local.weekday() + 1) % 7
    is_weekday = weekday == "?" or weekday == names[number] or (weekday == "MON-FRI" and 1 <= number <= 5)
    is_last = (local + timedelta(days=1)).day == 1
    is_date = is_last if date == "L" else fits(date, local.day, 31)
    return (
        fits(minute, local.minute, 59)
        and fits(hour, local.hour, 23)
        and is_date
        and is_weekday
        and fits(month, local.month, 12)
    )


def test_start_and_end_bound_the_times() -> None:
    one = Schedule("cron(0 9 * * ? *)", LONDON, start="2026-07-01", end="2026-07-02T09:30:00+01:00")
    assert one.next_fire(moment("2026-01-01 00:00")) == moment("2026-07-01 08:00"), "the start is in the zone"
    assert one.next_fire(moment("2026-07-02 08:00")) is None
    assert not one.has_ended(moment("2026-07-02 08:29"))
    assert one.has_ended(moment("2026-07-02 08:30"))
