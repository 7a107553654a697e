"""Makes random choices that are the same on every machine and every Python version.

Python guarantees the sequence of ``Random.random`` for a seed, but not of the methods built on it; numpy guarantees
less. So every choice here uses ``random`` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Choices that follow from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random  # noqa: S311  # nosec B311

    def below(self, limit: int) -> int:
        """An integer from 0 to ``limit`` - 1."""
        return int(self._random() * limit)

    def between(self, first: int, last: int) -> int:
        """An integer from ``first`` to ``last``, both included."""
        return first + self.below(last - first + 1)

    def one_of(self, items: Sequence[T]) -> T:
        """One of the items, each as likely as the others."""
        return items[self.below(len(items))]

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def text(self, alphabet: str, length: int) -> str:
        """``length`` random characters of the alphabet."""
        return "".join(self.one_of(alphabet) for _ in range(length))
