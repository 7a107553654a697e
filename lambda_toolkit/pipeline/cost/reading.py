"""How long readers take to read a table in one snapshot, and what holds them up. Pure.

A run of extract with readers counts the rows, has ranges read while the source adds up the same rows, and writes one
manifest. Whatever is slowest holds up the rest: the readers, the source that sends them rows, or the one statement that
adds up. ``benchmarks/reading_in_parallel.py`` compares this with what was measured.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

MILLION = 1_000_000
READERS, SOURCE, ADDING_UP, CORES = "the readers", "the source", "adding up in the source", "the cores of this machine"


@dataclass(frozen=True)
class ReadingRates:
    """What a million rows take: seconds."""

    stream: float
    """Wall time of one reader with a processor of its own, of which it does not use all."""
    reader: float
    """Processor time of a reader."""
    source: float
    """Processor time of the source: for sending rows, counting them and adding them up."""
    adding_up: float
    """Wall time of the one statement that counts and adds up."""


@dataclass(frozen=True)
class Machines:
    """What reads, and what is read."""

    readers: int
    """At a time."""
    reader_cores: float
    """Processors of each."""
    source_cores: float
    shared_cores: float | None = None
    """Processors that readers and the source have together, where they are one machine."""


@dataclass(frozen=True)
class ReadingTime:
    """How long it takes."""

    seconds: float
    limit: str
    """What is slowest."""


def reading_time(millions: float, rates: ReadingRates, machines: Machines, fixed: float = 0.0) -> ReadingTime:
    """How long ``millions`` of rows take to read; ``fixed``: seconds that a run takes whatever it reads."""
    each = max(rates.stream, rates.reader / machines.reader_cores)
    per_million = {
        READERS: each / machines.readers,
        SOURCE: rates.source / machines.source_cores,
        ADDING_UP: rates.adding_up,
    }
    if machines.shared_cores is not None:
        per_million[CORES] = (rates.reader + rates.source) / machines.shared_cores
    limit = max(per_million, key=lambda name: per_million[name])
    return ReadingTime(fixed + millions * per_million[limit], limit)


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The line through ``points`` with the least squares: its value at 0, never below 0, and its slope.

    Raises ValueError without points.
    """
    if not points:
        raise ValueError("a line needs at least one point")
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else mean_y / mean_x
    at_zero = mean_y - slope * mean_x
    return (at_zero, slope) if at_zero >= 0 else (0.0, mean_y / mean_x)


@dataclass(frozen=True)
class Mishaps:
    """What goes otherwise than planned, when reading is simulated."""

    spread: float = 0.3
    """The standard deviation of the logarithm of a range's time: 0.3 makes one in six a third longer."""
    failed: float = 0.01
    """The share of ranges that fail half way, and are read again a second later."""
    start: float = 1.5
    """Seconds until a new environment of a function reads: its INIT phase, and the connection."""


def simulated(
    millions: float, ranges: int, rates: ReadingRates, machines: Machines, chance: random.Random, mishaps: Mishaps
) -> float:
    """How long one simulated run takes to read ``ranges`` ranges, in seconds: as ``reading_time``, with mishaps.

    Each reader takes the next range when it is done with one. A source that is busy serves all of them more slowly.
    """
    rows = millions / ranges
    own = rows * max(rates.stream, rates.reader / machines.reader_cores)
    shared = rows * rates.source * min(machines.readers, ranges) / machines.source_cores
    free = [mishaps.start] * min(machines.readers, ranges)  # a heap: all are equal
    for _ in range(ranges):
        begun = heapq.heappop(free)
        seconds = max(own, shared) * math.exp(chance.gauss(0.0, mishaps.spread))
        if chance.random() < mishaps.failed:
            seconds = seconds * 1.5 + 1.0
        heapq.heappush(free, begun + seconds)
    return max(*free, millions * rates.adding_up)
