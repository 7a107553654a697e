"""Every committed change is captured, once, whatever the order of commits and whatever last_updated says."""

from __future__ import annotations

import dataclasses
import json

import pytest

from lambda_toolkit.pipeline.lambdas.extract.source import full_refresh, snapshot
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSnapshot
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import UNREADABLE
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from tests.support.lake_contents import keys, manifest, objects
from tests.support.repository import configuration


def test_first_run_reads_all_and_the_second_writes_nothing(pipeline):
    """The first run reads everything and the second writes nothing at all."""
    first = pipeline.extract()
    assert first.batch == 1
    assert first.rows["payment"] == 9
    assert sum(first.rows.values()) == 3 + 3 + 3 + 3 + 2 + 3 + 2 + 6 + 3 + 9 + 9
    before = objects(pipeline.ingestion)
    again = pipeline.extract()
    assert (again.batch, again.last_batch, again.rows, again.deleted) == (None, 1, {}, {})
    assert objects(pipeline.ingestion) == before


def test_no_row_is_counted_where_no_transaction_has_ended(pipeline, monkeypatch):
    """Also one that had its id before the last batch, and deleted or wrote a row, is waited for."""
    asked = []
    count = PostgresSnapshot.count

    def counted(self, selections, *more):
        asked.append(set(selections))
        return count(self, selections, *more)

    monkeypatch.setattr(PostgresSnapshot, "count", counted)
    pipeline.extract()
    for _ in range(5):  # another session of the server may have ended a transaction
        asked.clear()
        assert pipeline.extract().batch is None
        if asked == [set()]:
            break
    assert asked == [set()]
    older, key = pipeline.new_session(), "payment_id"
    older.run(f"BEGIN; DELETE FROM payment WHERE {key} = 1; UPDATE payment SET paid = NOT paid WHERE {key} = 2")
    pipeline.admin.run("UPDATE address SET phone = '1'")
    assert pipeline.extract().rows == {"address": 3}
    assert pipeline.extract().batch is None
    older.run("COMMIT")
    done = pipeline.extract()
    assert (done.rows, done.deleted) == ({"payment": 1}, {"payment": 1})


def test_an_empty_source_gives_no_batch(pipeline):
    pipeline.admin.run("TRUNCATE " + ", ".join(pipeline.declarations.source))
    extracted = pipeline.extract()
    assert (extracted.batch, extracted.last_batch, extracted.rows) == (None, None, {})
    assert objects(pipeline.ingestion) == set()


def test_a_silent_update_is_captured(pipeline):
    pipeline.extract()
    pipeline.admin.run("UPDATE design SET file_location = '/opt' WHERE design_id = 2")
    assert pipeline.extract().rows == {"design": 1}
    assert keys(pipeline.ingestion, 2, "design") == [2]


def test_long_transaction_that_commits_later_is_captured_once(pipeline):
    """An older transaction that commits later is captured and nothing is reported twice."""
    older = pipeline.new_session()
    older.run("BEGIN")
    older.run("UPDATE sales_order SET units_sold = 7 WHERE sales_order_id = 1")  # holds an id older than the next
    pipeline.admin.run("UPDATE sales_order SET units_sold = 8 WHERE sales_order_id = 2")
    assert pipeline.extract().batch == 1
    assert keys(pipeline.ingestion, 1, "sales_order", "in_flight") == [2]
    assert pipeline.extract().batch is None  # row 2 is met again, and known
    pipeline.admin.run("UPDATE sales_order SET units_sold = 9 WHERE sales_order_id = 3")
    assert pipeline.extract().rows == {"sales_order": 1}
    assert keys(pipeline.ingestion, 2, "sales_order") == [3]
    assert keys(pipeline.ingestion, 2, "sales_order", "in_flight") == [2, 3]
    older.run("COMMIT")
    assert pipeline.extract().rows == {"sales_order": 1}
    assert keys(pipeline.ingestion, 3, "sales_order") == [1]
    assert manifest(pipeline.ingestion, 3).tables["sales_order"].in_flight is None
    assert pipeline.extract().batch is None


def test_row_is_reported_again_when_it_changes_again(pipeline):
    older = pipeline.new_session()
    older.run("BEGIN; UPDATE staff SET last_name = 'x' WHERE staff_id = 1")
    pipeline.admin.run("UPDATE staff SET last_name = 'y' WHERE staff_id = 2")
    pipeline.extract()
    pipeline.admin.run("UPDATE staff SET last_name = 'z' WHERE staff_id = 2")
    assert pipeline.extract().rows == {"staff": 1}
    assert keys(pipeline.ingestion, 2, "staff") == [2]
    older.run("ROLLBACK")
    assert pipeline.extract().batch is None


def test_rows_written_under_savepoints_are_captured(pipeline):
    writer = pipeline.new_session()
    writer.run("BEGIN")
    writer.run("SAVEPOINT a")
    writer.run("UPDATE currency SET currency_code = 'CHF' WHERE currency_id = 1")
    writer.run("RELEASE a")
    writer.run("SAVEPOINT b")
    writer.run("UPDATE currency SET currency_code = 'JPY' WHERE currency_id = 2")
    writer.run("ROLLBACK TO b")
    pipeline.extract()
    writer.run("SAVEPOINT c")
    writer.run("UPDATE currency SET currency_code = 'SEK' WHERE currency_id = 3")
    writer.run("COMMIT")
    assert pipeline.extract().rows == {"currency": 2}
    assert keys(pipeline.ingestion, 2, "currency") == [1, 3]


def test_deletes_are_found_and_unchanged_keys_carried_forward(pipeline):
    """Deletes are found and the key set is carried forward while it stays."""
    pipeline.extract()
    pipeline.admin.run("DELETE FROM payment WHERE payment_id IN (3, 9)")
    pipeline.admin.run("UPDATE address SET phone = '0' WHERE address_id = 1")
    second = pipeline.extract()
    assert second.deleted == {"payment": 2}
    assert keys(pipeline.ingestion, 2, "payment", "deleted") == [3, 9]
    first_files, second_files = manifest(pipeline.ingestion, 1).tables, manifest(pipeline.ingestion, 2).tables
    assert second_files["address"].keys == first_files["address"].keys
    assert second_files["staff"].keys == first_files["staff"].keys
    assert second_files["payment"].keys != first_files["payment"].keys
    assert pipeline.extract().batch is None


def test_delete_replaced_by_an_insert_is_found(pipeline):
    pipeline.extract()
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 9")
    pipeline.admin.run(
        "INSERT INTO payment SELECT 10, created_at, last_updated, 9, 1, 5, 1, 1, false, payment_date, 1, 2"
        " FROM payment WHERE payment_id = 8"
    )
    extracted = pipeline.extract()
    assert (extracted.rows, extracted.deleted) == ({"payment": 1}, {"payment": 1})


def test_the_last_row_of_a_table_can_go(pipeline):
    pipeline.extract()
    pipeline.admin.run("DELETE FROM payment")
    assert pipeline.extract().deleted == {"payment": 9}
    assert manifest(pipeline.ingestion, 2).tables["payment"].keys == ()
    assert pipeline.extract().batch is None


def test_lookup_rows_follow_changes_of_department_and_staff(pipeline):
    """A changed department brings its staff and a changed member brings the department."""
    pipeline.extract()
    pipeline.admin.run("UPDATE department SET location = 'Hull' WHERE department_id = 1")
    pipeline.extract()
    assert keys(pipeline.ingestion, 2, "staff", "context") == [1, 2]
    assert keys(pipeline.ingestion, 2, "department") == [1]
    pipeline.admin.run("UPDATE staff SET last_name = 'New' WHERE staff_id = 3")
    pipeline.extract()
    assert keys(pipeline.ingestion, 3, "department", "context") == [2]
    assert keys(pipeline.ingestion, 3, "staff") == [3]
    assert manifest(pipeline.ingestion, 3).tables["address"].context is None


def test_transaction_ids_that_run_backwards_cause_a_full_compare(pipeline):
    """A full compare after the ids run backwards finds changes and deletes."""
    pipeline.extract()
    stored = manifest(pipeline.ingestion, 1)
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 1")
    ahead = dataclasses.replace(stored.source, snapshot_xmin=stored.source.snapshot_xmin + 10**9)
    pipeline.ingestion = _with_source(pipeline.ingestion, ahead)
    extracted = pipeline.extract()
    assert "backwards" in extracted.reason_for_full
    assert extracted.deleted == {"payment": 1}
    assert extracted.rows["sales_order"] == 6
    assert manifest(pipeline.ingestion, 2).mode == "full"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"system_identifier": "1"}, "another server"),
        ({"timeline": 99}, "restored"),
        ({"database": "other"}, "another database"),
        ({"snapshot_xmin": -(2**31)}, "2^31"),
        ({}, None),
    ],
)
def test_when_every_row_is_compared_again(pipeline, change, reason):
    with snapshot.snapshot(pipeline.reader, [pipeline.declarations.source["staff"]]) as now:
        before = dataclasses.replace(now.identity, **change)
        found = full_refresh.full_refresh_reason(before, now)
    assert found is None if reason is None else reason in found


def test_a_table_can_be_asked_for_in_full(pipeline):
    pipeline.extract()
    assert pipeline.extract(full=frozenset({"currency"})).rows == {"currency": 3}
    everything = pipeline.extract(full=frozenset(pipeline.declarations.source))
    assert everything.rows["payment"] == 9
    assert "asked" in everything.reason_for_full


def test_concurrent_runs_commit_one_batch(pipeline):
    """Of two runs concurrently one wins and the other leaves nothing that counts."""
    pipeline.extract()
    pipeline.admin.run("UPDATE staff SET last_name = 'x' WHERE staff_id = 1")
    lake, winners = pipeline.ingestion, []

    class Overtaken(Lake):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            pipeline.ingestion = lake
            pipeline.reader = pipeline.new_session()
            winners.append(pipeline.extract())
            return super().put_if_absent(key, content)

    slow_reader = pipeline.reader
    pipeline.ingestion = Overtaken(lake._client, lake.bucket)
    loser = pipeline.extract()
    assert (winners[0].batch, loser.batch, loser.last_batch) == (2, None, 2)
    pipeline.reader = slow_reader
    assert pipeline.extract().batch is None
    assert keys(lake, 2, "staff") == [1]


def test_a_manifest_that_was_ours_after_all_counts(pipeline):
    class Repeating(Lake):
        """A put that succeeded, whose answer was lost, and that botocore tried again."""

        def put_if_absent(self, key: str, content: bytes) -> bool:
            super().put_if_absent(key, content)
            return super().put_if_absent(key, content)

    pipeline.ingestion = Repeating(pipeline.ingestion._client, pipeline.ingestion.bucket)
    assert pipeline.extract().batch == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE staff RENAME COLUMN email_address TO mail", ["staff", "email_address", "lacks"]),
        ("ALTER TABLE payment DROP COLUMN paid", ["payment", "paid"]),
        (
            "ALTER TABLE sales_order ALTER COLUMN created_at TYPE text",
            ["sales_order.created_at", "text", "created_at)"],
        ),
        (
            "ALTER TABLE sales_order ALTER COLUMN units_sold TYPE bigint",
            ["sales_order.units_sold", "integer", "bigint"],
        ),
        ("ALTER TABLE payment RENAME TO payments", ["payment", "does not exist"]),
        ("REVOKE SELECT ON design FROM reader", ["design", "may not be read"]),
    ],
)
def test_unsuitable_source_table_is_refused_by_name(pipeline, change, words):
    """A source that is not as needed is refused by name and nothing is written."""
    pipeline.extract()
    before = objects(pipeline.ingestion)
    pipeline.admin.run("UPDATE address SET phone = '9'")
    pipeline.admin.run(change)
    with pytest.raises(SourceError) as refusal:
        pipeline.extract()
    assert all(word in str(refusal.value) for word in words), str(refusal.value)
    assert objects(pipeline.ingestion) == before


def test_type_change_can_be_accepted_longer_varchar_needs_none(pipeline):
    """A type changed on purpose can be accepted and a longer text needs no word."""
    pipeline.extract()
    pipeline.admin.run("ALTER TABLE currency ALTER COLUMN currency_code TYPE varchar(9)")
    pipeline.admin.run("ALTER TABLE sales_order ALTER COLUMN units_sold TYPE bigint")
    assert pipeline.extract(accept_types=frozenset({"sales_order.units_sold"})).batch == 2
    assert manifest(pipeline.ingestion, 2).tables["sales_order"].columns["units_sold"] == "bigint"
    assert pipeline.extract().batch is None
    for of_currency in ("text", "varchar(12)"):
        pipeline.admin.run(f"ALTER TABLE currency ALTER COLUMN currency_code TYPE {of_currency}")
        pipeline.extract()


def test_a_new_column_is_ingested_and_otherwise_left_alone(pipeline):
    pipeline.run()
    pipeline.admin.run("ALTER TABLE staff ADD COLUMN nickname text DEFAULT 'NULL'")
    pipeline.admin.run("UPDATE staff SET last_name = 'x' WHERE staff_id = 1")
    _, loaded = pipeline.run()
    assert loaded.loaded == [2]
    rows = pipeline.ingestion.table(manifest(pipeline.ingestion, 2).tables["staff"].changes.key)
    assert rows["nickname"].to_pylist() == ["NULL"]


def _with_source(lake: Lake, source: object) -> Lake:
    class Changed(Lake):
        def get(self, key: str) -> bytes:
            document = json.loads(super().get(key))
            if document["batch"] == 1:
                document["source"] = dataclasses.asdict(source)
            return json.dumps(document).encode()

    return Changed(lake._client, lake.bucket)


def test_replaced_table_is_read_in_full(pipeline):
    pipeline.admin.run("CREATE TABLE design_2 (LIKE design INCLUDING ALL)")
    pipeline.admin.run("INSERT INTO design_2 SELECT * FROM design; GRANT SELECT ON design_2 TO reader")
    pipeline.admin.run("UPDATE design_2 SET file_location = '/new' WHERE design_id = 2")
    pipeline.run()  # the rows of the new table are older than this
    pipeline.admin.run("ALTER TABLE design RENAME TO design_1; ALTER TABLE design_2 RENAME TO design")
    assert pipeline.run()[1].appended == {"dim_design": 1}
    assert pipeline.rows("SELECT file_location FROM dim_design WHERE design_id = 2") == [["/new"]]
    assert pipeline.extract().batch is None


def test_a_partition_that_is_attached_with_its_rows_is_read(pipeline):
    pipeline.admin.run(
        """
        ALTER TABLE payment RENAME TO old;
        CREATE TABLE payment (LIKE old INCLUDING ALL) PARTITION BY RANGE (payment_id);
        CREATE TABLE part_1 PARTITION OF payment FOR VALUES FROM (0) TO (100);
        CREATE TABLE part_2 (LIKE old INCLUDING ALL);
        INSERT INTO payment SELECT * FROM old;
        INSERT INTO part_2 SELECT * FROM old;
        UPDATE part_2 SET payment_id = payment_id + 100;
        GRANT SELECT ON payment TO reader
        """
    )
    assert pipeline.extract().rows["payment"] == 9
    pipeline.admin.run("ALTER TABLE payment ATTACH PARTITION part_2 FOR VALUES FROM (100) TO (200)")
    assert pipeline.extract().rows == {"payment": 18}
    assert pipeline.extract().batch is None


def test_what_a_new_declaration_reads_is_read_of_every_row(pipeline):
    pipeline.run()
    document = configuration()
    document["warehouse"]["dim_design"]["columns"]["file_location"] = "file_name"
    pipeline.declarations = parse(document)
    assert pipeline.run()[1].appended["dim_design"] == pipeline.rows("SELECT count(*) FROM dim_design")[0][0]
    assert pipeline.rows("SELECT count(*) FROM dim_design WHERE file_location <> file_name") == [[0]]
    assert pipeline.extract().batch is None


@pytest.mark.parametrize("before", ["varchar(99)", "char(99)"])
def test_accepted_type_without_written_rows_stays_accepted(pipeline, before):
    """A type accepted whose change wrote no row is accepted for good, also where both names are of one type."""
    pipeline.admin.run(f"ALTER TABLE staff ALTER COLUMN email_address TYPE {before}")
    pipeline.run()
    pipeline.admin.run("ALTER TABLE staff ALTER COLUMN email_address TYPE bpchar")
    with pytest.raises(SourceError, match=r"staff\.email_address"):
        pipeline.extract()
    assert pipeline.extract(accept_types=frozenset({"staff.email_address"})).rows == {"staff": 3}
    assert pipeline.extract().batch is None


def test_table_may_have_more_timestamps_than_function_arguments(pipeline):
    """A table may have more times than a function takes arguments."""
    pipeline.admin.run(
        "ALTER TABLE currency " + ", ".join(f"ADD COLUMN t{n} timestamp DEFAULT now()" for n in range(60))
    )
    pipeline.admin.run("UPDATE currency SET t59 = 'infinity' WHERE currency_id = 1")
    assert pipeline.extract().rows["currency"] == 3
    rows = pipeline.ingestion.table(manifest(pipeline.ingestion, 1).tables["currency"].changes.key).to_pylist()
    assert [json.loads(row[UNREADABLE]) for row in rows if row[UNREADABLE]] == [{"t59": "infinity"}]


def test_rows_without_a_recorded_write_are_refused(pipeline):
    pipeline.admin.run("CREATE TABLE copied (LIKE payment INCLUDING ALL); INSERT INTO copied SELECT * FROM payment")
    pipeline.admin.run("UPDATE copied SET payment_id = payment_id + 100 WHERE payment_id < 4")
    pipeline.admin.run("INSERT INTO copied SELECT * FROM payment WHERE payment_id < 4")
    assert pipeline.extract().rows["payment"] == 9
    for relation, other in (("payment", "copied"), ("payment_pkey", "copied_pkey")):
        pipeline.admin.run(  # what a tool may do that replaces files
            f"UPDATE pg_class SET relfilenode = pg_relation_filenode('{other}') WHERE relname = '{relation}'"
        )
    with pytest.raises(SourceError, match=r"payment shows 3 rows .*\"full\": \[\"payment\"\]"):
        pipeline.extract()
    assert pipeline.extract(full=frozenset({"payment"})).rows == {"payment": 12}
    assert pipeline.extract().batch is None


def test_columns_may_have_any_name(pipeline):
    """Those that a file of the lake has for itself, too, and a change of such a column is found."""
    names = ("_unreadable", "_again", "_will_be_reread", "_key", "_row_hash", "_batch", "_deleted", "select", "é")
    added = ", ".join(f"ADD COLUMN \"{name}\" text DEFAULT '{name}'" for name in names)
    pipeline.admin.run(f"ALTER TABLE currency {added}")
    pipeline.run()
    pipeline.admin.run("UPDATE currency SET \"_unreadable\" = 'infinity', \"_again\" = 'x' WHERE currency_id = 1")
    assert pipeline.extract().rows == {"currency": 1}
    (row,) = pipeline.ingestion.table(manifest(pipeline.ingestion, 2).tables["currency"].changes.key).to_pylist()
    assert {name: row[name] for name in names} == {name: name for name in names} | {
        "_unreadable": "infinity",
        "_again": "x",
    }
