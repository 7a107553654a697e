"""Captures the changes of a table whose xmin does not show them all, such as a view: by a hash of each row."""

from __future__ import annotations

import sys
from array import array

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.errors import SourceError
from ...shared.lake.parquet import ParquetPart
from ...shared.model.declarations import NEVER
from ..limits import Budget
from ..row_set import ALL, NONE, Key, KeysIn, RowSet
from ..source.interface import ROW_HASH, row_hash_schema
from ..source.reader import lake_schema
from ..table_plan import Backfill, Captured, CaptureRun, Complete, TablePlan
from .change_file import upload
from .key_files import Compared, KeyWriter, MergedKeyFiles, OrderedComparison, keys_in
from .sorted_keys import Boundary, boundary, contained, distinct, positions, repeated, split

UNREAD = ""  # the hash of a known row that must be read again
NAMED_KEYS = 1_000  # changed rows whose keys a query lists to find related rows; of more, all rows count as changed


def capture_by_content(run: CaptureRun, plan: TablePlan) -> Captured:
    """Reads every row in the order of the keys, and stores those whose hash is not the last batch's.

    When the budget is spent, rows that differ are left to the next run, which finds them again as they still differ.
    Raises SourceError for a key that is NULL or not unique.
    """
    schema, prefix = lake_schema(plan.info.columns), run.prefix(plan.name)
    stored = plan.key_schema.append(pa.field(ROW_HASH, pa.string()))
    with ParquetPart(schema) as part, ParquetPart(plan.key_schema) as deleted:
        written = keys_in(run.lake, plan.before.keys_since_compare, plan.key_schema)
        diff = _HashDiff(plan, run.budget, stored, written, part, deleted)
        # Files without hashes, of a capture by transaction, are all written again: no hash is the one that they lack.
        writer = KeyWriter(run.lake, stored, f"{prefix}.keys", plan.before.keys, width=len(plan.keys))
        comparison = OrderedComparison(
            MergedKeyFiles(run.lake, plan.before.keys, stored), writer, diff, row_hash_schema(plan.info)
        )
        content = ContentDigest()

        def add(rows: pa.Table) -> None:
            content.add(rows[ROW_HASH])
            comparison.add(rows)

        run.snapshot.row_hashes(plan.info, add)
        keys = tuple(comparison.finish())
        return Captured(
            changes=upload(run.lake, part, f"{prefix}.changes.parquet"),
            deleted=upload(run.lake, deleted, f"{prefix}.deleted.parquet"),
            keys=keys,
            compared_at=run.now.isoformat(),
            state=Backfill(ALL) if diff.unread else Complete(),
            changed_rows=diff.changed_rows(),
            state_changed=diff.unread == 0 and plan.before.backfill is not None,
            content=str(content) if plan.table.deletes != NEVER else None,
        )


class ContentDigest:
    """A digest of the hashes of all rows, in any order: their number, and the sum of the beginnings of the hashes.

    The server computes the same in one statement: ``lambdas/freshness``. As text: ``<rows>:<sum modulo 2^64>``.
    """

    def __init__(self) -> None:
        self._rows = self._sum = 0

    def add(self, hashes: pa.ChunkedArray) -> None:
        """Adds rows by their hashes, each of at least 16 hexadecimal digits."""
        beginnings = bytes.fromhex("".join(pc.utf8_slice_codeunits(hashes, 0, 16).to_pylist()))
        numbers = array("Q", beginnings)
        if sys.byteorder == "little":
            numbers.byteswap()
        self._rows += len(numbers)
        self._sum = (self._sum + sum(numbers)) % 2**64

    def __str__(self) -> str:
        """The digest."""
        return f"{self._rows}:{self._sum}"


class _HashDiff:
    """Compares rows by their hashes: new and differing rows go to ``part``, the keys of missing ones to ``deleted``."""

    def __init__(
        self,
        plan: TablePlan,
        budget: Budget,
        stored: pa.Schema,
        written: pa.Table,
        part: ParquetPart,
        deleted: ParquetPart,
    ) -> None:
        """``written``: keys that a capture by transaction wrote since it last compared keys."""
        self._plan, self._budget, self._stored, self._part, self._deleted = plan, budget, stored, part, deleted
        self._written = distinct(written)
        self._width = len(plan.keys)
        self._named: list[Key] = []
        self._last_key: Boundary | None = None
        self.unread = 0  # rows that differ and were not read

    def __call__(self, present: pa.Table, stored: pa.Table, last: Boundary | None) -> Compared:
        """As Comparator has it. A new row that was not read is not stored, so that the next run finds it new again."""
        keys, hashes = self._keys(present), present[ROW_HASH]
        self._check_unique(keys)
        written, self._written = split(self._written, last)
        known = self._keys(stored)
        index = positions(keys, known)
        before = stored[ROW_HASH].combine_chunks().take(index)
        differs = pc.fill_null(pc.not_equal(hashes, before), True)
        if self._plan.full_refresh:
            differs = pc.is_valid(hashes)
        self._report_deleted(pa.concat_tables([known, written]), keys)
        if self._budget.is_spent:
            self.unread += pc.sum(differs).as_py() or 0
            unread = pc.if_else(pc.is_valid(index), pa.scalar(UNREAD), pa.scalar(None, pa.string()))
            hashes = pc.if_else(differs, unread, hashes)
        else:
            self._take(present.filter(differs))
        rows = pa.table([*keys.columns, hashes], schema=self._stored)
        rows = rows.filter(pc.is_valid(rows[ROW_HASH]))
        return Compared(rows, not rows.equals(stored))

    def changed_rows(self) -> RowSet:
        """The rows that were read as changes; where those are many, all."""
        if not self._part.rows:
            return NONE
        return ALL if self._part.rows > NAMED_KEYS else KeysIn(tuple(self._named))

    def _take(self, rows: pa.Table) -> None:
        """Writes changed rows, and keeps their keys while these are few."""
        if rows.num_rows and self._part.rows + rows.num_rows <= NAMED_KEYS:
            texts = [column.cast(pa.string()).to_pylist() for column in self._keys(rows).columns]
            self._named += zip(*texts, strict=True)
        self._budget.take(rows.num_rows, rows.nbytes)
        self._part.write(rows.select(range(self._width + 1, rows.num_columns)).cast(self._part.schema))

    def _keys(self, rows: pa.Table) -> pa.Table:
        """The columns of the key of ``rows``, under the names that they have in the source."""
        return pa.table(rows.columns[: self._width], schema=self._plan.key_schema)

    def _report_deleted(self, known: pa.Table, keys: pa.Table) -> None:
        """Writes the keys of ``known`` that are not among ``keys``, sorted, unless the declaration says never."""
        missing = distinct(known.filter(pc.invert(contained(known, keys))))
        if self._plan.table.deletes != NEVER:
            self._deleted.write(missing)

    def _check_unique(self, keys: pa.Table) -> None:
        """Rows come in the order of their keys: equal ones follow each other, also from one chunk to the next."""
        if not keys.num_rows:
            return
        first, before = boundary(keys.slice(0, 1), self._width), self._last_key
        self._last_key = boundary(keys, self._width)
        missing = any(column.null_count for column in keys.columns)
        if missing or first == before or pc.any(repeated(keys)).as_py():
            problem = "NULL, or NaN," if missing else "not unique"
            raise SourceError(
                f"The key {', '.join(self._plan.keys)} of {self._plan.name} is {problem} in some rows, so that it does "
                "not identify them. Nothing was extracted. Declare a key that does: a column, or several together."
            )
