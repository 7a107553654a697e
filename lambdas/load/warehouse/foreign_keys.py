"""The foreign keys of a table that gets very many rows: dropped, and added again after the rows were written.

PostgreSQL checks each row as it is written: with nine foreign keys a million rows take 43 s, of which the rows
themselves take 2. A foreign key that is added is checked for the full table in one query, by a join, in 0.1 s.
https://www.postgresql.org/docs/current/populate.html#POPULATE-RM-FKEYS
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pg8000.exceptions import DatabaseError

from ...shared.declarations import WarehouseTable
from ...shared.postgres import sql
from ...shared.postgres.connection import Connection
from .schemas import SchemaNames

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
      AND c.conislocal AND has_table_privilege(c.confrelid, 'REFERENCES')
      AND obj_description(c.oid, 'pg_constraint') IS NULL
    ORDER BY c.conname
"""
_SET_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', CAST(:timeout AS text), true)"
_ROWS = "SELECT reltuples FROM pg_catalog.pg_class WHERE oid = CAST(:table AS regclass)"


@contextmanager
def deferred_foreign_key_check(
    connection: Connection, schemas: SchemaNames, table: WarehouseTable, rows: int
) -> Iterator[None]:
    """Within it ``rows`` rows may be written to ``table``; at its end every row refers to an existing one.

    Runs within a transaction. Raises DatabaseError where a row refers to a missing one, as writing the row would. For
    many rows the foreign keys are dropped and added again; until the transaction ends, the locks of ALTER TABLE (ACCESS
    EXCLUSIVE) keep others from reading the table and the tables it refers to. Where one of these is in use or owned by
    another role, the foreign keys stay and check each row.
    """
    relation = schemas.table(table.name)
    dropped: list[str] = []
    if rows >= MANY and rows * _LARGEST_RATIO >= _known_rows(connection, relation):
        dropped = _drop(connection, relation)
    yield
    for statement in dropped:
        connection.run(statement)


def _known_rows(connection: Connection, relation: sql.Fragment) -> float:
    """The number of rows by the planner's statistics; 0 where there are none."""
    return max(0.0, float(connection.rows(_ROWS, table=relation)[0][0]))


def _drop(connection: Connection, relation: sql.Fragment) -> list[str]:
    """Drops the foreign keys of a table and returns the statements that add them; none where it cannot drop them."""
    references = connection.rows(_REFERENCES, table=relation)
    if not references:
        return []
    before = str(connection.rows("SELECT current_setting('lock_timeout')")[0][0])
    connection.run(f"SAVEPOINT {_SAVEPOINT}")
    try:
        connection.run(_SET_LOCK_TIMEOUT, timeout=_LOCK_TIMEOUT)
        for drop, _ in references:
            connection.run(str(drop))
        connection.run(_SET_LOCK_TIMEOUT, timeout=before)
    except DatabaseError:  # table in use or owned by another role: fall back to per-row checks
        connection.run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        return []
    connection.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    return [str(add) for _, add in references]
