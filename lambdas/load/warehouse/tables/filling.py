"""The first rows of a large fact: copied straight into the empty table, in the order in which the lake has them.

By way of a staging table each row is written, read, sorted and written again, and indexes row by row: that is more than
half of the time. The record numbers, which are in the order of the keys, are computed from the keys alone; indexes and
foreign keys are made when the rows are there. All of it is one part of the batch's transaction. Where a row has to
wait, or a right is missing, the part is rolled back, and the rows take the usual way.
https://www.postgresql.org/docs/current/populate.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pg8000.exceptions import DatabaseError

from ....shared.model.declarations import WarehouseTable
from ....shared.postgres import sql
from ....shared.postgres.connection import Connection
from ..binary.copying import column_types, copy_rows
from ..parallel.replacement import NotReplaceableError, Replacement, undone_on_failure
from ..references import foreign_keys
from ..references.distinct_values import DistinctValues
from ..references.requirements import Requirement, any_unmet, enforced, requirements
from ..schemas import SchemaNames
from ..session import WarehouseSession, with_columns
from ..table_sql import TableSql

Read = Callable[[Sequence[str]], Iterable[pa.Table]]
"""Reads these columns of all rows; called more than once, it gives the same rows in the same order."""

MOST = 5_000_000  # rows: their numbers are in memory, 8 bytes each, and twice that while they are sorted
SORTED_ALIKE = ("smallint", "integer", "bigint", "date")
"""Types that Arrow sorts as PostgreSQL does, and in which what is equal is the same."""
ONE_CONNECTION = "one connection"  # begins what is said of a table that several could have filled, and did not
_SAVEPOINT = "before_filling"
_WAS_NEVER_FILLED = """
    SELECT NOT EXISTS (SELECT FROM $table)
        AND NOT EXISTS (SELECT FROM $version_range WHERE table_name = $name)
        AND NOT EXISTS (SELECT FROM $pending_row WHERE table_name = $name)
        AND NOT EXISTS (SELECT FROM $deletion WHERE table_name = $name)
"""
# A copy runs no rules. A trigger may refuse a row, or read the table; a policy may hide rows. Partitions, and tables
# that inherit, have indexes and keys of their own.
_IS_PLAIN = """
    SELECT c.relkind = 'r' AND NOT c.relhassubclass AND NOT c.relrowsecurity
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE confrelid = c.oid)
    FROM pg_catalog.pg_class AS c WHERE c.oid = CAST(:table AS regclass)
"""
# Those that no constraint needs and that are the same when they are made again by what the server writes of them.
_INDEXES = """
    SELECT format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
    FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = CAST(:table AS regclass) AND NOT i.indisunique AND NOT i.indisclustered
      AND c.reltablespace = 0
      AND obj_description(c.oid, 'pg_class') IS NULL
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = c.oid)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attstattarget >= 0)
    ORDER BY c.relname
"""
_ALL_REFERENCES = (
    "SELECT count(*) FROM pg_catalog.pg_constraint WHERE conrelid = CAST(:t AS regclass) AND contype = 'f'"
)


def fill(session: WarehouseSession, table: WarehouseTable, read: Read, rows: int) -> int | None:
    """Copies all rows of ``read`` into ``table``, numbered from 1; returns how many. None: it cannot be done so.

    Then nothing was changed. ``rows``: how many they are. Runs within a transaction.
    """
    if session.connection.is_duckdb:  # to which the usual way costs little, as it has neither keys nor indexes
        return None
    if table.name in session.tries_rows_of:
        return None
    connection = session.connection
    if table.name in session.beside.tables:
        try:
            return _put_in_place(session, table, session.beside.tables[table.name], rows)
        except NotReplaceableError as refused:
            session.beside.notes[table.name] = f"{ONE_CONNECTION}: {refused}"
            if refused.is_about_rows:
                return None
    if not is_fillable(connection, session.schemas, table, rows):
        return None
    numbers = record_numbers(table, read)
    if numbers is None:
        return None
    connection.run(f"SAVEPOINT {_SAVEPOINT}")
    try:
        copied = _copy(session, table, read, numbers)
    except DatabaseError:
        copied = None
    if copied is None:
        connection.run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
    connection.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    return copied


def is_fillable(connection: Connection, schemas: SchemaNames, table: WarehouseTable, rows: int) -> bool:
    """Whether ``table`` is empty and plain, and so many ``rows``, with keys that are sorted here, may be copied so."""
    if not foreign_keys.MANY <= rows <= MOST or table.filled_by_load != (table.record,):
        return False
    relation = schemas.table(table.name)
    if not connection.rows(_IS_PLAIN, table=relation)[0][0] or not was_never_filled(connection, schemas, table):
        return False
    types = column_types(connection, relation)
    return all(types.get(key) in SORTED_ALIKE for key in table.keys)


def was_never_filled(connection: Connection, schemas: SchemaNames, table: WarehouseTable) -> bool:
    """Whether ``table`` has no row, and never had one that load wrote."""
    return bool(connection.rows(sql.compose(_WAS_NEVER_FILLED, **TableSql.of(schemas, table).parts))[0][0])


def _put_in_place(session: WarehouseSession, table: WarehouseTable, beside: Replacement, rows: int) -> int:
    """Lets the table that was filled beside the published one take its place. Raises NotReplaceableError."""
    connection, schemas = session.connection, session.schemas
    required = requirements(connection, schemas, table)
    left_to_server = set(enforced(connection, schemas, table))
    with undone_on_failure(connection):
        if not was_never_filled(connection, schemas, table):
            raise NotReplaceableError("it has rows")
        beside.check_rows(connection, rows)
        beside.add_keys(connection)
        if _has_unmet(session, beside.relation, _asked(required, left_to_server)):
            raise NotReplaceableError("a row has to wait", is_about_rows=True)
        beside.take_place(connection, schemas)
    return rows


def _asked(required: Iterable[Requirement], left_to_server: set[Requirement]) -> tuple[Requirement, ...]:
    """The requirements that the server does not check itself."""
    return tuple(entry for entry in required if entry not in left_to_server)


def _has_unmet(session: WarehouseSession, relation: sql.Fragment, asked: tuple[Requirement, ...]) -> bool:
    """Whether a row of ``relation`` does not meet one of the requirements ``asked``."""
    if not asked:
        return False
    query = "SELECT EXISTS (SELECT FROM $table AS s WHERE $unmet)"
    return bool(session.rows(query, table=relation, unmet=any_unmet(asked))[0][0])


def _copy(session: WarehouseSession, table: WarehouseTable, read: Read, numbers: pa.Array) -> int | None:
    """Copies the rows; None where some must wait, or a foreign key cannot be dropped."""
    connection, relation = session.connection, session.schemas.table(table.name)
    required = requirements(connection, session.schemas, table)
    left_to_server = set(enforced(connection, session.schemas, table))
    references = int(connection.rows(_ALL_REFERENCES, t=relation)[0][0])
    dropped = foreign_keys.drop(connection, relation)
    if len(dropped) < references:
        return None
    foreign_keys.lock_soon(connection, relation)
    if not was_never_filled(connection, session.schemas, table):  # another session may have written to it until now
        return None
    # In a new file: what a rollback leaves of many rows would stay in the old one.
    session.run("TRUNCATE ONLY $table", table=relation)
    indexes = connection.rows(_INDEXES, table=relation)
    for drop, _ in indexes:
        connection.run(str(drop))
    columns = (str(table.record), *table.column_names)
    values = DistinctValues(column_types(connection, relation), _asked(required, left_to_server))
    rows = values.of(numbered(table, read(table.column_names), numbers))
    copied = copy_rows(connection, relation, columns, rows)
    if values.has_unmet(connection) or _has_unmet(session, relation, values.unknown):
        return None
    for _, create in indexes:
        connection.run(str(create))
    for add in dropped:
        connection.run(add)
    return copied


def record_numbers(table: WarehouseTable, read: Read) -> pa.Array | None:
    """The record number of each row: its place in the order of the keys. None for keys that are not sorted here."""
    parts = [with_columns(table, table.keys, part).select(list(table.keys)) for part in read(table.keys)]
    keys = pa.concat_tables(parts).combine_chunks()
    if not all(pa.types.is_signed_integer(kind) or pa.types.is_date32(kind) for kind in keys.schema.types):
        return None
    if keys.num_columns == 1 and _is_ascending(keys.column(0).chunk(0)):
        return pc.cumulative_sum(pa.repeat(pa.array([1], pa.int64())[0], keys.num_rows))
    places = pc.sort_indices(keys, sort_keys=[(key, "ascending") for key in table.keys])
    return pc.add(pc.sort_indices(places).cast(pa.int64()), 1)  # of a permutation, the inverse


def _is_ascending(keys: pa.Array) -> bool:
    return bool(pc.all(pc.less(keys[:-1], keys[1:])).as_py())


def numbered(table: WarehouseTable, parts: Iterable[pa.Table], numbers: pa.Array) -> Iterator[pa.Table]:
    """``parts`` with the record numbers of their rows, which are as many as ``numbers``."""
    first = 0
    for part in parts:
        rows = with_columns(table, table.column_names, part)
        yield rows.append_column(str(table.record), numbers[first : first + part.num_rows])
        first += part.num_rows
