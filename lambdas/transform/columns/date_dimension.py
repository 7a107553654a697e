"""The rows of a date dimension: English names whatever the locale, weeks as in ISO 8601."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

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

SCHEMA = pa.schema(
    [
        ("date_id", pa.date32()),
        ("year", pa.int32()),
        ("month", pa.int32()),
        ("day", pa.int32()),
        ("day_of_week", pa.int32()),
        ("day_name", pa.string()),
        ("month_name", pa.string()),
        ("quarter", pa.int32()),
    ]
)


def date_dimension(dates: pa.Array) -> pa.Table:
    """One row (of SCHEMA) for each distinct date in ``dates`` (date32), in ascending order; NULLs are ignored."""
    days = pc.unique(pc.drop_null(dates))
    days = days.take(pc.sort_indices(days))
    weekday = pc.day_of_week(days, count_from_zero=False, week_start=1)  # Monday 1 to Sunday 7
    month = pc.month(days)
    columns = [
        days,
        pc.year(days),
        month,
        pc.day(days),
        weekday,
        pa.array(DAYS).take(pc.subtract(weekday, 1)),
        pa.array(MONTHS).take(pc.subtract(month, 1)),
        pc.quarter(days),
    ]
    return pa.table([column.cast(field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
