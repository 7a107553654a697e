"""The bill of a month: compared with one made by hand, and properties that hold for any use."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_script import Alarm
from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.pipeline.client.observing.usage import reports, so_far
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import ReadSecret
from lambda_toolkit.pipeline.cost.month import FunctionUse, Month, Network, bill, total
from lambda_toolkit.pipeline.cost.schedule import interval, starts_a_month
from lambda_toolkit.pipeline.cost.statement import dollars, statement
from lambda_toolkit.pipeline.cost.what_if import added_cost, before, savings, sentence
from lambda_toolkit.pipeline.cost.workload import ASSUMED, Measured, Workload, declared, month
from lambda_toolkit.pipeline.lambdas.shared.metrics import METRICS
from lambda_toolkit.spec.model import Kind
from lambda_toolkit.spec.prices import price_list
from tests.support.repository import CONFIG

LONDON, VIRGINIA = price_list("eu-west-2"), price_list("us-east-1")
TENTH = Decimal("0.1")
amounts = st.decimals(0, 10**7, places=3)
counts = st.integers(0, 1000)
uses = st.builds(
    FunctionUse,
    name=st.just("f"),
    memory=st.integers(128, 10_240),
    is_arm=st.booleans(),
    starts=amounts,
    seconds=amounts,
    s3_writes=amounts,
    s3_reads=amounts,
    secret_reads=amounts,
    log_bytes=amounts,
    provisioned=st.integers(0, 3),
)
months = st.builds(
    Month,
    functions=st.lists(uses, max_size=4).map(tuple),
    alarm_metrics=counts,
    metrics=counts,
    dashboards=counts,
    secrets=counts,
    emails=amounts,
    stored_gb=amounts,
    log_gb=amounts,
    network=st.builds(Network, counts, amounts, counts),
)


@pytest.fixture(scope="module")
def totesys():
    return declared(load(CONFIG / "pipeline.toml"))


def by_hand() -> dict[str, Decimal]:
    """The amounts of the itemised month in docs/cost.md, by item."""
    text = (CONFIG.parent / "docs/cost.md").read_text(encoding="utf-8")
    table = text.partition("## A month by hand")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \|.*\| \$([\d.]+) \|$", table, re.MULTILINE)
    return {item: Decimal(amount) for item, amount in rows}


def test_cost_of_totesys_is_within_a_tenth_of_a_month_by_hand(totesys) -> None:
    hand = by_hand()
    assert sum(amount for item, amount in hand.items() if item != "**together**") == hand["**together**"]
    assert abs(total(month(totesys), LONDON) - hand["**together**"]) <= TENTH * hand["**together**"]


def test_quantities_of_totesys_are_those_by_hand(totesys) -> None:
    """The numbers of docs/cost.md: of each function its starts, its seconds with INIT, writes and reads, its log."""
    found = {
        use.name: (use.starts, use.seconds, use.s3_writes, use.s3_reads, use.log_bytes)
        for use in month(totesys).functions
    }
    init = [Decimal("1.2") * starts / 20 for starts in (8760, 4380 + 2920, 8760)]
    assert found["extract"] == (8760, 7300 + init[0], 40_880, 29_200, 5840 * 2500 + 2920 * 5000)
    assert found["transform"] == (7300, 3650 + init[1], 54_020, 23_360, 4380 * 1200 + 2920 * 3500)
    assert found["load"] == (8760, 5840 + init[2], 8760, 32_120, 5840 * 1200 + 2920 * 5000)
    for other in ("notifier", "freshness"):
        assert found[other] == (8760, 2628 + Decimal("0.5") * 438, 8760, 8760, 8760 * 1200)
    used = month(totesys)
    assert (used.metrics, used.alarm_metrics, used.secrets, used.emails) == (13, 12, 2, 4)
    assert sum(use.secret_reads for use in used.functions) == 35_040, "both at each start of freshness"
    assert used.stored_gb == 17_520 * 165_000 / Decimal(10**9)


def test_declaration_counts_what_is_paid_for() -> None:
    """Keys once each; the secrets that are written, but not that of a webhook, nor others'; a metric by its name."""
    pipeline = load(CONFIG / "pipeline.toml")
    buckets = {name: replace(each, kms_key="arn:one") for name, each in pipeline.buckets.items()}
    extract, notifier = pipeline.functions["extract"], pipeline.functions["notifier"]
    own = Alarm("full", "DiskUsed", namespace="{name}"), Alarm("empty", "DiskUsed", namespace="{name}")
    names = ("errors", "full", "empty")
    changed = replace(
        pipeline,
        buckets={**buckets, "failed": replace(pipeline.buckets["failed"], kms_key=None)},
        topic=replace(pipeline.topic, kms_key="arn:two", emails=None),
        secrets={**pipeline.secrets, "source": replace(pipeline.secrets["source"], read=ReadSecret("arn:aws:s"))},
        alarms={**pipeline.alarms, **{each.name: each for each in own}},
        functions={
            "extract": replace(
                extract, alarms=names, spec=replace(extract.spec, architecture="arm64", provisioned_concurrency=3)
            ),
            "notifier": replace(notifier, secrets=("slack",), alarms=None),
        },
    )
    found = declared(changed)
    assert (found.kms_keys, found.emails, found.dashboards, found.secrets) == (2, 0, 0, {"totes/dev/warehouse"})
    one, other = found.functions
    shown = (one.is_arm, one.is_triggered, one.secrets_read, one.retention_days, one.memory)
    assert shown == (True, False, 1, 30, 1024)
    assert one.alarms == {f"totes-dev-extract-{name}": 1 for name in names}
    published = {metric.name for metric in METRICS if "extract" in metric.functions}
    assert one.metrics == len(published | {"DiskUsed"}) == len(published) + 1
    assert (other.is_arm, other.secrets_read, other.alarms, other.metrics) == (False, 0, {}, 0)
    assert (one.provisioned, other.provisioned, declared(pipeline).functions[1].is_triggered) == (3, 0, True)


def test_readme_has_the_amounts_of_the_month_by_hand() -> None:
    readme = (CONFIG.parent / "README.md").read_text(encoding="utf-8").partition("### What it costs")[2]
    text = (CONFIG.parent / "docs/cost.md").read_text(encoding="utf-8")
    low, high = re.findall(r"^\| this, in eu-west-2 \| \$([\d.]+) to \$([\d.]+) \|$", text, re.MULTILINE)[0]
    assert Decimal(high) == by_hand()["**together**"]
    assert readme.index(f"${low}") < readme.index(f"${high}")


@given(months, st.data())
def test_more_of_anything_never_costs_less(used, data) -> None:
    name = data.draw(st.sampled_from([field for field in vars(used) if field not in ("functions", "network")]))
    more = replace(used, **{name: getattr(used, name) + 1})
    assert total(more, LONDON) > total(used, LONDON)
    if used.functions:
        first = used.functions[0]
        # not `provisioned`: environments that are always busy cost less than what they replace
        fixed = ("name", "is_arm", "provisioned")
        field = data.draw(st.sampled_from([each for each in vars(first) if each not in fixed]))
        grown = replace(first, **{field: getattr(first, field) + 1})
        assert total(replace(used, functions=(grown, *used.functions[1:])), LONDON) >= total(used, LONDON)


@given(months)
def test_free_quantities_and_arm_never_cost_more(used) -> None:
    lines = bill(used, LONDON)
    assert all(0 <= line.amount_beyond_free <= line.amount for line in lines)
    arm = replace(used, functions=tuple(replace(each, is_arm=True) for each in used.functions))
    assert total(arm, LONDON) <= total(used, LONDON)


@given(st.integers(1, 400_000), st.integers(1, 400_000))
def test_both_architectures_share_what_is_free(x86, arm) -> None:
    two = tuple(FunctionUse("f", 1024, is_arm, Decimal(0), Decimal(n)) for is_arm, n in ((False, x86), (True, arm)))
    paid = sum(line.amount_beyond_free / line.price for line in bill(Month(two), LONDON))
    assert round(paid, 6) == max(x86 + arm - 400_000, 0)


def test_prices_of_other_regions_are_estimates() -> None:
    paris, unknown = price_list("eu-west-3"), price_list("xx-nowhere-9")
    assert [each.is_estimated for each in (LONDON, VIRGINIA, paris, unknown)] == [False, False, True, True]
    assert VIRGINIA["s3_storage"].amount < paris["s3_storage"].amount < unknown["s3_storage"].amount
    assert all(each.page.startswith("https://aws.amazon.com/") for each in LONDON.prices.values())


@pytest.mark.parametrize(
    ("schedule", "starts"),
    [
        ("rate(5 minutes)", 8760),
        ("rate(1 minute)", 43_800),
        ("rate(2 hours)", 365),
        ("rate(1 day)", Decimal(730) / 24),
        ("cron(0/15 * * * ? *)", 2920),
        ("cron(0 6 ? * MON-FRI *)", Decimal(261) / 12),
        ("cron(30 8,20 ? * 6-2 *)", Decimal(2 * 209) / 12),
        ("cron(0 0 L * ? *)", 1),
        ("cron(0 0 ? * 2#1 *)", 1),
        ("cron(0 0 31 * ? *)", Decimal(7) / 12),
        ("cron(0 0 1 JAN,JUL ? *)", Decimal(2) / 12),
        ("at(2027-01-31T09:00:00)", 0),
        (None, 0),
    ],
)
def test_schedules_are_counted(schedule, starts) -> None:
    assert round(starts_a_month(schedule), 9) == round(Decimal(starts), 9)
    assert starts_a_month(schedule, "rate(1 hour)") == starts_a_month(schedule) + 730
    assert interval(schedule or "") == {
        "rate(5 minutes)": timedelta(minutes=5),
        "rate(1 minute)": timedelta(minutes=1),
        "rate(2 hours)": timedelta(hours=2),
        "rate(1 day)": timedelta(days=1),
    }.get(schedule)
    with pytest.raises(ValueError, match="'often' is not a schedule expression"):
        starts_a_month("often")


def test_longer_schedules_never_cost_more(totesys) -> None:
    costs = []
    for minutes in (1, 5, 15, 60, 24 * 60):
        functions = (replace(each, schedules={"s": f"rate({minutes} minutes)"}) for each in totesys.functions)
        costs.append(total(month(replace(totesys, functions=tuple(functions))), LONDON))
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]


def test_savings_are_the_differences_that_they_name(totesys) -> None:
    found = {saving.change: saving.amount for saving in savings(totesys, ASSUMED, LONDON)}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert found["one alarm fewer"] == LONDON["alarms"].amount
    gb_seconds = sum(use.gb_seconds for use in month(totesys).functions)
    arm = gb_seconds * (LONDON["lambda_x86"].amount - LONDON["lambda_arm"].amount)
    assert found["arm64 instead of x86_64"] == arm
    full = Workload(measured={each.name: Measured(99, Decimal(1), None, 900) for each in totesys.functions})
    assert "half the memory, if runs take no longer" in found
    assert not any("memory" in saving.change for saving in savings(totesys, full, LONDON)), "900 of 1,024 MB are used"


def test_measured_durations_replace_the_assumed_ones(totesys) -> None:
    measured = Workload(measured={"extract": Measured(500, Decimal("2.5"), Decimal(3000), 200)})
    use = month(totesys, measured).functions[0]
    assert (use.seconds, use.log_bytes) == (Decimal("2.5") * 8760, Decimal(3000) * 8760)
    document = statement(totesys, measured, LONDON, None)
    assert document["measured"] == {"extract": {"runs": 500, "mean_seconds": 2.5, "memory_used_mb": 200}}
    assert document["assumptions"][0].startswith("durations of transform, load, notifier, freshness: assumed")
    assert json.loads(json.dumps(document)) == document
    assert sum(Decimal(line["amount"]) for line in document["lines"]) == pytest.approx(
        Decimal(document["total"]), abs=1
    )


def test_reports_are_read_in_both_forms() -> None:
    text = (
        "REPORT RequestId: 1\tDuration: 90.5 ms\tBilled Duration: 1291 ms\tMemory Size: 1024 MB\t"
        "Max Memory Used: 235 MB\tInit Duration: 1200.1 ms\t\n"
    )
    metrics = {"durationMs": 90.5, "billedDurationMs": 1291, "maxMemoryUsedMB": 235, "initDurationMs": 1200.1}
    as_json = json.dumps({"type": "platform.report", "record": {"requestId": "1", "metrics": metrics}})
    others = ["START RequestId: 1", '{"type":"platform.report","record":null}', '"platform.report" {', "REPORT"]
    assert list(reports([text, as_json, *others])) == [(Decimal("1.291"), 235)] * 2


def test_month_so_far_is_the_whole_once_it_is_over(totesys) -> None:
    whole = month(totesys)
    counted = {}
    for use, each in zip(whole.functions, totesys.functions, strict=True):
        counted[each.on_aws, "Invocations"] = use.starts
    over, none = so_far(totesys, counted, Decimal(1)), so_far(totesys, {}, Decimal(0))
    assert replace(over, functions=()) == replace(whole, functions=())
    assert [use.s3_writes for use in over.functions] == [use.s3_writes for use in whole.functions]
    assert total(none, LONDON) == 0
    half = so_far(totesys, {}, Decimal("0.5"))
    assert total(half, LONDON) == total(replace(whole, functions=()), LONDON) / 2


def change(kind: Kind, name: str, action, *differences: Difference, details=()) -> Change:
    return Change(kind, name, action, details, differences=differences, apply=lambda _: None)


def test_plan_that_creates_everything_adds_the_whole_month(totesys) -> None:
    created = [change(Kind.FUNCTION, each.on_aws, "create") for each in totesys.functions]
    created += [change(Kind.SECRET, name, "create") for name in totesys.secrets]
    left = before(totesys, created)
    assert (left.functions, left.secrets) == ((), frozenset())
    assert added_cost(totesys, created, LONDON) == total(month(totesys), LONDON) - total(month(left), LONDON)
    assert added_cost(totesys, [], LONDON) == 0
    foreign = [change(kind, "other-f", "delete") for kind in (Kind.ALARM, Kind.EVENT_RULE, Kind.FUNCTION)]
    assert before(totesys, foreign) == totesys


def test_dashboard_costs_from_the_day_that_it_is_declared() -> None:
    pipeline = load(CONFIG / "pipeline.toml")
    without, with_one = (declared(replace(pipeline, dashboard=name)) for name in (None, "picture"))
    created, deleted = (change(Kind.DASHBOARD, "picture", action) for action in ("create", "delete"))
    assert added_cost(with_one, [created], LONDON) == LONDON["dashboards"].amount
    assert added_cost(without, [deleted], LONDON) == -LONDON["dashboards"].amount
    assert "no dashboard" in [saving.change for saving in savings(with_one, ASSUMED, LONDON)]


def test_provisioned_environments_and_runs_in_them_are_paid_for(totesys) -> None:
    """Of 512 MB in eu-west-2: the hours of a month, by AWS's list; and what would run in them."""
    [one] = (replace(each, memory=512, provisioned=2) for each in totesys.functions if each.name == "notifier")
    lines = {line.item: line for line in bill(month(replace(totesys, functions=(one,))), LONDON)}
    kept = lines["GB-s provisioned, x86_64"]
    assert (kept.quantity, kept.free) == (2 * 730 * 3600 // 2, 0)
    assert round(kept.amount, 2) == Decimal("12.69")
    assert lines["GB-s of runs in these, x86_64"].price == Decimal("0.0000112709")
    assert "GB-s, x86_64" not in lines, "no run is more than they can take"
    busy = FunctionUse("f", 1024, is_arm=True, starts=Decimal(0), seconds=Decimal(3 * 730 * 3600), provisioned=2)
    assert (busy.gb_seconds, busy.gb_seconds_in_provisioned) == (730 * 3600, 2 * 730 * 3600)
    assert {line.item: line.price for line in bill(Month((busy,)), LONDON)} == {
        "GB-s, arm64": Decimal("0.0000133334"),
        "GB-s provisioned, arm64": Decimal("0.0000038643"),
        "GB-s of runs in these, arm64": Decimal("0.0000090167"),
    }


def test_plan_and_savings_count_provisioned_environments(totesys) -> None:
    ready = replace(totesys, functions=tuple(replace(each, provisioned=1) for each in totesys.functions))
    made = [
        change(Kind.PROVISIONED_CONCURRENCY, each.on_aws, "create", Difference("provisioned_concurrency", 0, 1))
        for each in totesys.functions
    ]
    assert before(ready, made) == totesys
    assert added_cost(ready, made, LONDON) == total(month(ready), LONDON) - total(month(totesys), LONDON) > 40
    saved = {saving.change: saving.amount for saving in savings(ready, ASSUMED, LONDON)}
    assert saved["no provisioned concurrency"] == added_cost(ready, made, LONDON)


def test_difference_of_a_plan_is_one_sentence() -> None:
    assert sentence(Decimal("0.412")) == "About $0.41 more a month."
    assert sentence(Decimal("-1234.5")) == "About $1,234.50 less a month."
    assert sentence(Decimal("0.004")) is None
    shown = {"0": "$0.00", "0.001": "<$0.01", "0.004": "<$0.01", "0.006": "$0.01", "1234.5": "$1,234.50"}
    assert [dollars(Decimal(text)) for text in shown] == [*shown.values()]
