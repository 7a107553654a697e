"""Whether an invocation has time for one more batch: it ends between two batches, and is not cut off within one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


def seconds_left(context: Any) -> Callable[[], float]:
    """A clock of the seconds until Lambda ends the invocation of ``context``; infinite where there is no such context.

    See https://docs.aws.amazon.com/lambda/latest/dg/python-context.html.
    """
    milliseconds = getattr(context, "get_remaining_time_in_millis", None)
    return (lambda: math.inf) if milliseconds is None else (lambda: float(milliseconds()) / 1000)


@dataclass
class Deadline:
    """The end of an invocation, and the pace of the batches in it."""

    seconds_left: Callable[[], float] = lambda: math.inf
    """The seconds until the invocation is ended."""
    reserve: float = 60.0
    """Seconds kept for what comes after the last batch."""
    safety_factor: float = 0.0
    """The next batch may take this many times as long as the longest before it."""
    first_always: bool = False
    """Whether the first batch is begun however little time there is."""
    _longest: float = field(default=0.0, init=False)
    _before: float | None = field(default=None, init=False)

    @property
    def is_near(self) -> bool:
        """Whether only the reserve is left."""
        return self.seconds_left() < self.reserve

    def has(self, seconds: float) -> bool:
        """Whether more than ``seconds`` are left."""
        return self.seconds_left() > seconds

    def has_time_for_next(self) -> bool:
        """Whether to begin another batch. Call it once before each: the time between two calls is what a batch took."""
        left, before = self.seconds_left(), self._before
        self._before = left
        if before is None:
            return self.first_always or left >= self.reserve
        self._longest = max(self._longest, before - left)
        return left > self.reserve + self.safety_factor * self._longest
