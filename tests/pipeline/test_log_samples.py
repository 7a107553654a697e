"""The page about logs shows lines that the functions really write; and each of their fields has a row in its table."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.client.observing.log_lines import parse
from lambda_toolkit.pipeline.lambdas.extract.handler import lambda_handler as extract
from lambda_toolkit.pipeline.lambdas.load.handler import lambda_handler as load
from lambda_toolkit.pipeline.lambdas.shared import runtime
from lambda_toolkit.pipeline.lambdas.shared.metrics import METRICS
from lambda_toolkit.pipeline.lambdas.transform.handler import lambda_handler as transform
from tests.support.function_logs import json_lines

PAGE = Path("docs/observability.md")
MEASURED = {  # fields whose values differ each time -> what the page shows
    "timestamp": "2026-11-29T08:00:02.481Z",
    "request_id": "5c1d7f0e-6d0b-4f0e-9b43-0a4f6a1d2b3c",
    "milliseconds": 41,
    "bytes": 4812,
    "memory_mb": 214,
    "MemoryUsed": 214,
    "BatchLatency": 63.4,
    "Timestamp": 1795939202481,
    "cold_start": False,
}
OF_A_METRIC = {"_aws", "FunctionName", *(metric.name for metric in METRICS)}


def run_of(handler: Any, event: dict[str, Any], name: str, log: io.StringIO) -> list[dict[str, Any]]:
    """The lines that one invocation writes, of ``name``."""
    start = len(json_lines(log.getvalue()))
    handler(event, SimpleNamespace(function_name=f"totes-prod-{name}", aws_request_id="r"))
    return [as_shown(line) for line in json_lines(log.getvalue())[start:]]


def as_shown(value: Any, key: str = "") -> Any:
    """A line with the page's values in place of measured ones, and the digest in a file's name."""
    if key in MEASURED:
        return MEASURED[key]
    if isinstance(value, dict):
        return {name: as_shown(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [as_shown(item) for item in value]
    if isinstance(value, str) and value.endswith(".parquet"):
        return f"{value.rpartition('/')[0]}/0a1b2c3d.parquet"
    return value


@pytest.fixture
def runs(deployed: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """By function, the lines of a second batch: a changed address, and a payment with a date that is none."""
    log = io.StringIO()
    monkeypatch.setattr(runtime.logger, "write", lambda line: log.write(line + "\n"))
    monkeypatch.setenv("METRICS_NAMESPACE", "totes-prod")
    found: dict[str, list[dict[str, Any]]] = {}
    for batch in (1, 2):
        if batch == 2:
            deployed.admin.run("UPDATE address SET phone = '0191 498' WHERE address_id = 1")
            deployed.admin.run("UPDATE payment SET payment_date = 'soon' WHERE payment_id = 1")
        found["extract"] = run_of(extract, {}, "extract", log)
        found["transform"] = run_of(transform, {"action": "transform", "batch": batch}, "transform", log)
        found["load"] = run_of(load, {}, "load", log)
    yield found


def test_the_page_shows_what_the_functions_write(runs: dict[str, list[dict[str, Any]]]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    lines = [line for name in ("extract", "transform", "load") for line in runs[name] if line["message"] != "deletes"]
    assert "```json\n" + "\n".join(map(json.dumps, lines)) + "\n```" in page
    shown = [f"{name:<11}{parse(json.dumps(line))}" for name in runs for line in runs[name] if line in lines]
    assert "```\n" + "\n".join(f"08:00:02Z  {line}" for line in shown) + "\n```" in page


def test_the_page_has_a_row_for_each_field(runs: dict[str, list[dict[str, Any]]]) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Logs")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in row.split("`")[1::2]}
    written = {name for lines in runs.values() for line in lines for name in line} - OF_A_METRIC
    assert written - documented == set(), "fields that the page lacks"


def test_metrics_that_are_put_are_those_of_the_list(runs: dict[str, list[dict[str, Any]]]) -> None:
    """By function; a metric that is declared and never put, or put and not declared, would be seen on no graph."""
    for name, lines in runs.items():
        put = {(each["Name"], each["Unit"]) for line in lines for each in _metrics_of(line)}
        declared = {(metric.name, metric.unit) for metric in METRICS if name in metric.functions}
        assert declared - put <= ({("RowsRejected", "Count")} if name == "load" else set()), "only where a row waits"
        assert put <= declared
        assert all({each["Name"] for each in _metrics_of(line)} <= set(line) for line in lines)


def _metrics_of(line: dict[str, Any]) -> list[dict[str, str]]:
    return [each for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()) for each in directive["Metrics"]]
