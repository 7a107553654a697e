"""A table whose rows do not tell who wrote them, such as a view: its rows are compared by a digest of each."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.errors import SourceError
from ...shared.lake.manifest import Coverage
from ...shared.lake.parquet import ParquetPart
from ...shared.lake.store import Lake
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from ..captured import Captured
from ..limits import Budget
from ..source.reader import ALL, NONE, lake_schema, read, select_columns
from ..table_plan import TablePlan
from .change_file import upload
from .key_files import AllStored, KeyWriter, OrderedComparison, ordering

KEY, DIGEST = "_key", "_digest"  # what the wire carries before the columns
UNREAD = ""  # the digest of a row that is known, and must be read again
NAMED_KEYS = 1_000  # changed rows that are named one by one to find what joins them; of more, all count as changed


def capture_content(
    connection: Connection, lake: Lake, plan: TablePlan, budget: Budget, prefix: str, now: datetime
) -> Captured:
    """Reads every row in the order of the key, and stores those whose digest is another than the last batch's.

    When ``budget`` is spent, rows that differ are left to the next run, which finds them again as they differ still.
    Raises SourceError for a key that is NULL or not unique.
    """
    schema = lake_schema(plan.columns)
    stored = pa.schema([pa.field(plan.key, plan.key_field.type), (DIGEST, pa.string())])
    wire = pa.schema([(KEY, plan.key_field.type), (DIGEST, pa.string()), *schema])
    query = sql.compose(
        "SELECT t.$key, left(encode(sha256(convert_to(ROW(t.*)::text, 'UTF8')), 'hex'), 32), $columns"
        " FROM $table AS t ORDER BY $order",
        key=sql.identifier(plan.key),
        columns=select_columns(plan.columns),
        table=sql.table(plan.name),
        order=ordering(plan.key_column),
    )
    with ParquetPart(schema) as part, ParquetPart(pa.schema([plan.key_field])) as gone:
        judge = _Judge(plan, budget, stored, part, gone)
        writer = KeyWriter(lake, stored, f"{prefix}.keys", plan.before.keys if plan.before.by_content else ())
        comparison = OrderedComparison(AllStored(lake, plan.before.keys, stored), writer, judge, wire)
        read(connection, query, wire, comparison.add)
        keys = tuple(comparison.finish())
        return Captured(
            changes=upload(lake, part, f"{prefix}.changes.parquet"),
            deleted=upload(lake, gone, f"{prefix}.deleted.parquet"),
            keys=keys,
            compared_at=now.isoformat(),
            coverage=Coverage(None, None) if judge.left else None,
            read=judge.condition(),
            progressed=judge.left == 0 and plan.before.coverage is not None,
        )


class _Judge:
    """Judges rows by their digests: new and differing rows go to ``part``, the keys of missing ones to ``gone``."""

    def __init__(
        self, plan: TablePlan, budget: Budget, stored: pa.Schema, part: ParquetPart, gone: ParquetPart
    ) -> None:
        self._plan, self._budget, self._stored, self._part, self._gone = plan, budget, stored, part, gone
        self._named: list[str] = []
        self.left = 0  # rows that differ and were not read

    def __call__(self, present: pa.Table, stored: pa.Table, last: pa.Scalar | None) -> tuple[pa.Table, bool]:
        keys, digests = present[KEY].combine_chunks(), present[DIGEST].combine_chunks()
        self._check_unique(keys)
        known = stored[self._plan.key].combine_chunks()
        place = pc.index_in(keys, value_set=known)
        before = stored[DIGEST].combine_chunks().take(place)
        differs = pc.fill_null(pc.not_equal(digests, before), True)
        if self._plan.whole:
            differs = pc.is_valid(keys)
        lost = known.filter(pc.invert(pc.is_in(known, value_set=keys)))
        self._gone.write(pa.table([lost], schema=pa.schema([self._plan.key_field])))
        if self._budget.is_spent:
            self.left += pc.sum(differs).as_py() or 0
            unread = pc.if_else(pc.is_valid(place), pa.scalar(UNREAD), pa.scalar(None, pa.string()))
            digests = pc.if_else(differs, unread, digests)
        else:
            self._take(present.filter(differs))
        rows = pa.table([keys, digests], schema=self._stored)
        rows = rows.filter(pc.is_valid(rows[DIGEST]))  # a new row that was not read is not known
        return rows, not rows.equals(stored)

    def condition(self) -> sql.Fragment:
        """The condition on the rows ``t`` that were read as changes; on all rows, where those are many."""
        if not self._part.rows:
            return NONE
        if self._part.rows > NAMED_KEYS:
            return ALL
        keys = sql.joined(", ", [sql.constant(key) for key in self._named])
        return sql.compose("t.$key IN ($keys)", key=sql.identifier(self._plan.key), keys=keys)

    def _take(self, rows: pa.Table) -> None:
        if rows.num_rows and self._part.rows + rows.num_rows <= NAMED_KEYS:
            self._named += rows[KEY].cast(pa.string()).to_pylist()
        self._budget.take(rows.num_rows, rows.nbytes)
        self._part.write(rows.select(range(2, rows.num_columns)).cast(self._part.schema))

    def _check_unique(self, keys: pa.Array) -> None:
        if keys.null_count or pc.count_distinct(keys).as_py() != len(keys):
            fault = "NULL" if keys.null_count else "not unique"
            raise SourceError(
                f"The key {self._plan.key} of {self._plan.name} is {fault} in some rows, so that they cannot be told "
                "apart. Nothing was extracted. Declare a column that is a key."
            )
