"""A table of the sample source that is larger than a batch may be, and what is read of it."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

from lambda_toolkit.pipeline.lambdas.extract.extraction import Extracted, Request, extract
from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.extract.readers.fan_out import FanOut
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from tests.support.lake_contents import manifest
from tests.support.pipeline import Pipeline

LIMITS = Limits(rows=150)
ROWS = 600  # in about 13 pages
PART_ROWS = 100  # of files with about 120 rows: a part for each


def grow(pipeline: Pipeline, first: int = 10, count: int = ROWS) -> None:
    """Adds so many payments."""
    pipeline.admin.run(
        "INSERT INTO payment SELECT n, created_at, last_updated, 1, 1, 5, 1, 1, false, payment_date, 1, 2"
        " FROM payment, generate_series(CAST(:first AS int), :last) AS n WHERE payment_id = 8",
        first=first,
        last=first + count - 1,
    )


def step(pipeline: Pipeline, fan_out: FanOut | None, limits: Limits = LIMITS, **request: Any) -> Extracted:
    """One run of extract."""
    return extract(
        PostgresSource(pipeline.reader),
        pipeline.ingestion,
        pipeline.declarations,
        uuid.uuid4().hex,
        Request(**request),
        limits=limits,
        fan_out=fan_out,
    )


def rows_of(pipeline: Pipeline, batch: int, table: str = "payment") -> list[dict[str, Any]]:
    """The rows of every file of changes of a batch."""
    files = manifest(pipeline.ingestion, batch).tables[table]
    return [row for file in files.change_files for row in pipeline.ingestion.table(file.key).to_pylist()]


def present(pipeline: Pipeline) -> dict[int, str]:
    """The payments of the source: their ids and amounts."""
    return dict(pipeline.admin.rows("SELECT payment_id, payment_amount::text FROM payment"))


def check_one_batch(pipeline: Pipeline, expected: dict[int, str]) -> None:
    """Batch 1 has each payment once, and its values."""
    assert pipeline.ingestion.last_batch() == 1
    rows = rows_of(pipeline, 1)
    assert [key for key, count in Counter(row["payment_id"] for row in rows).items() if count > 1] == []
    assert {row["payment_id"]: row["payment_amount"] for row in rows} == expected
