"""The source of a simulation: sessions that change it, in own transactions or ones that stay open, and its rows."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable

from pg8000.exceptions import DatabaseError

from tests.proof import steps
from tests.proof.changes import KEYS, REPAIRS, seed
from tests.proof.databases import Databases
from tests.proof.star import State

_NUMBERS = itertools.count(1)  # of columns that are added


class Source:
    """``counts`` has the changes, and those that the database refused.

    ``open``: which sessions hold a transaction open. ``retyped``: whether a column that is needed has another type now.
    """

    def __init__(self, databases: Databases, counts: Counter[str]) -> None:
        self.counts = counts
        self.sessions = [databases.session("source") for _ in range(steps.SESSIONS)]
        self.admin = self.sessions[steps.MAIN]
        for session in self.sessions:
            session.run("SET lock_timeout = '5ms'")
        self._undo: list[str] = []  # of what drifted
        self.open: dict[int, bool] = {}
        self.retyped = False

    def reset(self) -> None:
        """Two or three rows in every table, no open session, every column as created."""
        for session in self.sessions[1:]:
            session.run("ROLLBACK")
        for statement in reversed(self._undo):
            self.admin.run(statement)
        self._undo.clear()
        self.admin.run(f"{emptied(reversed(KEYS))}; {seed()}")
        self.open = dict.fromkeys(range(1, steps.SESSIONS), False)
        self.retyped = False

    def empty(self) -> None:
        """No table has a row, however many there were."""
        self.admin.run(f"TRUNCATE {', '.join(KEYS)}")

    def do(self, step: steps.Do) -> None:
        """A change, in its transaction or in the one that its session holds open."""
        statement = step.change.sql()
        match step.how:
            case steps.SAVEPOINT:
                parts = ["SAVEPOINT s", statement, "RELEASE s"]
            case steps.UNDONE:
                parts = ["SAVEPOINT s", statement, "ROLLBACK TO s", "RELEASE s"]
            case steps.CAUGHT:
                parts = [f"DO $do$ BEGIN {statement}; EXCEPTION WHEN OTHERS THEN NULL; END $do$"]
            case steps.SWALLOWED:
                parts = [f"DO $do$ BEGIN {statement}; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END $do$"]
            case _:
                parts = [statement]
        if step.session == steps.MAIN:
            self._attempt(steps.MAIN, "BEGIN", *parts, "COMMIT")
        else:
            self._begin(step.session)
            self._attempt(step.session, *parts)

    def begin(self, session: int) -> None:
        """The session's transaction begins, and has its id."""
        self._begin(session)
        self._attempt(session, "SELECT pg_current_xact_id()")

    def end(self, session: int, *, commit: bool) -> None:
        """The session's transaction ends, if one is open."""
        if self.open[session]:
            self.sessions[session].run("COMMIT" if commit else "ROLLBACK")
            self.open[session] = False

    def truncate(self) -> None:
        """TRUNCATE of all payments."""
        self._attempt(steps.MAIN, "TRUNCATE payment")

    def alter(self, what: str) -> None:
        """The schema drifts as ``what`` says, unless a transaction is open."""
        if any(self.open.values()):
            return  # they might hold the table
        name = f"extra_{next(_NUMBERS)}"
        match what:
            case "add":
                self.admin.run(f"ALTER TABLE payment ADD COLUMN {name} jsonb")
                self._undo.append(f"ALTER TABLE payment DROP COLUMN {name}")
            case "default":
                self.admin.run(f"ALTER TABLE staff ADD COLUMN {name} numeric NOT NULL DEFAULT 1.5")
                self._undo.append(f"ALTER TABLE staff DROP COLUMN {name}")
            case "widen":
                self.admin.run("ALTER TABLE design ALTER COLUMN file_name TYPE text")
                self.admin.run("ALTER TABLE sales_order ALTER COLUMN unit_price TYPE numeric(20, 4)")
                self._undo.append("ALTER TABLE design ALTER COLUMN file_name TYPE varchar")
                self._undo.append("ALTER TABLE sales_order ALTER COLUMN unit_price TYPE numeric")
            case "retype":
                self.retyped = not self.retyped
                kind = "bigint" if self.retyped else "integer"
                self.admin.run(f"ALTER TABLE sales_order ALTER COLUMN units_sold TYPE {kind}")
                self._undo.append("ALTER TABLE sales_order ALTER COLUMN units_sold TYPE integer")

    def finish(self) -> None:
        """Every open transaction is committed, and a column that is needed has its type again."""
        for session in self.open:
            self.end(session, commit=True)
        if self.retyped:
            self.admin.run("ALTER TABLE sales_order ALTER COLUMN units_sold TYPE integer")
            self.retyped = False

    def repair(self) -> bool:
        """Puts every bad value right; whether there was one."""
        found = 0
        columns = self._columns()
        for table in KEYS:
            for column, (bad, good) in REPAIRS.items():
                if column in columns[table]:
                    self.admin.run(f"UPDATE {table} SET {column} = '{good}' WHERE {bad}")
                    found += self.admin.row_count
        return found > 0

    def observe(self) -> tuple[State, dict[str, dict[int, int]], dict[str, tuple[str, ...]]]:
        """The committed state: values as PostgreSQL writes them, and which transaction wrote each row."""
        described = self._columns()
        parts = []
        for table, key in KEYS.items():
            texts = ", ".join(f"{column}::text" for column in described[table])
            row = f"json_build_array({key}, xmin::text::bigint, {texts})"
            parts.append(f"'{table}', (SELECT coalesce(json_agg({row}), '[]') FROM {table})")
        rows = json.loads(self.admin.rows(f"SELECT json_build_object({', '.join(parts)})::text")[0][0])
        state = {
            table: {row[0]: dict(zip(described[table], row[2:], strict=True)) for row in rows[table]} for table in KEYS
        }
        written = {table: {row[0]: row[1] for row in rows[table]} for table in KEYS}
        return state, written, described

    def _begin(self, session: int) -> None:
        if not self.open[session]:
            self.sessions[session].run("BEGIN")
            self.open[session] = True

    def _attempt(self, session: int, *statements: str) -> None:
        """The statements; when one is refused, its whole transaction did not happen."""
        try:
            for statement in statements:
                self.sessions[session].run(statement)
        except DatabaseError:
            self.counts["refused changes"] += 1
            self.sessions[session].run("ROLLBACK")
            if session != steps.MAIN:
                self.open[session] = False
        else:
            self.counts["changes"] += 1

    def _columns(self) -> dict[str, tuple[str, ...]]:
        """The columns of the source's tables."""
        rows = self.admin.rows(
            "SELECT c.relname, array_to_string(array_agg(attname ORDER BY attnum), ' ') FROM pg_attribute AS a"
            " JOIN pg_class AS c ON c.oid = a.attrelid WHERE c.relnamespace = 'public'::regnamespace"
            " AND c.relkind = 'r' AND attnum > 0 AND NOT attisdropped GROUP BY 1"
        )
        return {name: tuple(columns.split(" ")) for name, columns in rows}


def emptied(tables: Iterable[str]) -> str:
    """The statements that leave no row in ``tables``: for a few rows quicker than TRUNCATE, which makes new files."""
    return "; ".join(f"DELETE FROM {table}" for table in tables)
