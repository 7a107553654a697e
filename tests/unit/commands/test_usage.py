"""What the log of a week says of a function, and a declaration without anything that costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_script import Vpc
from lambda_toolkit.pipeline.client.observing import usage
from lambda_toolkit.pipeline.cost.month import Month, Network
from lambda_toolkit.pipeline.cost.workload import ASSUMED, Declared, Measured, Workload, month

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
AWS: Any = SimpleNamespace(account_id="123456789012")
TEXT = "REPORT RequestId: 1\tDuration: 1.00 ms\tBilled Duration: {} ms\tMemory Size: 512 MB\tMax Memory Used: {} MB\t"
JSON = '{{"type": "platform.report", "record": {{"metrics": {{"billedDurationMs": {}, "maxMemoryUsedMB": {}}}}}}}'


@pytest.mark.parametrize(
    ("runs", "form", "groups", "measured"),
    [
        (12, TEXT, ("g", "h"), Measured(12, Decimal("1.25"), log_bytes=Decimal(50), memory_used=90)),
        (12, JSON, ("g", "h"), Measured(12, Decimal("1.25"), log_bytes=Decimal(50), memory_used=90)),
        (12, TEXT, ("g", "g"), Measured(12, Decimal("1.25"), log_bytes=None, memory_used=90)),
        (11, TEXT, ("g", "h"), None),
        (0, TEXT, ("g", "h"), None),
    ],
    ids=["text", "json", "shared log", "few", "none"],
)
def test_an_hour_of_runs_says_what_a_run_uses(
    monkeypatch: pytest.MonkeyPatch, runs: int, form: str, groups: tuple[str, str], measured: Measured | None
) -> None:
    """A log that two functions share does not say what one of them wrote."""
    lines = [form.format(1000, 80), form.format(1500, 90)] * 6
    begin = NOW - timedelta(days=7)
    pipeline: Any = SimpleNamespace(functions=dict(zip(("load", "extract"), groups, strict=True)))

    def logged(aws: Any, of: Any, name: str, start: int, *, pattern: str) -> list[dict[str, str]]:
        assert (aws, of, name, start) == (AWS, pipeline, "load", int(begin.timestamp()) * 1000)
        assert pattern in ('"REPORT RequestId"', '"platform.report"'), "CloudWatch selects the lines with these words"
        return [{"message": line} for line in lines[:runs] if pattern.strip('"') in line]

    def summed(*given: Any) -> Decimal:
        assert given == (AWS, "AWS/Logs", "IncomingBytes", {"LogGroupName": "g"}, begin, NOW)
        return Decimal(600)

    monkeypatch.setattr(usage, "of_function", logged)
    monkeypatch.setattr(usage, "group_of", lambda of, function, account: {AWS.account_id: function}[account])
    monkeypatch.setattr(usage, "_sum", summed)
    assert usage._measured(AWS, pipeline, "load", NOW) == measured


def test_declaration_of_nothing_uses_nothing() -> None:
    used = month(Declared((), frozenset()))
    counted = (used.dashboards, used.kms_keys, used.kms_requests, used.emails, used.secrets, used.metrics)
    assert (counted, used.functions, used.network) == ((0,) * 6, (), Month(()).network)


BUCKETS = {"ingestion": "i", "processed": "p", "other": "o"}


@pytest.mark.parametrize(
    ("buckets", "sizes", "batches", "stored", "expected"),
    [
        (BUCKETS, {"i": 5, "p": None, "o": 7}, 3, Decimal("12e-9"), 3),
        (BUCKETS, dict.fromkeys("ipo"), None, None, ASSUMED.batches),
        ({"processed": "p"}, {"p": 4 * 10**9}, 3, 4, ASSUMED.batches),
    ],
)
def test_workload_is_what_was_measured_and_assumed_besides(
    monkeypatch: pytest.MonkeyPatch, buckets: Any, sizes: Any, batches: Any, stored: Any, expected: Any
) -> None:
    pipeline: Any = SimpleNamespace(buckets=buckets, functions=["a", "b"])
    pipeline.bucket_name = lambda name, account: {AWS.account_id: buckets[name]}[account]
    found = {"a": Measured(12, Decimal(1), None, memory_used=1), "b": None}

    def given(answer: Any) -> Any:
        def answered(aws: Any, *of: Any) -> Any:
            assert aws is AWS and of[-1] is NOW and of[:-2] == (() if of[-2] in buckets.values() else (pipeline,))
            return answer(of[-2])

        return answered

    monkeypatch.setattr(usage, "_measured", given(found.get))
    monkeypatch.setattr(usage, "_bucket_bytes", given(lambda name: sizes[name] and Decimal(sizes[name])))
    monkeypatch.setattr(usage, "_batches_a_month", given(lambda name: {"i": batches and Decimal(batches)}[name]))
    measured = usage.workload(AWS, pipeline, NOW)
    assert measured == Workload(expected, {"a": found["a"]}, stored)


@pytest.mark.parametrize(
    ("vpcs", "charged", "found"),
    [
        ((None, Vpc()), Network(Decimal(9)), Network()),
        ((None, Vpc(), Vpc(("s",), ("g",))), Network(Decimal(1), endpoints=Decimal(3)), None),
        ((Vpc(("s",), ("g",)),), None, None),
    ],
)
def test_network_costs_something_where_a_function_is_in_one(
    monkeypatch: pytest.MonkeyPatch, vpcs: Any, charged: Any, found: Any
) -> None:
    def charges(aws: Any, given: Any) -> Any:
        assert (aws, given) == (AWS, [vpc for vpc in vpcs if vpc is not None])
        return charged

    monkeypatch.setattr("lambda_script.network_charges", charges)
    specs = {str(number): SimpleNamespace(spec=SimpleNamespace(vpc=vpc)) for number, vpc in enumerate(vpcs)}
    pipeline: Any = SimpleNamespace(functions=specs)
    assert usage.network_of(AWS, pipeline) == (found or charged)


def test_month_so_far_begins_with_the_month_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Early on the first of July in Berlin, it is still June in UTC: all of it but half an hour is over."""
    now = datetime(2026, 7, 1, 1, 30, 7, 9, tzinfo=timezone(timedelta(hours=2)))
    begin = datetime(2026, 6, 1, tzinfo=UTC)
    parts = Declared((SimpleNamespace(on_aws="x"), SimpleNamespace(on_aws="y")), frozenset())  # type: ignore[arg-type]
    values = {("x", "Invocations"): Decimal(7), ("y", "Duration"): Decimal(9)}
    own = Network(Decimal(1))

    def summed(aws: Any, namespace: str, metric: str, dimensions: Any, first: Any, last: Any) -> Any:
        assert (aws, namespace, first, last, list(dimensions)) == (AWS, "AWS/Lambda", begin, now, ["FunctionName"])
        return values.get((dimensions["FunctionName"], metric))

    monkeypatch.setattr(usage, "declared", {"pipeline": parts}.get)
    monkeypatch.setattr(usage, "_sum", summed)
    monkeypatch.setattr(usage, "so_far", lambda *of: of)
    pipeline: Any = "pipeline"
    for network, expected in ((own, own), (None, Network())):
        found, sums, share = usage.month_so_far(AWS, pipeline, now, network)  # type: ignore[misc]
        assert found.network == expected and found.functions == parts.functions
        assert sums == {(name, metric): 0 for name in "xy" for metric in ("Invocations", "Duration")} | values
        hours = Decimal(30 * 24) - Decimal("0.5") + (7 + Decimal("0.000009")) / 3600
        assert share == pytest.approx(hours / 730)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (TEXT.format(1250, 90), [(Decimal("1.25"), 90)]),
        (TEXT.format("0.5", 90), [(Decimal("0.0005"), 90)]),
        (JSON.format("1250.5", 90), [(Decimal("1.2505"), 90)]),
        ('{"type": "platform.report", "record": {"metrics": {"billedDurationMs": 7}}}', [(Decimal("0.007"), 0)]),
        ('{"type": "platform.report", "record": {"metrics": {"maxMemoryUsedMB": 7}}}', []),
        ('{"type": "platform.report", "record": {"metrics": 7}}', []),
        ('{"type": "platform.report", "record": 7}', []),
        ('{"type": "platform.report"}', []),
        ('{"type": "platform.report"', []),
        ('{"type": "platform.start", "record": {"metrics": {"billedDurationMs": 7}}}', []),
        (f"he said: {TEXT.format(1, 1)}", []),
        ("REPORT RequestId: 1\tDuration: 1.00 ms", []),
    ],
)
def test_line_that_reports_a_run_says_what_it_used(line: str, found: list[tuple[Decimal, int]]) -> None:
    assert list(usage.reports(["other", line])) == found
