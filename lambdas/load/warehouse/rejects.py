"""The rows that transform rejected and that are still missing in the warehouse: ``pipeline.rejected``.

An entry closes when a replay converts the row. Of a dimension, which keeps the latest row only, it also closes when a
newer row of that key is loaded, or the key is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from ...shared.declarations import FACT, Declarations, WarehouseTable
from ...shared.lake.manifest import ProcessedManifest
from ...shared.lake.store import Lake
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from .facts import names
from .lake_history import stage_events
from .schemas import Warehouse
from .staging import copy_rows, temporary

_COLUMNS = ("key", "column", "value", "reason")  # of the files
_STORED = ("key", "column_name", "value", "reason", "table_name", "batch")

_OPEN = """
    CREATE TEMPORARY TABLE $stage ON COMMIT DROP AS
    SELECT DISTINCT r.key AS $key FROM $rejected AS r WHERE r.table_name = $name AND r.batch = $batch
"""
_OVERTAKEN = """
    DELETE FROM $rejected AS r USING $stage AS s
    WHERE r.table_name = $name AND r.key = s.$key::text AND r.batch <= current_setting('pipeline.batch')::bigint
"""
_OVERTAKEN_EVENTS = """
    DELETE FROM $rejected AS r USING $stage AS s
    WHERE r.table_name = $name AND r.key = s.$key::text AND r.batch < s."_batch"
"""


def record(connection: Connection, warehouse: Warehouse, lake: Lake, manifest: ProcessedManifest) -> None:
    """Notes what was rejected of a batch, instead of what was noted of it before."""
    table = warehouse.parts()["rejected"]
    connection.run(
        sql.compose("DELETE FROM $rejected WHERE batch = CAST(:batch AS bigint)", rejected=table), batch=manifest.batch
    )
    for name, file in manifest.rejected.items():
        copy_rows(connection, table, _STORED, _faults(lake, name, file.key, manifest.batch))


def replace(
    connection: Connection,
    warehouse: Warehouse,
    lake: Lake,
    declarations: Declarations,
    manifest: ProcessedManifest,
    last: int,
) -> None:
    """Notes what a revision rejects of a batch that was loaded before; ``last`` is the last one loaded.

    A row of a dimension that a later batch brought, or deleted, is not open, whatever becomes of the older one.
    """
    record(connection, warehouse, lake, manifest)
    for name in manifest.rejected:
        table = declarations.warehouse[name]
        if table.kind == FACT:
            continue
        parts = {**names(warehouse, table), "batch": sql.number(manifest.batch), "stage": temporary(f"open_{name}")}
        connection.run(sql.compose(_OPEN, **parts))
        events = stage_events(connection, warehouse, lake, table, temporary(f"open_{name}"), manifest.batch + 1, last)
        close_overtaken(connection, warehouse, table, events)
        connection.run(sql.compose("DROP TABLE $events", events=events))


def close(connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment) -> None:
    """Closes what was rejected of a dimension's ids in ``stage``, up to the session's batch."""
    connection.run(sql.compose(_OVERTAKEN, **names(warehouse, table), stage=stage))


def close_overtaken(connection: Connection, warehouse: Warehouse, table: WarehouseTable, events: sql.Fragment) -> None:
    """Closes what was rejected of a dimension's ids before a batch that brought them, or deleted them."""
    connection.run(sql.compose(_OVERTAKEN_EVENTS, **names(warehouse, table), stage=events))


def _faults(lake: Lake, table: str, key: str, batch: int) -> Iterator[pa.Table]:
    for part in lake.tables(key):
        rows = part.select(list(_COLUMNS)).rename_columns(list(_STORED[:4]))
        yield rows.append_column("table_name", pa.repeat(pa.scalar(table), len(rows))).append_column(
            "batch", pa.repeat(pa.scalar(batch, pa.int64()), len(rows))
        )
