"""The keys of a table, sorted: kept in files of bounded size and compared with the server's as both stream by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.lake.manifest import File, KeyFile
from ...shared.lake.parquet import ParquetPart
from ...shared.lake.store import Lake
from ...shared.postgres import sql
from ..source.catalog import Column

KEY_FILE_ROWS = 1_000_000  # of one file of keys

Judge = Callable[[pa.Table, pa.Table, pa.Scalar | None], tuple[pa.Table, bool]]


def ordering(column: Column) -> sql.Fragment:
    """The expression by which the key ``column`` of ``t`` is sorted and compared: as Arrow sorts it in the lake.

    What the lake keeps as text is sorted by its bytes, whatever the database's collation; a uuid is so by itself.
    """
    name = sql.columns([column.name], of="t")
    if not pa.types.is_string(column.arrow) or column.type == "uuid":
        return name
    if column.base_type in ("text", "character varying"):
        return sql.compose('(t.$c COLLATE "C")', c=sql.identifier(column.name))
    return sql.compose("(format('%s', t.$c) COLLATE \"C\")", c=sql.identifier(column.name))


def beyond(column: Column, key: str) -> sql.Fragment:
    """The condition that a row's key comes after ``key``, which is written as text."""
    return sql.compose("$order > $key", order=ordering(column), key=sql.constant(key))


def up_to(column: Column, key: str) -> sql.Fragment:
    """The condition that a row's key is ``key`` or comes before it."""
    return sql.compose("$order <= $key", order=ordering(column), key=sql.constant(key))


def text_of(keys: pa.ChunkedArray) -> str | None:
    """The last of ``keys`` as text; None where there is none."""
    return str(keys[-1].cast(pa.string()).as_py()) if len(keys) else None


def value_of(text: str, kind: pa.DataType) -> pa.Scalar:
    """The key that ``text`` writes."""
    return pa.scalar(text).cast(kind)


class Stored:
    """The rows of key files of one series, handed out in the order of their keys."""

    def __init__(self, lake: Lake, parts: Sequence[KeyFile], schema: pa.Schema) -> None:
        """``schema``: of the rows wanted; its first column is the key, in the type that it has now."""
        self._schema = schema
        self._chunks = self._read(lake, parts)
        self._rest = schema.empty_table()

    def take(self, last: pa.Scalar | None) -> pa.Table:
        """The rows not handed out yet whose keys are not beyond ``last``; all that are left where that is None."""
        found = []
        while True:
            rows, self._rest = _split(self._rest, last)
            found.append(rows)
            if self._rest.num_rows:
                break
            following = next(self._chunks, None)
            if following is None:
                break
            self._rest = following
        return pa.concat_tables(found)

    def _read(self, lake: Lake, parts: Sequence[KeyFile]) -> Iterator[pa.Table]:
        for part in parts:
            if part.last is None:  # unsorted
                yield self._conform(lake.table(part.key, self._schema.names)).sort_by(self._schema.names[0])
                continue
            for rows in lake.tables(part.key, self._schema.names):
                yield self._conform(rows)

    def _conform(self, rows: pa.Table) -> pa.Table:
        """``rows`` in the schema wanted: a column that they lack is NULL."""
        columns = [
            rows[field.name].cast(field.type)
            if field.name in rows.column_names
            else pa.nulls(rows.num_rows, field.type)
            for field in self._schema
        ]
        return pa.table(columns, schema=self._schema)


class AllStored:
    """The rows of several series as one."""

    def __init__(self, lake: Lake, parts: Sequence[KeyFile], schema: pa.Schema) -> None:
        """As Stored, whatever series ``parts`` are of."""
        numbers = sorted({part.series for part in parts})
        self._series = [Stored(lake, [part for part in parts if part.series == n], schema) for n in numbers]
        self._schema = schema

    def take(self, last: pa.Scalar | None) -> pa.Table:
        """As Stored; a key that is in several series comes several times, and the rows are in no order."""
        return pa.concat_tables([self._schema.empty_table(), *(series.take(last) for series in self._series)])


class KeyWriter:
    """Writes sorted rows as key files; a part of ``carried`` in whose range nothing has changed stays as it is.

    So a table that grows at its end has only its last file of keys written anew.
    """

    def __init__(
        self, lake: Lake, schema: pa.Schema, prefix: str, carried: Sequence[KeyFile] = (), series: int = 0
    ) -> None:
        self._lake, self._schema, self._prefix, self._of_series = lake, schema, prefix, series
        self._ranges: list[KeyFile | None] = [*carried]
        if not carried or carried[-1].rows >= KEY_FILE_ROWS:
            self._ranges.append(None)  # what comes after the last full file
        self._number = 0
        self._changed = False
        self._last: str | None = None
        self.files: list[KeyFile] = []
        self._begin()

    @property
    def boundary(self) -> str | None:
        """The last key of the present range; None: it has no end."""
        present = self._ranges[0]
        return present.last if present and len(self._ranges) > 1 else None

    @property
    def is_last(self) -> bool:
        """Whether no range comes after the present one."""
        return len(self._ranges) == 1

    def write(self, rows: pa.Table, changed: bool) -> None:
        """Appends ``rows``. ``changed``: they, or what was between them, are not as the carried file has it."""
        self._changed = self._changed or changed
        while rows.num_rows:
            if self._changed and self._part.rows >= KEY_FILE_ROWS:
                self._store()
                self._begin(changed=True)
            taken = rows.slice(0, KEY_FILE_ROWS - self._part.rows) if self._changed else rows
            self._part.write(taken)
            self._last = text_of(taken.column(0))
            rows = rows.slice(taken.num_rows)

    def next_range(self) -> None:
        """Ends the present range, which must be done before the first row of the next is written."""
        carried = self._ranges.pop(0)
        same = carried is not None and not self._changed and carried.last is not None
        if carried is not None and same and self._part.rows == carried.rows:
            self.files.append(carried)
            self._stack.close()
        else:
            self._store()
        if self._ranges:
            self._begin()

    def _begin(self, changed: bool = False) -> None:
        self._stack = ExitStack()
        self._part = self._stack.enter_context(ParquetPart(self._schema))
        self._changed = changed
        self._last = None

    def _store(self) -> None:
        with self._stack:
            if self._part.rows:
                key = f"{self._prefix}_{self._number}.parquet"
                self._number += 1
                self._part.finish()
                self._lake.upload(key, self._part.file)
                self.files.append(KeyFile(key, self._part.rows, self._last, self._of_series))


class OrderedComparison:
    """Compares rows that come sorted by their key with the stored ones, range by range, in constant memory.

    ``judge`` is given the rows of a stretch of keys, present and stored, and the key that it goes up to (None: to the
    end); it returns what shall be stored of it and whether that is something else. There may be no rows of either.
    """

    def __init__(self, stored: AllStored, writer: KeyWriter, judge: Judge, schema: pa.Schema) -> None:
        """``schema``: of the rows that come; its column of the first name in it is the key."""
        self._stored, self._writer, self._judge, self._schema = stored, writer, judge, schema

    def add(self, rows: pa.Table) -> None:
        """Takes the next rows, which come after all that were taken before."""
        while rows.num_rows and (boundary := self._writer.boundary) is not None:
            end = value_of(boundary, self._schema.types[0])
            head, tail = _split(rows, end)
            if not tail.num_rows:
                break
            self._compare(head, end)
            self._writer.next_range()
            rows = tail
        if rows.num_rows:
            self._compare(rows, rows.column(0)[-1])

    def finish(self) -> list[KeyFile]:
        """Ends the comparison with the rows that are stored beyond; returns the files of keys."""
        none = self._schema.empty_table()
        while not self._writer.is_last:
            boundary = self._writer.boundary
            if boundary is not None:
                self._compare(none, value_of(boundary, self._schema.types[0]))
            self._writer.next_range()
        self._compare(none, None)
        self._writer.next_range()
        return self._writer.files

    def _compare(self, present: pa.Table, last: pa.Scalar | None) -> None:
        self._writer.write(*self._judge(present, self._stored.take(last), last))


class KeyJudge:
    """Judges keys: which are gone, and which are there that nobody wrote.

    ``came``: keys that came since the stored ones were compared, and so may be gone or present. ``told``: those that
    are among the changes of this run; None: every row is. ``strange`` is the first key found that nothing explains.
    """

    def __init__(self, key: pa.Field, came: pa.ChunkedArray, told: pa.ChunkedArray | None, gone: ParquetPart) -> None:
        self._schema = pa.schema([key])
        self._came = pa.table([pc.unique(came).sort()], schema=self._schema)
        self._told = told
        self._gone = gone
        self.strange = 0
        self.first_strange: object = None

    def __call__(self, present: pa.Table, stored: pa.Table, last: pa.Scalar | None) -> tuple[pa.Table, bool]:
        """What to store of this stretch, and whether it is something else than was stored."""
        came, self._came = _split(self._came, last)
        known = pa.concat_tables([stored, came]).column(0)
        keys = present.column(0)
        gone = pc.unique(known.filter(pc.invert(pc.is_in(known, value_set=keys))))
        if len(gone):
            self._gone.write(pa.table([gone.sort()], schema=self._schema))
        new = keys.filter(pc.invert(pc.is_in(keys, value_set=known)))
        strange = new.filter(pc.invert(pc.is_in(new, value_set=self._told))) if self._told is not None else new[:0]
        if len(strange) and not self.strange:
            self.first_strange = strange[0].as_py()
        self.strange += len(strange)
        return present, bool(len(gone)) or present.num_rows != stored.num_rows


def keys_in(lake: Lake, files: Sequence[File], key: pa.Field) -> pa.ChunkedArray:
    """The keys in the rows of ``files``: those that came since keys were last compared, of which there are few."""
    found = [rows.column(0).cast(key.type) for file in files for rows in lake.tables(file.key, [key.name])]
    return pa.chunked_array([chunk for column in found for chunk in column.chunks], key.type)


def _split(rows: pa.Table, last: pa.Scalar | None) -> tuple[pa.Table, pa.Table]:
    """The rows whose keys are not beyond ``last``, and the others. ``rows`` are sorted by their first column."""
    if last is None or not rows.num_rows or pc.less_equal(rows.column(0)[-1], last).as_py():
        return rows, rows.slice(rows.num_rows)
    here = pc.sum(pc.less_equal(rows.column(0), last)).as_py() or 0
    return rows.slice(0, here), rows.slice(here)
