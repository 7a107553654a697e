"""The lock of those that write a warehouse: loads, replays, rebuilds. One of them at a time; the others do nothing."""

from __future__ import annotations

from ....shared.postgres.connection import Connection
from ..schemas import SchemaNames


def acquire_lock(connection: Connection, schemas: SchemaNames) -> bool:
    """Acquires the advisory lock of the warehouse's writers, without waiting; returns whether it did.

    The lock is of session level: it is released when the session ends, however it ends.
    """
    return connection.try_lock(schemas.lock)


def acquire_transaction_lock(connection: Connection, schemas: SchemaNames) -> bool:
    """As :func:`acquire_lock`, for the transaction that is open."""
    return connection.try_lock(schemas.lock, of_transaction=True)
