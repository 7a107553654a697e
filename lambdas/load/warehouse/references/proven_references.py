"""Foreign keys of which every row to be written is known to be right, because the rows they refer to are locked.

PostgreSQL checks each row of each foreign key by a query of its own: 27 us for a row of nine foreign keys, most of what
a delta of 100,000 rows takes. The same can be asked for all rows together: every row that they refer to is there and is
locked FOR KEY SHARE, as PostgreSQL itself locks it, until the transaction ends. No session can delete it or change its
key meanwhile, and one that tries afterwards finds the new rows. Another check of each row would add nothing. With
``session_replication_role`` a role that has the right to set it keeps its own session from firing triggers, and load
does so for the one statement that writes exactly these rows. Other sessions go on to check theirs.
https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SESSION-REPLICATION-ROLE
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pg8000.exceptions import DatabaseError

from ....shared.postgres import sql
from ....shared.postgres.connection import Connection
from .requirements import FOREIGN_KEYS

FEW = 1_000  # rows: below, the questions take as long as the checks
_SAVEPOINT = "references_locked"
_SET_ROLE = "SELECT set_config('session_replication_role', :role, true)"
_PRESENT_ROLE = "SELECT current_setting('session_replication_role')"
# That nothing but the checks of the foreign keys would not be run: no trigger, no rule, no other check by a trigger;
# and that each foreign key asks what `_LOCK` asks: for equality, of the same types, in a plain table, MATCH SIMPLE.
_IS_PLAIN = """
    WITH keys AS (
        SELECT * FROM pg_catalog.pg_constraint WHERE conrelid = CAST(:table AS regclass) AND contype = 'f'
    ), tables AS (SELECT CAST(:table AS regclass) AS member UNION SELECT confrelid FROM keys)
    SELECT NOT EXISTS (
            SELECT FROM pg_catalog.pg_class AS c JOIN tables ON member = c.oid
            WHERE c.relkind <> 'r' OR c.relispartition
        ) AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_trigger AS t JOIN tables ON member = t.tgrelid WHERE NOT t.tgisinternal
        ) AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_rewrite AS w JOIN tables ON member = w.ev_class
        ) AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_trigger AS t LEFT JOIN keys ON keys.oid = t.tgconstraint
            WHERE t.tgrelid = CAST(:table AS regclass) AND t.tgtype & $inserts <> 0 AND keys.oid IS NULL
        ) AND NOT EXISTS (
            SELECT FROM keys WHERE confrelid = conrelid OR confmatchtype <> 's'
        ) AND NOT EXISTS (
            SELECT FROM keys JOIN pg_catalog.pg_class AS i ON i.oid = conindid
            JOIN pg_catalog.pg_am AS m ON m.oid = i.relam WHERE m.amname <> 'btree'
        ) AND NOT EXISTS (
            SELECT FROM keys CROSS JOIN LATERAL unnest(conkey, confkey, conpfeqop) AS p(own, other, equality)
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = conrelid AND a.attnum = p.own
            JOIN pg_catalog.pg_attribute AS b ON b.attrelid = confrelid AND b.attnum = p.other
            JOIN pg_catalog.pg_operator AS o ON o.oid = p.equality
            WHERE a.atttypid <> b.atttypid OR o.oprname <> '=' OR o.oprnamespace <> 'pg_catalog'::regnamespace
        )
"""
_INSERTS = 4  # the bit of a trigger that fires on INSERT
_LOCK = """
    WITH referred AS (SELECT DISTINCT $columns FROM $rows AS s WHERE $is_set),
    locked AS (SELECT FROM ONLY $table AS r WHERE ($keys) IN (SELECT $columns FROM referred) FOR KEY SHARE OF r)
    SELECT (SELECT count(*) FROM referred) = (SELECT count(*) FROM locked)
"""


def lock_referenced(
    connection: Connection, relation: sql.Fragment, columns: tuple[str, ...], rows: sql.Fragment
) -> bool:
    """Locks what ``rows``, which are to be written to the table ``relation``, refer to; returns whether it is all.

    ``rows``: a table with these ``columns`` of ``relation``. False also where its foreign keys must check each row:
    because of a trigger, a rule, or a form of theirs; or because the role has not the right to keep them from it. Runs
    within a transaction, whose end releases the locks.
    """
    references = connection.rows(FOREIGN_KEYS, relation=relation)
    if not references or not all(set(own) <= set(columns) for _, _, own, _ in references):
        return False
    is_plain = sql.compose(_IS_PLAIN, inserts=sql.number(_INSERTS))
    if not connection.rows(is_plain, table=relation)[0][0]:
        return False
    connection.run(f"SAVEPOINT {_SAVEPOINT}")
    try:
        with without_triggers(connection):  # whether the role has the right
            pass
        found = all(
            connection.rows(_lock(sql.table(table, schema), tuple(own), tuple(keys), rows))[0][0]
            for schema, table, own, keys in references
        )
    except DatabaseError:  # a right is missing, or another session has what is to be locked
        found = False
    if not found:
        connection.run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
    connection.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    return found


@contextmanager
def without_triggers(connection: Connection) -> Iterator[None]:
    """Within it no trigger of this session fires. An error ends the transaction, and the setting with it."""
    before = str(connection.rows(_PRESENT_ROLE)[0][0])
    connection.run(_SET_ROLE, role="replica")
    yield
    connection.run(_SET_ROLE, role=before)


def _lock(table: sql.Fragment, own: tuple[str, ...], keys: tuple[str, ...], rows: sql.Fragment) -> sql.Fragment:
    is_set = [sql.compose("s.$column IS NOT NULL", column=sql.identifier(column)) for column in own]
    return sql.compose(
        _LOCK,
        table=table,
        columns=sql.columns(own),
        keys=sql.columns(keys, of="r"),
        rows=rows,
        is_set=sql.joined(" AND ", is_set),
    )
