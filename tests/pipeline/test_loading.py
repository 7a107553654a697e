"""Batches arrive in order, once, whole; versions by content; deletions beside the tables."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from lambda_toolkit.pipeline.lambdas.load.loading import load, report
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.shared.errors import GapError, LakeError, WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connected
from tests.support.source_model import current_rows, expected_rows, fact_versions


def everything(pipeline):
    """All that the warehouse holds, but for the ledger's own clock."""
    tables = [*pipeline.declarations.warehouse, "pipeline.deletion", "pipeline.version_range"]
    return {table: pipeline.rows(f"SELECT * FROM {table} AS t ORDER BY t") for table in tables}


def test_flipped_payment_adds_a_version_and_an_idle_run_none(pipeline):
    """A flipped payment is a second version and a run without changes is none."""
    pipeline.run()
    pipeline.admin.run("UPDATE payment SET paid = true, last_updated = '2024-06-01 07:55:11.885' WHERE payment_id = 1")
    _, loaded = pipeline.run()
    assert loaded.appended["fact_payment"] == 1
    assert sum(loaded.appended.values()) == 2  # and the date that it names
    assert [row[10] for row in fact_versions(pipeline.warehouse, "fact_payment")[1]] == [False, True]
    extracted, loaded = pipeline.run()
    assert (extracted.batch, loaded.loaded, loaded.last.batch) == (None, [], 2)


def test_a_b_a_is_three_versions_and_an_empty_update_none(pipeline):
    pipeline.run()
    for units in (5, 1000, 1000):
        pipeline.admin.run("UPDATE sales_order SET units_sold = :units WHERE sales_order_id = 1", units=units)
        pipeline.run()
    assert [row[7] for row in fact_versions(pipeline.warehouse, "fact_sales_order")[1]] == [1000, 5, 1000]
    assert pipeline.rows("SELECT count(*) FROM pipeline.ledger") == [[4]]


def test_batches_that_pile_up_are_loaded_in_order(pipeline):
    for units in (1000, 5, 1000):
        pipeline.admin.run("UPDATE sales_order SET units_sold = :units WHERE sales_order_id = 1", units=units)
        pipeline.transform(pipeline.extract().batch)
    assert pipeline.load().loaded == [1, 2, 3]
    assert [row[7] for row in fact_versions(pipeline.warehouse, "fact_sales_order")[1]] == [1000, 5, 1000]


def test_loading_the_same_batch_again_changes_nothing(pipeline):
    pipeline.run()
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 2")
    pipeline.run()
    before = everything(pipeline)
    pipeline.warehouse.run("DELETE FROM pipeline.ledger WHERE batch = 2")
    again = pipeline.load()
    assert again.loaded == [2]
    assert everything(pipeline) == before


def test_full_compare_appends_only_what_differs(pipeline):
    """A full compare against a filled warehouse appends only what differs."""
    pipeline.run()
    before = everything(pipeline)
    _, loaded = pipeline.run(full=frozenset(pipeline.declarations.source))
    assert loaded.loaded == [2]
    assert sum(loaded.appended.values()) == 0
    assert everything(pipeline) == before


def test_deleted_fact_leaves_current_view_but_not_history(pipeline):
    """A deleted row leaves the present state and stays in the history."""
    pipeline.run()
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 9")
    pipeline.run()
    assert 9 not in current_rows(pipeline.warehouse, "fact_payment")
    assert len(fact_versions(pipeline.warehouse, "fact_payment")[9]) == 1
    assert pipeline.rows("SELECT * FROM pipeline.deletion") == [["fact_payment", "9", 2, None]]
    pipeline.admin.run(
        "INSERT INTO payment SELECT 9, created_at, last_updated, 9, 1, 1234567890.12, 1, 1, false, payment_date, 1, 2"
        " FROM payment WHERE payment_id = 8"
    )
    pipeline.run()
    assert current_rows(pipeline.warehouse, "fact_payment") == expected_rows(pipeline.reader, "fact_payment")
    versions = fact_versions(pipeline.warehouse, "fact_payment")[9]
    assert len(versions) == 2  # the same content, but it was deleted in between
    assert pipeline.rows("SELECT * FROM pipeline.deletion") == [["fact_payment", "9", 2, 3]]
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 9")
    pipeline.run()
    assert pipeline.rows("SELECT * FROM pipeline.deletion ORDER BY batch") == [
        ["fact_payment", "9", 2, 3],
        ["fact_payment", "9", 4, None],
    ]


def test_deleted_dimension_row_stays_but_is_not_current(pipeline):
    """A deleted dimension row stays for the facts that name it but is not current."""
    pipeline.run()
    pipeline.admin.run("INSERT INTO staff VALUES (77, 'Short', 'Time', 1, 's@t.com')")
    pipeline.run()
    pipeline.admin.run("DELETE FROM staff WHERE staff_id = 77")
    pipeline.run()
    assert pipeline.rows("SELECT count(*) FROM dim_staff WHERE staff_id = 77") == [[1]]
    assert current_rows(pipeline.warehouse, "dim_staff") == expected_rows(pipeline.reader, "dim_staff")


def test_a_changed_department_reaches_every_member(pipeline):
    pipeline.run()
    pipeline.admin.run("UPDATE department SET location = 'Hull', department_name = 'Sellers' WHERE department_id = 1")
    _, loaded = pipeline.run()
    assert loaded.appended == {"dim_staff": 2}
    assert current_rows(pipeline.warehouse, "dim_staff") == expected_rows(pipeline.reader, "dim_staff")


def test_changed_address_updates_counterparties_and_location(pipeline):
    """A changed address reaches counterparties and the location."""
    pipeline.run()
    pipeline.admin.run("UPDATE address SET phone = '42' WHERE address_id = 1")
    _, loaded = pipeline.run()
    assert loaded.appended == {"dim_location": 1, "dim_counterparty": 2}
    assert current_rows(pipeline.warehouse, "dim_counterparty") == expected_rows(pipeline.reader, "dim_counterparty")


def test_missing_batch_is_waited_for_and_then_raises(pipeline):
    """A missing batch is waited for and then stops the line loudly."""
    pipeline.run()
    for phone in ("1", "2"):
        pipeline.admin.run("UPDATE address SET phone = :phone || '0'", phone=phone)
        pipeline.extract()
    pipeline.transform(3)
    waiting = pipeline.load()
    assert (waiting.loaded, waiting.missing_batch, waiting.last.batch) == ([], 2, 1)
    pipeline.warehouse.run("SELECT pg_advisory_unlock_all()")
    with pytest.raises(GapError, match=r"Batch 2 is missing.*\"batch\": 2"):
        load(
            PostgresWarehouse(pipeline.warehouse),
            pipeline.processed,
            pipeline.declarations,
            lambda: datetime.now(UTC) + timedelta(minutes=6),
        )
    pipeline.transform(2)
    assert pipeline.load().loaded == [2, 3]


def test_batch_that_the_warehouse_refuses_is_rolled_back(pipeline):
    """A batch that the warehouse refuses is rolled back complete and reported."""
    pipeline.warehouse.run(
        "CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'closed' USING ERRCODE = 'object_not_in_prerequisite_state'; END $$;"
        "CREATE TRIGGER closed BEFORE INSERT ON fact_payment EXECUTE FUNCTION closed()"
    )
    pipeline.transform(pipeline.extract().batch)
    with pytest.raises(WarehouseError, match=r"Batch 1 cannot be loaded into fact_payment: .*closed"):
        pipeline.load()
    assert pipeline.rows("SELECT count(*) FROM dim_staff") == [[0]]
    assert report(PostgresWarehouse(pipeline.warehouse)).last.batch is None
    pipeline.warehouse.run("DROP TRIGGER closed ON fact_payment")
    assert pipeline.load().loaded == [1]


def test_two_loads_never_interleave(pipeline, credentials):
    pipeline.transform(pipeline.extract().batch)
    with connected(credentials[1]) as other:
        assert PostgresWarehouse(other).acquire_lock()
        idle = load(PostgresWarehouse(pipeline.warehouse), pipeline.processed, pipeline.declarations)
        assert (idle.loaded, idle.last.batch) == ([], None)
        other.run("SELECT pg_advisory_unlock_all()")  # the server may end a closed session later
    assert pipeline.load().loaded == [1]


def test_missing_file_is_named(pipeline):
    pipeline.transform(pipeline.extract().batch)
    pipeline.processed._client.delete_object(
        Bucket="processed", Key=next(k for k in _keys(pipeline) if k.startswith("data/dim_staff/"))
    )
    with pytest.raises(LakeError, match="data/dim_staff/batch=000000000001"):
        pipeline.load()


def test_a_table_that_is_declared_no_more_is_named(pipeline):
    pipeline.transform(pipeline.extract().batch)
    kept = {name: table for name, table in pipeline.declarations.warehouse.items() if name != "dim_design"}
    pipeline.declarations = dataclasses.replace(pipeline.declarations, warehouse=kept)
    with pytest.raises(WarehouseError, match="dim_design"):
        pipeline.load()


def _keys(pipeline):
    pages = pipeline.processed._client.get_paginator("list_objects_v2").paginate(Bucket="processed")
    return [entry["Key"] for page in pages for entry in page["Contents"]]


def test_facts_wait_for_a_rejected_row_until_it_is_repaired(pipeline):
    """Facts that name a rejected row are deferred until it is repaired."""
    pipeline.admin.run("INSERT INTO currency VALUES (9, 'ZZZ')")
    pipeline.admin.run("UPDATE sales_order SET currency_id = 9 WHERE sales_order_id IN (1, 2, 3)")
    _, first = pipeline.run()
    assert (first.pending, first.appended["fact_sales_order"]) == ({"fact_sales_order": 3}, 3)
    pipeline.admin.run(
        "UPDATE sales_order SET units_sold = 1 WHERE sales_order_id = 1"
    )  # a second version, pending as well
    pipeline.admin.run("UPDATE sales_order SET currency_id = 1 WHERE sales_order_id = 2")  # a newer one that is not
    pipeline.admin.run("DELETE FROM payment; DELETE FROM transaction; DELETE FROM sales_order WHERE sales_order_id = 3")
    assert pipeline.run()[1].pending == {"fact_sales_order": 1}
    assert pipeline.rows("SELECT key, batch FROM pipeline.pending_row ORDER BY 1, 2") == [
        ["1", 1],
        ["1", 2],
        ["2", 1],
        ["3", 1],
    ]
    pipeline.admin.run("UPDATE currency SET currency_code = 'CHF' WHERE currency_id = 9")
    _, last = pipeline.run()
    assert (last.appended["fact_sales_order"], last.pending) == (5, {})  # order 2's newer version was appended again
    versions = fact_versions(pipeline.warehouse, "fact_sales_order")
    assert [row[7] for row in versions[1]] == [1000, 1]
    assert [row[9] for row in versions[2]] == [9, 1]
    assert len(versions[3]) == 1  # it was there before it was deleted
    assert pipeline.rows("SELECT count(*) FROM pipeline.pending_row") == [[0]]
    for table in ("fact_sales_order", "dim_currency"):
        assert current_rows(pipeline.warehouse, table) == expected_rows(pipeline.reader, table)


def test_pending_row_deleted_before_is_restored_once_written(pipeline):
    """A deferred row that was deleted before is present again once it is written."""
    pipeline.run()
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 9")
    pipeline.run()
    pipeline.admin.run("INSERT INTO currency VALUES (9, 'ZZZ')")
    pipeline.admin.run(
        "INSERT INTO payment SELECT 9, created_at, last_updated, 9, 1, 5, 9, 1, false, payment_date, 1, 2"
        " FROM payment WHERE payment_id = 8"
    )
    assert pipeline.run()[1].pending == {"fact_payment": 1}
    pipeline.admin.run("UPDATE currency SET currency_code = 'CHF' WHERE currency_id = 9")
    assert pipeline.run()[1].appended["fact_payment"] == 1
    assert current_rows(pipeline.warehouse, "fact_payment") == expected_rows(pipeline.reader, "fact_payment")
    assert pipeline.rows("SELECT * FROM pipeline.deletion") == [["fact_payment", "9", 2, 3]]


def test_row_without_required_value_is_rejected_facts_wait(pipeline):
    """A row without a value that the warehouse demands is rejected and what names it is deferred."""
    pipeline.run()
    pipeline.admin.run("ALTER TABLE staff ALTER COLUMN department_id DROP NOT NULL")
    pipeline.admin.run("ALTER TABLE sales_order ALTER COLUMN design_id DROP NOT NULL")
    pipeline.admin.run("INSERT INTO staff VALUES (50, 'Not', 'Placed', NULL, 'n@t.com')")
    pipeline.admin.run("UPDATE sales_order SET design_id = NULL WHERE sales_order_id = 1")
    pipeline.admin.run("UPDATE sales_order SET staff_id = 50 WHERE sales_order_id = 2")
    pipeline.admin.run("UPDATE sales_order SET units_sold = 77 WHERE sales_order_id = 3")
    _, loaded = pipeline.run()
    assert loaded.pending == {"fact_sales_order": 1}
    assert loaded.appended["fact_sales_order"] == 1
    pipeline.admin.run("UPDATE staff SET department_id = 1 WHERE staff_id = 50")
    pipeline.admin.run("UPDATE sales_order SET design_id = 1 WHERE sales_order_id = 1")
    assert pipeline.run()[1].pending == {}
    assert pipeline.rows("SELECT count(*) FROM pipeline.pending_row") == [[0]]
    assert pipeline.rows("SELECT table_name, key, batch, column_name, value FROM pipeline.rejected_value") == [
        ["fact_sales_order", "1", 2, "design_id", None]  # a version that had no design; of the staff the latest counts
    ]
    for table in ("dim_staff", "fact_sales_order"):
        assert current_rows(pipeline.warehouse, table) == expected_rows(pipeline.reader, table)


def test_emptied_or_replaced_lake_is_refused(pipeline):
    """A lake that was emptied or began again is refused and not taken for nothing to do."""
    pipeline.run()
    before = everything(pipeline)
    for bucket in ("processed", "ingestion"):
        _empty(pipeline, bucket)
        with pytest.raises(LakeError, match="up to batch 1, .*is missing"):
            pipeline.load()
        pipeline.transform(
            pipeline.extract().batch or 1
        )  # of the same ingestion bucket: the same batch; of an empty one: another
        if bucket == "processed":
            assert pipeline.load().loaded == []
            _empty(pipeline, bucket)
    with pytest.raises(LakeError, match="the lake was replaced"):
        pipeline.load()
    assert everything(pipeline) == before


def test_a_warehouse_restored_from_a_backup_catches_up(pipeline, credentials):
    pipeline.run()
    for units in (5, 1000, 6):
        pipeline.admin.run("UPDATE sales_order SET units_sold = :units WHERE sales_order_id = 1", units=units)
        pipeline.run()
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 2")
    pipeline.run()
    before = everything(pipeline)
    pipeline.warehouse.run("DELETE FROM fact_sales_order WHERE sales_record_id > 7")  # as it was after batch 2
    pipeline.warehouse.run("DELETE FROM pipeline.version_range WHERE table_name = 'fact_sales_order' AND batch > 2")
    pipeline.warehouse.run("DELETE FROM pipeline.deletion; DELETE FROM pipeline.ledger WHERE batch > 2")
    assert pipeline.load().loaded == [3, 4, 5]
    assert [row[7] for row in fact_versions(pipeline.warehouse, "fact_sales_order")[1]] == [1000, 5, 1000, 6]
    after = everything(pipeline)
    assert after == before  # the numbers of the records too


def _empty(pipeline, bucket):
    client = pipeline.processed._client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            client.delete_object(Bucket=bucket, Key=entry["Key"])
