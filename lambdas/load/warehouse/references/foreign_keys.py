"""The foreign keys of a table that gets many rows: checked together, not row by row.

PostgreSQL checks each row as it is written: with nine foreign keys a million rows take 43 s, of which the rows
themselves take 2. A foreign key that is dropped before, and added again after the rows were written, is checked for the
full table in one query, by a join, in 0.1 s.
https://www.postgresql.org/docs/current/populate.html#POPULATE-RM-FKEYS
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pg8000.exceptions import DatabaseError

from ....shared.model.declarations import WarehouseTable
from ....shared.postgres import sql
from ....shared.postgres.connection import Connection
from ..schemas import SchemaNames
from . import proven_references

MANY = 50_000  # rows: with nine foreign keys they take 2 s one by one
_LARGEST_RATIO = 20  # of a table that is more times larger than the new rows, the full table is not checked again
_SAVEPOINT = "references_dropped"
# Shorter than deadlock_timeout, after which PostgreSQL cancels one of two sessions that wait for each other: no query
# of a reader shall fail for this.
_LOCK_TIMEOUT = "500ms"

# Those that are validated, are not inherited, have no comment that would be lost, and may be added again. The server
# writes the statements.
_REFERENCES = """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname),
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
    FROM pg_catalog.pg_constraint AS c
    WHERE c.conrelid = CAST(:table AS regclass) AND c.contype = 'f' AND c.convalidated AND c.conparentid = 0
      AND has_table_privilege(c.confrelid, 'REFERENCES')
      AND obj_description(c.oid, 'pg_constraint') IS NULL
    ORDER BY c.conname
"""
_SET_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', CAST(:timeout AS text), true)"
_ROWS = "SELECT reltuples FROM pg_catalog.pg_class WHERE oid = CAST(:table AS regclass)"


@contextmanager
def deferred_foreign_key_check(
    connection: Connection, schemas: SchemaNames, table: WarehouseTable, rows: int, source: sql.Fragment | None = None
) -> Iterator[None]:
    """Within it ``rows`` rows may be written to ``table``; at its end every row refers to an existing one.

    ``source``: the table that has exactly these rows; None: it may be any. Runs within a transaction. Raises
    DatabaseError where a row refers to a missing one, as writing the row would.

    Where the role may do it, what the rows of ``source`` refer to is locked, and they are not checked one by one: see
    ``proven_references``. Otherwise, for many rows the foreign keys are dropped and added again; until the transaction
    ends, the locks of ALTER TABLE (ACCESS EXCLUSIVE) keep others from reading the table and the tables it refers to.
    Where one of these is in use or owned by another role, the foreign keys stay and check each row.
    """
    relation = schemas.table(table.name)
    if (
        source is not None
        and not connection.is_duckdb
        and rows >= proven_references.FEW
        and proven_references.lock_referenced(connection, relation, table.column_names, source)
    ):
        with proven_references.without_triggers(connection):
            yield
        return
    dropped: list[str] = []
    if not connection.is_duckdb and rows >= MANY and rows * _LARGEST_RATIO >= known_rows(connection, relation):
        dropped = drop(connection, relation)
    yield
    for statement in dropped:
        connection.run(statement)


def known_rows(connection: Connection, relation: sql.Fragment) -> float:
    """The number of rows by the planner's statistics; 0 where there are none."""
    return max(0.0, float(connection.rows(_ROWS, table=relation)[0][0]))


def drop(connection: Connection, relation: sql.Fragment) -> list[str]:
    """Drops the foreign keys of a table and returns the statements that add them; none where it cannot drop them."""
    references = connection.rows(_REFERENCES, table=relation)
    if not references:
        return []
    connection.run(f"SAVEPOINT {_SAVEPOINT}")
    try:
        with short_waits(connection):
            for statement, _ in references:
                connection.run(str(statement))
    except DatabaseError:  # table in use or owned by another role: fall back to per-row checks
        connection.run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        return []
    connection.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    return [str(add) for _, add in references]


def lock_soon(connection: Connection, relation: sql.Fragment) -> None:
    """Locks the table for this transaction alone. Raises DatabaseError where it is in use for longer than a moment."""
    with short_waits(connection):
        connection.run(sql.compose("LOCK TABLE ONLY $relation IN ACCESS EXCLUSIVE MODE", relation=relation))


@contextmanager
def short_waits(connection: Connection) -> Iterator[None]:
    """Within it a lock is waited for as long as _LOCK_TIMEOUT. An error must be followed by a rollback."""
    before = str(connection.rows("SELECT current_setting('lock_timeout')")[0][0])
    connection.run(_SET_LOCK_TIMEOUT, timeout=_LOCK_TIMEOUT)
    yield
    connection.run(_SET_LOCK_TIMEOUT, timeout=before)
