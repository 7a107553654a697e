"""Random histories of the source: after each run the warehouse agrees with plain SQL and with a naive model."""

from __future__ import annotations

import random

import pytest
from pg8000.exceptions import DatabaseError

from tests.support.source_model import EXPECTED, Versions, current_rows, expected_rows, fact_versions

ROUNDS = 8


class Business:
    """Random changes, some of them in a transaction that stays open over several runs."""

    def __init__(self, pipeline, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  # a history that can be repeated
        self.session, self.slow = pipeline.admin, pipeline.new_session()
        for session in (self.session, self.slow):
            session.run("SET lock_timeout = '50ms'")
        self.next_key = 100
        self.slow_is_open = False

    def round(self) -> None:
        for _ in range(self.random.randrange(6)):
            self.random.choice([self.update, self.update, self.insert, self.delete, self.reinsert, self.revert])(
                self.session
            )
        if not self.slow_is_open and self.random.random() < 0.5:
            self.slow.run("BEGIN")
            self.slow.run("SELECT pg_current_xact_id()")  # an id older than those of all that is written meanwhile
            self.slow_is_open = True
        if self.slow_is_open:
            self.attempt(self.slow, lambda: self.update(self.slow))
            if self.random.random() < 0.4:
                self.slow.run(self.random.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
                self.slow_is_open = False

    def attempt(self, session, change) -> None:
        """In a savepoint: what waits for the other session's lock, or breaks a constraint, did not happen."""
        session.run("SAVEPOINT here")
        try:
            change()
        except DatabaseError:
            session.run("ROLLBACK TO here")
        session.run("RELEASE here")

    def statement(self, session, sql: str, **values) -> None:
        if session is self.slow:
            session.run(sql, **values)
            return
        session.run("BEGIN")
        try:
            session.run(sql, **values)
        except DatabaseError:
            session.run("ROLLBACK")
        else:
            session.run(self.random.choice(["COMMIT"] * 5 + ["ROLLBACK"]))

    def update(self, session) -> None:
        number = self.random.randrange(1, 7)
        text = self.random.choice(["", "NULL", "NA", "a,b", 'q"q', "O'Keefe", "x\ny", "\\N", "\\."])
        sql = self.random.choice(
            [
                "UPDATE payment SET paid = NOT paid, last_updated = '2024-05-01 07:55:11.885' WHERE payment_id = :n",
                "UPDATE payment SET paid = NOT paid WHERE payment_id = :n",
                "UPDATE payment SET payment_amount = payment_amount + 0.01 WHERE payment_id >= :n",
                "UPDATE sales_order SET agreed_delivery_date = '2025-12-' || (10 + :n) WHERE sales_order_id = :n",
                "UPDATE sales_order SET units_sold = units_sold WHERE sales_order_id = :n",
                "UPDATE purchase_order SET item_code = :t WHERE purchase_order_id = :n",
                "UPDATE department SET location = :t WHERE department_id = :n",
                "UPDATE department SET location = NULL WHERE department_id = :n",
                "UPDATE address SET district = :t WHERE address_id = :n",
                "UPDATE staff SET department_id = 1 + (:n + department_id) % 3 WHERE staff_id = :n",
                "UPDATE counterparty SET legal_address_id = 1 + :n % 3 WHERE counterparty_id = :n",
                "UPDATE counterparty SET counterparty_legal_name = :t WHERE counterparty_id = :n",
                "UPDATE currency SET currency_code = (ARRAY['GBP','CHF','JPY'])[1 + :n % 3] WHERE currency_id = :n",
                "UPDATE design SET file_name = :t WHERE design_id = :n",
            ]
        )
        self.statement(session, sql.replace(":n", f"{number}::int"), **({"t": text} if ":t" in sql else {}))

    def insert(self, session) -> None:
        self.next_key += 1
        self.statement(
            session,
            f"""WITH o AS (INSERT INTO sales_order SELECT {self.next_key}, created_at, last_updated, 1, 1, 1, 5,
                    2.75, 1, '2024-08-01', '2024-08-02', 1 FROM sales_order LIMIT 1 RETURNING 1),
                t AS (INSERT INTO transaction SELECT {self.next_key}, 'SALE', NULL, NULL FROM o RETURNING 1)
            INSERT INTO staff SELECT {self.next_key}, 'New', 'Person', 2, 'n@t.com' FROM t""",
        )

    def delete(self, session) -> None:
        table, key = self.random.choice([("payment", "payment_id"), ("payment", "payment_id"), ("staff", "staff_id")])
        self.statement(session, f"DELETE FROM {table} WHERE {key} % 5 = {self.random.randrange(5)} AND {key} > 4")

    def reinsert(self, session) -> None:
        key = self.random.randrange(5, 10)
        self.statement(
            session,
            f"""INSERT INTO payment SELECT {key}, '2024-01-05', '2024-01-05', {key}, 1, 1234567890.12, 1, 1,
                {key} % 2 = 0, '2024-01-07', 1, 2""",
        )

    def revert(self, session) -> None:
        self.statement(session, "UPDATE sales_order SET agreed_delivery_date = '2024-02-29'")


@pytest.mark.parametrize("seed", [1])
def test_warehouse_agrees_with_source_and_keeps_all_versions(pipeline, seed):
    """After every run the warehouse agrees with the source and keeps every version."""
    business, model = Business(pipeline, seed), Versions()
    for _ in range(ROUNDS):
        _, loaded = pipeline.run()
        assert loaded.missing_batch is None
        model.look(pipeline.reader)
        for table in EXPECTED:
            assert current_rows(pipeline.warehouse, table) == expected_rows(pipeline.reader, table), table
        for table, versions in model.versions.items():
            assert fact_versions(pipeline.warehouse, table) == versions, table
        business.round()
    assert pipeline.rows("SELECT max(batch) > 3 FROM pipeline.ledger") == [[True]]
    assert any(len(versions) > 1 for versions in model.versions["fact_payment"].values())
