"""The door of transform: S3 calls it when a batch's manifest is written, EventBridge for what was lost or left behind.

``{"batch": n}`` transforms a batch whose event was lost, ``{"replay": n}`` converts one again, and
``{"action": "sweep"}`` does what the scheduled run does.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

from ..shared import clients, declarations
from ..shared.errors import PipelineError
from ..shared.lake.manifest import ProcessedManifest
from ..shared.lake.object_keys import batch_of
from ..shared.runtime import checked, count_rejected, logged, logger
from .batch import replay, transform
from .orphans import AGE, sweep_ingestion, sweep_processed
from .recovery import in_time, lost_batches

SHORTEST = timedelta(hours=1)  # four times what Lambda gives a run: how old an orphan must be at least
RESERVE = 60.0  # seconds that a scheduled run leaves unused, so that none is cut off


@logged
@checked(clients.ingestion_lake, clients.processed_lake)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Transforms the batches that the event names. Events may come twice, late or out of order.

    Raises PipelineError for an event that it does not understand, LakeError for a batch that it cannot read.
    """
    if "replay" in event:
        return _replay(_number(event, "replay"), context)
    if event.get("source") == "aws.events" or event.get("action") == "sweep":
        return _scheduled(context, datetime.now(UTC))
    return _result([_transform(batch, context) for batch in _batches(event)])


def _result(done: list[ProcessedManifest]) -> dict[str, Any]:
    rows: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for manifest in done:
        rows.update({name: table.rows for name, table in manifest.tables.items()})
        rejected.update(_rejected(manifest))
    return {"batches": [manifest.batch for manifest in done], "rows": dict(rows), "rejected": dict(rejected)}


def _scheduled(context: Any, now: datetime) -> dict[str, Any]:
    """Transforms the batches whose event was lost, as far as the time goes, and sweeps what is left behind."""

    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    ingestion, processed = clients.ingestion_lake(), clients.processed_lake()
    done = []
    for batch in in_time(lost_batches(ingestion, processed, now), remaining, RESERVE):
        logger.warning("the event of this batch did not come, or its transform did not end: done now", batch=batch)
        done.append(_transform(batch, context))
    swept: list[str] = []
    if remaining() > RESERVE:
        age = _age(os.environ.get("SWEEP_AFTER_DAYS"))
        left, made = sweep_ingestion(ingestion, now, age), sweep_processed(processed, now, age)
        swept = [
            f"s3://{lake.bucket}/{key}"
            for lake, found in ((ingestion, left), (processed, made))
            for key in found.deleted
        ]
        for batch in made.revised:
            _replay(batch, context)  # stores what its new revision names, should that be gone
    if swept:
        logger.info("files that no manifest names were deleted", files=swept)
    return {**_result(done), "swept": len(swept)}


def _age(days: str | None) -> timedelta:
    """How old an orphan must be. Raises PipelineError below an hour: a run that is under way might still name it."""
    try:
        age = timedelta(days=float(days)) if days else AGE
    except (ValueError, OverflowError):
        age = timedelta(0)
    if age < SHORTEST:
        raise PipelineError(f"SWEEP_AFTER_DAYS must be a number of days, an hour (0.05) at least, not {days!r}.")
    return age


def _transform(batch: int, context: Any) -> ProcessedManifest:
    lakes = clients.ingestion_lake(), clients.processed_lake()
    return transform(*lakes, declarations.load(), batch, tell=_teller(context)).manifest


def _replay(batch: int, context: Any) -> dict[str, Any]:
    lakes = clients.ingestion_lake(), clients.processed_lake()
    done = replay(*lakes, declarations.load(), batch, tell=_teller(context))
    manifest = done.manifest
    return {
        "batch": batch,
        "revision": manifest.revision,
        "rejected": _rejected(manifest),
        "changed": done.created,
    }


def _rejected(manifest: ProcessedManifest) -> dict[str, int]:
    return {name: file.source_rows for name, file in manifest.rejected.items()}


def _teller(context: Any) -> Callable[[ProcessedManifest], None]:
    def tell(manifest: ProcessedManifest) -> None:
        for name, file in manifest.rejected.items():
            logger.warning(
                "rows were rejected", batch=manifest.batch, table=name, rows=file.source_rows, report=file.key
            )
        if manifest.rejected:
            count_rejected(sum(_rejected(manifest).values()), context)

    return tell


def _number(event: dict[str, Any], name: str) -> int:
    number = event[name]
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise PipelineError(f"The event's `{name}` must be the number of a batch, not {number!r}.")
    return number


def _batches(event: dict[str, Any]) -> list[int]:
    """The numbers of the batches that an event names."""
    if "batch" in event:
        return [_number(event, "batch")]
    if event.get("Event") == "s3:TestEvent":  # S3 sends one when the notification is set up
        return []
    if "Records" not in event:
        raise PipelineError('transform expects an event from S3 or EventBridge, {"batch": n} or {"replay": n}.')
    keys = [unquote_plus(record["s3"]["object"]["key"]) for record in event["Records"]]
    numbers = [batch_of(key) for key in keys]
    for key, number in zip(keys, numbers, strict=True):
        if number is None:
            logger.info("not a manifest: ignored", key=key)
    return sorted({number for number in numbers if number is not None})
