"""What a text means as a value of a type: of a constant in an expression, and of a value that is cast.

The forms are those of docs/values.md. PostgreSQL reads more of them; a text in another form is refused here.
"""

from __future__ import annotations

import datetime
import functools
import math
import re
import struct
import zoneinfo
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from ..conversions import TIME, TIMESTAMP, TIMESTAMPTZ
from .types import BIGINT, BOOLEAN, DATE, DOUBLE, INTEGER, INTERVAL, NUMERIC, REAL, SMALLINT, TEXT_ARRAY, UUID

BLANKS = " \t\n\r\v\f"  # what PostgreSQL ignores around a value
BITS: Mapping[str, int] = {SMALLINT: 16, INTEGER: 32, BIGINT: 64}

MAX_DIGITS_BEFORE, _MAX_DIGITS_AFTER = 131_072, 16_383  # of the point, in PostgreSQL's numeric
_MAX_INTEGER_DIGITS = 19
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_SPECIAL = re.compile(r"(nan)|([+-]?)inf(inity)?", re.ASCII | re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_TIME = re.compile(rf"{_CLOCK}|24:00:00(?:\.0{{1,6}})?", re.ASCII)
_TIMESTAMP = re.compile(rf"\d{{4}}-\d\d-\d\d(?:[ T]{_CLOCK})?", re.ASCII)
_ZONED = re.compile(rf"\d{{4}}-\d\d-\d\d(?:[ T]{_CLOCK}(?:Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?)?", re.ASCII)
_UUID = re.compile(r"([0-9a-f]{4}-?){7}[0-9a-f]{4}", re.ASCII | re.IGNORECASE)
_WORDS = ("true", "false", "yes", "no", "on", "off", "1", "0")
_SHORTEST_WORD = {"on": 2, "off": 2}  # letters that tell a word from the others


class InvalidValueError(ValueError):
    """A value that PostgreSQL refuses, with the reason; of one row, when it is not a constant."""


def invalid_syntax(postgres_type: str) -> InvalidValueError:
    """PostgreSQL's words for a text that is no value of the type."""
    return InvalidValueError(f"invalid input syntax for type {postgres_type}")


def out_of_range(postgres_type: str) -> InvalidValueError:
    """PostgreSQL's words for a number that the type does not have."""
    return InvalidValueError(f"{postgres_type} out of range")


def as_integer(number: int, postgres_type: str) -> int:
    """``number``, where the type has it. Raises InvalidValueError."""
    bits = BITS[postgres_type] - 1
    if not -(2**bits) <= number < 2**bits:
        raise out_of_range(postgres_type)
    return number


def as_numeric(number: Decimal) -> Decimal:
    """``number`` with the scale that it shows, never an exponent or a negative zero. Raises InvalidValueError."""
    if not number.is_finite():
        return number
    exponent = int(number.as_tuple().exponent)
    if number and number.adjusted() >= MAX_DIGITS_BEFORE:
        raise InvalidValueError("value overflows numeric format")
    if -exponent > _MAX_DIGITS_AFTER:
        raise InvalidValueError("value overflows numeric format")
    if exponent > 0:
        number = Decimal(f"{number:f}")
    return number if number else number.copy_abs()


def read_integer(text: str, postgres_type: str) -> int:
    """Digits with an optional sign."""
    stripped = text.strip(BLANKS)
    if not _INTEGER.fullmatch(stripped):
        raise invalid_syntax(postgres_type)
    digits = stripped.lstrip("+-").lstrip("0")
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise out_of_range(postgres_type)
    return as_integer(int(digits or "0") * (-1 if stripped.startswith("-") else 1), postgres_type)


def read_numeric(text: str) -> Decimal:
    """Also with a decimal point, an exponent, ``NaN`` and ``Infinity``; the scale is the one that is written."""
    stripped = text.strip(BLANKS)
    special = _SPECIAL.fullmatch(stripped)
    if special:
        return Decimal("NaN") if special[1] else Decimal(f"{'-' if special[2] == '-' else ''}Infinity")
    if not _NUMBER.fullmatch(stripped):
        raise invalid_syntax(NUMERIC)
    return as_numeric(Decimal(stripped))


def read_float(text: str, postgres_type: str) -> float:
    """The nearest number of the type."""
    stripped = text.strip(BLANKS)
    special = _SPECIAL.fullmatch(stripped)
    if special:
        return math.nan if special[1] else math.copysign(math.inf, -1 if special[2] == "-" else 1)
    if not _NUMBER.fullmatch(stripped):
        raise invalid_syntax(postgres_type)
    exact = Decimal(stripped)
    number = float(stripped) if postgres_type == DOUBLE else nearest_real(exact)
    if math.isinf(number) or (not number and exact):
        raise out_of_range(postgres_type)
    return number


def nearest_real(exact: Decimal) -> float:
    """The real (single precision) nearest to ``exact``, rounded once; infinite where there is none."""
    number = float(exact)
    try:
        near: float = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)
    # By way of a double, a number beside the middle of two reals may become that middle, which is rounded to even.
    if near != number and number != 0 and exact != Decimal(number):
        bits = struct.unpack("<i", struct.pack("<f", abs(near)))[0]
        for other_bits in (bits - 1, bits + 1):
            if other_bits < 0:
                continue
            other = math.copysign(struct.unpack("<f", struct.pack("<i", other_bits))[0], number)
            if not math.isinf(other) and abs(Decimal(other) - exact) < abs(Decimal(near) - exact):
                near = other
    return near


def read_boolean(text: str) -> bool:
    """A word, or the beginning of one that no other begins with."""
    word = text.strip(BLANKS).lower()
    found = [full for full in _WORDS if word and full.startswith(word) and len(word) >= _SHORTEST_WORD.get(full, 1)]
    if not found:
        raise invalid_syntax(BOOLEAN)
    return _WORDS.index(found[0]) % 2 == 0


def read_date(text: str) -> datetime.date:
    """``yyyy-mm-dd``."""
    try:
        if _DATE.fullmatch(text):
            return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    raise invalid_syntax(DATE)


def read_timestamp(text: str, postgres_type: str) -> datetime.datetime:
    """``yyyy-mm-dd`` and ``hh:mm:ss``; with time zone, also an offset. The result is in UTC, without a zone."""
    try:
        if (_ZONED if postgres_type == TIMESTAMPTZ else _TIMESTAMP).fullmatch(text):
            found = datetime.datetime.fromisoformat(text)
            return found.astimezone(datetime.UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        pass
    raise invalid_syntax(postgres_type)


def read_time(text: str) -> str:
    """``hh:mm:ss``, as PostgreSQL writes it: without zeros at its end."""
    if not _TIME.fullmatch(text):
        raise invalid_syntax(TIME)
    return text.rstrip("0").rstrip(".") if "." in text else text


def read_uuid(text: str) -> str:
    """As PostgreSQL writes it."""
    bare = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if not _UUID.fullmatch(bare):
        raise invalid_syntax(UUID)
    digits = bare.replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


_ELEMENT = re.compile(
    r'\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^"\\{},\s]|\\.)(?:(?:[^"\\{},]|\\.)*(?:[^"\\{},\s]|\\.))?))\s*(,|$)', re.DOTALL
)


def read_text_array(text: str) -> tuple[str | None, ...]:
    """``{a,b}``, one level deep; an unquoted NULL is no text."""
    stripped = text.strip(BLANKS)
    if not (stripped.startswith("{") and stripped.endswith("}")):
        raise invalid_syntax("text[]")
    inside, at = stripped[1:-1], 0
    found: list[str | None] = []
    while at < len(inside) or (found and inside.endswith(",") and inside.strip()):
        match = _ELEMENT.match(inside, at)
        if match is None:
            if not inside.strip(BLANKS):
                break
            raise invalid_syntax("text[]")
        quoted, bare, _ = match.groups()
        plain = re.sub(r"\\(.)", r"\1", quoted if bare is None else bare, flags=re.DOTALL)
        found.append(None if bare is not None and bare.upper() == "NULL" else plain)
        at = match.end()
    return tuple(found)


@functools.cache
def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """The zone of the IANA database: UTC, or a name such as Europe/Berlin. Raises InvalidValueError.

    PostgreSQL takes a short name such as CET for an abbreviation, which has no summer time: none is read here.
    """
    if name == "UTC" or ("/" in name and not name.startswith(("right/", "posix/", "/"))):
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise InvalidValueError(
        f"the time zone {name!r} is not known here. Write UTC, or a name of the IANA database such as Europe/Berlin; "
        "where it is one, the package tzdata must be among the requirements"
    )


_INTERVAL_UNITS = {  # unit -> months, days, microseconds
    **dict.fromkeys(("year", "years"), (12, 0, 0)),
    **dict.fromkeys(("month", "months", "mon", "mons"), (1, 0, 0)),
    **dict.fromkeys(("week", "weeks"), (0, 7, 0)),
    **dict.fromkeys(("day", "days"), (0, 1, 0)),
    **dict.fromkeys(("hour", "hours"), (0, 0, 3_600_000_000)),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), (0, 0, 60_000_000)),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), (0, 0, 1_000_000)),
}
_INTERVAL_PART = re.compile(r"([+-]?\d{1,9}) ?([a-z]+)", re.ASCII)
_INTERVAL = re.compile(rf"{_INTERVAL_PART.pattern}(?:\s+{_INTERVAL_PART.pattern})*", re.ASCII)


def read_interval(text: str) -> tuple[int, int, int]:
    """Months, days and microseconds of whole numbers with units, such as ``1 year 2 months -3 days``."""
    written = text.strip(BLANKS).lower()
    parts = _INTERVAL_PART.findall(written) if _INTERVAL.fullmatch(written) else []
    if not parts or any(unit not in _INTERVAL_UNITS for _, unit in parts):
        raise invalid_syntax(INTERVAL)
    if len({_INTERVAL_UNITS[unit] for _, unit in parts}) < len(parts):  # as PostgreSQL: each unit once
        raise invalid_syntax(INTERVAL)
    scaled = [[int(count) * of for of in _INTERVAL_UNITS[unit]] for count, unit in parts]
    months, days, microseconds = (sum(found) for found in zip(*scaled, strict=True))
    return months, days, microseconds


READERS: Mapping[str, Callable[[str], Any]] = {
    **{name: functools.partial(read_integer, postgres_type=name) for name in BITS},
    NUMERIC: read_numeric,
    REAL: lambda text: read_float(text, REAL),
    DOUBLE: lambda text: read_float(text, DOUBLE),
    BOOLEAN: read_boolean,
    DATE: read_date,
    TIMESTAMP: lambda text: read_timestamp(text, TIMESTAMP),
    TIMESTAMPTZ: lambda text: read_timestamp(text, TIMESTAMPTZ),
    TIME: read_time,
    UUID: read_uuid,
    TEXT_ARRAY: read_text_array,
    INTERVAL: read_interval,
}
"""Type -> what a text means in it. Raises InvalidValueError."""
