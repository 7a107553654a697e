"""The request and the result of the function freshness: see ``events`` for the rules that both follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .events import Request, is_scheduled, request_in
from .message import Message

UNCHANGED, CHANGED, UNKNOWN = "unchanged", "changed", "unknown"
"""Whether a table of the source has changes that are not loaded."""


@dataclass(frozen=True)
class FreshnessRequest(Request):
    """Compares the source with what is loaded, and puts the metrics of it."""

    action = "freshness"


@dataclass(frozen=True)
class TableFreshness(Message):
    """How fresh the warehouse is of one table of the source."""

    table: str
    state: str
    """``unchanged``, ``changed`` or ``unknown``."""
    fresh_at: str | None = None
    """The warehouse has every change of the table that was committed before, ISO 8601, UTC; null: of no time yet."""
    seconds_behind: float = 0.0
    """How old the oldest change is that it does not have, at most."""
    fresh_within: float | None = None
    """What is promised, in seconds; null: nothing."""
    problem: str | None = None
    """Why the table could not be compared; null: it was, or need not be yet."""


@dataclass(frozen=True)
class FreshnessResult(Message):
    """What one comparison found."""

    at: str
    """When, ISO 8601, UTC."""
    batch: int | None = None
    """The last batch in the warehouse; null: none."""
    seconds_behind: float = 0.0
    """Of the table that is the furthest behind, among those of which something is promised, if any is."""
    seconds_overdue: float = 0.0
    """By how much the promise of a table is broken; 0: by nothing."""
    tables: tuple[TableFreshness, ...] = ()
    problem: str | None = None
    """Why the source could not be compared at all; null: it was."""


def freshness_request(event: Mapping[str, Any]) -> FreshnessRequest:
    """The request in ``event``; an empty event and one of EventBridge ask for it too. Raises PipelineError."""
    if event == {} or is_scheduled("freshness", event):
        return FreshnessRequest()
    return request_in("freshness", event, (FreshnessRequest,))
