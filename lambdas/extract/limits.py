"""How much one batch may hold, and how long a run may go on."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..shared.deadline import Deadline

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What a batch may hold before the rest is left to the next, so that its files fit into /tmp and one load.

    ``bytes``: of rows as Arrow holds them. ``deadline``: what is read in ranges stops when only its reserve is left,
    which is for storing what was read.
    """

    rows: int = 1_000_000
    bytes: int = 256 * MEBIBYTE
    deadline: Deadline = field(default_factory=Deadline)


DEFAULT_LIMITS = Limits()


class Budget:
    """What is left of the limits of one batch."""

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
        """Whether no more should be read in ranges."""
        return self.rows <= 0 or self.bytes <= 0 or self.limits.deadline.is_near
