"""What the warehouse remembers of the pipeline: one row per batch loaded, in the same transaction as its data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ...shared.errors import WarehouseError
from ...shared.lake.manifest import ProcessedManifest
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from .schemas import LIVE, OWN_TABLES, Warehouse

_LAST = (
    'SELECT batch, to_char(extracted_at AT TIME ZONE \'UTC\', $$$$YYYY-MM-DD"T"HH24:MI:SS.US"Z"$$$$),'
    ' to_char(loaded_at AT TIME ZONE \'UTC\', $$$$YYYY-MM-DD"T"HH24:MI:SS.US"Z"$$$$)'
    " FROM $ledger ORDER BY batch DESC LIMIT 1"
)
_RECORD = (
    "INSERT INTO $ledger (batch, source_manifest, extracted_at, loaded_at, written)"
    " VALUES (:batch, :manifest, CAST(:extracted_at AS timestamptz), clock_timestamp(), CAST(:written AS jsonb))"
)
_RECORD_REVISION = (
    "INSERT INTO $revision (batch, revision, applied_at, written)"
    " VALUES (:batch, :number, clock_timestamp(), CAST(:written AS jsonb)) ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True)
class LedgerEntry:
    """The last batch loaded, None where there is none yet; times in ISO 8601, UTC."""

    batch: int | None = None
    extracted_at: str | None = None
    loaded_at: str | None = None


def check_prepared(connection: Connection, warehouse: Warehouse) -> None:
    """Raises WarehouseError when one of the pipeline's own tables is not there yet."""
    for name in OWN_TABLES:
        table = str(sql.table(name, warehouse.own))
        if connection.rows("SELECT to_regclass(:name) IS NULL", name=table)[0][0]:
            raise WarehouseError(
                f"The warehouse is not prepared: it lacks the table {warehouse.own}.{name}. "
                "Run: python deploy.py prepare"
            )


def last_entry(connection: Connection, warehouse: Warehouse) -> LedgerEntry:
    """The ledger's last row."""
    rows = connection.rows(sql.compose(_LAST, **warehouse.parts()))
    return LedgerEntry(int(rows[0][0]), rows[0][1], rows[0][2]) if rows else LedgerEntry()


def record(
    connection: Connection, warehouse: Warehouse, manifest: ProcessedManifest, written: Mapping[str, int]
) -> None:
    """Adds the row of a batch; ``written``: rows appended or upserted per table."""
    connection.run(
        sql.compose(_RECORD, **warehouse.parts()),
        batch=manifest.batch,
        manifest=manifest.source_manifest,
        extracted_at=manifest.extracted_at,
        written=json.dumps(dict(written), sort_keys=True),
    )
    record_revision(connection, warehouse, manifest, written)


def record_revision(
    connection: Connection, warehouse: Warehouse, manifest: ProcessedManifest, written: Mapping[str, int]
) -> None:
    """Notes which revision of a batch is in the warehouse, where it is not the first."""
    if manifest.revision > 1:
        connection.run(
            sql.compose(_RECORD_REVISION, **warehouse.parts()),
            batch=manifest.batch,
            number=manifest.revision,
            written=json.dumps(dict(written), sort_keys=True),
        )


def take_turn(connection: Connection, warehouse: Warehouse = LIVE) -> bool:
    """Whether this session may write to the warehouse: one at a time does. The turn ends with the session."""
    return bool(connection.rows("SELECT pg_try_advisory_lock(CAST(:key AS bigint))", key=warehouse.lock)[0][0])
