"""JSON objects with declared fields: the base of the requests and results that functions and commands exchange."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, cast, get_args, get_origin

from ..errors import PipelineError


@dataclass(frozen=True)
class Minimum:
    """The least value of an integer field, as in ``Annotated[int, Minimum(1)]``."""

    value: int


class Message:
    """The base of frozen dataclasses that travel as JSON objects, one key per field.

    A field's type is ``str``, ``int``, ``float``, ``bool``, ``None``, another Message, ``tuple[X, ...]`` (a JSON list),
    ``Mapping[str, X]`` (a JSON object), or a union of them.
    """

    STRICT: ClassVar[bool] = False  # whether keys that are not fields are refused, or ignored

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values: tuples as lists, mappings and messages as dictionaries."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(cast("Any", self))}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], of: str = "") -> Self:
        """The message in ``document``; ``of`` names it in an error.

        Raises PipelineError, naming the key, for a missing key, a value of another type and, in a strict message, an
        unknown key.
        """
        subject = of or cls.__name__
        known = {field.name: field for field in dataclasses.fields(cast("Any", cls))}
        hints = _hints(cast("Any", cls))
        if cls.STRICT:
            for key in document:
                if key not in known:
                    allowed = ", ".join(f"`{name}`" for name in known) or "none"
                    raise PipelineError(f"{subject} has the unknown key `{key}`. Known keys: {allowed}.")
        values = {}
        for name, field in known.items():
            if name in document:
                values[name] = _value(document[name], hints[name], f"{subject}: `{name}`")
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise PipelineError(f"{subject} lacks the key `{name}`: it must be {_describe(hints[name])}.")
        return cls(**values)


class _WrongTypeError(Exception):
    """A value is not of the type wanted; the caller knows the whole of that type."""


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _value(value: Any, hint: Any, subject: str) -> Any:
    try:
        return _convert(value, hint, subject)
    except _WrongTypeError:
        raise PipelineError(f"{subject} must be {_describe(hint)}, not {value!r}.") from None


def _convert(value: Any, hint: Any, subject: str) -> Any:
    """``value`` as the type ``hint``. Raises _WrongTypeError, or PipelineError for a field of a nested message."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        converted = _convert(value, arguments[0], subject)
        if any(isinstance(limit, Minimum) and converted < limit.value for limit in arguments[1:]):
            raise _WrongTypeError
        return converted
    if origin in (types.UnionType, typing.Union):
        for choice in arguments:
            try:
                return _convert(value, choice, subject)
            except _WrongTypeError:
                continue
        raise _WrongTypeError
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _WrongTypeError
        return tuple(_convert(item, arguments[0], subject) for item in value)
    if origin is not None:  # Mapping[str, X]
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise _WrongTypeError
        return {key: _convert(item, arguments[1], subject) for key, item in value.items()}
    if isinstance(hint, type) and issubclass(hint, Message):
        if not isinstance(value, Mapping):
            raise _WrongTypeError
        return hint.from_json(value, subject)
    if type(value) is hint or (hint is float and type(value) is int):  # a bool is not an integer here
        return value
    raise _WrongTypeError


_NAMES: Mapping[Any, tuple[str, str]] = {
    str: ("a string", "strings"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "booleans"),
    type(None): ("null", "nulls"),
}


def _describe(hint: Any, *, plural: bool = False) -> str:
    """The type in words, such as ``a list of integers of at least 1``."""
    origin, arguments = get_origin(hint), get_args(hint)
    inner: Callable[[Any], str] = functools.partial(_describe, plural=True)
    if origin is Annotated:
        limits = [f" of at least {limit.value}" for limit in arguments[1:] if isinstance(limit, Minimum)]
        return _describe(arguments[0], plural=plural) + "".join(limits)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_describe(choice, plural=plural) for choice in arguments)
    if origin is tuple:
        return f"{'lists' if plural else 'a list'} of {inner(arguments[0])}"
    if origin is not None:
        return f"{'objects' if plural else 'an object'} with values that are {inner(arguments[1])}"
    if hint in _NAMES:
        return _NAMES[hint][plural]
    return "objects" if plural else "an object"
