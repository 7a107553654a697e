"""A batch that is written by hand: sales in three files, the shops that they name, spots with a composite key."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import (
    DataFile,
    IngestionManifest,
    SourceIdentity,
    TableFiles,
    to_json,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import UNREADABLE, ParquetPart
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.messages.part_events import PartResult
from lambda_toolkit.pipeline.lambdas.shared.messages.read_events import StoredPart
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations, parse
from lambda_toolkit.pipeline.lambdas.transform.parts import PartTransform
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
from tests.support.memory_s3 import MemoryS3

SALES = {"sale_id": "integer", "sold_on": "date", "amount": "integer", "shop_id": "integer"}
SHOPS = {"shop_id": "integer", "town": "text"}
SPOTS = {"area": "text", "number": "bigint", "label": "text"}
DOCUMENT = {
    "source": {
        "sale": {"key": "sale_id"},
        "shop": {"key": "shop_id"},
        "spot": {"key": ["area", "number"]},
    },
    "warehouse": {
        "dim_day": {"kind": "calendar", "key": "day", "columns": {"day": "date", "year": "year"}},
        "fact_sale": {
            "kind": "fact",
            "from": "sale",
            "key": "sale_id",
            "record": "record_id",
            "join": {"shop": "shop_id"},
            "where": "amount > 0",
            "columns": {"sale_id": "sale_id", "day": "sold_on", "town": "shop.town"},
        },
        "dim_spot": {
            "kind": "dimension",
            "from": "spot",
            "key": ["area", "number"],
            "columns": {"area": "area", "number": "number", "label": "label"},
        },
    },
}
SOURCE = SourceIdentity("1", 1, "totesys", 5, 700, 5, 5, 5)


def day(text: str) -> datetime.date:
    """The day that ISO 8601 writes so."""
    return datetime.date.fromisoformat(text)


class WrittenBatch:
    """A batch under way: its files are stored, and its manifest when the parts are asked for."""

    def __init__(self) -> None:
        client = MemoryS3()
        for name in ("ingestion", "processed"):
            client.create_bucket(Bucket=name)
        self.ingestion, self.processed = Lake(client, "ingestion"), Lake(client, "processed")
        self.tables: dict[str, TableFiles] = {}
        self.declarations = replace(parse(DOCUMENT, parse_expression), part_rows=3)
        self._files = 0

    def file(self, types: Mapping[str, str], *rows: Sequence[Any]) -> DataFile:
        """A Parquet file with these rows, whose last column may be the values that the lake cannot represent."""
        kinds = {"integer": pa.int32(), "bigint": pa.int64(), "date": pa.date32(), "text": pa.string()}
        names = [*types, UNREADABLE]
        schema = pa.schema([(name, kinds[types.get(name, "text")]) for name in names])
        padded = [(*row, *[None] * (len(names) - len(row))) for row in rows]
        columns = [
            pa.array(column, field.type) for column, field in zip(zip(*padded, strict=True), schema, strict=True)
        ]
        self._files += 1
        with ParquetPart(schema) as part:
            part.write(pa.table(columns, schema=schema))
            key = self.ingestion.put_table(f"data/{self._files}/", part)
        return DataFile(key, len(rows))

    @property
    def manifest(self) -> IngestionManifest:
        """Of what is written so far, as batch 4."""
        return IngestionManifest(4, 3, "a" * 32, "changes", "2024-03-01T01:30:00+00:00", SOURCE, self.tables)

    def commit(self) -> None:
        """Stores the manifest."""
        self.ingestion.put_if_absent(manifest_key(4), to_json(self.manifest))

    def parts(self, declarations: Declarations | None = None) -> PartTransform:
        """The parts; by its clock each takes a second."""
        ticks = iter(range(1000))
        return PartTransform(
            self.manifest, self.ingestion, self.processed, declarations or self.declarations, lambda: float(next(ticks))
        )

    def results(self, table: str, declarations: Declarations | None = None) -> list[PartResult]:
        """What becomes of each part of a warehouse table."""
        parts = self.parts(declarations)
        return [parts.result(part) for part in parts.parts if part.table == table]

    def rows(self, file: StoredPart | DataFile | None) -> list[tuple[Any, ...]]:
        """The rows of a file of the processed bucket."""
        assert file is not None
        return [tuple(row.values()) for row in self.processed.table(file.key).to_pylist()]


def sales_and_shops(batch: WrittenBatch) -> None:
    """Sales in three files, which are two parts; of shops one has changed."""
    batch.tables["sale"] = TableFiles(
        SALES,
        ("sale_id",),
        batch.file(SALES, (1, day("2024-01-01"), 5, 10), (2, day("2024-01-02"), 0, 11)),
        batch.file(  # unchanged rows, of which two have changed since: those count in the first two files
            SALES,
            *((1, day("2023-01-01"), 9, 11), (3, day("2023-01-01"), 9, 11), (6, day("2024-01-05"), 5, 10)),
            *((7, day("2024-01-06"), 5, 11), (8, day("2024-01-03"), -1, 10)),
        ),
        batch.file({"sale_id": "integer"}, (9,), (10,)),
        more_changes=(
            batch.file(SALES, (3, day("2024-01-03"), 1, 11), (4, day("2024-02-01"), 1, None)),
            batch.file(SALES, (5, None, 1, 99, '{"sold_on": "infinity"}')),
        ),
    )
    batch.tables["shop"] = TableFiles(
        SHOPS,
        ("shop_id",),
        batch.file(SHOPS, (10, "Bath")),
        lookups=batch.file(SHOPS, (10, "then"), (11, "Leeds")),
    )
