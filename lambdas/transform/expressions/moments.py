"""Functions of dates and times. The session is in UTC, and so is the lake: a timestamptz is its UTC time."""

from __future__ import annotations

import calendar
import datetime
import zoneinfo
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.conversions import TIME, TIMESTAMPTZ
from ...shared.expression.constants import InvalidValueError, time_zone
from ...shared.expression.resolve import Typed
from ...shared.expression.types import DATE, kind
from .evaluated import Evaluated, by_row, first_reason, refused

TIMESTAMP = pa.timestamp("us")

_FIRST, _LAST = (datetime.date(year, *rest).toordinal() - 719_163 for year, *rest in ((1, 1, 1), (9999, 12, 31)))
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_FIXED = {"microseconds": 1, "milliseconds": 1000, "second": _SECOND, "minute": 60 * _SECOND, "hour": 3600 * _SECOND}


def add_days(dates: pa.Array, days: pa.Array) -> Evaluated:
    """Dates moved by ``days``. The lake has no date before the year 1, or after 9999."""
    moved = pc.add(dates.cast(pa.int32()).cast(pa.int64()), days.cast(pa.int64()))
    outside = pc.or_(pc.less(moved, _FIRST), pc.greater(moved, _LAST))
    found = refused(moved, outside, "date out of range")
    return Evaluated(found.values.cast(pa.int32()).cast(pa.date32()), found.reasons)


def add_interval(moments: pa.Array, interval: tuple[int, int, int], sign: int) -> Evaluated:
    """Timestamps moved by months, whose last day is the latest possible one, then by days, then by microseconds."""
    months, days, microseconds = (sign * part for part in interval)
    reasons = None
    if months:
        found = by_row(lambda moment: _months_later(moment, months), TIMESTAMP, moments.to_pylist())
        moments, reasons = found.values, found.reasons
    moved = pc.add(moments.cast(pa.int64()), days * _DAY + microseconds)
    outside = pc.or_(pc.less(moved, _FIRST * _DAY), pc.greater_equal(moved, (_LAST + 1) * _DAY))
    checked = refused(moved, outside, "timestamp out of range")
    return Evaluated(checked.values.cast(TIMESTAMP), first_reason(reasons, checked.reasons))


def _months_later(moment: datetime.datetime, months: int) -> datetime.datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1 <= year <= datetime.MAXYEAR:
        raise InvalidValueError("timestamp out of range")
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def date_trunc(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """Down to the beginning of its minute, month, ...; a week begins on a Monday."""
    unit, column = str(node.arguments[0].value).lower(), columns[1]
    if unit in _FIXED or unit == "day":
        grain = _FIXED.get(unit, _DAY)
        ticks = column.cast(pa.int64())
        remainder = pc.subtract(ticks, pc.multiply(pc.divide(ticks, grain), grain))
        below = pc.if_else(pc.less(remainder, 0), pc.add(remainder, grain), remainder)  # the epoch is no beginning
        return Evaluated(pc.subtract(ticks, below).cast(TIMESTAMP))
    if unit in ("week", "month", "quarter", "year"):
        return Evaluated(pc.floor_temporal(column, unit=unit).cast(TIMESTAMP))
    return by_row(lambda moment: _truncated(moment, unit), TIMESTAMP, column.to_pylist())


def _truncated(moment: datetime.datetime, unit: str) -> datetime.datetime:
    """The first moment of a decade, century or millennium: these two begin with the year 1."""
    year = moment.year // 10 * 10
    if unit != "decade":
        size = 100 if unit == "century" else 1000
        year = (moment.year - 1) // size * size + 1
    if year < 1:
        raise InvalidValueError("timestamp out of range")
    return datetime.datetime(year, 1, 1)


def extract(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """A numeric: whole, but for the seconds and the epoch of a time, which have six decimals."""
    unit, column = str(node.arguments[0].value).lower(), columns[1]
    source = kind(node.arguments[1].type)
    if source == TIME:
        return by_row(lambda text: _of_time(text, unit), pa.string(), column.to_pylist())
    if unit in ("epoch", "second"):
        return _exact_seconds(column, unit, is_date=source == DATE)
    values = {
        "year": pc.year,
        "quarter": pc.quarter,
        "month": pc.month,
        "week": pc.iso_week,
        "day": pc.day,
        "hour": pc.hour,
        "minute": pc.minute,
        "dow": lambda found: pc.day_of_week(found, count_from_zero=True, week_start=7),
        "isodow": lambda found: pc.day_of_week(found, count_from_zero=False, week_start=1),
        "doy": pc.day_of_year,
        "isoyear": pc.iso_year,
    }[unit](column)
    return Evaluated(values.cast(pa.int64()).cast(pa.decimal128(19, 0)))


def _exact_seconds(column: pa.Array, unit: str, *, is_date: bool) -> Evaluated:
    if is_date:
        days = column.cast(pa.int32()).cast(pa.int64())
        return Evaluated(pc.multiply(days, 86_400).cast(pa.decimal128(19, 0)))
    ticks = column.cast(pa.int64())
    if unit == "second":
        minute = pc.multiply(pc.divide(ticks, 60 * _SECOND), 60 * _SECOND)
        remainder = pc.subtract(ticks, minute)
        ticks = pc.if_else(pc.less(remainder, 0), pc.add(remainder, 60 * _SECOND), remainder)
    whole = ticks.cast(pa.decimal128(19, 0)).cast(pa.decimal128(25, 6))
    return Evaluated(pc.multiply(whole, pa.scalar("0.000001").cast(pa.decimal128(7, 6))).cast(pa.decimal128(38, 6)))


def _of_time(text: str, unit: str) -> str:
    hour, minute, second = text.split(":")
    if unit in ("hour", "minute"):
        return str(int(hour if unit == "hour" else minute))
    whole, _, fraction = second.partition(".")
    seconds = int(whole) + (int(hour) * 3600 + int(minute) * 60 if unit == "epoch" else 0)
    return f"{seconds}.{fraction.ljust(6, '0')}"


def at_time_zone(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """A timestamp as the clock of a zone shows it, or the moment at which that clock shows a timestamp."""
    zone = time_zone(str(node.arguments[0].value))
    if kind(node.arguments[1].type) == TIMESTAMPTZ:
        return by_row(lambda moment: _local(moment, zone), TIMESTAMP, columns[1].to_pylist())
    return by_row(lambda moment: _moment(moment, zone), TIMESTAMP, columns[1].to_pylist())


def _local(moment: datetime.datetime, zone: zoneinfo.ZoneInfo) -> datetime.datetime:
    try:
        return moment.replace(tzinfo=datetime.UTC).astimezone(zone).replace(tzinfo=None, fold=0)
    except (OverflowError, ValueError) as error:
        raise InvalidValueError("timestamp out of range") from error


def _moment(moment: datetime.datetime, zone: zoneinfo.ZoneInfo) -> datetime.datetime:
    """A time that the clock shows twice is the second one; one that it skips is read with the offset before."""
    try:
        return moment - min(_offset(moment, zone, fold) for fold in (0, 1))
    except OverflowError as error:
        raise InvalidValueError("timestamp out of range") from error


def _offset(moment: datetime.datetime, zone: zoneinfo.ZoneInfo, fold: int) -> datetime.timedelta:
    return moment.replace(tzinfo=zone, fold=fold).utcoffset() or datetime.timedelta(0)
