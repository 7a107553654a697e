"""A month by hand, of two functions: each quantity on the bill, each saving, and what a plan's changes undo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.pipeline.cost.month import FunctionUse, Line, Month, Network, bill, total
from lambda_toolkit.pipeline.cost.statement import statement
from lambda_toolkit.pipeline.cost.what_if import CENT, before, savings
from lambda_toolkit.pipeline.cost.workload import Declared, DeclaredFunction, Measured, Workload, month
from lambda_toolkit.spec.model import Kind
from lambda_toolkit.spec.prices import Price, PriceList, price_list

LONDON = price_list("eu-west-2")
PRICES = PriceList(
    "here",
    False,
    LONDON.read,
    {
        name: Price(name, Decimal(2), Decimal(1000) if name == "lambda_x86" else Decimal(1), LONDON.read, "page")
        for name in LONDON.prices
    },
)
"""Everything costs two dollars; the first is free."""
X86 = FunctionUse("x", 1024, False, *map(Decimal, (3, 10, 11, 12, 13)), log_bytes=Decimal(14 * 10**9))
ARM = FunctionUse("a", 2048, True, *map(Decimal, (5, 20, 100, 200, 300)), log_bytes=Decimal(10**9))
USED = Month(
    (X86, ARM),
    alarm_metrics=21,
    metrics=22,
    dashboards=23,
    secrets=24,
    kms_keys=25,
    kms_requests=Decimal(26),
    emails=Decimal(27),
    scheduled=Decimal(28),
    stored_gb=Decimal(29),
    log_gb=Decimal(30),
    network=Network(2, Decimal(31), 3),
)


def test_bill_has_a_line_for_everything_used() -> None:
    lines = [(line.service, line.item, line.unit, int(line.quantity), int(line.free)) for line in bill(USED, PRICES)]
    assert lines == [
        ("Lambda", "requests", "lambda_requests", 8, 1),
        ("Lambda", "GB-s, x86_64", "lambda_x86", 10, 1000),
        ("Lambda", "GB-s, arm64", "lambda_arm", 40, 990),
        ("S3", "PUT, POST, LIST", "s3_writes", 111, 1),
        ("S3", "GET, HEAD", "s3_reads", 212, 1),
        ("S3", "storage", "s3_storage", 29, 1),
        ("CloudWatch", "logs ingested", "logs_ingested", 15, 1),
        ("CloudWatch", "logs stored", "logs_stored", 30, 1),
        ("CloudWatch", "metrics", "metrics", 22, 1),
        ("CloudWatch", "alarms", "alarms", 21, 1),
        ("CloudWatch", "dashboards", "dashboards", 23, 1),
        ("Secrets Manager", "secrets", "secrets", 24, 1),
        ("Secrets Manager", "calls", "secret_reads", 313, 1),
        ("SNS", "emails", "emails", 27, 1),
        ("Scheduler", "invocations", "scheduler", 28, 1),
        ("KMS", "keys", "kms_keys", 25, 1),
        ("KMS", "requests", "kms_requests", 26, 1),
        ("VPC", "NAT gateways", "nat_hours", 1460, 1),
        ("VPC", "NAT traffic", "nat_traffic", 31, 1),
        ("VPC", "public addresses", "public_address_hours", 1460, 1),
        ("VPC", "endpoints", "endpoint_hours", 2190, 1),
    ]
    assert (bill(USED, PRICES)[0].amount, bill(USED, PRICES)[0].amount_beyond_free) == (16, 14)
    assert bill(Month(), PRICES) == (), "what is nothing has no line"
    assert Line("s", "i", Decimal(1), "u", Decimal(2), Decimal(3)).amount_beyond_free == 0


EXTRACT = DeclaredFunction(
    *("extract", "shop-extract", 1024, False),
    schedules={"shop-extract-every": "rate(1 hour)"},
    is_triggered=False,
    alarms={"shop-extract-errors": 1, "shop-extract-slow": 2},
    metrics=3,
    retention_days=None,
    secrets_read=2,
)
LOADED = DeclaredFunction(
    *("transform", "shop-transform", 512, True),
    schedules={"shop-transform.sweep": "rate(1 day)"},
    is_triggered=True,
    alarms={},
    metrics=1,
    retention_days=30,
    secrets_read=0,
)
OTHER = replace(EXTRACT, name="other", on_aws="shop-other", schedules={}, alarms={}, secrets_read=0, metrics=0)
SHOP = Declared((EXTRACT, LOADED, OTHER), frozenset({"s/one", "s/two"}), kms_keys=1, emails=3, dashboards=1)
EVERY = "shop-extract-every"
HUNDRED = Workload(batches=Decimal(100))


def test_month_is_made_of_idle_and_busy_runs() -> None:
    """Extract starts 730 times, 100 of them with a batch; transform with each, and once a day besides."""
    found = month(SHOP, HUNDRED)
    extract, transform, other = found.functions
    days = Decimal(730) / 24
    assert (extract.starts, transform.starts, other.starts) == (730, 100 + days, 0)
    assert extract.seconds == 630 * Decimal("0.5") + 100 * Decimal("1.5") + 730 * Decimal("0.05") * Decimal("1.2")
    cold = transform.starts * Decimal("0.05") * Decimal("1.2")
    assert transform.seconds == days * Decimal("0.3") + 100 * Decimal("0.8") + cold
    assert (extract.s3_writes, extract.s3_reads) == (630 + 1200, 1260 + 600)
    assert (extract.secret_reads, transform.secret_reads) == (2 * 730, 0)
    assert extract.log_bytes == 630 * 2500 + 100 * 5000
    assert (found.alarm_metrics, found.metrics, found.dashboards, found.secrets, found.kms_keys) == (3, 4, 1, 2, 1)
    requests = sum(use.s3_reads + use.s3_writes for use in found.functions)
    assert (found.kms_requests, found.emails) == (requests / 100, 12)
    assert found.stored_gb == Decimal(100 * 6 * 165_000) / 10**9
    kept = extract.log_bytes * 6 + transform.log_bytes * 30 / days
    assert found.log_gb == pytest.approx(kept / 10**9)
    assert found.scheduled == days, "the name of a schedule of the Scheduler has a dot"
    assert month(replace(SHOP, kms_keys=0), HUNDRED).kms_requests == 0
    assert month(SHOP, replace(HUNDRED, stored_gb=Decimal(7))).stored_gb == 7
    daily = month(
        replace(SHOP, functions=(EXTRACT, replace(EXTRACT, name="load", schedules={"a": "rate(1 day)"})))
    ).functions
    assert (daily[1].starts, daily[1].s3_writes, daily[1].s3_reads) == (days, days, 9 * days), "a batch with each start"
    most = month(SHOP, Workload(batches=Decimal(10_000))).functions
    assert (most[0].s3_writes, most[1].starts) == (730 * 12, 730 + days), "a batch for each start at most"


def test_measured_function_takes_what_was_measured() -> None:
    took = Measured(5, Decimal("2.5"), Decimal(100), 300)
    extract, transform, _ = month(SHOP, replace(HUNDRED, measured={"extract": took})).functions
    assert (extract.seconds, extract.log_bytes, transform.log_bytes > 100_000) == (730 * Decimal("2.5"), 73_000, True)
    unknown = replace(took, log_bytes=None)
    extract = month(SHOP, replace(HUNDRED, measured={"extract": unknown})).functions[0]
    assert (extract.seconds, extract.log_bytes) == (1825, 630 * 2500 + 100 * 5000)


def saved(declared: Declared, workload: Workload = HUNDRED) -> Mapping[str, Decimal]:
    return {saving.change: saving.amount for saving in savings(declared, workload, PRICES)}


def test_savings_are_named_and_those_without_effect_are_not() -> None:
    found = saved(SHOP)
    gb_seconds = {use.name: use.gb_seconds for use in month(SHOP, HUNDRED).functions}
    assert found["one alarm fewer"] == found["no dashboard"] == 2
    assert found["half the memory, if runs take no longer"] == gb_seconds["extract"] + gb_seconds["transform"]
    assert "no private network" not in found and "no provisioned concurrency" not in found
    assert "arm64 instead of x86_64" not in found, "both cost the same here"
    network = replace(SHOP, network=Network(1, Decimal(1), 0))
    assert saved(network)["no private network"] == 2 * (730 + 1 + 730)
    seldom = replace(EXTRACT, schedules={"a": "rate(3 hours)", "b": "cron(0 8 * * ? *)"})
    thrice = month(replace(SHOP, functions=(seldom,)), HUNDRED).functions[0]
    once = month(replace(SHOP, functions=(replace(EXTRACT, schedules={"b": "cron(0 8 * * ? *)"}),)), HUNDRED)
    assert thrice.starts - once.functions[0].starts == Decimal(730) / 3
    assert found["schedules 3 times as long"] > 2 * 2 * Decimal(730) / 3
    assert [saving.amount for saving in savings(SHOP, HUNDRED, PRICES)] == sorted(found.values(), reverse=True)
    assert "one alarm fewer" not in saved(replace(SHOP, functions=(LOADED,)))
    assert saved(replace(SHOP, functions=(replace(EXTRACT, alarms={"only": 1}),)))["one alarm fewer"] == 2
    cents = replace(PRICES, prices={name: replace(each, amount=CENT) for name, each in PRICES.prices.items()})
    assert ("one alarm fewer", CENT) in {(each.change, each.amount) for each in savings(SHOP, HUNDRED, cents)}


def test_longer_schedules_are_those_with_a_pause() -> None:
    """Three times as long, in the unit that it has; what fires at a time of the day stays."""
    times = {"a": "rate(1 hour)", "b": "rate(5 minutes)", "c": "cron(0 8 * * ? *)", "d": "at(2027-01-31T09:00:00)"}
    changed = {**times, "a": "rate(3 hours)", "b": "rate(15 minutes)"}
    now, later = (replace(SHOP, functions=(replace(OTHER, schedules=each),)) for each in (times, changed))
    expected = total(month(now, HUNDRED), PRICES) - total(month(later, HUNDRED), PRICES)
    assert saved(now)["schedules 3 times as long"] == expected > 0


def test_half_the_memory_is_a_whole_number_and_128_mb_at_least() -> None:
    few = replace(
        SHOP, functions=(replace(EXTRACT, memory=257), replace(LOADED, memory=200), replace(OTHER, memory=128))
    )
    extract, loaded, _ = (use.seconds / 1024 for use in month(few, HUNDRED).functions)
    assert saved(few)["half the memory, if runs take no longer"] == 2 * (129 * extract + 72 * loaded)


@pytest.mark.parametrize(("used", "named"), [(511, True), (512, False), (600, False), (0, True)])
def test_half_the_memory_is_named_where_runs_fit(used, named) -> None:
    took = Measured(1, Decimal(1), None, used)
    found = saved(SHOP, replace(HUNDRED, measured={"extract": took}))
    assert ("half the memory, if runs take no longer" in found) is named
    both = saved(SHOP, replace(HUNDRED, measured={"extract": took, "transform": replace(took, memory_used=1)}))
    assert ("half the memory, if runs take no longer" in both) is named, "all must fit"


def change(kind: Kind, name: str, action: Any, *differences: Difference, details: tuple[str, ...] = ()) -> Change:
    return Change(kind, name, action, details, differences=differences, apply=lambda _: None)


def of(name: str, changed: Change) -> DeclaredFunction:
    return next(each for each in before(SHOP, [changed]).functions if each.name == name)


def test_function_was_as_the_plan_says() -> None:
    known = (Difference("MemorySize", 256, 1024), Difference("architecture", "arm64", "x86_64"))
    assert of("extract", change(Kind.FUNCTION, "shop-extract", "update", *known)) == replace(
        EXTRACT, memory=256, is_arm=True
    )
    assert of("transform", change(Kind.FUNCTION, "shop-transform", "update", Difference("Timeout", 1, 2))) == LOADED
    assert of("transform", change(Kind.FUNCTION, "shop-transform", "update", Difference("architecture", None, 1))) == (
        LOADED
    )
    created = before(SHOP, [change(Kind.FUNCTION, "shop-extract", "create")])
    assert [each.name for each in created.functions] == ["transform", "other"]
    ready = Difference("provisioned_concurrency", 4, 1)
    assert of("extract", change(Kind.PROVISIONED_CONCURRENCY, "shop-extract", "update", ready)).provisioned == 4
    assert before(SHOP, [change(Kind.PROVISIONED_CONCURRENCY, "unknown", "update", ready)]) == SHOP


@pytest.mark.parametrize(
    ("action", "name", "differences", "details", "schedules"),
    [
        ("create", EVERY, (), (), {}),
        (
            "update",
            EVERY,
            (Difference("schedule", "rate(2 hours)", "rate(1 hour)"),),
            (),
            "rate(2 hours)",
        ),
        ("update", EVERY, (Difference("state", "DISABLED", "ENABLED"),), (), {}),
        ("update", EVERY, (Difference("tags.a", "b", "c"),), (), "rate(1 hour)"),
        ("delete", "shop-extract-old", (), ("rate(5 minutes)",), {"shop-extract-old": "rate(5 minutes)"}),
        ("delete", "shop-extract.old", (), ("rate(5 minutes)",), {"shop-extract.old": "rate(5 minutes)"}),
        ("delete", "shop-extract-old", (), (), None),
    ],
)
def test_schedule_was_as_the_plan_says(action, name, differences, details, schedules) -> None:
    kind = Kind.SCHEDULE if "." in name else Kind.EVENT_RULE
    found = of("extract", change(kind, name, action, *differences, details=details)).schedules
    if isinstance(schedules, str):
        assert found == {EVERY: schedules}
    elif action == "delete":
        assert found == {**EXTRACT.schedules, **(schedules or {})}
    else:
        assert found == schedules


def test_what_is_created_was_not_there_and_what_is_deleted_was() -> None:
    assert of("extract", change(Kind.ALARM, "shop-extract-slow", "create")).alarms == {"shop-extract-errors": 1}
    assert of("extract", change(Kind.ALARM, "shop-extract-old", "delete")).alarms == {
        **EXTRACT.alarms,
        "shop-extract-old": 1,
    }
    assert of("extract", change(Kind.ALARM, "shop-extract-slow", "update")) == EXTRACT
    secrets = {
        action: before(SHOP, [change(Kind.SECRET, name, action)]).secrets
        for action, name in (("create", "s/one"), ("delete", "s/old"), ("update", "s/one"))
    }
    assert secrets == {"create": {"s/two"}, "delete": {"s/one", "s/two", "s/old"}, "update": {"s/one", "s/two"}}
    dashboards = [
        before(SHOP, [change(Kind.DASHBOARD, "d", action)]).dashboards for action in ("create", "delete", "update")
    ]
    assert dashboards == [0, 2, 1]
    assert before(replace(SHOP, dashboards=0), [change(Kind.DASHBOARD, "d", "create")]).dashboards == 0
    assert before(SHOP, [change(Kind.ROLE, "shop-extract", "create")]) == SHOP


def test_change_belongs_to_the_function_with_the_longest_name() -> None:
    longer = replace(OTHER, name="second", on_aws="shop-extract-more")
    two = replace(SHOP, functions=(EXTRACT, longer))
    first, second = before(two, [change(Kind.ALARM, "shop-extract-more-errors", "delete")]).functions
    assert (first.alarms, second.alarms) == (EXTRACT.alarms, {"shop-extract-more-errors": 1})


def test_statement_adds_up_its_lines() -> None:
    found = statement(
        SHOP, replace(HUNDRED, measured={"extract": Measured(5, Decimal("2.5"), None, 300)}), PRICES, USED
    )
    lines = {(line["service"], line["item"]): line for line in found["lines"]}
    alarms = {"service": "CloudWatch", "item": "alarms", "quantity": "3.0000", "unit": "alarms", "price": "2"}
    assert lines["CloudWatch", "alarms"] == {
        **alarms,
        "free": "1.0000",
        "amount": "6.0000",
        "amount_beyond_free": "4.0000",
    }
    for key, part in (("total", "amount"), ("total_beyond_free", "amount_beyond_free")):
        assert float(found[key]) == pytest.approx(sum(float(line[part]) for line in found["lines"]), abs=0.01)
    assert float(found["so_far"]) == 2 * sum(float(line.quantity) for line in bill(USED, PRICES))
    services = sorted({line["service"] for line in found["lines"]}, key=lambda name: -amount_of(found, name))
    assert list(found["dominates"]) == services[:3]
    first = services[0]
    assert found["dominates"][first] == f"{amount_of(found, first) / float(found['total']):.0%}"
    assert found["measured"] == {"extract": {"runs": 5, "mean_seconds": 2.5, "memory_used_mb": 300}}
    assert found["assumptions"][:2] == [
        "durations of transform, other: assumed, with INIT in 5% of the starts",
        "batches: 100 a month, measured",
    ]
    storage, free, rest = found["assumptions"][2:]
    assert ("6 months" in storage, "free" in free, "databases" in rest) == (True, True, True)
    known = statement(
        SHOP,
        Workload(
            measured=dict.fromkeys(("extract", "transform", "other"), Measured(1, Decimal(1), None, 1)),
            stored_gb=Decimal(1),
        ),
        PRICES,
        None,
    )
    assert known["assumptions"][0] == "batches: 2,920 a month, assumed" and len(known["assumptions"]) == 3
    assert found["prices"] == {"estimated": False, "read": LONDON.read.isoformat(), "pages": ["page"]}
    assert (found["format"], found["region"], found["currency"]) == (1, "here", "USD")
    assert statement(replace(SHOP, functions=()), HUNDRED, PRICES, None)["so_far"] is None
    assert statement(Declared((), frozenset()), HUNDRED, PRICES, None)["dominates"] == {}


def amount_of(found: dict[str, Any], service: str) -> float:
    return sum(float(line["amount"]) for line in found["lines"] if line["service"] == service)
