"""Batches whose event never came: extracted a while ago, and still not transformed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from ..shared.lake.store import Lake

PATIENCE = timedelta(minutes=5)  # for the event of S3, and the transform that it starts
LOOK_BACK = 2000  # numbers below the last transformed batch; a gap further down has long since stopped load


def lost_batches(ingestion: Lake, processed: Lake, now: datetime) -> Iterator[int]:
    """The numbers, in order, of the batches in ``ingestion`` that are older than PATIENCE and not in ``processed``."""
    start = max(0, (processed.last_batch() or 0) - LOOK_BACK)
    written = {found.number for found in processed.batches_after(start)}
    for found in ingestion.batches_after(start):
        if found.number not in written and now - found.written > PATIENCE:
            yield found.number


def in_time(batches: Iterator[int], remaining: Callable[[], float], reserve: float) -> Iterator[int]:
    """``batches`` while there are more than ``reserve`` seconds, and twice what the longest so far took, ``remaining``.

    The rest waits for the next run.
    """
    longest = 0.0
    for batch in batches:
        before = remaining()
        if before < max(reserve, 2 * longest):
            return
        yield batch
        longest = max(longest, before - remaining())
