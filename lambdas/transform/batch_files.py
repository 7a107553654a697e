"""What a batch of the ingestion bucket becomes: files for each warehouse table, and the report of what is rejected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from ..shared.arrow_types import arrow_type
from ..shared.declarations import CALENDAR, FACT, Declarations, WarehouseTable
from ..shared.lake.manifest import (
    File,
    IngestionManifest,
    ProcessedManifest,
    ProcessedTable,
    RejectedFile,
    TableFiles,
)
from ..shared.lake.parquet import ParquetPart
from ..shared.lake.store import Lake
from .columns.cast import conform
from .columns.date_dimension import calendar
from .columns.derive import Derived, Joined, derive, join, named
from .columns.rejects import REPORT, Fault, faulty, report


@dataclass
class _Output:
    """What is being written for one warehouse table."""

    part: ParquetPart | None = None
    report: ParquetPart | None = None
    rejected: int = 0  # rows of the source


@dataclass
class Conversion:
    """Of the batch that ``source``, stored as ``key``, names."""

    source: IngestionManifest
    key: str
    ingestion: Lake
    processed: Lake
    declarations: Declarations
    named_dates: list[pa.Array] = field(default_factory=list)

    @cached_property
    def stem(self) -> str:
        """How the names of the batch's files begin."""
        return f"batch-{self.source.batch:012d}"

    def write(self) -> ProcessedManifest:
        """Stores the data files, those that are there already excepted; returns the manifest, which is not stored.

        The same batch and the same declarations give the same bytes. Raises LakeError when a file of it is missing.
        """
        tables: dict[str, ProcessedTable] = {}
        rejected: dict[str, RejectedFile] = {}
        ordered = sorted(self.declarations.warehouse.values(), key=lambda table: table.kind == CALENDAR)
        for table in ordered:  # calendars last: their dates are those that the facts turned out to name
            entry, file = self._calendar(table) if table.kind == CALENDAR else self._table(table)
            if entry is not None:
                tables[table.name] = entry
            if file is not None:
                rejected[table.name] = file
        return ProcessedManifest(self.source.batch, self.key, self.source.extracted_at, tables, rejected)

    def _calendar(self, table: WarehouseTable) -> tuple[ProcessedTable | None, None]:
        if not self.named_dates:
            return None, None
        rows = calendar(pa.concat_arrays(self.named_dates))
        with ParquetPart(rows.schema) as part:
            part.write(rows)
            return ProcessedTable(part.rows, self._store(f"{table.name}/{self.stem}", part)), None

    def _table(self, table: WarehouseTable) -> tuple[ProcessedTable | None, RejectedFile | None]:
        output = _Output()
        with ExitStack() as stack:
            for rows, joined in self._source_rows(table):
                self._convert(table, rows, joined, output, stack)
            deleted = self._deleted(table)
            rows, key = 0, None
            if output.part is not None and output.part.rows:
                rows, key = output.part.rows, self._store(f"{table.name}/{self.stem}", output.part)
            rejected = None
            if output.report is not None:
                faults = output.report.rows
                rejected = RejectedFile(
                    self._store(f"rejected/{table.name}/{self.stem}", output.report), faults, output.rejected
                )
        return (ProcessedTable(rows, key, deleted) if rows or deleted else None), rejected

    def _convert(
        self, table: WarehouseTable, rows: pa.Table, joined: Mapping[str, Joined], output: _Output, stack: ExitStack
    ) -> None:
        faults = [found.fault for found in joined.values()]
        columns = {}
        for name, expression in table.columns.items():
            derived = derive(expression, rows, joined)
            columns[name], refused = _as_the_warehouse_holds(table, name, derived, joined)
            faults += [*derived.faults, *refused]
        result = pa.table(columns)
        bad = faulty(faults)
        if bad is not None:
            if output.report is None:
                output.report = stack.enter_context(ParquetPart(REPORT))
            key = self.declarations.source[str(table.source)].key
            output.report.write(report(str(table.source), rows[key], faults))
            output.rejected += pc.sum(bad).as_py()
            result = result.filter(pc.invert(bad))
        if table.kind == FACT:
            self._name_dates(result)
        if output.part is None:
            output.part = stack.enter_context(ParquetPart(result.schema))
        output.part.write(result)

    def _name_dates(self, rows: pa.Table) -> None:
        for column in rows.columns:
            if pa.types.is_date(column.type) and len(column) > column.null_count:
                self.named_dates.append(pc.unique(column))

    def _source_rows(self, table: WarehouseTable) -> Iterator[tuple[pa.Table, Mapping[str, Joined]]]:
        """The rows of the table's source in this batch, by parts, each with the rows that its joins find."""
        files = self._files(table.source)
        if files is None:
            return
        others = {name: self._whole(name) for name in table.joins}
        key = self.declarations.source[str(table.source)].key
        changed: list[pa.ChunkedArray] = []
        for rows in self.ingestion.tables(files.changes.key) if files.changes else ():
            if table.joins and files.context:
                changed.append(rows[key])
            yield rows, self._join(table, rows, others)
        if not table.joins or not files.context:
            return
        known = pa.chunked_array([chunk for column in changed for chunk in column.chunks], _key_type(changed))
        for rows in self.ingestion.tables(files.context.key):
            fresh = rows.filter(pc.invert(pc.is_in(rows[key], value_set=known.cast(rows[key].type))))
            if fresh.num_rows:
                yield fresh, self._join(table, fresh, others)

    def _join(self, table: WarehouseTable, rows: pa.Table, others: Mapping[str, pa.Table | None]) -> dict[str, Joined]:
        found = {}
        for name, column in table.joins.items():
            key = self.declarations.source[name].key
            other = others[name]
            if other is None:  # nothing of it is in this batch: then no row names any of it
                other = self._empty(name)
            found[name] = join(rows, column, other, key, name)
        return found

    def _whole(self, name: str) -> pa.Table | None:
        """Every row of a source table in this batch, each once."""
        files = self._files(name)
        parts = [self.ingestion.table(file.key) for file in (files.changes, files.context) if file] if files else []
        if not parts:
            return None
        if len(parts) == 1:
            return parts[0]
        key = self.declarations.source[name].key
        changes, context = parts
        known = pc.is_in(context[key], value_set=changes[key])
        return pa.concat_tables([changes, context.filter(pc.invert(known))])

    def _empty(self, name: str) -> pa.Table:
        files = self.source.tables[name]
        return pa.schema([(column, arrow_type(kind)) for column, kind in files.columns.items()]).empty_table()

    def _deleted(self, table: WarehouseTable) -> File | None:
        files = self._files(table.source)
        if files is None or files.deleted is None:
            return None
        rows = self.ingestion.table(files.deleted.key).rename_columns([table.key])
        with ParquetPart(rows.schema) as part:
            part.write(rows)
            return File(self.processed.store(f"{table.name}/{self.stem}", part, ".deleted.parquet"), part.rows)

    def _files(self, name: str | None) -> TableFiles | None:
        return self.source.tables.get(name) if name else None

    def _store(self, prefix: str, part: ParquetPart) -> str:
        return self.processed.store(prefix, part)


def _key_type(columns: list[pa.ChunkedArray]) -> pa.DataType:
    return columns[0].type if columns else pa.null()


def _as_the_warehouse_holds(
    table: WarehouseTable, name: str, derived: Derived, joined: Mapping[str, Joined]
) -> tuple[pa.ChunkedArray, list[Fault]]:
    """A column in the type that the warehouse's schema gives it, and which of its rows that schema would refuse."""
    wanted = table.types.get(name)
    if wanted is None:
        return derived.values, []
    expression = table.columns[name]
    faults = []
    conformed = conform(derived.values, wanted.type)
    if conformed.refused is not None:
        reason = f"does not fit {table.name}.{name}, which is {wanted.type}"
        faults.append(Fault(conformed.refused, named(expression), derived.origin, reason))
    if wanted.required:
        told = [fault.rows for fault in derived.faults]
        if expression.table:
            told.append(joined[expression.table].fault.rows)
        missing = pc.is_null(derived.values)
        for rows in told:  # what is NULL for another fault is told by that
            missing = pc.and_(missing, pc.invert(rows))
        faults.append(Fault(missing, named(expression), derived.origin, f"NULL, and {table.name}.{name} is NOT NULL"))
    return conformed.values, faults
