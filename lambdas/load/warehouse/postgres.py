"""PostgreSQL as a warehouse: staging tables filled by COPY, and set-based SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa
from pg8000.exceptions import DatabaseError

from ...shared.lake.manifest import ProcessedManifest
from ...shared.model.declarations import Declarations, WarehouseTable
from ...shared.postgres import sql
from ...shared.postgres.connection import Connection, transaction
from ...shared.postgres.server_errors import message, sqlstate
from .control import ledger, lock, pending, rejects
from .interface import FirstRows, LedgerEntry, RefusedError, Staging
from .parallel import replacement
from .parallel.parallel_copy import Connections
from .parallel.parallel_filling import filled_beside
from .read_ahead import ReadAhead
from .references import refusals, requirements
from .schemas import LIVE, SchemaNames
from .session import Beside, TableKind, WarehouseSession, stage_deleted_keys, stage_rows, temporary
from .tables import dimensions, facts, filling, validity
from .tables.changed_keys import stage_changed_keys
from .tables.late_arrivals import rebuild_history

_UNPREPARED = ("42P01", "42703", "42P10")  # no such table, no such column, no unique key to upsert by
_UNDELETE = """
    UPDATE $deletion AS d SET undeleted_batch = $batch
    FROM $staging AS s WHERE d.table_name = $name AND d.key = $key_text_of_s AND d.undeleted_batch IS NULL
"""
_DELETE = """
    INSERT INTO $deletion (table_name, key, batch)
    SELECT $name, $key_text_of_s, $batch FROM $staging AS s
    WHERE NOT EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = $key_text_of_s AND d.undeleted_batch IS NULL
    )
"""


def kind_of(table: WarehouseTable) -> TableKind:
    """What the kind of ``table`` does: whether it keeps every version, or the latest row."""
    return facts if table.record else dimensions


class PostgresWarehouse:
    """The schemas of one warehouse in a PostgreSQL database, written through one connection: see Warehouse.

    ``connections``: further ones, over which the first rows of a large fact are copied; None: over the one.
    """

    def __init__(
        self, connection: Connection, schemas: SchemaNames = LIVE, connections: Connections | None = None
    ) -> None:
        self._connection, self._schemas, self._connections = connection, schemas, connections
        self._beside = Beside()

    def check_prepared(self) -> None:
        """Looks for the control tables and reads the format version."""
        ledger.check_prepared(self._connection, self._schemas)

    def acquire_lock(self) -> bool:
        """Acquires an advisory lock of session level."""
        return lock.acquire_lock(self._connection, self._schemas)

    def last_loaded(self) -> LedgerEntry:
        """The ledger's last row."""
        return ledger.last_entry(self._connection, self._schemas)

    def applied_revisions(self) -> Mapping[int, int]:
        """What the control table ``revision`` has."""
        return ledger.applied_revisions(self._connection, self._schemas)

    def differences(self, declarations: Declarations) -> list[str]:
        """Compares the declaration with the catalogs."""
        return requirements.differences(self._connection, declarations, self._schemas)

    def discard_leftovers(self) -> None:
        """Drops the tables that were filled beside facts, and took no place."""
        replacement.discard_leftovers(self._connection, self._schemas)

    @contextmanager
    def beside(self, firsts: Iterable[FirstRows]) -> Iterator[Mapping[str, str]]:
        """Tables in the control schema, where there are connections for it."""
        if self._connections is None or self._connections.most < 2:
            yield {}
            return
        with filled_beside(self._connection, self._schemas, self._connections, firsts) as self._beside:
            try:
                yield self._beside.notes
            finally:
                self._beside = Beside()

    @contextmanager
    def begin(
        self,
        manifest: ProcessedManifest,
        last_loaded: int,
        reads: ReadAhead,
        tries_rows_of: frozenset[str] = frozenset(),
    ) -> Iterator[PostgresBatch]:
        """A transaction of the connection, with the lock of the writers."""
        times = validity.times(self._schemas, manifest)
        session = WarehouseSession(
            self._connection, self._schemas, reads, kind_of, times, tries_rows_of, beside=self._beside
        )
        try:
            with transaction(self._connection):
                if not self._connection.is_duckdb:
                    self._connection.run("SET CONSTRAINTS ALL IMMEDIATE")  # a deferred one would fail at COMMIT
                ledger.check_unchanged(self._connection, self._schemas, last_loaded)
                yield PostgresBatch(session, manifest.batch, last_loaded)
        except DatabaseError as error:
            about = {"is_unprepared": sqlstate(error) in _UNPREPARED, "is_about_a_row": refusals.is_about_a_row(error)}
            raise RefusedError(message(error), **about) from error


class PostgresBatch:
    """A transaction of one connection: see WarehouseBatch for the methods."""

    def __init__(self, session: WarehouseSession, batch: int, last_loaded: int) -> None:
        self._session, self._batch, self._last_loaded = session, batch, last_loaded

    def stage(self, table: WarehouseTable, rows: Iterable[pa.Table]) -> Staging:
        """Copies the rows into a temporary table."""
        staging = Staging(f"staging_{table.name}")
        stage_rows(self._session, table, table.column_names, staging.name, rows)
        return staging

    def reject_refused(self, table: WarehouseTable, staging: Staging) -> int:
        """Tries each row by the statement of the table's kind."""
        if table.name not in self._session.tries_rows_of:
            return 0
        rows, kind = temporary(staging.name), self._session.kind_of(table)
        batch = sql.number(self._batch)
        return len(
            refusals.reject_refused(
                self._session, table, rows, batch, lambda one: kind.trial(self._session, table, one, self._batch)
            )
        )

    def discard_refused(self) -> None:
        """Deletes them from the control table."""
        rejects.discard_refused(self._session, self._batch)

    def fill(self, table: WarehouseTable, read: filling.Read, rows: int) -> int | None:
        """As the kind of the table does it."""
        return self._session.kind_of(table).fill(self._session, table, read, rows, self._batch)

    def drop_unchanged(self, table: WarehouseTable, staging: Staging) -> Staging:
        """As the kind of the table does it: into another temporary table."""
        fresh = Staging(f"fresh_{table.name}")
        into = temporary(fresh.name)
        return (
            fresh
            if self._session.kind_of(table).drop_unchanged(self._session, table, temporary(staging.name), into)
            else staging
        )

    def defer_unresolved(self, table: WarehouseTable, staging: Staging) -> int:
        """Moves them in one statement."""
        return pending.defer_unresolved(self._session, table, temporary(staging.name), self._batch)

    def apply(self, table: WarehouseTable, staging: Staging) -> int:
        """As the kind of the table does it."""
        return self._session.kind_of(table).apply(self._session, table, temporary(staging.name), self._batch)

    def supersede(self, table: WarehouseTable, staging: Staging) -> None:
        """Discards first, then undeletes."""
        _supersede(self._session, table, temporary(staging.name), self._batch)

    def delete(self, table: WarehouseTable, keys: Iterable[pa.Table]) -> None:
        """Stages the keys, then records those that are not deleted yet."""
        _delete(self._session, table, keys, self._batch)

    def discard_rejected(self, table: WarehouseTable, keys: Iterable[pa.Table]) -> None:
        """Stages the keys, as no column of the table can have them."""
        rejects.discard_keys(self._session, table, keys, self._batch)

    def write_resolved(self, table: WarehouseTable) -> int:
        """As the kind of the table does it."""
        return self._session.kind_of(table).write_resolved(self._session, table, self._last_loaded)

    def count_pending(self, table: WarehouseTable) -> int:
        """Counts them in the control table."""
        return pending.count_pending(self._session, table, self._batch)

    def stage_changed_keys(
        self, table: WarehouseTable, rows: Iterable[pa.Table], deleted: Iterable[pa.Table] | None
    ) -> Staging | None:
        """Compares the staged rows with the table as of the batch."""
        changed = Staging(f"changed_{table.name}")
        differ = stage_changed_keys(self._session, table, temporary(changed.name), rows, deleted, self._batch)
        return changed if differ else None

    def rebuild_history(self, table: WarehouseTable, keys: Staging, from_batch: int) -> int:
        """Stages what the lake has of the keys and replaces what differs."""
        return rebuild_history(self._session, table, temporary(keys.name), from_batch, self._last_loaded)

    def record(self, manifest: ProcessedManifest, written: Mapping[str, int]) -> None:
        """Writes the rejected values, then the ledger row."""
        rejects.record(self._session, manifest)
        if self._session.refused:
            rejects.record_refused(self._session)
        ledger.record(self._session.connection, self._session.schemas, manifest, written)

    def record_revision(
        self, declarations: Declarations, manifest: ProcessedManifest, written: Mapping[str, int]
    ) -> None:
        """Writes the rejected values, then the row of the revision."""
        rejects.replace(self._session, declarations, manifest, self._last_loaded)
        ledger.record_revision(self._session.connection, self._session.schemas, manifest, written)


def _supersede(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> None:
    """The staged rows of ``batch`` are the latest of their keys, and none of these keys is deleted any more."""
    session.kind_of(table).discard_superseded(session, table, staging, batch)
    session.run(_UNDELETE, **session.sql(table).parts, staging=staging, batch=sql.number(batch))


def _delete(session: WarehouseSession, table: WarehouseTable, keys: Iterable[pa.Table], batch: int) -> None:
    """Records that ``batch`` deletes ``keys``: Arrow tables with the fields ``table.keys``."""
    staging = stage_deleted_keys(session, table, keys)
    session.run(_DELETE, **session.sql(table).parts, staging=staging, batch=sql.number(batch))
    validity.refresh(session, table, staging)
    session.kind_of(table).discard_deleted(session, table, staging, batch)
