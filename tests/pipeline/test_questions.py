"""The questions of docs/questions.sql: each says of the warehouse what a query on the source says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lambda_toolkit.pipeline.client.warehouses.query import Warehouse
from lambda_toolkit.pipeline.client.warehouses.reader import WarehouseReader
from tests.support.repository import REPOSITORY

TEXT = (REPOSITORY / "docs" / "questions.sql").read_text(encoding="utf-8")
QUESTIONS = {int(n): query for n, query in re.findall(r"^-- (\d+)\. [^\n]*\n(.*?;)$", TEXT, re.DOTALL | re.MULTILINE)}
ON_THE_SOURCE = {  # without the order and the limit, which the small source does not reach
    1: """SELECT created_at::date, currency_code, count(*), sum(units_sold), sum(units_sold * round(unit_price, 2))
        FROM sales_order NATURAL JOIN (SELECT currency_id, currency_code FROM currency) AS c GROUP BY 1, 2""",
    2: """SELECT design_name, currency_code, sum(units_sold), sum(units_sold * round(unit_price, 2))
        FROM sales_order AS o
        JOIN design AS d ON d.design_id = o.design_id JOIN currency AS c ON c.currency_id = o.currency_id
        GROUP BY d.design_id, c.currency_id""",
    3: """SELECT first_name, last_name, department_name, count(*), round(avg(units_sold), 2) FROM sales_order AS o
        JOIN staff AS s ON s.staff_id = o.staff_id JOIN department AS d ON d.department_id = s.department_id
        GROUP BY s.staff_id, d.department_id""",
    4: """SELECT country, count(*), sum(units_sold) FROM sales_order, address
        WHERE address_id = agreed_delivery_location_id GROUP BY 1""",
    5: """SELECT counterparty_legal_name, country, count(*), sum(units_sold) FROM sales_order AS o
        JOIN counterparty AS p ON p.counterparty_id = o.counterparty_id
        JOIN address AS a ON a.address_id = p.legal_address_id GROUP BY p.counterparty_id, a.address_id""",
    6: """SELECT y, q, u, u - lag(u) OVER (ORDER BY y, q) FROM (SELECT extract(year FROM created_at)::int AS y,
        extract(quarter FROM created_at)::int AS q, sum(units_sold) AS u FROM sales_order GROUP BY 1, 2) AS x""",
    7: "SELECT to_char(created_at, 'FMDay'), count(*) FROM sales_order GROUP BY 1",
    8: """SELECT payment_type_name, currency_code, sum(CASE WHEN paid THEN 0 ELSE 1 END),
        sum(CASE WHEN paid THEN 0 ELSE payment_amount END), sum(CASE WHEN paid THEN payment_amount ELSE 0 END)
        FROM payment AS p
        JOIN payment_type AS t ON t.payment_type_id = p.payment_type_id
        JOIN currency AS c ON c.currency_id = p.currency_id GROUP BY 1, 2""",
    9: """SELECT payment_id, counterparty_legal_name, payment_date::date, payment_amount FROM payment AS p
        JOIN counterparty AS n ON n.counterparty_id = p.counterparty_id WHERE NOT paid""",
    10: """SELECT item_code, sum(item_quantity), min(item_unit_price), max(item_unit_price) FROM purchase_order
        GROUP BY 1""",
}


def test_there_are_twelve_questions() -> None:
    assert sorted(QUESTIONS) == list(range(1, 13))


@pytest.fixture
def answers(pipeline, credentials):
    """The rows of each question, after a day on which three orders changed, one of them twice, and one was deleted."""
    pipeline.run()
    for price in ("3.10", "3.20"):
        pipeline.admin.run(f"UPDATE sales_order SET unit_price = {price} WHERE sales_order_id = 1")
        pipeline.run()
    pipeline.admin.run("UPDATE sales_order SET units_sold = 7 WHERE sales_order_id IN (2, 3)")
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 3")
    pipeline.run()
    warehouse = Warehouse(WarehouseReader(credentials[1]))
    return {number: warehouse.query(query) for number, query in QUESTIONS.items()}


def test_every_question_is_answered_as_the_source_would(pipeline, answers):
    def sorted_rows(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return sorted(rows, key=repr)

    for number, query in ON_THE_SOURCE.items():
        expected = [tuple(row) for row in pipeline.admin.rows(query)]
        found = [tuple(row.values()) for row in answers[number].to_pylist()]
        assert expected, number
        assert sorted_rows([tuple(map(_plain, row)) for row in found]) == sorted_rows(
            [tuple(map(_plain, row)) for row in expected]
        ), number
    versions = [(row["sales_order_id"], row["versions"]) for row in answers[11].to_pylist()]
    assert versions == [(1, 3), (2, 2), (3, 2)]
    assert [{name: str(value) for name, value in row.items()} for row in answers[12].to_pylist()] == [
        {"sales_order_id": "1", "first_price": "2.51", "last_price": "3.20", "moved": "0.69"}
    ]


def _plain(value: Any) -> str:
    """The value as text, without the zeros at the end of a number's fraction."""
    text = str(value)
    return text.rstrip("0").rstrip(".") if re.fullmatch(r"-?\d+\.\d+", text) else text
