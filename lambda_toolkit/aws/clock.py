"""Time and randomness as values, so that tests can replace them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_JITTER = 0.5  # the random share of a pause


@dataclass(frozen=True)
class Clock:
    """Where the toolkit reads the time, sleeps, and draws random numbers."""

    now: Callable[[], float] = time.monotonic
    """Seconds from an arbitrary origin; never runs backwards."""
    sleep: Callable[[float], None] = time.sleep
    """Blocks for that many seconds."""
    random: Callable[[], float] = random.random
    """A number from 0 to 1."""
    wall: Callable[[], float] = time.time
    """Seconds since 1970, UTC."""
    interrupted: threading.Event = field(default_factory=threading.Event)
    """Set when the program is interrupted: waits of minutes check it and end early."""

    def pause(self, seconds: float) -> None:
        """Sleep a random time, ``seconds`` / 2 to ``seconds``, so that callers throttled together part."""
        self.sleep(seconds * (1 - _JITTER * (1 - self.random())))
