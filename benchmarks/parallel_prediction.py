"""What the model of `backfill --plan` says of the largest table of `reading_in_parallel`, from smaller ones alone."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from lambda_toolkit.pipeline.cost.reading import MILLION, Machines, ReadingRates, line, reading_time

COLUMNS = ("readers", "rows", "predicted s", "measured s", "difference", "slowest is")


@dataclass(frozen=True)
class Reading:
    """One run of extract over a table of ``rows`` rows. Times in seconds; processor times are sums of processes."""

    rows: int
    readers: int
    seconds: float
    counting: float
    """Until the first range was asked for: the source counts the rows."""
    extract: float
    reading: float
    """Processor time of all readers."""
    source: float
    """Processor time of the server, without the session of who writes."""
    writing: float
    """Processor time of who writes, with that of its session in the server."""
    peak: int
    """Bytes of memory: the reader with the most."""
    written: int
    """Rows that were inserted, updated and deleted meanwhile."""
    missing: int
    doubled: int
    other_sums: int
    """Columns whose sum is not the source's; and 1 more where the number of rows is not."""


@dataclass(frozen=True)
class Checking:
    """What the source takes to count a table and add up its columns, in one statement."""

    rows: int
    seconds: float
    source: float


def predictions(readings: Sequence[Reading], checkings: Sequence[Checking]) -> list[list[str]]:
    """A row for each number of readers, as COLUMNS: the largest table by the rates of the smaller ones.

    Empty where all tables are of one size.
    """
    largest = max(each.rows for each in readings)
    smaller = [each for each in readings if each.rows < largest]
    alone = [each for each in smaller if each.readers == 1]
    if not alone:
        return []
    adding_up = line([(each.rows / MILLION, each.seconds) for each in checkings if each.rows < largest])[1]
    stream = line([(each.rows / MILLION, each.seconds) for each in alone])[1]
    found = []
    for count in sorted({each.readers for each in smaller}):
        same = [each for each in smaller if each.readers == count]
        rates = ReadingRates(stream, _slope(same, "reading"), _slope(same, "source"), adding_up)
        cores = (os.cpu_count() or 1) - sum(each.writing for each in same) / sum(each.seconds for each in same)
        machines = Machines(count, cores, cores, cores)
        fixed = max(
            0.0,
            statistics.median(
                each.seconds - reading_time(each.rows / MILLION, rates, machines).seconds for each in same
            ),
        )
        expected = reading_time(largest / MILLION, rates, machines, fixed)
        measured = statistics.median(
            each.seconds for each in readings if each.rows == largest and each.readers == count
        )
        found.append(
            [
                f"{count}",
                f"{largest:,}",
                f"{expected.seconds:.1f}",
                f"{measured:.1f}",
                f"{expected.seconds / measured - 1:+.0%}",
                expected.limit,
            ]
        )
    return found


def _slope(readings: Sequence[Reading], name: str) -> float:
    return line([(each.rows / MILLION, float(getattr(each, name))) for each in readings])[1]
