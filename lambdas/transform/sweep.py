"""What the scheduled run of transform looks for: batches whose event was missed, and orphaned files.

An orphan is a data file that no manifest lists. A run that was aborted leaves it, or one that lost the race for its
batch's number. Orphans do no harm and are deleted once they are old. A file is an orphan only where the manifest of its
own batch exists and does not list it: without that manifest nothing is deleted. Manifests are listed; they are read
only where a file in the listing is suspect. Files older than WINDOW were checked by a thousand sweeps and are not
listed again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..shared.lake.manifest import files_of, ingestion_manifest, processed_manifest
from ..shared.lake.object_keys import (
    DATA,
    DELETED,
    REJECTED,
    ObjectInfo,
    batch_partition,
    manifest_key,
    processed_file_of,
    run_of,
)
from ..shared.lake.store import Lake

AGE = timedelta(days=2)  # by default; far more than any run takes
WINDOW = timedelta(days=7)  # before AGE: how far back a sweep looks
_LISTED = 1000  # batches in one page of the listing
_RUN = timedelta(minutes=15)  # the longest that Lambda lets a run take: when it commits, its files are no older
EVENT_TIMEOUT = timedelta(minutes=5)  # for the event of S3, and the transform that it starts
LOOK_BACK = 2000  # numbers below the last transformed batch; a missing batch further down has blocked load long since


def missed_batches(ingestion: Lake, processed: Lake, now: datetime) -> Iterator[int]:
    """The batches in ``ingestion``, in order, that are older than EVENT_TIMEOUT and not in ``processed``."""
    start = max(0, (processed.last_batch() or 0) - LOOK_BACK)
    written = {found.number for found in processed.batches_after(start)}
    for found in ingestion.batches_after(start):
        if found.number not in written and now - found.written > EVENT_TIMEOUT:
            yield found.number


@dataclass(frozen=True)
class Swept:
    """The keys deleted, and the batches that got a new revision meanwhile, which may list one of these keys."""

    deleted: tuple[str, ...] = ()
    revised: tuple[int, ...] = ()


def sweep_ingestion(lake: Lake, now: datetime, age: timedelta = AGE) -> Swept:
    """Deletes the files older than ``age`` of runs that did not get the batch number in the keys of their files.

    A file that a later manifest carries forward was listed by the manifest of its own batch first: it is the winner's.
    """
    old = _old_batches(lake, now, age)
    runs: dict[int, dict[str, list[ObjectInfo]]] = {}
    for file in _files_of(lake, (DATA,), old):
        found_run = run_of(file.key)
        if found_run is not None and found_run[0] in old and _is_old(file, now, age):
            batch, run = found_run
            runs.setdefault(batch, {}).setdefault(run, []).append(file)
    deleted: list[str] = []
    for batch, files in sorted(runs.items()):
        if len(files) == 1 and not any(_is_suspect(file, old[batch]) for found in files.values() for file in found):
            continue
        manifest = ingestion_manifest(lake.get(manifest_key(batch)), manifest_key(batch))
        named = files_of(manifest)
        deleted += [
            file.key
            for run, found in files.items()
            if run != manifest.run[: len(run)]
            for file in found
            if file.key not in named
        ]
    lake.delete(deleted)
    return Swept(tuple(deleted))


def sweep_processed(lake: Lake, now: datetime, age: timedelta = AGE) -> Swept:
    """Deletes the files older than ``age`` that no revision of their batch lists, of batches older than ``age``.

    A concurrent replay may be about to list such a file, since the same rows have the same key. The replay checks after
    its commit whether its files exist, and the sweep checks after deleting whether there is a new revision: whichever
    comes last sees the conflict.
    """
    old = _old_batches(lake, now, age)
    files: dict[int, dict[str, list[ObjectInfo]]] = {}
    for file in _files_of(lake, (DATA, DELETED, REJECTED), old):
        found_file = processed_file_of(file.key)
        if found_file is not None and found_file[0] in old:
            batch, folder = found_file
            files.setdefault(batch, {}).setdefault(folder, []).append(file)
    deleted: list[str] = []
    revised: list[int] = []
    for batch, found in sorted(files.items()):
        every = [file for same in found.values() for file in same]
        if len(every) == len(found) and not any(_is_suspect(file, old[batch]) for file in every):
            continue
        revisions = lake.revisions(batch)
        named = _named(lake, revisions)
        orphans = [file.key for file in every if file.key not in named and _is_old(file, now, age)]
        if orphans:
            lake.delete(orphans)
            deleted += orphans
            if lake.revisions(batch) != revisions:
                revised.append(batch)
    return Swept(tuple(deleted), tuple(revised))


def _named(lake: Lake, revisions: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(files_of(processed_manifest(lake.get(key), key)) for key in revisions))


def _manifests(lake: Lake, since: datetime) -> Mapping[int, datetime]:
    """The batches written after ``since`` -> when; found from the last batch backwards, a page at a time.

    Where numbers are missing the steps double, so that a gap of any length costs few requests.
    """
    found: dict[int, datetime] = {}
    end, step = lake.last_batch() or 0, _LISTED
    while end > 0:
        start = max(0, end - step)
        page = {entry.number: entry.written for entry in lake.batches_after(start, end)}
        found.update(page)
        if page and min(page.values()) < since:
            break
        end, step = start, _LISTED if page else step * 2
    return {number: written for number, written in found.items() if written >= since}


def _old_batches(lake: Lake, now: datetime, age: timedelta) -> Mapping[int, datetime]:
    """The batches committed longer than ``age`` ago, and no longer than WINDOW before that -> when."""
    written = _manifests(lake, now - age - WINDOW)
    return {batch: committed for batch, committed in written.items() if _is_older(committed, now, age)}


def _files_of(lake: Lake, kinds: Iterable[str], batches: Collection[int]) -> Iterator[ObjectInfo]:
    """The objects of ``kinds`` whose batch is from the lowest to the highest of ``batches``."""
    if batches:
        first, last = batch_partition(min(batches)), batch_partition(max(batches))
        for folder in (table for kind in kinds for table in lake.folders(kind)):
            yield from _between(lake, folder, first, f"{last}~")


def _between(lake: Lake, folder: str, first: str, last: str) -> Iterator[ObjectInfo]:
    """The objects in ``folder`` whose names begin with ``first`` to ``last``, in order.

    Keys sort by their bytes. ``~`` (0x7E) is above every character that a data file's name has, so ``last`` ends with
    it to include every key that begins with the text before it.
    """
    for file in lake.listing(folder, after=folder + first):
        if file.key > folder + last:
            return
        yield file


def _is_old(file: ObjectInfo, now: datetime, age: timedelta) -> bool:
    return _is_older(file.written, now, age)


def _is_older(moment: datetime, now: datetime, age: timedelta) -> bool:
    return now - moment > age


def _is_suspect(file: ObjectInfo, committed: datetime) -> bool:
    """Whether the file was written outside the time of the run that committed its batch."""
    return not committed - _RUN <= file.written <= committed
