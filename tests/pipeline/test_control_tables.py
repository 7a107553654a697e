"""What is written to the control tables concerns the rows of one table, key and batch, and no others."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.control import ledger, pending, rejects
from lambda_toolkit.pipeline.lambdas.load.warehouse.interface import LedgerEntry
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse, kind_of
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.load.warehouse.session import WarehouseSession, temporary
from lambda_toolkit.pipeline.lambdas.load.warehouse.tables.validity import times
from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import ProcessedManifest
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import transaction

EVERY = {(table, key, batch) for table in ("dim_design", "dim_currency") for key in "12" for batch in (1, 2, 3)}
ROWS = "unnest(ARRAY['dim_design', 'dim_currency']) AS t, unnest(ARRAY['1', '2']) AS k, generate_series(1, 3) AS b"
DESIGN = "jsonb_build_object('design_id', k, 'design_name', b, 'file_location', 'f', 'file_name', 'n')"
FILL = f"""
    INSERT INTO pipeline.pending_row SELECT t, k, b, {DESIGN} FROM {ROWS};
    INSERT INTO pipeline.rejected_value (table_name, key, batch, column_name, value, reason)
    SELECT t, k, b, 'c', 'v', 'r' FROM {ROWS};
    INSERT INTO pipeline.deletion (table_name, key, batch, undeleted_batch)
    SELECT t, k, b, CASE WHEN b < 3 THEN b + 1 END FROM {ROWS}
"""


def manifest(batch):
    return ProcessedManifest(batch, "", "2024-01-01T00:00:00Z", {})


@pytest.fixture
def session(pipeline):
    pipeline.warehouse.execute_simple(FILL)
    return WarehouseSession(pipeline.warehouse, LIVE, pipeline.processed, kind_of, times(LIVE, manifest(1)))


def missing(session, table):
    """What is not in the control table any more."""
    return EVERY - {tuple(row) for row in session.rows(f"SELECT table_name, key, batch FROM pipeline.{table}")}


def undeleted(session):
    """Each deletion that has an undeletion since it was made by FILL."""
    query = "SELECT table_name, key, undeleted_batch FROM pipeline.deletion WHERE batch = 3 AND undeleted_batch > 0"
    return {tuple(row) for row in session.rows(query)}


def begin(pipeline, number):
    return PostgresWarehouse(pipeline.warehouse).begin(manifest(number), 0, pipeline.processed)


def events(session, batch, deleted):
    """A staging table with an event of key 1 in ``batch``."""
    staging = temporary("events")
    session.run(f'CREATE TEMPORARY TABLE events AS SELECT 1 AS design_id, {batch} AS "_batch", {deleted} AS "_deleted"')
    return staging


def marked(session):
    """The pending rows that are marked as deleted, and by which batch."""
    query = "SELECT table_name, key, batch, deleted_batch FROM pipeline.pending_row WHERE deleted_batch IS NOT NULL"
    return {tuple(row) for row in session.rows(query)}


def test_a_newer_row_discards_what_waits_of_its_key_alone(pipeline, session):
    """Not what waits for another table, for another key, or of a later batch; and it ends its own deletion."""
    table = pipeline.declarations.warehouse["dim_design"]
    row = {name: pa.array(["1"]) for name in table.column_names}
    with begin(pipeline, 2) as batch:
        staging = batch.stage(table, [pa.table({**row, "design_id": pa.array([1], pa.int32())})])
        batch.supersede(table, staging)
    older = {("dim_design", "1", 1), ("dim_design", "1", 2)}
    assert missing(session, "pending_row") == older
    assert missing(session, "rejected_value") == older
    assert undeleted(session) == {("dim_design", "1", 2)}


def test_a_deletion_marks_what_waits_of_its_key_alone(pipeline, session):
    """It is recorded once: key 2 is deleted already. What was rejected of the key is discarded."""
    table = pipeline.declarations.warehouse["dim_design"]
    pipeline.warehouse.run("DELETE FROM pipeline.deletion WHERE table_name = 'dim_design' AND key = '1' AND batch = 3")
    with begin(pipeline, 2) as batch:
        batch.delete(table, [pa.table({"design_id": pa.array([2], pa.int32())})])
    older = {("dim_design", "2", 1), ("dim_design", "2", 2)}
    assert missing(session, "rejected_value") == older
    assert missing(session, "pending_row") == set()
    assert marked(session) == {(*row, 2) for row in older}
    assert missing(session, "deletion") == {("dim_design", "1", 3)}
    with begin(pipeline, 4) as batch:
        batch.delete(table, [pa.table({"design_id": pa.array([1], pa.int32())})])
    assert session.rows("SELECT table_name, key, undeleted_batch FROM pipeline.deletion WHERE batch = 4") == [
        ["dim_design", "1", None]
    ]


def test_an_event_discards_what_is_older_of_its_key_alone(pipeline, session):
    table = pipeline.declarations.warehouse["dim_design"]
    staging = events(session, 2, deleted=False)
    pending.discard_superseded_by_events(session, table, staging)
    rejects.discard_superseded_by_events(session, table, staging)
    assert missing(session, "pending_row") == missing(session, "rejected_value") == {("dim_design", "1", 1)}
    pending.discard_resolved(session, table, staging)
    assert missing(session, "pending_row") == {("dim_design", "1", 1), ("dim_design", "1", 2)}
    assert marked(session) == set()


def test_a_deletion_among_events_marks_what_is_older_of_its_key(pipeline, session):
    table = pipeline.declarations.warehouse["dim_design"]
    pending.discard_superseded_by_events(session, table, events(session, 3, deleted=True))
    assert missing(session, "pending_row") == set()
    assert marked(session) == {("dim_design", "1", 1, 3), ("dim_design", "1", 2, 3)}


def test_refused_rows_are_discarded_by_table_key_and_batch(pipeline, session):
    table = pipeline.declarations.warehouse["dim_design"]
    pending.discard(session, table, "2", 2)
    assert missing(session, "pending_row") == {("dim_design", "2", 2)}
    session.run("UPDATE pipeline.rejected_value SET reason = 'the warehouse refuses it: ' || key WHERE batch > 1")
    session.run("UPDATE pipeline.rejected_value SET reason = 'so the warehouse refuses it: no' WHERE key = '2'")
    rejects.discard_refused(session, 2)
    refused = {(name, "1", 2) for name in ("dim_design", "dim_currency")}
    assert missing(session, "rejected_value") == refused
    with transaction(pipeline.warehouse):
        rejects.discard_keys(session, table, [pa.table({"key": ["2"]})], 2)
    assert missing(session, "rejected_value") == refused | {("dim_design", "2", 1), ("dim_design", "2", 2)}


def test_ledger_says_which_batches_had_a_table(pipeline, session):
    assert ledger.last_entry(pipeline.warehouse, LIVE) == LedgerEntry()
    for number, written in enumerate(({"a": 1}, {"a": 0, "b": 2}, {"b": 1}, {"a": 3}, {}), start=1):
        found = ProcessedManifest(number, f"m{number}", f"2024-01-0{number}T10:00:00.5Z", {}, revision=number % 3 + 1)
        ledger.record(pipeline.warehouse, LIVE, found, written)
    assert ledger.batches_with(pipeline.warehouse, LIVE, "a", 1, 4) == (1, 2, 4)
    assert ledger.batches_with(pipeline.warehouse, LIVE, "a", 2, 3) == (2,)
    assert ledger.batches_with(pipeline.warehouse, LIVE, "c", 1, 9) == ()
    ledger.record_revision(pipeline.warehouse, LIVE, ProcessedManifest(1, "", "", {}, revision=7), {"a": 1})
    assert ledger.applied_revisions(pipeline.warehouse, LIVE) == {1: 7, 2: 3, 4: 2, 5: 3}
    last = ledger.last_entry(pipeline.warehouse, LIVE)
    assert (last.batch, last.extracted_at) == (5, "2024-01-05T10:00:00.500000Z")
    rows = pipeline.rows("SELECT batch, source_manifest, rows_written FROM pipeline.ledger ORDER BY 1")
    assert rows[1] == [2, "m2", {"a": 0, "b": 2}]
    with transaction(pipeline.warehouse):
        ledger.check_unchanged(pipeline.warehouse, LIVE, 5)
    with transaction(pipeline.warehouse), pytest.raises(WarehouseError, match="its last batch is 5, and was 4"):
        ledger.check_unchanged(pipeline.warehouse, LIVE, 4)


def test_resolved_rows_of_a_table_leave_those_of_others(pipeline, session):
    """Of each key the latest is written; a deletion that is not older than it stays."""
    table = pipeline.declarations.warehouse["dim_design"]
    with begin(pipeline, 3) as batch:
        assert batch.count_pending(table) == 2
        assert batch.write_resolved(table) == 2
        assert batch.count_pending(table) == 0
    assert session.rows("SELECT design_id, design_name FROM dim_design ORDER BY 1") == [[1, "3"], [2, "3"]]
    assert missing(session, "pending_row") == {row for row in EVERY if row[0] == "dim_design"}
    assert missing(session, "rejected_value") == {row for row in EVERY if row[0] == "dim_design" and row[2] < 3}
    assert undeleted(session) == set()


def test_history_is_rebuilt_from_the_oldest_batch(pipeline, session):
    table = pipeline.declarations.warehouse["dim_design"]
    session.run("DELETE FROM pipeline.pending_row WHERE table_name = 'dim_design' AND key = '2' AND batch = 1")
    with transaction(pipeline.warehouse):
        assert pending.stage_resolvable(session, table, temporary("resolvable")) == 1
        assert session.rows('SELECT design_id, "_batch" FROM resolvable ORDER BY 1') == [[1, 1], [2, 2]]


def test_load_asks_the_warehouse_little(pipeline, monkeypatch):
    """Statements are waits for the network: five where nothing is loaded, some fifty for a batch of one row."""
    asked = []
    run = pipeline.warehouse.run

    def counted(text, *values, **named):
        asked.append(text)
        return run(text, *values, **named)

    monkeypatch.setattr(pipeline.warehouse, "run", counted)

    def statements(act):
        asked.clear()
        act()
        return len([text for text in asked if "pg_advisory_unlock_all" not in text])

    pipeline.run()
    assert statements(pipeline.load) == 5
    pipeline.admin.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 1")
    pipeline.transform(pipeline.extract().batch)
    assert statements(pipeline.load) <= 60
