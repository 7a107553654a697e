"""Open items: values that transform rejected, and pending rows, each with the reason why it is not loaded."""

from __future__ import annotations

from collections.abc import Iterator

from ..shared.messages.events import OpenCounts, OpenItem, RejectedResult
from ..shared.model.declarations import Declarations, WarehouseTable
from ..shared.postgres import sql
from ..shared.postgres.connection import Connection
from .warehouse.control.ledger import check_prepared, last_entry
from .warehouse.references.requirements import Requirement, requirements
from .warehouse.schemas import LIVE, SchemaNames
from .warehouse.table_sql import TableSql, key_text

LIMIT = 500  # entries of each list; a response of Lambda is limited to 6 MB
_MAX_LENGTH = 1000  # characters of a value

_COUNT = """
    SELECT (SELECT count(*) FROM (SELECT DISTINCT table_name, key, batch FROM $rejected_value) AS r),
           (SELECT count(*) FROM $pending_row WHERE deleted_batch IS NULL)
"""
_REJECTED = """
    SELECT batch, table_name, key, column_name, left(value, $length), reason FROM $rejected_value
    ORDER BY batch, table_name, key, column_name LIMIT $limit
"""
_BATCHES = "SELECT array_agg(batch) FROM (SELECT DISTINCT batch FROM $rejected_value ORDER BY batch) AS b"
_PENDING = """
    SELECT p.batch, $name, p.key, $column, left($value, $length), $reason
    FROM $pending_row AS p, jsonb_populate_record(NULL::$table, p.content) AS s
    WHERE p.table_name = $name AND p.deleted_batch IS NULL AND $unmet ORDER BY p.batch, p.key LIMIT $limit
"""


def count_open(connection: Connection, schemas: SchemaNames = LIVE) -> OpenCounts:
    """The numbers of rejected and of pending rows."""
    rejected, pending = connection.rows(sql.compose(_COUNT, **schemas.control_tables()))[0]
    return OpenCounts(int(rejected), int(pending))


def open_rows(
    connection: Connection, declarations: Declarations, *, limit: int = LIMIT, schemas: SchemaNames = LIVE
) -> RejectedResult:
    """The open items: one entry per rejected value and per unmet requirement, oldest first.

    At most ``limit`` rejected and ``limit`` pending. Raises WarehouseError when the warehouse is not prepared.
    """
    check_prepared(connection, schemas)
    parts = {**schemas.control_tables(), "limit": sql.number(limit), "length": sql.number(_MAX_LENGTH)}
    rejected = connection.rows(sql.compose(_REJECTED, **parts))
    pending = [item for table in declarations.loading_order() for item in _pending(connection, schemas, table, limit)]
    batches = connection.rows(sql.compose(_BATCHES, **parts))[0][0] or []
    return RejectedResult(
        count_open(connection, schemas),
        tuple(batches),
        tuple(OpenItem(*row) for row in rejected),
        tuple(pending[:limit]),
        last_entry(connection, schemas).batch,
    )


def _pending(connection: Connection, schemas: SchemaNames, table: WarehouseTable, limit: int) -> Iterator[OpenItem]:
    """At most ``limit`` pending rows for each requirement that they do not meet, oldest first."""
    for requirement in requirements(connection, schemas, table):
        statement = sql.compose(
            _PENDING,
            **TableSql.of(schemas, table).parts,
            column=sql.constant(", ".join(requirement.columns)),
            value=key_text(requirement.columns, of="s"),
            reason=sql.constant(_reason(requirement)),
            unmet=requirement.unmet,
            limit=sql.number(limit),
            length=sql.number(_MAX_LENGTH),
        )
        yield from (OpenItem(*row) for row in connection.rows(statement))


def _reason(requirement: Requirement) -> str:
    if requirement.referenced_table is None:
        return "NULL, which the warehouse refuses"
    return f"not in {requirement.referenced_table} yet"
