"""What the control tables of a warehouse say of its batches and of the rows that are not in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.client.warehouses.reader import ReadsWarehouse

_LOADED = """
    SELECT l.batch, l.extracted_at, l.loaded_at, l.rows_written::text, coalesce(r.revision, 1),
           coalesce(j.rows, 0), coalesce(p.rows, 0)
    FROM $ledger AS l
    LEFT JOIN (SELECT batch, max(revision) AS revision FROM $revision GROUP BY 1) AS r ON r.batch = l.batch
    LEFT JOIN (SELECT batch, count(DISTINCT (table_name, key)) AS rows FROM $rejected_value GROUP BY 1) AS j
        ON j.batch = l.batch
    LEFT JOIN (SELECT batch, count(*) AS rows FROM $pending_row WHERE deleted_batch IS NULL GROUP BY 1) AS p
        ON p.batch = l.batch
    WHERE l.batch BETWEEN CAST(:first AS bigint) AND CAST(:last AS bigint)
"""


@dataclass(frozen=True)
class LoadedBatch:
    """A row of the ledger, and what of its batch is not in the warehouse."""

    batch: int
    extracted_at: datetime
    loaded_at: datetime
    """By the warehouse's clock, just before its transaction committed."""
    written: Mapping[str, int]
    """Rows appended or upserted, by warehouse table."""
    revision: int = 1
    """The newest that was applied."""
    rejected: int = 0
    """Rows of it that are rejected still."""
    pending: int = 0
    """Rows of it that wait still."""


def loaded(warehouse: ReadsWarehouse, first: int, last: int) -> dict[int, LoadedBatch]:
    """The batches from ``first`` to ``last`` that are in the warehouse, by number. Raises PipelineError."""
    rows = warehouse.rows(sql.compose(_LOADED, **LIVE.control_tables()), first=first, last=last)
    return {
        int(batch): LoadedBatch(
            int(batch), extracted_at, loaded_at, json.loads(written), int(revision), int(rejected), int(pending)
        )
        for batch, extracted_at, loaded_at, written, revision, rejected, pending in rows
    }
