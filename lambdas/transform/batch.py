"""The transform of one batch: from the source's tables to the warehouse's. A pure function of the batch."""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from ..shared.declarations import CALENDAR, Declarations, WarehouseTable
from ..shared.errors import LakeError
from ..shared.lake.manifest import (
    DataFile,
    IngestionManifest,
    ProcessedManifest,
    ProcessedTable,
    RejectedFile,
    TableFiles,
    files_of,
    ingestion_manifest,
    processed_manifest,
    to_json,
)
from ..shared.lake.object_keys import DATA, DELETED, REJECTED, batch_folder, manifest_key, revision_key
from ..shared.lake.parquet import ParquetPart, arrow_type
from ..shared.lake.store import Lake
from ..shared.postgres_text import key_texts, postgres_text
from .columns.cast import cast_column
from .columns.convert import convert
from .columns.date_dimension import date_dimension
from .columns.lookup import JoinedRows, depends_on_changes
from .columns.rejects import REJECTS_SCHEMA
from .columns.source_rows import ABSENT, SourceRows, typed_keys, with_absent_columns, with_typed_keys

_NO_DATES = pa.array([], pa.date32())

Report = Callable[[ProcessedManifest], object]

_MAX_ATTEMPTS = 10  # at a number for a new revision, while other replays take it


@dataclass(frozen=True)
class Transformed:
    """The newest revision of a batch, and whether this call wrote it."""

    manifest: ProcessedManifest
    created: bool
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    """How long each table took that was transformed."""


def transform(
    ingestion: Lake, processed: Lake, declarations: Declarations, batch: int, *, report: Report = lambda _: None
) -> Transformed:
    """Writes the processed files and manifest of ``batch``, unless they are written already.

    Calls ``report`` with the manifest before storing it, so that a report is made even when this call is cut off
    in between; a repeated transform reports a second time. Raises LakeError when a file is missing, and when the
    processed batch came from another ingestion bucket.
    """
    key = manifest_key(batch)
    source = ingestion_manifest(ingestion.get(key), key)
    if processed.get_optional(key) is None:
        batch_transform = BatchTransform(source, key, ingestion, processed, declarations)
        manifest = batch_transform.write()
        report(manifest)
        if processed.put_if_absent(key, to_json(manifest)):
            return Transformed(manifest, True, batch_transform.milliseconds)
    return Transformed(_newest(source, ingestion, processed), created=False)


def replay(
    ingestion: Lake, processed: Lake, declarations: Declarations, batch: int, *, report: Report = lambda _: None
) -> Transformed:
    """Reprocesses ``batch`` with the current code and declarations.

    Writes nothing when the outcome equals the newest revision, otherwise the next revision; earlier ones stay. Of two
    concurrent replays, one writes the revision and the other finds it. Raises what ``transform`` raises.
    """
    key = manifest_key(batch)
    source = ingestion_manifest(ingestion.get(key), key)
    if processed.get_optional(key) is None:
        return transform(ingestion, processed, declarations, batch, report=report)
    newest = _newest(source, ingestion, processed)
    batch_transform = BatchTransform(source, key, ingestion, processed, declarations)
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
            return Transformed(manifest, True, batch_transform.milliseconds)
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
class _TableOutput:
    """The files of one warehouse table, and the dates that its rows reference."""

    files: ProcessedTable | None
    rejected: RejectedFile | None
    dates: tuple[pa.Array, ...]


@dataclass(frozen=True)
class BatchTransform:
    """The transform of one batch: reads its files from ``ingestion`` and writes their counterparts to ``processed``."""

    source: IngestionManifest
    key: str
    """The key of ``source`` in the ingestion bucket."""
    ingestion: Lake
    processed: Lake
    declarations: Declarations
    clock: Callable[[], float] = time.perf_counter
    milliseconds: dict[str, float] = field(default_factory=dict, compare=False)
    """How long each table took, once it is written."""

    def write(self) -> ProcessedManifest:
        """Stores the data files, those that exist already excepted; returns the manifest, which is not stored.

        The same batch and the same declarations give the same bytes. Raises LakeError when a file of it is missing.
        """
        tables: dict[str, ProcessedTable] = {}
        rejected: dict[str, RejectedFile] = {}
        dates: list[pa.Array] = []
        for table in self.declarations.warehouse.values():
            if table.kind == CALENDAR:
                continue
            started = self.clock()
            output = self._table(table)
            self.milliseconds[table.name] = (self.clock() - started) * 1000
            dates += output.dates
            if output.files is not None:
                tables[table.name] = output.files
            if output.rejected is not None:
                rejected[table.name] = output.rejected
        # The second stage: a date dimension contains the dates that other tables refer to.
        for table in self.declarations.warehouse.values():
            if table.calendar is not None:
                started = self.clock()
                days = date_dimension(table.calendar, pa.concat_arrays([_NO_DATES, *dates]), self._day)
                if days.num_rows:
                    tables[table.name] = self._date_dimension(table, days)
                self.milliseconds[table.name] = (self.clock() - started) * 1000
        return ProcessedManifest(self.source.batch, self.key, self.source.extracted_at, tables, rejected)

    @cached_property
    def _keys(self) -> Mapping[str, tuple[str, ...]]:
        return {name: table.keys for name, table in self.declarations.source.items()}

    @cached_property
    def _calendars(self) -> frozenset[str]:
        return frozenset(table.name for table in self.declarations.warehouse.values() if table.kind == CALENDAR)

    @property
    def _day(self) -> datetime.date:
        """The day of the batch, in UTC."""
        return datetime.datetime.fromisoformat(self.source.extracted_at).astimezone(datetime.UTC).date()

    def _date_dimension(self, table: WarehouseTable, rows: pa.Table) -> ProcessedTable:
        with ParquetPart(rows.schema) as part:
            part.write(rows)
            return ProcessedTable(part.rows, self._store(table, part))

    def _table(self, table: WarehouseTable) -> _TableOutput:
        part: ParquetPart | None = None
        rejects: ParquetPart | None = None
        rejected_rows, dates = 0, []
        unmatched: list[pa.Table] = []
        with ExitStack() as stack:
            joined: dict[str, JoinedRows] = {}
            shared = self._shares_its_context(table)
            for rows, is_changed in self._source_rows(table):
                if not joined:
                    joined = {join.table: self._joined_rows(join.table) for join in table.joins.values()}
                source = self._typed(str(table.source), rows)
                if not is_changed and (shared or any(other.deleted is not None for other in joined.values())):
                    depending = depends_on_changes(table.joins, source, joined, self._keys)
                    source = SourceRows(source.rows.filter(depending), source.types)
                converted = convert(table, source, joined, self._keys, self._calendars)
                if converted.rejected_rows:
                    rejects = rejects or stack.enter_context(ParquetPart(REJECTS_SCHEMA))
                    rejects.write(converted.rejects)
                    rejected_rows += converted.rejected_rows
                if converted.unmatched is not None:
                    unmatched.append(converted.unmatched)
                if len(converted.dates):
                    dates.append(converted.dates)
                part = part or stack.enter_context(ParquetPart(converted.rows.schema))
                part.write(converted.rows)
            deleted, unfit = self._deleted(table, unmatched)
            files = ProcessedTable(deleted=deleted, unfit=unfit) if deleted or unfit else None
            if part is not None and part.rows:
                files = ProcessedTable(part.rows, self._store(table, part), deleted, unfit)
            rejected = None
            if rejects is not None:
                rejected = RejectedFile(self._store(table, rejects, REJECTED), rejects.rows, rejected_rows)
        return _TableOutput(files, rejected, tuple(dates))

    def _shares_its_context(self, table: WarehouseTable) -> bool:
        """Whether the context has rows of the table's source that the joins of another table reach."""
        tables = self.declarations.warehouse.values()
        return sum(bool(other.joins) and other.source == table.source for other in tables) > 1

    def _source_rows(self, table: WarehouseTable) -> Iterator[tuple[pa.Table, bool]]:
        """The rows of the table's source that may have another result, by row groups: its changes, then its context.

        With each, whether they are changes.
        """
        files = self._files(table.source)
        if files is None:
            return
        changed: list[pa.ChunkedArray] = []
        for file in files.change_files:
            for rows in self.ingestion.iter_tables(file.key):
                if table.joins and files.context:
                    changed.append(self._comparable_keys(str(table.source), rows))
                yield rows, True
        if not table.joins or not files.context:
            return
        known = pa.chunked_array([chunk for column in changed for chunk in column.chunks], _key_type(changed))
        for rows in self.ingestion.iter_tables(files.context.key):
            keys = self._comparable_keys(str(table.source), rows)
            fresh = rows.filter(pc.invert(pc.is_in(keys, value_set=known.cast(keys.type))))
            if fresh.num_rows:
                yield fresh, False

    def _joined_rows(self, name: str) -> JoinedRows:
        """Every row of a source table in this batch, each once, and the keys of those that were deleted."""
        files = self._files(name)
        changes = [self.ingestion.table(file.key) for file in files.change_files] if files else []
        unchanged = [file for file in (files.context, files.lookups) if file] if files else []
        # Where this batch has no row of it, no row of the batch references one.
        rows = pa.concat_tables(changes) if changes else self._empty(name)
        for number, file in enumerate(unchanged):
            more = self.ingestion.table(file.key)
            if changes or number:
                known = pc.is_in(self._comparable_keys(name, more), value_set=self._comparable_keys(name, rows))
                more = pa.concat_tables([rows, more.filter(pc.invert(known))])
            rows = more
        changed = files.changed_rows if files else 0
        deleted = self._typed(name, self.ingestion.table(files.deleted.key)).rows if files and files.deleted else None
        return JoinedRows(self._typed(name, rows).rows, self._types(name), changed, deleted)

    def _comparable_keys(self, name: str, rows: pa.Table) -> pa.ChunkedArray:
        """The keys of rows of a source table, one value each; a composite key as one text."""
        keys = self._keys[name]
        if len(keys) == 1:
            return rows[keys[0]]
        return key_texts([postgres_text(rows[key], self._types(name)[key]) for key in keys])

    def _empty(self, name: str) -> pa.Table:
        return pa.schema([(column, arrow_type(kind)) for column, kind in self._types(name).items()]).empty_table()

    def _deleted(self, table: WarehouseTable, unmatched: Sequence[pa.Table]) -> tuple[DataFile | None, DataFile | None]:
        """The keys that the source deleted, and those of the rows that do not meet the table's condition.

        As the warehouse has them; and of a dimension those that do not fit its types, as text.
        """
        files = self._files(table.source)
        deleted = [self.ingestion.table(files.deleted.key)] if files and files.deleted else []
        keys = list(self._keys[str(table.source)])
        parts = [self._warehouse_keys(table, rows.select(keys)) for rows in (*deleted, *unmatched) if rows.num_rows]
        if not parts:
            return None, None
        found, unfit = (pa.concat_tables(tables) for tables in zip(*parts, strict=True))
        return self._store_keys(table, found), None if table.record else self._store_keys(table, unfit)

    def _warehouse_keys(self, table: WarehouseTable, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
        """The keys as the warehouse has them; and those that do not fit its types, as text: they were rejected."""
        columns, texts = {}, []
        for key, own in zip(table.keys, rows.column_names, strict=True):
            values, wanted, kind = rows[own], table.types.get(key), self._types(str(table.source))[own]
            text = postgres_text(values, kind)
            if wanted is not None:
                values = cast_column(typed_keys(values, kind).values, kind, wanted.type).values
                text = pc.coalesce(postgres_text(values, wanted.type), text)
            columns[key] = values
            texts.append(text)
        is_unfit = functools.reduce(pc.or_, [pc.is_null(column) for column in columns.values()])
        return pa.table(columns).drop_null(), pa.table({"key": key_texts(texts)}).filter(is_unfit).drop_null()

    def _store_keys(self, table: WarehouseTable, keys: pa.Table) -> DataFile | None:
        if not keys.num_rows:
            return None
        with ParquetPart(keys.schema) as part:
            part.write(keys)
            return DataFile(self._store(table, part, DELETED), part.rows)

    def _typed(self, name: str, rows: pa.Table) -> SourceRows:
        """Rows of a source table, of this batch's files."""
        types = self._types(name)
        return with_typed_keys(SourceRows(with_absent_columns(rows, types), types), self._keys[name])

    def _types(self, name: str) -> Mapping[str, str]:
        """Column -> PostgreSQL type of a source table at this batch; ABSENT of those that are needed since then."""
        return self._types_of_tables[name]

    @cached_property
    def _types_of_tables(self) -> Mapping[str, Mapping[str, str]]:
        found: dict[str, Mapping[str, str]] = {}
        for name, needed in self.declarations.needed_columns().items():
            stored = self.source.tables[name].columns if name in self.source.tables else {}
            lacking = [key for key in self._keys[name] if stored and key not in stored]
            if lacking:
                raise LakeError(
                    f"Batch {self.source.batch} has no column {', '.join(lacking)} of {name}, which is its key now. "
                    "Batches of before the key was changed cannot be transformed by this declaration."
                )
            found[name] = {**stored, **{column: ABSENT for column in needed if column not in stored}}
        return found

    def _files(self, name: str | None) -> TableFiles | None:
        return self.source.tables.get(name) if name else None

    def _store(self, table: WarehouseTable, part: ParquetPart, kind: str = DATA) -> str:
        return self.processed.put_table(batch_folder(table.name, self.source.batch, kind), part)


def _key_type(columns: list[pa.ChunkedArray]) -> pa.DataType:
    return columns[0].type if columns else pa.null()
