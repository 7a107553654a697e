"""What load needs of a warehouse: the seam for another database. PostgreSQL is the one implementation (``postgres``).

Rows are Arrow tables, read from the lake before the transaction that stages them. SQL and the driver stay behind this
seam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from ...shared.errors import WarehouseError
from ...shared.lake.manifest import ProcessedManifest
from ...shared.model.declarations import Declarations, WarehouseTable
from .read_ahead import ReadAhead


@dataclass(frozen=True)
class LedgerEntry:
    """The last batch loaded, None where there is none yet; times in ISO 8601, UTC."""

    batch: int | None = None
    extracted_at: str | None = None
    loaded_at: str | None = None


@dataclass(frozen=True)
class Staging:
    """A staging table, or a table of keys, of one batch's transaction."""

    name: str


@dataclass(frozen=True)
class FirstRows:
    """The rows that a batch has for a table, which may be the first ones of it."""

    table: WarehouseTable
    rows: int
    """How many they are."""
    read: Callable[[Sequence[str]], Iterable[pa.Table]]
    """Reads these columns of them; the same rows in the same order at each call."""


class RefusedError(WarehouseError):
    """The warehouse refused a statement of a batch. The batch's transaction is rolled back."""

    def __init__(self, reason: str, *, is_unprepared: bool, is_about_a_row: bool = False) -> None:
        super().__init__(reason)
        self.is_unprepared = is_unprepared
        """A table, a column or a unique key is missing that the preparation creates."""
        self.is_about_a_row = is_about_a_row
        """What a row contains is refused: others may be accepted."""


class WarehouseBatch(Protocol):
    """The transaction of one batch. Valid inside the ``with`` block of ``Warehouse.begin``."""

    def stage(self, table: WarehouseTable, rows: Iterable[pa.Table]) -> Staging:
        """Stages ``rows``, Arrow tables whose fields include ``table.column_names``; at most once per table."""

    def reject_refused(self, table: WarehouseTable, staging: Staging) -> int:
        """Rejects the staged rows that the warehouse itself refuses, where rows of the table are tried.

        They are not staged any more. Returns how many they were.
        """

    def discard_refused(self) -> None:
        """Forgets that the warehouse refused rows of the batch, which is applied again."""

    def fill(self, table: WarehouseTable, read: Callable[[Sequence[str]], Iterable[pa.Table]], rows: int) -> int | None:
        """Writes the batch's rows, if they are the first of ``table`` and all can be written; returns how many.

        ``read``: reads these columns of them, the same at each call. None, and nothing is written, where they must be
        staged.
        """

    def drop_unchanged(self, table: WarehouseTable, staging: Staging) -> Staging:
        """The staged rows without those of a fact that are no new versions of their keys, which cost nothing more."""

    def defer_unresolved(self, table: WarehouseTable, staging: Staging) -> int:
        """Moves the staged rows that do not meet the requirements of ``table`` to the pending rows.

        Returns how many were moved.
        """

    def apply(self, table: WarehouseTable, staging: Staging) -> int:
        """Upserts the staged rows of a dimension, appends those of a fact that are new versions of their keys.

        Returns how many were new or different: none where the rows were applied before.
        """

    def supersede(self, table: WarehouseTable, staging: Staging) -> None:
        """Records that the staged rows are the latest of their keys.

        Their keys are not deleted any more. Of a dimension, what is pending or was rejected of them is discarded.
        """

    def delete(self, table: WarehouseTable, keys: Iterable[pa.Table]) -> None:
        """Records that ``keys`` are deleted: Arrow tables with the fields ``table.keys``. The published rows stay."""

    def discard_rejected(self, table: WarehouseTable, keys: Iterable[pa.Table]) -> None:
        """Discards what was rejected of deleted rows: ``keys`` are Arrow tables with the one field ``key: string``."""

    def write_resolved(self, table: WarehouseTable) -> int:
        """Writes the pending rows that meet the requirements now, each at its position in the history.

        Of a table that refers to itself, they may refer to one another. Returns how many rows were appended or
        upserted.
        """

    def count_pending(self, table: WarehouseTable) -> int:
        """How many rows of the batch are pending now."""

    def stage_changed_keys(
        self, table: WarehouseTable, rows: Iterable[pa.Table], deleted: Iterable[pa.Table] | None
    ) -> Staging | None:
        """Stages the keys of which the warehouse, as of the batch, differs from these rows and deleted keys.

        ``rows`` and ``deleted``: as for ``stage`` and ``delete``. None where no key differs.
        """

    def rebuild_history(self, table: WarehouseTable, keys: Staging, from_batch: int) -> int:
        """Rebuilds the history of ``keys`` from ``from_batch`` to the last batch loaded, as the lake has it.

        Returns how many rows were appended or upserted: none where the warehouse agrees with the lake.
        """

    def record(self, manifest: ProcessedManifest, written: Mapping[str, int]) -> None:
        """Adds the batch's ledger row, and the values that transform rejected. ``written``: rows per table."""

    def record_revision(
        self, declarations: Declarations, manifest: ProcessedManifest, written: Mapping[str, int]
    ) -> None:
        """Records that a revision of a loaded batch was applied, and replaces the batch's rejected values by its own.

        ``written``: rows per table.
        """


class Warehouse(Protocol):
    """A database into which load writes."""

    def check_prepared(self) -> None:
        """Raises NotPreparedError when the control tables are missing, or of another release."""

    def acquire_lock(self) -> bool:
        """Acquires the lock of the writers without waiting, until the session ends; returns whether it did."""

    def last_loaded(self) -> LedgerEntry:
        """The last batch loaded."""

    def applied_revisions(self) -> Mapping[int, int]:
        """Batch -> the newest revision of it that was applied, of the batches where it is not the first."""

    def differences(self, declarations: Declarations) -> list[str]:
        """Where the warehouse enforces other requirements than the declaration has: one sentence each."""

    def discard_leftovers(self) -> None:
        """Drops what a load left that was killed outside of a transaction. Needs the lock of the writers."""

    def beside(self, firsts: Iterable[FirstRows]) -> AbstractContextManager[Mapping[str, str]]:
        """Within it, and before ``begin``, the first rows of tables may lie beside them, unread.

        ``WarehouseBatch.fill`` then only lets them take their places. At the end, what did not is discarded. Returns by
        table how that was done, or why not, which ``fill`` adds to; nothing of a table for which there is no such way.
        """

    def begin(
        self,
        manifest: ProcessedManifest,
        last_loaded: int,
        reads: ReadAhead,
        tries_rows_of: frozenset[str] = frozenset(),
    ) -> AbstractContextManager[WarehouseBatch]:
        """The transaction of a batch: committed at the end of the block, rolled back when the block raises.

        ``tries_rows_of``: the tables of which rows that the warehouse refuses are rejected, and the others written.
        ``last_loaded``: the last batch before this transaction, up to which the history of a key may be needed. Within
        the block MissingHistoryError is raised where ``reads`` does not have it: the transaction must be repeated.
        Raises WarehouseError when another session has loaded a batch meanwhile; RefusedError, also out of the block,
        when the warehouse refuses a statement.
        """
