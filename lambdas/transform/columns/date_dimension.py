"""The rows of a date dimension: English names whatever the locale, weeks as in ISO 8601."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.model.calendar import ATTRIBUTES, Calendar

_EPOCH = datetime.date(1970, 1, 1).toordinal()

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

_ARROW = {"date": pa.date32(), "integer": pa.int32(), "text": pa.string(), "boolean": pa.bool_()}
_SATURDAY = 6


def date_dimension(calendar: Calendar, dates: pa.Array, batch_day: datetime.date) -> pa.Table:
    """One row for each distinct date in ``dates`` (date32) and for each day that ``calendar`` adds, ascending.

    NULLs are ignored. ``batch_day``: the day of the batch, in UTC. The columns are those of ``calendar``, in its order:
    date32, int32, string or bool.
    """
    added = calendar.days_of(batch_day)
    if added is not None:
        first, last = (day.toordinal() - _EPOCH for day in added)
        dates = pa.concat_arrays([dates, pa.array(range(first, last + 1), pa.int32()).cast(pa.date32())])
    days = pc.unique(pc.drop_null(dates))
    days = days.take(pc.sort_indices(days))
    columns = {
        name: _attribute(attribute, days, calendar.fiscal_year_start).cast(_ARROW[ATTRIBUTES[attribute]])
        for name, attribute in calendar.columns.items()
    }
    return pa.table(columns)


def _attribute(name: str, days: pa.Array, fiscal_year_start: int) -> pa.Array:
    """What the attribute says of each of ``days``."""
    match name:
        case "date":
            return days
        case "day_of_week":
            return _weekday(days)
        case "is_weekend":
            return pc.greater_equal(_weekday(days), _SATURDAY)
        case "day_name":
            return pa.array(DAYS).take(pc.subtract(_weekday(days), 1))
        case "month_name":
            return pa.array(MONTHS).take(pc.subtract(pc.month(days), 1))
        case "iso_year" | "iso_week":
            return pc.iso_calendar(days).field(name)
        case "first_of_month":
            return pc.floor_temporal(days, unit="month")
        case "last_of_month":
            return _day_before(pc.ceil_temporal(days, unit="month", ceil_is_strictly_greater=True))
        case "fiscal_year":
            ends_next_year = pc.and_(pc.greater_equal(pc.month(days), fiscal_year_start), fiscal_year_start > 1)
            return pc.add(pc.year(days), ends_next_year.cast(pa.int64()))
        case "fiscal_quarter":
            return pc.add(pc.divide(pc.subtract(_fiscal_month(days, fiscal_year_start), 1), 3), 1)
        case "fiscal_month":
            return _fiscal_month(days, fiscal_year_start)
    parts = {"year": pc.year, "quarter": pc.quarter, "month": pc.month, "day": pc.day, "day_of_year": pc.day_of_year}
    return parts[name](days)


def _weekday(days: pa.Array) -> pa.Array:
    """Monday 1 to Sunday 7."""
    return pc.day_of_week(days, count_from_zero=False, week_start=1)


def _fiscal_month(days: pa.Array, start: int) -> pa.Array:
    """1 for the month ``start``, to 12."""
    since = pc.subtract(pc.add(pc.month(days), 12), start)
    return pc.add(pc.subtract(since, pc.multiply(pc.divide(since, 12), 12)), 1)


def _day_before(days: pa.Array) -> pa.Array:
    return pc.subtract(days.cast(pa.int32()), pa.scalar(1, pa.int32())).cast(pa.date32())
