"""Unix cron against EventBridge: two matchers that share no code with the converter must agree on every minute."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lambda_toolkit.errors import ScheduleError
from lambda_toolkit.spec.schedules.cron import to_eventbridge

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
UNIX_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


# ------------------------------------------------------------------------------------- the two naive matchers
def unix_items(text: str, low: int, high: int, names: list[str], first_name: int) -> Iterator[tuple[int, int, int]]:
    """The start, the end and the step of every item of a field."""
    for item in text.split(","):
        body, _, step = item.partition("/")
        words = [str(low), str(high)] if body == "*" else [body.split("-")[0], body.split("-")[-1]]
        start, end = (names.index(word.upper()) + first_name if word.upper() in names else int(word) for word in words)
        yield start, end, int(step or 1)


def unix_field_matches(
    text: str, value: int, low: int, high: int, names: list[str] | None = None, first_name: int = 0
) -> bool:
    """crontab(5), one item at a time, by counting from the start of each range until its end is met."""
    for start, end, step in unix_items(text, low, high, names or [], first_name):
        current, count = start, 0
        while True:
            if current == value and count % step == 0:
                return True
            if current == end:
                break
            current, count = (low if current == high else current + 1), count + 1
    return False


def unix_weekday_matches(text: str, value: int) -> bool:
    """Sunday is 0 at the start of a range and 7 at the end of one, save where the range is one day long."""
    for start, end, step in unix_items(text, 0, 6, UNIX_DAYS, 0):
        last = end
        while last < start:
            last += 7
        if any(day % 7 == value for day in range(start, last + 1, step)):
            return True
    return False


def unix_matches(line: str, when: datetime) -> bool:
    minute, hour, date, month, weekday = line.split()
    date_matches = unix_field_matches(date, when.day, 1, 31)
    weekday_matches = unix_weekday_matches(weekday, when.isoweekday() % 7)
    if date.startswith("*") or weekday.startswith("*"):
        day_matches = date_matches and weekday_matches
    else:
        day_matches = date_matches or weekday_matches
    return (
        day_matches
        and unix_field_matches(minute, when.minute, 0, 59)
        and unix_field_matches(hour, when.hour, 0, 23)
        and unix_field_matches(month, when.month, 1, 12, MONTHS, 1)
    )


def eventbridge_field_matches(text: str, value: int, high: int, names: list[str]) -> bool:
    """The wildcards of EventBridge's page: ``*``, ``?``, lists, ranges that run forward, ``start/step``."""
    for item in text.split(","):
        if item in ("*", "?"):
            return True
        words = [names.index(word) + 1 if word in names else int(word) for word in item.replace("/", "-").split("-")]
        if "/" in item:
            start, step = words
            if value in range(start, high + 1, step):
                return True
        elif words[0] <= value <= words[-1]:
            return True
    return False


def eventbridge_matches(expression: str, when: datetime) -> bool:
    minute, hour, date, month, weekday, year = expression.removeprefix("cron(").removesuffix(")").split()
    assert (date == "?") != (weekday == "?"), expression
    assert year == "*"
    return (
        eventbridge_field_matches(minute, when.minute, 59, [])
        and eventbridge_field_matches(hour, when.hour, 23, [])
        and eventbridge_field_matches(date, when.day, 31, [])
        and eventbridge_field_matches(month, when.month, 12, [])
        and eventbridge_field_matches(weekday, when.isoweekday() % 7 + 1, 7, UNIX_DAYS)
    )


# ------------------------------------------------------------------------------------------------- generated lines
def items(low: int, high: int, names: list[str] | None = None, first_name: int = 0, wraps: bool = False):
    values = st.integers(low, high).map(str)
    if names:
        values = values | st.sampled_from(names) | st.sampled_from([name.lower() for name in names])
    step = st.integers(1, 9).map(lambda number: f"/{number}") | st.just("")

    def forward(pair: tuple[str, str]) -> bool:
        def number(word: str) -> int:
            return (names or []).index(word.upper()) + first_name if not word.isdigit() else int(word)

        return wraps or number(pair[0]) <= number(pair[1])

    ranges = st.tuples(values, values).filter(forward).map("-".join)
    item = values | st.builds(str.__add__, ranges, step) | st.builds(str.__add__, st.just("*"), step)
    return st.lists(item, min_size=1, max_size=3).map(",".join)


def field(*arguments, **named):
    return st.just("*") | items(*arguments, **named)


CRON_LINES = st.tuples(
    field(0, 59),
    field(0, 23),
    st.just("*") | items(1, 31),
    field(1, 12, MONTHS, 1, wraps=True),
    st.just("*") | items(0, 7, UNIX_DAYS, 0, wraps=True),
).map(" ".join)

MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2032, 12, 31)).map(
    lambda when: when.replace(second=0, microsecond=0)
)


@settings(deadline=None)
@given(CRON_LINES, MOMENTS)
@example("0 6 * * 0", datetime(2026, 11, 22))
@example("0 6 * * 5-7", datetime(2026, 11, 20))
@example("*/7 1-23/5 * NOV-FEB FRI-MON", datetime(2026, 11, 27))
def test_both_match_the_same_times(line: str, start: datetime) -> None:
    try:
        expression = to_eventbridge(line)
    except ScheduleError as error:
        assume("restricts both" not in str(error) and "never matches" not in str(error))
        raise
    minute, hour = (
        next(value for value in range(size) if unix_field_matches(text, value, 0, size - 1))
        for text, size in zip(line.split()[:2], (60, 24), strict=True)
    )
    near = [start + timedelta(minutes=number) for number in range(180)]
    at_its_time = [start.replace(hour=hour, minute=minute) + timedelta(days=number) for number in range(400)]
    for when in near + at_its_time:
        assert unix_matches(line, when) == eventbridge_matches(expression, when), (line, expression, when)


@settings(deadline=None)
@given(CRON_LINES)
def test_what_comes_out_is_taken_back(line: str) -> None:
    try:
        expression = to_eventbridge(line)
    except ScheduleError:
        assume(False)
    assert to_eventbridge(expression) == expression
    assert len(expression) <= 256  # EventBridge's limit


@settings(deadline=None)
@given(CRON_LINES)
def test_only_what_eventbridge_cannot_say_is_refused(line: str) -> None:
    try:
        to_eventbridge(line)
    except ScheduleError as error:
        if "never matches" in str(error):
            start = datetime(2024, 1, 1)
            date_and_month = " ".join(line.split()[2:4])
            assert not any(
                unix_matches(f"* * {date_and_month} *", start + timedelta(days=number)) for number in range(366)
            )
        else:
            date, weekday = line.split()[2], line.split()[4]
            assert date != "*"
            assert weekday != "*"


# ------------------------------------------------------------------------------------------------------ examples
@pytest.mark.parametrize(
    ("schedule", "expression"),
    [
        ("0 0 * * *", "cron(0 0 * * ? *)"),
        ("  0   0 * * *  ", "cron(0 0 * * ? *)"),
        ("*/15 9-17 * * MON-FRI", "cron(0/15 9-17 ? * MON-FRI *)"),
        ("0 6 * * 0", "cron(0 6 ? * SUN *)"),
        ("0 6 * * 7", "cron(0 6 ? * SUN *)"),
        ("0 6 * * 1", "cron(0 6 ? * MON *)"),
        ("0 6 * * fri-mon", "cron(0 6 ? * SUN,MON,FRI,SAT *)"),
        ("0 6 * * 5-7", "cron(0 6 ? * SUN,FRI,SAT *)"),
        ("0 6 * * 0-6", "cron(0 6 * * ? *)"),
        ("0 6 1,15 * *", "cron(0 6 1,15 * ? *)"),
        ("0 6 1 JAN-MAR *", "cron(0 6 1 1-3 ? *)"),
        ("0 6 * nov-feb *", "cron(0 6 * 1,2,11,12 ? *)"),
        ("10-40/10 * * * *", "cron(10,20,30,40 * * * ? *)"),
        ("0 0 1-31 * MON", "cron(0 0 * * ? *)"),  # crontab(5): either day field may match, and every date does
        ("0 0 29 2 *", "cron(0 0 29 2 ? *)"),
        ("@hourly", "cron(0 * * * ? *)"),
        ("@weekly", "cron(0 0 ? * SUN *)"),
        ("@YEARLY", "cron(0 0 1 1 ? *)"),
        ("rate(1 minute)", "rate(1 minute)"),
        ("rate( 5  minutes )", "rate(5 minutes)"),
        ("rate(7 days)", "rate(7 days)"),
        ("cron(0 12 ? * MON-FRI *)", "cron(0 12 ? * MON-FRI *)"),
        ("cron(0  12 L * ? 2026-2028)", "cron(0 12 L * ? 2026-2028)"),
        ("cron(0/5 8 15W JAN,MAR ? *)", "cron(0/5 8 15W JAN,MAR ? *)"),
        ("cron(0 8 ? * 2#1 *)", "cron(0 8 ? * 2#1 *)"),
        ("cron(0 8 ? * FRIL *)", "cron(0 8 ? * FRIL *)"),
    ],
)
def test_examples(schedule: str, expression: str) -> None:
    assert to_eventbridge(schedule) == expression


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("0 0 13 * 5", "EventBridge cannot express"),
        ("0 0 13 * 5", "deploy the function twice"),
        ("0 0 */2 * MON", "EventBridge cannot express"),
        ("0 0 31 2,4 *", "never matches"),
        ("60 * * * *", "60 is not a valid minute: 0 to 59."),
        ("* 24 * * *", "24 is not a valid hour"),
        ("0 0 0 * *", "0 is not a valid day of the month"),
        ("0 0 * 13 *", "13 is not a valid month"),
        ("0 0 * * 8", "8 is not a valid day of the week"),
        ("0 0 * * MOON", "`MOON` is not a value for the day of the week"),
        ("40-10 * * * *", "runs backwards"),
        ("*/0 * * * *", "must be 1 or more"),
        ("*/x * * * *", "must be 1 or more"),
        ("5/10 * * * *", "Write 5-59/10"),
        ("0 0 ? * MON", "write cron(...) with six fields"),
        ("0 0 * *", "has 4 fields"),
        ("0 0 * * * *", "has 6 fields"),
        ("", "has 0 fields"),
        ("1,,2 * * * *", "`` is not a value"),
        ("@reboot", "is unknown"),
        ("rate(1 minutes)", "Write rate(1 minute)"),
        ("rate(5 minute)", "Write rate(5 minutes)"),
        ("rate(0 minutes)", "write it like rate(5 minutes)"),
        ("rate(5 weeks)", "write it like rate(5 minutes)"),
        ("rate(5)", "write it like rate(5 minutes)"),
        ("cron(0 12 * * *)", "has 5 fields"),
        ("cron(0 12 * * * *)", "`?` in exactly one"),
        ("cron(0 12 ? * ? *)", "`?` in exactly one"),
        ("cron(0 12 ? * 0 *)", "0 is not a valid day of the week: 1 to 7."),
        ("cron(0 12 ? * 2#6 *)", "is not a value"),
        ("cron(0 12 32W * ? *)", "32 is not a valid day of the month"),
        ("cron(0 12 ? * 2/2 *)", "does not allow the step"),
        ("cron(0/0 12 ? * 2 *)", "does not allow the step"),
        ("cron(0 12 1 * ? 1969)", "1969 is not a valid year"),
    ],
)
def test_refusals_say_what_is_wrong_and_what_to_do(schedule: str, says: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        to_eventbridge(schedule)
    assert says in str(refused.value)
