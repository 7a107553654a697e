"""Staging tables: temporary tables of the transaction, filled by COPY."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.csv as pc

from ...shared.declarations import WarehouseTable
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from .session import WarehouseSession

CSV_ROWS = 16 * 1024  # rows per piece of CSV: about a megabyte

_CREATE = "CREATE TEMPORARY TABLE $staging ON COMMIT DROP AS SELECT $columns FROM $table WITH NO DATA"
_COPY = "COPY $staging ($columns) FROM STDIN (FORMAT csv)"


def stage_rows(
    session: WarehouseSession, table: WarehouseTable, columns: tuple[str, ...], name: str, rows: Iterable[pa.Table]
) -> sql.Fragment:
    """Creates the staging table ``name`` with these columns of ``table`` and copies ``rows`` into it; returns its name.

    ``rows``: Arrow tables that have ``columns``, of types whose CSV the columns of ``table`` accept.
    """
    staging = temporary(name)
    session.run(_CREATE, staging=staging, columns=sql.columns(columns), table=session.schemas.table(table.name))
    copy_rows(session.connection, staging, columns, rows)
    analyze(session.connection, staging)
    return staging


def temporary(name: str) -> sql.Fragment:
    """The temporary table ``name``. A long name is cut here, not by the server, where two might become the same."""
    return sql.table(name[: sql.MAX_IDENTIFIER], schema="pg_temp")


def copy_rows(connection: Connection, to: sql.Fragment, columns: tuple[str, ...], rows: Iterable[pa.Table]) -> int:
    """Copies these columns of ``rows`` into the table ``to``, where they have the same names; returns how many rows."""
    chosen = (part.select(list(columns)) for part in rows)
    return connection.copy_in(sql.compose(_COPY, staging=to, columns=sql.columns(columns)), to_csv(chosen))


def analyze(connection: Connection, staging: sql.Fragment) -> None:
    """Collects the planner's statistics of a staging table: autovacuum does not see temporary tables."""
    connection.run(sql.compose("ANALYZE $staging", staging=staging))


def to_csv(rows: Iterable[pa.Table]) -> Iterator[bytes]:
    """The rows in the CSV that COPY reads: NULL is an empty field, the empty string is ``""``."""
    options = pc.WriteOptions(include_header=False, quoting_style="needed")
    for table in rows:
        for batch in table.to_batches(max_chunksize=CSV_ROWS):
            sink = pa.BufferOutputStream()
            pc.write_csv(batch, sink, options)
            yield sink.getvalue().to_pybytes()
