"""Versions of facts: appended when they differ from the last of their id, numbered without a gap, each of one batch."""

from __future__ import annotations

from ...shared.declarations import WarehouseTable
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from .foreign_keys import checked_together
from .schemas import Warehouse

# The last version of each id by its record; DISTINCT ON serves with and without an index on (id, record).
_APPEND = """
    INSERT INTO $table ($record, $columns) OVERRIDING SYSTEM VALUE
    SELECT current_setting('pipeline.record')::bigint + row_number() OVER (ORDER BY s.$key), $staged
    FROM $stage AS s
    LEFT JOIN (
        SELECT DISTINCT ON (f.$key) f.* FROM $table AS f
        WHERE f.$key IN (SELECT $key FROM $stage) ORDER BY f.$key, f.$record DESC
    ) AS last ON last.$key = s.$key
    WHERE last.$key IS NULL
       OR ROW($staged) IS DISTINCT FROM ROW($latest)
       OR EXISTS (
           SELECT FROM $deletion AS d
           WHERE d.table_name = $name AND d.key = s.$key::text AND d.ended_batch IS NULL
       )
"""
# The batch that brought a version `t`, as `v`: nothing where that is not known.
_BROUGHT_BY = """
    LEFT JOIN LATERAL (
        SELECT r.batch, r.last_record FROM $version AS r
        WHERE r.table_name = $name AND r.first_record <= t.$record ORDER BY r.first_record DESC LIMIT 1
    ) AS v ON v.last_record >= t.$record
"""
# Of the table and of the ranges: a number that was given once never means another version.
_LAST_RECORD = """
    SELECT GREATEST(
        (SELECT max($record) FROM $table),
        (SELECT max(last_record) FROM $version WHERE table_name = $name),
        0
    )
"""
_RANGE = """
    INSERT INTO $version (table_name, first_record, last_record, batch)
    VALUES (:name, CAST(:first AS bigint), CAST(:last AS bigint), CAST(:batch AS bigint))
"""
# Versions were always appended batch by batch, and the ledger counts them: the n-th record is of the batch that brought
# the n-th row. Believed only where the counts add up.
_ATTRIBUTE = """
    INSERT INTO $version (table_name, first_record, last_record, batch)
    WITH brought AS (
        SELECT batch, (written->>$name)::bigint AS rows, sum((written->>$name)::bigint) OVER (ORDER BY batch) AS until
        FROM $ledger WHERE (written->>$name)::bigint > 0
    ), numbered AS (
        SELECT $record AS record, row_number() OVER (ORDER BY $record) AS n FROM $table
    )
    SELECT $name, f.record, l.record, b.batch
    FROM brought AS b
    JOIN numbered AS f ON f.n = b.until - b.rows + 1
    JOIN numbered AS l ON l.n = b.until
    WHERE (SELECT max(until) FROM brought) = (SELECT count(*) FROM $table)
"""


def append(connection: Connection, warehouse: Warehouse, table: WarehouseTable, stage: sql.Fragment, batch: int) -> int:
    """Appends the staged rows of ``batch`` that are new versions of their ids; returns how many.

    Their record numbers follow the last one, in the order of their keys: the same batches give the same numbers.
    """
    last = last_record(connection, warehouse, table)
    connection.run("SELECT set_config('pipeline.record', CAST(:last AS text), true)", last=str(last))
    columns = table.column_names
    statement = sql.compose(
        _APPEND,
        **names(warehouse, table),
        stage=stage,
        columns=sql.columns(columns),
        staged=sql.columns(columns, of="s"),
        latest=sql.columns(columns, of="last"),
    )
    staged = connection.rows(sql.compose("SELECT count(*) FROM $stage", stage=stage))[0][0]
    with checked_together(connection, warehouse, table, staged):
        connection.run(statement)
        rows = int(connection.row_count)
    add_range(connection, warehouse, table, last, rows, batch)
    return rows


def last_record(connection: Connection, warehouse: Warehouse, table: WarehouseTable) -> int:
    """The highest record number that was ever given in ``table``; 0 where none was."""
    return int(connection.rows(sql.compose(_LAST_RECORD, **names(warehouse, table)))[0][0])


def add_range(
    connection: Connection, warehouse: Warehouse, table: WarehouseTable, last: int, rows: int, batch: int
) -> None:
    """Notes that the ``rows`` versions after record ``last`` are of ``batch``."""
    if rows:
        connection.run(
            sql.compose(_RANGE, version=warehouse.parts()["version"]),
            name=table.name,
            first=last + 1,
            last=last + rows,
            batch=batch,
        )


def attribute(connection: Connection, warehouse: Warehouse, table: WarehouseTable) -> None:
    """Finds out, from the ledger's counts, which batch brought the versions that an earlier release appended.

    Where the counts do not add up to the rows there are, nothing is noted: those versions are of an unknown batch.
    """
    connection.run(sql.compose(_ATTRIBUTE, **names(warehouse, table)))


def names(warehouse: Warehouse, table: WarehouseTable) -> dict[str, sql.Fragment]:
    """The parts that statements about ``table`` are composed of.

    The own tables by their names, ``table``, its ``key`` and ``record``, and its ``name`` as a constant. ``brought_by``
    joins to each version ``t`` of a fact the batch that brought it: ``v.batch``, NULL where that is not known.
    """
    parts = {
        **warehouse.parts(),
        "table": warehouse.table(table.name),
        "key": sql.identifier(table.key),
        "record": sql.identifier(table.record or table.key),
        "name": sql.constant(table.name),
    }
    return {**parts, "brought_by": sql.compose(_BROUGHT_BY, **parts)}
