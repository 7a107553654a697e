"""Event patterns of EventBridge, by which Lambda filters messages and records too: what AWS would reject. Pure.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lambda_toolkit.spec.limit_checks import DATE, Doubt, Found

LONGEST = 4096
"""Characters of a pattern, as JSON."""
_OPERATORS = (
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
)
_OR = "$or"
_FEWEST_OR = 2


def as_json(pattern: Mapping[str, Any]) -> str:
    """``pattern`` as it is sent: the same text for the same pattern. Raises TypeError, ValueError."""
    return json.dumps(pattern, sort_keys=True, separators=(",", ":"), allow_nan=False)


def pattern_problems(what: str, pattern: Any) -> Found:
    """What AWS would reject of ``pattern``, and which operators are not known here. ``what`` begins each sentence."""
    if not isinstance(pattern, Mapping) or not pattern:
        yield f'{what} must be a mapping such as {{"source": ["shop"]}}, not {pattern!r}.'
        return
    try:
        size = len(as_json(pattern))
    except (TypeError, ValueError) as error:
        yield f"{what} cannot be written as JSON: {error}."
        return
    if size > LONGEST:
        yield f"{what} has {size} characters as JSON; the limit is {LONGEST}."
    yield from _of_mapping(what, "", pattern)


def _of_mapping(what: str, path: str, pattern: Mapping[Any, Any]) -> Found:
    for key, value in pattern.items():
        where = f"{path}.{key}" if path else str(key)
        if not isinstance(key, str) or not key:
            yield f"{what}: the key {key!r} is no text."
        elif key == _OR:
            yield from _of_alternatives(what, where, value)
        elif isinstance(value, Mapping) and value:
            yield from _of_mapping(what, where, value)
        elif not isinstance(value, list | tuple) or not value:
            yield f"{what}: `{where}` must be a list of values, such as [{json.dumps(value)}]."
        else:
            for item in value:
                yield from _of_value(what, where, item)


def _of_alternatives(what: str, where: str, value: Any) -> Found:
    if not isinstance(value, list | tuple) or len(value) < _FEWEST_OR:
        yield f"{what}: `{where}` must be a list of two or more patterns."
        return
    for item in value:
        if isinstance(item, Mapping) and item:
            yield from _of_mapping(what, where, item)
        else:
            yield f"{what}: `{where}` must be a list of patterns, not {item!r}."


def _of_value(what: str, where: str, item: Any) -> Found:
    if isinstance(item, list | tuple):
        yield f"{what}: `{where}` has a list in its list."
    elif isinstance(item, Mapping):
        if len(item) != 1:
            yield f'{what}: `{where}` must have one operator in each {{}}, such as {{"prefix": "in/"}}.'
        for name in item:
            if name not in _OPERATORS:
                yield Doubt(f"{what}: `{name}` was no operator of event patterns in {DATE}; AWS decides")
