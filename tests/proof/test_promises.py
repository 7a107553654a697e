"""What the pipeline promises of totesys, one promise to a test, each compared whole with the oracle afterwards.

The source is made data of totesys' shape; with ``TOTESYS_SEED=<directory>`` it is a dump (see ``local up --seed``).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.totesys import seed
from tests.proof.comparison import compare_lake, compare_warehouse
from tests.proof.simulation import Simulation
from tests.proof.steps import MAIN, Extract, Load, Transform

ORDERS = 150
RUN = (Extract(), Transform(), Load())
DUMP = os.environ.get("TOTESYS_SEED")


@pytest.fixture
def shop(world):
    """A source filled and loaded once. In the end what the warehouse holds is what the oracle says, all of it."""
    world.reset()
    world.source.empty()
    source = world.databases.credentials("source")
    database = Database(source.host, source.port, source.database, source.user, source.password)
    if DUMP:
        seed.from_directory(database, Path(DUMP))
    else:
        seed.generated(database, orders=ORDERS)
    world.perform(RUN)
    yield world
    world.settle()
    compare_warehouse(world)
    compare_lake(world)
    world.forget()
    world.source.empty()


def warehouse(shop: Simulation, query: str) -> list[list[object]]:
    return shop.warehouse.rows(query)


def one(shop: Simulation, query: str) -> list[object]:
    return shop.source.admin.rows(query)[0]


def test_a_silent_update_is_a_second_version_after_one_run(shop):
    order, design = one(shop, "SELECT sales_order_id, design_id FROM sales_order ORDER BY 1 LIMIT 1")
    other = one(shop, f"SELECT max(design_id) FROM design WHERE design_id <> {design}")[0]
    versions = (
        "SELECT design_id, last_updated_date, last_updated_time FROM fact_sales_order"
        f" WHERE sales_order_id = {order} ORDER BY sales_record_id"
    )
    before = warehouse(shop, versions)
    shop.source.admin.run(f"UPDATE sales_order SET design_id = {other} WHERE sales_order_id = {order}")
    shop.perform(RUN)
    after = warehouse(shop, versions)
    assert after[:-1] == before
    assert after[-1] == [other, *before[-1][1:]]  # last_updated has not moved
    assert warehouse(shop, f"SELECT design_id FROM current_fact_sales_order WHERE sales_order_id = {order}") == [
        [other]
    ]


def test_renamed_department_location_updates_exactly_its_staff(shop):
    """A renamed location of a department reaches exactly its staff."""
    department = one(shop, "SELECT department_id FROM staff GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1")[0]
    query = f"SELECT staff_id FROM staff WHERE department_id = {department}"
    members = {row[0] for row in shop.source.admin.rows(query)}
    before = {row[0]: row for row in warehouse(shop, "SELECT * FROM dim_staff")}
    shop.source.admin.run(f"UPDATE department SET location = 'Leeds' WHERE department_id = {department}")
    shop.perform(RUN)
    after = {row[0]: row for row in warehouse(shop, "SELECT * FROM dim_staff")}
    assert {key for key, row in after.items() if row != before[key]} == members
    assert {after[key][4] for key in members} == {"Leeds"}
    written = warehouse(shop, "SELECT rows_written->>'dim_staff' FROM pipeline.ledger WHERE batch = 2")
    assert written == [[str(len(members))]]


def test_changed_address_updates_its_location_and_counterparties(shop):
    """A changed address reaches its location and every counterparty there."""
    address = one(shop, "SELECT legal_address_id FROM counterparty GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1")[0]
    query = f"SELECT counterparty_id FROM counterparty WHERE legal_address_id = {address}"
    there = sorted(row[0] for row in shop.source.admin.rows(query))
    shop.source.admin.run(f"UPDATE address SET phone = '0113 496 0000', district = '' WHERE address_id = {address}")
    shop.perform(RUN)
    changed = "= '0113 496 0000' ORDER BY 1"
    assert warehouse(shop, f"SELECT location_id, district FROM dim_location WHERE phone {changed}") == [[address, ""]]
    reached = warehouse(
        shop,
        "SELECT counterparty_id, counterparty_legal_district FROM dim_counterparty"
        f" WHERE counterparty_legal_phone_number {changed}",
    )
    assert reached == [[key, ""] for key in there]


def test_deleted_order_leaves_current_view_and_stays_in_history(shop):
    """A deleted order leaves the present and stays in the history."""
    order = one(shop, "SELECT max(sales_order_id) FROM transaction")[0]
    sold = f"sales_order_id = {order}"
    admin = shop.source.admin
    admin.run(f"DELETE FROM payment WHERE transaction_id IN (SELECT transaction_id FROM transaction WHERE {sold})")
    admin.run(f"DELETE FROM transaction WHERE {sold}; DELETE FROM sales_order WHERE {sold}")
    shop.perform(RUN)
    assert warehouse(shop, f"SELECT 1 FROM current_fact_sales_order WHERE {sold}") == []
    assert warehouse(
        shop,
        "SELECT h.valid_from = b.extracted_at, h.valid_to = e.extracted_at"
        " FROM history_fact_sales_order AS h, pipeline.ledger AS b, pipeline.ledger AS e"
        f" WHERE {sold} AND b.batch = 1 AND e.batch = 2",
    ) == [[True, True]]


def test_transaction_opened_before_a_run_is_in_the_next_batch(shop):
    """A transaction opened before a run and committed after it is in the next batch."""
    slow = shop.source.sessions[1]
    key = one(shop, "SELECT max(sales_order_id) FROM sales_order")[0]
    slow.run("BEGIN")
    slow.run(f"UPDATE sales_order SET units_sold = 123 WHERE sales_order_id = {key}")
    # By a younger transaction, which ends first.
    shop.source.sessions[MAIN].run("UPDATE design SET file_location = '/moved'")
    shop.perform(RUN)
    assert warehouse(shop, f"SELECT count(*) FROM fact_sales_order WHERE sales_order_id = {key}") == [[1]]
    assert warehouse(shop, "SELECT DISTINCT file_location FROM dim_design") == [["/moved"]]
    slow.run("COMMIT")
    shop.perform(RUN)
    assert len(shop.looks) == 3
    rows_loaded = (
        "SELECT units_sold FROM history_fact_sales_order, pipeline.ledger"
        f" WHERE sales_order_id = {key} AND extracted_at = valid_from AND batch = 3"
    )
    assert warehouse(shop, rows_loaded) == [[123]]


def test_a_transaction_that_is_rolled_back_never_arrives(shop):
    slow = shop.source.sessions[1]
    slow.run("BEGIN")
    slow.run("UPDATE payment SET paid = NOT paid; UPDATE address SET phone = 'never'")
    shop.source.sessions[MAIN].run("UPDATE design SET file_location = '/moved'")
    shop.perform(RUN)
    slow.run("ROLLBACK")
    shop.step(Extract())
    assert len(shop.looks) == 2  # the first, and the one of the designs
    assert warehouse(shop, "SELECT count(*) FROM dim_location WHERE phone = 'never'") == [[0]]
    assert warehouse(shop, "SELECT count(*) = count(DISTINCT payment_id) FROM fact_payment") == [[True]]
