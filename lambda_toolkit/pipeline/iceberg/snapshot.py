"""The warehouse at one moment: what is loaded, and the rows of its tables, by the batches of the ledger.

Everything is read in one REPEATABLE READ transaction. A load that commits meanwhile is not seen, whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from lambda_toolkit.pipeline.access import statements
from lambda_toolkit.pipeline.access.messages import Column
from lambda_toolkit.pipeline.iceberg.columns import published_rows, published_schema
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection

BATCH, VALID_FROM = "_batch", "_valid_from"  # columns beside the warehouse's: a version's batch, and its snapshot
_LEDGER = """
    SELECT l.batch, to_char(l.extracted_at, 'YYYY-MM-DD"T"HH24:MI:SS.US'),
        (SELECT to_char(min(f.loaded_at), 'YYYY-MM-DD"T"HH24:MI:SS.US') FROM $ledger AS f),
        (SELECT count(*) FROM $revision)
    FROM $ledger AS l ORDER BY l.batch DESC LIMIT 1
"""
_EXTRACTED = """
    SELECT to_char(extracted_at, 'YYYY-MM-DD"T"HH24:MI:SS.US') FROM $ledger WHERE batch = CAST(:batch AS bigint)
"""
# The versions with a batch: a row that load did not write is in none.
_VERSIONS = """
    FROM $table AS t
    JOIN $version_range AS v ON v.table_name = $name AND t.$record BETWEEN v.first_record AND v.last_record
    JOIN $ledger AS l ON l.batch = v.batch
"""
_ROWS = (
    "SELECT $columns, v.batch AS $batch, l.extracted_at AS $valid_from $versions WHERE $condition ORDER BY t.$record"
)
_NEW_BATCHES = "SELECT DISTINCT v.batch $versions WHERE v.batch > $batch ORDER BY 1"
_COUNT = "SELECT count(*), coalesce(max(t.$record), 0) $versions WHERE t.$record <= $last"
_HASH = (
    "SELECT count(*) || ':' || coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0) FROM $table AS t"
)
_DELETIONS = """
    SELECT d.table_name, d.key, d.batch, l.extracted_at AS deleted_at, d.undeleted_batch, u.extracted_at AS undeleted_at
    FROM $deletion AS d JOIN $ledger AS l ON l.batch = d.batch LEFT JOIN $ledger AS u ON u.batch = d.undeleted_batch
    ORDER BY d.table_name, d.key, d.batch
"""


@dataclass(frozen=True)
class Position:
    """What is loaded: the last batch, and how many revisions of batches were applied after the first."""

    batch: int
    revisions: int


@dataclass(frozen=True)
class Loaded:
    """The state of a warehouse's ledger."""

    position: Position
    extracted_at: str
    """Of the last batch, in UTC."""
    warehouse: str
    """When its first batch was loaded: another warehouse, or a rebuilt one, has another time."""


@dataclass(frozen=True)
class Spooled:
    """Rows in a temporary file, to be read once or again."""

    path: str
    schema: pa.Schema
    rows: int

    def reader(self) -> pa.RecordBatchReader:
        """The rows, in order, in bounded memory."""
        return pa.ipc.open_stream(pa.memory_map(self.path))


@dataclass(frozen=True)
class WarehouseSnapshot:
    """A warehouse in the transaction that ``connection`` is in."""

    connection: Connection
    schemas: SchemaNames = LIVE

    @cached_property
    def loaded(self) -> Loaded | None:
        """The state of the ledger; ``None`` where nothing is loaded."""
        rows = self.connection.rows(self._composed(_LEDGER))
        if not rows:
            return None
        batch, extracted_at, warehouse, revisions = rows[0]
        return Loaded(Position(int(batch), int(revisions)), str(extracted_at), str(warehouse))

    def extracted_at(self, batch: int) -> str | None:
        """The time of a batch's snapshot; ``None`` where it is not loaded."""
        rows = self.connection.rows(self._composed(_EXTRACTED), batch=batch)
        return str(rows[0][0]) if rows else None

    def columns_of_fact(self, table: WarehouseTable) -> list[Column]:
        """The columns of a fact as it is published."""
        return statements.columns(self.connection, self._versions_query(table, "false"))

    def columns_of(self, query: str) -> list[Column]:
        """The columns of another query."""
        return statements.columns(self.connection, query)

    def new_batches(self, table: WarehouseTable, batch: int) -> list[int]:
        """The batches after ``batch`` that have versions in a fact, in order."""
        query = self._of_table(_NEW_BATCHES, table, batch=sql.number(batch))
        return [int(row[0]) for row in self.connection.rows(query)]

    def count_versions(self, table: WarehouseTable, last: int) -> tuple[int, int]:
        """How many versions a fact has up to the record number ``last``, and the highest number among them."""
        count, highest = self.connection.rows(self._of_table(_COUNT, table, last=sql.number(last)))[0]
        return int(count), int(highest)

    def record_numbers(self, table: WarehouseTable, last: int) -> pa.ChunkedArray:
        """The record numbers of a fact up to ``last``."""
        query = str(self._of_table("SELECT t.$record $versions WHERE t.$record <= $last", table, last=sql.number(last)))
        columns = statements.columns(self.connection, query)
        parts = [statements.schema(columns).empty_table()]
        statements.tables(self.connection, query, parts[0].schema, parts.append)
        return pa.concat_tables(parts)[0]

    def fact_query(self, table: WarehouseTable, after_record: int, batches: tuple[int, int]) -> str:
        """The query of a fact's versions of the batches from one to another, with higher record numbers."""
        first, last = batches
        return self._versions_query(
            table, f"t.$record > {int(after_record)} AND v.batch BETWEEN {int(first)} AND {int(last)}"
        )

    def table_query(self, table: WarehouseTable) -> str:
        """The query of a whole table, in the order of its keys."""
        parts = {"table": self.schemas.table(table.name), "keys": sql.columns(table.keys)}
        return str(sql.compose("SELECT * FROM $table ORDER BY $keys", **parts))

    def deletions_query(self) -> str:
        """The query of all deletions."""
        return str(self._composed(_DELETIONS))

    def content(self, query: str) -> str:
        """The rows of a query and a sum of their hashes: another one where a row differs."""
        table = sql.Fragment(f"({query})")
        return str(self.connection.rows(sql.compose(_HASH, table=table))[0][0])

    @contextmanager
    def spooled(self, query: str, where: str) -> Iterator[Spooled]:
        """The rows of ``query`` in a file, which is deleted at the end. Raises CommandError, QueryError."""
        columns = statements.columns(self.connection, query)
        schema = published_schema(columns)
        with tempfile.NamedTemporaryFile(suffix=".arrow") as file:
            rows = 0
            with pa.ipc.new_stream(file, schema) as writer:

                def consume(part: pa.Table) -> None:
                    nonlocal rows
                    rows += part.num_rows
                    writer.write_table(published_rows(part, columns, where))

                statements.tables(self.connection, query, statements.schema(columns), consume)
            file.flush()
            yield Spooled(file.name, schema, rows)

    def _versions_query(self, table: WarehouseTable, condition: str) -> str:
        names = self._columns(table.name)
        return str(
            self._of_table(
                _ROWS.replace("$condition", condition),
                table,
                columns=sql.columns(names, of="t"),
                batch=sql.identifier(BATCH),
                valid_from=sql.identifier(VALID_FROM),
            )
        )

    def _columns(self, name: str) -> Sequence[str]:
        query = str(sql.compose("SELECT * FROM $table", table=self.schemas.table(name)))
        return [column.name for column in statements.columns(self.connection, query)]

    def _of_table(self, template: str, table: WarehouseTable, **more: sql.Fragment) -> sql.Fragment:
        parts = {
            "table": self.schemas.table(table.name),
            "name": sql.constant(table.name),
            "record": sql.identifier(str(table.record)),
            **self.schemas.control_tables(),
            **more,
        }
        return sql.compose(template.replace("$versions", _VERSIONS), **parts)

    def _composed(self, template: str) -> sql.Fragment:
        return sql.compose(template, **self.schemas.control_tables())
