"""What a calendar, Kimball's date dimension, contains: its columns, its fiscal year, and the days it always has."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..errors import DeclarationError

DATE = "date"
# What a column may say of a date -> its PostgreSQL type. Weeks and days of the week as in ISO 8601: Monday is 1, and a
# year's first week is the one with its first Thursday.
ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        DATE: "date",
        "year": "integer",
        "quarter": "integer",
        "month": "integer",
        "day": "integer",
        "day_of_week": "integer",
        "day_of_year": "integer",
        "day_name": "text",
        "month_name": "text",
        "iso_year": "integer",
        "iso_week": "integer",
        "is_weekend": "boolean",
        "first_of_month": "date",
        "last_of_month": "date",
        "fiscal_year": "integer",
        "fiscal_quarter": "integer",
        "fiscal_month": "integer",
    }
)
DEFAULT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "date_id": DATE,
        **{name: name for name in ("year", "month", "day", "day_of_week", "day_name", "month_name", "quarter")},
    }
)
LONGEST_TEXTS: Mapping[str, int] = MappingProxyType({"day_name": len("Wednesday"), "month_name": len("September")})
KEYS = frozenset({"columns", "fiscal_year_start", "first_day", "days_ahead"})
"""The keys of a calendar's declaration beside those that every table has."""

_MAX_DAYS_AHEAD = 36_525  # a century


@dataclass(frozen=True)
class Calendar:
    """The declaration of a calendar."""

    columns: Mapping[str, str] = field(default_factory=lambda: DEFAULT_COLUMNS)
    """Column -> what it says of the date, one of ``ATTRIBUTES``."""
    fiscal_year_start: int = 1
    """The month, 1 to 12, that begins a fiscal year. The year has the number of the calendar year that it ends in."""
    first_day: datetime.date | None = None
    """The first of the days that the calendar has whether or not a row names them; None: the day of each batch."""
    days_ahead: int | None = None
    """How many days after the day of a batch the calendar has; None: no days but those that rows name."""

    def days_of(self, batch_day: datetime.date) -> tuple[datetime.date, datetime.date] | None:
        """The first and the last day that a batch of that day (UTC) adds; None where it adds none."""
        if self.first_day is None and self.days_ahead is None:
            return None
        last = batch_day.toordinal() + (self.days_ahead or 0)
        return self.first_day or batch_day, datetime.date.fromordinal(min(last, datetime.date.max.toordinal()))


def parse_calendar(where: str, key: str, entry: Mapping[str, Any]) -> Calendar:
    """The calendar that ``entry``, one of ``[warehouse.<table>]``, declares; ``key``: its key.

    Raises DeclarationError, which begins with ``where``.
    """
    columns = entry.get("columns", DEFAULT_COLUMNS if key == "date_id" else _renamed_key(key))
    if not isinstance(columns, Mapping) or not columns:
        raise DeclarationError(f"{where} `columns` must be a table of texts, not {columns!r}.")
    for column, attribute in columns.items():
        if attribute not in ATTRIBUTES:
            raise DeclarationError(
                f"{where} column `{column}` = {attribute!r} is not known of a date. Known: {', '.join(ATTRIBUTES)}."
            )
    if columns.get(key) != DATE:
        raise DeclarationError(f'{where} `key` must be the column with the date: write {key} = "date" in `columns`.')
    return Calendar(
        MappingProxyType(dict(columns)),
        _number(where, entry, "fiscal_year_start", 1, 12) or 1,
        _first_day(where, entry.get("first_day")),
        _number(where, entry, "days_ahead", 0, _MAX_DAYS_AHEAD),
    )


def _renamed_key(key: str) -> Mapping[str, str]:
    """The usual columns, the date under another name."""
    usual = {name: said for name, said in DEFAULT_COLUMNS.items() if said != DATE and name != key}
    return {key: DATE, **usual}


def _number(where: str, entry: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise DeclarationError(f"{where} `{name}` must be a number from {least} to {most}, not {value!r}.")
    return value


def _first_day(where: str, value: object) -> datetime.date | None:
    if value is None:
        return None
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        raise DeclarationError(f'{where} `first_day` must be a date such as "2020-01-01", not {value!r}.') from None
