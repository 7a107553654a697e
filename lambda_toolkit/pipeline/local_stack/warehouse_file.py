"""The warehouse of the stack where that is a DuckDB file: opened as the database of a server is, for the checks.

What the checks ask in PostgreSQL's SQL and DuckDB lacks is a macro of the connection; nothing in the file has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import DuckdbConnection, connect
from lambda_toolkit.pipeline.lambdas.shared.duckdb.dialect import translated
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.local_stack.errors import LocalError

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.client.target import Target
    from lambda_toolkit.pipeline.local_stack.description import Stack
    from lambda_toolkit.pipeline.local_stack.postgres.database import Database

MACROS = (
    r"CREATE OR REPLACE TEMP MACRO trim_scale(x) AS"
    r" regexp_replace(regexp_replace(CAST(x AS varchar), '(\.\d*[1-9])0+$', '\1'), '\.0+$', '')",
    "CREATE OR REPLACE TEMP MACRO convert_to(x, encoding) AS x",
)
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})  # of COPY


@dataclass(frozen=True)
class WarehouseFile:
    """A DuckDB file, in the place of a ``Database``."""

    file: Path

    @property
    def database(self) -> str:
        """Its name in messages."""
        return str(self.file)

    def connect(self) -> DuckdbConnection:
        """Open it to read. Raises LocalError where that fails, also while another process writes to it for long."""
        try:
            connection = connect(str(self.file), read_only=True)
        except ConnectionFailedError as error:
            raise LocalError(str(error)) from error
        add_macros(connection)
        return connection


def add_macros(connection: DuckdbConnection) -> None:
    """What the checks call, for this connection alone."""
    for macro in MACROS:
        connection.execute(macro)


def warehouse_in(stack: Stack, target: Target) -> Database | WarehouseFile:
    """The warehouse of the local ``stack``, as ``target`` declares it."""
    file = target.pipeline.warehouse_file
    return WarehouseFile(file) if file is not None else stack.warehouse


def copied_rows(connection: DuckdbConnection, query: str) -> Iterator[tuple[str | None, ...]]:
    """The rows of ``query``, each value as PostgreSQL's COPY writes it in text, NULL as None."""
    text = translated(query, connection.column_types)
    types = connection.driver.sql(text).types
    names = [sql.identifier(f"c{number}") for number in range(len(types))]
    template = "CASE WHEN $name THEN 't' WHEN NOT $name THEN 'f' END"
    values = [
        sql.compose(template if str(kind) == "BOOLEAN" else "CAST($name AS varchar)", name=name)
        for name, kind in zip(names, types, strict=True)
    ]
    parts = {"values": sql.joined(", ", values), "query": sql.Fragment(text), "names": sql.joined(", ", names)}
    for row in connection.execute(sql.compose("SELECT $values FROM ($query) AS q($names)", **parts)):
        yield tuple(None if value is None else value.translate(_ESCAPES) for value in row)
