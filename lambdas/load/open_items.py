"""What is open: rows that transform rejected, and rows that are held, each with the reason that keeps it out."""

from __future__ import annotations

from ..shared.declarations import CALENDAR, Declarations
from ..shared.events import OpenCounts, OpenItem, RejectedResult
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


def count_open(connection: Connection, warehouse: Warehouse = LIVE) -> OpenCounts:
    """The numbers of rejected and of pending rows."""
    rejected, pending = connection.rows(sql.compose(_COUNT, **warehouse.parts()))[0]
    return OpenCounts(int(rejected), int(pending))


def open_rows(
    connection: Connection, declarations: Declarations, *, limit: int = LIMIT, warehouse: Warehouse = LIVE
) -> RejectedResult:
    """The outstanding rows: one entry per reason, oldest first, at most ``limit`` rejected and ``limit`` pending.

    Raises WarehouseError when the warehouse is not prepared.
    """
    check_prepared(connection, warehouse)
    parts = {**warehouse.parts(), "limit": sql.number(limit), "length": sql.number(_MAX_TEXT)}
    rejected = tuple(OpenItem(*row) for row in connection.rows(sql.compose(_REJECTED, **parts)))
    pending = [
        _entry(found)
        for table in declarations.loading_order()
        if table.kind != CALENDAR
        for found in waiting(connection, warehouse, table, limit)
    ]
    batches = connection.rows(sql.compose(_BATCHES, **parts))[0][0] or []
    return RejectedResult(count_open(connection), tuple(batches), rejected, tuple(pending[:limit]))


def _entry(found: Waiting) -> OpenItem:
    reason = "NULL, which the warehouse refuses" if found.other is None else f"not in {found.other} yet"
    return OpenItem(found.batch, found.table, found.key, found.column, found.value, reason)
