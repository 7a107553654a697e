"""The parts of a batch: the files of each table in groups, each of which is transformed on its own.

Which parts there are follows from the manifest and the declaration alone. A part is a pure function of both, too: its
files are named by their content, so that who transforms it, where, and how often makes no difference.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from ..shared.errors import LakeError
from ..shared.lake.manifest import DataFile, IngestionManifest, TableFiles, to_json
from ..shared.lake.object_keys import DATA, DELETED, REJECTED, batch_folder
from ..shared.lake.parquet import UNREADABLE, ParquetPart, arrow_type
from ..shared.lake.store import Lake
from ..shared.messages.part_events import PartRequest, PartResult, StoredRejects
from ..shared.messages.read_events import StoredPart
from ..shared.model.declarations import CALENDAR, Declarations, WarehouseTable
from ..shared.postgres_text import key_texts, postgres_text
from .columns.cast import cast_column
from .columns.convert import convert
from .columns.lookup import JoinedRows, depends_on_changes
from .columns.rejects import REJECTS_SCHEMA
from .columns.source_rows import ABSENT, SourceRows, typed_keys, with_absent_columns, with_typed_keys

_NO_DATES = pa.array([], pa.date32())


def parts_of(declarations: Declarations, source: IngestionManifest) -> tuple[PartRequest, ...]:
    """Every part of the batch, in the order of the tables and of their files."""
    fingerprint = _fingerprint(declarations, source)
    found = []
    for table in declarations.warehouse.values():
        if table.kind != CALENDAR:
            parts = len(_groups(_change_files(source, table), declarations.part_rows))
            found += [PartRequest(source.batch, table.name, number, parts, fingerprint) for number in range(parts)]
    return tuple(found)


def _change_files(source: IngestionManifest, table: WarehouseTable) -> Sequence[DataFile]:
    files = source.tables.get(str(table.source))
    return files.change_files if files else ()


def _groups(files: Sequence[DataFile], rows: int) -> list[tuple[DataFile, ...]]:
    """The files in groups of at most ``rows`` rows, or of one file; one group at least."""
    groups: list[tuple[DataFile, ...]] = [()]
    for file in files:
        if groups[-1] and sum(each.rows for each in groups[-1]) + file.rows > rows:
            groups.append(())
        groups[-1] = (*groups[-1], file)
    return groups


def _fingerprint(declarations: Declarations, source: IngestionManifest) -> str:
    """A hash of the declaration and of the batch."""
    tables = [declarations.fingerprint(name) for name in sorted(declarations.source)]
    text = [str(declarations.part_rows), *tables, *map(repr, declarations.warehouse.values())]
    return hashlib.sha256("\n".join(text).encode() + to_json(source)).hexdigest()


def dates_of(results: Sequence[PartResult]) -> pa.Array:
    """The dates (date32) that the rows of all parts refer to."""
    days: set[int] = set()
    for result in results:
        for first, count in zip(result.dates[::2], result.dates[1::2], strict=True):
            days.update(range(first, first + count))
    return pa.array(sorted(days), pa.int32()).cast(pa.date32())


def _runs(dates: Sequence[pa.Array]) -> tuple[int, ...]:
    """The distinct dates as ``PartResult.dates`` has them."""
    days = pc.unique(pa.concat_arrays([_NO_DATES, *dates])).cast(pa.int32())
    runs: list[int] = []
    for day in days.take(pc.sort_indices(days)).to_pylist():
        if runs and day == runs[-2] + runs[-1]:
            runs[-1] += 1
        else:
            runs += (day, 1)
    return tuple(runs)


@dataclass(frozen=True)
class PartTransform:
    """Transforms parts of one batch: reads its files from ``ingestion``, and stores theirs in ``processed``."""

    source: IngestionManifest
    ingestion: Lake
    processed: Lake
    declarations: Declarations
    clock: Callable[[], float] = time.perf_counter
    _joined: dict[str, dict[str, JoinedRows]] = field(default_factory=dict)
    """What the joins of one table find, which the next part of that table needs again."""

    @cached_property
    def parts(self) -> tuple[PartRequest, ...]:
        """Every part of the batch."""
        return parts_of(self.declarations, self.source)

    def rows_of(self, part: PartRequest) -> int:
        """How many new and changed rows ``part`` has."""
        return sum(file.rows for file in self._groups_of(part)[part.number])

    def is_of(self, part: PartRequest, file: StoredPart) -> bool:
        """Whether ``file`` is named as one of ``part`` with that content is."""
        folders = [batch_folder(part.table, self.source.batch, kind) for kind in (DATA, DELETED, REJECTED)]
        return file.key in [f"{folder}{file.digest[:8]}.parquet" for folder in folders]

    def _groups_of(self, part: PartRequest) -> list[tuple[DataFile, ...]]:
        files = _change_files(self.source, self.declarations.warehouse[part.table])
        return _groups(files, self.declarations.part_rows)

    def result(self, request: PartRequest) -> PartResult:
        """Stores the files of a part, those that exist already excepted.

        Refuses one that is not a part of this batch by this declaration. Raises LakeError when a file is missing.
        """
        if request not in self.parts:
            return PartResult(request.table, request.number, "the part is not of this batch, or of another release")
        started = self.clock()
        table = self.declarations.warehouse[request.table]
        groups = self._groups_of(request)
        part: ParquetPart | None = None
        rejects: ParquetPart | None = None
        rejected_rows, read, unchanged, dates = 0, 0, 0, []
        unmatched: list[pa.Table] = []
        with ExitStack() as stack:
            joined: dict[str, JoinedRows] = {}
            shared = self._shares_its_context(table)
            for rows, is_changed in self._source_rows(table, groups, request.number):
                if not joined:
                    joined = self._joined_tables(table)
                source = self._typed(str(table.source), rows)
                if not is_changed and (shared or any(other.deleted is not None for other in joined.values())):
                    depending = depends_on_changes(table.joins, source, joined, self._keys)
                    source = SourceRows(source.rows.filter(depending), source.types)
                read, unchanged = (
                    (read + rows.num_rows, unchanged) if is_changed else (read, unchanged + source.rows.num_rows)
                )
                converted = convert(table, source, joined, self._keys, self._calendars)
                if converted.rejected_rows:
                    rejects = rejects or stack.enter_context(ParquetPart(REJECTS_SCHEMA))
                    rejects.write(converted.rejects)
                    rejected_rows += converted.rejected_rows
                if converted.unmatched is not None:
                    unmatched.append(converted.unmatched)
                dates.append(converted.dates)
                part = part or stack.enter_context(ParquetPart(converted.rows.schema))
                part.write(converted.rows)
            deleted, unfit = self._deleted(table, unmatched, with_deleted=request.number == len(groups) - 1)
            written = self._store(table, part) if part is not None and part.rows else None
            rejected = self._store(table, rejects, REJECTED) if rejects is not None else None
        stored = [file for file in (written, rejected, deleted, unfit) if file]
        return PartResult(
            table.name,
            request.number,
            read=read,
            unchanged=unchanged,
            unmatched=sum(keys.num_rows for keys in unmatched),
            rows=written,
            rejected=StoredRejects(rejected.key, rejected.rows, rejected.digest, rejected_rows) if rejected else None,
            deleted=deleted,
            unfit=unfit,
            dates=_runs(dates),
            bytes=sum(self.processed.sizes.get(file.key, 0) for file in stored),
            milliseconds=(self.clock() - started) * 1000,
        )

    @cached_property
    def _keys(self) -> Mapping[str, tuple[str, ...]]:
        return {name: table.keys for name, table in self.declarations.source.items()}

    @cached_property
    def _calendars(self) -> frozenset[str]:
        return frozenset(table.name for table in self.declarations.warehouse.values() if table.kind == CALENDAR)

    def _joined_tables(self, table: WarehouseTable) -> dict[str, JoinedRows]:
        """All rows of the tables that ``table`` joins. Those of the table before are forgotten."""
        if table.name not in self._joined:
            self._joined.clear()
            self._joined[table.name] = {join.table: self._joined_rows(join.table) for join in table.joins.values()}
        return self._joined[table.name]

    def _shares_its_context(self, table: WarehouseTable) -> bool:
        """Whether the context has rows of the table's source that the joins of another table reach."""
        tables = self.declarations.warehouse.values()
        return sum(bool(other.joins) and other.source == table.source for other in tables) > 1

    def _source_rows(
        self, table: WarehouseTable, groups: Sequence[Sequence[DataFile]], number: int
    ) -> Iterator[tuple[pa.Table, bool]]:
        """The rows of a part that may have another result, by row groups: changes, and in the last part the context.

        With each, whether they are changes.
        """
        files = self._files(table.source)
        if files is None:
            return
        context = files.context if table.joins and number == len(groups) - 1 else None
        changed: list[pa.ChunkedArray] = []
        for file in groups[number]:
            for rows in self._read(str(table.source), file):
                if context:
                    changed.append(self._comparable_keys(str(table.source), rows))
                yield rows, True
        if not context:
            return
        for file in itertools.chain.from_iterable(groups[:number]):
            for rows in self.ingestion.iter_tables(file.key, list(self._keys[str(table.source)])):
                changed.append(self._comparable_keys(str(table.source), rows))
        known = pa.chunked_array([chunk for column in changed for chunk in column.chunks], _key_type(changed))
        for rows in self._read(str(table.source), context):
            keys = self._comparable_keys(str(table.source), rows)
            fresh = rows.filter(pc.invert(pc.is_in(keys, value_set=known.cast(keys.type))))
            if fresh.num_rows:
                yield fresh, False

    def _joined_rows(self, name: str) -> JoinedRows:
        """Every row of a source table in this batch, each once, and the keys of those that were deleted."""
        files = self._files(name)
        changes = [pa.concat_tables(self._read(name, file)) for file in files.change_files] if files else []
        unchanged = [file for file in (files.context, files.lookups) if file] if files else []
        # Where this batch has no row of it, no row of the batch references one.
        rows = pa.concat_tables(changes) if changes else self._empty(name)
        for number, file in enumerate(unchanged):
            more = pa.concat_tables(self._read(name, file))
            if changes or number:
                known = pc.is_in(self._comparable_keys(name, more), value_set=self._comparable_keys(name, rows))
                more = pa.concat_tables([rows, more.filter(pc.invert(known))])
            rows = more
        changed = files.changed_rows if files else 0
        deleted = self._typed(name, self.ingestion.table(files.deleted.key)).rows if files and files.deleted else None
        return JoinedRows(self._typed(name, rows).rows, self._types(name), changed, deleted)

    def _read(self, name: str, file: DataFile) -> Iterator[pa.Table]:
        """The rows of a file of a source table, of which some are there, with the columns that something is made of."""
        return self.ingestion.iter_tables(file.key, [*self._needed[name], UNREADABLE])

    def _comparable_keys(self, name: str, rows: pa.Table) -> pa.ChunkedArray:
        """The keys of rows of a source table, one value each; a composite key as one text."""
        keys = self._keys[name]
        if len(keys) == 1:
            return rows[keys[0]]
        return key_texts([postgres_text(rows[key], self._types(name)[key]) for key in keys])

    def _empty(self, name: str) -> pa.Table:
        return pa.schema([(column, arrow_type(kind)) for column, kind in self._types(name).items()]).empty_table()

    def _deleted(
        self, table: WarehouseTable, unmatched: Sequence[pa.Table], *, with_deleted: bool
    ) -> tuple[StoredPart | None, StoredPart | None]:
        """The keys that the source deleted, if these are asked for, and of rows that do not meet the table's condition.

        As the warehouse has them; and of a dimension those that do not fit its types, as text.
        """
        files = self._files(table.source)
        deleted = [self.ingestion.table(files.deleted.key)] if with_deleted and files and files.deleted else []
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

    def _store_keys(self, table: WarehouseTable, keys: pa.Table) -> StoredPart | None:
        if not keys.num_rows:
            return None
        with ParquetPart(keys.schema) as part:
            part.write(keys)
            return self._store(table, part, DELETED)

    def _typed(self, name: str, rows: pa.Table) -> SourceRows:
        """Rows of a source table, of this batch's files."""
        types = self._types(name)
        return with_typed_keys(SourceRows(with_absent_columns(rows, types), types), self._keys[name])

    def _types(self, name: str) -> Mapping[str, str]:
        """Column -> PostgreSQL type of a source table at this batch; ABSENT of those that are needed since then."""
        return self._types_of_tables[name]

    @cached_property
    def _needed(self) -> Mapping[str, Collection[str]]:
        """Source table -> the columns that any warehouse table is made of."""
        return self.declarations.needed_columns()

    @cached_property
    def _types_of_tables(self) -> Mapping[str, Mapping[str, str]]:
        found: dict[str, Mapping[str, str]] = {}
        for name, needed in self._needed.items():
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

    def _store(self, table: WarehouseTable, part: ParquetPart, kind: str = DATA) -> StoredPart:
        key = self.processed.put_table(batch_folder(table.name, self.source.batch, kind), part)
        return StoredPart(key, part.rows, part.digest)


def _key_type(columns: list[pa.ChunkedArray]) -> pa.DataType:
    return columns[0].type if columns else pa.null()
