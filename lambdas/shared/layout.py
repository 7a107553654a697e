"""Where a batch's manifest lies, in either bucket: what the functions, and those who watch them, must agree on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

MANIFESTS = "manifests/"
_MANIFEST = re.compile(r"manifests/batch-(\d{12})\.json")


@dataclass(frozen=True)
class BatchListing:
    """A batch that exists, and when its manifest was written."""

    number: int
    written: datetime


def manifest_key(batch: int) -> str:
    """The key of a batch's manifest, in either bucket."""
    return f"{MANIFESTS}batch-{batch:012d}.json"


def batch_of(key: str) -> int | None:
    """The number of the batch whose manifest ``key`` is; None for any other key."""
    match = _MANIFEST.fullmatch(key)
    return int(match[1]) if match else None
