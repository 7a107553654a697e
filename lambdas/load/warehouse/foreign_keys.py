"""The foreign keys of a table that takes very many rows at once: checked for all of them together.

PostgreSQL checks each row as it is written: with nine foreign keys a million rows take 43 s, of which the rows
themselves take 2. A foreign key that is added is checked for the whole table at once, by a join, in 0.1 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pg8000.exceptions import DatabaseError

from ...shared.declarations import WarehouseTable
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from .schemas import Warehouse

MANY = 50_000  # rows: with nine foreign keys they take 2 s one by one
_SHARE = 20  # of a table that is so many times larger than what comes, the whole is not checked again
_SAVEPOINT = "references_dropped"
# Shorter than deadlock_timeout, after which PostgreSQL ends one of two who wait for each other: nobody's report shall
# fail for this.
_PATIENCE = "500ms"

# Those that are enforced, are the table's own, carry nothing that would be lost, and may be added again. The server
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
_SET_PATIENCE = "SELECT set_config('lock_timeout', :patience, true)"
_ROWS = "SELECT reltuples FROM pg_catalog.pg_class WHERE oid = CAST(:table AS regclass)"


@contextmanager
def checked_together(connection: Connection, warehouse: Warehouse, table: WarehouseTable, rows: int) -> Iterator[None]:
    """Within it ``rows`` rows may be written to ``table``; at its end they all refer to what is there.

    Belongs in a transaction. Raises DatabaseError where a row refers to nothing, as writing the row would. For many
    rows the foreign keys are dropped and made again, as they were; until the transaction ends nobody else reads the
    table or what it refers to. Where the table is in use or belongs to another role, they stay and check each row.
    """
    relation = warehouse.table(table.name)
    made_again: list[str] = []
    if rows >= MANY and rows * _SHARE >= _known_rows(connection, relation):
        made_again = _drop(connection, relation)
    yield
    for statement in made_again:
        connection.run(statement)


def _known_rows(connection: Connection, relation: sql.Fragment) -> float:
    """The rows of a table as the planner believes; none where it was never told."""
    return max(0.0, float(connection.rows(_ROWS, table=relation)[0][0]))


def _drop(connection: Connection, relation: sql.Fragment) -> list[str]:
    """Drops the foreign keys of a table and returns the statements that add them; none where that may not be."""
    references = connection.rows(_REFERENCES, table=relation)
    if not references:
        return []
    patience = str(connection.rows("SELECT current_setting('lock_timeout')")[0][0])
    connection.run(f"SAVEPOINT {_SAVEPOINT}")
    try:
        connection.run(_SET_PATIENCE, patience=_PATIENCE)
        for drop, _ in references:
            connection.run(str(drop))
        connection.run(_SET_PATIENCE, patience=patience)
    except DatabaseError:  # somebody reads it just now, or it is somebody else's: what is slower is as good
        connection.run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        return []
    connection.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    return [str(add) for _, add in references]
