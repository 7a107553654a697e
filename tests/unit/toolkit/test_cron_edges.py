"""The edges of each field of a schedule, each name of a day and month, each macro; and the days that match."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta

import pytest

from lambda_toolkit.errors import ScheduleError
from lambda_toolkit.spec.metric_math import ExpressionError, fills_gaps, parse
from lambda_toolkit.spec.schedules.cron import to_eventbridge
from lambda_toolkit.spec.schedules.fire_times import fires, fires_a_year, next_fire

MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()  # noqa: SIM905 - as crontab(5) lists them
DAYS = "SUN MON TUE WED THU FRI SAT".split()  # noqa: SIM905


@pytest.mark.parametrize("month", range(1, 13))
def test_last_day_of_a_month_is_the_latest_that_matches(month: int) -> None:
    last = calendar.monthrange(2028, month)[1]  # a leap year
    assert to_eventbridge(f"0 0 {last} {month} *") == f"cron(0 0 {last} {month} ? *)"
    assert to_eventbridge(f"0 0 {last} {MONTHS[month - 1].lower()} *") == f"cron(0 0 {last} {month} ? *)"
    if last < 31:
        with pytest.raises(ScheduleError, match=f"never matches: no such date in {month}"):
            to_eventbridge(f"0 0 {last + 1} {month} *")


@pytest.mark.parametrize("number", range(7))
def test_each_day_of_the_week_has_a_name_and_a_number(number: int) -> None:
    name = DAYS[number]
    assert to_eventbridge(f"0 0 * * {number}") == to_eventbridge(f"0 0 * * {name}") == f"cron(0 0 ? * {name} *)"
    day = next(fires(f"cron(0 0 ? * {name} *)", "", datetime(2027, 1, 1, tzinfo=UTC)))
    assert day.strftime("%a").upper() == name
    assert next(fires(f"cron(0 0 ? * {number + 1} *)", "", datetime(2027, 1, 1, tzinfo=UTC))) == day


@pytest.mark.parametrize(
    ("macro", "expression"),
    [
        ("@yearly", "cron(0 0 1 1 ? *)"),
        ("@annually", "cron(0 0 1 1 ? *)"),
        ("@monthly", "cron(0 0 1 * ? *)"),
        ("@weekly", "cron(0 0 ? * SUN *)"),
        ("@Daily", "cron(0 0 * * ? *)"),
        ("@midnight", "cron(0 0 * * ? *)"),
        ("@hourly", "cron(0 * * * ? *)"),
        ("at( 2027-01-31T09:00:00 )", "at(2027-01-31T09:00:00)"),
        ("rate(2 hours)", "rate(2 hours)"),
        ("rate(1 hour)", "rate(1 hour)"),
        ("rate(1 day)", "rate(1 day)"),
        ("rate(01 day)", "rate(1 day)"),
        ("59 23 31 12 *", "cron(59 23 31 12 ? *)"),
        ("0,59 0,23 1,31 1,12 *", "cron(0,59 0,23 1,31 1,12 ? *)"),
        ("*/2 * * * *", "cron(0/2 * * * ? *)"),
        ("*/30 * * * *", "cron(0,30 * * * ? *)"),
        ("*/20 * * * *", "cron(0/20 * * * ? *)"),
        ("1-59/29 * * * *", "cron(1/29 * * * ? *)"),
        ("0 */7 * * *", "cron(0 0/7 * * ? *)"),
        ("0 0 */10 * *", "cron(0 0 1/10 * ? *)"),
        ("0 0 * */4 *", "cron(0 0 * 1/4 ? *)"),
        ("0 0 * * */2", "cron(0 0 ? * SUN,TUE,THU,SAT *)"),
        ("1-2 1-3 * * *", "cron(1,2 1-3 * * ? *)"),
        ("0 0 * * SAT-SUN", "cron(0 0 ? * SUN,SAT *)"),
        ("0 0 * DEC-JAN *", "cron(0 0 * 1,12 ? *)"),
        ("*/007 * * * *", "cron(0/7 * * * ? *)"),
        ("0 0 1-31 * *", "cron(0 0 * * ? *)"),
        ("0 0 * * 1-7", "cron(0 0 * * ? *)"),
        ("0 0 *,5 * MON", "cron(0 0 ? * MON *)"),
        *((f"cron({each})", f"cron({each})") for each in (
            *("59 23 31 12 ? 2199", "0 0 1 1 ? 1970", "0 0 ? * 7 *", "0 0 ? * 1 *", "0 0 ? * 7L *", "0 0 ? * MON#5 *"),
            *("0 0 1W * ? *", "0 0 31W * ? *", "0 0 L * ? *", "0 0 ? * L *", "0/1 0 * * ? *", "*/5 0 * * ? *"),
            *("0 0 ? JAN-DEC SAT-SUN *", "0 0 1/2 1/3 ? 2027/2", "0 0 1,L * ? *", "0-30/5 0 * * ? *"),
        )),
    ],
)  # fmt: skip
def test_schedule_is_that_of_eventbridge(macro: str, expression: str) -> None:
    assert to_eventbridge(macro) == expression


@pytest.mark.parametrize(
    "schedule",
    [
        *("60 * * * *", "* 24 * * *", "* * 32 * *", "* * 0 * *", "* * * 13 *", "* * * 0 *", "* * * * 8", "-1 * * * *"),
        *("00001 * * * *", "1x * * * *", "x1 * * * *", "*/5x * * * *", "*/ * * * *", "1-2-3 * * * *", "1- * * * *"),
        *("5/5 * * * *", "0 0 5 * MON", "0 0 */5 * MON", "0 0 5 * */2", "* * L * *", "* * 5W * *", "* * * * 5#1"),
        *("at(2027-01-31)", "at(2027-01-31T09:00:00Z)", "at(2027-02-30T09:00:00)", "at()", "@", "@dailyx", "x"),
        *("rate(0 days)", "rate(5 day)", "rate(1 days)", "rate(5 dayss)", "rate(-5 days)", "rate(5 weeks)", "rate()"),
        *(
            f"cron({each})"
            for each in (
                *("60 0 * * ? *", "0 24 * * ? *", "0 0 0 * ? *", "0 0 32 * ? *", "0 0 * 0 ? *", "0 0 * 13 ? *"),
                *("0 0 ? * 0 *", "0 0 ? * 8 *", "0 0 * * ? 1969", "0 0 * * ? 2200", "0 0 * * * *", "0 0 ? * ? *"),
                *("0 0 0W * ? *", "0 0 32W * ? *", "0 0 ? * 8L *", "0 0 ? * MON#6 *", "0 0 ? * MON#0 *", "? 0 * * ? *"),
                *(
                    "0 0 *,? * ? *",
                    "0 0 ?,1 * MON *",
                    "L 0 * * ? *",
                    "0 0 ? * MON/2 *",
                    "0/0 0 * * ? *",
                    "0/x 0 * * ? *",
                ),
                *("0 0 * * ?", "0 0 * * ? * *", "0 0 ? * 5W *", "0 0 1#1 * ? *", "0 L * * ? *", "0 0 * * ? ?"),
            )
        ),
    ],
)
def test_schedule_that_is_none_is_refused(schedule: str) -> None:
    with pytest.raises(ScheduleError):
        to_eventbridge(schedule)


DAY_FIELDS = ("* ?", "L ?", "1 ?", "31 ?", "1/10 ?", "1W ?", "15W ?", "31W ?", "1,L ?", "? *", "? L", "? 7L", "? SUN")
DAY_FIELDS += ("? MON-FRI", "? 2#1", "? FRI#5", "? SATL", "? 6-2", "? TUE,THU", "10-12 ?")


def last_of(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def working_day(day: date, wanted: int) -> bool:
    """``15W``: the day from Monday to Friday that is nearest to the 15th, in its month."""
    if wanted > last_of(day):
        return False
    near = [each for each in range(1, last_of(day) + 1) if day.replace(day=each).weekday() < 5]
    return day.day == min(near, key=lambda each: (abs(each - wanted), each != wanted))


def expected(dates: str, weekdays: str, day: date) -> bool:
    number = day.isoweekday() % 7 + 1  # Sunday is 1
    if weekdays == "?":
        return {
            "*": True,
            "L": day.day == last_of(day),
            "1": day.day == 1,
            "31": day.day == 31,
            "1/10": day.day in (1, 11, 21, 31),
            "1W": working_day(day, 1),
            "15W": working_day(day, 15),
            "31W": working_day(day, 31),
            "1,L": day.day in (1, last_of(day)),
            "10-12": 10 <= day.day <= 12,
        }[dates]
    return {
        "*": True,
        "L": number == 7,
        "7L": number == 7 and day.day > last_of(day) - 7,
        "SATL": number == 7 and day.day > last_of(day) - 7,
        "SUN": number == 1,
        "MON-FRI": 2 <= number <= 6,
        "2#1": number == 2 and day.day <= 7,
        "FRI#5": number == 6 and day.day > 28,
        "6-2": number in (6, 7, 1, 2),
        "TUE,THU": number in (3, 5),
    }[weekdays]


@pytest.mark.parametrize("day_fields", DAY_FIELDS)
def test_days_of_fourteen_months_are_those_that_match(day_fields: str) -> None:
    dates, weekdays = day_fields.split()
    expression = f"cron(30 9 {dates} * {weekdays} *)"
    days = [date(2027, 1, 1) + timedelta(days=number) for number in range(425)]
    wanted = [day for day in days if expected(dates, weekdays, day)]
    found = []
    for fire in fires(expression, "", datetime(2026, 12, 31, 23, tzinfo=UTC)):
        if fire.date() > days[-1]:
            break
        found.append(fire)
    assert [fire.date() for fire in found] == wanted
    assert {(fire.hour, fire.minute) for fire in found} <= {(9, 30)}
    assert fires_a_year(expression) == sum(day.year == 2027 for day in wanted)


@pytest.mark.parametrize(
    ("expression", "number"),
    [
        ("cron(0 0 * * ? *)", 365),
        ("cron(0/15 9-17 ? * MON-FRI *)", 4 * 9 * 261),
        ("cron(0 22-1 1 JAN,JUL ? 2099)", 8),
        ("cron(50-10/5 0 1 1 ? *)", 5),
        ("rate(1 day)", None),
        ("at(2027-01-31T09:00:00)", None),
    ],
)
def test_firings_of_a_year_are_counted(expression: str, number: int | None) -> None:
    assert fires_a_year(expression) == number


@pytest.mark.parametrize(
    ("expression", "after", "fire"),
    [
        ("at(2027-01-31T09:00:00)", "2027-01-31T08:59", "2027-01-31T09:00"),
        ("at(2027-01-31T09:00:00)", "2027-01-31T09:00", None),
        ("cron(0 9 1 1 ? *)", "2027-01-01T08:59", "2027-01-01T09:00"),
        ("cron(0 9 1 1 ? *)", "2027-01-01T09:00", "2028-01-01T09:00"),
        ("cron(0 9 1 1 ? 2199)", "2198-01-02T09:00", "2199-01-01T09:00"),
        ("cron(0 9 1 1 ? 2027-2028)", "2028-01-01T09:00", None),
        ("cron(59 23 31 12 ? *)", "2027-01-01T00:00", "2027-12-31T23:59"),
        ("cron(0 0 29 2 ? *)", "2096-03-01T00:00", "2104-02-29T00:00"),
        ("rate(1 day)", "2027-01-01T00:00", None),
        ("cron(0 9 1 1 ?)", "2027-01-01T00:00", None),
    ],
)
def test_next_firing_is_after_the_moment(expression: str, after: str, fire: str | None) -> None:
    found = next_fire(expression, "Etc/UTC", datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == (datetime.fromisoformat(fire).replace(tzinfo=UTC) if fire else None)


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "m +", "(m", "m)", "FILL(m)", "FILL(m, 0, 1)", "FILL(0, m)", "FILL(m, m)", "n", "m ** 2", "m m", "1 2"),
        *("RATE(m)", "m + FILL", "FILL m, 0", ".", "m,1", "- ", "FILL(m, 1"),
    ],
)
def test_expression_that_cloudwatch_would_refuse_is_refused(wrong: str) -> None:
    with pytest.raises(ExpressionError):
        parse(wrong, ("m",))


def test_expression_fills_gaps_where_it_says_so() -> None:
    assert [fills_gaps(text) for text in ("FILL(m, 0)", "1 + fill ( m, 0)", "m", "", "FILLED", "m + 1")] == [
        *(True, True),
        *(False, False, False, False),
    ]
