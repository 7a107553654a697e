"""How the pages write durations, numbers and times."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from lambda_toolkit.pipeline.dashboard import formats

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "\N{EN DASH}"),
        (0, "0 s"),
        (0.44, "0.4 s"),
        (0.96, "1 s"),
        (1, "1 s"),
        (9.5, "9.5 s"),
        (9.96, "10 s"),
        (10.4, "10 s"),
        (42.4, "42 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (1800, "30 min"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h"),
        (7500, "2 h 5 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d"),
        (273_600, "3 d 4 h"),
        (1234 * 86_400, "1,234 d"),
        (-0.5, "-0.5 s"),
        (-90, "-1 min 30 s"),
    ],
)
def test_duration_has_two_units_at_most(seconds, shown):
    assert formats.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "\N{EN DASH}"),
        (True, "yes"),
        (False, "no"),
        (1234567, "1,234,567"),
        (-1234, "-1,234"),
        (1234.5, "1,234.5"),
        (1200.0, "1,200"),
        (2.257, "2.26"),
        ("1234567.80", "1,234,567.80"),
        ("-1234.5", "-1,234.5"),
        ("10", "10"),
        ("-0.50", "-0.50"),
        ("00123", "00123"),
        ("2026-01-02", "2026-01-02"),
        ("1e9", "1e9"),
    ],
)
def test_number_has_commas_and_all_its_digits(value, shown):
    assert formats.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0, "0"), (1.234, "1.23"), (950, "950"), (1000, "1k"), (1500, "1.5k"), (999_000, "999k"), (1e6, "1M")),
        *((20e6, "20M"), (1e9, "1G"), (-2e9, "-2G"), (1e12, "1T")),
    ],
)
def test_axis_has_short_numbers(value, shown):
    assert formats.short_number(value) == shown


def test_things_are_counted_by_their_number():
    assert [formats.counted(count, "row") for count in (0, 1, 2, 2000)] == ["0 rows", "1 row", "2 rows", "2,000 rows"]
    assert [formats.counted(count, "batch", "es") for count in (1, 2)] == ["1 batch", "2 batches"]


def test_times_are_in_utc_with_a_date_where_it_is_another():
    assert formats.clock("2026-03-04T12:00:00+02:00", NOW) == "10:00:00"
    assert formats.clock("2026-03-01 08:00:00Z", NOW) == "2026-03-01 08:00"
    assert formats.clock(None, NOW) == "\N{EN DASH}" and formats.clock("soon", NOW) == "soon"
    assert formats.ago("2026-03-04T11:58:30+00:00", NOW) == "1 min ago"
    assert formats.ago("2026-03-04T12:00:09+00:00", NOW) == "just now", "clocks of two machines differ"
    assert formats.ago("2026-03-04T11:59:59Z", NOW) == "1 s ago"
    assert formats.ago("2026-03-04T11:59:59.5Z", NOW) == "just now" and formats.ago(None, NOW) == "\N{EN DASH}"
    tomorrow = datetime(2026, 3, 5, 1, tzinfo=timezone(timedelta(hours=2)))
    assert formats.clock("2026-03-04T12:00:00Z", tomorrow) == "12:00:00", "today is the day in UTC"


def test_time_without_a_zone_is_in_utc(monkeypatch):
    """Whatever the zone of the machine is."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert formats.clock("2026-03-04 08:00:00", NOW) == "08:00:00"
    finally:
        monkeypatch.undo()
        time.tzset()
