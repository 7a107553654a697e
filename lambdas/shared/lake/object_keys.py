"""Every object key of both buckets, which the functions and the commands share: built and parsed here alone.

Batch numbers have twelve digits, so that S3 lists keys in the order of the batches. Data files are partitioned by table
and batch, in the form ``batch=<number>`` that Hive, Athena, Spark and Arrow read as a partition column.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

MANIFESTS = "manifests/"
REVISIONS = "revisions/"
DATA = "data/"
DELETED = "deleted/"
REJECTED = "rejected/"
ANSWERS = "answers/"  # in the processed bucket: what a command asked for, until it has read it
_UNSAFE = re.compile(r"[^\w .-]")  # in an object key: all but letters and digits of any alphabet, _, -, . and blank
LAST_NUMBER = 10**12 - 1  # the highest number of a batch: twelve digits
_MANIFEST = re.compile(r"manifests/batch-(\d{12})\.json")
_REVISIONS_OF = re.compile(r"revisions/batch-(\d{12})-")
_REVISION = re.compile(r"revisions/batch-(\d{12})-(\d{4,})\.json")
_RUN_FILE = re.compile(r"data/[^/]+/batch=(\d{12})/([^./]+)\.\w+\.parquet")
_ANSWER = re.compile(r"answers/[0-9a-f]{32}")
_PROCESSED_FILE = re.compile(r"((?:data|deleted|rejected)/[^/]+/)batch=(\d{12})/[0-9a-f]{8}\.parquet")


@dataclass(frozen=True)
class BatchListing:
    """A batch in a listing: its number, and when S3 stored its manifest (UTC)."""

    number: int
    written: datetime


@dataclass(frozen=True)
class ObjectInfo:
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


def next_batch(key: str) -> int | None:
    """The lowest number whose manifest's key sorts after ``key``, as S3 sorts keys; None where no manifest's does."""
    return _next(key, manifest_key)


def next_revised_batch(key: str) -> int | None:
    """The lowest number of which a revision's key may sort after ``key``; None where no revision's does."""
    match = _REVISIONS_OF.match(key)
    return int(match[1]) if match else _next(key, revisions_of)


def _next(key: str, key_of: Callable[[int], str]) -> int | None:
    number = bisect.bisect_right(range(LAST_NUMBER + 1), key, key=key_of)
    return number if number <= LAST_NUMBER else None


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


def answer_key(name: str) -> str:
    """The key of an answer; ``name``: 32 hex digits, which no other answer has."""
    return f"{ANSWERS}{name}"


def is_answer(key: str) -> bool:
    """Whether ``key`` is that of an answer."""
    return _ANSWER.fullmatch(key) is not None


def batch_folder(table: str, batch: int, kind: str = DATA) -> str:
    """The key prefix of a batch's files of ``table``; ``kind``: DATA, DELETED or REJECTED.

    In the ingestion bucket, where ``table`` is a source table, every file is DATA.
    """
    return f"{kind}{folder_name(table)}/{batch_partition(batch)}/"


def folder_name(table: str) -> str:
    """The folder of a table: its name, with what S3 or a file system could misread percent-encoded.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    """
    if not table.strip("."):
        return table.replace(".", "%2E")
    return _UNSAFE.sub(lambda found: quote(found[0], safe=""), table)


def batch_partition(batch: int) -> str:
    """The folder of a batch below that of a table."""
    return f"batch={batch:012d}"


def run_prefix(table: str, batch: int, run: str) -> str:
    """The beginning of the keys of the files that ``run`` writes of a source table; ``.<what>.parquet`` follows."""
    return f"{batch_folder(table, batch)}{run[:8]}"


def run_of(key: str) -> tuple[int, str] | None:
    """The batch, and the beginning of the run's id, of a data file of the ingestion bucket; None for any other key."""
    match = _RUN_FILE.fullmatch(key)
    return (int(match[1]), match[2]) if match else None


def processed_file_of(key: str) -> tuple[int, str] | None:
    """The batch and the folder of the table of a file of the processed bucket; None for any other key."""
    match = _PROCESSED_FILE.fullmatch(key)
    return (int(match[2]), match[1]) if match else None
