"""The file of one table's changes: each change once, with what the next run needs to recognize reread rows."""

from __future__ import annotations

from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.lake.manifest import DataFile
from ...shared.lake.parquet import ParquetPart
from ...shared.lake.store import Lake
from ..row_set import RowSet
from ..source.interface import XMIN
from ..source.reader import lake_schema
from ..table_plan import CaptureRun, TablePlan
from .sorted_keys import contained


class ChangeFile:
    """Writes changed rows of one table into one file. A context manager: ``store`` before the block ends."""

    def __init__(self, run: CaptureRun, plan: TablePlan) -> None:
        self._run, self._plan = run, plan
        self._schema = lake_schema(plan.info.columns)
        in_flight = None if plan.full_refresh else plan.before.in_flight
        self._before = run.lake.table(in_flight.key) if in_flight else None
        self._part = ParquetPart(self._schema)
        self._keys: list[pa.Table] = []
        self._in_flight: list[pa.Table] = []

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *failure: object) -> None:
        """Deletes the local file."""
        self._part.__exit__(None, None, None)

    def read(self, rows: RowSet, *, keep_keys: bool = True) -> None:
        """Adds ``rows``, in any order."""
        self._run.snapshot.changed(self._plan.info, rows, lambda chunk: self.add(chunk, keep_keys=keep_keys))

    def add(self, rows: pa.Table, *, keep_keys: bool = True) -> None:
        """Adds ``rows``, of ``change_schema``, without those whose (key, xmin) an earlier batch has reported.

        ``keep_keys``: whether ``keys`` shall contain theirs.
        """
        width = len(self._schema)
        versions = rows.select([*self._plan.keys, XMIN])
        self._in_flight.append(versions.filter(rows.column(width + 1)))
        if self._before is not None:
            rows = rows.filter(pc.invert(_reported(versions, self._before)))
        if not self._plan.full_refresh and self._plan.before.backfill is None:
            self._run.transactions.add(rows.column(width))
        if keep_keys:
            self._keys.append(rows.select(self._plan.keys))
        self._run.budget.take(rows.num_rows, rows.nbytes)
        self._write(rows.select(range(width)).cast(self._schema))

    def _write(self, rows: pa.Table) -> None:
        """Writes ``rows``, in the schema of the file."""
        self._part.write(rows)

    @property
    def keys(self) -> pa.Table:
        """The keys of the rows added with ``keep_keys``, in the order added."""
        return pa.concat_tables([self._plan.key_schema.empty_table(), *self._keys]).drop_null()

    def in_flight(self, *, with_earlier: bool = False) -> pa.Table | None:
        """The key's columns, and ``xmin: int64``, of the rows that the next run rereads; None where none were added.

        ``with_earlier``: and of those from the last batch, which this run may not have read.
        """
        found = [*self._in_flight]
        if with_earlier and self._before is not None:
            found.append(self._before.cast(found[0].schema) if found else self._before)
        return pa.concat_tables(found) if found else None

    def store(self) -> DataFile | None:
        """Uploads the file; None where there is no change."""
        return upload(self._run.lake, self._part, f"{self._run.prefix(self._plan.name)}.changes.parquet")


def upload(lake: Lake, part: ParquetPart, key: str) -> DataFile | None:
    """Finishes ``part`` and uploads it as ``key``; None where it has no rows."""
    if not part.rows:
        return None
    part.finish()
    lake.upload(key, part.file)
    return DataFile(key, part.rows)


def store(lake: Lake, rows: pa.Table | None, key: str) -> DataFile | None:
    """Stores ``rows`` as ``key``; None where there are none."""
    if rows is None or not rows.num_rows:
        return None
    with ParquetPart(rows.schema) as part:
        part.write(rows)
        return upload(lake, part, key)


def _reported(versions: pa.Table, before: pa.Table) -> pa.ChunkedArray:
    """Of each of ``versions``, the key's columns and xmin, whether it is among ``before``, also of another type."""
    if versions.schema != before.schema:
        versions, before = _as_text(versions), _as_text(before)
    return contained(versions, before)


def _as_text(rows: pa.Table) -> pa.Table:
    return pa.table([column.cast(pa.string()) for column in rows.columns], rows.column_names)
