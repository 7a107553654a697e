"""Rows on their way into the warehouse: a temporary table of the transaction, filled by COPY."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.csv as pc

from ...shared.declarations import WarehouseTable
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from .schemas import Warehouse

CSV_ROWS = 16 * 1024  # rows to a piece of CSV: about a megabyte

_CREATE = "CREATE TEMPORARY TABLE $stage ON COMMIT DROP AS SELECT $columns FROM $table WITH NO DATA"
_COPY = "COPY $stage ($columns) FROM STDIN (FORMAT csv)"


def stage_rows(
    connection: Connection,
    warehouse: Warehouse,
    table: WarehouseTable,
    columns: tuple[str, ...],
    name: str,
    rows: Iterable[pa.Table],
) -> sql.Fragment:
    """A stage called ``name`` with these columns of ``table``, filled with ``rows``."""
    stage = temporary(name)
    connection.run(sql.compose(_CREATE, stage=stage, columns=sql.columns(columns), table=warehouse.table(table.name)))
    copy_rows(connection, stage, columns, rows)
    analyze(connection, stage)
    return stage


def temporary(name: str) -> sql.Fragment:
    """The temporary table ``name``. A long name is cut here, not by the server, where two might fall together."""
    return sql.table(name[: sql.MAX_IDENTIFIER], schema="pg_temp")


def copy_rows(connection: Connection, to: sql.Fragment, columns: tuple[str, ...], rows: Iterable[pa.Table]) -> int:
    """Copies these columns of ``rows`` into the table ``to``, where they have the same names; returns how many rows."""
    chosen = (part.select(list(columns)) for part in rows)
    return connection.copy_in(sql.compose(_COPY, stage=to, columns=sql.columns(columns)), to_csv(chosen))


def analyze(connection: Connection, stage: sql.Fragment) -> None:
    """Tells the planner how large a stage is."""
    connection.run(sql.compose("ANALYZE $stage", stage=stage))


def to_csv(rows: Iterable[pa.Table]) -> Iterator[bytes]:
    """The rows in the CSV that COPY reads: NULL is nothing, '' is a quoted nothing."""
    options = pc.WriteOptions(include_header=False, quoting_style="needed")
    for table in rows:
        for batch in table.to_batches(max_chunksize=CSV_ROWS):
            sink = pa.BufferOutputStream()
            pc.write_csv(batch, sink, options)
            yield sink.getvalue().to_pybytes()
