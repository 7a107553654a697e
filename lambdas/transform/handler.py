"""The door of transform: S3 calls it when a batch's manifest is written; ``{"replay": n}`` converts a batch again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

from lambdas.shared import clients, declarations
from lambdas.shared.errors import PipelineError
from lambdas.shared.layout import batch_of
from lambdas.shared.manifest import ProcessedManifest
from lambdas.shared.runtime import count_rejected, logged, logger
from lambdas.transform.transformation import replay, transform


@logged
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Transforms the batches that the event names. Events may come twice, late or out of order."""
    if "replay" in event:
        return _replay(_number(event, "replay"), context)
    done = [_transform(batch, context) for batch in _batches(event)]
    rows: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for manifest in done:
        rows.update({name: table.rows for name, table in manifest.tables.items()})
        rejected.update(_rejected(manifest))
    return {"batches": [manifest.batch for manifest in done], "rows": dict(rows), "rejected": dict(rejected)}


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
        raise PipelineError('transform expects an event from S3, {"batch": n} or {"replay": n}.')
    keys = [unquote_plus(record["s3"]["object"]["key"]) for record in event["Records"]]
    numbers = [batch_of(key) for key in keys]
    for key, number in zip(keys, numbers, strict=True):
        if number is None:
            logger.info("not a manifest: ignored", key=key)
    return sorted({number for number in numbers if number is not None})
