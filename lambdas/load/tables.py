"""One table of one batch: into a stage by COPY, from there into the warehouse by set-based SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pc

from lambdas.load.held import held_batches, hold, release, stage_held
from lambdas.load.schemas import Warehouse
from lambdas.load.versions import append, names
from lambdas.shared import sql
from lambdas.shared.declarations import FACT, WarehouseTable
from lambdas.shared.lake import Lake
from lambdas.shared.manifest import ProcessedTable
from lambdas.shared.wire import Connection

CSV_ROWS = 16 * 1024  # rows to a piece of CSV: about a megabyte

_STAGE = "CREATE TEMPORARY TABLE $stage ON COMMIT DROP AS SELECT $columns FROM $table WITH NO DATA"
_COPY = "COPY $stage ($columns) FROM STDIN (FORMAT csv)"

_UPSERT = """
    INSERT INTO $table AS t ($columns) SELECT $columns FROM $stage
    ON CONFLICT ($key) DO UPDATE SET ($columns) = ROW($excluded)
    WHERE ROW($current) IS DISTINCT FROM ROW($excluded)
"""
_REVIVE = """
    UPDATE $deletion AS d SET ended_batch = current_setting('pipeline.batch')::bigint
    FROM $stage AS s WHERE d.table_name = $name AND d.key = s.$key::text AND d.ended_batch IS NULL
"""
_DELETE = """
    INSERT INTO $deletion (table_name, key, batch)
    SELECT $name, s.$key::text, current_setting('pipeline.batch')::bigint FROM $stage AS s
    WHERE NOT EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = s.$key::text AND d.ended_batch IS NULL
    )
"""


@dataclass(frozen=True)
class Written:
    """Rows appended or upserted; and rows held because the warehouse would refuse them now."""

    rows: int = 0
    held: int = 0


def write_table(
    connection: Connection,
    warehouse: Warehouse,
    lake: Lake,
    table: WarehouseTable,
    files: ProcessedTable,
    batch: int,
) -> Written:
    """Writes what a batch holds for ``table``. Writing the same again writes nothing. Belongs in a transaction."""
    _set_batch(connection, batch)
    rows = held = 0
    if files.key is not None:
        stage = _stage(connection, warehouse, table, table.column_names, f"stage_{table.name}", lake.tables(files.key))
        held = hold(connection, warehouse, table, stage)
        rows = _write(connection, warehouse, table, stage, batch)
    if files.deleted is not None:
        stage = _stage(connection, warehouse, table, (table.key,), f"gone_{table.name}", lake.tables(files.deleted.key))
        connection.run(sql.compose(_DELETE, **names(warehouse, table), stage=stage))
        release(connection, warehouse, table, stage)
    return Written(rows, held)


def write_held(connection: Connection, warehouse: Warehouse, table: WarehouseTable) -> int:
    """Writes the held rows of a table that the warehouse would take now, oldest first; returns how many."""
    rows = 0
    for batch in held_batches(connection, warehouse, table):
        _set_batch(connection, batch)
        stage = stage_held(connection, warehouse, table, batch)
        rows += _write(connection, warehouse, table, stage, batch)
    return rows


def _write(connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment, batch: int) -> int:
    """Staged rows into the table: they are what is known of their ids now, and none of these is deleted any more."""
    if table.kind == FACT:
        rows = append(connection, warehouse, table, stage, batch)
    else:
        rows = _upsert(connection, warehouse, table, stage)
    release(connection, warehouse, table, stage)
    connection.run(sql.compose(_REVIVE, **names(warehouse, table), stage=stage))
    return rows


def _set_batch(connection: Connection, batch: int) -> None:
    connection.run("SELECT set_config('pipeline.batch', CAST(:batch AS text), true)", batch=str(batch))


def to_csv(rows: Iterable[pa.Table]) -> Iterator[bytes]:
    """The rows in the CSV that COPY reads: NULL is nothing, '' is a quoted nothing."""
    options = pc.WriteOptions(include_header=False, quoting_style="needed")
    for table in rows:
        for batch in table.to_batches(max_chunksize=CSV_ROWS):
            sink = pa.BufferOutputStream()
            pc.write_csv(batch, sink, options)
            yield sink.getvalue().to_pybytes()


def _stage(
    connection: Connection,
    warehouse: Warehouse,
    table: WarehouseTable,
    columns: tuple[str, ...],
    name: str,
    rows: Iterable[pa.Table],
) -> sql.Fragment:
    # A long name is cut here, not by the server, which would let two of them fall together.
    stage = sql.table(name[: sql.MAX_IDENTIFIER], schema="pg_temp")
    names = sql.columns(columns)
    connection.run(sql.compose(_STAGE, stage=stage, columns=names, table=warehouse.table(table.name)))
    ordered = (part.select(list(columns)) for part in rows)
    connection.copy_in(sql.compose(_COPY, stage=stage, columns=names), to_csv(ordered))
    connection.run(sql.compose("ANALYZE $stage", stage=stage))
    return stage


def _upsert(connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment) -> int:
    columns = table.column_names
    statement = sql.compose(
        _UPSERT,
        **names(warehouse, table),
        stage=stage,
        columns=sql.columns(columns),
        current=sql.columns(columns, of="t"),
        excluded=sql.columns(columns, of="excluded"),
    )
    connection.run(statement)
    return int(connection.row_count)
