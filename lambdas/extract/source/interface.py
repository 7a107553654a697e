"""What extract needs of a source: the seam for another database. PostgreSQL is the one implementation (``postgres``).

Rows are Arrow tables, passed to a callback while they arrive; which rows is a ``RowSet``. SQL stays behind this seam.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from ...shared.lake.manifest import SourceIdentity
from ...shared.lake.parquet import own_field
from ...shared.messages.read_events import SharedSnapshot
from ...shared.model.declarations import SourceTable
from ..row_set import Key, RowSet, StoredBetween
from .catalog import TableInfo
from .reader import Consumer, lake_schema

XMIN, WILL_BE_REREAD = "xmin", own_field("_will_be_reread")  # fields beside the columns; neither is stored with them
ROW_HASH = own_field("_row_hash")  # after the key and before the columns, where rows are compared by a hash


@dataclass(frozen=True)
class RowCounts:
    """How many rows a table has."""

    total: int | None = 0
    """None: they were not counted."""
    selected: int = 0
    """How many of them are in the row set that was asked for."""


class SourceSnapshot(Protocol):
    """The source as of one snapshot. Valid inside the ``with`` block of ``Source.snapshot``."""

    def position(self) -> SourceIdentity:
        """Which server this is and how far it has come: the manifest stores it, and the next run reads from there."""

    def full_refresh_reason(self, previous: SourceIdentity | None) -> str | None:
        """Why rows written since ``previous`` cannot be found, so that all must be read; None where they can."""

    def is_within_horizon(self, xmin: int) -> bool:
        """Whether rows written since ``xmin`` can still be found."""

    def shows_the_same(self, previous: SourceIdentity | None) -> bool:
        """Whether every table that shows its changes has the rows that it had in ``previous``, the snapshot of a batch:
        no transaction has ended since. False where that is not certain.
        """

    def describe(self, tables: Collection[SourceTable]) -> Mapping[str, TableInfo]:
        """Name -> columns, identity and size of each table. The methods below take tables described before.

        Raises SourceError for tables whose declared key does not identify their rows.
        """

    def count(self, selections: Mapping[str, RowSet], partial: Collection[str] = ()) -> Mapping[str, RowCounts]:
        """The rows of each table by its name, and how many of them are in the table's selection.

        Of the tables in ``partial`` only the latter: their total is None.
        """

    def changed(self, table: TableInfo, rows: RowSet, consume: Consumer) -> None:
        """Passes the rows of ``rows``, in no order, as tables of ``change_schema(table)``."""

    def changed_range(self, table: TableInfo, rows: RowSet, after: Key | None, limit: int, consume: Consumer) -> None:
        """Passes the first ``limit`` rows of ``rows`` whose keys sort after ``after``, in the order of their keys.

        None: from the first key. Tables of ``change_schema(table)``.
        """

    def keys(self, table: TableInfo, consume: Consumer, *, dense: bool) -> None:
        """Passes every key of the table, sorted, as tables of ``table.key_schema``.

        ``dense``: they are expected to be integers of which hardly one is missing between the first and the last, which
        may take less to read and changes nothing else.
        """

    def row_hashes(self, table: TableInfo, consume: Consumer) -> None:
        """Passes every row, sorted by its key, as tables of ``row_hash_schema(table)``."""

    def related(self, table: TableInfo, rows: RowSet, consume: Consumer, limit: int | None = None) -> None:
        """Passes the rows of ``rows``, in no order, as tables of ``lake_schema(table.columns)``; at most ``limit``."""

    def export(self) -> SharedSnapshot:
        """This snapshot, for others to import until the block ends. Raises SnapshotLostError where it cannot be."""

    def check(self, shared: SharedSnapshot) -> None:
        """Keeps what ``export`` returned open; call it every minute. Raises SnapshotLostError where it is not."""

    def free_connections(self) -> int:
        """How many connections more the source accepts; 0 where it cannot read ranges."""

    def ranges(self, table: TableInfo, rows: int, count: int) -> Sequence[StoredBetween]:
        """About ``count`` ranges of a table of so many ``rows``: each row of this snapshot is in exactly one."""

    def sums(self, table: TableInfo, rows: RowSet) -> tuple[int, Mapping[str, int]]:
        """How many rows are in ``rows``; and column -> the sum of its values, as ``shared_snapshot.Sums`` has it."""


class Source(Protocol):
    """A database from which extract reads."""

    def snapshot(self, tables: Collection[SourceTable]) -> AbstractContextManager[SourceSnapshot]:
        """One consistent snapshot of ``tables``, which cannot be altered or truncated until the block ends.

        Raises SourceError for a table that is missing, that may not be read, or whose changes cannot be found.
        """

    def imported(self, shared: SharedSnapshot) -> AbstractContextManager[SourceSnapshot]:
        """The snapshot that another session has exported. Raises SnapshotRefusedError where it cannot be had here."""

    def commit_times(self, transactions: Sequence[int]) -> Sequence[datetime] | None:
        """When those of ``transactions`` committed, ids as rows have them, of which that is known; in no order.

        Asked after the snapshot, so that no failure of it can harm a batch. None where the source keeps no such times.
        """


def change_schema(table: TableInfo) -> pa.Schema:
    """The schema of changed rows.

    The fields of ``lake_schema(table.columns)``, then ``xmin: int64``, the transaction that wrote the row, and
    ``_will_be_reread: bool``, whether the next run selects the row again although it does not change.
    """
    return pa.schema([*lake_schema(table.columns), (XMIN, pa.int64()), (WILL_BE_REREAD, pa.bool_())])


def row_hash_schema(table: TableInfo) -> pa.Schema:
    """The schema of rows with hashes.

    The columns of the key in their types, under names of their own; ``_row_hash: string``, 32 hexadecimal digits of
    SHA-256 over the row as text; and then the fields of ``lake_schema(table.columns)``.
    """
    keys = [(own_field(f"_key_{number}"), column.arrow) for number, column in enumerate(table.key_columns)]
    return pa.schema([*keys, (ROW_HASH, pa.string()), *lake_schema(table.columns)])
