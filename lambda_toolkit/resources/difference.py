"""Desired and live in one shape, compared. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

_LONGEST = 60  # characters of a value that a detail shows


def differing(live: Mapping[str, Any], desired: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of ``desired`` whose values ``live`` does not have. Keys that ``desired`` lacks are not managed."""
    return tuple(key for key, value in desired.items() if live.get(key) != value)


def described(
    live: Mapping[str, Any], desired: Mapping[str, Any], keys: Collection[str], unshown: Collection[str] = ()
) -> tuple[str, ...]:
    """One detail for each of ``keys``, with both values, save for those ``unshown``."""
    return tuple(
        f"{key} changes" if key in unshown else f"{key}: {_short(live.get(key))} -> {_short(desired[key])}"
        for key in keys
    )


def _short(value: Any) -> str:
    text = "none" if value in (None, "", [], {}) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
