"""The times of the versions of a dimension that keeps its history: from when, until when, whether it is the present.

They follow from the batches of its versions and deletions, which the control tables have, so that a rebuild gives the
same. A version ends when the next one of its key begins, or when the source deleted the row, whichever is earlier.
"""

from __future__ import annotations

from ...shared.declarations import WarehouseTable
from ...shared.history import IS_CURRENT, VALID_FROM, VALID_TO
from ...shared.lake.manifest import ProcessedManifest
from ...shared.postgres import sql
from .schemas import SchemaNames
from .session import WarehouseSession

_TIMES = """
    SELECT batch, extracted_at FROM $ledger
    UNION ALL
    SELECT $batch, CAST($extracted_at AS timestamptz) WHERE NOT EXISTS (SELECT FROM $ledger WHERE batch = $batch)
"""
_SINCE_BATCH = ", (SELECT l.extracted_at FROM ($times) AS l WHERE l.batch = $batch), CAST(NULL AS timestamptz), true"
_REFRESH = """
    UPDATE $table AS t
    SET $valid_from = n.valid_from, $valid_to = n.valid_to, $is_current = n.valid_to IS NULL
    FROM (
        SELECT t.$record AS "_record", l.extracted_at AS valid_from,
            LEAST(lead(l.extracted_at) OVER (PARTITION BY $key_of_t ORDER BY t.$record), deleted.valid_to) AS valid_to
        FROM $table AS t
        $loaded_by_batch
        JOIN ($times) AS l ON l.batch = v.batch
        CROSS JOIN LATERAL (
            SELECT min(l.extracted_at) AS valid_to FROM $deletion AS d JOIN ($times) AS l ON l.batch = d.batch
            WHERE d.table_name = $name AND d.key = $key_text_of_t AND d.batch > v.batch
        ) AS deleted
        WHERE ($key_of_t) IN (SELECT $key_of_s FROM $keys AS s)
    ) AS n
    WHERE t.$record = n."_record"
      AND ROW(t.$valid_from, t.$valid_to, t.$is_current)
          IS DISTINCT FROM ROW(n.valid_from, n.valid_to, n.valid_to IS NULL)
"""
_COLUMNS = {"valid_from": VALID_FROM, "valid_to": VALID_TO, "is_current": IS_CURRENT}


def times(schemas: SchemaNames, manifest: ProcessedManifest) -> sql.Fragment:
    """The query of ``batch`` and ``extracted_at``: those of the ledger, and those of ``manifest``."""
    return sql.compose(
        _TIMES,
        **schemas.control_tables(),
        batch=sql.number(manifest.batch),
        extracted_at=sql.constant(manifest.extracted_at),
    )


def columns(table: WarehouseTable, of: str | None = None) -> sql.Fragment:
    """The columns with the times, after others: each with a comma before it. Empty where the table has none."""
    names = sql.columns(table.validity, of=of)
    return sql.compose(", $names", names=names) if names else names


def parts(session: WarehouseSession, table: WarehouseTable, batch: sql.Fragment) -> dict[str, sql.Fragment]:
    """``$validity``, the columns, and ``$since_batch``, their values for a version of ``batch`` that is the present."""
    if not table.validity:
        return {"validity": sql.compose(""), "since_batch": sql.compose("")}
    return {
        "validity": columns(table),
        "since_batch": sql.compose(_SINCE_BATCH, times=session.times, batch=batch),
    }


def refresh(session: WarehouseSession, table: WarehouseTable, keys: sql.Fragment) -> None:
    """Makes the times right of every version of ``keys``, a table that has the key's columns of ``table``."""
    if table.validity:
        named = {name: sql.identifier(column) for name, column in _COLUMNS.items()}
        session.run(_REFRESH, **session.sql(table).parts, **named, times=session.times, keys=keys)
