"""Time and chance, as values that tests replace."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

_JITTER = 0.5  # the part of a pause that is left to chance


@dataclass(frozen=True)
class Clock:
    """``now`` in seconds from any origin, ``wall`` in seconds since 1970; ``sleep`` for that many seconds; ``chance``
    from 0 to 1.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    wall: Callable[[], float] = time.time

    def pause(self, seconds: float) -> None:
        """Sleep for at most ``seconds`` and at least half of them, so that those who were refused together part."""
        self.sleep(seconds * (1 - _JITTER * (1 - self.chance())))
