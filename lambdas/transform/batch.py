"""One batch of the ingestion bucket shaped like the warehouse's tables: a pure function of the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..shared.declarations import Declarations
from ..shared.errors import LakeError
from ..shared.lake.manifest import (
    IngestionManifest,
    ProcessedManifest,
    files_of,
    ingestion_manifest,
    processed_manifest,
    to_json,
)
from ..shared.lake.object_keys import manifest_key, revision_key
from ..shared.lake.store import Lake
from .batch_files import BatchTransform

Tell = Callable[[ProcessedManifest], object]

_TURNS = 10  # revisions that others may write while one is being written


@dataclass(frozen=True)
class Transformed:
    """The newest revision of a batch, and whether this call wrote it."""

    manifest: ProcessedManifest
    created: bool


def transform(
    ingestion: Lake, processed: Lake, declarations: Declarations, batch: int, *, tell: Tell = lambda _: None
) -> Transformed:
    """Writes the processed files and manifest of ``batch``, unless it is written already.

    Raises LakeError when a file is missing, and when what is written came from another ingestion bucket. ``tell`` is
    called with a new batch before it exists: what must be told of it is told even when this call ends just then, and
    perhaps twice.
    """
    key = manifest_key(batch)
    source = ingestion_manifest(ingestion.read(key), key)
    if processed.find(key) is None:
        manifest = BatchTransform(source, key, ingestion, processed, declarations).write()
        tell(manifest)
        if processed.put_if_absent(key, to_json(manifest)):
            return Transformed(manifest, created=True)
    return Transformed(_newest(source, ingestion, processed), created=False)


def replay(
    ingestion: Lake, processed: Lake, declarations: Declarations, batch: int, *, tell: Tell = lambda _: None
) -> Transformed:
    """Converts ``batch`` again, by the code and the declarations of now.

    Where that gives the same as the newest revision nothing is written, else it is the next revision: what was written
    stays as it is. Of two replays at once, one writes it and the other finds it. Raises as ``transform`` does.
    """
    key = manifest_key(batch)
    source = ingestion_manifest(ingestion.read(key), key)
    if processed.find(key) is None:
        return transform(ingestion, processed, declarations, batch, tell=tell)
    newest = _newest(source, ingestion, processed)
    converted = BatchTransform(source, key, ingestion, processed, declarations).write()
    for _ in range(_TURNS):
        if newest == replace(converted, revision=newest.revision):
            return Transformed(newest, created=False)
        manifest = replace(converted, revision=newest.revision + 1)
        tell(manifest)
        if processed.put_if_absent(revision_key(batch, manifest.revision), to_json(manifest)):
            if not all(processed.exists(name) for name in files_of(manifest)):
                # A sweep took a file that no manifest named yet, between our finding it there and our naming it.
                BatchTransform(source, key, ingestion, processed, declarations).write()
            return Transformed(manifest, created=True)
        newest = _newest(source, ingestion, processed)
    raise LakeError(
        f"Batch {batch} is being replayed by others, differently each time: {_TURNS} revisions came meanwhile. Is an "
        "old release still running? Nothing was written; replay the batch again."
    )


def _newest(source: IngestionManifest, ingestion: Lake, processed: Lake) -> ProcessedManifest:
    """The newest revision. Raises LakeError when it is of another batch of that number."""
    key = processed.newest_revision(source.batch)
    written = processed_manifest(processed.read(key), key)
    if written.extracted_at != source.extracted_at:
        raise LakeError(
            f"Batch {source.batch} in s3://{ingestion.bucket} was extracted at {source.extracted_at}, and the one in "
            f"s3://{processed.bucket} at {written.extracted_at}: one of the buckets was replaced. Nothing was "
            "transformed. Put back the one that is gone, or begin with an empty lake and an empty warehouse."
        )
    return written
