"""The one way by which everything outside the functions reads a warehouse: statements that cannot write.

It connects to the warehouse. Whatever else can run a read-only statement there may replace it: ``ReadsWarehouse``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from lambda_toolkit.pipeline.client.warehouse import warehouse_credentials
from lambda_toolkit.pipeline.config.database_url import credentials
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import (
    Connection,
    Credentials,
    connected,
    transaction,
)

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.client.target import Target

READ_ONLY = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class ReadsWarehouse(Protocol):
    """What can run statements in a warehouse that only read. Every call sees one snapshot."""

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        """The rows that ``statement`` returns, values as the driver has them. Raises PipelineError."""


@dataclass(frozen=True)
class WarehouseReader:
    """A warehouse to read over a connection: each call has one of its own. ``client.query`` adds Arrow to it."""

    credentials: Credentials

    @classmethod
    def at(cls, url: str) -> Self:
        """The warehouse at ``url``, ``postgresql://user:password@host:port/database``. Raises ConfigurationError."""
        return cls(Credentials.from_json(json.dumps(credentials(url, "the URL")), "the URL", "the warehouse"))

    @classmethod
    def of(cls, target: Target) -> Self:
        """The warehouse of ``target``. Raises CommandError where its credentials are unknown."""
        return cls(warehouse_credentials(target))

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        """As ReadsWarehouse has it. Raises ConnectionFailedError, and StatementError for what the server refuses."""
        with self.reading() as connection:
            return connection.rows(statement, **parameters)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in a transaction that is read-only, whatever a statement says."""
        with connected(self.credentials) as connection, transaction(connection, READ_ONLY):
            yield connection
