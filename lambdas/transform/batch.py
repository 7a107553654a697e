"""The transform of one batch: from the source's tables to the warehouse's. A pure function of the batch."""

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

Report = Callable[[ProcessedManifest], object]

_MAX_ATTEMPTS = 10  # at a number for a new revision, while other replays take it


@dataclass(frozen=True)
class Transformed:
    """The newest revision of a batch, and whether this call wrote it."""

    manifest: ProcessedManifest
    created: bool


def transform(
    ingestion: Lake, processed: Lake, declarations: Declarations, batch: int, *, report: Report = lambda _: None
) -> Transformed:
    """Writes the processed files and manifest of ``batch``, unless they are written already.

    Calls ``report`` with the manifest before storing it, so that a report is made even when this call is cut off
    in between; a repeated transform reports a second time. Raises LakeError when a file is missing, and when the
    processed batch came from another ingestion bucket.
    """
    key = manifest_key(batch)
    source = ingestion_manifest(ingestion.get(key), key)
    if processed.get_optional(key) is None:
        manifest = BatchTransform(source, key, ingestion, processed, declarations).write()
        report(manifest)
        if processed.put_if_absent(key, to_json(manifest)):
            return Transformed(manifest, created=True)
    return Transformed(_newest(source, ingestion, processed), created=False)


def replay(
    ingestion: Lake, processed: Lake, declarations: Declarations, batch: int, *, report: Report = lambda _: None
) -> Transformed:
    """Reprocesses ``batch`` with the current code and declarations.

    Writes nothing when the outcome equals the newest revision, otherwise the next revision; earlier ones stay. Of two
    concurrent replays, one writes the revision and the other finds it. Raises what ``transform`` raises.
    """
    key = manifest_key(batch)
    source = ingestion_manifest(ingestion.get(key), key)
    if processed.get_optional(key) is None:
        return transform(ingestion, processed, declarations, batch, report=report)
    newest = _newest(source, ingestion, processed)
    converted = BatchTransform(source, key, ingestion, processed, declarations).write()
    for _ in range(_MAX_ATTEMPTS):
        if newest == replace(converted, revision=newest.revision):
            return Transformed(newest, created=False)
        manifest = replace(converted, revision=newest.revision + 1)
        report(manifest)
        if processed.put_if_absent(revision_key(batch, manifest.revision), to_json(manifest)):
            if not all(processed.exists(name) for name in files_of(manifest)):
                # A sweep deleted a file that was still unlisted, after this replay found it and before it listed it.
                BatchTransform(source, key, ingestion, processed, declarations).write()
            return Transformed(manifest, created=True)
        newest = _newest(source, ingestion, processed)
    raise LakeError(
        f"Batch {batch} is being replayed by others with different outcomes: {_MAX_ATTEMPTS} revisions were written "
        "meanwhile. Is an old release still running? Nothing was written; replay the batch again."
    )


def _newest(source: IngestionManifest, ingestion: Lake, processed: Lake) -> ProcessedManifest:
    """The newest revision. Raises LakeError when it belongs to another batch with that number."""
    key = processed.newest_revision(source.batch)
    written = processed_manifest(processed.get(key), key)
    if written.extracted_at != source.extracted_at:
        raise LakeError(
            f"Batch {source.batch} in s3://{ingestion.bucket} was extracted at {source.extracted_at}, and the one in "
            f"s3://{processed.bucket} at {written.extracted_at}: one of the buckets was replaced. Nothing was "
            "transformed. Restore the bucket that was replaced, or start with an empty lake and an empty warehouse."
        )
    return written
