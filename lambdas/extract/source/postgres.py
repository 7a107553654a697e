"""PostgreSQL as a source: plain SELECT rights are enough, on a primary or a hot standby."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from pg8000.exceptions import DatabaseError, InterfaceError

from ...shared.errors import SourceError
from ...shared.lake.manifest import SourceIdentity
from ...shared.messages.read_events import SharedSnapshot
from ...shared.model.declarations import SourceTable
from ...shared.postgres import sql
from ...shared.postgres.connection import Connection, transaction
from ..row_set import Key, RowSet, StoredBetween
from . import dense_keys, shared_snapshot
from .catalog import TableInfo, check_relkind, is_lockable
from .conditions import beyond, condition, has_key, order, written_since
from .full_refresh import full_refresh_reason, shows_the_same
from .interface import RowCounts, change_schema, row_hash_schema
from .introspection import introspect, partitions
from .reader import Consumer, lake_schema, read, select_columns
from .snapshot import Snapshot, snapshot
from .unique_key import key_problems

# Where the server does not keep them, the function raises an error: https://www.postgresql.org/docs/current/
# functions-info.html#FUNCTIONS-COMMIT-TIMESTAMP. A standby keeps them where its primary does, whatever its own setting.
_COMMIT_TIMES = (
    "SELECT time FROM (SELECT pg_xact_commit_timestamp(CAST(CAST(id AS text) AS xid)) AS time"
    " FROM unnest(CAST(:ids AS bigint[])) AS t(id)) AS known WHERE time IS NOT NULL"
)


class PostgresSource:
    """A database of a PostgreSQL server, read through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def snapshot(self, tables: Collection[SourceTable]) -> Iterator[PostgresSnapshot]:
        """As Source has it. Whether the tables' rows have an xmin is checked before they are locked."""
        with transaction(self._connection):  # with a pooler between, a statement with parameters needs one
            relations = partitions(self._connection, tables)
        for table in tables:
            if not table.by_content:
                check_relkind(table.name, relations[table.name])
        lockable = [table for table in tables if is_lockable(relations[table.name])]
        with snapshot(self._connection, lockable) as taken:
            yield PostgresSnapshot(self._connection, taken)

    @contextmanager
    def imported(self, shared: SharedSnapshot) -> Iterator[PostgresSnapshot]:
        """As Source has it. Tables are locked when they are read: the session that exported it has locked them."""
        with shared_snapshot.imported(self._connection, shared) as taken:
            yield PostgresSnapshot(self._connection, taken)

    def commit_times(self, transactions: Sequence[int]) -> Sequence[datetime] | None:
        """As Source has it: where ``track_commit_timestamp`` is on. A connection that is lost costs the times alone."""
        if not transactions:
            return None
        try:
            with transaction(self._connection):
                return [time for (time,) in self._connection.rows(_COMMIT_TIMES, ids=list(transactions))]
        except (DatabaseError, InterfaceError):
            return None


class PostgresSnapshot:
    """A REPEATABLE READ transaction of one connection: see SourceSnapshot for the methods."""

    def __init__(self, connection: Connection, taken: Snapshot) -> None:
        self._connection, self._snapshot = connection, taken
        self._tables: dict[str, TableInfo] = {}

    def position(self) -> SourceIdentity:
        """The server's identity and the snapshot's xmin."""
        return self._snapshot.identity

    def full_refresh_reason(self, previous: SourceIdentity | None) -> str | None:
        """Why rows written since ``previous`` cannot be found by their xmin."""
        return full_refresh_reason(previous, self._snapshot)

    def shows_the_same(self, previous: SourceIdentity | None) -> bool:
        """Whether no transaction has ended since ``previous``."""
        return shows_the_same(previous, self._snapshot)

    def is_within_horizon(self, xmin: int) -> bool:
        """Whether fewer than 2^31 transactions have passed since ``xmin``."""
        return self._snapshot.is_within_horizon(xmin)

    def describe(self, tables: Collection[SourceTable]) -> Mapping[str, TableInfo]:
        """What the catalog says of each table. Whether the keys identify rows is checked first."""
        problems = key_problems(self._connection, tables)
        if problems:
            raise SourceError(f"{' '.join(problems)} Nothing was extracted.")
        found = introspect(self._connection, tables)
        self._tables.update(found)
        return found

    def count(self, selections: Mapping[str, RowSet], partial: Collection[str] = ()) -> Mapping[str, RowCounts]:
        """Counts all tables in one statement."""
        counts = [
            sql.compose(
                "SELECT $name, NULL::bigint, count(*) FROM $table AS t WHERE $selected"
                if name in partial
                else "SELECT $name, count(*), count(*) FILTER (WHERE $selected) FROM $table AS t",
                name=sql.constant(name),
                selected=self._condition(self._tables[name], rows),
                table=self._tables[name].sql_name,
            )
            for name, rows in selections.items()
        ]
        rows = self._connection.rows(sql.joined(" UNION ALL ", counts)) if counts else []
        return {name: RowCounts(total, selected) for name, total, selected in rows}

    def changed(self, table: TableInfo, rows: RowSet, consume: Consumer) -> None:
        """Selects the rows with their xmin; those written since this snapshot's xmin will be reread."""
        read(self._connection, self._changes(table, rows), change_schema(table), consume)

    def changed_range(self, table: TableInfo, rows: RowSet, after: Key | None, limit: int, consume: Consumer) -> None:
        """Selects a range of keys by its lower bound and LIMIT."""
        query = sql.compose(
            "$changes AND $has_key AND $beyond ORDER BY $order LIMIT $limit",
            has_key=has_key(table),
            changes=self._changes(table, rows),
            beyond=beyond(table, after) if after is not None else sql.Fragment("TRUE"),
            order=order(table),
            limit=sql.number(limit),
        )
        read(self._connection, query, change_schema(table), consume)

    def keys(self, table: TableInfo, consume: Consumer, *, dense: bool) -> None:
        """Selects every key, sorted; without those that the lake cannot represent."""
        if dense and dense_keys.read_dense(self._connection, table, consume):
            return
        query = sql.compose(
            "SELECT $key FROM $table AS t WHERE $has_key ORDER BY $order",
            key=_key_values(table),
            has_key=has_key(table),
            table=table.sql_name,
            order=order(table),
        )
        read(self._connection, query, table.key_schema, consume)

    def row_hashes(self, table: TableInfo, consume: Consumer) -> None:
        """Selects every row, sorted, with a hash that the server computes."""
        query = sql.compose(
            "SELECT $key, left(encode(sha256(convert_to(ROW(t.*)::text, 'UTF8')), 'hex'), 32), $columns"
            " FROM $table AS t ORDER BY $order",
            key=_key_values(table),
            columns=select_columns(table.columns, table.keys),
            table=table.sql_name,
            order=order(table),
        )
        read(self._connection, query, row_hash_schema(table), consume)

    def related(self, table: TableInfo, rows: RowSet, consume: Consumer, limit: int | None = None) -> None:
        """Selects the rows' columns: rows of other tables are found by semi-joins on the server."""
        query = sql.compose(
            "SELECT $columns FROM $table AS t WHERE $condition LIMIT $limit",
            columns=select_columns(table.columns, table.keys),
            table=table.sql_name,
            condition=self._condition(table, rows),
            limit=sql.Fragment("ALL") if limit is None else sql.number(limit),
        )
        read(self._connection, query, lake_schema(table.columns), consume)

    def export(self) -> SharedSnapshot:
        """Exports this transaction's snapshot."""
        return shared_snapshot.export(self._connection, self._snapshot)

    def check(self, shared: SharedSnapshot) -> None:
        """Compares this transaction's snapshot with ``shared``."""
        shared_snapshot.check(self._connection, shared)

    def free_connections(self) -> int:
        """As the server counts them, for this user and this database."""
        return shared_snapshot.free_connections(self._connection)

    def ranges(self, table: TableInfo, rows: int, count: int) -> Sequence[StoredBetween]:
        """Ranges of ctids."""
        return shared_snapshot.ranges(shared_snapshot.pages(self._connection, table), rows, count)

    def sums(self, table: TableInfo, rows: RowSet) -> tuple[int, Mapping[str, int]]:
        """Computed by the server, in one statement."""
        return shared_snapshot.source_sums(self._connection, table, self._condition(table, rows))

    def _changes(self, table: TableInfo, rows: RowSet) -> sql.Fragment:
        """The query whose rows have ``change_schema(table)``; it ends in its WHERE condition."""
        return sql.compose(
            "SELECT $columns, t.xmin, $will_be_reread FROM $table AS t WHERE $condition",
            columns=select_columns(table.columns, table.keys),
            will_be_reread=written_since(self._snapshot.identity.snapshot_xmin),
            table=table.sql_name,
            condition=self._condition(table, rows),
        )

    def _condition(self, table: TableInfo, rows: RowSet) -> sql.Fragment:
        return condition(rows, table, self._tables)


def _key_values(table: TableInfo) -> sql.Fragment:
    """The columns of the key of a row ``t``, separated by commas."""
    return sql.joined(", ", [column.key_value() for column in table.key_columns])
