"""The files of a processed batch: one set per warehouse table, with the rejects. The conversion is in columns/."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from ..shared.arrow_types import arrow_type
from ..shared.declarations import CALENDAR, Declarations, WarehouseTable
from ..shared.lake.manifest import (
    DataFile,
    IngestionManifest,
    ProcessedManifest,
    ProcessedTable,
    RejectedFile,
    TableFiles,
)
from ..shared.lake.object_keys import DATA, DELETED, REJECTED, batch_folder
from ..shared.lake.parquet import ParquetPart
from ..shared.lake.store import Lake
from .columns.date_dimension import date_dimension
from .columns.rejects import REJECTS_SCHEMA
from .columns.table import convert


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
            output = self._table(table)
            dates += output.dates
            if output.files is not None:
                tables[table.name] = output.files
            if output.rejected is not None:
                rejected[table.name] = output.rejected
        if dates:  # the second stage: a date dimension contains the dates that the facts reference
            for table in self.declarations.warehouse.values():
                if table.kind == CALENDAR:
                    tables[table.name] = self._date_dimension(table, pa.concat_arrays(dates))
        return ProcessedManifest(self.source.batch, self.key, self.source.extracted_at, tables, rejected)

    @cached_property
    def _keys(self) -> Mapping[str, str]:
        return {name: table.key for name, table in self.declarations.source.items()}

    def _date_dimension(self, table: WarehouseTable, dates: pa.Array) -> ProcessedTable:
        rows = date_dimension(dates)
        with ParquetPart(rows.schema) as part:
            part.write(rows)
            return ProcessedTable(part.rows, self._store(table, part))

    def _table(self, table: WarehouseTable) -> _TableOutput:
        part: ParquetPart | None = None
        rejects: ParquetPart | None = None
        rejected_rows, dates = 0, []
        with ExitStack() as stack:
            joined: dict[str, pa.Table] = {}
            for rows in self._source_rows(table):
                if table.joins and not joined:
                    joined = {name: self._all_rows(name) for name in table.joins}
                converted = convert(table, rows, joined, self._keys)
                if converted.rejected_rows:
                    rejects = rejects or stack.enter_context(ParquetPart(REJECTS_SCHEMA))
                    rejects.write(converted.rejects)
                    rejected_rows += converted.rejected_rows
                if len(converted.dates):
                    dates.append(converted.dates)
                part = part or stack.enter_context(ParquetPart(converted.rows.schema))
                part.write(converted.rows)
            deleted = self._deleted(table)
            files = ProcessedTable(deleted=deleted) if deleted else None
            if part is not None and part.rows:
                files = ProcessedTable(part.rows, self._store(table, part), deleted)
            rejected = None
            if rejects is not None:
                rejected = RejectedFile(self._store(table, rejects, REJECTED), rejects.rows, rejected_rows)
        return _TableOutput(files, rejected, tuple(dates))

    def _source_rows(self, table: WarehouseTable) -> Iterator[pa.Table]:
        """The rows of the table's source in this batch, by row groups: its changes, then the rest of its context."""
        files = self._files(table.source)
        if files is None:
            return
        key = self._keys[str(table.source)]
        changed: list[pa.ChunkedArray] = []
        for rows in self.ingestion.iter_tables(files.changes.key) if files.changes else ():
            if table.joins and files.context:
                changed.append(rows[key])
            yield rows
        if not table.joins or not files.context:
            return
        known = pa.chunked_array([chunk for column in changed for chunk in column.chunks], _key_type(changed))
        for rows in self.ingestion.iter_tables(files.context.key):
            fresh = rows.filter(pc.invert(pc.is_in(rows[key], value_set=known.cast(rows[key].type))))
            if fresh.num_rows:
                yield fresh

    def _all_rows(self, name: str) -> pa.Table:
        """Every row of a source table in this batch, each once."""
        files = self._files(name)
        parts = [self.ingestion.table(file.key) for file in (files.changes, files.context) if file] if files else []
        if not parts:  # this batch has no row of it: then no row of the batch references one
            return self._empty(name)
        if len(parts) == 1:
            return parts[0]
        key = self._keys[name]
        changes, context = parts
        known = pc.is_in(context[key], value_set=changes[key])
        return pa.concat_tables([changes, context.filter(pc.invert(known))])

    def _empty(self, name: str) -> pa.Table:
        columns = self.source.tables[name].columns
        return pa.schema(
            [(column, arrow_type(postgres_type)) for column, postgres_type in columns.items()]
        ).empty_table()

    def _deleted(self, table: WarehouseTable) -> DataFile | None:
        files = self._files(table.source)
        if files is None or files.deleted is None:
            return None
        rows = self.ingestion.table(files.deleted.key).rename_columns([table.key])
        with ParquetPart(rows.schema) as part:
            part.write(rows)
            return DataFile(self._store(table, part, DELETED), part.rows)

    def _files(self, name: str | None) -> TableFiles | None:
        return self.source.tables.get(name) if name else None

    def _store(self, table: WarehouseTable, part: ParquetPart, kind: str = DATA) -> str:
        return self.processed.put_table(batch_folder(table.name, self.source.batch, kind), part)


def _key_type(columns: list[pa.ChunkedArray]) -> pa.DataType:
    return columns[0].type if columns else pa.null()
