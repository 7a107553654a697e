"""What changed in one table: rows written since the last batch, each told once, and keys that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lambdas.extract.catalog import Column
from lambdas.extract.reading import AGAIN, XMIN, lake_schema, read, read_all, select_columns
from lambdas.shared import sql
from lambdas.shared.errors import SourceError
from lambdas.shared.lake import Lake
from lambdas.shared.manifest import File
from lambdas.shared.parquet import ParquetPart
from lambdas.shared.wire import Connection


@dataclass(frozen=True)
class Previous:
    """The last batch's keys of a table, and the (key, xmin) of rows that will be met again."""

    keys: File | None
    seen: File | None


@dataclass(frozen=True)
class TablePlan:
    """How one table is read. ``written``: the condition on its rows ``t``; ``written_again``: on those that the next
    run will meet again, because a transaction older than theirs is still open.
    """

    name: str
    key: str
    columns: Sequence[Column]
    written: sql.Fragment
    written_again: sql.Fragment
    previous: Previous
    relations: tuple[int, ...] = ()
    meaning: str = ""

    @property
    def key_type(self) -> pa.DataType:
        """The Arrow type of the key."""
        return next(column.arrow for column in self.columns if column.name == self.key)


@dataclass(frozen=True)
class Captured:
    """``keys`` is a File where the key set is what it was; else the new set, not yet stored. None: there is no row."""

    changes: File | None
    deleted: pa.Table | None
    keys: pa.Table | File | None
    seen: pa.Table | None

    def store_deleted(self, lake: Lake, prefix: str) -> File | None:
        """Stores the keys that are gone, if any."""
        return _store(lake, self.deleted, f"{prefix}.deleted.parquet")

    def store_keys(self, lake: Lake, prefix: str) -> File | None:
        """Stores the key set where it is a new one."""
        return self.keys if isinstance(self.keys, File) else _store(lake, self.keys, f"{prefix}.keys.parquet")

    def store_seen(self, lake: Lake, prefix: str) -> File | None:
        """Stores what the next run will meet again, if anything."""
        return _store(lake, self.seen, f"{prefix}.seen.parquet")


def capture(connection: Connection, lake: Lake, plan: TablePlan, prefix: str) -> Captured:
    """Reads what changed; rows go to the lake as they come, below ``prefix``. Changes nothing that counts yet."""
    total, written = connection.rows(
        sql.compose(
            "SELECT count(*), count(*) FILTER (WHERE $written) FROM $table AS t",
            written=plan.written,
            table=sql.table(plan.name),
        )
    )[0]
    changes, told, seen = (
        _read_changes(connection, lake, plan, f"{prefix}.changes.parquet") if written else (None, None, None)
    )
    before = plan.previous.keys
    if not written and total == (before.rows if before else 0):
        # Every present row was there at the last run, and there are as many of them: the key set is the same.
        return Captured(changes, None, before, seen)
    deleted, keys = _compare_keys(connection, lake, plan, told)
    return Captured(changes, deleted, keys, seen)


def read_context(
    connection: Connection, lake: Lake, plan: TablePlan, condition: sql.Fragment, prefix: str
) -> File | None:
    """Reads the rows that ``condition`` finds and stores them as the table's context. None where there are none."""
    query = sql.compose(
        "SELECT $columns FROM $table AS t WHERE $condition",
        columns=select_columns(plan.columns),
        table=sql.table(plan.name),
        condition=condition,
    )
    schema = lake_schema(plan.columns)
    with ParquetPart(schema) as part:
        read(connection, query, schema, part.write)
        return _upload(lake, part, f"{prefix}.context.parquet")


def _read_changes(
    connection: Connection, lake: Lake, plan: TablePlan, key: str
) -> tuple[File | None, pa.ChunkedArray, pa.Table]:
    """The file of the changes, their keys, and what the next run will meet again."""
    query = sql.compose(
        "SELECT $columns, t.xmin, $again FROM $table AS t WHERE $written",
        columns=select_columns(plan.columns),
        again=plan.written_again,
        table=sql.table(plan.name),
        written=plan.written,
    )
    schema = lake_schema(plan.columns)
    wire = pa.schema([*schema, (XMIN, pa.int64()), (AGAIN, pa.bool_())])
    told = _marks(lake.table(plan.previous.seen.key)) if plan.previous.seen else None
    keys: list[pa.ChunkedArray] = []
    seen: list[pa.Table] = []

    with ParquetPart(schema) as part:

        def consume(rows: pa.Table) -> None:
            marks = pa.table({plan.key: rows[plan.key], XMIN: rows.column(len(schema))})
            seen.append(marks.filter(rows.column(len(schema) + 1)))
            if told is not None:
                rows = rows.filter(pc.invert(pc.is_in(_marks(marks), value_set=told)))
            keys.append(rows[plan.key])
            part.write(rows.select(range(len(schema))).cast(schema))

        read(connection, query, wire, consume)
        changed = pa.chunked_array([chunk for column in keys for chunk in column.chunks], plan.key_type)
        return _upload(lake, part, key), changed, pa.concat_tables(seen)


def _marks(rows: pa.Table) -> pa.ChunkedArray:
    """One text per (key, xmin): the key may hold anything, the xmin is digits, so that no two pairs look the same."""
    key, xmin = (pc.cast(column, pa.string()) for column in rows.columns)
    return pc.binary_join_element_wise(key, xmin, "/")


def _compare_keys(
    connection: Connection, lake: Lake, plan: TablePlan, told: pa.ChunkedArray | None
) -> tuple[pa.Table | None, pa.Table | File | None]:
    """The keys that are gone, and the key set: the stored file where it is still the same.

    Raises SourceError for keys that are new, but in no row that was written since the last batch (``told``).
    """
    query = sql.compose("SELECT t.$key FROM $table AS t", key=sql.identifier(plan.key), table=sql.table(plan.name))
    present = read_all(connection, query, pa.schema([(plan.key, plan.key_type)]))
    stored = plan.previous.keys
    if stored is None:
        return None, present
    before = lake.table(stored.key)
    earlier = _same_type(before[plan.key], plan)
    gone = before.filter(pc.invert(pc.is_in(earlier, value_set=present[plan.key])))
    new = present.filter(pc.invert(pc.is_in(present[plan.key], value_set=earlier)))[plan.key]
    strange = new if told is None else new.filter(pc.invert(pc.is_in(new, value_set=told)))
    if len(strange):
        raise SourceError(
            f"The source table {plan.name} shows {len(strange)} rows that it did not show before, {plan.key} "
            f"{strange[0]} among them, although nobody wrote them since: a policy on its rows was changed, or a "
            "backup was put back. Nothing was extracted. Invoke extract once with the event "
            f'{{"full": ["{plan.name}"]}}.'
        )
    unchanged = not gone.num_rows and present.num_rows == before.num_rows
    return (gone if gone.num_rows else None), (stored if unchanged else present)


def _same_type(keys: pa.ChunkedArray, plan: TablePlan) -> pa.ChunkedArray:
    """Keys of an earlier batch in the type that the key has now: it may have been widened since."""
    return keys.cast(plan.key_type)


def _store(lake: Lake, rows: pa.Table | None, key: str) -> File | None:
    if rows is None or not rows.num_rows:
        return None
    with ParquetPart(rows.schema) as part:
        part.write(rows)
        return _upload(lake, part, key)


def _upload(lake: Lake, part: ParquetPart, key: str) -> File | None:
    if not part.rows:
        return None
    part.finish()
    lake.upload(key, part.file)
    return File(key, part.rows)
