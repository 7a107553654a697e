"""One table of a source in memory, to be captured: what is asked of it, and what the lake then has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from lambda_toolkit.pipeline.lambdas.extract.capture.by_transaction import capture
from lambda_toolkit.pipeline.lambdas.extract.capture.change_file import store
from lambda_toolkit.pipeline.lambdas.extract.limits import DEFAULT_LIMITS, Budget, Limits
from lambda_toolkit.pipeline.lambdas.extract.row_set import (
    ALL,
    AllRows,
    Intersection,
    KeysAfter,
    KeysUpTo,
    NoRows,
    RowSet,
    Union,
    WithoutKey,
    WrittenSince,
)
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column, TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.interface import RowCounts, change_schema
from lambda_toolkit.pipeline.lambdas.extract.table_plan import Captured, CaptureRun, TablePlan
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import DataFile, KeyFile, SourceIdentity, TableFiles
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable
from tests.support.memory_s3 import MemoryS3

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
XMIN = 100  # of the present snapshot: the rows of it and of later ones are reread
SINCE = WrittenSince(50)
KNOWN = KeyFile("known.parquet", 9, "9")  # the keys 1 to 9
WRITTEN = DataFile("written.parquet", 1)  # the key 1


def is_in(rows: RowSet, key: int | None, xmin: int) -> bool:
    """Whether a row of that key and xmin is in ``rows``; a key of None is one that the lake cannot represent."""
    match rows:
        case AllRows():
            return True
        case NoRows():
            return False
        case WrittenSince(since):
            return xmin >= since
        case KeysUpTo((last,)):
            return key is not None and key <= int(last)
        case KeysAfter((last,)):
            return key is not None and key > int(last)
        case WithoutKey():
            return key is None
        case Intersection(parts):
            return all(is_in(part, key, xmin) for part in parts)
        case Union(parts):
            return any(is_in(part, key, xmin) for part in parts)
    raise AssertionError(rows)


class CapturedTable:
    """A table of (key, xmin), and what is asked of it; a key of None is one that the lake cannot represent."""

    def __init__(self, kind: str = "integer") -> None:
        s3 = MemoryS3()
        s3.create_bucket("lake")
        self.lake = Lake(s3, "lake")
        for file, keys in ((KNOWN, range(1, 10)), (WRITTEN, range(1, 2))):
            store(self.lake, pa.table({"id": pa.array(keys, pa.int32())}), file.key)
        self.info = TableInfo("t", ("id",), (Column("id", kind, is_key=True),), bytes=100)
        self.rows: dict[int | None, int] = {}
        self.asked: list[Any] = []
        self.deletes: timedelta | None = HOUR
        self.batch = 0
        self.fan_out: Any = None

    def in_flight(self, *rows: tuple[int, int]) -> DataFile | None:
        """The file of these (key, xmin)."""
        schema = pa.schema([("id", pa.int32()), ("xmin", pa.int64())])
        return store(self.lake, pa.Table.from_pylist([{"id": key, "xmin": x} for key, x in rows], schema), "in_flight")

    def position(self) -> SourceIdentity:
        """The present snapshot."""
        return SourceIdentity("7", 1, "db", 5, XMIN, 100, 200, 300, 110)

    def _pass(self, found: Sequence[tuple[int | None, int]], consume: Any) -> None:
        schema = change_schema(self.info)
        rows = [dict(zip(schema.names, (key, None, xmin, xmin >= XMIN), strict=True)) for key, xmin in found]
        if rows:
            consume(pa.Table.from_pylist(rows, schema))

    def changed(self, info: TableInfo, rows: RowSet, consume: Any) -> None:
        """As SourceSnapshot has it."""
        self.asked.append(rows)
        self._pass([(key, xmin) for key, xmin in self.rows.items() if is_in(rows, key, xmin)], consume)

    def changed_range(self, info: TableInfo, rows: RowSet, after: Any, limit: int, consume: Any) -> None:
        """As SourceSnapshot has it, two rows at a time."""
        self.asked.append((rows, after, limit))
        beyond: RowSet = KeysAfter(after) if after else ALL
        keys = sorted(key for key in self.rows if key is not None)
        found = [(key, self.rows[key]) for key in keys if is_in(rows, key, self.rows[key]) and is_in(beyond, key, 0)]
        for start in range(0, min(limit, len(found)), 2):  # two rows at a time
            self._pass(found[start : min(start + 2, limit)], consume)

    def keys(self, info: TableInfo, consume: Any, *, dense: bool) -> None:
        """As SourceSnapshot has it."""
        self.asked.append(("keys", dense))
        found = sorted(key for key in self.rows if key is not None)
        if found:
            consume(pa.table([found], schema=self.info.key_schema))

    def count(self, asked: Any) -> Any:
        """As SourceSnapshot has it."""
        self.asked.append(("count", asked["t"]))
        return {"t": RowCounts(len(self.rows), sum(is_in(asked["t"], *row) for row in self.rows.items()))}

    def plan(self, before: TableFiles | None = None, *, full: bool = False) -> TablePlan:
        """How it is read, with what the last batch recorded."""
        return TablePlan(SourceTable("t", ("id",), self.deletes), self.info, before, full, SINCE)

    def run(self, plan: TablePlan, counts: RowCounts, limits: Limits = DEFAULT_LIMITS) -> Captured:
        """What a run captures of it."""
        self.batch += 1
        self.asked.clear()
        snapshot: Any = self
        self.budget = Budget(limits)
        run = CaptureRun(
            snapshot, self.lake, self.budget, NOW, self.batch, f"run{self.batch:05d}", fan_out=self.fan_out
        )
        return capture(run, plan, counts)

    def found(self, file: DataFile | KeyFile | None) -> list[Any]:
        """The first column of a file."""
        return self.lake.table(file.key).column(0).to_pylist() if file else []


def table_files(**more: Any) -> TableFiles:
    """What the last batch recorded of it, with the keys 1 to 9."""
    return TableFiles({}, **{"key_columns": ("id",), "keys": (KNOWN,), **more})


def object_key(batch: int, kind: str) -> str:
    """The object key of a file of the batch."""
    return f"data/t/batch={batch:012d}/run{batch:05d}.{kind}.parquet"
