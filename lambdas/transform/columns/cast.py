"""Casts of Arrow columns to the warehouse's column types, by the rules of PostgreSQL's assignments.

A value passes when PostgreSQL would store it unchanged; then it is stored as PostgreSQL stores it. A value that
PostgreSQL would refuse is invalid, and so is one that it would change silently: round to a scale, cut to a length, or
strip of its time of day. docs/values.md has the rules, and `make values` compares them with a server.

Each function takes and returns a column (``pa.ChunkedArray``) of the same length and order.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.conversions import DATES, INTEGERS, TEXTS, TIME, TIMESTAMPTZ, base_type, is_text, modifiers, refusal
from ...shared.postgres_text import PADDED, postgres_text
from .cast_result import BLANKS, CastResult, all_invalid, keep, parse
from .numbers import floating, integer, numeric
from .times import MICROSECONDS, date, time_of_day, timestamp

_INTEGERS = dict(zip(INTEGERS, (pa.int16(), pa.int32(), pa.int64()), strict=True))
_FLOATS = {"real": pa.float32(), "double precision": pa.float64()}
_WORDS = ("true", "false", "yes", "no", "on", "off", "1", "0")
_SHORTEST_WORD = {"on": 2, "off": 2}  # letters that tell a word from the others
_UUID = re.compile(r"([0-9a-f]{4}-?){7}[0-9a-f]{4}", re.ASCII | re.IGNORECASE)


def cast_column(values: pa.ChunkedArray, source: str, wanted: str) -> CastResult:
    """``values``, of a column of the PostgreSQL type ``source``, as a column of ``wanted``.

    Both are written as format_type() does it.

    Every value is invalid where PostgreSQL has no assignment between the two, which extract and `plan` refuse.
    """
    base, arguments = base_type(wanted), modifiers(wanted)
    if refusal(source, wanted) is not None:
        return all_invalid(values, pa.string())
    if base in TEXTS:
        return _text(values, source, wanted)
    is_number = base_type(source) == "numeric"
    if base in _INTEGERS:
        return integer(values, _INTEGERS[base], is_number=is_number)
    if base == "numeric":
        return numeric(values, *((*arguments, 0)[:2] if arguments else (None, 0)), is_number=is_number)
    if base in _FLOATS:
        return floating(values, _FLOATS[base], is_number=is_number)
    if base == "date":
        return date(values)
    if base in DATES:
        return timestamp(values, arguments[0] if arguments else MICROSECONDS, zoned=base == TIMESTAMPTZ)
    if base == TIME:
        return time_of_day(values, arguments[0] if arguments else MICROSECONDS)
    if base == "boolean" and pa.types.is_string(values.type):
        return parse(values, _boolean_of_text, pa.bool_())
    if base == "uuid" and is_text(source):
        return parse(values, _uuid_of_text, pa.string())
    return CastResult(values)


def _text(values: pa.ChunkedArray, source: str, wanted: str) -> CastResult:
    length = modifiers(wanted)
    if source == wanted or (not length and base_type(source) in PADDED and base_type(wanted) in PADDED):
        return CastResult(values)
    texts = postgres_text(values, source)
    if not length:
        return CastResult(texts)
    return keep(texts, pc.less_equal(pc.utf8_length(texts), length[0]), pa.string())


def _boolean_of_text(text: str) -> bool | None:
    """A word, or the beginning of one that no other begins with, as PostgreSQL reads it."""
    word = text.strip(BLANKS).lower()
    found = [full for full in _WORDS if word and full.startswith(word) and len(word) >= _SHORTEST_WORD.get(full, 1)]
    return _WORDS.index(found[0]) % 2 == 0 if found else None


def _uuid_of_text(text: str) -> str | None:
    bare = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if not _UUID.fullmatch(bare):
        return None
    digits = bare.replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
