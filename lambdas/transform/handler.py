"""The Lambda handler of transform: S3 calls it when a batch's manifest is written, EventBridge on a schedule.

The scheduled run transforms the batches whose event was missed and deletes orphaned files.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ..shared import declarations, runtime
from ..shared.deadline import Deadline, seconds_left
from ..shared.errors import PipelineError
from ..shared.events import (
    SweepRequest,
    SweepResult,
    TransformReplayRequest,
    TransformReplayResult,
    TransformRequest,
    TransformResult,
    transform_request,
)
from ..shared.lake.manifest import ProcessedManifest
from ..shared.lake.object_keys import batch_of
from ..shared.runtime import checked, count_rejected, logged, logger
from .batch import replay, transform
from .sweep import AGE, missed_batches, sweep_ingestion, sweep_processed

SHORTEST = timedelta(hours=1)  # four times what Lambda gives a run: how old an orphan must be at least
RESERVE = 60.0  # seconds that a scheduled run leaves unused, so that none is cut off
SAFETY_FACTOR = 2.0  # a batch may take that many times as long as the longest before it


@logged
@checked(runtime.ingestion_lake, runtime.processed_lake)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Transforms the batches that the event names. Events may be delivered twice, late or out of order.

    Raises PipelineError for an event that ``events.transform_request`` refuses, LakeError for a batch that it cannot
    read.
    """
    request = transform_request(event)
    if isinstance(request, TransformReplayRequest):
        return _replay(request.batch, context).to_json()
    if isinstance(request, SweepRequest):
        return _scheduled(context, datetime.now(UTC)).to_json()
    batches = [request.batch] if isinstance(request, TransformRequest) else _batches(request.keys)
    return _result([_transform(batch, context) for batch in batches]).to_json()


def _result(done: list[ProcessedManifest]) -> TransformResult:
    rows: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for manifest in done:
        rows.update({name: table.rows for name, table in manifest.tables.items()})
        rejected.update(_rejected(manifest))
    return TransformResult(tuple(manifest.batch for manifest in done), rows, rejected)


def _scheduled(context: Any, now: datetime) -> SweepResult:
    """Transforms the batches whose event was missed, as far as there is time, and deletes orphaned files."""
    deadline = Deadline(seconds_left(context), RESERVE, SAFETY_FACTOR)
    ingestion, processed = runtime.ingestion_lake(), runtime.processed_lake()
    done = []
    for batch in missed_batches(ingestion, processed, now):
        if not deadline.has_time_for_next():
            break
        logger.warning("missed event, or unfinished transform: this batch is transformed now", batch=batch)
        done.append(_transform(batch, context))
    swept: list[str] = []
    if deadline.has(RESERVE):
        age = _age(os.environ.get("SWEEP_AFTER_DAYS"))
        left, made = sweep_ingestion(ingestion, now, age), sweep_processed(processed, now, age)
        swept = [
            f"s3://{lake.bucket}/{key}"
            for lake, found in ((ingestion, left), (processed, made))
            for key in found.deleted
        ]
        for batch in made.revised:
            _replay(batch, context)  # stores the files that its new revision lists, in case the sweep deleted one
    if swept:
        logger.info("files that no manifest names were deleted", files=swept)
    result = _result(done)
    return SweepResult(result.batches, result.rows, result.rejected, len(swept))


def _age(days: str | None) -> timedelta:
    """The minimum age of an orphan. Raises PipelineError below an hour: an unfinished run might still list the file."""
    try:
        age = timedelta(days=float(days)) if days else AGE
    except (ValueError, OverflowError):
        age = timedelta(0)
    if age < SHORTEST:
        raise PipelineError(f"SWEEP_AFTER_DAYS must be a number of days, an hour (0.05) at least, not {days!r}.")
    return age


def _transform(batch: int, context: Any) -> ProcessedManifest:
    lakes = runtime.ingestion_lake(), runtime.processed_lake()
    return transform(*lakes, declarations.load(), batch, report=_reporter(context)).manifest


def _replay(batch: int, context: Any) -> TransformReplayResult:
    lakes = runtime.ingestion_lake(), runtime.processed_lake()
    done = replay(*lakes, declarations.load(), batch, report=_reporter(context))
    return TransformReplayResult(batch, done.manifest.revision, _rejected(done.manifest), changed=done.created)


def _rejected(manifest: ProcessedManifest) -> dict[str, int]:
    return {name: file.source_rows for name, file in manifest.rejected.items()}


def _reporter(context: Any) -> Callable[[ProcessedManifest], None]:
    def report(manifest: ProcessedManifest) -> None:
        for name, file in manifest.rejected.items():
            logger.warning(
                "rows were rejected", batch=manifest.batch, table=name, rows=file.source_rows, report=file.key
            )
        if manifest.rejected:
            count_rejected(sum(_rejected(manifest).values()), context)

    return report


def _batches(keys: Iterable[str]) -> list[int]:
    """The batches whose manifests are among the objects ``keys``, in order, each once."""
    numbers = {key: batch_of(key) for key in keys}
    for key, number in numbers.items():
        if number is None:
            logger.info("not a manifest: ignored", key=key)
    return sorted({number for number in numbers.values() if number is not None})
