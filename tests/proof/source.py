"""The source of a simulation: sessions that change it, in own transactions or ones that stay open, and its rows."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Collection, Iterable

from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from tests.proof import composite, specimens, steps
from tests.proof.assignments import Assignments
from tests.proof.changes import KEYS, REPAIRS, Update, seed
from tests.proof.databases import Databases
from tests.proof.star import Key, State

_NUMBERS = itertools.count(1)  # of columns that are added
COLUMNS = 1500  # that a table has had: then it gets no more, as PostgreSQL counts dropped ones


class Source:
    """``counts`` has the changes, and those that the database refused.

    ``open``: which sessions hold a transaction open. ``retyped``: whether a column that is needed has another type now.
    ``expression``: how often generated columns got another one. ``shown``: the tables under a policy, and the rest of
    the keys that it shows.
    """

    def __init__(self, databases: Databases, counts: Counter[str]) -> None:
        self.counts = counts
        self._databases = databases
        self._undo: list[str] = []  # of what drifted
        self.retyped = False
        self.expression = 0
        self.shown: dict[str, int] = {}
        self._copied: tuple[list[str], bool, int, dict[str, int]] | None = None  # what is drifted in the copy
        self._assignments = Assignments(databases.session("warehouse"))
        self._connect()

    def _connect(self) -> None:
        """No session has a transaction open."""
        self.sessions = [self._databases.session("source") for _ in range(steps.SESSIONS)]
        self.admin = self.sessions[steps.MAIN]
        for session in self.sessions:
            session.run("SET lock_timeout = '5ms'")
        self.open = dict.fromkeys(range(1, steps.SESSIONS), False)

    def reset(self) -> None:
        """Two or three rows in every table, no open session, every column as created."""
        for session in self.sessions[1:]:
            session.run("ROLLBACK")
        for statement in reversed(self._undo):
            self.admin.run(statement)
        self._undo.clear()
        self.expression = 0
        for table in [*self.shown]:
            self.secure(table, None)
        self._copied = None
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

    def refill(self) -> None:
        """TRUNCATE of all payments, and a frozen COPY of them in which each is paid that was not, and the reverse."""
        columns = self._columns()["payment"]
        values = ", ".join(f"NOT {column}" if column == "paid" else column for column in columns)
        self._attempt(
            steps.MAIN,
            "BEGIN",
            f"COPY (SELECT {values} FROM payment) TO PROGRAM 'cat > refill.copy'",
            "TRUNCATE payment",
            f"COPY payment ({', '.join(columns)}) FROM PROGRAM 'cat refill.copy' (FREEZE)",
            "COMMIT",
        )

    def secure(self, table: str, rest: int | None) -> None:
        """Policies of ``table`` show the keys with this ``rest``, or do not apply; not where a transaction is open."""
        if any(self.open.values()):
            return  # it might hold the table
        self.admin.run(f"DROP POLICY IF EXISTS shown ON {table}")
        if rest is None:
            self.shown.pop(table, None)
            self.admin.run(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        else:
            self.shown[table] = rest
            self.admin.run(f"CREATE POLICY shown ON {table} USING ({_parity(table)} = {rest})")
            self.admin.run(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")

    def copy(self, others: Iterable[Connection]) -> None:
        """A copy is made, for which every session ends; ``others``: those beside the own ones."""
        self._databases.copy_source([*self.sessions, *others])
        self._copied = ([*self._undo], self.retyped, self.expression, {**self.shown})
        self._connect()

    @property
    def has_copy(self) -> bool:
        """Whether a copy was made since the beginning or the last restore."""
        return self._copied is not None

    def restore(self, others: Iterable[Connection]) -> None:
        """The source is as it was when the copy was made. ``others``: as for ``copy``."""
        assert self._copied is not None
        self._databases.restore_source([*self.sessions, *others])
        self._undo, self.retyped, self.expression, self.shown = self._copied
        self._copied = None
        self._connect()

    def alter(self, what: str) -> None:
        """The schema drifts as ``what`` says, unless a transaction is open."""
        if any(self.open.values()):
            return  # they might hold the table
        name = f"extra_{next(_NUMBERS)}"
        match what:
            case "add" if self._used("payment") < COLUMNS:
                self.admin.run(f"ALTER TABLE payment ADD COLUMN {name} jsonb")
                self._undo.append(f"ALTER TABLE payment DROP COLUMN {name}")
            case "default" if self._used("staff") < COLUMNS:
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
            case "swap":
                _rename(self.admin, "ALTER TABLE address RENAME {} TO {}", "address_line_2", "district")
            case "replace" if self._used("department") < COLUMNS:
                self.admin.run(
                    f"ALTER TABLE department DROP COLUMN location, ADD COLUMN location varchar DEFAULT '{name}'"
                )
                self.admin.run("ALTER TABLE department ALTER COLUMN location DROP DEFAULT")
            case "relabel":
                _rename(self.admin, "ALTER TYPE kind RENAME VALUE '{}' TO '{}'", "SALE", "PURCHASE")
            case "generate":
                self._generate()

    def finish(self) -> None:
        """Every open transaction is committed, and a column that is needed has its type again."""
        for session in self.open:
            self.end(session, commit=True)
        if self.retyped:
            self.admin.run("ALTER TABLE sales_order ALTER COLUMN units_sold TYPE integer")
            self.retyped = False

    def repair(self, unfit: Collection[tuple[int, str]]) -> bool:
        """Puts every bad value right; whether there was one. ``unfit``: key and column of the specimens' bad values."""
        found = 0
        for key, column in unfit:
            repaired = specimens.COLUMNS[column].made_from or column
            self.admin.run(Update(specimens.TABLE, key, repaired, specimens.ROW[repaired]).sql())
            found += self.admin.row_count
        columns = self._columns()
        for table in KEYS:
            for column, (bad, good) in REPAIRS.items():
                if column in columns[table]:
                    self.admin.run(f"UPDATE {table} SET {column} = '{good}' WHERE {bad}")
                    found += self.admin.row_count
        return found > 0

    def observe(self) -> tuple[State, dict[str, dict[Key, int]], dict[str, tuple[str, ...]]]:
        """The committed state that policies show: values as PostgreSQL writes them, and what it would store of those of
        a specimen; the transaction that wrote each row; and what makes each table the one that it is, beside its rows.
        """
        described = self._columns()
        parts = []
        for table, key in KEYS.items():
            texts = ", ".join(f"{column}::text" for column in described[table])
            row = f"json_build_array({key}, xmin::text::bigint, {texts})"
            where = f" WHERE {_parity(table)} = {self.shown[table]}" if table in self.shown else ""
            parts.append(f"'{table}', (SELECT coalesce(json_agg({row}), '[]') FROM {table}{where})")
        rows = json.loads(self.admin.rows(f"SELECT json_build_object({', '.join(parts)})::text")[0][0])
        state: dict[str, dict[int, dict[str, str | None]]] = {
            table: {row[0]: dict(zip(described[table], row[2:], strict=True)) for row in rows[table]} for table in KEYS
        }
        for row in state[specimens.TABLE].values():
            row.update(self._assignments.of(row))
        written = {table: {row[0]: row[1] for row in rows[table]} for table in KEYS}
        return state, written, self._shapes()

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

    def _generate(self) -> None:
        """Each generated column gets its next expression: the values of all rows change, and none is written."""
        self.expression += 1
        for name, column in specimens.GENERATED.items():
            chosen = column.expressions[self.expression % len(column.expressions)]
            change = f"ALTER TABLE {specimens.TABLE} ALTER COLUMN {name} SET EXPRESSION AS ({{}})"
            self.admin.run(change.format(chosen))
            self._undo.append(change.format(column.expressions[0]))

    def _used(self, table: str) -> int:
        """How many columns the table has had, of 1600 that it may have."""
        return int(self.admin.rows(f"SELECT relnatts FROM pg_class WHERE oid = '{table}'::regclass")[0][0])

    def _shapes(self) -> dict[str, tuple[str, ...]]:
        """Of each table the database, the names and numbers of its columns, the labels that they have, what generates
        them, and whether a policy applies.
        """
        rows = self.admin.rows(
            "SELECT c.relname, array_to_string(array_agg(concat_ws('.', d.oid, attname, attnum, enumlabel, e.oid,"
            " pg_get_expr(g.adbin, g.adrelid))"
            " ORDER BY attnum, e.oid), ' ') FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
            " LEFT JOIN pg_enum AS e ON e.enumtypid = a.atttypid"
            " LEFT JOIN pg_attrdef AS g ON g.adrelid = a.attrelid AND g.adnum = a.attnum AND a.attgenerated <> ''"
            " JOIN pg_database AS d ON d.datname = current_database()"
            " WHERE c.relnamespace = 'public'::regnamespace"
            " AND c.relkind = 'r' AND attnum > 0 AND NOT attisdropped GROUP BY 1"
        )
        return {name: (shape, str(name in self.shown)) for name, shape in rows}

    def _columns(self) -> dict[str, tuple[str, ...]]:
        """The columns of the source's tables."""
        rows = self.admin.rows(
            "SELECT c.relname, array_to_string(array_agg(attname ORDER BY attnum), ' ') FROM pg_attribute AS a"
            " JOIN pg_class AS c ON c.oid = a.attrelid WHERE c.relnamespace = 'public'::regnamespace"
            " AND c.relkind = 'r' AND attnum > 0 AND NOT attisdropped GROUP BY 1"
        )
        return {name: tuple(columns.split(" ")) for name, columns in rows}


def _parity(table: str) -> str:
    """What the policies compare, of a row of ``table``."""
    return f"{composite.NUMBER if table == composite.ITEM else KEYS[table]} % 2"


def _rename(session: Connection, statement: str, one: str, other: str) -> None:
    """Both names change places."""
    session.run(statement.format(one, "between"))
    session.run(statement.format(other, one))
    session.run(statement.format("between", other))


def emptied(tables: Iterable[str]) -> str:
    """The statements that leave no row in ``tables``: for a few rows quicker than TRUNCATE, which makes new files."""
    return "; ".join(f"DELETE FROM {table}" for table in tables)
