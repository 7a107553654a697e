"""The lock of those that write a warehouse: loads, replays, rebuilds. One of them at a time; the others do nothing."""

from __future__ import annotations

from ....shared.duckdb.connection import DuckdbConnection
from ....shared.postgres.connection import Connection
from ..schemas import SchemaNames


def acquire_lock(connection: Connection, schemas: SchemaNames) -> bool:
    """Acquires the advisory lock of the warehouse's writers, without waiting; returns whether it did.

    The lock is of session level: PostgreSQL releases it when the session ends, however it ends.
    https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
    """
    if isinstance(connection, DuckdbConnection):  # no other process has the file open
        return connection.lock_writers()
    return bool(connection.rows("SELECT pg_try_advisory_lock(CAST(:key AS bigint))", key=schemas.lock)[0][0])
