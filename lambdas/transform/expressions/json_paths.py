"""Values out of ``json`` and ``jsonb``: a part of the text itself, so every digit and every blank stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from ...shared.expression.constants import InvalidValueError
from ...shared.expression.resolve import Typed
from ...shared.expression.types import JSON, kind
from .evaluated import Evaluated, by_row

_BLANK = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(r"[^\s,\]}]+")
_STRUCTURE = re.compile(r'["{}\[\]]')
_ZERO = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_INDEX = re.compile(r"[ \t\n\r\v\f]*[+-]?\d{1,10}", re.ASCII)


def member(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``->``: the member of an object, or the element of an array, as json."""
    return _steps(node, columns, lambda found: found)


def member_text(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``->>``: the same as text: a string without its quotes, and no value for a json null."""
    return _steps(node, columns, _text)


def path_text(node: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    """``#>>``: likewise, at the end of a path."""
    path = node.arguments[1].value
    is_json = kind(node.arguments[0].type) == JSON
    check = _checked if is_json else str

    def found(document: str) -> str | None:
        whole = check(document).strip(" \t\n\r")
        if is_json and not path and whole[0] not in '"{[n':
            return document.rstrip(" \t\n\r")  # as the server does: get_worker() in its jsonfuncs.c
        value: str | None = whole
        for step in path:
            if value is None or step is None:
                return None
            value = _step(value, step)
        return None if value is None else _text(value)

    return by_row(found, pa.string(), columns[0].to_pylist())


def _steps(node: Typed, columns: Sequence[pa.Array], result: Callable[[str], str | None]) -> Evaluated:
    is_json = kind(node.arguments[0].type) == JSON
    check = _checked if is_json else str

    def found(document: str, step: str | int) -> str | None:
        value = check(document).strip(" \t\n\r")
        if isinstance(step, str):
            part = _member(value, step)
        elif is_json or value[0] in "{[":
            part = _element(value, step)
        else:  # to a jsonb, a scalar is an array of one element
            part = value if step in (0, -1) else None
        return None if part is None else result(part)

    return by_row(found, pa.string(), *(column.to_pylist() for column in columns))


def _step(value: str, step: str) -> str | None:
    if value.startswith("["):
        return _element(value, int(step)) if _INDEX.fullmatch(step) else None
    return _member(value, step)


def _member(value: str, key: str) -> str | None:
    """Of two members with one key the last one counts."""
    if not value.startswith("{"):
        return None
    found = None
    for name, part in _members(value):
        if _string(name) == key:
            found = part
    return found


def _element(value: str, index: int) -> str | None:
    if not value.startswith("["):
        return None
    elements = list(_elements(value))
    return elements[index] if -len(elements) <= index < len(elements) else None


def _text(value: str) -> str | None:
    if value.startswith('"'):
        return _string(value)
    return None if value == "null" else value


def _string(quoted: str) -> str:
    if "\\" not in quoted:
        return quoted[1:-1]
    text: str = json.loads(quoted)
    return text


def _members(value: str) -> Iterator[tuple[str, str]]:
    at = _skip(value, 1)
    while value[at] != "}":
        name = _STRING.match(value, at)
        if name is None:
            raise InvalidValueError("invalid input syntax for type json")
        at = _skip(value, _skip(value, name.end()) + 1)
        end = _end(value, at)
        yield name[0], value[at:end]
        at = _after(value, end)


def _elements(value: str) -> Iterator[str]:
    at = _skip(value, 1)
    while value[at] != "]":
        end = _end(value, at)
        yield value[at:end]
        at = _after(value, end)


def _after(value: str, end: int) -> int:
    """The beginning of the next element, or the end of all."""
    at = _skip(value, end)
    return _skip(value, at + 1) if value[at] == "," else at


def _skip(value: str, at: int) -> int:
    match = _BLANK.match(value, at)
    return match.end() if match else at


def _end(value: str, at: int) -> int:
    """Where the value that begins at ``at`` ends."""
    if value[at] == '"':
        match = _STRING.match(value, at)
    elif value[at] not in "{[":
        match = _SCALAR.match(value, at)
    else:
        return _end_of_structure(value, at)
    if match is None:
        raise InvalidValueError("invalid input syntax for type json")
    return match.end()


def _end_of_structure(value: str, at: int) -> int:
    depth = 0
    while match := _STRUCTURE.search(value, at):
        if match[0] == '"':
            string = _STRING.match(value, match.start())
            if string is None:
                break
            at = string.end()
            continue
        depth += 1 if match[0] in "{[" else -1
        at = match.end()
        if not depth:
            return at
    raise InvalidValueError("invalid input syntax for type json")


def _checked(document: str) -> str:
    """A json may have escapes that are no characters, which PostgreSQL finds when it reads the document."""
    if "\\u" in document:
        try:
            values = json.loads(document, parse_int=str, parse_float=str)
            json.dumps(values, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError) as error:
            raise InvalidValueError("invalid input syntax for type json") from error
        if _ZERO.search(document):
            raise InvalidValueError("unsupported Unicode escape sequence")
    return document
