"""From the arguments ``queue_trigger``, ``stream_trigger``, ``event_trigger`` and ``url`` to their dataclasses.

Each takes several forms; types are checked here, what AWS rejects although its type is right in
:mod:`lambda_toolkit.spec.limits.trigger_quotas` and :mod:`lambda_toolkit.spec.function_url`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from lambda_toolkit.errors import TriggerError
from lambda_toolkit.spec.function_url import FunctionUrl
from lambda_toolkit.spec.triggers import EventTrigger, QueueTrigger, StreamTrigger

_T = TypeVar("_T")
_OneQueue = str | QueueTrigger | Mapping[str, Any]
QueueTriggers = _OneQueue | Sequence[_OneQueue]
"""One or several queues: names, ARNs, or with the fields of :class:`QueueTrigger`."""
_OneStream = str | StreamTrigger | Mapping[str, Any]
StreamTriggers = _OneStream | Sequence[_OneStream]
"""One or several streams: names or ARNs of Kinesis streams, or with the fields of :class:`StreamTrigger`."""
_OneEvent = EventTrigger | Mapping[str, Any]
EventTriggers = _OneEvent | Sequence[_OneEvent]
"""One or several event triggers, or mappings with the fields of :class:`EventTrigger`."""
Url = str | FunctionUrl | Mapping[str, Any]
"""``AWS_IAM``, ``NONE``, an empty text, or the fields of :class:`FunctionUrl`."""
_LONGEST_SHOWN = 200  # characters of a value in a message


def queue_triggers(value: Any) -> tuple[QueueTrigger, ...] | None:
    """The queue triggers that ``value`` declares; ``None`` where it is. Raises TriggerError."""
    expected = (
        "queue_trigger takes the name or the ARN of an SQS queue, or `queue` with "
        f'{_names(QueueTrigger, "queue")}: "orders" or {{"queue": "orders", "batch_size": 5}}'
    )
    return _several(value, QueueTrigger, QueueTrigger.of, expected)


def stream_triggers(value: Any) -> tuple[StreamTrigger, ...] | None:
    """The stream triggers that ``value`` declares; ``None`` where it is. Raises TriggerError."""
    expected = (
        "stream_trigger takes the name or the ARN of a Kinesis stream, or `stream` or `table` with "
        f'{_names(StreamTrigger, "stream", "table")}: "clicks" or {{"table": "orders", "bisect": True}}'
    )
    return _several(value, StreamTrigger, StreamTrigger.of, expected)


def event_triggers(value: Any) -> tuple[EventTrigger, ...] | None:
    """The event triggers that ``value`` declares; ``None`` where it is. Raises TriggerError."""
    expected = (
        f"event_trigger takes `pattern`, and may take {_names(EventTrigger, 'pattern')}: "
        '{"pattern": {"source": ["shop"], "detail-type": ["order placed"]}}'
    )
    return _several(value, EventTrigger, EventTrigger.of, expected)


def function_url(value: Any) -> FunctionUrl | str | None:
    """The URL that ``value`` declares; ``None``, and an empty text, which removes it, stay. Raises TriggerError."""
    if value is None or value == "":
        return value if value is None else ""
    expected = (
        f'url takes "AWS_IAM", "NONE" (everyone may call it) or `auth` with {_names(FunctionUrl, "auth")}: '
        '{"auth": "AWS_IAM", "cors": {"origins": ["https://example.com"]}}'
    )
    return _one(value, FunctionUrl, FunctionUrl.of, expected)


def _several(value: Any, kind: type[_T], read: Callable[[Any], _T], expected: str) -> tuple[_T, ...] | None:
    if value is None:
        return None
    items = (value,) if isinstance(value, kind | Mapping | str) else value
    if not isinstance(items, Sequence) or isinstance(items, bytes):
        raise TriggerError(_message(expected, value))
    return tuple(_one(item, kind, read, expected) for item in items)


def _one(value: Any, kind: type[_T], read: Callable[[Any], _T], expected: str) -> _T:
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


def _names(kind: type, *without: str) -> str:
    names = [f"`{field.name}`" for field in fields(kind) if field.name not in without]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _message(expected: str, value: Any) -> str:
    shown = repr(value)
    return f"{expected}. {shown if len(shown) <= _LONGEST_SHOWN else type(value).__name__} does not fit."
