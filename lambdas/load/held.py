"""Rows that the warehouse would refuse are held: those that name a row which is not there yet, because it was
rejected, and those without a value that the warehouse demands.

Without this a single unknown currency, or a single NULL, would stop every later batch. A held version is written, in
its order, by the first batch after which it fits; it is given up when a newer version of its id arrives or the id is
deleted.
"""

from __future__ import annotations

from lambdas.load.schemas import Warehouse
from lambdas.load.versions import names
from lambdas.shared import sql
from lambdas.shared.declarations import WarehouseTable
from lambdas.shared.wire import Connection

_FOREIGN_KEYS = """
    SELECT n.nspname, f.relname, k.name, r.name
    FROM pg_catalog.pg_constraint AS c
    JOIN pg_catalog.pg_class AS f ON f.oid = c.confrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = f.relnamespace
    CROSS JOIN LATERAL (SELECT attname AS name FROM pg_catalog.pg_attribute
                        WHERE attrelid = c.conrelid AND attnum = c.conkey[1]) AS k
    CROSS JOIN LATERAL (SELECT attname AS name FROM pg_catalog.pg_attribute
                        WHERE attrelid = c.confrelid AND attnum = c.confkey[1]) AS r
    WHERE c.conrelid = CAST(:relation AS regclass) AND c.contype = 'f' AND cardinality(c.conkey) = 1
    ORDER BY c.conname
"""
_DEMANDED = (
    "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = CAST(:relation AS regclass) AND attnum > 0"
    " AND NOT attisdropped AND attnotnull ORDER BY attnum"
)
_MISSING = "(s.$column IS NOT NULL AND NOT EXISTS (SELECT FROM $other AS r WHERE r.$key = s.$column))"
_HOLD = """
    WITH missing AS (DELETE FROM $stage AS s WHERE $missing RETURNING s.*)
    INSERT INTO $held (table_name, key, batch, version)
    SELECT $name, m.$key::text, current_setting('pipeline.batch')::bigint, to_jsonb(m) FROM missing AS m
    ON CONFLICT DO NOTHING
"""
_BATCHES = "SELECT DISTINCT batch FROM $held WHERE table_name = :name ORDER BY batch"
_TAKE = """
    CREATE TEMPORARY TABLE $stage ON COMMIT DROP AS
    SELECT $columns FROM $held AS h, jsonb_populate_record(NULL::$table, h.version) AS v
    WHERE h.table_name = $name AND h.batch = current_setting('pipeline.batch')::bigint
"""
_DROP_MISSING = "DELETE FROM $stage AS s WHERE $missing"
_RELEASE = """
    DELETE FROM $held AS h USING $stage AS s
    WHERE h.table_name = $name AND h.key = s.$key::text AND h.batch <= current_setting('pipeline.batch')::bigint
"""


def hold(connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment) -> int:
    """Moves the staged rows that the warehouse would refuse out of the stage; returns how many."""
    missing = _missing(connection, warehouse, table)
    if missing is None:
        return 0
    connection.run(sql.compose(_HOLD, **names(warehouse, table), stage=stage, missing=missing))
    return int(connection.row_count)


def held_batches(connection: Connection, warehouse: Warehouse, table: WarehouseTable) -> list[int]:
    """The batches of which versions of ``table`` are held, in order."""
    return [int(row[0]) for row in connection.rows(sql.compose(_BATCHES, **warehouse.parts()), name=table.name)]


def stage_held(connection: Connection, warehouse: Warehouse, table: WarehouseTable, batch: int) -> sql.Fragment:
    """A stage with what is held of ``batch`` (to which the session is set) that the warehouse would take now."""
    stage = sql.table(f"held_{batch}_{table.name}"[: sql.MAX_IDENTIFIER], schema="pg_temp")
    connection.run(
        sql.compose(_TAKE, **names(warehouse, table), stage=stage, columns=sql.columns(table.column_names, of="v"))
    )
    missing = _missing(connection, warehouse, table)
    if missing is not None:
        connection.run(sql.compose(_DROP_MISSING, stage=stage, missing=missing))
    return stage


def release(connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment) -> None:
    """Forgets what is held of the ids in ``stage``, up to the session's batch: appended now, overtaken, or deleted."""
    connection.run(sql.compose(_RELEASE, **names(warehouse, table), stage=stage))


def _missing(connection: Connection, warehouse: Warehouse, table: WarehouseTable) -> sql.Fragment | None:
    """The condition that a staged row ``s`` names a row that is not there, or lacks a value that must be there.

    None where the table demands nothing.
    """
    relation = str(warehouse.table(table.name))
    keys = connection.rows(_FOREIGN_KEYS, relation=relation)
    conditions = [
        sql.compose(
            _MISSING, column=sql.identifier(column), other=sql.table(other, schema), key=sql.identifier(other_key)
        )
        for schema, other, column, other_key in keys
        if column in table.column_names
    ]
    conditions += [
        sql.compose("s.$column IS NULL", column=sql.identifier(column))
        for (column,) in connection.rows(_DEMANDED, relation=relation)
        if column in table.column_names
    ]
    return sql.joined(" OR ", conditions) if conditions else None
