"""The forms that the declaration of a trigger takes: one or several, each a dataclass, a mapping, or a name. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from lambda_toolkit.errors import TriggerError
from lambda_toolkit.spec.limit_checks import Found

_T = TypeVar("_T")
_LONGEST_SHOWN = 200  # characters of a value in a message


def several(value: Any, kind: type[_T], read: Callable[[Any], _T], expected: str) -> tuple[_T, ...] | None:
    """The dataclasses that ``value`` declares, by ``read``; ``None`` where it is. Raises TriggerError: ``expected``."""
    if value is None:
        return None
    items = (value,) if isinstance(value, kind | Mapping | str) else value
    if not isinstance(items, Sequence) or isinstance(items, bytes):
        raise TriggerError(_message(expected, value))
    return tuple(one(item, read, expected) for item in items)


def one(value: Any, read: Callable[[Any], _T], expected: str) -> _T:
    """The dataclass that ``value`` declares. Raises TriggerError, also where a field has another type."""
    try:
        found = read(value)
    except (TypeError, AttributeError) as error:
        raise TriggerError(_message(expected, value)) from error
    wrong = next(_type_problems(found), None)
    if wrong:
        raise TriggerError(f"{_message(expected, value)} {wrong}")
    return found


def _type_problems(found: Any) -> Iterator[str]:
    """The fields whose values have another type than the declared one."""
    for field in fields(found):
        value, declared = getattr(found, field.name), str(field.type)
        if is_dataclass(value):
            yield from _type_problems(value)
        elif not _TYPES.get(declared, lambda _: True)(value):
            yield f"`{field.name}` is {value!r}, which is not {_WORDS[declared]}."


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "int": _is_integer,
    "int | None": lambda value: value is None or _is_integer(value),
    "bool": lambda value: isinstance(value, bool),
    "Mapping[str, Any]": lambda value: isinstance(value, Mapping),
    "tuple[Mapping[str, Any], ...]": lambda value: all(isinstance(item, Mapping) for item in value),
    "tuple[str, ...]": lambda value: all(isinstance(item, str) for item in value),
}
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "int | None": "an integer",
    "bool": "True or False",
    "Mapping[str, Any]": "a mapping",
    "tuple[Mapping[str, Any], ...]": "a list of mappings",
    "tuple[str, ...]": "a list of strings",
}


def names(kind: type, *without: str) -> str:
    """The fields of ``kind``, for a message."""
    found = [f"`{field.name}`" for field in fields(kind) if field.name not in without]
    return f"{', '.join(found[:-1])} and {found[-1]}"


def _message(expected: str, value: Any) -> str:
    shown = repr(value)
    return f"{expected}. {shown if len(shown) <= _LONGEST_SHOWN else type(value).__name__} does not fit."


def repeated(what: str, names: Iterable[str], remedy: str = "declare it once") -> Found:
    """What is wrong with ``names`` that must differ."""
    found = list(names)
    for name in sorted({name for name in found if found.count(name) > 1}):
        yield f"it has two triggers on the {what} `{name}`; {remedy}."
