"""One simulated business day in the source, and business that goes on for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from time import monotonic, sleep

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.totesys.business import MOST_PAID_TOGETHER, Business, round_to_milliseconds
from lambda_toolkit.pipeline.local_stack.totesys.draw import Draw
from lambda_toolkit.pipeline.local_stack.totesys.order import moments, next_weekday, overlapping

DEFAULT_ORDERS = 30
_CORRECTED_SALES = 4
_CORRECTED_PURCHASES = 3


@dataclass(frozen=True)
class Summary:
    """How many rows (of orders: orders) were inserted, changed and deleted, by kind."""

    sales: int = 0
    purchases: int = 0
    designs: int = 0
    paid: int = 0
    corrected_sales: int = 0  # the corrected ones leave last_updated as it is
    corrected_purchases: int = 0
    moved_designs: int = 0
    moved_departments: int = 0
    corrected_addresses: int = 0
    deleted_sales: int = 0
    deleted_purchases: int = 0

    def as_dict(self) -> dict[str, int]:
        """Its fields."""
        return asdict(self)


def business_day(source: Database, *, orders: int = DEFAULT_ORDERS, seed: int = 1, day: date | None = None) -> Summary:
    """Let one day happen: ``day``, or the first weekday after the last order. Returns what happened.

    ``source`` is its owner's account. The same data and arguments give the same day. It holds new orders, a batch of
    payments that became paid at 07:55, corrections that ``last_updated`` does not show, a department that moved, an
    address that changed, and an order of each kind that was deleted with its payment and transaction.
    Raises LocalError for a source without orders and no ``day``.
    """
    connection = source.connect()
    try:
        business = Business(connection, Draw(seed))
        if day is None:
            last = business.last_moment()
            if last is None:
                raise LocalError("The source has no orders, so no day follows the last one. Seed it, or name a day.")
            day = next_weekday(last.date())
        return _let_happen(business, day, orders)
    finally:
        connection.close()


def _let_happen(business: Business, day: date, orders: int) -> Summary:
    draw = business.draw
    morning = datetime(day.year, day.month, day.day, 7, 55, 11) + timedelta(milliseconds=600 + draw.below(300))
    paid = business.pay(morning, MOST_PAID_TOGETHER)
    business.design(morning + timedelta(minutes=20))
    kinds = [business.order(moment) for moment in overlapping(draw, moments(draw, day, orders))]
    return Summary(
        sales=kinds.count("sales_order"),
        purchases=kinds.count("purchase_order"),
        designs=1,
        paid=paid,
        corrected_sales=sum(business.correct_sale() for _ in range(_CORRECTED_SALES)),
        corrected_purchases=sum(business.correct_purchase() for _ in range(_CORRECTED_PURCHASES)),
        moved_designs=business.move_design(),
        moved_departments=business.move_department(morning + timedelta(hours=5)),
        corrected_addresses=business.correct_address(),
        deleted_sales=business.delete_order("sales_order"),
        deleted_purchases=business.delete_order("purchase_order"),
    )


def simulate(
    source: Database,
    *,
    rate: float,
    minutes: float,
    seed: int | None = None,
    on_event: Callable[[str], None] = lambda event: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(tzinfo=None),
    clock: Callable[[], float] = monotonic,
    wait: Callable[[float], object] = sleep,
) -> dict[str, int]:
    """Make business happen in the source: ``rate`` events a minute for so many minutes. Returns how many of each kind.

    ``source`` is its owner's account; ``on_event`` hears the name of each event. ``seed`` makes the choice of events
    repeatable; ``now`` (UTC, without a zone, as totesys keeps it), ``clock`` and ``wait`` (seconds) can be replaced.
    Raises LocalError for a rate that is not above zero.
    """
    if rate <= 0:
        raise LocalError(f"A rate of {rate:g} events a minute never does anything: give one above 0.")
    begun = clock()
    draw = Draw(int(now().timestamp() * 1000) if seed is None else seed)
    counts: dict[str, int] = {}
    connection = source.connect()
    try:
        business = Business(connection, draw)
        for number in range(round(rate * minutes)):
            wait(max(0.0, begun + (number + 1) * 60 / rate - clock()))
            event = _one_event(business, round_to_milliseconds(now()))
            counts[event] = counts.get(event, 0) + 1
            on_event(event)
    finally:
        connection.close()
    return counts


def _one_event(business: Business, moment: datetime) -> str:
    """Do one thing, most often an order. Returns its name."""
    chosen = business.draw.below(100)
    if chosen < 70:
        return "sale" if business.order(moment) == "sales_order" else "purchase"
    if chosen < 80:
        business.pay(moment, most=business.draw.between(1, 5))
        return "paid"
    others: tuple[tuple[str, Callable[[], object]], ...] = (
        ("corrected sale", business.correct_sale),
        ("corrected purchase", business.correct_purchase),
        ("moved design", business.move_design),
        ("moved department", lambda: business.move_department(moment)),
        ("corrected address", business.correct_address),
        ("deleted sale", lambda: business.delete_order("sales_order")),
        ("deleted purchase", lambda: business.delete_order("purchase_order")),
        ("new design", lambda: business.design(moment)),
    )
    name, happen = business.draw.one_of(others)
    happen()
    return name
