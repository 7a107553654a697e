"""What changes around the rows: columns, kinds of tables, the server, the clock."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.extract.extraction import extract
from lambda_toolkit.pipeline.lambdas.extract.source import postgres, snapshot
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import sqlstate
from tests.pipeline.test_capture import keys, manifest, objects


def test_a_new_and_a_dropped_column_are_said_once_with_the_batch_that_first_tells_them(shop):
    assert shop.extract().drift == ()
    shop.admin.run("ALTER TABLE staff ADD COLUMN nickname text; ALTER TABLE design DROP COLUMN last_updated")
    assert shop.extract().drift == ()  # there is no batch that could tell it
    shop.admin.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 1")
    said = shop.extract().drift
    assert len(said) == 2
    assert "staff.nickname (text) is new" in said[0] + said[1]
    assert "design.last_updated (timestamp(3) without time zone) was dropped" in said[0] + said[1]
    shop.admin.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 1")
    assert shop.extract().drift == ()


def test_tables_that_are_not_declared_are_not_seen(shop):
    shop.admin.run("INSERT INTO _prisma_migrations VALUES (1); CREATE TABLE other AS SELECT 1 AS id")
    shop.extract()
    assert set(manifest(shop.ingestion, 1).tables) == set(shop.declarations.source)
    assert not [key for key in objects(shop.ingestion) if key.startswith(("_prisma", "other"))]


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_what_has_no_xmin_is_refused_and_it_is_said_what_to_write(shop, kind):
    shop.admin.run(f"ALTER TABLE design RENAME TO base; CREATE {kind} design AS SELECT * FROM base")
    shop.admin.run("GRANT SELECT ON design TO reader")
    with pytest.raises(SourceError) as refusal:
        shop.extract()
    assert f"design is a {kind.lower()}" in str(refusal.value)
    assert 'compare = "content" in [source.design]' in str(refusal.value)
    assert objects(shop.ingestion) == set()


def test_the_table_that_stays_locked_is_named_and_nothing_is_extracted(shop):
    changing = shop.new_session()
    changing.run("BEGIN")
    changing.run("ALTER TABLE payment ADD COLUMN remark text")
    shop.reader.run("SET lock_timeout = '100ms'")
    with pytest.raises(SourceError, match="The source table payment stays locked by a session that is changing it"):
        shop.extract()
    assert objects(shop.ingestion) == set()
    changing.run("COMMIT")
    assert shop.extract().batch == 1


def test_no_table_is_emptied_between_the_snapshot_and_the_first_look_at_its_rows(shop, monkeypatch):
    shop.extract()
    emptying = shop.new_session()
    emptying.run("SET lock_timeout = '100ms'")
    full_refresh_reason = postgres.full_refresh_reason

    def emptied(*arguments):
        with pytest.raises(DatabaseError) as refused:
            emptying.run("TRUNCATE payment")  # which snapshots do not protect from
        assert sqlstate(refused.value) == "55P03"
        return full_refresh_reason(*arguments)

    monkeypatch.setattr(postgres, "full_refresh_reason", emptied)  # it is asked first of all
    assert shop.extract().batch is None


def test_a_foreign_table_is_refused_also_as_a_partition(shop):
    shop.admin.run(
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
        shop.extract()


def test_the_time_of_a_batch_is_later_than_that_of_the_one_before_whatever_the_clock_says(shop):
    def run_at(moment: datetime) -> datetime:
        shop.admin.run("UPDATE staff SET last_name = last_name || 'x' WHERE staff_id = 1")
        done = extract(
            postgres.PostgresSource(shop.reader),
            shop.ingestion,
            shop.declarations,
            uuid.uuid4().hex,
            now=lambda: moment,
        )
        return datetime.fromisoformat(manifest(shop.ingestion, done.batch).extracted_at)

    begin = datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert run_at(begin) == begin
    assert run_at(begin - timedelta(hours=1)) == begin + timedelta(microseconds=1)
    assert run_at(begin) == begin + timedelta(microseconds=2)
    assert run_at(begin + timedelta(hours=1)) == begin + timedelta(hours=1)


def test_a_server_that_was_restarted_is_read_in_full(shop):
    with snapshot.snapshot(shop.reader, ["staff"]) as now:
        assert now.identity.started
        earlier = dataclasses.replace(now.identity, started=now.identity.started - 1)
    assert "restarted" in str(snapshot.full_refresh_reason(earlier, now))
    shop.extract()
    assert keys(shop.ingestion, 1, "staff") == [1, 2, 3]
