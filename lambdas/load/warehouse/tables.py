"""One table of one batch: into a stage by COPY, from there into the warehouse by set-based SQL."""

from __future__ import annotations

from dataclasses import dataclass

from ...shared.declarations import DIMENSION, FACT, WarehouseTable
from ...shared.lake.manifest import ProcessedTable
from ...shared.lake.store import Lake
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from . import rejects
from .facts import append, names
from .late_arrivals import place
from .pending import hold, release_overtaken, stage_fitting
from .schemas import Warehouse
from .staging import stage_rows, temporary

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
    set_batch(connection, batch)
    rows = held = 0
    if files.key is not None:
        stage = stage_rows(
            connection, warehouse, table, table.column_names, f"stage_{table.name}", lake.tables(files.key)
        )
        held = hold(connection, warehouse, table, stage)
        rows = _write(connection, warehouse, table, stage, batch)
    if files.deleted is not None:
        stage = stage_rows(
            connection, warehouse, table, (table.key,), f"gone_{table.name}", lake.tables(files.deleted.key)
        )
        connection.run(sql.compose(_DELETE, **names(warehouse, table), stage=stage))
        _end_waiting(connection, warehouse, table, stage)
    return Written(rows, held)


def write_held(connection: Connection, warehouse: Warehouse, lake: Lake, table: WarehouseTable, last: int) -> int:
    """Writes the held rows of a table that the warehouse would take now, each in its place; returns how many.

    ``last``: the last batch loaded.
    """
    late = temporary(f"fitting_{table.name}")
    first = stage_fitting(connection, warehouse, table, late)
    return 0 if first is None else place(connection, warehouse, lake, table, late, first, last)


def _write(connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment, batch: int) -> int:
    """Staged rows into the table: they are what is known of their ids now, and none of these is deleted any more."""
    if table.kind == FACT:
        rows = append(connection, warehouse, table, stage, batch)
    else:
        rows = upsert(connection, warehouse, table, stage)
    _end_waiting(connection, warehouse, table, stage)
    connection.run(sql.compose(_REVIVE, **names(warehouse, table), stage=stage))
    return rows


def _end_waiting(connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment) -> None:
    """Of a dimension only the latest row matters: what waits, or was rejected, of these ids matters no more."""
    if table.kind == DIMENSION:
        release_overtaken(connection, warehouse, table, stage)
        rejects.close(connection, warehouse, table, stage)


def set_batch(connection: Connection, batch: int) -> None:
    """Sets ``pipeline.batch``, which statements about held rows and deletions read, until the transaction ends."""
    connection.run("SELECT set_config('pipeline.batch', CAST(:batch AS text), true)", batch=str(batch))


def upsert(connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment) -> int:
    """Staged rows into a table that keeps one row of each key; returns how many were new or different."""
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
