"""The transform of one batch: from the source's tables to the warehouse's. A pure function of the batch."""

from __future__ import annotations

import datetime
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from ..shared.errors import LakeError
from ..shared.lake.manifest import (
    DataFile,
    IngestionManifest,
    ProcessedManifest,
    ProcessedTable,
    RejectedFile,
    files_of,
    ingestion_manifest,
    processed_manifest,
    to_json,
)
from ..shared.lake.object_keys import DATA, batch_folder, manifest_key, revision_key
from ..shared.lake.parquet import ParquetPart
from ..shared.lake.store import Lake
from ..shared.messages.part_events import PartResult
from ..shared.messages.read_events import StoredPart
from ..shared.model.declarations import Declarations, WarehouseTable
from .columns.date_dimension import date_dimension
from .parts import PartTransform, dates_of

Engine = Callable[[PartTransform], list[PartResult]]
"""Transforms every part of a batch, and returns the results in the order of the parts."""

Report = Callable[[ProcessedManifest], object]

_MAX_ATTEMPTS = 10  # at a number for a new revision, while other replays take it


def alone(parts: PartTransform) -> list[PartResult]:
    """The engine that transforms one part after the other, in this process."""
    return [parts.result(part) for part in parts.parts]


@dataclass(frozen=True)
class Transformed:
    """The newest revision of a batch, and whether this call wrote it."""

    manifest: ProcessedManifest
    created: bool
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    """How long each table took that was transformed; of several parts together."""
    bytes: Mapping[str, int] = field(default_factory=dict)
    """The size of the files of each."""


def transform(
    ingestion: Lake,
    processed: Lake,
    declarations: Declarations,
    batch: int,
    *,
    report: Report = lambda _: None,
    engine: Engine = alone,
) -> Transformed:
    """Writes the processed files and manifest of ``batch``, unless they are written already.

    Calls ``report`` with the manifest before storing it, so that a report is made even when this call is cut off
    in between; a repeated transform reports a second time. Raises LakeError when a file is missing, and when the
    processed batch came from another ingestion bucket.
    """
    key = manifest_key(batch)
    source = ingestion_manifest(ingestion.get(key), key)
    if processed.get_optional(key) is None:
        batch_transform = BatchTransform(source, key, ingestion, processed, declarations, engine)
        manifest = batch_transform.write()
        report(manifest)
        if processed.put_if_absent(key, to_json(manifest)):
            return Transformed(manifest, True, batch_transform.milliseconds, batch_transform.bytes)
    return Transformed(_newest(source, ingestion, processed), created=False)


def replay(
    ingestion: Lake,
    processed: Lake,
    declarations: Declarations,
    batch: int,
    *,
    report: Report = lambda _: None,
    engine: Engine = alone,
) -> Transformed:
    """Reprocesses ``batch`` with the current code and declarations.

    Writes nothing when the outcome equals the newest revision, otherwise the next revision; earlier ones stay. Of two
    concurrent replays, one writes the revision and the other finds it. Raises what ``transform`` raises.
    """
    key = manifest_key(batch)
    source = ingestion_manifest(ingestion.get(key), key)
    if processed.get_optional(key) is None:
        return transform(ingestion, processed, declarations, batch, report=report, engine=engine)
    newest = _newest(source, ingestion, processed)
    batch_transform = BatchTransform(source, key, ingestion, processed, declarations, engine)
    converted = batch_transform.write()
    for _ in range(_MAX_ATTEMPTS):
        if newest == replace(converted, revision=newest.revision):
            return Transformed(newest, created=False)
        manifest = replace(converted, revision=newest.revision + 1)
        report(manifest)
        if processed.put_if_absent(revision_key(batch, manifest.revision), to_json(manifest)):
            if not all(processed.exists(name) for name in files_of(manifest)):
                # A sweep deleted a file that was still unlisted, after this replay found it and before it listed it.
                batch_transform.write()
            return Transformed(manifest, True, batch_transform.milliseconds, batch_transform.bytes)
        newest = _newest(source, ingestion, processed)
    raise LakeError(
        f"Batch {batch} is being replayed by others with different outcomes: {_MAX_ATTEMPTS} revisions were written "
        "meanwhile. Is an old release still running? Nothing was written; replay the batch again."
    )


def _newest(source: IngestionManifest, ingestion: Lake, processed: Lake) -> ProcessedManifest:
    """The newest revision. Raises LakeError when it belongs to another batch with that number."""
    key = processed.newest_revision(source.batch)
    written = processed_manifest(processed.get(key), key)
    if written.extracted_at != source.extracted_at:
        raise LakeError(
            f"Batch {source.batch} in s3://{ingestion.bucket} was extracted at {source.extracted_at}, and the one in "
            f"s3://{processed.bucket} at {written.extracted_at}: one of the buckets was replaced. Nothing was "
            "transformed. Restore the bucket that was replaced, or start with an empty lake and an empty warehouse."
        )
    return written


@dataclass(frozen=True)
class BatchTransform:
    """The transform of one batch: reads its files from ``ingestion`` and writes their counterparts to ``processed``."""

    source: IngestionManifest
    key: str
    """The key of ``source`` in the ingestion bucket."""
    ingestion: Lake
    processed: Lake
    declarations: Declarations
    engine: Engine = alone
    """Who transforms the parts."""
    clock: Callable[[], float] = time.perf_counter
    milliseconds: dict[str, float] = field(default_factory=dict)
    """How long each table took, once it is written."""
    bytes: dict[str, int] = field(default_factory=dict)
    """The size of its files."""

    def write(self) -> ProcessedManifest:
        """Stores the data files, those that exist already excepted; returns the manifest, which is not stored.

        The same batch and the same declarations give the same bytes. Raises LakeError when a file of it is missing.
        """
        parts = PartTransform(self.source, self.ingestion, self.processed, self.declarations, self.clock)
        results = self.engine(parts)
        tables: dict[str, ProcessedTable] = {}
        rejected: dict[str, RejectedFile] = {}
        for name, found in itertools.groupby(results, key=lambda result: result.table):
            of_table = list(found)
            self.milliseconds[name] = sum(result.milliseconds for result in of_table)
            self.bytes[name] = sum(result.bytes for result in of_table)
            output = _table(of_table)
            if output is not None:
                tables[name] = output
            rejects = _rejects(of_table)
            if rejects is not None:
                rejected[name] = rejects
        # The second stage: a date dimension contains the dates that other tables refer to.
        dates = dates_of(results)
        for table in self.declarations.warehouse.values():
            if table.calendar is not None:
                started = self.clock()
                days = date_dimension(table.calendar, dates, self._day)
                if days.num_rows:
                    tables[table.name] = self._date_dimension(table, days)
                self.milliseconds[table.name] = (self.clock() - started) * 1000
        return ProcessedManifest(self.source.batch, self.key, self.source.extracted_at, tables, rejected)

    @property
    def _day(self) -> datetime.date:
        """The day of the batch, in UTC."""
        return datetime.datetime.fromisoformat(self.source.extracted_at).astimezone(datetime.UTC).date()

    def _date_dimension(self, table: WarehouseTable, rows: pa.Table) -> ProcessedTable:
        with ParquetPart(rows.schema) as part:
            part.write(rows)
            key = self.processed.put_table(batch_folder(table.name, self.source.batch, DATA), part)
            self.bytes[table.name] = self.processed.sizes.get(key, 0)
            return ProcessedTable(part.rows, key)


def _table(results: Sequence[PartResult]) -> ProcessedTable | None:
    """The files of a table, of which these are all parts, in order; None: there are none."""
    rows = _files(result.rows for result in results)
    deleted = _files(result.deleted for result in results)
    unfit = _files(result.unfit for result in results)
    if not rows and not deleted and not unfit:
        return None
    return ProcessedTable(
        sum(file.rows for file in rows),
        rows[0].key if rows else None,
        deleted[0] if deleted else None,
        unfit[0] if unfit else None,
        rows[1:],
        deleted[1:],
        unfit[1:],
    )


def _rejects(results: Sequence[PartResult]) -> RejectedFile | None:
    files = _files(result.rejected for result in results)
    if not files:
        return None
    source_rows = sum(result.rejected.source_rows for result in results if result.rejected)
    return RejectedFile(files[0].key, files[0].rows, source_rows, files[1:])


def _files(stored: Iterable[StoredPart | None]) -> tuple[DataFile, ...]:
    return tuple(DataFile(file.key, file.rows) for file in stored if file)
