"""The manifest of a batch, of what its parts returned; and the batch that is transformed again, or is another one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import (
    DataFile,
    ProcessedManifest,
    ProcessedTable,
    RejectedFile,
    to_json,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key, revision_key
from lambda_toolkit.pipeline.lambdas.shared.messages.part_events import PartResult, StoredRejects
from lambda_toolkit.pipeline.lambdas.shared.messages.read_events import StoredPart
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.transform.batch import BatchTransform, Transformed, replay, transform
from lambda_toolkit.pipeline.lambdas.transform.parts import PartTransform
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
from tests.support.written_batch import DOCUMENT, SALES, WrittenBatch, day, sales_and_shops


@pytest.fixture
def batch() -> WrittenBatch:
    found = WrittenBatch()
    sales_and_shops(found)
    found.commit()
    return found


def manifest_of(batch: WrittenBatch, *results: PartResult) -> ProcessedManifest:
    """The manifest of a batch whose parts returned ``results``."""
    source = batch.manifest
    return BatchTransform(
        source, manifest_key(4), batch.ingestion, batch.processed, batch.declarations, lambda parts: list(results)
    ).write()


def part(key: str, rows: int) -> StoredPart:
    return StoredPart(key, rows, key * 64)


def rejects(key: str, rows: int, source_rows: int) -> StoredRejects:
    return StoredRejects(key, rows, key * 64, source_rows)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([PartResult("t", 0)], None),
        ([PartResult("t", 0, rows=part("a", 2))], ProcessedTable(2, "a")),
        ([PartResult("t", 0, deleted=part("a", 2))], ProcessedTable(deleted=DataFile("a", 2))),
        ([PartResult("t", 0, unfit=part("a", 2))], ProcessedTable(unfit=DataFile("a", 2))),
        (
            [
                PartResult("t", 0, rows=part("a", 2), deleted=part("b", 3)),
                PartResult("t", 1),
                PartResult("t", 2, rows=part("c", 4), deleted=part("d", 5), unfit=part("e", 6)),
                PartResult("t", 3, rows=part("f", 7), deleted=part("g", 8), unfit=part("h", 9)),
                PartResult("t", 4, unfit=part("i", 1)),
            ],
            ProcessedTable(
                *(13, "a", DataFile("b", 3), DataFile("e", 6)),
                (DataFile("c", 4), DataFile("f", 7)),
                (DataFile("d", 5), DataFile("g", 8)),
                (DataFile("h", 9), DataFile("i", 1)),
            ),
        ),
    ],
)
def test_table_has_the_files_of_its_parts(
    batch: WrittenBatch, results: list[PartResult], expected: ProcessedTable | None
) -> None:
    """Those of another table are beside it, and no table is there without a file."""
    found = manifest_of(batch, *results, PartResult("other", 0, rows=part("z", 1)))
    assert found.tables.get("t") == expected
    assert found.tables["other"] == ProcessedTable(1, "z")
    assert (found.rejected, set(found.tables) - {"t"}) == ({}, {"other"})


def test_rejects_are_counted_by_rows_of_the_source(batch: WrittenBatch) -> None:
    found = manifest_of(
        batch,
        *(PartResult("t", 0, rejected=rejects("a", 5, 2)), PartResult("t", 1)),
        *(PartResult("t", 2, rejected=rejects("b", 7, 3)), PartResult("t", 3, rejected=rejects("c", 1, 1))),
        PartResult("other", 0, rejected=rejects("d", 1, 1)),
    )
    assert found.rejected == {
        "t": RejectedFile("a", 5, 6, (DataFile("b", 7), DataFile("c", 1))),
        "other": RejectedFile("d", 1, 1),
    }


def test_calendar_is_there_where_a_row_refers_to_a_day(batch: WrittenBatch) -> None:
    """Or where it has the day of the batch, which is that of UTC."""
    assert "dim_day" not in manifest_of(batch, PartResult("t", 0)).tables
    document = {**DOCUMENT["warehouse"]["dim_day"], "days_ahead": 1}
    batch.declarations = parse({**DOCUMENT, "warehouse": {"dim_day": document}}, parse_expression)
    source = replace(batch.manifest, extracted_at="2024-03-01T01:30:00+02:00")
    found = BatchTransform(source, "k", batch.ingestion, batch.processed, batch.declarations).write()
    days = found.tables["dim_day"]
    assert batch.rows(days.data_files[0]) == [(day("2024-02-29"), 2024), (day("2024-03-01"), 2024)]
    assert (days.rows, found.source_manifest, found.extracted_at) == (2, "k", source.extracted_at)


def test_days_of_a_part_are_pairs_of_a_day_and_a_number(batch: WrittenBatch) -> None:
    days = [f"2024-01-{number:02}" for number in (7, 1, 2, 4, 5, 1)]
    rows = [(number, day(text), 1, None) for number, text in enumerate(days)]
    batch.tables["sale"] = replace(
        batch.tables["sale"], changes=batch.file(SALES, *rows), more_changes=(), context=None
    )
    (found,) = batch.results("fact_sale", replace(batch.declarations, part_rows=100))
    first = (day(days[1]) - day("1970-01-01")).days
    assert found.dates == (first, 2, first + 3, 2, first + 6, 1)


def test_parts_of_other_declarations_or_batches_are_others(batch: WrittenBatch) -> None:
    """Whatever may change what becomes of a part changes its fingerprint; the order of the sources does not."""

    def fingerprint(document: Mapping[str, Any] = DOCUMENT, rows: int = 100, run: str = "a" * 32) -> str:
        declared = replace(parse(document, parse_expression), part_rows=rows)
        source = replace(batch.manifest, run=run)
        return PartTransform(source, batch.ingestion, batch.processed, declared).parts[0].fingerprint

    sources, warehouse = DOCUMENT["source"], DOCUMENT["warehouse"]
    fact = {**warehouse["fact_sale"], "columns": {"sale_id": "sale_id", "day": "sold_on"}}
    found = [
        fingerprint(),
        fingerprint(rows=101),
        fingerprint(run="b" * 32),
        fingerprint({**DOCUMENT, "warehouse": {**warehouse, "fact_sale": fact}}),
        fingerprint({**DOCUMENT, "source": {**sources, "shop": {"key": "shop_id", "schema": "other"}}}),
    ]
    assert len(set(found)) == len(found)
    assert fingerprint({**DOCUMENT, "source": dict(reversed(sources.items()))}) == found[0]


def test_batch_that_is_there_is_reported_and_written_once(batch: WrittenBatch) -> None:
    reported: list[ProcessedManifest] = []
    lakes = batch.ingestion, batch.processed
    first = transform(*lakes, batch.declarations, 4, report=reported.append)
    assert reported == [first.manifest] and first.created
    again = transform(*lakes, batch.declarations, 4, report=reported.append)
    assert (again.created, again.manifest, again.milliseconds, again.bytes) == (False, first.manifest, {}, {})
    unchanged = replay(*lakes, batch.declarations, 4, report=reported.append)
    assert (unchanged.created, unchanged.manifest, len(reported)) == (False, first.manifest, 1)
    warehouse = {name: table for name, table in batch.declarations.warehouse.items() if name != "dim_day"}
    changed = replay(*lakes, replace(batch.declarations, warehouse=warehouse), 4, report=reported.append)
    assert changed.created and reported == [first.manifest, changed.manifest]
    assert changed.manifest == replace(
        first.manifest, revision=2, tables={"fact_sale": first.manifest.tables["fact_sale"]}
    )
    assert set(changed.milliseconds) == set(changed.bytes) == {"fact_sale", "dim_spot"}
    assert batch.processed.get(revision_key(4, 2)) == to_json(changed.manifest)
    assert transform(*lakes, batch.declarations, 4).manifest == changed.manifest
    back = replay(*lakes, batch.declarations, 4)
    assert back.created and back.manifest == replace(first.manifest, revision=3)


def test_replay_of_a_batch_that_is_not_there_transforms_it(batch: WrittenBatch) -> None:
    reported: list[ProcessedManifest] = []
    asked: list[PartTransform] = []

    def engine(parts: PartTransform) -> list[PartResult]:
        asked.append(parts)
        return [PartResult("t", 0, rows=part("a", 1))]

    lakes = batch.ingestion, batch.processed
    done = replay(*lakes, batch.declarations, 4, report=reported.append, engine=engine)
    assert done.created and reported == [done.manifest] and len(asked) == 1
    assert done.manifest.tables == {"t": ProcessedTable(1, "a")}


@pytest.mark.parametrize("act", [transform, replay])
def test_batch_of_a_bucket_that_was_replaced_is_refused(batch: WrittenBatch, act: Callable[..., Transformed]) -> None:
    """The processed bucket has a batch with this number, of another time."""
    other = json.loads(to_json(transform(batch.ingestion, batch.processed, batch.declarations, 4).manifest))
    other["extracted_at"] = "2024-01-01T00:00:00+00:00"
    batch.processed._client.put_object(Bucket="processed", Key=manifest_key(4), Body=json.dumps(other).encode())
    with pytest.raises(LakeError, match="one of the buckets was replaced"):
        act(batch.ingestion, batch.processed, batch.declarations, 4)
