"""A table that is filled beside an empty published one, out of sight, and takes its place within a transaction.

Several connections cannot write in one transaction. What they write into a table of the control schema no query reads;
then one statement after the other gives that table the name, the privileges and all else that the published one has,
lets the views read it, and drops the published one, in the transaction that also writes the ledger row. At the end the
two are compared by everything that the catalogs say (``description``): where anything differs, what was done is rolled
back. The same is tried with no rows before any row is copied.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pg8000.exceptions import DatabaseError

from ....shared.model.declarations import WarehouseTable
from ....shared.postgres import sql
from ....shared.postgres.connection import Connection, transaction
from ....shared.postgres.server_errors import message, sqlstate
from ..references.foreign_keys import short_waits
from ..schemas import SchemaNames
from .description import describe

PREFIX = "filling_"
_NAME = re.compile(PREFIX + "[0-9a-f]{16}")
_VIOLATION = "23"  # the class of SQLSTATE of a row that a constraint refuses
_SAVEPOINT = "before_replacement"
# Autovacuum analyzes a table that has many new rows, and would have a lock of it when the keys are added.
_CREATE = """
    CREATE TABLE $new (LIKE $old INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS)
    WITH (autovacuum_enabled = false)
"""
_INDEXES = """
    SELECT c.relname, pg_get_indexdef(i.indexrelid), k.contype::text,
        format('CREATE %sINDEX %I ON %I.%I USING ', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END,
               c.relname, n.nspname, t.relname)
    FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
    LEFT JOIN pg_catalog.pg_constraint AS k ON k.conindid = c.oid AND k.conrelid = t.oid AND k.contype IN ('p', 'u')
    WHERE i.indrelid = CAST(:table AS regclass) ORDER BY k.contype IS NULL, c.relname
"""
_KINDS = {"p": "PRIMARY KEY", "u": "UNIQUE"}
_REFERENCES = """
    SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', CAST(:new AS regclass), conname, pg_get_constraintdef(oid)),
        convalidated
    FROM pg_catalog.pg_constraint WHERE conrelid = CAST(:old AS regclass) AND contype = 'f' ORDER BY conname
"""
# What LIKE does not copy. The privileges that a default gave the new table are taken from it first.
_DETAILS = """
    WITH o AS (SELECT * FROM pg_catalog.pg_class WHERE oid = CAST(:old AS regclass)),
    n AS (SELECT * FROM pg_catalog.pg_class WHERE oid = CAST(:new AS regclass))
    SELECT format('REVOKE ALL ON %s %s FROM %s', CAST(:kind AS text), n.oid::regclass,
                  CASE p.grantee WHEN 0 THEN 'PUBLIC' ELSE p.grantee::regrole::text END)
    FROM n, aclexplode(n.relacl) AS p WHERE p.grantee <> n.relowner
    UNION ALL
    SELECT format('GRANT %s ON %s %s TO %s%s', p.privilege_type, CAST(:kind AS text), n.oid::regclass,
                  CASE p.grantee WHEN 0 THEN 'PUBLIC' ELSE p.grantee::regrole::text END,
                  CASE WHEN p.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM n, o, aclexplode(o.relacl) AS p WHERE p.grantee <> o.relowner
    UNION ALL
    SELECT format('COMMENT ON %s %s IS %L', CAST(:kind AS text), n.oid::regclass, obj_description(o.oid, 'pg_class'))
    FROM n, o WHERE obj_description(o.oid, 'pg_class') IS NOT NULL
    UNION ALL
    SELECT format('ALTER TABLE %s SET (%s)', n.oid::regclass, array_to_string(o.reloptions, ', '))
    FROM n, o WHERE o.relkind = 'r' AND o.reloptions IS NOT NULL
"""
# Statements that let each view read the table that has the name when they are run. The views stay what they are.
_VIEWS = """
    SELECT DISTINCT format('CREATE OR REPLACE VIEW %s %s AS %s', v.oid::regclass,
                           'WITH (' || array_to_string(v.reloptions, ', ') || ')', pg_get_viewdef(v.oid))
    FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    JOIN pg_catalog.pg_class AS v ON v.oid = r.ev_class
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = CAST(:table AS regclass) AND v.relkind = 'v'
"""
_SEQUENCES = """
    SELECT a.attname, pg_get_serial_sequence(CAST(:table AS text), a.attname) FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = CAST(:table AS regclass) AND a.attidentity <> '' ORDER BY a.attnum
"""
_POSITION = """
    SELECT setval(CAST(:new AS regclass), s.last_value, s.is_called) FROM $old AS s
"""
# Logical replication sees the rows arrive in a table of another name, and the published table go.
_IS_REPLICATED = """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE puballtables) OR EXISTS (
        SELECT FROM pg_catalog.pg_replication_slots WHERE database = current_database())
"""
_TABLES = """
    SELECT c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind = 'r'
"""
_IS_UNIQUE = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = CAST(:table AS regclass) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
          AND i.indnatts = 1 AND a.attname = :record
    )
"""
_HAS_ROWS = "SELECT EXISTS (SELECT FROM $old)"
_NUMBERS = "SELECT count(*), min($record), max($record) FROM $table"


class NotReplaceableError(Exception):
    """The published table cannot be replaced by one that has all that it has. The message is for the log."""

    def __init__(self, reason: str, *, is_about_rows: bool = False) -> None:
        super().__init__(reason)
        self.is_about_rows = is_about_rows
        """Some rows are the reason: they cannot be written by any way that writes all of them."""


class _RehearsedError(Exception):
    """Ends the transaction in which a replacement was tried."""


@dataclass(frozen=True)
class Replacement:
    """The new table: where it is until it takes the place of the published one."""

    table: WarehouseTable
    published: sql.Fragment
    """The published table."""
    name: str
    relation: sql.Fragment
    """The new table in the control schema."""

    @classmethod
    def of(cls, schemas: SchemaNames, table: WarehouseTable) -> Replacement:
        """A replacement that does not exist yet, with a name that no other has."""
        name = f"{PREFIX}{secrets.token_hex(8)}"
        return cls(table, schemas.table(table.name), name, sql.table(name, schemas.control))

    def create(self, connection: Connection) -> None:
        """Creates the table without rows, indexes and foreign keys."""
        connection.run(sql.compose(_CREATE, new=self.relation, old=self.published))

    def index_statements(self, connection: Connection) -> list[str]:
        """The statements that make the indexes, those of constraints first. Each may be run by another connection."""
        return [create for _, _, create, _ in self._indexes(connection)]

    def check_rows(self, connection: Connection, rows: int) -> None:
        """Raises NotReplaceableError unless its record numbers are 1 to ``rows``, each once, by a unique index."""
        if not connection.rows(_IS_UNIQUE, table=self.relation, record=self.table.record)[0][0]:
            raise NotReplaceableError("no key keeps record numbers from being there twice")
        record = sql.identifier(str(self.table.record))
        found = connection.rows(sql.compose(_NUMBERS, table=self.relation, record=record))[0]
        if [int(number or 0) for number in found] != [rows, min(rows, 1), rows]:
            raise NotReplaceableError(f"not all of the {rows} rows are there")

    def _indexes(self, connection: Connection) -> Iterator[tuple[str, str, str, str | None]]:
        """Of each index: its name, that of its copy, the statement that creates it, the kind of its constraint."""
        for number, (name, definition, kind, head) in enumerate(connection.rows(_INDEXES, table=self.published)):
            if not definition.startswith(head):
                raise NotReplaceableError(f"the index {name} cannot be made again")
            made = f"{self.name}_{number}"
            unique = sql.compose("UNIQUE " if definition.startswith("CREATE UNIQUE") else "")
            rest = sql.Fragment(definition[len(head) :])
            create = sql.compose(
                "CREATE $unique INDEX $name ON $new USING $rest",
                unique=unique,
                name=sql.identifier(made),
                new=self.relation,
                rest=rest,
            )
            yield name, made, create, kind

    def add_keys(self, connection: Connection) -> None:
        """Adds the primary key and the other keys, by indexes that were made; and the foreign keys, which are checked.

        Raises NotReplaceableError where a foreign key is not checked by the server.
        """
        for _, made, _, kind in self._indexes(connection):
            if kind:
                statement = f"ALTER TABLE $new ADD CONSTRAINT $name {_KINDS[kind]} USING INDEX $name"
                connection.run(sql.compose(statement, new=self.relation, name=sql.identifier(made)))
        for statement, is_validated in connection.rows(_REFERENCES, old=self.published, new=self.relation):
            if not is_validated:
                raise NotReplaceableError("a foreign key of the table is NOT VALID")
            connection.run(statement)

    def take_place(self, connection: Connection, schemas: SchemaNames) -> None:
        """Gives the new table the name and all else of the published one, which is dropped. Runs in a transaction.

        Raises NotReplaceableError where anything would be another, DatabaseError where the server refuses a step: for
        something that depends on the table, a missing right, or because another session uses it.
        """
        new, old = self.relation, self.published
        dropped = sql.table(f"{self.name}_old", schemas.published)
        connection.run(sql.compose("LOCK TABLE ONLY $old IN ACCESS EXCLUSIVE MODE", old=old))
        if connection.rows(sql.compose(_HAS_ROWS, old=old))[0][0]:
            raise NotReplaceableError("another session has written to it")
        self._hold_privileges(connection, old, dropped)
        before = describe(connection, old)
        connection.run(sql.compose("ALTER TABLE $new RESET (autovacuum_enabled)", new=new))
        self._give_details(connection, old, new, "TABLE")
        views = [row[0] for row in connection.rows(_VIEWS, table=old)]
        renames = [(name, made, kind) for name, made, _, kind in self._indexes(connection)]
        sequences = dict(connection.rows(_SEQUENCES, table=old)), dict(connection.rows(_SEQUENCES, table=new))
        names = self._continue_sequences(connection, *sequences)
        _rename(connection, old, f"{self.name}_old")
        connection.run(
            sql.compose("ALTER TABLE $new SET SCHEMA $schema", new=new, schema=sql.identifier(schemas.published))
        )
        _rename(connection, sql.table(self.name, schemas.published), self.table.name)
        for statement in views:
            connection.run(statement)
        connection.run(sql.compose("DROP TABLE $dropped", dropped=dropped))
        for name, made, kind in renames:
            template = "ALTER TABLE $table RENAME CONSTRAINT $made TO $name" if kind else _RENAME_INDEX
            parts = {"table": old, "made": sql.identifier(made), "name": sql.identifier(name)}
            connection.run(sql.compose(template, **parts, index=sql.table(made, schemas.published)))
        for made, name in names:
            _rename(connection, sql.table(made, schemas.published), name, kind="SEQUENCE")
        after = describe(connection, old)
        different = sorted(subject for subject in before if before[subject] != after[subject])
        if different:
            raise NotReplaceableError(f"its {', '.join(different)} cannot be kept")

    def _hold_privileges(self, connection: Connection, old: sql.Fragment, dropped: sql.Fragment) -> None:
        """Keeps others from changing them until the end, also where GRANT waits for no lock of the table.

        Then it still fails where the table's row of pg_class was changed meanwhile.
        """
        _rename(connection, old, f"{self.name}_old")
        _rename(connection, dropped, self.table.name)

    def _give_details(self, connection: Connection, old: sql.Fragment, new: sql.Fragment, kind: str) -> None:
        for (statement,) in connection.rows(_DETAILS, old=old, new=new, kind=kind):
            connection.run(statement)

    def _continue_sequences(
        self, connection: Connection, old: dict[str, str], new: dict[str, str]
    ) -> list[tuple[str, str]]:
        """Gives the sequences of identity columns their positions and privileges; their names now, and afterwards."""
        names = []
        for column, sequence in new.items():
            former = sql.Fragment(old[column])  # as the server quotes it
            connection.run(sql.compose(_POSITION, old=former), new=sequence)
            self._give_details(connection, former, sql.Fragment(sequence), "SEQUENCE")
            names.append(tuple(_last_name(connection, name) for name in (sequence, old[column])))
        return [(made, name) for made, name in names]

    def drop(self, connection: Connection) -> bool:
        """Drops the table, if it is there; returns False where another session still uses it."""
        return _drop(connection, self.relation)


_RENAME_INDEX = "ALTER INDEX $index RENAME TO $name"
_LAST_NAME = "SELECT relname FROM pg_catalog.pg_class WHERE oid = CAST(:name AS regclass)"


def rehearse(connection: Connection, schemas: SchemaNames, table: WarehouseTable) -> None:
    """Replaces the empty published table by another empty one, and rolls back. Raises NotReplaceableError with why not.

    For a moment it has the locks that the replacement needs: it is not tried where they are not free.
    """
    if connection.rows(_IS_REPLICATED)[0][0]:
        raise NotReplaceableError("logical replication reads this database")
    trial = Replacement.of(schemas, table)
    try:
        with transaction(connection), short_waits(connection):
            trial.create(connection)
            for statement in trial.index_statements(connection):
                connection.run(statement)
            trial.check_rows(connection, 0)
            trial.add_keys(connection)
            trial.take_place(connection, schemas)
            raise _RehearsedError
    except _RehearsedError:
        return
    except DatabaseError as error:
        raise NotReplaceableError(message(error)) from error


@contextmanager
def undone_on_failure(connection: Connection) -> Iterator[None]:
    """A part of a transaction that is rolled back where it raises NotReplaceableError, or the server an error.

    Both are raised as NotReplaceableError.
    """
    connection.run(f"SAVEPOINT {_SAVEPOINT}")
    try:
        with short_waits(connection):
            yield
    except (DatabaseError, NotReplaceableError) as error:
        connection.run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        connection.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        if isinstance(error, DatabaseError):
            is_about_rows = sqlstate(error).startswith(_VIOLATION)
            raise NotReplaceableError(message(error), is_about_rows=is_about_rows) from error
        raise
    connection.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")


def discard_leftovers(connection: Connection, schemas: SchemaNames) -> None:
    """Drops the tables that a load has left which ended before they took a place. Needs the writers' lock.

    One that a session of that load still uses stays for the next load.
    """
    for (name,) in connection.rows(_TABLES, schema=schemas.control):
        if _NAME.fullmatch(name):
            _drop(connection, sql.table(name, schemas.control))


def _drop(connection: Connection, relation: sql.Fragment) -> bool:
    try:
        with transaction(connection), short_waits(connection):
            connection.run(sql.compose("DROP TABLE IF EXISTS $relation", relation=relation))
    except DatabaseError:  # in use, or of another role
        return False
    return True


def _rename(connection: Connection, relation: sql.Fragment, name: str, kind: str = "TABLE") -> None:
    template = f"ALTER {kind} $relation RENAME TO $name"
    connection.run(sql.compose(template, relation=relation, name=sql.identifier(name)))


def _last_name(connection: Connection, name: str) -> str:
    return str(connection.rows(_LAST_NAME, name=name)[0][0])
