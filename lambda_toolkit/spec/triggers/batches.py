"""What the triggers have in common whose messages or records Lambda gathers in batches and filters. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lambda_toolkit.spec.event_pattern import pattern_problems
from lambda_toolkit.spec.limit_checks import Doubt, Found, in_range

_BATCH, _WINDOW = (1, 10_000), (0, 300)  # messages or records, seconds
_FILTERS = 5  # of one mapping; AWS raises it to 10 on request


class Batched(Protocol):
    """A trigger of that kind."""

    @property
    def batch_size(self) -> int:
        """How many messages or records one invocation gets at most."""

    @property
    def batching_window(self) -> int:
        """For how many seconds Lambda gathers them."""

    @property
    def filters(self) -> Sequence[Mapping[str, Any]]:
        """Event patterns."""


def with_filters(value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with a single filter as one of several. Raises TypeError where they are no mapping."""
    filters = value.get("filters", ()) if isinstance(value, Mapping) else None
    if filters is None:
        raise TypeError
    return {**value, "filters": (filters,) if isinstance(filters, Mapping) else tuple(filters)}


def batch_problems(where: str, trigger: Batched) -> Found:
    """What Lambda would reject: a sentence each; and doubts."""
    yield from in_range("lambda", "BatchSize", f"{where} batch_size", trigger.batch_size, _BATCH, "records")
    yield from in_range(
        "lambda",
        "MaximumBatchingWindowInSeconds",
        f"{where} batching_window",
        trigger.batching_window,
        _WINDOW,
        "seconds",
    )
    if len(trigger.filters) > _FILTERS:
        yield Doubt(f"{where} {len(trigger.filters)} filters are more than the {_FILTERS} that AWS allows unasked")
    for number, pattern in enumerate(trigger.filters, start=1):
        yield from pattern_problems(f"{where} filter {number}", pattern)
