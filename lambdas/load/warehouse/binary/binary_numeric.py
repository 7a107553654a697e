"""Numbers of the type numeric in PostgreSQL's binary COPY format, by numeric_recv() in its source.

A field is four integers of two bytes (how many digits, the weight of the first, the sign, how many decimals are shown),
and the digits to the base of 10,000. Zeros at either end may be there or not.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from ....shared.decimals import cut
from .binary_fields import Fixed, Part, UnencodableError, as_binary, constant

_NEGATIVE = 0x4000
_SPECIAL = {"nan": 0xC000, "infinity": 0xD000, "inf": 0xD000, "-infinity": 0xF000, "-inf": 0xF000}  # their signs
_HEAD = struct.Struct("!HhHH")
_SIGN_AT, _SHOWN_AT = 4, 6  # bytes
_BASE, _GROUP = 10_000, 4  # and its decimal digits
_CHUNK = 16  # decimal digits that are computed with in an int64
_WORD_LIMIT = 2**63
_DECIMAL = 38  # digits of a decimal128
_SHORT = r"^-?\d{1,20}(\.\d{1,18})?$"  # within a decimal128, by way of which they are encoded together
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_MAX_BEFORE, _MAX_AFTER = 131_072, 16_383  # digits before and after the point, in PostgreSQL


def decimals(column: pa.Array) -> Fixed:
    """The fields of a decimal128: each number shows as many decimals as the type has."""
    return _fixed(column)


def number_texts(column: pa.Array) -> Fixed | pa.Array:
    """The fields of texts, each of which shows as many decimals as it has: 1.50 stays 1.50.

    Long numbers, and NaN and the infinities, are encoded one by one. Raises UnencodableError for a text of no number.
    """
    is_short = pc.match_substring_regex(column, _SHORT)
    if pc.all(is_short).as_py():
        return _of_short_texts(column)
    short = _of_short_texts(pc.if_else(is_short, column, constant("0", pa.string())))
    chosen = zip(is_short.to_pylist(), column.to_pylist(), strict=True)
    others = pa.array([None if is_found else _of_text(text) for is_found, text in chosen], pa.binary())
    return pc.if_else(is_short, as_binary(short, len(column)), others)


def _of_short_texts(column: pa.Array) -> Fixed:
    zero, one = (constant(number, pa.int32()) for number in (0, 1))
    point = pc.find_substring(column, ".")
    shown = pc.if_else(pc.less(point, zero), zero, pc.subtract(pc.subtract(pc.utf8_length(column), point), one))
    numbers = column.cast(pa.decimal128(_DECIMAL, pc.max(shown).as_py()))
    return _fixed(numbers, Part(_SHOWN_AT, shown.cast(pa.int16())))


def _of_text(text: str) -> bytes:
    special = _SPECIAL.get(text.strip().lower().removeprefix("+"))
    if special is not None:
        return _HEAD.pack(0, 0, special, 0)
    if not _NUMBER.fullmatch(text.strip()):
        raise UnencodableError
    number = Decimal(text.strip())
    whole, _, fraction = f"{number.copy_abs():f}".partition(".")  # a million digits at most, by the pattern
    if len(whole) > _MAX_BEFORE or len(fraction) > _MAX_AFTER:
        raise UnencodableError
    before = -(-len(whole) // _GROUP)
    digits = whole.zfill(before * _GROUP) + fraction + "0" * (-len(fraction) % _GROUP)
    groups = [int(digits[at : at + _GROUP]) for at in range(0, len(digits), _GROUP)]
    head = _HEAD.pack(len(groups), before - 1, _NEGATIVE if number.is_signed() else 0, len(fraction))
    return head + struct.pack(f"!{len(groups)}H", *groups)


def _fixed(column: pa.Array, *shown: Part) -> Fixed:
    """The fields of a decimal128, with as many digits as its longest number has."""
    scale = column.type.scale
    limits = pc.min_max(column)
    low, high = (_unscaled(limits[end].as_py(), scale) for end in ("min", "max"))
    largest = max(-low, high)
    before, after = (-(-digits // _GROUP) for digits in (len(str(largest // 10**scale)), scale))
    head = _HEAD.pack(before + after, before - 1, _NEGATIVE if high < 0 else 0, scale)
    parts = list(shown)
    if low < 0 <= high:
        signs = constant(_NEGATIVE, pa.int16()), constant(0, pa.int16())
        parts.append(Part(_SIGN_AT, pc.if_else(pc.less(column, constant(Decimal(0), column.type)), *signs)))
    places = range(len(head) + 2 * (before + after - 1), len(head) - 1, -2)
    groups = _groups(pc.abs(column), largest, padding=-scale % _GROUP)
    parts += [Part(at, group) for at, group in zip(places, groups, strict=False)]
    return Fixed(head + bytes(2 * (before + after)), tuple(parts))


def _groups(numbers: pa.Array, largest: int, padding: int) -> Iterator[pa.Array]:
    """The digits of the unscaled ``numbers`` to the base of 10,000, the last first, after ``padding`` zeros at the end.

    ``largest``: the largest of them. Ends where the rest of all is zero.
    """
    words = _words(numbers) if largest < _WORD_LIMIT else None
    while largest:
        digits = _CHUNK - padding
        ten = constant(10**digits, pa.int64())
        if largest < 10**digits and words is not None:
            chunk = words
        elif words is not None:
            rest = pc.divide(words, ten)
            chunk, words = pc.subtract(words, pc.multiply(rest, ten)), rest
        else:
            rest = cut(_with_scale(numbers, digits), 0)
            chunk = pc.subtract(_words(numbers), pc.multiply(_words(rest), ten))  # both modulo 2**64
            numbers = rest
            words = _words(rest) if largest // 10**digits < _WORD_LIMIT else None
        chunk = pc.multiply(chunk, constant(10**padding, pa.int64())) if padding else chunk
        in_chunk = min(largest, 10**digits - 1) * 10**padding
        base = constant(_BASE, pa.int64())
        for _ in range(_CHUNK // _GROUP):
            if in_chunk < _BASE:
                yield chunk.cast(pa.int16())
                chunk = pc.subtract(chunk, chunk)
            else:
                rest = pc.divide(chunk, base)
                yield pc.subtract(chunk, pc.multiply(rest, base)).cast(pa.int16())
                chunk = rest
            in_chunk //= _BASE
        largest, padding = largest // 10**digits, 0


def _unscaled(number: Decimal, scale: int) -> int:
    sign, digits, _ = number.as_tuple()
    return int("".join(map(str, digits))) * (-1 if sign else 1)


def _with_scale(column: pa.Array, scale: int) -> pa.Array:
    """The same unscaled integers with another scale."""
    kind = pa.decimal128(_DECIMAL, scale)
    return pa.Array.from_buffers(kind, len(column), [None, column.buffers()[1]], offset=column.offset)


def _words(column: pa.Array) -> pa.Array:
    """The lower 64 bits of unscaled integers."""
    words = memoryview(column.buffers()[1]).cast("q")[2 * column.offset : 2 * (column.offset + len(column)) : 2]
    return pa.Array.from_buffers(pa.int64(), len(column), [None, pa.py_buffer(words.tobytes())])
