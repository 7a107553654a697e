"""The load log: one row per batch, written in the transaction that loads the batch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ....shared.errors import NotPreparedError, WarehouseError
from ....shared.lake.manifest import ProcessedManifest
from ....shared.postgres import sql
from ....shared.postgres.connection import Connection
from ..interface import LedgerEntry
from ..schemas import CONTROL_TABLES, FORMAT_TABLE, FORMAT_VERSION, SchemaNames
from .lock import acquire_transaction_lock

_LAST = (
    'SELECT batch, to_char(extracted_at AT TIME ZONE \'UTC\', $$$$YYYY-MM-DD"T"HH24:MI:SS.US"Z"$$$$),'
    ' to_char(loaded_at AT TIME ZONE \'UTC\', $$$$YYYY-MM-DD"T"HH24:MI:SS.US"Z"$$$$)'
    " FROM $ledger ORDER BY batch DESC LIMIT 1"
)
_RECORD = (
    "INSERT INTO $ledger (batch, source_manifest, extracted_at, loaded_at, rows_written)"
    " VALUES (:batch, :manifest, CAST(:extracted_at AS timestamptz), clock_timestamp(), CAST(:written AS jsonb))"
)
_RECORD_REVISION = (
    "INSERT INTO $revision (batch, revision, applied_at, rows_written)"
    " VALUES (:batch, :number, clock_timestamp(), CAST(:written AS jsonb))"
)
_IS_RECORDED = "SELECT count(*) FROM $revision WHERE batch = :batch AND revision = :number"
# A batch has an entry of each table that it has files of, also where it wrote none of its rows: `loading`.
_WITH_TABLE = (
    "SELECT batch FROM $ledger WHERE batch BETWEEN $first AND $last AND rows_written -> $name IS NOT NULL"
    " ORDER BY batch"
)
_APPLIED = "SELECT batch, max(revision) FROM $revision GROUP BY batch"


def check_prepared(connection: Connection, schemas: SchemaNames) -> None:
    """Raises NotPreparedError when a control table is missing, or the control schema has another format version."""
    missing = _missing(connection, schemas)
    if missing is not None:
        raise NotPreparedError(f"The warehouse is not prepared: it lacks the table {schemas.control}.{missing}.")
    found = format_versions(connection, schemas)
    if found != [FORMAT_VERSION]:
        raise NotPreparedError(
            f"The control schema {schemas.control} has the format version {', '.join(map(str, found)) or 'none'}, "
            f"and this release of load reads and writes version {FORMAT_VERSION}."
        )


def _missing(connection: Connection, schemas: SchemaNames) -> str | None:
    """The first of the control tables that does not exist; None where all do."""
    tables = {name: str(sql.table(name, schemas.control)) for name in (*CONTROL_TABLES, FORMAT_TABLE)}
    absent = connection.absent_tables(tables.values())
    return next((name for name, table in tables.items() if table in absent), None)


def format_versions(connection: Connection, schemas: SchemaNames) -> list[int]:
    """What the format table of the control schema contains: one number, unless it was changed by hand."""
    table = sql.table(FORMAT_TABLE, schemas.control)
    return [int(row[0]) for row in connection.rows(sql.compose("SELECT version FROM $table ORDER BY 1", table=table))]


def last_entry(connection: Connection, schemas: SchemaNames) -> LedgerEntry:
    """The ledger's last row."""
    rows = connection.rows(sql.compose(_LAST, **schemas.control_tables()))
    return LedgerEntry(int(rows[0][0]), rows[0][1], rows[0][2]) if rows else LedgerEntry()


def record(
    connection: Connection, schemas: SchemaNames, manifest: ProcessedManifest, written: Mapping[str, int]
) -> None:
    """Adds the row of a batch; ``written``: rows appended or upserted per table."""
    connection.run(
        sql.compose(_RECORD, **schemas.control_tables()),
        batch=manifest.batch,
        manifest=manifest.source_manifest,
        extracted_at=manifest.extracted_at,
        written=json.dumps(dict(written), sort_keys=True),
    )
    record_revision(connection, schemas, manifest, written)


def record_revision(
    connection: Connection, schemas: SchemaNames, manifest: ProcessedManifest, written: Mapping[str, int]
) -> None:
    """Records which revision of a batch is in the warehouse, where it is not the first."""
    control = schemas.control_tables()
    identity: dict[str, Any] = {"batch": manifest.batch, "number": manifest.revision}
    if manifest.revision > 1 and not connection.rows(sql.compose(_IS_RECORDED, **control), **identity)[0][0]:
        connection.run(
            sql.compose(_RECORD_REVISION, **control),
            **identity,
            written=json.dumps(dict(written), sort_keys=True),
        )


def batches_with(connection: Connection, schemas: SchemaNames, table: str, first: int, last: int) -> tuple[int, ...]:
    """The batches ``first`` to ``last`` that had files of ``table`` when they were loaded, in order."""
    parts = {"first": sql.number(first), "last": sql.number(last), "name": sql.constant(table)}
    return tuple(int(row[0]) for row in connection.rows(sql.compose(_WITH_TABLE, **schemas.control_tables(), **parts)))


def applied_revisions(connection: Connection, schemas: SchemaNames) -> dict[int, int]:
    """Batch -> the newest revision applied, of the batches where it is not the first."""
    applied = connection.rows(sql.compose(_APPLIED, **schemas.control_tables()))
    return {int(batch): int(revision) for batch, revision in applied}


def check_unchanged(connection: Connection, schemas: SchemaNames, last: int) -> None:
    """Checks in a transaction that ``last`` is still the last batch loaded, and that no other session writes.

    Acquires the lock of the writers for this transaction too: a session's lock is lost where a connection pooler gives
    each transaction another session. Raises WarehouseError.
    """
    locked = acquire_transaction_lock(connection, schemas)
    found = last_entry(connection, schemas).batch or 0
    if not locked or found != last:
        raise WarehouseError(
            f"Another session writes to the warehouse: its last batch is {found}, and was {last} when this run read "
            "what comes next. This run wrote nothing of it; the next one goes on from there. Does a connection pooler "
            "in transaction mode lie between? Then connect load to the server itself."
        )
