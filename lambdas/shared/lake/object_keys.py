"""The object keys of manifests in both buckets, which the functions and the commands share.

Numbers have leading zeros, so that S3 lists the manifests in the order of their batches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

MANIFESTS = "manifests/"
REVISIONS = "revisions/"
_MANIFEST = re.compile(r"manifests/batch-(\d{12})\.json")
_REVISION = re.compile(r"revisions/batch-(\d{12})-(\d{4,})\.json")


@dataclass(frozen=True)
class BatchListing:
    """A batch in a listing: its number, and when S3 stored its manifest (UTC)."""

    number: int
    written: datetime


@dataclass(frozen=True)
class Listed:
    """An object in a listing: its key, and when S3 stored it (UTC)."""

    key: str
    written: datetime


def manifest_key(batch: int) -> str:
    """The key of a batch's manifest, in either bucket."""
    return f"{MANIFESTS}batch-{batch:012d}.json"


def batch_of(key: str) -> int | None:
    """The number of the batch whose manifest has the key ``key``; None for any other key."""
    match = _MANIFEST.fullmatch(key)
    return int(match[1]) if match else None


def revision_key(batch: int, revision: int) -> str:
    """The key of the manifest of a processed batch's ``revision``.

    Revision 1 is the first outcome of transform; a replay with a different outcome writes the next.
    """
    return manifest_key(batch) if revision == 1 else f"{revisions_of(batch)}{revision:04d}.json"


def revisions_of(batch: int) -> str:
    """The key prefix of a batch's revisions, from the second on."""
    return f"{REVISIONS}batch-{batch:012d}-"


def revision_of(key: str) -> tuple[int, int] | None:
    """The batch and the revision whose manifest has the key ``key``; None for any other key."""
    first = batch_of(key)
    if first is not None:
        return first, 1
    match = _REVISION.fullmatch(key)
    return (int(match[1]), int(match[2])) if match else None
