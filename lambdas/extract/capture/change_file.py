"""The changes of one table as they come: into a file, each once, with what must be remembered of them."""

from __future__ import annotations

from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.lake.manifest import File
from ...shared.lake.parquet import ParquetPart
from ...shared.lake.store import Lake
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from ..limits import Budget
from ..source.reader import AGAIN, NOW, XMIN, lake_schema, read, select_columns, written_since
from ..table_plan import TablePlan


class Changes:
    """Reads changed rows of one table into one file. Use it with ``with``; ``store`` before the block ends."""

    def __init__(self, connection: Connection, lake: Lake, plan: TablePlan, budget: Budget) -> None:
        self._connection, self._lake, self._plan, self._budget = connection, lake, plan, budget
        self._schema = lake_schema(plan.columns)
        self.wire = pa.schema([*self._schema, (XMIN, pa.int64()), (AGAIN, pa.bool_())])
        seen = None if plan.whole else plan.before.seen
        self._before = lake.table(seen.key) if seen else None
        self._told = _marks(self._before) if self._before is not None else None
        self._part = ParquetPart(self._schema)
        self._keys: list[pa.ChunkedArray] = []
        self._seen: list[pa.Table] = []

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *failure: object) -> None:
        """Forgets the file."""
        self._part.__exit__(None, None, None)

    def query(self, condition: sql.Fragment) -> sql.Fragment:
        """The query for the rows ``t`` under ``condition``, as ``add`` wants them."""
        return sql.compose(
            "SELECT $columns, t.xmin, $again FROM $table AS t WHERE $condition",
            columns=select_columns(self._plan.columns),
            again=written_since(sql.setting(NOW)),
            table=sql.table(self._plan.name),
            condition=condition,
        )

    def read(self, condition: sql.Fragment, *, keep_keys: bool = True) -> None:
        """Reads the rows under ``condition``, in any order."""
        read(self._connection, self.query(condition), self.wire, lambda rows: self.add(rows, keep_keys=keep_keys))

    def add(self, rows: pa.Table, *, keep_keys: bool = True) -> None:
        """Takes rows of ``query``; those that an earlier batch has told are not told again.

        ``keep_keys``: whether their keys are wanted in ``keys``.
        """
        width = len(self._schema)
        marks = pa.table({self._plan.key: rows[self._plan.key], XMIN: rows.column(width)})
        self._seen.append(marks.filter(rows.column(width + 1)))
        if self._told is not None:
            rows = rows.filter(pc.invert(pc.is_in(_marks(marks), value_set=self._told)))
        if keep_keys:
            self._keys.append(rows[self._plan.key])
        self._budget.take(rows.num_rows, rows.nbytes)
        self._part.write(rows.select(range(width)).cast(self._schema))

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self._part.rows)

    @property
    def keys(self) -> pa.ChunkedArray:
        """The keys of those that were to be kept."""
        chunks = [chunk for column in self._keys for chunk in column.chunks]
        return pa.chunked_array(chunks, self._plan.key_field.type)

    def seen(self, *, with_earlier: bool = False) -> pa.Table | None:
        """(key, xmin) of the rows that will be met again; ``with_earlier``: and of those not met in this run."""
        found = [*self._seen]
        if with_earlier and self._before is not None:
            found.append(self._before.cast(found[0].schema) if found else self._before)
        return pa.concat_tables(found) if found else None

    def store(self, key: str) -> File | None:
        """Stores the file as ``key``; None where there is no change."""
        return upload(self._lake, self._part, key)


def upload(lake: Lake, part: ParquetPart, key: str) -> File | None:
    """Ends ``part`` and stores it as ``key``; None where it has no rows."""
    if not part.rows:
        return None
    part.finish()
    lake.upload(key, part.file)
    return File(key, part.rows)


def store(lake: Lake, rows: pa.Table | None, key: str) -> File | None:
    """Stores ``rows`` as ``key``; None where there are none."""
    if rows is None or not rows.num_rows:
        return None
    with ParquetPart(rows.schema) as part:
        part.write(rows)
        return upload(lake, part, key)


def _marks(rows: pa.Table) -> pa.ChunkedArray:
    """One text per (key, xmin): the key may hold anything, the xmin is digits, so that no two pairs look the same."""
    key, xmin = (pc.cast(column, pa.string()) for column in rows.columns)
    return pc.binary_join_element_wise(key, xmin, "/")
