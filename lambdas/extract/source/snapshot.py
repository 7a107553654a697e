"""One snapshot of the source: of which server, as of when, and the tables that are locked for it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pg8000.exceptions import DatabaseError

from ...shared.errors import SourceError
from ...shared.lake.manifest import SourceIdentity
from ...shared.model.declarations import SourceTable
from ...shared.postgres import sql
from ...shared.postgres.connection import SESSION, Connection, transaction
from ...shared.postgres.server_errors import message, sqlstate

XID_HORIZON = 2**31  # transactions: an id that is older compares as newer, as ids have 32 bits and wrap around

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_POSITION = (
    "SELECT (SELECT system_identifier::text FROM pg_control_system()),"
    # A primary's last checkpoint may be of the timeline before; a standby writes no log of its own.
    " CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())"
    " ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END,"
    " current_database(), (SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = current_database()),"
    " pg_snapshot_xmin(pg_current_snapshot())::text,"
    " (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,"
    " (SELECT coalesce(extract(epoch FROM stats_reset) * 1000000, 0)::bigint FROM pg_catalog.pg_stat_bgwriter),"
    " (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END"
    " - CAST('0/0' AS pg_lsn))::bigint,"
    " pg_snapshot_xmax(pg_current_snapshot())::text, pg_is_in_recovery()"
)


@dataclass(frozen=True)
class Snapshot:
    """Which server a run reads, and as of when."""

    identity: SourceIdentity
    is_standby: bool

    @property
    def xmax(self) -> int:
        """The transaction after the last that had ended, an xid8: what it or a later one writes is not seen."""
        return self.identity.snapshot_xmax

    def is_within_horizon(self, xmin: int) -> bool:
        """Whether the age of rows written since ``xmin`` still shows that they were."""
        return self.xmax - xmin < XID_HORIZON


@contextmanager
def snapshot(connection: Connection, tables: Collection[SourceTable]) -> Iterator[Snapshot]:
    """A read-only REPEATABLE READ transaction: all its queries see one snapshot. ``tables``: those to lock.

    The tables are locked in ACCESS SHARE mode, which only schema changes and TRUNCATE wait for, before the snapshot is
    taken: TRUNCATE is not MVCC-safe (https://www.postgresql.org/docs/current/mvcc-caveats.html), and columns must not
    change while they are read. On a hot standby the snapshot is the primary's as of the replayed WAL
    (https://www.postgresql.org/docs/current/hot-standby.html). Raises SourceError for a table that is missing or that
    the user may not read.
    """
    with transaction(connection, BEGIN):
        _lock(connection, tables)
        set_for_transaction(connection)
        yield current(connection)


def set_for_transaction(connection: Connection, more: Mapping[str, str] | None = None) -> None:
    """Gives this transaction the settings of every session, and ``more``: a pooler may give each transaction another
    session. This takes the snapshot where none was taken yet.
    """
    connection.run(
        "SELECT set_config(name, setting, true) FROM json_each_text(CAST(:settings AS json)) AS s(name, setting)"
        " WHERE current_setting(name, true) IS NOT NULL",
        settings=json.dumps({**SESSION, **(more or {})}),
    )


def current(connection: Connection) -> Snapshot:
    """The snapshot of the transaction of ``connection``, which is taken by this where none was yet."""
    identifier, timeline, database, oid, xmin, started, reset, wal, xmax, standby = connection.rows(_POSITION)[0]
    identity = SourceIdentity(identifier, int(timeline), database, oid, int(xmin), started, reset, wal, int(xmax))
    return Snapshot(identity, standby)


def _lock(connection: Connection, tables: Collection[SourceTable]) -> None:
    """Locks all in one statement. Where that fails, locks one by one with NOWAIT to find the table that failed."""
    if not tables:
        return
    names = sql.joined(", ", [table.sql_name for table in tables])
    try:
        connection.run(sql.compose("LOCK TABLE $names IN ACCESS SHARE MODE", names=names))
    except DatabaseError:
        connection.run("ROLLBACK")
        connection.run(BEGIN)
        for table in tables:
            _lock_now(connection, table)


def _lock_now(connection: Connection, table: SourceTable) -> None:
    try:
        connection.run(sql.compose("LOCK TABLE $table IN ACCESS SHARE MODE NOWAIT", table=table.sql_name))
    except DatabaseError as error:
        problem = {
            "42P01": "does not exist. Restore it, or take it out of the declaration",
            "42501": "may not be read by this user. Grant SELECT on it",
            "55P03": "stays locked by a session that is changing it. Try again when that is done",
        }.get(sqlstate(error), message(error))
        raise SourceError(f"The source table {table.name} {problem}. Nothing was extracted.") from error
