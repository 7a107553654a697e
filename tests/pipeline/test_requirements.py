"""What waits: what the declaration or the warehouse's own constraints would refuse, and nothing else of the batch."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.load.open_items import open_rows
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from tests.support.source_model import current_rows, expected_rows


def refer_to_a_rejected_currency(pipeline):
    """Three orders whose currency transform rejects."""
    pipeline.admin.run("INSERT INTO currency VALUES (9, 'ZZZ')")
    pipeline.admin.run("UPDATE sales_order SET currency_id = 9 WHERE sales_order_id IN (1, 2, 3)")


def pending_keys(pipeline):
    return pipeline.rows("SELECT table_name, key, batch FROM pipeline.pending_row ORDER BY 1, 2, 3")


@pytest.mark.parametrize("is_enforced", [True, False])
def test_requirements_stay_when_a_foreign_key_is_dropped(pipeline, is_enforced):
    if not is_enforced:
        pipeline.warehouse.run("ALTER TABLE fact_sales_order DROP CONSTRAINT fact_sales_order_currency_id_fkey")
    refer_to_a_rejected_currency(pipeline)
    _, loaded = pipeline.run()
    assert loaded.pending == {"fact_sales_order": 3}
    assert pending_keys(pipeline) == [["fact_sales_order", key, 1] for key in "123"]
    missing = "table fact_sales_order: foreign key (currency_id) to dim_currency is missing"
    differences = PostgresWarehouse(pipeline.warehouse).differences(pipeline.declarations)
    assert differences == ([] if is_enforced else [missing])
    pipeline.admin.run("UPDATE currency SET currency_code = 'CHF' WHERE currency_id = 9")
    pipeline.run()
    assert pending_keys(pipeline) == []
    assert current_rows(pipeline.warehouse, "fact_sales_order") == expected_rows(pipeline.reader, "fact_sales_order")


def test_requirements_not_null_added_by_hand(pipeline):
    pipeline.admin.run("UPDATE department SET location = 'Leeds'")
    pipeline.run()
    pipeline.warehouse.run("ALTER TABLE dim_staff ALTER COLUMN location SET NOT NULL")
    pipeline.admin.run("UPDATE department SET location = NULL WHERE department_id = 1")
    pipeline.admin.run("UPDATE sales_order SET units_sold = 5 WHERE sales_order_id = 1")
    _, loaded = pipeline.run()
    assert loaded.loaded == [2]
    assert (set(loaded.pending), loaded.appended["fact_sales_order"]) == ({"dim_staff"}, 1)
    assert PostgresWarehouse(pipeline.warehouse).differences(pipeline.declarations) == [
        "table dim_staff: column location is NOT NULL, expected nullable"
    ]
    reasons = {item.reason for item in open_rows(pipeline.warehouse, pipeline.declarations).pending}
    assert reasons == {"NULL, which the warehouse refuses"}
    pipeline.warehouse.run("ALTER TABLE dim_staff ALTER COLUMN location DROP NOT NULL")
    pipeline.admin.run("UPDATE sales_order SET units_sold = 6 WHERE sales_order_id = 1")
    pipeline.run()
    assert pending_keys(pipeline) == []
    assert current_rows(pipeline.warehouse, "dim_staff") == expected_rows(pipeline.reader, "dim_staff")


def test_requirements_foreign_key_added_by_hand(pipeline):
    pipeline.run()
    pipeline.warehouse.run("CREATE TABLE offer AS SELECT DISTINCT units_sold, design_id FROM fact_sales_order")
    pipeline.warehouse.run("ALTER TABLE offer ADD PRIMARY KEY (units_sold, design_id)")
    pipeline.warehouse.run("ALTER TABLE fact_sales_order ADD FOREIGN KEY (units_sold, design_id) REFERENCES offer")
    pipeline.admin.run("UPDATE sales_order SET units_sold = 5 WHERE sales_order_id = 1")
    pipeline.admin.run("UPDATE sales_order SET unit_price = 9.99 WHERE sales_order_id = 2")
    _, loaded = pipeline.run()
    assert (loaded.pending, loaded.appended["fact_sales_order"]) == ({"fact_sales_order": 1}, 1)
    assert PostgresWarehouse(pipeline.warehouse).differences(pipeline.declarations) == [
        "table fact_sales_order: foreign key (units_sold, design_id) to offer is not declared"
    ]
    [item] = open_rows(pipeline.warehouse, pipeline.declarations).pending
    assert (item.key, item.column, item.reason) == ("1", "units_sold, design_id", "not in offer yet")
    pipeline.warehouse.run("INSERT INTO offer SELECT 5, design_id FROM offer ON CONFLICT DO NOTHING")
    pipeline.admin.run("UPDATE sales_order SET unit_price = 9.98 WHERE sales_order_id = 2")
    pipeline.run()
    assert pending_keys(pipeline) == []
    assert current_rows(pipeline.warehouse, "fact_sales_order") == expected_rows(pipeline.reader, "fact_sales_order")


def test_requirements_not_null_column_that_nothing_fills(pipeline):
    pipeline.warehouse.run("ALTER TABLE fact_payment ADD COLUMN note text NOT NULL")
    _, loaded = pipeline.run()
    payments = len(expected_rows(pipeline.reader, "fact_payment"))
    assert loaded.pending == {"fact_payment": payments}
    assert current_rows(pipeline.warehouse, "fact_sales_order") == expected_rows(pipeline.reader, "fact_sales_order")
    pipeline.warehouse.run("ALTER TABLE fact_payment ALTER COLUMN note SET DEFAULT ''")
    pipeline.admin.run("UPDATE sales_order SET units_sold = 6 WHERE sales_order_id = 1")
    pipeline.run()
    assert pending_keys(pipeline) == []


def test_loading_order_follows_the_references(pipeline):
    position = {table.name: number for number, table in enumerate(pipeline.declarations.loading_order())}
    references = [(t, r) for t in pipeline.declarations.warehouse.values() for r in t.references]
    assert len(references) == 24
    assert all(position[reference.table] < position[table.name] for table, reference in references)
