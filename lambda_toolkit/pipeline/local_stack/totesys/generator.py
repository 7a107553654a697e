"""Generates a source database from a seed, as large as the live one or smaller, with the live data's irregularities."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

import pyarrow as pa

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.totesys import reference
from lambda_toolkit.pipeline.local_stack.totesys.draw import Draw
from lambda_toolkit.pipeline.local_stack.totesys.order import (
    SALE_SHARE,
    Choices,
    Numbers,
    Order,
    make_design,
    make_order,
    moments,
    next_weekday,
    overlapping,
)
from lambda_toolkit.pipeline.local_stack.totesys.reference import Row
from lambda_toolkit.pipeline.local_stack.totesys.schema import SCHEMAS

DEFAULT_ORDERS = 16_000
MOST_ORDERS = 10_000_000
DEFAULT_SEED = 20_221_103
CHUNK_ROWS = 50_000
_FIRST_DAY = date(2022, 11, 3)
_FIRST_ORDERS = 10  # written by the first load, within two milliseconds
_FIRST_DESIGNS = 10
_DESIGNS_PER_DAY = 0.87
_ORDERS_PER_DAY = 30
_PAID_SHARE = 0.61


def generate(orders: int = DEFAULT_ORDERS, seed: int = DEFAULT_SEED) -> dict[str, pa.Table]:
    """Return the eleven source tables by name, in an order that foreign keys allow, with the types of a Parquet dump.

    The same arguments give the same data on every machine. ``orders`` is the total number of sales
    and purchases; each has a transaction and a payment. Rows have the order of a live database's heap: an updated row
    moves to the end. Raises LocalError for a number of orders below 0 or above MOST_ORDERS.
    """
    if not 0 <= orders <= MOST_ORDERS:
        raise LocalError(f"{orders:,} orders cannot be generated: give a number from 0 to {MOST_ORDERS:,}.")
    draw = Draw(seed)
    rows: dict[str, list[Row]] = {
        "address": reference.addresses(draw),
        "counterparty": reference.counterparties(draw),
        "currency": reference.currencies(),
        "department": reference.departments(),
        "design": [make_design(draw, number, reference.FIRST_LOAD) for number in range(1, _FIRST_DESIGNS + 1)],
        "staff": reference.staff(draw),
        "payment_type": reference.payment_types(),
        "payment": [],
    }
    final = {name: _Chunks(SCHEMAS[name]) for name in ("sales_order", "purchase_order", "transaction")}
    for order in _orders(draw, orders, rows["design"]):
        final[order.kind].append(order.order)
        final["transaction"].append(order.transaction)
        rows["payment"].append(order.payment)
    _pay(draw, rows["payment"])
    rows["payment"].sort(key=lambda row: (row["last_updated"], row["payment_id"]))
    return {
        name: final[name].table() if name in final else pa.Table.from_pylist(rows[name], schema=schema)
        for name, schema in SCHEMAS.items()
    }


class _Chunks:
    """The rows of one table, as Arrow for the most part: as dictionaries a million orders need gigabytes."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[Row] = []
        self._tables: list[pa.Table] = [schema.empty_table()]

    def append(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) == CHUNK_ROWS:
            self._convert()

    def table(self) -> pa.Table:
        """All rows, in one chunk."""
        self._convert()
        return pa.concat_tables(self._tables).combine_chunks()

    def _convert(self) -> None:
        self._tables.append(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def _orders(draw: Draw, wanted: int, designs: list[Row]) -> Iterator[Order]:
    """Yield the orders by ascending key, and append a new design to ``designs`` on most days."""
    counts = {"sales_order": 0, "purchase_order": 0}
    for number, moment in enumerate(_order_moments(draw, wanted, designs), start=1):
        if number <= _FIRST_ORDERS:
            kind = "sales_order" if number % 2 else "purchase_order"
        else:
            kind = "sales_order" if draw.chance(SALE_SHARE) else "purchase_order"
        counts[kind] += 1
        numbers = Numbers(counts[kind], transaction=number, payment=number)
        yield make_order(draw, kind, numbers, moment, Choices(designs=len(designs)))


def _order_moments(draw: Draw, wanted: int, designs: list[Row]) -> Iterator[datetime]:
    first = datetime.combine(_FIRST_DAY, time(14, 20, 52, 186_000))
    left = wanted
    for _ in range(min(left, _FIRST_ORDERS)):
        yield first + timedelta(milliseconds=draw.below(3))
    left -= min(left, _FIRST_ORDERS)
    day = _FIRST_DAY
    while left > 0:
        day = next_weekday(day)
        if draw.chance(_DESIGNS_PER_DAY):
            designs.append(make_design(draw, len(designs) + 1, moments(draw, day, 1)[0].replace(hour=8, minute=0)))
        today = min(left, draw.between(1, 2 * _ORDERS_PER_DAY - 1))
        yield from overlapping(draw, moments(draw, day, today))
        left -= today


def _pay(draw: Draw, payments: list[Row]) -> None:
    """Mark payments as paid, those of a day in one batch at 07:55 that updates their last_updated."""
    if not payments:
        return
    end = payments[-1]["created_at"]
    batches: dict[date, datetime] = {}
    for payment in payments:
        if not draw.chance(_PAID_SHARE):
            continue
        due = max(date.fromisoformat(payment["payment_date"]), payment["created_at"].date() + timedelta(days=1))
        if due not in batches:
            batches[due] = datetime.combine(due, time(7, 55, 11, 600_000)) + timedelta(milliseconds=draw.below(300))
        if batches[due] <= end:
            payment["paid"], payment["last_updated"] = True, batches[due]
