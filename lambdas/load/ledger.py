"""What the warehouse remembers of the pipeline: one row per batch loaded, in the same transaction as its data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from lambdas.shared.errors import WarehouseError
from lambdas.shared.manifest import ProcessedManifest
from lambdas.shared.wire import Connection

SCHEMA = "pipeline"
LOCK = 0x746F746573  # an arbitrary number that names this pipeline's loads among PostgreSQL's advisory locks

_LAST = (
    'SELECT batch, to_char(extracted_at AT TIME ZONE \'UTC\', $$YYYY-MM-DD"T"HH24:MI:SS.US"Z"$$),'
    ' to_char(loaded_at AT TIME ZONE \'UTC\', $$YYYY-MM-DD"T"HH24:MI:SS.US"Z"$$)'
    " FROM pipeline.ledger ORDER BY batch DESC LIMIT 1"
)
_RECORD = (
    "INSERT INTO pipeline.ledger (batch, source_manifest, extracted_at, loaded_at, written)"
    " VALUES (:batch, :manifest, CAST(:extracted_at AS timestamptz), clock_timestamp(), CAST(:written AS jsonb))"
)


@dataclass(frozen=True)
class LedgerEntry:
    """The last batch loaded, None where there is none yet; times in ISO 8601, UTC."""

    batch: int | None = None
    extracted_at: str | None = None
    loaded_at: str | None = None


def check_prepared(connection: Connection) -> None:
    """Raises WarehouseError when the ledger is not there yet."""
    prepared = connection.rows(
        "SELECT bool_and(to_regclass(name) IS NOT NULL)"
        " FROM (VALUES ('pipeline.ledger'), ('pipeline.deletion'), ('pipeline.held')) AS own(name)"
    )
    if not prepared[0][0]:
        raise WarehouseError(
            "The warehouse is not prepared: it lacks a table of the schema `pipeline`. Run: python deploy.py prepare"
        )


def last_entry(connection: Connection) -> LedgerEntry:
    """The ledger's last row."""
    rows = connection.rows(_LAST)
    return LedgerEntry(int(rows[0][0]), rows[0][1], rows[0][2]) if rows else LedgerEntry()


def record(connection: Connection, manifest: ProcessedManifest, written: Mapping[str, int]) -> None:
    """Adds the row of a batch; ``written``: rows appended or upserted per table."""
    connection.run(
        _RECORD,
        batch=manifest.batch,
        manifest=manifest.source_manifest,
        extracted_at=manifest.extracted_at,
        written=json.dumps(dict(written), sort_keys=True),
    )


def take_turn(connection: Connection) -> bool:
    """Whether this session may load: one at a time does. The turn ends with the session."""
    return bool(connection.rows("SELECT pg_try_advisory_lock(CAST(:key AS bigint))", key=LOCK)[0][0])
