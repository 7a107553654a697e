"""How long an invocation may go on: it stops between two batches rather than being stopped within one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

MARGIN = 20.0  # seconds that are left for what comes after the last batch
CAUTION = 1.5  # a batch may take so many times as long as the longest before it


@dataclass
class Budget:
    """Asked before each batch whether there is time for it, given how long those before it took.

    ``remaining``: the seconds that are left. The first batch is always begun: it may have all the time there is.
    """

    remaining: Callable[[], float]
    _before: float | None = None
    _longest: float = field(default=0.0)

    def __call__(self) -> bool:
        """Whether to begin another batch."""
        now = self.remaining()
        if self._before is None:
            self._before = now
            return True
        self._longest = max(self._longest, self._before - now)
        self._before = now
        return now > MARGIN + CAUTION * self._longest
