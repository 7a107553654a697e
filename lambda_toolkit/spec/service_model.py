"""What AWS's own model of a service allows, as the installed botocore has it: ranges, lengths, values, patterns.

Limits change, and what is written down here is dated. Where a value exceeds it, the model is asked: what the model
allows is left to AWS, with a note in the plan. Reading a model takes up to a tenth of a second, so that it is read only
then. No network.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

_UNLIMITED = float("inf")


def allows(service: str, shape: str, value: object) -> bool:
    """Whether ``value`` is one of those that ``shape`` of the service's model describes. A mapping has no limits."""
    found = _shape(service, shape)
    if isinstance(value, bool) or not isinstance(value, int | float | str | list | tuple):
        return True
    size = value if isinstance(value, int | float) else len(value)
    if not found.get("min", -_UNLIMITED) <= size <= found.get("max", _UNLIMITED):
        return False
    if "enum" in found and value not in found["enum"]:
        return False
    return not isinstance(value, str) or "pattern" not in found or bool(_pattern(found["pattern"]).fullmatch(value))


def largest(service: str, shape: str) -> int | None:
    """The greatest number, or length, that the model has for ``shape``; ``None`` where it has none."""
    return _shape(service, shape).get("max")


def known_values(service: str, shape: str) -> tuple[str, ...]:
    """The values that the model has for ``shape``; empty where it has no list."""
    return tuple(_shape(service, shape).get("enum", ()))


def installed() -> str:
    """The version of the model, for messages: ``botocore 1.44.8``."""
    import botocore

    return f"botocore {botocore.__version__}"


def _shape(service: str, shape: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _shapes(service).get(shape, {})
    return found


@functools.cache
def _shapes(service: str) -> Mapping[str, Any]:
    from botocore.loaders import Loader

    shapes: Mapping[str, Any] = Loader().load_service_model(service, "service-2")["shapes"]
    return shapes


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error:  # of Java's regular expressions, Python does not know all
        return re.compile("(?s).*")
