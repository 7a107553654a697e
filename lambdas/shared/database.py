"""A connection to a warehouse, whatever it is: to a PostgreSQL server, or a DuckDB file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pg8000.exceptions import DatabaseError

from .duckdb import connection as files
from .errors import PipelineError
from .postgres import connection as postgres
from .postgres.connection import CONNECT_TIMEOUT, Connection, StatementError
from .postgres.credentials import Credentials
from .postgres.server_errors import message


@contextlib.contextmanager
def connected(
    credentials: Credentials, *, connect_timeout: float = CONNECT_TIMEOUT, read_only: bool = False
) -> Iterator[Connection]:
    """A connection that is closed at the end of the block, whatever state an error left it in.

    ``connect_timeout``: seconds, of a server. ``read_only``: a file is opened beside other readers; who may write in a
    server, its role says. Raises ConnectionFailedError, and StatementError for an error that the block does not handle.
    """
    if credentials.file is None:
        with postgres.connected(credentials, connect_timeout=connect_timeout) as session:
            yield session
        return
    connection = files.connect(credentials.file, read_only=read_only)
    try:
        yield connection
    except DatabaseError as error:
        if isinstance(error, PipelineError):
            raise
        raise StatementError(f"An error of {credentials}: {message(error)}.") from error
    finally:
        connection.close()
