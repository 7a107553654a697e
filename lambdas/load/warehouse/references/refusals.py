"""Rows that the warehouse refuses beyond what the declaration requires: found by the server's own judgement.

A CHECK, a UNIQUE, an exclusion constraint, a domain or a trigger may refuse a row that meets every requirement known
here. The batch's transaction is then repeated, and of the table whose statement failed each row is tried alone. What is
refused becomes a rejected value with the server's reason, and all other rows are written.
"""

from __future__ import annotations

from collections.abc import Callable

from pg8000.exceptions import DatabaseError

from ....shared.model.declarations import WarehouseTable
from ....shared.postgres import sql
from ....shared.postgres.server_errors import sqlstate
from ..session import RefusedRow, WarehouseSession, temporary

REASON = "the warehouse refuses it"  # the beginning of the reason of such a rejected value
# Classes of SQLSTATE that say nothing about a row: the connection, the transaction, privileges and names, resources.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_NOT_ABOUT_A_ROW = ("08", "0A", "25", "26", "2D", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "XX")
_WAITING = ("23502", "23503")  # NOT NULL and foreign keys: such rows wait, see ``pending``

_ONE = """
    CREATE TEMPORARY VIEW $one AS SELECT * FROM $rows WHERE ctid = CAST(current_setting('load.tried_row') AS tid)
"""
_CREATE_REFUSED = """
    CREATE TEMPORARY TABLE $refused ON COMMIT DROP AS
    SELECT NULL::tid AS place, NULL::text AS name, NULL::text AS said WITH NO DATA
"""
# A subtransaction for each row, whose changes stay for the next: two rows may be refused only together.
_TRY = """
    DO $$tried_rows$$ #variable_conflict use_column
    DECLARE _tried_row tid; _tried_number bigint := 0; _refused_by text; _refused_because text;
    BEGIN
        FOR _tried_row IN SELECT s.ctid FROM $rows AS s ORDER BY $key_of_s LOOP
            _tried_number := _tried_number + 1;
            PERFORM set_config('load.tried_row', CAST(_tried_row AS text), true);
            BEGIN
                $statement;
            EXCEPTION WHEN OTHERS THEN
                IF left(SQLSTATE, 2) IN ($others) THEN
                    RAISE;
                ELSIF SQLSTATE NOT IN ($waiting) THEN
                    GET STACKED DIAGNOSTICS _refused_by = CONSTRAINT_NAME, _refused_because = MESSAGE_TEXT;
                    INSERT INTO $refused VALUES (_tried_row, _refused_by, _refused_because);
                END IF;
            END;
        END LOOP;
    END $$tried_rows$$
"""
TRIED_NUMBER = sql.compose("_tried_number")
"""In the statement that tries a row: its number, from 1."""
_FOUND = """
    SELECT r.place::text, $key_text_of_s, $batch, r.name, r.said
    FROM $refused AS r JOIN $rows AS s ON s.ctid = r.place ORDER BY 2, 3
"""


def is_about_a_row(error: DatabaseError) -> bool:
    """Whether the server refused what a row contains, and not the statement itself."""
    return bool(sqlstate(error)) and sqlstate(error)[:2] not in _NOT_ABOUT_A_ROW


def reject_refused(
    session: WarehouseSession,
    table: WarehouseTable,
    rows: sql.Fragment,
    batch: sql.Fragment,
    statement: Callable[[sql.Fragment], sql.Fragment],
) -> list[RefusedRow]:
    """Tries each row of the temporary table ``rows`` alone, and deletes the refused ones there; returns these.

    They are added to ``session.refused`` too. Nothing else is changed. ``batch``: of a row ``s``. ``statement``: writes
    the rows of the relation that it is given.
    """
    one, refused = temporary(f"one_{table.name}"), temporary(f"refused_{table.name}")
    parts = {**session.sql(table).parts, "rows": rows, "one": one, "refused": refused, "batch": batch}
    session.run("SAVEPOINT before_trial")
    session.run(_ONE, **parts)
    session.run(_CREATE_REFUSED, **parts)
    others, waiting = (sql.joined(", ", map(sql.constant, states)) for states in (_NOT_ABOUT_A_ROW, _WAITING))
    session.run(_TRY, **parts, statement=statement(one), others=others, waiting=waiting)
    found = session.rows(_FOUND, **parts)
    session.run("ROLLBACK TO SAVEPOINT before_trial")
    session.run("RELEASE SAVEPOINT before_trial")
    delete = sql.compose("DELETE FROM $rows WHERE ctid = ANY(CAST(:places AS tid[]))", rows=rows)
    session.connection.run(delete, places=[place for place, *_ in found])
    made = [RefusedRow(table.name, key, of, name or None, f"{REASON}: {said}") for _, key, of, name, said in found]
    session.refused.extend(made)
    return made
