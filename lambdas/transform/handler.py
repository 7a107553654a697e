"""The door of transform: S3 calls it when a batch's manifest is written; ``{"batch": n}`` replays a batch."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

from lambdas.shared import clients, declarations
from lambdas.shared.errors import PipelineError
from lambdas.shared.layout import batch_of
from lambdas.shared.manifest import ProcessedManifest
from lambdas.shared.runtime import count_rejected, logged, logger
from lambdas.transform.transformation import transform


@logged
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Transforms the batches that the event names. Events may come twice, late or out of order."""
    batches, replay = _batches(event)
    declared = declarations.load()
    rows: dict[str, int] = {}
    rejected: dict[str, int] = {}
    for batch in batches:
        done = transform(
            clients.ingestion_lake(),
            clients.processed_lake(),
            declared,
            batch,
            replay=replay,
            tell=lambda manifest: _tell_rejected(manifest, context),
        )
        if not done.same:
            logger.warning(
                "The batch was written by another release and stays as it is. To convert rows again, "
                'invoke extract with the event {"full": ["<table>"]}.',
                batch=batch,
            )
        for name, table in done.manifest.tables.items():
            rows[name] = rows.get(name, 0) + table.rows
        for name, file in done.manifest.rejected.items():
            rejected[name] = rejected.get(name, 0) + file.source_rows
    return {"batches": batches, "rows": rows, "rejected": rejected}


def _tell_rejected(manifest: ProcessedManifest, context: Any) -> None:
    for name, file in manifest.rejected.items():
        logger.warning("rows were rejected", batch=manifest.batch, table=name, rows=file.source_rows, key=file.key)
    if manifest.rejected:
        count_rejected(sum(file.source_rows for file in manifest.rejected.values()), context)


def _batches(event: dict[str, Any]) -> tuple[list[int], bool]:
    """The numbers of the batches that an event names, and whether it asks for a replay."""
    if "batch" in event:
        number = event["batch"]
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise PipelineError(f"The event's `batch` must be the number of a batch, not {number!r}.")
        return [number], True
    if event.get("Event") == "s3:TestEvent":  # S3 sends one when the notification is set up
        return [], False
    if "Records" not in event:
        raise PipelineError('transform expects an event from S3, or {"batch": n}.')
    keys = [unquote_plus(record["s3"]["object"]["key"]) for record in event["Records"]]
    numbers = [batch_of(key) for key in keys]
    for key, number in zip(keys, numbers, strict=True):
        if number is None:
            logger.info("not a manifest: ignored", key=key)
    return sorted({number for number in numbers if number is not None}), False
