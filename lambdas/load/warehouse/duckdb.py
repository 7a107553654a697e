"""A DuckDB file as a warehouse: the statements of PostgreSQL's, through ``shared.duckdb``; and what differs.

The file has the same tables, views and control tables, without keys and constraints: DuckDB cannot add a foreign key,
nor delete a row and the one that refers to it in one transaction, https://duckdb.org/docs/stable/sql/indexes. So load
alone proves that what a row refers to is there, as it does for PostgreSQL before the server is asked. No row is refused
by the file, and nothing must be tried row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...shared.duckdb.connection import DuckdbConnection
from ...shared.lake.manifest import ProcessedManifest
from .postgres import PostgresBatch, PostgresWarehouse
from .read_ahead import ReadAhead
from .schemas import LIVE, SchemaNames


class DuckdbWarehouse(PostgresWarehouse):
    """The schemas of one warehouse in a DuckDB file, written through one connection: see Warehouse."""

    def __init__(self, connection: DuckdbConnection, schemas: SchemaNames = LIVE) -> None:
        super().__init__(connection, schemas)
        self._file = connection

    def discard_leftovers(self) -> None:
        """Nothing: a file is written over one connection."""

    @contextmanager
    def begin(
        self,
        manifest: ProcessedManifest,
        last_loaded: int,
        reads: ReadAhead,
        tries_rows_of: frozenset[str] = frozenset(),
    ) -> Iterator[PostgresBatch]:
        """A transaction of the file; the temporary tables of a batch before are dropped first."""
        self._file.drop_temporary()
        with super().begin(manifest, last_loaded, reads) as batch:
            yield batch
