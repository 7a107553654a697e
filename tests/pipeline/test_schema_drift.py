"""What changes around the rows: columns, kinds of tables, the server, the clock."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.extract.extraction import extract
from lambda_toolkit.pipeline.lambdas.extract.source import full_refresh, postgres, snapshot
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import sqlstate
from tests.support.lake_contents import keys, manifest, objects


def test_column_drift_is_reported_once_with_its_first_batch(pipeline):
    """A new and a dropped column are said once with the batch that first tells them."""
    assert pipeline.extract().drift == ()
    pipeline.admin.run("ALTER TABLE staff ADD COLUMN nickname text; ALTER TABLE design DROP COLUMN last_updated")
    assert pipeline.extract().drift == ()  # there is no batch that could tell it
    pipeline.admin.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 1")
    said = pipeline.extract().drift
    assert len(said) == 2
    assert "staff.nickname (text) is new" in said[0] + said[1]
    assert "design.last_updated (timestamp(3) without time zone) was dropped" in said[0] + said[1]
    pipeline.admin.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 1")
    assert pipeline.extract().drift == ()


def test_tables_that_are_not_declared_are_not_seen(pipeline):
    pipeline.admin.run("INSERT INTO _prisma_migrations VALUES (1); CREATE TABLE other AS SELECT 1 AS id")
    pipeline.extract()
    assert set(manifest(pipeline.ingestion, 1).tables) == set(pipeline.declarations.source)
    assert not [key for key in objects(pipeline.ingestion) if key.startswith(("_prisma", "other"))]


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_relation_without_xmin_is_refused_with_advice(pipeline, kind):
    """What has no xmin is refused and it is said what to write."""
    pipeline.admin.run(f"ALTER TABLE design RENAME TO base; CREATE {kind} design AS SELECT * FROM base")
    pipeline.admin.run("GRANT SELECT ON design TO reader")
    with pytest.raises(SourceError) as refusal:
        pipeline.extract()
    assert f"design is a {kind.lower()}" in str(refusal.value)
    assert 'compare = "content" in [source.design]' in str(refusal.value)
    assert objects(pipeline.ingestion) == set()


def test_locked_table_is_named_and_nothing_is_extracted(pipeline):
    """The table that stays locked is named and nothing is extracted."""
    changing = pipeline.new_session()
    changing.run("BEGIN")
    changing.run("ALTER TABLE payment ADD COLUMN remark text")
    pipeline.reader.run("SET lock_timeout = '100ms'")
    with pytest.raises(SourceError, match="The source table payment stays locked by a session that is changing it"):
        pipeline.extract()
    assert objects(pipeline.ingestion) == set()
    changing.run("COMMIT")
    assert pipeline.extract().batch == 1


def test_truncate_between_snapshot_and_first_read_waits(pipeline, monkeypatch):
    """No table is emptied between the snapshot and the first look at its rows."""
    pipeline.extract()
    emptying = pipeline.new_session()
    emptying.run("SET lock_timeout = '100ms'")
    full_refresh_reason = postgres.full_refresh_reason

    def emptied(*arguments):
        with pytest.raises(DatabaseError) as refused:
            emptying.run("TRUNCATE payment")  # which snapshots do not protect from
        assert sqlstate(refused.value) == "55P03"
        return full_refresh_reason(*arguments)

    monkeypatch.setattr(postgres, "full_refresh_reason", emptied)  # it is asked first of all
    assert pipeline.extract().batch is None


def test_a_foreign_table_is_refused_also_as_a_partition(pipeline):
    pipeline.admin.run(
        """
        CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing;
        ALTER TABLE design RENAME TO old;
        CREATE TABLE design (LIKE old) PARTITION BY RANGE (design_id);
        CREATE TABLE near PARTITION OF design FOR VALUES FROM (0) TO (10);
        CREATE FOREIGN TABLE remote PARTITION OF design FOR VALUES FROM (10) TO (20) SERVER far;
        GRANT SELECT ON design TO reader
        """
    )
    with pytest.raises(SourceError, match="remote, a partition of design, is a foreign table"):
        pipeline.extract()


def test_database_replaced_by_its_copy_is_read_again(pipeline, credentials):
    """What changed since the copy is undone: server, timeline, object ids and running transactions are the same."""
    source = credentials[0]
    with connect(dataclasses.replace(source, database="postgres")) as server:
        pipeline.admin.close()
        pipeline.reader.close()
        server.run(f"CREATE DATABASE {source.database}_copy TEMPLATE {source.database}")
        with connect(source) as admin, connect(source) as reader:
            pipeline.admin, pipeline.reader = admin, reader
            pipeline.run()
            admin.run(
                "UPDATE staff SET last_name = 'undone' WHERE staff_id = 1; DELETE FROM payment WHERE payment_id = 1"
            )
            pipeline.run()
        server.run(f"ALTER DATABASE {source.database} RENAME TO {source.database}_old")
        server.run(f"ALTER DATABASE {source.database}_copy RENAME TO {source.database}")
        server.run(f"DROP DATABASE {source.database}_old")
    with connect(source) as reader:
        pipeline.reader = reader
        done, _ = pipeline.run()
    assert done.reason_for_full == "the source's database was replaced by another of its name"
    assert pipeline.rows("SELECT count(*) FROM dim_staff WHERE last_name = 'undone'") == [[0]]
    assert pipeline.rows("SELECT count(*) FROM current_fact_payment") == [[9]]


def test_batch_times_increase_whatever_the_clock_says(pipeline):
    """The time of a batch is later than that of the one before whatever the clock says."""

    def run_at(moment: datetime) -> datetime:
        pipeline.admin.run("UPDATE staff SET last_name = last_name || 'x' WHERE staff_id = 1")
        done = extract(
            postgres.PostgresSource(pipeline.reader),
            pipeline.ingestion,
            pipeline.declarations,
            uuid.uuid4().hex,
            now=lambda: moment,
        )
        return datetime.fromisoformat(manifest(pipeline.ingestion, done.batch).extracted_at)

    begin = datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert run_at(begin) == begin
    assert run_at(begin - timedelta(hours=1)) == begin + timedelta(microseconds=1)
    assert run_at(begin) == begin + timedelta(microseconds=2)
    assert run_at(begin + timedelta(hours=1)) == begin + timedelta(hours=1)


def test_a_server_that_was_restarted_is_read_in_full(pipeline):
    with snapshot.snapshot(pipeline.reader, [pipeline.declarations.source["staff"]]) as now:
        assert now.identity.started
    for field, step, word in (
        ("started", -1, "restarted"),
        ("statistics_reset", 1, "crash"),
        ("wal_position", 1, "log"),
    ):
        earlier = dataclasses.replace(now.identity, **{field: getattr(now.identity, field) + step})
        assert word in str(full_refresh.full_refresh_reason(earlier, now))
    pipeline.extract()
    assert keys(pipeline.ingestion, 1, "staff") == [1, 2, 3]
