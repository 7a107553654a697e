"""The views of the published tables: the current state of each, and the history of facts with its times."""

from __future__ import annotations

from collections import Counter

from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.load.warehouse.session import TableSql
from lambda_toolkit.pipeline.lambdas.shared.declarations import CALENDAR, FACT, Declarations, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql

_CURRENT_DIMENSION = """
    CREATE VIEW $view AS SELECT $columns FROM $table AS t
    WHERE NOT EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = t.$key::text AND d.undeleted_batch IS NULL
    )
"""
_CURRENT_FACT = """
    CREATE VIEW $view AS SELECT DISTINCT ON (t.$key) $columns FROM $table AS t
    WHERE NOT EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = t.$key::text AND d.undeleted_batch IS NULL
    )
    ORDER BY t.$key, t.$record DESC
"""
# A version ends when the next one of its key begins, or when the source deleted the row, whichever is earlier. Of a row
# that load did not write, both times are NULL.
_HISTORY = """
    CREATE VIEW $view AS
    SELECT $columns, v.valid_from,
        LEAST(lead(v.valid_from) OVER (PARTITION BY t.$key ORDER BY t.$record), deleted.valid_to) AS valid_to
    FROM $table AS t
    CROSS JOIN LATERAL (
        SELECT max(r.batch) AS batch, max(l.extracted_at) AS valid_from
        FROM (
            SELECT * FROM $version_range AS v
            WHERE v.table_name = $name AND v.first_record <= t.$record ORDER BY v.first_record DESC LIMIT 1
        ) AS r
        JOIN $ledger AS l ON l.batch = r.batch
        WHERE r.last_record >= t.$record
    ) AS v
    CROSS JOIN LATERAL (
        SELECT min(l.extracted_at) AS valid_to
        FROM $deletion AS d JOIN $ledger AS l ON l.batch = d.batch
        WHERE d.table_name = $name AND d.key = t.$key::text AND d.batch > v.batch
    ) AS deleted
"""


def views(declarations: Declarations, table: WarehouseTable) -> dict[str, str]:
    """The names of a table's views, each with the template that creates it.

    Those of a fact have the name of its source table: ``current_sales_order``, ``history_sales_order``; where two facts
    have the same source table, the names of the facts.
    """
    if table.kind == CALENDAR:
        return {}
    if table.kind != FACT:
        return {f"current_{table.name}": _CURRENT_DIMENSION}
    made = Counter(other.source for other in declarations.warehouse.values() if other.kind == FACT)
    subject = table.source if made[table.source] == 1 else table.name
    return {f"current_{subject}": _CURRENT_FACT, f"history_{subject}": _HISTORY}


def view_statement(
    template: str, view: str, table: WarehouseTable, columns: tuple[str, ...], schemas: SchemaNames = LIVE
) -> sql.Fragment:
    """The statement that creates ``view`` of ``table``, which has these ``columns``."""
    parts = {**TableSql.of(schemas, table).parts, "columns": sql.columns(columns, of="t")}
    return sql.compose(template, **parts, view=schemas.table(view))
