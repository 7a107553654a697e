"""What is open: rows that transform rejected, and rows that are held, each with the reason that keeps it out."""

from __future__ import annotations

from typing import Any

from ..shared.declarations import CALENDAR, Declarations
from ..shared.postgres import sql
from ..shared.postgres.copy import Connection
from .warehouse.ledger import check_prepared
from .warehouse.pending import Waiting, waiting
from .warehouse.schemas import LIVE, Warehouse

LIMIT = 500  # entries of each kind that are told one by one; an answer of Lambda holds 6 MB
_MAX_TEXT = 1000  # characters of a value that are told

_COUNT = """
    SELECT (SELECT count(*) FROM (SELECT DISTINCT table_name, key, batch FROM $rejected) AS r),
           (SELECT count(*) FROM $held)
"""
_REJECTED = """
    SELECT batch, table_name, key, column_name, left(value, $length), reason FROM $rejected
    ORDER BY batch, table_name, key, column_name LIMIT $limit
"""
_BATCHES = "SELECT array_agg(batch) FROM (SELECT DISTINCT batch FROM $rejected ORDER BY batch) AS b"


def count_open(connection: Connection, warehouse: Warehouse = LIVE) -> dict[str, int]:
    """How many rows are ``rejected``, and how many ``held``."""
    rejected, held = connection.rows(sql.compose(_COUNT, **warehouse.parts()))[0]
    return {"rejected": int(rejected), "held": int(held)}


def open_rows(
    connection: Connection, declarations: Declarations, *, limit: int = LIMIT, warehouse: Warehouse = LIVE
) -> dict[str, Any]:
    """What is open, as JSON values: one entry for each fault, oldest first, at most ``limit`` of each kind.

    ``batches``: those with rejected rows, which a replay may convert. ``counts``: rows in all. Raises WarehouseError
    when the warehouse is not prepared.
    """
    check_prepared(connection, warehouse)
    parts = {**warehouse.parts(), "limit": sql.number(limit), "length": sql.number(_MAX_TEXT)}
    fields = ("batch", "table", "key", "column", "value", "reason")
    rejected = [dict(zip(fields, row, strict=True)) for row in connection.rows(sql.compose(_REJECTED, **parts))]
    held = [
        _entry(found)
        for table in declarations.loading_order()
        if table.kind != CALENDAR
        for found in waiting(connection, warehouse, table, limit)
    ]
    return {
        "counts": count_open(connection, warehouse),
        "batches": connection.rows(sql.compose(_BATCHES, **parts))[0][0] or [],
        "rejected": rejected,
        "held": held[:limit],
    }


def _entry(found: Waiting) -> dict[str, Any]:
    reason = "NULL, which the warehouse refuses" if found.other is None else f"not in {found.other} yet"
    return {
        "batch": found.batch,
        "table": found.table,
        "key": found.key,
        "column": found.column,
        "value": found.value,
        "reason": reason,
    }
