"""What the warehouse must contain, in plain SQL over the source, and a naive model of versions.

Independent of ``local_stack/totesys/expected.py``, which states the same star: that is part of the product, and an
error in it must not hide an error of the pipeline from the tests.
"""

from __future__ import annotations

from typing import Any

import pycountry

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection

EXPECTED = {  # warehouse table -> the present state in plain SQL over the source, the key first
    "dim_staff": """SELECT s.staff_id, s.first_name, s.last_name, d.department_name, d.location, s.email_address
        FROM staff s JOIN department d USING (department_id)""",
    "dim_location": """SELECT address_id, address_line_1, address_line_2, district, city, postal_code, country, phone
        FROM address""",
    "dim_counterparty": """SELECT c.counterparty_id, c.counterparty_legal_name, a.address_line_1, a.address_line_2,
        a.district, a.city, a.postal_code, a.country, a.phone
        FROM counterparty c JOIN address a ON a.address_id = c.legal_address_id""",
    "dim_currency": "SELECT currency_id, currency_code, NULL FROM currency",
    "dim_design": "SELECT design_id, design_name, file_location, file_name FROM design",
    "dim_payment_type": "SELECT payment_type_id, payment_type_name FROM payment_type",
    "dim_transaction": "SELECT transaction_id, transaction_type, sales_order_id, purchase_order_id FROM transaction",
    "fact_sales_order": """SELECT sales_order_id, created_at::date, created_at::time, last_updated::date,
        last_updated::time, staff_id, counterparty_id, units_sold, unit_price, currency_id, design_id,
        agreed_payment_date::date, agreed_delivery_date::date, agreed_delivery_location_id FROM sales_order""",
    "fact_purchase_orders": """SELECT purchase_order_id, created_at::date, created_at::time, last_updated::date,
        last_updated::time, staff_id, counterparty_id, item_code, item_quantity, item_unit_price, currency_id,
        agreed_delivery_date::date, agreed_payment_date::date, agreed_delivery_location_id FROM purchase_order""",
    "fact_payment": """SELECT payment_id, created_at::date, created_at::time, last_updated::date, last_updated::time,
        transaction_id, counterparty_id, payment_amount, currency_id, payment_type_id, paid, payment_date::date
        FROM payment""",
}
RECORDS = {
    "fact_sales_order": "sales_record_id",
    "fact_purchase_orders": "purchase_record_id",
    "fact_payment": "payment_record_id",
}

Row = tuple[Any, ...]


def expected_rows(source: Connection, table: str) -> dict[int, Row]:
    """The present state of ``table``, by key."""
    rows = [tuple(row) for row in source.rows(EXPECTED[table])]
    if table == "dim_currency":
        rows = [(key, code, _currency_name(code)) for key, code, _ in rows]
    return {row[0]: row for row in rows}


def _currency_name(code: str) -> str:
    found = pycountry.currencies.get(alpha_3=code)
    assert found is not None, code
    return str(found.name)


def current_rows(warehouse: Connection, table: str) -> dict[int, Row]:
    """What the view of the present state shows, by key; a fact without its record number."""
    first = 1 if table in RECORDS else 0
    rows = [tuple(row)[first:] for row in warehouse.rows(f"SELECT * FROM current_{table}")]
    assert len(rows) == len({row[0] for row in rows}), f"{table} shows a key twice"
    return {row[0]: row for row in rows}


def fact_versions(warehouse: Connection, table: str) -> dict[int, list[Row]]:
    """Every version of every key, oldest first."""
    found: dict[int, list[Row]] = {}
    for row in warehouse.rows(f"SELECT * FROM {table} ORDER BY {RECORDS[table]}"):
        found.setdefault(row[1], []).append(tuple(row[1:]))
    return found


class Versions:
    """The naive model: look at the source after each run, and append what differs from the last look."""

    def __init__(self) -> None:
        self.versions: dict[str, dict[int, list[Row]]] = {table: {} for table in RECORDS}
        self._present: dict[str, dict[int, Row]] = {table: {} for table in RECORDS}

    def look(self, source: Connection) -> None:
        for table, versions in self.versions.items():
            now = expected_rows(source, table)
            for key, row in now.items():
                if self._present[table].get(key) != row:
                    versions.setdefault(key, []).append(row)
            self._present[table] = now
