"""Functions of texts. A character is a Unicode code point, as in a PostgreSQL database of the encoding UTF8."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.expression.constants import InvalidValueError
from ...shared.expression.resolve import Typed
from .evaluated import Evaluated, by_row

_LONGEST = 10_485_760  # characters that lpad and rpad make: as many as a varchar(n) has
_WILDCARD = re.compile(r"\\(.)|(%)|(_)|([^\\%_]+)", re.DOTALL)


def upper(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """By the simple mapping of Unicode, one character to one, as PostgreSQL's locale C.UTF-8: ß stays."""
    return Evaluated(_kept(columns[0], pc.utf8_upper, _NO_UPPER))


def lower(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """As ``upper``."""
    return Evaluated(_kept(columns[0], pc.utf8_lower, _NO_LOWER))


# utf8proc, which Arrow uses, maps these beyond Unicode's simple mapping.
_NO_UPPER: Sequence[str] = ("\u00df",)
_NO_LOWER: Sequence[str] = ()


def _kept(column: pa.Array, kernel: Callable[[pa.Array], pa.Array], kept: Sequence[str]) -> pa.Array:
    """``kernel`` of the texts, without an effect on the characters ``kept``."""
    found = kernel(column)
    for character in kept:
        if pc.any(pc.match_substring(column, character)).as_py():
            pairs = zip(column.to_pylist(), found.to_pylist(), strict=True)
            texts = [text if text is None else _restored(before, text, character) for before, text in pairs]
            found = pa.array(texts, pa.string())
    return found


def _restored(before: str, after: str, character: str) -> str:
    return "".join(old if old == character else new for old, new in zip(before, after, strict=True))


def length(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """Characters, not bytes; of a char(n) without the blanks at its end."""
    column = columns[0]
    if node.arguments[0].type.startswith(("character(", "bpchar")):
        column = pc.utf8_rtrim(column, " ")
    return Evaluated(pc.utf8_length(column))


def trim(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``trim``, ``ltrim`` and ``rtrim``: blanks only, or any of the given characters."""
    kernel = {"trim": pc.utf8_trim, "ltrim": pc.utf8_ltrim, "rtrim": pc.utf8_rtrim}[node.name]
    if len(columns) == 1 or node.arguments[1].name == "constant":
        characters = " " if len(columns) == 1 else str(node.arguments[1].value)
        return Evaluated(kernel(columns[0], characters) if characters else columns[0])
    one = {"trim": str.strip, "ltrim": str.lstrip, "rtrim": str.rstrip}[node.name]
    return by_row(
        lambda text, characters: one(text, characters) if characters else text,
        pa.string(),
        *(column.to_pylist() for column in columns),
    )


def substring(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """From a place that may be before the first character, which counts."""
    return by_row(_substring, pa.string(), *(column.to_pylist() for column in columns))


def _substring(text: str, start: int, count: int | None = None) -> str:
    first = max(start - 1, 0)
    if count is None:
        return text[first:]
    if count < 0:
        raise InvalidValueError("negative substring length not allowed")
    return text[first : max(start - 1 + count, 0)]


def left(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """The first characters; negative: all but so many at the end."""
    return by_row(lambda text, count: text[:count], pa.string(), *(column.to_pylist() for column in columns))


def right(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """The last characters; negative: all but so many at the beginning."""
    return by_row(_right, pa.string(), *(column.to_pylist() for column in columns))


def _right(text: str, count: int) -> str:
    if count >= 0:
        return text[max(len(text) - count, 0) :]
    return text[-count:]


def replace(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """Every occurrence; of an empty text, none."""
    return by_row(
        lambda text, old, new: text.replace(old, new) if old else text,
        pa.string(),
        *(column.to_pylist() for column in columns),
    )


def strpos(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """The place of a text in another, from 1; 0 where it is not there."""
    return by_row(lambda text, part: text.find(part) + 1, pa.int32(), *(column.to_pylist() for column in columns))


def starts_with(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """Whether a text begins with another."""
    return by_row(str.startswith, pa.bool_(), *(column.to_pylist() for column in columns))


def split_part(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """The part between two separators, counted from 1, or from the end; an empty text where it is not there."""
    return by_row(_split_part, pa.string(), *(column.to_pylist() for column in columns))


def _split_part(text: str, separator: str, number: int) -> str:
    if not number:
        raise InvalidValueError("field position must not be zero")
    parts = text.split(separator) if separator else [text]
    index = number - 1 if number > 0 else number
    return parts[index] if -len(parts) <= index < len(parts) else ""


def pad(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``lpad`` and ``rpad``: a text of so many characters, cut at its end or filled with another text."""
    at_end = node.name == "rpad"
    return by_row(
        lambda text, count, fill=" ": _padded(text, count, fill, at_end=at_end),
        pa.string(),
        *(column.to_pylist() for column in columns),
    )


def _padded(text: str, count: int, fill: str, *, at_end: bool) -> str:
    if count > _LONGEST:
        raise InvalidValueError("requested length too large")
    missing = count - len(text)
    if missing <= 0 or not fill:
        return text[: max(count, 0)]
    filled = (fill * (missing // len(fill) + 1))[:missing]
    return text + filled if at_end else filled + text


def ilike(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """As ``like`` of both sides in small letters."""
    pattern = pa.array([str(node.arguments[1].value)])
    small = _kept(pattern, pc.utf8_lower, _NO_LOWER)[0].as_py()
    return _like(small, _kept(columns[0], pc.utf8_lower, _NO_LOWER))


def like(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``%`` is any text, ``_`` any character, a backslash escapes. Case counts."""
    return _like(str(node.arguments[1].value), columns[0])


def _like(text: str, column: pa.Array) -> Evaluated:
    pattern = _pattern(text)
    if len(pattern) == 1:
        if None not in pattern[0]:
            return Evaluated(pc.equal(column, "".join(map(str, pattern[0]))))
    elif all(None not in part for part in pattern) and not any(pattern[1:-1]):
        first, last = ("".join(map(str, part)) for part in (pattern[0], pattern[-1]))
        if not (first and last):
            return Evaluated(pc.starts_with(column, first) if first else pc.ends_with(column, last))
    return by_row(lambda text: matches(text, pattern), pa.bool_(), column.to_pylist())


Part = tuple[str | None, ...]
"""The characters between two ``%``; None is any character."""


@functools.lru_cache(maxsize=64)
def _pattern(pattern: str) -> tuple[Part, ...]:
    parts: list[list[str | None]] = [[]]
    for escaped, wildcard, any_character, text in _WILDCARD.findall(pattern):
        if wildcard:
            parts.append([])
        else:
            parts[-1].extend([None] if any_character else (escaped or text))
    return tuple(map(tuple, parts))


def matches(text: str, pattern: Sequence[Part]) -> bool:
    """Whether ``text`` is like the parts with any text between them. Each part is found at its first place."""
    first, *middle = pattern
    if not middle:
        return len(text) == len(first) and _is_at(text, first, 0)
    last = middle.pop()
    end = len(text) - len(last)
    if len(first) > end or not _is_at(text, first, 0) or not _is_at(text, last, end):
        return False
    at = len(first)
    for part in middle:
        at = _find(text, part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _is_at(text: str, part: Part, at: int) -> bool:
    return len(text) >= at + len(part) and all(
        wanted is None or text[at + number] == wanted for number, wanted in enumerate(part)
    )


def _find(text: str, part: Part, start: int, end: int) -> int:
    if None not in part:
        return text.find("".join(map(str, part)), start, end)
    for at in range(start, end - len(part) + 1):
        if _is_at(text, part, at):
            return at
    return -1
