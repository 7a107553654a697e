"""Generates orders as totesys writes them: an order, its transaction and its payment, with one timestamp."""

from __future__ import annotations

import string
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from lambda_toolkit.pipeline.local_stack.totesys.draw import Draw
from lambda_toolkit.pipeline.local_stack.totesys.reference import CITIES, COMPANIES, CURRENCIES, STAFF, Row

DESIGN_NAMES = (
    "Steel",
    "Granite",
    "Concrete",
    "Soft",
    "Frozen",
    "Bronze",
    "Plastic",
    "Cotton",
    "Metal",
    "Fresh",
    "Wooden",
    "Rubber",
)
DESIGN_PLACES = ("/lib", "/etc/periodic", "/System", "/usr/local/src", "/Network", "/opt/sbin", "/net", "/var/spool")
_ITEM_CODE = string.ascii_uppercase + string.digits
_FILE_MARK = string.ascii_lowercase + string.digits
_CENT = Decimal("0.01")
_OVERLAPPING = 0.002  # share of all pairs of consecutive orders
SALE_SHARE = 0.7064  # of all orders
OPENS, CLOSES = 8, 19  # hours: orders are created from 08:00 to 18:59


@dataclass(frozen=True)
class Order:
    """The rows of one order. ``kind`` is the table of the first: sales_order or purchase_order."""

    kind: str
    order: Row
    transaction: Row
    payment: Row


@dataclass(frozen=True)
class Numbers:
    """The keys of an order's rows."""

    order: int
    transaction: int
    payment: int


@dataclass(frozen=True)
class Choices:
    """The keys that an order may reference: each field is a highest key."""

    designs: int  # keys are 1 to this number; likewise below
    staff: int = len(STAFF)
    counterparties: int = len(COMPANIES)
    currencies: int = len(CURRENCIES)
    addresses: int = len(CITIES)


def make_order(draw: Draw, kind: str, numbers: Numbers, moment: datetime, choices: Choices) -> Order:
    """Return a new, unpaid order of this kind, created at ``moment``."""
    stamps = {"created_at": moment, "last_updated": moment}
    delivery, payment_date = (_later(moment.date(), draw.between(0, days)) for days in (7, 6))
    agreed: Row = {
        "currency_id": draw.between(1, choices.currencies),
        "agreed_delivery_date": delivery,
        "agreed_payment_date": payment_date,
        "agreed_delivery_location_id": draw.between(1, choices.addresses),
    }
    parties: Row = {
        "staff_id": draw.between(1, choices.staff),
        "counterparty_id": draw.between(1, choices.counterparties),
    }
    if kind == "sales_order":
        units, price = draw.between(1_000, 100_000), Decimal(draw.between(200, 400)) * _CENT
        what: Row = {"design_id": draw.between(1, choices.designs), "units_sold": units, "unit_price": price}
    else:
        units, price = draw.between(1, 1_000), Decimal(draw.between(300, 100_000)) * _CENT
        # one code in the live data is all digits, and must stay a string
        code = "9002744" if numbers.order == 3 else draw.text(_ITEM_CODE, 7)
        what = {"item_code": code, "item_quantity": units, "item_unit_price": price}
    is_sale = kind == "sales_order"
    return Order(
        kind=kind,
        order={f"{kind}_id": numbers.order, **stamps, **what, **parties, **agreed},
        transaction={
            "transaction_id": numbers.transaction,
            "transaction_type": "SALE" if is_sale else "PURCHASE",
            "sales_order_id": numbers.order if is_sale else None,
            "purchase_order_id": None if is_sale else numbers.order,
            **stamps,
        },
        payment={
            "payment_id": numbers.payment,
            **stamps,
            "transaction_id": numbers.transaction,
            "counterparty_id": parties["counterparty_id"],
            "payment_amount": (units * price).quantize(_CENT, ROUND_HALF_UP),
            "currency_id": agreed["currency_id"],
            "payment_type_id": 1 if is_sale else 3,
            "paid": False,
            "payment_date": payment_date,
            "company_ac_number": draw.between(10_000_000, 99_999_999),
            "counterparty_ac_number": draw.between(10_000_000, 99_999_999),
        },
    )


def make_design(draw: Draw, number: int, moment: datetime) -> Row:
    """Return a new design. Its file name contains the earlier date on which it was drawn."""
    name = draw.one_of(DESIGN_NAMES)
    drawn = moment.date() - timedelta(days=draw.between(30, 700))
    return {
        "design_id": number,
        "created_at": moment,
        "design_name": name,
        "file_location": draw.one_of(DESIGN_PLACES),
        "file_name": f"{name.lower()}-{drawn:%Y%m%d}-{draw.text(_FILE_MARK, 4)}.json",
        "last_updated": moment,
    }


def moments(draw: Draw, day: date, count: int) -> list[datetime]:
    """Return ascending timestamps of a business day, in milliseconds; some are exact seconds."""
    opening = datetime(day.year, day.month, day.day, OPENS)
    drawn = sorted(draw.below((CLOSES - OPENS) * 3600 * 1000) for _ in range(count))
    return [opening + timedelta(milliseconds=since - since % 1000 if draw.chance(0.002) else since) for since in drawn]


def overlapping(draw: Draw, ordered: list[datetime]) -> list[datetime]:
    """Return the timestamps with a few neighbours swapped: of overlapping orders the smaller key is the later one."""
    exchanged = list(ordered)
    for later in range(1, len(exchanged)):
        if draw.chance(_OVERLAPPING):
            exchanged[later - 1], exchanged[later] = exchanged[later], exchanged[later - 1]
    return exchanged


def next_weekday(day: date) -> date:
    """Return the first day after ``day`` that is not a Saturday or Sunday."""
    following = day + timedelta(days=1)
    while following.isoweekday() > 5:
        following += timedelta(days=1)
    return following


def _later(day: date, days: int) -> str:
    return (day + timedelta(days=days)).isoformat()
