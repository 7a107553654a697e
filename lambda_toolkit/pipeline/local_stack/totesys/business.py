"""What happens in the source while the shop is open, each event in a transaction of its own.

Every kind of change that the live database showed is here, with its habit: paying moves ``last_updated``, and a
corrected order, design or address does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pg8000.native

from lambda_toolkit.pipeline.local_stack.totesys.draw import Draw
from lambda_toolkit.pipeline.local_stack.totesys.order import (
    DESIGN_PLACES,
    SALE_SHARE,
    Choices,
    Numbers,
    Order,
    make_design,
    make_order,
)
from lambda_toolkit.pipeline.local_stack.totesys.reference import DISTRICTS
from lambda_toolkit.pipeline.local_stack.totesys.statement import compose

TOWNS = ("Manchester", "Leeds", "Sheffield", "Bradford", "York")
_DELETIONS = (  # the order's own row last: the others name it
    "DELETE FROM payment WHERE transaction_id IN (SELECT transaction_id FROM transaction WHERE {order_id} = :key)",
    "DELETE FROM transaction WHERE {order_id} = :key",
    "DELETE FROM {orders} WHERE {order_id} = :key",
)
MOST_PAID_TOGETHER = 37  # what one batch of the live database came to


@dataclass(frozen=True)
class Business:
    """The source, open for business: each method is one event, committed when it returns."""

    connection: pg8000.native.Connection  # of the source's owner
    draw: Draw

    def order(self, moment: datetime) -> str:
        """A new order with its transaction and payment. Returns the table of the order."""
        kind = "sales_order" if self.draw.chance(SALE_SHARE) else "purchase_order"
        numbers = Numbers(self._next(kind), self._next("transaction"), self._next("payment"))
        choices = Choices(
            designs=self._count("design"),
            staff=self._count("staff"),
            counterparties=self._count("counterparty"),
            currencies=self._count("currency"),
            addresses=self._count("address"),
        )
        made: Order = make_order(self.draw, kind, numbers, moment, choices)

        def write() -> None:
            self._insert(made.kind, made.order)
            self._insert("transaction", made.transaction)
            self._insert("payment", made.payment)

        self._in_one_transaction(write)
        return kind

    def design(self, moment: datetime) -> None:
        """A new design."""
        made = make_design(self.draw, self._next("design"), moment)
        self._in_one_transaction(lambda: self._insert("design", made))

    def pay(self, moment: datetime, most: int = MOST_PAID_TOGETHER) -> int:
        """Mark payments as paid that are due, the last due first, all with one ``last_updated``. Returns how many."""
        return self._update(
            "UPDATE payment SET paid = true, last_updated = :moment WHERE payment_id IN "
            "(SELECT payment_id FROM payment WHERE NOT paid AND payment_date <= :day "
            "ORDER BY payment_date DESC, payment_id LIMIT :most)",
            moment=moment,
            day=moment.date().isoformat(),
            most=most,
        )

    def correct_sale(self) -> int:
        """Another member of staff and delivery date on one sale; ``last_updated`` stays. Returns the rows changed."""
        return self._update(
            "UPDATE sales_order SET staff_id = (SELECT staff_id FROM staff WHERE staff_id <> sales_order.staff_id "
            "ORDER BY staff_id OFFSET :other LIMIT 1), "
            "agreed_delivery_date = to_char(agreed_delivery_date::date + 1, 'YYYY-MM-DD') "
            "WHERE sales_order_id = :key",
            other=self.draw.below(max(1, self._count("staff") - 1)),
            key=self._any("sales_order"),
        )

    def correct_purchase(self) -> int:
        """Another item code and place of delivery on one purchase; ``last_updated`` stays. Returns the rows changed."""
        return self._update(
            "UPDATE purchase_order SET item_code = reverse(item_code) || '0', agreed_delivery_location_id = :place "
            "WHERE purchase_order_id = :key",
            place=self.draw.between(1, max(1, self._count("address"))),
            key=self._any("purchase_order"),
        )

    def move_design(self) -> int:
        """A design's file is elsewhere; ``last_updated`` stays. Returns the rows changed."""
        return self._update(
            "UPDATE design SET file_location = :place || '/' || design_id WHERE design_id = :key",
            place=self.draw.one_of(DESIGN_PLACES),
            key=self._any("design"),
        )

    def move_department(self, moment: datetime) -> int:
        """A department moves to another town: its staff do too. Returns the rows changed."""
        return self._update(
            "UPDATE department SET location = (ARRAY(SELECT town FROM unnest(string_to_array(:towns, ',')) AS town "
            "WHERE town IS DISTINCT FROM location))[1 + :other], last_updated = :moment WHERE department_id = :key",
            towns=",".join(TOWNS),
            other=self.draw.below(len(TOWNS) - 1),
            moment=moment,
            key=self._any("department"),
        )

    def correct_address(self) -> int:
        """An address has another district; ``last_updated`` stays. Returns the rows changed."""
        return self._update(
            "UPDATE address SET district = CASE WHEN district IS NULL THEN :district END WHERE address_id = :key",
            district=self.draw.one_of(DISTRICTS),
            key=self._any("address"),
        )

    def delete_order(self, kind: str) -> int:
        """An order vanishes, with its payment and its transaction. Returns the orders deleted: one at most."""
        key = self._any(kind)
        names = {"orders": kind, "order_id": f"{kind}_id"}
        deleted = 0

        def write() -> None:
            nonlocal deleted
            for template in _DELETIONS:
                self.connection.run(compose(template, **names), key=key)
            deleted = int(self.connection.row_count)

        self._in_one_transaction(write)
        return deleted

    def last_moment(self) -> datetime | None:
        """When the last order came; None before the first."""
        rows = self.connection.run(
            "SELECT max(created_at) FROM (SELECT created_at FROM sales_order UNION ALL "
            "SELECT created_at FROM purchase_order) AS orders"
        )
        moment: datetime | None = rows[0][0]
        return moment

    def _in_one_transaction(self, write: Callable[[], None]) -> None:
        self.connection.run("BEGIN")
        try:
            write()
        except BaseException:
            self.connection.run("ROLLBACK")
            raise
        self.connection.run("COMMIT")

    def _update(self, statement: str, **values: Any) -> int:
        self.connection.run(statement, **values)
        return int(self.connection.row_count)

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        template = "INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, CAST(:row AS json))"
        self.connection.run(compose(template, table=table), row=json.dumps(row, default=str))

    def _next(self, table: str) -> int:
        return self._number(compose("SELECT coalesce(max({key}), 0) + 1 FROM {table}", table=table, key=f"{table}_id"))

    def _count(self, table: str) -> int:
        return self._number(compose("SELECT count(*) FROM {table}", table=table))

    def _any(self, table: str) -> int | None:
        """The key of some row; None when there is none."""
        statement = compose(
            "SELECT {key} FROM {table} ORDER BY {key} OFFSET :skipped LIMIT 1", table=table, key=f"{table}_id"
        )
        rows = self.connection.run(statement, skipped=self.draw.below(max(1, self._count(table))))
        return int(rows[0][0]) if rows else None

    def _number(self, statement: str) -> int:
        return int(self.connection.run(statement)[0][0])


def round_to_milliseconds(moment: datetime) -> datetime:
    """What a timestamp(3) holds of a moment."""
    return moment - timedelta(microseconds=moment.microsecond % 1000)
