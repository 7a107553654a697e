"""Casts to dates, timestamps and times of day. Every session of the pipeline is in UTC, and so is the lake."""

from __future__ import annotations

import datetime
import re

import pyarrow as pa
import pyarrow.compute as pc

from .cast_result import CastResult, all_invalid, keep, parse, then

MICROSECONDS = 6  # digits that PostgreSQL and the lake keep of a second
TIMESTAMP = pa.timestamp("us")

_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_TIME_OF_DAY = re.compile(rf"{_TIME}|24:00:00(?:\.0{{1,6}})?", re.ASCII)  # PostgreSQL's day has a last moment
_TIMESTAMP = re.compile(rf"\d{{4}}-\d\d-\d\d[ T]{_TIME}", re.ASCII)
_TIMESTAMP_ZONED = re.compile(rf"{_TIMESTAMP.pattern}(?:Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?", re.ASCII)


def date(values: pa.ChunkedArray) -> CastResult:
    """A timestamp fits when it is a midnight."""
    dtype = values.type
    if pa.types.is_date(dtype):
        return CastResult(values)
    if pa.types.is_timestamp(dtype):
        timestamps = values.cast(TIMESTAMP)
        days = timestamps.cast(pa.date32(), safe=False)
        return keep(timestamps, pc.equal(days.cast(TIMESTAMP), timestamps), pa.date32())
    if pa.types.is_string(dtype):
        days = date_of_text(values)
        return CastResult(days, pc.and_(pc.is_valid(values), pc.is_null(days)))
    return all_invalid(values, pa.date32())


def date_of_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The dates (date32) of strings of the form yyyy-mm-dd; NULL for any other. Each distinct string is parsed once."""
    texts = pc.unique(column)
    times = pc.strptime(texts, format="%Y-%m-%d", unit="s", error_is_null=True)
    # strptime takes '2023-2-3', and turns 30 February into 2 March: only what formats to the same string is a date.
    exact = pc.and_kleene(pc.equal(pc.strftime(times, format="%Y-%m-%d"), texts), pc.greater_equal(texts, "0001"))
    days = pc.if_else(pc.fill_null(exact, False), times, pa.scalar(None, times.type)).cast(pa.date32())
    return days.take(pc.index_in(column, value_set=texts))


def timestamp(values: pa.ChunkedArray, digits: int, *, zoned: bool) -> CastResult:
    """``zoned``: with time zone; then a text may have an offset. The result has no zone, which COPY reads as UTC."""
    if pa.types.is_date(values.type):
        return CastResult(values.cast(TIMESTAMP))
    if pa.types.is_string(values.type):
        pattern = _TIMESTAMP_ZONED if zoned else _TIMESTAMP
        parsed = parse(values, lambda text: _timestamp_of_text(text, pattern), TIMESTAMP)
        return then(parsed, lambda found: timestamp(found, digits, zoned=zoned))
    if not pa.types.is_timestamp(values.type):
        return all_invalid(values, TIMESTAMP)
    return _within_precision(values.cast(TIMESTAMP), digits)


def time_of_day(values: pa.ChunkedArray, digits: int) -> CastResult:
    """A column of the lake stays text: Arrow's times have no 24:00:00."""
    if pa.types.is_time(values.type):
        return _within_precision(values, digits)
    if not pa.types.is_string(values.type):
        return all_invalid(values, pa.string())
    fits = pc.match_substring_regex(values, f"^(?:{_TIME_OF_DAY.pattern})$")
    if digits < MICROSECONDS:
        fits = pc.and_(fits, pc.invert(pc.match_substring_regex(values, rf"\.\d{{{digits}}}\d*[1-9]")))
    return keep(values, fits, pa.string())


def _within_precision(values: pa.ChunkedArray, digits: int) -> CastResult:
    """Times and timestamps with no more than ``digits`` fractional digits of a second fit."""
    if digits >= MICROSECONDS:
        return CastResult(values)
    grain = 10 ** (MICROSECONDS - digits)
    ticks = values.cast(pa.int64())
    return keep(values, pc.equal(pc.multiply(pc.divide(ticks, grain), grain), ticks), values.type)


def _timestamp_of_text(text: str, pattern: re.Pattern[str]) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(text) if pattern.fullmatch(text) else None
        if found is None or found.tzinfo is None:
            return found
        return found.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
