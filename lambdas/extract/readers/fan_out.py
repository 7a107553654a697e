"""How extract has ranges of a table read by others: the seam behind which readers run, and the limits of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ...shared.messages.read_events import READER_ROWS, ReadRequest, ReadResult

ALONE = "read alone: "  # begins what is said of a table that readers could have read, and did not


class Readers(Protocol):
    """Whatever reads ranges: functions on AWS, or threads of a test. Called by several threads at a time."""

    def read(self, request: ReadRequest) -> ReadResult:
        """Has one range read, and returns when it is. Raises any error where it was not, or took too long."""


@dataclass(frozen=True)
class FanOut:
    """Who reads ranges, how many of them at a time, and when extract gives up and reads alone."""

    readers: Readers
    most: int
    """Readers at a time, at most. Fewer, where the source has not twice as many connections left."""
    rows: int = READER_ROWS
    """The most rows of a table that is read so. A larger one is read by extract, a batch after the other."""
    range_rows: int | None = None
    """The rows of a range, about; None: those of a batch."""
    attempts: int = 3
    """How often a range is tried."""
    pause: float = 1.0
    """Seconds before the second try of a range, and twice as many before the third."""
    heartbeat: float = 20.0
    """Seconds after which extract asks the server something, which ends its transaction after 120 without."""
    share: float = 0.5
    """Of the time that an invocation has left, for reading so: the rest is for reading alone, where that is needed."""
    seconds: float = 420.0
    """The most that reading so may take."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
