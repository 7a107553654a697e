"""The times of the versions of a dimension that keeps its history, and the versions that facts refer to.

The times say from when and until when a version is valid, and whether it is the present. They follow from the batches
of versions and deletions, which the control tables have, so that a rebuild gives the same. A version ends when the next
one of its key begins, or when the source deleted the row, whichever is earlier.
"""

from __future__ import annotations

from ....shared.lake.manifest import ProcessedManifest
from ....shared.model.declarations import WarehouseTable
from ....shared.model.history import IS_CURRENT, VALID_FROM, VALID_TO, VersionReference
from ....shared.postgres import sql
from ..schemas import SchemaNames
from ..session import WarehouseSession
from ..table_sql import LOADED_BY_BATCH

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
# Of the versions of a key: the last one that a batch up to this one appended; where there is none, the first.
_VERSION = """(
    SELECT t.$record FROM $dimension AS t
    $loaded_by_batch
    WHERE ($keys) = ($by) AND v.batch IS NOT NULL
    ORDER BY v.batch <= $batch DESC, CASE WHEN v.batch <= $batch THEN -t.$record ELSE t.$record END LIMIT 1
)"""
_FOLLOW = """
    UPDATE $table AS u SET $column = n.version
    FROM (
        SELECT f.$record AS "_record", $version AS version FROM (
            SELECT t.*, v.batch AS "_batch" FROM $table AS t
            $loaded_by_batch
            WHERE v.batch IS NOT NULL AND ($by) IN (SELECT $key_of_dimension FROM $keys AS k)
        ) AS f
    ) AS n
    WHERE u.$record = n."_record" AND u.$column IS DISTINCT FROM n.version
"""
_FOLLOW_IN_BATCH = """
    UPDATE $table AS f SET $column = $version FROM $version_range AS r
    WHERE r.table_name = $name AND r.batch = $batch AND f.$record BETWEEN r.first_record AND r.last_record
      AND f.$column IS DISTINCT FROM COALESCE($version, f.$column)
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
    """``$own``, the columns that load fills, and ``$own_values``, their values in a row ``s`` of ``batch``."""
    names = [columns(table), *(sql.compose(", $column", column=sql.identifier(v.column)) for v in table.versions)]
    values = [sql.compose(_SINCE_BATCH, times=session.times, batch=batch)] if table.validity else []
    values += [sql.compose(", $value", value=version(session.schemas, entry, "s", batch)) for entry in table.versions]
    return {"own": sql.joined("", names), "own_values": sql.joined("", values)}


def compared(schemas: SchemaNames, table: WarehouseTable) -> sql.Fragment:
    """What load fills of a row ``t`` as it is compared, after other columns: of a version its time, not its number."""
    template = ", (SELECT d.$valid_from FROM $dimension AS d WHERE d.$record = t.$column) AS $column"
    versions = [
        sql.compose(
            template,
            valid_from=sql.identifier(VALID_FROM),
            dimension=schemas.table(entry.dimension),
            record=sql.identifier(entry.record),
            column=sql.identifier(entry.column),
        )
        for entry in table.versions
    ]
    return sql.joined("", [columns(table, of="t"), *versions])


def version(schemas: SchemaNames, entry: VersionReference, of: str, batch: sql.Fragment) -> sql.Fragment:
    """The surrogate key of the version that a row ``of`` refers to at ``batch``: the last until then, or the first."""
    record = sql.identifier(entry.record)
    control = schemas.control_tables()
    loaded = {"version_range": control["version_range"], "name": sql.constant(entry.dimension), "record": record}
    return sql.compose(
        _VERSION,
        dimension=schemas.table(entry.dimension),
        record=record,
        loaded_by_batch=sql.compose(LOADED_BY_BATCH, **loaded),
        keys=sql.columns(entry.keys, of="t"),
        by=sql.columns(entry.columns, of=of),
        batch=batch,
    )


def follow(session: WarehouseSession, table: WarehouseTable, keys: sql.Fragment) -> None:
    """Lets the facts refer to the versions that the keys in the table ``keys`` of a dimension have now."""
    for fact in table.referring:
        names = session.sql(fact).parts
        for entry in (entry for entry in fact.versions if entry.dimension == table.name):
            session.run(
                _FOLLOW,
                **names,
                column=sql.identifier(entry.column),
                version=version(session.schemas, entry, "f", sql.compose('f."_batch"')),
                by=sql.columns(entry.columns, of="t"),
                keys=keys,
                key_of_dimension=sql.columns(entry.keys, of="k"),
            )


def follow_in_batch(session: WarehouseSession, table: WarehouseTable, batch: sql.Fragment) -> None:
    """Lets the facts of a batch refer to their versions: also where the table got the column after they were loaded."""
    for entry in table.versions:
        parts = {"column": sql.identifier(entry.column), "version": version(session.schemas, entry, "f", batch)}
        session.run(_FOLLOW_IN_BATCH, **session.sql(table).parts, **parts, batch=batch)


def refresh(session: WarehouseSession, table: WarehouseTable, keys: sql.Fragment) -> None:
    """Makes the times right of every version of ``keys``, a table that has the key's columns of ``table``."""
    if table.validity:
        named = {name: sql.identifier(column) for name, column in _COLUMNS.items()}
        session.run(_REFRESH, **session.sql(table).parts, **named, times=session.times, keys=keys)
