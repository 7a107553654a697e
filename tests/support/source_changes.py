"""A change of the source that touches every kind of file that a batch can hold, different each time it is made."""

from __future__ import annotations

import itertools

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection

_FIRST = 1000
_NUMBERS = itertools.count(_FIRST)


def add_what_goes_first(admin: Connection) -> None:
    """The purchase that the first change deletes; each later one deletes what the change before it added."""
    admin.run(_purchase(_FIRST - 1))


def change_everything(admin: Connection) -> None:
    """New and changed facts, a moved department (whose staff come as context), a deleted and a new key."""
    number = next(_NUMBERS)
    for statement in (
        f"UPDATE sales_order SET units_sold = {number} WHERE sales_order_id IN (1, 2)",
        f"UPDATE department SET location = 'Place {number}' WHERE department_id = 1",
        f"UPDATE payment SET payment_amount = {number}.5 WHERE payment_id = 1",
        _purchase(number),
        f"DELETE FROM purchase_order WHERE purchase_order_id = {number - 1}",
    ):
        admin.run(statement)


def _purchase(number: int) -> str:
    return (
        f"INSERT INTO purchase_order SELECT {number}, created_at, last_updated, 1, 1, 'x', {number}, 9.99, 2,"
        " '2024-01-09', '2024-01-10', 2 FROM purchase_order LIMIT 1"
    )
