"""What the log of a week says of a function, and a declaration without anything that costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.client.observing import usage
from lambda_toolkit.pipeline.cost.month import Month
from lambda_toolkit.pipeline.cost.workload import Declared, Measured, month

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
