"""Preparing a warehouse creates what it lacks; what exists is compared and stays as it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lambda_toolkit.pipeline.lambdas.load.loading import load, report
from lambda_toolkit.pipeline.lambdas.load.open_items import open_rows
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.shared.errors import Hint, NotPreparedError, WarehouseError, hint_of
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connected
from lambda_toolkit.pipeline.warehouse.preparation import Prepared, prepare
from lambda_toolkit.pipeline.warehouse.verification import differences
from lambda_toolkit.pipeline.warehouse.views import columns_of, view_names
from tests.support.repository import CONFIG, configuration

SCHEMA = (CONFIG / "warehouse.sql").read_text(encoding="utf-8")
DECLARED = parse(configuration())


@pytest.fixture
def warehouse(credentials):
    with connected(credentials[1]) as connection:
        yield connection


def catalog(connection):
    return connection.rows(
        """SELECT c.oid, c.relname, a.attname, a.atttypid, a.attnotnull
           FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
           WHERE c.relnamespace::regnamespace::text IN ('public', 'pipeline') ORDER BY 1, a.attnum"""
    )


def test_an_empty_database_gets_everything_once(empty):
    missing = differences(empty, SCHEMA, DECLARED)
    assert "table fact_payment is missing" in missing
    assert "view current_dim_staff is missing" in missing
    created = prepare(empty, SCHEMA, DECLARED).created
    assert "table dim_date" in created
    assert "table pipeline.ledger" in created
    assert "view current_fact_payment" in created
    assert "index on fact_payment (payment_id, payment_record_id)" in created
    assert differences(empty, SCHEMA, DECLARED) == ()
    before = catalog(empty)
    assert prepare(empty, SCHEMA, DECLARED) == Prepared()
    assert catalog(empty) == before


def test_every_difference_is_named_and_nothing_is_touched(empty):
    empty.run(SCHEMA)
    empty.run(
        """ALTER TABLE dim_staff ALTER COLUMN location SET NOT NULL;
           ALTER TABLE dim_design ALTER COLUMN file_name TYPE varchar(20);
           ALTER TABLE dim_currency DROP COLUMN currency_name;
           ALTER TABLE dim_date ADD COLUMN week integer;
           ALTER TABLE fact_payment DROP CONSTRAINT fact_payment_currency_id_fkey;
           ALTER TABLE dim_transaction DROP CONSTRAINT dim_transaction_pkey CASCADE;
           ALTER TABLE fact_sales_order ALTER COLUMN sales_record_id DROP IDENTITY"""
    )
    prepare(empty, SCHEMA, DECLARED)
    before = catalog(empty)
    found = differences(empty, SCHEMA, DECLARED)
    assert set(found) == {
        "table dim_staff: column location is NOT NULL, expected nullable",
        "table dim_design: column file_name is character varying(20), expected character varying",
        "table dim_currency: column currency_name (character varying) is missing",
        "table dim_date: column week is not expected",
        "table fact_payment: foreign key (currency_id) to dim_currency is missing",
        "table fact_payment: foreign key (transaction_id) to dim_transaction is missing",
        "table dim_transaction: primary key (transaction_id) is missing",
        "table fact_sales_order: column sales_record_id is not an identity column "
        "(its numbers must come from a default)",
    }
    lossless = [
        'ALTER TABLE dim_staff ALTER COLUMN "location" DROP NOT NULL',
        'ALTER TABLE dim_design ALTER COLUMN "file_name" TYPE character varying',
    ]
    assert prepare(empty, SCHEMA, DECLARED) == Prepared(alterations=lossless)
    assert catalog(empty) == before


def test_table_of_another_owner_gets_a_view_but_no_index(empty):
    empty.run(SCHEMA)
    created = prepare(empty, SCHEMA, DECLARED).created
    assert not [name for name in created if name.startswith(("table fact", "table dim", "index"))]
    assert "view current_fact_payment" in created


NEW_COLUMN = SCHEMA.replace("CREATE TABLE dim_staff (", "CREATE TABLE dim_staff (nickname text, ").replace(
    "CREATE TABLE fact_payment (", "CREATE TABLE fact_payment (channel text, "
)


def test_view_of_a_changed_table_is_named_and_replaced(empty):
    """A column that was added, a definition changed by hand, a name that another table has: the rest is untouched."""
    prepare(empty, SCHEMA, DECLARED)
    empty.run(
        """CREATE ROLE view_reader; GRANT SELECT ON current_dim_staff, history_fact_payment TO view_reader;
           COMMENT ON VIEW history_fact_payment IS 'it''s kept';
           ALTER TABLE dim_staff ADD COLUMN nickname text; ALTER TABLE fact_payment ADD COLUMN channel text;
           CREATE OR REPLACE VIEW current_dim_design AS SELECT * FROM dim_design WHERE design_id > 7;
           DROP VIEW current_dim_currency; CREATE TABLE current_dim_currency (x integer);
           CREATE VIEW on_top AS SELECT * FROM history_fact_sales_order; ALTER TABLE fact_sales_order ADD note text"""
    )
    try:
        lacking = {text for text in differences(empty, NEW_COLUMN, DECLARED) if "view" in text}
        assert lacking == {
            "view current_dim_staff lacks nickname",
            "view current_fact_payment lacks channel",
            "view history_fact_payment lacks channel",
            "view current_fact_sales_order lacks note",
            "view history_fact_sales_order lacks note",
            "view current_dim_design has another definition",
            "current_dim_currency is not a view: the view of that name cannot be created. Rename what has it now",
        }
        done = prepare(empty, NEW_COLUMN, DECLARED)
        assert (done.created, len(done.replaced), len(done.refused)) == ([], 5, 1)
        assert done.refused[0].startswith(
            "view history_fact_sales_order lacks note, and cannot be replaced: cannot drop"
        )
        assert "other objects depend on it" in done.refused[0]
        left = {text for text in differences(empty, NEW_COLUMN, DECLARED) if "view" in text}
        assert left == {"view history_fact_sales_order lacks note", *(text for text in lacking if "not a view" in text)}
        reads = "SELECT has_table_privilege('view_reader', :view, 'SELECT')"
        for view in ("current_dim_staff", "history_fact_payment"):
            assert empty.rows(reads, view=view) == [[True]]
        assert empty.rows("SELECT obj_description('history_fact_payment'::regclass)") == [["it's kept"]]
        assert "channel" in columns_of(empty, "history_fact_payment")
    finally:
        empty.run("DROP OWNED BY view_reader; DROP ROLE view_reader")


def test_view_names_never_change_and_fit_for_any_table():
    """A second fact of one source table renames nothing; names of 63 bytes, in any script, stay different."""
    long = [f"fact_{'ä' * 28}{end}" for end in ("x", "y")]
    names = [name for table in ("fact_payment", *long) for name in view_names(fact(table))]
    assert names[:2] == ["current_fact_payment", "history_fact_payment"]
    assert len(set(names)) == 6
    assert all(len(name.encode()) <= 63 for name in names)


def fact(name):
    return replace(DECLARED.warehouse["fact_payment"], name=name)


def test_what_is_declared_but_not_in_the_schema_is_named(warehouse):
    document = configuration()
    document["warehouse"]["dim_extra"] = {**document["warehouse"]["dim_currency"]}
    document["warehouse"]["dim_staff"]["columns"]["nickname"] = "first_name"
    found = differences(warehouse, SCHEMA, parse(document))
    assert "table dim_extra is declared, but not in the warehouse's schema" in found
    assert "table dim_staff: column nickname is declared, but not in the warehouse's schema" in found


def test_a_schema_that_cannot_be_created_changes_nothing(empty):
    with pytest.raises(WarehouseError, match="nosuchtype"):
        prepare(empty, "CREATE TABLE a (x integer); CREATE TABLE b (y nosuchtype)", DECLARED)
    assert catalog(empty) == []
    with pytest.raises(WarehouseError, match="nosuchtype"):
        differences(empty, "CREATE TABLE b (y nosuchtype)", DECLARED)


def test_unprepared_warehouse_raises_an_error_with_a_hint(empty, buckets):
    for attempt in (
        lambda: report(PostgresWarehouse(empty)),
        lambda: load(PostgresWarehouse(empty), buckets[1], DECLARED),
        lambda: open_rows(empty, DECLARED),
    ):
        with pytest.raises(NotPreparedError, match=r"lacks the table pipeline\.ledger") as raised:
            attempt()
        assert raised.value.hint is hint_of("NotPreparedError") is Hint.PREPARE


def test_control_schema_of_another_format_version_is_refused(empty, buckets):
    prepare(empty, SCHEMA, DECLARED)
    empty.run("UPDATE pipeline.format SET version = 99")
    with pytest.raises(NotPreparedError, match="format version 99"):
        load(PostgresWarehouse(empty), buckets[1], DECLARED)


def test_history_has_its_times_beside_columns_of_their_names(empty):
    """A table of the source may have valid_from itself: the history says so under other names."""
    schema = SCHEMA.replace("    paid  ", "    valid_from  ")
    assert schema != SCHEMA
    document = configuration()
    payment = document["warehouse"]["fact_payment"]
    payment["columns"] = {"valid_from" if to == "paid" else to: of for to, of in payment["columns"].items()}
    payment["types"] = {"valid_from" if to == "paid" else to: of for to, of in payment["types"].items()}
    declared = parse(document)
    prepare(empty, schema, declared)
    assert differences(empty, schema, declared) == ()
    columns = columns_of(empty, "history_fact_payment")
    assert columns[-2:] == ["version_valid_from", "version_valid_to"]
    assert "valid_from" in columns
