"""The Lambda handler of freshness: EventBridge invokes it on a schedule of its own.

It needs no run of extract, transform or load, and none of them needs it. An alarm takes missing metrics for a breach:
where this function fails, or does not run, freshness is not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pg8000.exceptions import DatabaseError

from ..shared import runtime
from ..shared.database import connected
from ..shared.deadline import seconds_left
from ..shared.errors import ConnectionFailedError, LakeError
from ..shared.lake.manifest import ingestion_manifest
from ..shared.lake.object_keys import manifest_key
from ..shared.lake.store import Lake
from ..shared.messages.freshness_events import UNKNOWN, FreshnessResult, freshness_request
from ..shared.metrics import SECONDS_BEHIND, SECONDS_OVERDUE
from ..shared.model import declarations
from ..shared.model.declarations import Declarations
from ..shared.postgres.connection import Connection
from ..shared.postgres.credentials import Credentials
from ..shared.postgres.login import credentials_of
from ..shared.runtime import checked, logged, logger
from . import state
from .comparison import Comparison, Loaded, as_loaded, result
from .source import ComparedSource
from .state import LoadedBatch

RESERVE = 20.0  # seconds for what comes after the last table
SHARE = 0.5  # of what is left, for one statement


def _source() -> Credentials:
    return credentials_of("source")


def _warehouse() -> Credentials:
    return credentials_of("warehouse")


@logged
@checked(_source, _warehouse, runtime.ingestion_lake)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Compares the source with what is loaded, and puts the metrics SecondsBehind and SecondsOverdue.

    Takes the event of ``freshness_events.freshness_request`` and returns a ``FreshnessResult``. Raises PipelineError
    where the warehouse cannot be read, and no metric is put; where the source cannot be compared, after the metrics of
    the last comparison's age were put.
    """
    freshness_request(event)
    left = seconds_left(context)
    with connected(_warehouse()) as warehouse:
        found = check(warehouse, _source, runtime.ingestion_lake(), declarations.load(), left)
    logger.run.put(SECONDS_BEHIND, found.seconds_behind)
    logger.run.put(SECONDS_OVERDUE, found.seconds_overdue)
    for table in found.tables:
        if table.problem or (table.fresh_within is not None and table.seconds_behind > table.fresh_within):
            logger.warning("not known to be fresh", **{k: v for k, v in table.to_json().items() if v is not None})
    if found.problem:
        raise ConnectionFailedError(found.problem)
    return found.to_json()


def check(
    warehouse: Connection,
    source: Callable[[], Credentials],
    lake: Lake,
    declared: Declarations,
    left: Callable[[], float],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> FreshnessResult:
    """Compares, and stores what was found in the warehouse. ``left``: the seconds that there are for it.

    A source that cannot be reached is the result's ``problem``. Raises NotPreparedError, and LakeError where the
    bucket is not the one that the warehouse was loaded from.
    """
    batch, known = state.read(warehouse)
    loaded = _loaded(lake, batch) if batch else None
    due, problem = declared.promises(), None
    try:
        with connected(source()) as connection:
            at = now()
            compared = ComparedSource(connection)
            if math.isfinite(left()):
                compared.limit(max(left() * SHARE - RESERVE, 1.0))
            comparison = Comparison(compared, lake, loaded, at, lambda: left() > 2 * RESERVE)
            found = comparison.tables(declared.source, known, due)
    except (ConnectionFailedError, DatabaseError) as error:
        at, problem = now(), str(error)
        before = as_loaded(declared.source, known, loaded, at)
        found = {name: replace(of, state=UNKNOWN, problem=problem) for name, of in before.items()}
    state.write(warehouse, found, at, declared.source)
    return result(found, due, batch.number if batch else None, at, problem)


def _loaded(lake: Lake, batch: LoadedBatch) -> Loaded:
    key = manifest_key(batch.number)
    manifest = ingestion_manifest(lake.get(key), key)
    if datetime.fromisoformat(manifest.extracted_at) != batch.extracted_at:
        raise LakeError(
            f"Batch {batch.number} in s3://{lake.bucket} was extracted at {manifest.extracted_at}, and the one that "
            f"the warehouse loaded at {batch.extracted_at.isoformat()}: they are of two pipelines. How fresh the "
            "warehouse is cannot be known."
        )
    return Loaded(batch, manifest)
