"""Columns as PostgreSQL writes them: what ``value::text`` gives in a session of the pipeline, to the character."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pyarrow.compute as pc

from .conversions import base_type

PADDED = ("character", "bpchar")  # the names of char(n), which pads with blanks that are no part of the value

_ZONED = "timestamp with time zone"
_TRAILING_ZEROS = r"(\.\d*[1-9])0+$|\.0+$"
_FIXED_DIGITS = {False: 15, True: 6}  # of a double precision and of a real: from so many digits on, with an exponent
_SMALLEST_FIXED = -4  # the exponent below which PostgreSQL writes one
_ESCAPED = r'[\x00-\x1f"\\]'  # in a string of JSON


def postgres_text(values: pa.ChunkedArray, postgres_type: str = "") -> pa.ChunkedArray:
    """``values`` as text. ``postgres_type``: of the column, where its Arrow type does not say how it is written."""
    dtype = values.type
    if pa.types.is_string(dtype):
        return _text_of_text(values, base_type(postgres_type))
    if pa.types.is_floating(dtype):
        return _by_value(values, float_text if pa.types.is_float64(dtype) else real_text)
    if pa.types.is_timestamp(dtype):
        text = without_trailing_zeros(values.cast(pa.timestamp("us")).cast(pa.string()))
        zoned = dtype.tz is not None or base_type(postgres_type) == _ZONED
        return pc.binary_join_element_wise(text, "+00", "") if zoned else text
    if pa.types.is_time(dtype):
        return without_trailing_zeros(values.cast(pa.string()))
    text = values.cast(pa.string())
    if pa.types.is_decimal(dtype) and pc.any(pc.match_substring(text, "E")).as_py():
        return _by_value(text, lambda number: f"{Decimal(number):f}")  # Arrow writes small numbers with an exponent
    return text


def key_texts(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """The keys of rows as one text each. ``columns``: those of the key as text, in its order, of the same length.

    The text of a single column stays as it is. Those of several are a JSON array, to the character as PostgreSQL writes
    ``jsonb_build_array(a::text, b::text)::text``.
    """
    if len(columns) == 1:
        return columns[0]
    members = [pc.fill_null(_json_strings(column), "null") for column in columns]
    return pc.binary_join_element_wise("[", pc.binary_join_element_wise(*members, ", "), "]", "")


def _json_strings(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each text as a string of JSON, escaped as PostgreSQL does it: control characters, quotes and backslashes alone.

    https://www.postgresql.org/docs/current/datatype-json.html
    """
    if pc.any(pc.match_substring_regex(texts, _ESCAPED)).as_py():
        return _by_value(texts, lambda text: json.dumps(text, ensure_ascii=False))
    return pc.binary_join_element_wise('"', texts, '"', "")


def without_trailing_zeros(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers or times without the zeros at the end of their fraction."""
    return pc.replace_substring_regex(texts, _TRAILING_ZEROS, r"\1")


def float_text(value: float) -> str:
    """A double precision: the shortest text that reads back as the same number."""
    return _shortest(value, repr(value), single=False)


def real_text(value: float) -> str:
    """A real, likewise; ``value`` is its exact value."""
    return _shortest(value, str(pa.scalar(value, pa.float32()).cast(pa.string())), single=True)


def _text_of_text(values: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    if kind in PADDED:
        return pc.utf8_rtrim(values, " ")
    if kind == "inet":  # its text always has the length of the prefix, which its output leaves out for a single address
        values = pc.replace_substring_regex(values, r"^([^/]*:[^/]*)$", r"\1/128")
        return pc.replace_substring_regex(values, r"^([^/]*)$", r"\1/32")
    return values


def _by_value(values: pa.ChunkedArray, text_of: object) -> pa.ChunkedArray:
    texts = [None if value is None else text_of(value) for value in values.to_pylist()]  # type: ignore[operator]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _shortest(value: float, written: str, *, single: bool) -> str:
    """``written`` is the shortest decimal that rounds to ``value``; PostgreSQL's must be nearer than any other number.

    At the same distance from two numbers, where reading would have to round to even, it writes another digit:
    https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-FLOAT
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if not value:
        return "-0" if math.copysign(1, value) < 0 else "0"
    number = Decimal(written)
    low, high = _neighbours(abs(value), single=single)
    size = len(number.normalize().as_tuple().digits)
    while not low < abs(Fraction(number)) < high:
        number = Decimal(f"{value:.{size}e}")
        size += 1
    return _notation(number, _FIXED_DIGITS[single])


def _neighbours(value: float, *, single: bool) -> tuple[Fraction, Fraction]:
    """The midpoints between ``value`` (above zero) and the numbers beside it."""
    number, bits = ("<f", "<i") if single else ("<d", "<q")
    at = struct.unpack(bits, struct.pack(number, value))[0]
    exact, below = Fraction(value), Fraction(struct.unpack(number, struct.pack(bits, at - 1))[0])
    above = struct.unpack(number, struct.pack(bits, at + 1))[0]
    gap = (exact - below) if math.isinf(above) else Fraction(above) - exact
    return (exact + below) / 2, exact + gap / 2


def _notation(number: Decimal, fixed_digits: int) -> str:
    sign, digits, _ = number.as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    exponent = number.adjusted()
    if _SMALLEST_FIXED <= exponent < fixed_digits:
        fixed = f"{number:f}"
        return re.sub(_TRAILING_ZEROS, r"\1", fixed)
    mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
