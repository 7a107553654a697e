"""Captures the changes of a table whose xmin does not show them all, such as a view: by a hash of each row."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.declarations import NEVER
from ...shared.errors import SourceError
from ...shared.lake.parquet import ParquetPart
from ..row_set import ALL, NONE, KeysIn, RowSet
from ..source.interface import KEY, ROW_HASH, row_hash_schema
from ..source.reader import lake_schema
from ..table_plan import Backfill, Budget, Captured, CaptureRun, Complete, TablePlan
from .change_file import upload
from .key_files import Compared, KeyWriter, MergedKeyFiles, OrderedComparison, keys_in, split

UNREAD = ""  # the hash of a known row that must be read again
NAMED_KEYS = 1_000  # changed rows whose keys a query lists to find related rows; of more, all rows count as changed


def capture_by_content(run: CaptureRun, plan: TablePlan) -> Captured:
    """Reads every row in the order of the keys, and stores those whose hash is not the last batch's.

    When the budget is spent, rows that differ are left to the next run, which finds them again as they still differ.
    Raises SourceError for a key that is NULL or not unique.
    """
    schema, prefix = lake_schema(plan.info.columns), run.prefix(plan.name)
    stored = pa.schema([pa.field(plan.key, plan.key_field.type), (ROW_HASH, pa.string())])
    with ParquetPart(schema) as part, ParquetPart(pa.schema([plan.key_field])) as deleted:
        written = keys_in(run.lake, plan.before.keys_since_compare, plan.key_field)
        diff = _HashDiff(plan, run.budget, stored, written, part, deleted)
        writer = KeyWriter(run.lake, stored, f"{prefix}.keys", plan.before.keys if plan.before.by_content else ())
        comparison = OrderedComparison(
            MergedKeyFiles(run.lake, plan.before.keys, stored), writer, diff, row_hash_schema(plan.info)
        )
        run.snapshot.row_hashes(plan.info, comparison.add)
        keys = tuple(comparison.finish())
        return Captured(
            changes=upload(run.lake, part, f"{prefix}.changes.parquet"),
            deleted=upload(run.lake, deleted, f"{prefix}.deleted.parquet"),
            keys=keys,
            compared_at=run.now.isoformat(),
            state=Backfill(ALL) if diff.unread else Complete(),
            changed_rows=diff.changed_rows(),
            state_changed=diff.unread == 0 and plan.before.backfill is not None,
        )


class _HashDiff:
    """Compares rows by their hashes: new and differing rows go to ``part``, the keys of missing ones to ``deleted``."""

    def __init__(
        self,
        plan: TablePlan,
        budget: Budget,
        stored: pa.Schema,
        written: pa.ChunkedArray,
        part: ParquetPart,
        deleted: ParquetPart,
    ) -> None:
        """``written``: keys that a capture by transaction wrote since it last compared keys."""
        self._plan, self._budget, self._stored, self._part, self._deleted = plan, budget, stored, part, deleted
        self._written = pa.table([pc.unique(written).sort()], schema=pa.schema([plan.key_field]))
        self._named: list[str] = []
        self._last_key: object = None
        self.unread = 0  # rows that differ and were not read

    def __call__(self, present: pa.Table, stored: pa.Table, last: pa.Scalar | None) -> Compared:
        """As Comparator has it. A new row that was not read is not stored, so that the next run finds it new again."""
        keys, hashes = present[KEY].combine_chunks(), present[ROW_HASH].combine_chunks()
        self._check_unique(keys)
        written, self._written = split(self._written, last)
        known = stored[self._plan.key].combine_chunks()
        index = pc.index_in(keys, value_set=known)
        before = stored[ROW_HASH].combine_chunks().take(index)
        differs = pc.fill_null(pc.not_equal(hashes, before), True)
        if self._plan.full_refresh:
            differs = pc.is_valid(keys)
        self._report_deleted(pa.chunked_array([known, *written.column(0).chunks], known.type), keys)
        if self._budget.is_spent:
            self.unread += pc.sum(differs).as_py() or 0
            unread = pc.if_else(pc.is_valid(index), pa.scalar(UNREAD), pa.scalar(None, pa.string()))
            hashes = pc.if_else(differs, unread, hashes)
        else:
            self._take(present.filter(differs))
        rows = pa.table([keys, hashes], schema=self._stored)
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
            self._named += rows[KEY].cast(pa.string()).to_pylist()
        self._budget.take(rows.num_rows, rows.nbytes)
        self._part.write(rows.select(range(2, rows.num_columns)).cast(self._part.schema))

    def _report_deleted(self, known: pa.ChunkedArray, keys: pa.Array) -> None:
        """Writes the keys of ``known`` that are not among ``keys``, sorted, unless the declaration says never."""
        missing = pc.unique(known.filter(pc.invert(pc.is_in(known, value_set=keys)))).sort()
        if self._plan.table.deletes != NEVER:
            self._deleted.write(pa.table([missing], schema=pa.schema([self._plan.key_field])))

    def _check_unique(self, keys: pa.Array) -> None:
        """Rows come in the order of their keys: equal ones follow each other, also from one chunk to the next."""
        if not len(keys):
            return
        first, before, self._last_key = keys[0].as_py(), self._last_key, keys[-1].as_py()
        if keys.null_count or first == before or pc.count_distinct(keys).as_py() != len(keys):
            problem = "NULL" if keys.null_count else "not unique"
            raise SourceError(
                f"The key {self._plan.key} of {self._plan.name} is {problem} in some rows, so that it does not "
                "identify them. Nothing was extracted. Declare a column that is a key."
            )
