"""What the function freshness says of what a comparison has found; ``test_freshness`` has the comparison itself."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.freshness import handler
from lambda_toolkit.pipeline.lambdas.shared import runtime
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError, PipelineError
from lambda_toolkit.pipeline.lambdas.shared.messages.freshness_events import FreshnessResult, TableFreshness
from tests.support.memory_s3 import MemoryS3

TABLES = (
    TableFreshness("late", "changed", None, 101.0, 100.0),
    TableFreshness("on time", "changed", None, 100.0, 100.0),
    TableFreshness("without a promise", "changed", None, 9999.0, None),
    TableFreshness("not compared", "unknown", None, 1.0, None, "permission denied"),
)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the function logs, line by line."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(runtime.logger, "write", lambda line: lines.append(json.loads(line)))
    monkeypatch.setattr(handler, "_warehouse", lambda: "credentials")
    monkeypatch.setattr(handler, "connected", contextlib.nullcontext)
    monkeypatch.setattr(runtime, "ingestion_lake", MemoryS3)
    monkeypatch.setattr(handler.declarations, "load", lambda: None)
    return lines


def find(monkeypatch: pytest.MonkeyPatch, problem: str | None = None) -> FreshnessResult:
    found = FreshnessResult("2026-11-29T12:00:00+00:00", 4, 101.0, 1.0, TABLES, problem)
    monkeypatch.setattr(handler, "check", lambda *arguments: found)
    return found


def test_tables_that_are_late_or_unknown_are_named(said: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    found = find(monkeypatch)
    assert handler.lambda_handler({}, None) == found.to_json()
    warned = [line for line in said if line["level"] == "WARN"]
    assert [line["table"] for line in warned] == ["late", "not compared"]
    assert (warned[0]["seconds_behind"], warned[1]["problem"]) == (101.0, "permission denied")
    assert "problem" not in warned[0]


def test_source_that_is_not_compared_fails_after_metrics(
    said: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    find(monkeypatch, "the source is down")
    with pytest.raises(ConnectionFailedError, match="the source is down"):
        handler.lambda_handler({}, None)
    assert {(line["SecondsBehind"], line["SecondsOverdue"]) for line in said if "SecondsBehind" in line} == {(101, 1)}


def test_other_event_is_refused(said: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    find(monkeypatch)
    with pytest.raises(PipelineError):
        handler.lambda_handler({"action": "load"}, None)
