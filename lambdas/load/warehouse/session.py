"""What the statements of load run with: connection, warehouse, what was read of the lake; names; staging tables.

Staging tables are temporary tables of the transaction, filled by COPY.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from ...shared.errors import WarehouseError
from ...shared.model.declarations import WarehouseTable
from ...shared.postgres import sql
from ...shared.postgres.connection import Connection
from .binary.copying import copy_rows
from .parallel.replacement import Replacement
from .read_ahead import ReadAhead
from .schemas import SchemaNames
from .table_sql import TableSql

LARGE = 100_000  # rows of a staging table, from which on a smaller sample of them is enough
SAMPLE = 10  # the statistics target then: 300 times as many rows are read, and as many pages at most
_CREATE = "CREATE TEMPORARY TABLE $staging ON COMMIT DROP AS SELECT $columns FROM $table WITH NO DATA"
_DOMAINS = """
    WITH RECURSIVE below AS (
        SELECT a.attname, t.typtype, t.typbasetype, t.typtypmod FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = to_regclass(:relation) AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype = 'd'
        UNION ALL
        SELECT b.attname, t.typtype, t.typbasetype, t.typtypmod FROM below AS b
        JOIN pg_catalog.pg_type AS t ON t.oid = b.typbasetype WHERE t.typtype = 'd'
    )
    SELECT attname, format_type(b.typbasetype, b.typtypmod) FROM below AS b
    JOIN pg_catalog.pg_type AS t ON t.oid = b.typbasetype WHERE t.typtype <> 'd'
"""


@dataclass(frozen=True)
class Beside:
    """The tables that several connections filled beside empty ones, for one batch; and what is said of each way."""

    tables: dict[str, Replacement] = field(default_factory=dict)
    """By the name of the published table."""
    notes: dict[str, str] = field(default_factory=dict)
    """Of each table that several connections could fill: how it was filled, or why not so."""


@dataclass(frozen=True)
class RefusedRow:
    """A row that meets every requirement, and that the server refuses all the same."""

    table: str
    key: str
    """As one text."""
    batch: int
    constraint: str | None
    reason: str


@dataclass(frozen=True)
class WarehouseSession:
    """One connection to one warehouse, and what was read of the lake that fills it."""

    connection: Connection
    schemas: SchemaNames
    reads: ReadAhead
    kind_of: Callable[[WarehouseTable], TableKind]
    """What the kind of a table does."""
    times: sql.Fragment
    """The query of the batches with their times: the loaded ones, and the one that is being loaded."""
    tries_rows_of: frozenset[str] = frozenset()
    """The tables whose rows are tried one by one, as the server refused a statement: see ``refusals``."""
    refused: list[RefusedRow] = field(default_factory=list)
    """The rows that the server refused."""
    beside: Beside = field(default_factory=Beside)
    """The tables that were filled beside empty ones, whose places they may take."""
    _names: dict[str, TableSql] = field(default_factory=dict, init=False, repr=False)

    def run(self, template: str, /, **parts: sql.Fragment) -> int:
        """Runs ``template`` (a constant) with its ``parts``; returns how many rows it wrote."""
        self.connection.run(sql.compose(template, **parts))
        return int(self.connection.row_count)

    def rows(self, template: str, /, **parts: sql.Fragment) -> list[list[Any]]:
        """The rows that ``template`` (a constant) returns with its ``parts``."""
        return self.connection.rows(sql.compose(template, **parts))

    def sql(self, table: WarehouseTable) -> TableSql:
        """The names of ``table`` in this warehouse."""
        if table.name not in self._names:
            self._names[table.name] = TableSql.of(self.schemas, table)
        return self._names[table.name]


class TableKind(Protocol):
    """What loading, replaying and comparing do differently for a kind of table. Each is a module.

    ``parts``: see :func:`.late_arrivals.rebuild_history`.
    """

    def fill(
        self,
        session: WarehouseSession,
        table: WarehouseTable,
        read: Callable[[Sequence[str]], Iterable[pa.Table]],
        rows: int,
        batch: int,
    ) -> int | None:
        """Writes the first rows of a table, if it has a way for that; returns how many, or None and wrote nothing."""

    def drop_unchanged(
        self, session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, fresh: sql.Fragment
    ) -> bool:
        """Moves the staged rows that are new versions to ``fresh``, which it creates; False where all stay."""

    def apply(self, session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> int:
        """Writes the staged rows of ``batch``, the newest batch; returns how many were new or different."""

    def trial(self, session: WarehouseSession, table: WarehouseTable, rows: sql.Fragment, batch: int) -> sql.Fragment:
        """The statement that writes a staged row of ``batch`` alone, ``rows``, to see whether the server accepts it."""

    def write_resolved(self, session: WarehouseSession, table: WarehouseTable, last: int) -> int:
        """Writes the pending rows that meet the requirements now; returns how many were new or different.

        ``last``: the last batch loaded.
        """

    def discard_superseded(
        self, session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int
    ) -> None:
        """Deletes what is pending, or was rejected, of the staged keys up to ``batch``, where it matters no more."""

    def discard_deleted(
        self, session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int
    ) -> None:
        """Marks what is pending of the staged keys, which ``batch`` deletes, and discards what was rejected of them."""

    def discard_superseded_by_events(
        self, session: WarehouseSession, table: WarehouseTable, events: sql.Fragment
    ) -> None:
        """Deletes what is pending, or was rejected, before an event of its key, where it matters no more."""

    def stage_state_before(self, session: WarehouseSession, parts: dict[str, sql.Fragment]) -> sql.Fragment | None:
        """Stages the stored state of ``$keys``; the query of the state before the batch ``$first``, where it is kept.

        Its columns: those of the table, ``_batch`` (bigint) and ``_deleted`` (boolean).
        """

    def write_history(self, session: WarehouseSession, table: WarehouseTable, parts: dict[str, sql.Fragment]) -> int:
        """Makes the table what ``$history`` says of ``$keys``; returns how many rows were written."""

    def stage_changed_keys(self, session: WarehouseSession, parts: dict[str, sql.Fragment]) -> None:
        """Creates ``$changed`` with the keys of which ``$staging`` has another row of ``$batch`` than the table."""

    def compared_rows(self, schemas: SchemaNames, table: WarehouseTable) -> sql.Fragment:
        """The query of what a comparison reads; every row has ``_present`` true."""

    def compared_columns(self, table: WarehouseTable) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The columns that identify a compared row, and those that are compared."""


def stage_rows(
    session: WarehouseSession, table: WarehouseTable, columns: tuple[str, ...], name: str, rows: Iterable[pa.Table]
) -> sql.Fragment:
    """Creates the staging table ``name`` with these columns of ``table`` and copies ``rows`` into it; returns its name.

    ``rows``: Arrow tables of types that the columns of ``table`` accept; see ``with_columns``.
    """
    staging, relation = temporary(name), session.schemas.table(table.name)
    chosen = sql.columns(columns)
    if table.name in session.tries_rows_of:  # a domain refuses rows when they are written, not when they are staged
        chosen = _without_domains(session, relation, columns)
    session.run(_CREATE, staging=staging, columns=chosen, table=relation)
    copied = copy_rows(session.connection, staging, columns, (with_columns(table, columns, part) for part in rows))
    analyze(session.connection, staging, table.keys, copied)
    return staging


def with_columns(table: WarehouseTable, columns: tuple[str, ...], rows: pa.Table) -> pa.Table:
    """``rows`` with these ``columns`` of ``table``: NULL in each that is declared since their batch was transformed.

    Such a batch may be loaded after the deployment of the new declaration, and a replay gives it the values. Raises
    WarehouseError for a column of the key, which no row can lack.
    """
    for name in columns:
        if name in rows.column_names:
            continue
        if name in table.keys:
            raise WarehouseError(
                f"A batch was transformed when {table.name} had no column {name}, which is of its key now. Give the "
                "table with another key another name, or rebuild the warehouse from the source."
            )
        rows = rows.append_column(name, pa.nulls(rows.num_rows))
    return rows


def _without_domains(session: WarehouseSession, relation: sql.Fragment, columns: tuple[str, ...]) -> sql.Fragment:
    """The columns of ``relation``, those of a domain in the type below it."""
    types = dict(session.connection.rows(_DOMAINS, relation=str(relation)))
    casts = [
        sql.compose("CAST($column AS $type) AS $column", column=sql.identifier(name), type=sql.Fragment(types[name]))
        if name in types
        else sql.identifier(name)
        for name in columns
    ]
    return sql.joined(", ", casts)


def stage_deleted_keys(session: WarehouseSession, table: WarehouseTable, keys: Iterable[pa.Table]) -> sql.Fragment:
    """The staging table with these deleted keys."""
    return stage_rows(session, table, table.keys, f"deleted_{table.name}", keys)


def temporary(name: str) -> sql.Fragment:
    """The temporary table ``name``; a long name is cut so that no two become the same."""
    return sql.table(sql.bounded(name), schema="pg_temp")


def analyze(connection: Connection, staging: sql.Fragment, columns: tuple[str, ...] = (), rows: int = 0) -> None:
    """Collects the planner's statistics of a staging table, of these columns or of all. ``rows``: that it has at least.

    Autovacuum does not see temporary tables. Of many rows a tenth of the usual sample says what the planner must know.
    """
    if connection.is_duckdb:
        return
    chosen = sql.compose("($columns)", columns=sql.columns(columns)) if columns else sql.compose("")
    statement = sql.compose("ANALYZE $staging $chosen", staging=staging, chosen=chosen)
    if rows < LARGE:
        connection.run(statement)
        return
    connection.run(f"SET LOCAL default_statistics_target = {SAMPLE}")
    connection.run(statement)
    connection.run("SET LOCAL default_statistics_target = DEFAULT")
