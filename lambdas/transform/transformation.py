"""One batch of the ingestion bucket shaped like the warehouse's tables: a pure function of the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from lambdas.shared.arrow_types import arrow_type
from lambdas.shared.columns import REASON
from lambdas.shared.declarations import CALENDAR, FACT, Declarations, WarehouseTable
from lambdas.shared.errors import LakeError
from lambdas.shared.lake import Lake
from lambdas.shared.layout import manifest_key
from lambdas.shared.manifest import (
    File,
    IngestionManifest,
    ProcessedManifest,
    ProcessedTable,
    RejectedFile,
    TableFiles,
    ingestion_manifest,
    processed_manifest,
    to_json,
)
from lambdas.shared.parquet import ParquetPart
from lambdas.transform.calendar import calendar
from lambdas.transform.derivations import Fault, Joined, derive, join


@dataclass(frozen=True)
class Transformed:
    """``created``: whether this call wrote the batch; a replay finds it written. ``same``: whether it would again."""

    manifest: ProcessedManifest
    created: bool
    same: bool


def transform(
    ingestion: Lake,
    processed: Lake,
    declarations: Declarations,
    batch: int,
    *,
    replay: bool,
    tell: Callable[[ProcessedManifest], object] = lambda _: None,
) -> Transformed:
    """Writes the processed files and manifest of ``batch``; what is there already stays as it is.

    A batch that is written already is not computed again unless ``replay``. Raises LakeError when a file is missing,
    and when what is written came from another ingestion bucket. ``tell`` is called with a new batch before it exists:
    what must be told of it is told even when this call ends just then, and perhaps twice.
    """
    key = manifest_key(batch)
    source = ingestion_manifest(ingestion.read(key), key)
    written = processed.find(key)
    if written is not None:
        _check_origin(processed_manifest(written, key), source, ingestion, processed)
        if not replay:
            return Transformed(processed_manifest(written, key), created=False, same=True)
    manifest = _Batch(source, key, ingestion, processed, declarations).write()
    if written is None:
        tell(manifest)
    created = written is None and processed.put_if_absent(key, to_json(manifest))
    if created:
        return Transformed(manifest, created=True, same=True)
    stored = processed.read(key)
    return Transformed(processed_manifest(stored, key), created=False, same=stored == to_json(manifest))


def _check_origin(written: ProcessedManifest, source: IngestionManifest, ingestion: Lake, processed: Lake) -> None:
    """Raises LakeError when ``written`` is another batch of the same number: one of the two buckets was replaced."""
    if written.extracted_at != source.extracted_at:
        raise LakeError(
            f"Batch {source.batch} in s3://{ingestion.bucket} was extracted at {source.extracted_at}, and the one in "
            f"s3://{processed.bucket} at {written.extracted_at}: one of the buckets was replaced. Nothing was "
            "transformed. Put back the one that is gone, or begin with an empty lake and an empty warehouse."
        )


@dataclass
class _Output:
    """What is being written for one warehouse table."""

    part: ParquetPart | None = None
    rejected: ParquetPart | None = None


@dataclass
class _Batch:
    source: IngestionManifest
    key: str
    ingestion: Lake
    processed: Lake
    declarations: Declarations
    named_dates: list[pa.Array] = field(default_factory=list)

    @cached_property
    def stem(self) -> str:
        return f"batch-{self.source.batch:012d}"

    def write(self) -> ProcessedManifest:
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
            if output.rejected is not None:
                count = output.rejected.rows
                rejected = RejectedFile(
                    self._store(f"rejected/{table.name}/{self.stem}", output.rejected), count, count
                )
        return (ProcessedTable(rows, key, deleted) if rows or deleted else None), rejected

    def _convert(
        self, table: WarehouseTable, rows: pa.Table, joined: Mapping[str, Joined], output: _Output, stack: ExitStack
    ) -> None:
        derived = {name: derive(expression, rows, joined) for name, expression in table.columns.items()}
        faults = [fault for found in joined.values() for fault in (found.fault,)]
        faults += [fault for column in derived.values() for fault in column.faults]
        reason = _reasons(rows.num_rows, faults)
        result = pa.table({name: column.values for name, column in derived.items()})
        if reason is not None:
            bad = pc.is_valid(reason)
            rejected = rows.append_column(REASON, reason).filter(bad)
            if output.rejected is None:
                output.rejected = stack.enter_context(ParquetPart(rejected.schema))
            output.rejected.write(rejected)
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


def _reasons(rows: int, faults: list[Fault]) -> pa.ChunkedArray | None:
    """For each row the reasons of its faults, separated by semicolons, or NULL. None when no row has any."""
    present = [fault for fault in faults if pc.any(fault.rows).as_py()]
    if not present:
        return None
    texts = [pc.if_else(fault.rows, f"{fault.reason}; ", "") for fault in present]
    joined = pc.utf8_rtrim(pc.binary_join_element_wise(*texts, ""), characters="; ")
    return pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), joined)
