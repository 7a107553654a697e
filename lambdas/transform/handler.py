"""The Lambda handler of transform: S3 calls it when a batch's manifest is written, EventBridge on a schedule.

The scheduled run transforms the batches whose event was missed and deletes orphaned files.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ..shared import runtime
from ..shared.deadline import Deadline, seconds_left
from ..shared.errors import PipelineError
from ..shared.lake.manifest import ProcessedManifest, ProcessedTable, ingestion_manifest
from ..shared.lake.object_keys import batch_of, manifest_key
from ..shared.logs import TableWork
from ..shared.messages.events import (
    SweepRequest,
    SweepResult,
    TransformReplayRequest,
    TransformReplayResult,
    TransformRequest,
    TransformResult,
    request_in,
    transform_request,
)
from ..shared.messages.part_events import PartRequest, PartResult
from ..shared.metrics import ROWS_REJECTED
from ..shared.model import declarations
from ..shared.runtime import checked, logged, logger
from .batch import Engine, Transformed, alone, replay, transform
from .parts import PartTransform
from .sweep import AGE, missed_batches, sweep_ingestion, sweep_processed
from .workers import workers_of

SHORTEST = timedelta(hours=1)  # four times what Lambda gives a run: how old an orphan must be at least
MOST_SHOWN = 100  # files in a line of the log
RESERVE = 60.0  # seconds that a scheduled run leaves unused, so that none is cut off
SAFETY_FACTOR = 2.0  # a batch may take that many times as long as the longest before it


@logged
@checked(runtime.ingestion_lake, runtime.processed_lake)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Transforms the batches that the event names. Events may be delivered twice, late or out of order.

    Raises PipelineError for an event that ``events.transform_request`` refuses, LakeError for a batch that it cannot
    read.
    """
    if isinstance(event, dict) and event.get("action") == PartRequest.action:
        return _part(request_in("transform", event, (PartRequest,))).to_json()
    request = transform_request(event)
    logger.run.fields["action"] = request.action
    if isinstance(request, TransformReplayRequest):
        return _replay(request.batch, context).to_json()
    if isinstance(request, SweepRequest):
        return _scheduled(context, datetime.now(UTC)).to_json()
    batches = [request.batch] if isinstance(request, TransformRequest) else _batches(request.keys)
    return _result([_transform(batch, context) for batch in batches]).to_json()


def _part(request: PartRequest) -> PartResult:
    """Transforms one part for the invocation that asks for it."""
    logger.run.fields["action"] = request.action
    ingestion, processed, key = runtime.ingestion_lake(), runtime.processed_lake(), manifest_key(request.batch)
    source = ingestion_manifest(ingestion.get(key), key)
    done = PartTransform(source, ingestion, processed, declarations.load()).result(request)
    write = logger.info if done.refused is None else logger.warning
    write("part transformed", batch=request.batch, table=request.table, number=request.number, rows=done.read)
    return done


def _engine(context: Any) -> Engine:
    """Who transforms the parts of a batch: workers where this function was deployed with some."""
    most = int(os.environ.get("TRANSFORM_WORKERS") or 0)
    if most < 2:
        return alone

    def report(part: PartRequest, why: str) -> None:
        text = f"transformed without a worker, as the part {why}"
        logger.warning(text, batch=part.batch, table=part.table, number=part.number)

    return workers_of(context, most, report) or alone


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
        logger.info("files that no manifest names were deleted", number=len(swept), files=swept[:MOST_SHOWN])
        logger.run.add(swept=len(swept))
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
    return _logged(transform(*lakes, declarations.load(), batch, report=_report, engine=_engine(context))).manifest


def _replay(batch: int, context: Any) -> TransformReplayResult:
    lakes = runtime.ingestion_lake(), runtime.processed_lake()
    done = _logged(replay(*lakes, declarations.load(), batch, report=_report, engine=_engine(context)))
    return TransformReplayResult(batch, done.manifest.revision, _rejected(done.manifest), changed=done.created)


def _logged(done: Transformed) -> Transformed:
    """``done``, whose tables are logged, unless another invocation wrote them."""
    if done.created:
        manifest = done.manifest
        work = {}
        for name in done.milliseconds:
            table, rejected = manifest.tables.get(name, ProcessedTable()), manifest.rejected.get(name)
            if table.data_files or table.deleted_files or rejected:
                more = {
                    "deleted": sum(file.rows for file in table.deleted_files),
                    "rejected": rejected.source_rows if rejected else 0,
                }
                work[name] = TableWork(table.rows, done.bytes.get(name, 0), done.milliseconds[name], more)
        logger.tables("table transformed", manifest.batch, work)
    return done


def _rejected(manifest: ProcessedManifest) -> dict[str, int]:
    return {name: file.source_rows for name, file in manifest.rejected.items()}


def _report(manifest: ProcessedManifest) -> None:
    """Warns of rejected rows, and counts them in the metric of the alarm."""
    for name, file in manifest.rejected.items():
        logger.warning(
            "rows were rejected",
            {ROWS_REJECTED: file.source_rows},
            batch=manifest.batch,
            table=name,
            rows=file.source_rows,
            report=file.key,
        )


def _batches(keys: Iterable[str]) -> list[int]:
    """The batches whose manifests are among the objects ``keys``, in order, each once."""
    numbers = {key: batch_of(key) for key in keys}
    for key, number in numbers.items():
        if number is None:
            logger.info("not a manifest: ignored", key=key)
    return sorted({number for number in numbers.values() if number is not None})
