"""How often a schedule fires in a month of 730 hours."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

from lambda_script import HOURS_A_MONTH, Schedule

_PER_HOUR = {"minute": Decimal(60), "hour": Decimal(1), "day": Decimal(1) / 24}
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")


def starts_a_month(*schedules: str | None) -> Decimal:
    """How often EventBridge's expressions ``schedules`` fire in a month, on average, together; 0 without any.

    What fires once counts as nothing. Raises ValueError for what is neither ``rate(...)`` nor ``cron(...)``.
    """
    return sum(map(_starts, filter(None, schedules)), Decimal(0))


def _starts(schedule: str) -> Decimal:
    if Schedule(schedule).is_once:
        return Decimal(0)
    if rate := _RATE.fullmatch(schedule):
        return _PER_HOUR[rate[2]] * HOURS_A_MONTH / int(rate[1])
    a_year = Schedule(schedule).fires_a_year()
    if a_year is not None:
        return Decimal(a_year) / 12
    raise ValueError(f"{schedule!r} is not a schedule expression of EventBridge")


def interval(schedule: str) -> timedelta | None:
    """The interval of a ``rate(...)``; None of anything else."""
    rate = _RATE.fullmatch(schedule)
    return timedelta(hours=float(int(rate[1]) / _PER_HOUR[rate[2]])) if rate else None
