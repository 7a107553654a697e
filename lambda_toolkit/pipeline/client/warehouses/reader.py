"""The ways by which everything outside the functions reaches a warehouse, behind one protocol.

Where this machine reaches it, over a connection; where only functions do, by the function ``access``
(``client.access``). Both do the same by the same code, ``access.statements`` and ``access.preparing``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from lambda_toolkit.pipeline.access import statements
from lambda_toolkit.pipeline.client.warehouses.warehouse_secret import warehouse_credentials
from lambda_toolkit.pipeline.config.database_url import credentials
from lambda_toolkit.pipeline.lambdas.shared.database import connected
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials

if TYPE_CHECKING:
    import pyarrow as pa

    from lambda_toolkit.pipeline.access.messages import Column, Prepared
    from lambda_toolkit.pipeline.client.target import Target
    from lambda_toolkit.pipeline.config.model import Pipeline
    from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import SchemaNames
    from lambda_toolkit.pipeline.lambdas.shared.postgres.copy_rows import Sink


class ReadsWarehouse(Protocol):
    """What can run queries with few rows in a warehouse. Every call sees one snapshot."""

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        """The rows of the query ``statement``, values as the driver has them. Raises PipelineError."""


class WarehouseAccess(ReadsWarehouse, Protocol):
    """All that commands do with a warehouse. Nothing but ``prepare`` can write."""

    def table(self, query: str) -> tuple[list[Column], pa.Table]:
        """The columns of a query, and its rows: values without a counterpart in Arrow are texts.

        The table's columns are named by their numbers. Raises PipelineError.
        """

    def csv(self, query: str, sink: Sink) -> None:
        """Calls ``sink`` with the rows of a query as CSV, the names of the columns first. Raises PipelineError."""

    def prepare(
        self, pipeline: Pipeline, schema: str, into: SchemaNames, *, alter: bool = False, later: str = ""
    ) -> Prepared:
        """As ``access.preparing.prepared`` does, with the tables of ``pipeline``. Raises PipelineError."""


@dataclass(frozen=True)
class WarehouseReader:
    """A warehouse over a connection: each call has one of its own."""

    credentials: Credentials

    @classmethod
    def at(cls, url: str) -> Self:
        """The warehouse at ``url``, ``postgresql://user:password@host:port/database``. Raises ConfigurationError."""
        return cls(credentials_at(url))

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        """As ReadsWarehouse has it. Raises ConnectionFailedError, and StatementError for what the server refuses."""
        with self.reading() as connection:
            return statements.rows(connection, statement, parameters)

    def table(self, query: str) -> tuple[list[Column], pa.Table]:
        """As WarehouseAccess has it. Raises ConnectionFailedError and QueryError."""
        import pyarrow as pa

        with self.reading() as connection:
            columns = statements.columns(connection, query)
            schema = statements.schema(columns)
            parts = [schema.empty_table()]
            statements.tables(connection, query, schema, parts.append)
        return columns, pa.concat_tables(parts)

    def csv(self, query: str, sink: Sink) -> None:
        """As WarehouseAccess has it. Raises ConnectionFailedError and QueryError."""
        with self.reading() as connection:
            statements.csv(connection, query, sink)

    def prepare(
        self, pipeline: Pipeline, schema: str, into: SchemaNames, *, alter: bool = False, later: str = ""
    ) -> Prepared:
        """As WarehouseAccess has it. Raises ConnectionFailedError, DeclarationError and WarehouseError."""
        from lambda_toolkit.pipeline.access.preparing import prepared

        with connected(self.credentials) as connection:
            return prepared(connection, schema, pipeline.tables, into, alter=alter, later=later)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in a transaction that is read-only, whatever a statement says."""
        with statements.reading(self.credentials) as connection:
            yield connection


def warehouse_of(target: Target) -> WarehouseAccess:
    """How the warehouse of ``target`` is reached from here: by the function ``access`` where that is declared.

    Raises CommandError where its credentials are needed and unknown.
    """
    from lambda_toolkit.pipeline.client.warehouses.access import function_access

    if target.pipeline.warehouse_file is not None:  # on this machine, whatever functions are declared
        return reader_of(warehouse_credentials(target))
    return function_access(target) or reader_of(warehouse_credentials(target))


def credentials_at(url: str) -> Credentials:
    """The credentials in a URL of a warehouse. Raises ConfigurationError."""
    return Credentials.from_json(json.dumps(credentials(url, "the URL")), "the URL", "the warehouse")


def reader_of(found: Credentials) -> WarehouseAccess:
    """The reader of the warehouse, which may be a DuckDB file."""
    if found.file is None:
        return WarehouseReader(found)
    from lambda_toolkit.pipeline.client.warehouses.file_reader import FileReader

    return FileReader(found)
