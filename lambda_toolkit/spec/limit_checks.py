"""The forms of a limit that is written down here: a range, a length, a list of values. Pure.

What is written down is dated. Where a value exceeds it, AWS's own model decides (``service_model``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from lambda_toolkit.spec import service_model

DATE = "November 2026"
"""When the limits were written down."""


@dataclass(frozen=True)
class Doubt:
    """What exceeds a limit that is written down here, and not AWS's own model: AWS decides."""

    text: str


Found = Iterator[str | Doubt]
"""Problems, a sentence each, and doubts."""


_LIMITS = "limits"  # the key of a field's metadata


def limited_by(problems: Callable[[Any, Any], Found]) -> dict[str, Callable[[Any, Any], Found]]:
    """The metadata of a field whose value ``problems`` checks: it gets the value, and the whole declaration."""
    return {_LIMITS: problems}


def field_problems(declared: Any) -> Found:
    """What :func:`limited_by` finds in the fields of ``declared``, in their order; nothing in those that are empty."""
    for field in fields(declared):
        problems = field.metadata.get(_LIMITS)
        value = getattr(declared, field.name)
        if problems is not None and value:
            yield from problems(value, declared)


def in_range(service: str, shape: str, what: str, value: int, known: tuple[int, int], unit: str) -> Found:
    """What is wrong with ``value`` of a ``shape`` of the service's model, which may be from one number to another."""
    least, most = known
    if least <= value <= most:
        return
    if value > most and service_model.allows(service, shape, value):
        yield Doubt(f"{what} {value} is more than the {most} {unit} of {DATE}; {allowing()}")
    else:
        yield f"{what} {value} is outside {least} to {max(most, service_model.largest(service, shape) or 0)} {unit}."


def of_length(service: str, shape: str, what: str, text: str, most: int) -> Found:
    """What is wrong with ``text``, which may have so many characters."""
    if len(text) <= most:
        return
    if service_model.largest(service, shape) and service_model.allows(service, shape, text):
        yield Doubt(f"{what} has {len(text)} characters, more than the {most} of {DATE}; {allowing()}")
    else:
        yield f"{what} has {len(text)} characters; the limit is {most}."


def unknown_value(service: str, shape: str, what: str, value: str, otherwise: str) -> Found:
    """What is wrong with ``value``, which is none of those written down; ``otherwise`` ends the sentence."""
    if value in service_model.known_values(service, shape):
        yield Doubt(f"{what} `{value}` is not among those of {DATE}; {allowing()}")
    else:
        yield f"{what} `{value}` {otherwise}."


def allowing() -> str:
    """The end of a doubt's sentence."""
    return f"the model of {service_model.installed()} has it, so AWS decides"
