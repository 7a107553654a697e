"""A business day happens in the source as the live database showed it, and always the same one."""

from collections.abc import Iterator
from datetime import date, datetime

import pytest

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.postgres_server import Server
from lambda_toolkit.pipeline.local_stack.totesys import seed
from lambda_toolkit.pipeline.local_stack.totesys.business_day import Summary, business_day, simulate
from tests.support.databases import CONFIG, made, run

SCHEMA = (CONFIG / "totesys.sql").read_text(encoding="utf-8")
EVERYTHING = """
SELECT md5(string_agg(line, '|' ORDER BY line)) FROM (
    SELECT sales_order::text AS line FROM sales_order UNION ALL SELECT purchase_order::text FROM purchase_order
    UNION ALL SELECT transaction::text FROM transaction UNION ALL SELECT payment::text FROM payment
    UNION ALL SELECT department::text FROM department UNION ALL SELECT address::text FROM address
    UNION ALL SELECT design::text FROM design) AS lines
"""


@pytest.fixture
def source(postgres_server: Server) -> Iterator[Database]:
    with made(postgres_server, "day_source", SCHEMA) as database:
        seed.generated(database, orders=200)
        yield database


def test_every_kind_of_change_happens_and_is_counted(source: Database) -> None:
    orders_before = count(source, "sales_order") + count(source, "purchase_order")
    paid_before = count(source, "payment WHERE paid")
    last = run(source, "SELECT max(created_at)::date FROM transaction")[0][0]

    summary = business_day(source, orders=12)

    assert summary.sales + summary.purchases == 12
    assert summary.paid == 37
    assert summary == Summary(
        summary.sales, summary.purchases, designs=1, paid=37, corrected_sales=4, corrected_purchases=3, moved_designs=1,
        moved_departments=1, corrected_addresses=1, deleted_sales=1, deleted_purchases=1,
    )  # fmt: skip
    assert count(source, "sales_order") + count(source, "purchase_order") == orders_before + 12 - 2
    assert count(source, "transaction") == count(source, "payment") == orders_before + 12 - 2
    assert count(source, "payment WHERE paid") in range(paid_before + 37 - 2, paid_before + 37 + 1)
    day = run(source, "SELECT max(created_at)::date FROM transaction")[0][0]
    assert isinstance(day, date)
    assert day > last and day.isoweekday() <= 5  # type: ignore[operator]
    batch = run(source, f"SELECT count(*) FROM payment WHERE paid AND last_updated::date = '{day}'")
    assert batch[0][0] in range(35, 38)


def test_corrections_leave_last_updated_alone(source: Database) -> None:
    before = changes(source)

    business_day(source, orders=0)

    after = changes(source)
    silent = [
        key
        for key, (row, stamp) in after.items()
        if key in before and row != before[key][0] and stamp == before[key][1]
    ]
    assert {table for table, _ in silent} == {"sales_order", "purchase_order", "design", "address"}


def test_the_same_data_and_seed_give_the_same_day(postgres_server: Server) -> None:
    found = []
    for number in (1, 2):
        with made(postgres_server, f"same_{number}", SCHEMA) as database:
            seed.generated(database, orders=50)
            business_day(database, seed=5)
            found.append(run(database, EVERYTHING))

    assert found[0] == found[1]


def test_another_seed_is_another_day_and_a_named_day_is_that_day(source: Database) -> None:
    business_day(source, orders=3, day=date(2030, 5, 6), seed=9)

    assert run(source, "SELECT DISTINCT created_at::date FROM transaction WHERE created_at > '2030-01-01'") == [
        [date(2030, 5, 6)]
    ]


def test_a_source_without_orders_has_no_next_day(postgres_server: Server) -> None:
    with made(postgres_server, "day_empty", SCHEMA) as database, pytest.raises(LocalError, match="no orders"):
        business_day(database)


def test_business_goes_on_at_its_rate(source: Database) -> None:
    waited: list[float] = []
    moment = datetime(2031, 1, 1, 12, 0, 0, 123_456)
    heard: list[str] = []

    counts = simulate(
        source, rate=30, minutes=2, seed=3, on_event=heard.append, now=lambda: moment, clock=lambda: 0.0,
        wait=waited.append,
    )  # fmt: skip

    assert sum(counts.values()) == len(heard) == 60
    assert waited == [pytest.approx(2.0 * number) for number in range(1, 61)]
    assert counts["sale"] > counts["paid"] > 0
    assert len(counts) > 6
    assert count(source, "transaction WHERE created_at = '2031-01-01 12:00:00.123'") > 20


def test_a_rate_of_nothing_is_refused(source: Database) -> None:
    with pytest.raises(LocalError, match="above 0"):
        simulate(source, rate=0, minutes=1)


def count(source: Database, what: str) -> int:
    return int(str(run(source, f"SELECT count(*) FROM {what}")[0][0]))


def changes(source: Database) -> dict[tuple[str, object], tuple[object, object]]:
    """Every row that may change silently, with its last_updated."""
    return {
        (table, key): (row, stamp)
        for table in ("sales_order", "purchase_order", "design", "address", "department", "payment")
        for key, row, stamp in run(source, f"SELECT {table}_id, {table}::text, last_updated FROM {table}")
    }
