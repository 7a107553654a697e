"""One table of one batch: into a stage by COPY, from there into the warehouse by set-based SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pc

from lambdas.load.held import held_batches, hold, release, stage_held
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
# The last version of each id by its record; DISTINCT ON serves with and without an index on (id, record).
_APPEND = """
    INSERT INTO $table ($columns)
    SELECT $staged FROM $stage AS s
    LEFT JOIN (
        SELECT DISTINCT ON (f.$key) f.* FROM $table AS f
        WHERE f.$key IN (SELECT $key FROM $stage) ORDER BY f.$key, f.$record DESC
    ) AS last ON last.$key = s.$key
    WHERE last.$key IS NULL
       OR ROW($staged) IS DISTINCT FROM ROW($latest)
       OR EXISTS (
           SELECT FROM pipeline.deletion AS d
           WHERE d.table_name = $name AND d.key = s.$key::text AND d.ended_batch IS NULL
       )
    ORDER BY s.$key
"""
_REVIVE = """
    UPDATE pipeline.deletion AS d SET ended_batch = current_setting('pipeline.batch')::bigint
    FROM $stage AS s WHERE d.table_name = $name AND d.key = s.$key::text AND d.ended_batch IS NULL
"""
_DELETE = """
    INSERT INTO pipeline.deletion (table_name, key, batch)
    SELECT $name, s.$key::text, current_setting('pipeline.batch')::bigint FROM $stage AS s
    WHERE EXISTS (SELECT FROM $table AS t WHERE t.$key = s.$key)
      AND NOT EXISTS (
          SELECT FROM pipeline.deletion AS d
          WHERE d.table_name = $name AND d.key = s.$key::text AND d.ended_batch IS NULL
      )
"""


@dataclass(frozen=True)
class Written:
    """Rows appended or upserted; and rows held because the warehouse would refuse them now."""

    rows: int = 0
    held: int = 0


def write_table(
    connection: Connection, lake: Lake, table: WarehouseTable, files: ProcessedTable, batch: int
) -> Written:
    """Writes what a batch holds for ``table``. Writing the same again writes nothing. Belongs in a transaction."""
    _set_batch(connection, batch)
    rows = held = 0
    if files.key is not None:
        stage = _stage(connection, table, table.column_names, f"stage_{table.name}", lake.tables(files.key))
        held = hold(connection, table, stage)
        rows = _write(connection, table, stage)
    if files.deleted is not None:
        stage = _stage(connection, table, (table.key,), f"gone_{table.name}", lake.tables(files.deleted.key))
        connection.run(sql.compose(_DELETE, **_names(table, stage)))
        release(connection, table, stage)
    return Written(rows, held)


def write_held(connection: Connection, table: WarehouseTable) -> int:
    """Writes the held rows of a table that the warehouse would take now, oldest first; returns how many."""
    rows = 0
    for batch in held_batches(connection, table):
        _set_batch(connection, batch)
        stage = stage_held(connection, table, batch)
        rows += _write(connection, table, stage)
    return rows


def _write(connection: Connection, table: WarehouseTable, stage: sql.Fragment) -> int:
    """Staged rows into the table: they are what is known of their ids now, and none of these is deleted any more."""
    rows = _append(connection, table, stage) if table.kind == FACT else _upsert(connection, table, stage)
    release(connection, table, stage)
    connection.run(sql.compose(_REVIVE, **_names(table, stage)))
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
    connection: Connection, table: WarehouseTable, columns: tuple[str, ...], name: str, rows: Iterable[pa.Table]
) -> sql.Fragment:
    # A long name is cut here, not by the server, which would let two of them fall together.
    stage = sql.table(name[: sql.MAX_IDENTIFIER], schema="pg_temp")
    names = sql.columns(columns)
    connection.run(sql.compose(_STAGE, stage=stage, columns=names, table=sql.table(table.name)))
    ordered = (part.select(list(columns)) for part in rows)
    connection.copy_in(sql.compose(_COPY, stage=stage, columns=names), to_csv(ordered))
    connection.run(sql.compose("ANALYZE $stage", stage=stage))
    return stage


def _upsert(connection: Connection, table: WarehouseTable, stage: sql.Fragment) -> int:
    columns = table.column_names
    statement = sql.compose(
        _UPSERT,
        **_names(table, stage),
        columns=sql.columns(columns),
        current=sql.columns(columns, of="t"),
        excluded=sql.columns(columns, of="excluded"),
    )
    connection.run(statement)
    return int(connection.row_count)


def _append(connection: Connection, table: WarehouseTable, stage: sql.Fragment) -> int:
    columns = table.column_names
    statement = sql.compose(
        _APPEND,
        **_names(table, stage),
        columns=sql.columns(columns),
        staged=sql.columns(columns, of="s"),
        latest=sql.columns(columns, of="last"),
        record=sql.identifier(str(table.record)),
    )
    connection.run(statement)
    return int(connection.row_count)


def _names(table: WarehouseTable, stage: sql.Fragment) -> dict[str, sql.Fragment]:
    return {
        "table": sql.table(table.name),
        "stage": stage,
        "key": sql.identifier(table.key),
        "name": sql.constant(table.name),
    }
