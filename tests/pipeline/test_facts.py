"""Record numbers, the batch of every version, and the views of the present and of the evolution."""

from __future__ import annotations

from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import SchemaNames
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.repository import CONFIG
from tests.support.source_model import RECORDS

SCHEMA = (CONFIG / "warehouse.sql").read_text(encoding="utf-8")
CHECK = SchemaNames.shadow("check")
HISTORY = """
    SELECT h.units_sold, f.batch AS from_batch, u.batch AS to_batch
    FROM {schema}.history_fact_sales_order AS h
    LEFT JOIN {own}.ledger AS f ON f.extracted_at = h.valid_from
    LEFT JOIN {own}.ledger AS u ON u.extracted_at = h.valid_to
    WHERE h.sales_order_id = {key} ORDER BY h.sales_record_id
"""


def history(pipeline, key, schema="public", own="pipeline"):
    """The versions of an order: units sold, the batch from which and the batch until which that was so."""
    return pipeline.rows(HISTORY.format(schema=schema, own=own, key=key))


def sell(pipeline, units, key=1):
    pipeline.admin.run("UPDATE sales_order SET units_sold = :units WHERE sales_order_id = :key", units=units, key=key)
    pipeline.run()


def a_history(pipeline):
    """Order 1: A, B, A. Order 6: deleted and back."""
    pipeline.run()
    sell(pipeline, 5)
    pipeline.admin.run("CREATE TABLE kept AS SELECT * FROM sales_order WHERE sales_order_id = 6")
    pipeline.admin.run("DELETE FROM payment; DELETE FROM transaction; DELETE FROM sales_order WHERE sales_order_id = 6")
    sell(pipeline, 1000)
    pipeline.admin.run("INSERT INTO sales_order SELECT * FROM kept")
    pipeline.run()


def test_version_numbers_have_no_gaps_and_belong_to_one_batch(pipeline):
    """Versions are numbered without gaps and each is of one batch."""
    a_history(pipeline)
    assert pipeline.rows("SELECT array_agg(sales_record_id ORDER BY 1) FROM fact_sales_order") == [[list(range(1, 10))]]
    assert pipeline.rows(
        "SELECT first_record, last_record, batch FROM pipeline.version_range"
        " WHERE table_name = 'fact_sales_order' ORDER BY 1"
    ) == [[1, 6, 1], [7, 7, 2], [8, 8, 3], [9, 9, 4]]


def test_version_is_valid_until_the_next_one_or_its_deletion(pipeline):
    """A version is valid until the next one or until the row was deleted."""
    a_history(pipeline)
    assert history(pipeline, 1) == [[1000, 1, 2], [5, 2, 3], [1000, 3, None]]
    assert history(pipeline, 6) == [[6000, 1, 3], [6000, 4, None]]  # and in between there was none
    pipeline.admin.run("DELETE FROM sales_order WHERE sales_order_id = 6")
    pipeline.run()
    assert history(pipeline, 6) == [[6000, 1, 3], [6000, 4, 5]]


def test_what_is_valid_still_is_what_is_current(pipeline):
    a_history(pipeline)
    for view in [f"current_{fact}" for fact in RECORDS]:
        columns = ", ".join(
            row[0]
            for row in pipeline.rows(
                f"SELECT attname FROM pg_attribute WHERE attnum > 0 AND attrelid = '{view}'::regclass"
            )
        )
        still = f"SELECT {columns} FROM {view.replace('current', 'history')} WHERE valid_to IS NULL ORDER BY 1"
        assert pipeline.rows(still) == pipeline.rows(f"SELECT {columns} FROM {view} ORDER BY 1")


def test_same_lake_fills_a_shadow_schema_identically(pipeline):
    """The same lake fills another schema with the same rows and numbers."""
    a_history(pipeline)
    created = prepare(pipeline.warehouse, SCHEMA, pipeline.declarations, CHECK).created
    assert created[:2] == ["schema check", "table check.dim_date"]
    assert "view check.history_fact_payment" in created
    shadow = PostgresWarehouse(pipeline.warehouse, CHECK)
    assert load(shadow, pipeline.processed, pipeline.declarations).loaded == [1, 2, 3, 4]
    tables = [*pipeline.declarations.warehouse, *(f"current_{fact}" for fact in RECORDS), "history_fact_sales_order"]
    for live, other in [(t, f'"check".{t}') for t in tables] + [
        (f"pipeline.{t}", f"check_pipeline.{t}") for t in ("version_range", "deletion")
    ]:
        assert pipeline.rows(f"SELECT * FROM {other} AS t ORDER BY t") == pipeline.rows(
            f"SELECT * FROM {live} AS t ORDER BY t"
        )
    keys = """SELECT count(*), count(*) FILTER (WHERE f.relnamespace = 'check'::regnamespace) FROM pg_constraint AS c
              JOIN pg_class AS f ON f.oid = c.confrelid WHERE c.connamespace = 'check'::regnamespace"""
    assert pipeline.rows(keys) == [[24, 24]]


def test_history_of_a_row_that_load_did_not_write_has_no_times(pipeline):
    pipeline.run()
    pipeline.warehouse.run("DELETE FROM pipeline.version_range WHERE table_name = 'fact_sales_order'")
    unknown = "SELECT valid_from, valid_to FROM history_fact_sales_order WHERE sales_order_id = 1"
    assert pipeline.rows(unknown) == [[None, None]]
    sell(pipeline, 77)
    assert history(pipeline, 1)[-1:] == [[77, 2, None]]


def test_new_versions_of_few_rows_read_no_dimension_as_a_whole(pipeline):
    """That the rows exist to which a new version refers is looked up, however many there are."""
    pipeline.run()
    pipeline.rows(
        "INSERT INTO dim_transaction (transaction_id, transaction_type)"
        " SELECT n, 'SALE' FROM generate_series(1000, 20000) AS n RETURNING NULL"
    )
    pipeline.rows("ANALYZE dim_transaction")
    before = _rows_read(pipeline, "dim_transaction")
    pipeline.admin.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 1")
    pipeline.run()
    assert pipeline.rows("SELECT count(*) FROM history_fact_payment WHERE payment_id = 1") == [[2]]
    assert _rows_read(pipeline, "dim_transaction") == before


def _rows_read(pipeline, table):
    """The rows that were read by reading all of ``table``."""
    pipeline.rows("SELECT pg_stat_force_next_flush()")
    return pipeline.rows(f"SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = '{table}'")
