"""Batches whose event was missed: extracted more than five minutes ago, and not transformed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ..shared.lake.store import Lake

EVENT_TIMEOUT = timedelta(minutes=5)  # for the event of S3, and the transform that it starts
LOOK_BACK = 2000  # numbers below the last transformed batch; a missing batch further down has blocked load long since


def missed_batches(ingestion: Lake, processed: Lake, now: datetime) -> Iterator[int]:
    """The batches in ``ingestion``, in order, that are older than EVENT_TIMEOUT and not in ``processed``."""
    start = max(0, (processed.last_batch() or 0) - LOOK_BACK)
    written = {found.number for found in processed.batches_after(start)}
    for found in ingestion.batches_after(start):
        if found.number not in written and now - found.written > EVENT_TIMEOUT:
            yield found.number
