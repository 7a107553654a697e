"""How much one batch may contain, and what is left of that."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..shared.deadline import Deadline

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """How large a batch may be, so that its files fit into /tmp and one load. The rest is left to the next."""

    rows: int = 1_000_000
    bytes: int = 256 * MEBIBYTE
    """Of the rows in Arrow's memory format."""
    deadline: Deadline = field(default_factory=Deadline)
    """Backfills stop when only its reserve is left, which is for storing what was read."""


DEFAULT_LIMITS = Limits()


class Budget:
    """What is left of the limits of one batch. A backfill stops when it is spent."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.rows = limits.rows
        self.bytes = limits.bytes

    def take(self, rows: int, size: int) -> None:
        """Counts rows that were read, and their bytes."""
        self.rows -= rows
        self.bytes -= size

    @property
    def is_spent(self) -> bool:
        """Whether a backfill must stop."""
        return self.rows <= 0 or self.bytes <= 0 or self.limits.deadline.is_near
