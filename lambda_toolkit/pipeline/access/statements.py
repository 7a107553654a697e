"""Queries of a warehouse, in a transaction that is read-only whatever their text says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.access.messages import Column, QueryError
from lambda_toolkit.pipeline.lambdas.shared.database import connected
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, transaction
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message

if TYPE_CHECKING:
    import pyarrow as pa

    from lambda_toolkit.pipeline.lambdas.shared.postgres.copy_rows import Sink

READ_ONLY = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_TYPES = (
    "SELECT format_type(CAST(oid AS oid), CAST(modifier AS integer)) FROM"
    " unnest(CAST(:oids AS bigint[]), CAST(:modifiers AS integer[])) WITH ORDINALITY AS t(oid, modifier, number)"
    " ORDER BY number"
)
_AS_THEY_ARE = ("smallint", "integer", "bigint", "real", "double precision", "boolean")
_TIMEOUT = "SELECT set_config('statement_timeout', :milliseconds, true)"


@contextmanager
def reading(credentials: Credentials, seconds: float | None = None) -> Iterator[Connection]:
    """A connection in a transaction that is read-only. ``seconds``: that a statement may take, at least one."""
    with connected(credentials, read_only=True) as connection, transaction(connection, READ_ONLY):
        if seconds is not None and not connection.is_duckdb:
            connection.run(_TIMEOUT, milliseconds=str(int(max(seconds, 1.0) * 1000)))
        yield connection


def rows(connection: Connection, text: str, parameters: Mapping[str, Any]) -> list[list[Any]]:
    """The rows of the query ``text``, values as the driver has them.

    Nothing but a query runs: PostgreSQL refuses every other statement as a part of one. Raises DatabaseError.
    """
    return connection.rows(sql.compose("SELECT * FROM ($query) AS query", query=_query(text)), **parameters)


def columns(connection: Connection, text: str) -> list[Column]:
    """The columns that the query returns. Raises QueryError where it is no query: nothing else is run."""
    if not re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL).strip(" \t\r\n;"):
        raise QueryError("The query is empty.")
    with _explained():
        connection.run_as_it_is(sql.compose("SELECT * FROM ($query) AS query LIMIT 0", query=_query(text)))
    found = connection.columns
    if not found:
        raise QueryError("The query returns no columns.")
    types = connection.rows(
        _TYPES,
        oids=[column["type_oid"] for column in found],
        modifiers=[column["type_modifier"] for column in found],
    )
    return [Column(column["name"], kind) for column, (kind,) in zip(found, types, strict=True)]


def schema(found: list[Column]) -> pa.Schema:
    """The schema of ``tables``: a field for each column, named by its number, as several may have one name."""
    import pyarrow as pa

    from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import arrow_type

    plain = [arrow_type(column.type) if column.type in _AS_THEY_ARE else pa.string() for column in found]
    return pa.schema([(str(number), kind) for number, kind in enumerate(plain)])


def tables(connection: Connection, text: str, of: pa.Schema, consume: Callable[[pa.Table], object]) -> None:
    """Calls ``consume`` with the rows of the query, in its order; values without a counterpart in Arrow are texts.

    ``of`` is the schema of its columns. Raises QueryError with what the server says.
    """
    from lambda_toolkit.pipeline.lambdas.extract.source.reader import read

    with _explained():
        read(connection, _query(text), of, consume)


def csv(connection: Connection, text: str, sink: Sink) -> None:
    """Calls ``sink`` with the rows of the query as CSV (RFC 4180, UTF-8), the names of the columns first.

    NULL is an empty field, an empty text is ``""``. Raises QueryError with what the server says.
    """
    columns(connection, text)
    with _explained():
        connection.copy_out(sql.compose("COPY ($query) TO STDOUT (FORMAT csv, HEADER true)", query=_query(text)), sink)


def _query(text: str) -> sql.Fragment:
    """The query as a part of a statement: a comment at its end ends with its line."""
    return sql.Fragment(f"\n{text.strip().rstrip(';').rstrip()}\n")


@contextmanager
def _explained() -> Iterator[None]:
    """Raises QueryError for an error of the server."""
    try:
        yield
    except DatabaseError as error:
        raise QueryError(f"The warehouse refuses the query: {message(error).rstrip('.')}.") from error
