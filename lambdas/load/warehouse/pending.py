"""Rows that the warehouse would refuse are held: those that name a row which is not there yet, because it was rejected,
and those without a value that the warehouse demands.

Without this a single unknown currency would stop every later batch. What is held is written, in its place, by the first
batch after which it fits. Of a dimension, which keeps the latest row only, a newer row or a deletion ends the waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...shared.declarations import FACT, WarehouseTable
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from .facts import names
from .schemas import Warehouse

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
_MISSING = "(s.$column IS NOT NULL AND NOT EXISTS (SELECT FROM $other AS r WHERE r.$other_key = s.$column))"
_HOLD = """
    WITH missing AS (DELETE FROM $stage AS s WHERE $missing RETURNING s.*)
    INSERT INTO $held (table_name, key, batch, version)
    SELECT $name, m.$key::text, current_setting('pipeline.batch')::bigint, to_jsonb(m) FROM missing AS m
    ON CONFLICT DO NOTHING
"""
_HOLD_EVENTS = """
    WITH missing AS (DELETE FROM $stage AS s WHERE NOT s."_deleted" AND ($missing) RETURNING s.*)
    INSERT INTO $held (table_name, key, batch, version)
    SELECT $name, m.$key::text, m."_batch", to_jsonb(m) - '_batch' - '_deleted' FROM missing AS m
    ON CONFLICT DO NOTHING
"""
_OVERTAKEN_EVENTS = """
    DELETE FROM $held AS h USING $stage AS s
    WHERE h.table_name = $name AND h.key = s.$key::text AND h.batch < s."_batch"
"""
_OVERTAKEN = """
    DELETE FROM $held AS h USING $stage AS s
    WHERE h.table_name = $name AND h.key = s.$key::text AND h.batch <= current_setting('pipeline.batch')::bigint
"""
_HELD = "FROM $held AS h, jsonb_populate_record(NULL::$table, h.version) AS s WHERE h.table_name = $name"
_FITTING = f"""
    CREATE TEMPORARY TABLE $stage ON COMMIT DROP AS
    SELECT s.$key, min(h.batch) AS batch {_HELD} AND NOT ($missing) GROUP BY 1
"""  # of constants
_WAITING = f"""
    SELECT h.key, h.batch, s.$column::text {_HELD} AND $missing ORDER BY h.batch, h.key LIMIT $limit
"""  # of constants


@dataclass(frozen=True)
class Demand:
    """What a table asks of a column: that there is a row of ``other`` for it, or where that is None, any value."""

    column: str
    other: str | None
    missing: sql.Fragment  # the condition that a row `s` does not fulfil it


@dataclass(frozen=True)
class Waiting:
    """A row that is held, and one of the reasons."""

    table: str
    key: str
    batch: int
    column: str
    value: str | None
    other: str | None


def demands(connection: Connection, warehouse: Warehouse, table: WarehouseTable) -> tuple[Demand, ...]:
    """What the table, as it is in the warehouse, asks of the columns that transform fills."""
    relation = str(warehouse.table(table.name))
    keys = [
        Demand(
            column,
            other,
            sql.compose(
                _MISSING, column=sql.identifier(column), other=sql.table(other, schema), other_key=sql.identifier(key)
            ),
        )
        for schema, other, column, key in connection.rows(_FOREIGN_KEYS, relation=relation)
    ]
    values = [
        Demand(column, None, sql.compose("s.$column IS NULL", column=sql.identifier(column)))
        for (column,) in connection.rows(_DEMANDED, relation=relation)
    ]
    return tuple(demand for demand in (*keys, *values) if demand.column in table.column_names)


def hold(connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment) -> int:
    """Moves the staged rows that the warehouse would refuse out of the stage; returns how many."""
    return _hold(_HOLD, connection, warehouse, table, stage)


def hold_events(connection: Connection, warehouse: Warehouse, table: WarehouseTable, events: sql.Fragment) -> int:
    """The same of a stage of events, in which every row has its own batch.

    Of a dimension, an event also ends the waiting of what older batches brought of its id.
    """
    held = _hold(_HOLD_EVENTS, connection, warehouse, table, events)
    if table.kind != FACT:
        connection.run(sql.compose(_OVERTAKEN_EVENTS, **names(warehouse, table), stage=events))
    return held


def stage_fitting(
    connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment
) -> int | None:
    """Creates ``stage``: the ids of which something is held that would fit now. Returns the oldest batch of that, or
    None where nothing is: then there may be no stage.
    """
    parts = {**names(warehouse, table), "stage": stage}
    if not connection.rows(sql.compose("SELECT EXISTS (SELECT FROM $held WHERE table_name = $name)", **parts))[0][0]:
        return None
    connection.run(sql.compose(_FITTING, **parts, missing=_any(demands(connection, warehouse, table))))
    first = connection.rows(sql.compose("SELECT min(batch) FROM $stage", stage=stage))[0][0]
    return None if first is None else int(first)


def release_overtaken(connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment) -> None:
    """Forgets what is held of a dimension's ids in ``stage``, up to the session's batch."""
    if table.kind != FACT:
        connection.run(sql.compose(_OVERTAKEN, **names(warehouse, table), stage=stage))


def waiting(connection: Connection, warehouse: Warehouse, table: WarehouseTable, limit: int) -> Iterator[Waiting]:
    """At most ``limit`` rows that are held for each thing that they wait for, oldest first."""
    for demand in demands(connection, warehouse, table):
        statement = sql.compose(
            _WAITING,
            **names(warehouse, table),
            column=sql.identifier(demand.column),
            missing=demand.missing,
            limit=sql.number(limit),
        )
        for key, batch, value in connection.rows(statement):
            yield Waiting(table.name, key, int(batch), demand.column, value, demand.other)


def _hold(
    template: str, connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment
) -> int:
    asked = demands(connection, warehouse, table)
    if not asked:
        return 0
    connection.run(sql.compose(template, **names(warehouse, table), stage=stage, missing=_any(asked)))
    return int(connection.row_count)


def _any(asked: tuple[Demand, ...]) -> sql.Fragment:
    return sql.joined(" OR ", [demand.missing for demand in asked]) if asked else sql.compose("false")
