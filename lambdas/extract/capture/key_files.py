"""The sorted keys of a table, in files of bounded size, and their comparison with the source's while both stream.

A key file has the columns of the key, in its order; of a table compared by content, ``_row_hash: string`` after them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.lake.manifest import DataFile, KeyFile, key_of_text, key_text
from ...shared.lake.parquet import ParquetPart
from ...shared.lake.store import Lake
from .sorted_keys import Boundary, boundary, contained, distinct, split, text_of, value_of, without_equal_ends

KEY_FILE_ROWS = 1_000_000  # of one key file


@dataclass(frozen=True)
class Compared:
    """What comparing a range of keys gives."""

    rows: pa.Table
    """What shall be stored of the range, sorted by key, in the schema of the key files."""
    changed: bool
    """Whether that is not what is stored."""


class Comparator(Protocol):
    """Compares the rows of one range of keys; ranges come in the order of their keys."""

    def __call__(self, present: pa.Table, stored: pa.Table, last: Boundary | None) -> Compared:
        """``present``: the source's rows in the range, sorted by key. ``stored``: those of the key files, sorted where
        there is one generation. ``last``: the key at which the range ends; None: it has no end. Either may be empty.
        """


class KeyFileReader:
    """Reads the key files of one generation, range by range in the order of the keys."""

    def __init__(self, lake: Lake, files: Sequence[KeyFile], schema: pa.Schema) -> None:
        """``schema``: of the rows wanted; it begins with the key's columns, in their present types."""
        self._schema = schema
        self._chunks = self._read(lake, files)
        self._rest = schema.empty_table()

    def take(self, last: Boundary | None) -> pa.Table:
        """The next rows, sorted, up to the key ``last``; all that remain where that is None."""
        found = []
        while True:
            rows, self._rest = split(self._rest, last)
            found.append(rows)
            if self._rest.num_rows:
                break
            following = next(self._chunks, None)
            if following is None:
                break
            self._rest = following
        return pa.concat_tables(found)

    def _read(self, lake: Lake, files: Sequence[KeyFile]) -> Iterator[pa.Table]:
        for file in files:
            for rows in lake.iter_tables(file.key, self._schema.names):
                yield self._cast(rows)

    def _cast(self, rows: pa.Table) -> pa.Table:
        """``rows`` in the schema wanted: a column that they lack is NULL."""
        columns = [
            rows[field.name].cast(field.type)
            if field.name in rows.column_names
            else pa.nulls(rows.num_rows, field.type)
            for field in self._schema
        ]
        return pa.table(columns, schema=self._schema)


class MergedKeyFiles:
    """Reads the key files of several generations together."""

    def __init__(self, lake: Lake, files: Sequence[KeyFile], schema: pa.Schema) -> None:
        """As KeyFileReader, with ``files`` of any generation."""
        generations = sorted({file.generation for file in files})
        self._readers = [
            KeyFileReader(lake, [file for file in files if file.generation == n], schema) for n in generations
        ]
        self._schema = schema

    def take(self, last: Boundary | None) -> pa.Table:
        """As KeyFileReader; unsorted, with a key once for each generation that has it."""
        return pa.concat_tables([self._schema.empty_table(), *(reader.take(last) for reader in self._readers)])


class KeyWriter:
    """Writes sorted rows as key files. A carried file in whose range nothing changed is used again.

    So a table that grows at its end has only its last key file written again.
    """

    def __init__(
        self,
        lake: Lake,
        schema: pa.Schema,
        prefix: str,
        carried: Sequence[KeyFile] = (),
        generation: int = 0,
        width: int | None = None,
    ) -> None:
        """``prefix``: of the new files' object keys. ``carried``: earlier files; the range of each ends at its last
        key, and after the last file one more range begins where that file is full. ``width``: how many columns of
        ``schema`` are the key; all, where it is not given.
        """
        self.width = len(schema) if width is None else width
        self._lake, self._schema, self._prefix, self._generation = lake, schema, prefix, generation
        self._ranges: list[KeyFile | None] = [*carried]
        if not carried or carried[-1].rows >= KEY_FILE_ROWS:
            self._ranges.append(None)  # beyond the last full file
        self._number = 0
        self._changed = False
        self._last: Boundary | None = None
        self.files: list[KeyFile] = []
        self._begin()

    @property
    def boundary(self) -> Boundary | None:
        """The last key of the present range; None: it has no end."""
        present = self._ranges[0]
        if not present or len(self._ranges) == 1:
            return None
        return value_of(key_of_text(present.last_key, self.width), self._schema)

    @property
    def is_last(self) -> bool:
        """Whether no range comes after the present one."""
        return len(self._ranges) == 1

    def write(self, rows: pa.Table, changed: bool) -> None:
        """Appends ``rows``. ``changed``: they differ from the carried file, or rows between them were deleted."""
        self._changed = self._changed or changed
        while rows.num_rows:
            if self._changed and self._part.rows >= KEY_FILE_ROWS:
                self._store()
                self._begin(changed=True)
            taken = rows.slice(0, KEY_FILE_ROWS - self._part.rows) if self._changed else rows
            self._part.write(taken)
            self._last = boundary(taken, self.width)
            rows = rows.slice(taken.num_rows)

    def next_range(self) -> None:
        """Ends the present range; call it before you write the first row of the next."""
        carried = self._ranges.pop(0)
        if carried is not None and not self._changed and self._part.rows == carried.rows:
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
            if self._part.rows and self._last is not None:
                key = f"{self._prefix}_{self._number}.parquet"
                self._number += 1
                self._part.finish()
                self._lake.upload(key, self._part.file)
                last_key = key_text(text_of(self._last))
                self.files.append(KeyFile(key, self._part.rows, last_key, self._generation))


class OrderedComparison:
    """Compares the source's rows, sorted by key, with the stored ones, range by range in constant memory."""

    def __init__(self, stored: MergedKeyFiles, writer: KeyWriter, compare: Comparator, schema: pa.Schema) -> None:
        """``schema``: of the source's rows; it begins with the key's columns."""
        self._stored, self._writer, self._compare_rows, self._schema = stored, writer, compare, schema

    def add(self, rows: pa.Table) -> None:
        """Compares the next rows, whose keys sort after all before."""
        while rows.num_rows and (end := self._writer.boundary) is not None:
            head, tail = split(rows, end)
            if not tail.num_rows:
                break
            self._compare(head, end)
            self._writer.next_range()
            rows = tail
        if rows.num_rows:
            self._compare(rows, boundary(rows, self._writer.width))

    def finish(self) -> list[KeyFile]:
        """Compares the stored rows that remain, which the source has no more; returns the key files."""
        none = self._schema.empty_table()
        while not self._writer.is_last:
            if (end := self._writer.boundary) is not None:
                self._compare(none, end)
            self._writer.next_range()
        self._compare(none, None)
        self._writer.next_range()
        return self._writer.files

    def _compare(self, present: pa.Table, last: Boundary | None) -> None:
        compared = self._compare_rows(present, self._stored.take(last), last)
        self._writer.write(compared.rows, compared.changed)


class KeyDiff:
    """A comparator of keys: finds those of deleted rows, and new ones that nothing explains."""

    def __init__(self, written: pa.Table, explained: pa.Table | None, deleted: ParquetPart, *, in_order: bool) -> None:
        """``written``: keys written since the last compare; their rows may be deleted by now.

        ``explained``: the keys that may be new because this run has read their rows; None: every key may. ``deleted``
        gets the keys of deleted rows. ``in_order``: whether the stored keys are sorted, each once, as those of one
        generation are.
        """
        self._written = distinct(written)
        self._in_order = in_order
        self._explained = explained
        self._deleted = deleted
        self.unexplained = 0

    def __call__(self, present: pa.Table, stored: pa.Table, last: Boundary | None) -> Compared:
        """As Comparator has it: the present keys are stored."""
        written, self._written = split(self._written, last)
        rest, known = without_equal_ends(present, stored) if self._in_order else (present, stored)
        # Few keys are looked for among many by a table of the few.
        again = present.filter(contained(present, written)) if written.num_rows else written
        missing = written.filter(pc.invert(contained(written, again)))
        if known.num_rows:
            missing = pa.concat_tables([known.filter(pc.invert(contained(known, rest))), missing])
        deleted = distinct(missing)
        self._deleted.write(deleted)
        if self._explained is not None:
            new = rest.filter(pc.invert(contained(rest, known))) if known.num_rows else rest
            new = new.filter(pc.invert(contained(new, written))) if written.num_rows else new
            unexplained = new.filter(pc.invert(contained(new, self._explained)))
            self.unexplained += unexplained.num_rows
        return Compared(present, bool(deleted.num_rows) or present.num_rows != stored.num_rows)


def keys_in(lake: Lake, files: Sequence[DataFile], key: pa.Schema) -> pa.Table:
    """The keys of the rows in ``files``, of which there are few: those written since keys were last compared.

    Without keys that the lake cannot represent.
    """
    found = [rows.select(key.names).cast(key) for file in files for rows in lake.iter_tables(file.key, key.names)]
    return pa.concat_tables([key.empty_table(), *found]).drop_null()
