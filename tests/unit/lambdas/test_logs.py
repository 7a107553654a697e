"""The log of a function: one JSON object per line, a summary for each run, and metrics that no level takes away."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.shared import logs, metrics, runtime
from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError, PipelineError
from lambda_toolkit.pipeline.lambdas.shared.logs import Log, TableWork
from lambda_toolkit.pipeline.lambdas.shared.metrics import (
    BATCH_LATENCY,
    METRICS,
    MOST_VALUES,
    ROWS_EXTRACTED,
    ROWS_REJECTED,
    embedded,
)
from lambda_toolkit.pipeline.local_stack.alerting.alarm_evaluator import metrics_in

LAMBDAS = Path(__file__).parents[3] / "lambdas"
CONTEXT = SimpleNamespace(function_name="totes-dev-load", aws_request_id="r-1")


class Written:
    """A log with a clock of its own, whose lines are kept."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.at = 100.0
        self.log = Log(self.text.append, clock=lambda: self.at, now=lambda: 1_700_000_000.25 + self.at)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.text]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.setenv("METRICS_NAMESPACE", "totes-dev")
    monkeypatch.delenv("AWS_LAMBDA_LOG_LEVEL", raising=False)
    monkeypatch.setattr(logs, "memory_used", lambda: 99)
    return Written()


def test_summary_has_the_sums_of_the_tables(written: Written) -> None:
    log = written.log
    log.begin("r-1", "totes-dev-extract")
    for batch in (4, 5):
        log.tables("table extracted", batch, {"a": TableWork(3, 10, 1.6, {"deleted": batch, "context": 0})})
        log.run.put(ROWS_EXTRACTED, 3)
    written.at += 1.5
    log.end("done", last_batch=5)
    first, _, summary = written.lines
    assert first == {
        "timestamp": "2023-11-14T22:15:00.250Z",
        "level": "INFO",
        "message": "table extracted",
        "request_id": "r-1",
        "batch": 4,
        "table": "a",
        "rows": 3,
        "deleted": 4,
        "bytes": 10,
        "milliseconds": 2,
    }
    shown = {name: summary[name] for name in ("batches", "tables", "rows", "bytes", "deleted", "last_batch")}
    assert shown == {"batches": [4, 5], "tables": 2, "rows": 6, "bytes": 20, "deleted": 9, "last_batch": 5}
    assert (summary["milliseconds"], summary["memory_mb"], summary["cold_start"]) == (1500, 99, True)
    assert (summary["message"], summary["_aws"]["CloudWatchMetrics"][0]["Namespace"]) == ("summary", "totes-dev")
    found = {(datum.name, datum.values, datum.dimensions) for datum in metrics_in(written.text[-1])}
    of = (("FunctionName", "totes-dev-extract"),)
    assert found == {("RowsExtracted", (6.0,), of), ("MemoryUsed", (99.0,), of)}
    log.begin("r-2", "totes-dev-extract")
    log.end("done")
    assert written.lines[-1]["cold_start"] is False
    assert "batches" not in written.lines[-1], "nothing of the run before"


@pytest.mark.parametrize("level", ["WARN", "ERROR", "FATAL"])
def test_metrics_are_put_whatever_the_level(written: Written, monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    """Lambda drops lines below the level: those with metrics have the level, and say nothing else."""
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", level)
    written.log.begin("r-1", "f")
    written.log.info("a table")
    written.log.warning("rows were rejected", {ROWS_REJECTED: 3}, table="a")
    written.log.end("done")
    kept = [line for line in written.lines if "_aws" not in line or line["message"] == "metrics"]
    assert {line["level"] for line in kept} <= {level}
    assert all(logs.LEVELS.index(line["level"]) >= logs.LEVELS.index(level) for line in written.lines)
    values = {datum.name: datum.values for text in written.text for datum in metrics_in(text)}
    assert values == {"RowsRejected": (3.0,), "MemoryUsed": (99.0,)}


def test_level_that_lambda_does_not_have_is_info(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", "chatty")
    written.log.info("shown")
    assert [line["message"] for line in written.lines] == ["shown"]


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text())))
def test_each_line_is_one_object_in_ascii(fields: dict[str, Any]) -> None:
    written = Written()
    fields = {name: value for name, value in fields.items() if name not in ("message", "metrics", "self")}
    written.log.info("message", **fields)
    [text] = written.text
    assert text.isascii()
    assert "\n" not in text
    line = json.loads(text)
    assert {name: value for name, value in fields.items() if value is not None}.items() <= line.items()


@given(st.lists(st.floats(0, 1e6), max_size=3 * MOST_VALUES))
def test_many_values_of_a_metric_keep_what_its_statistic_needs(values: list[float]) -> None:
    for metric, statistic in ((BATCH_LATENCY, max), (ROWS_EXTRACTED, sum)):
        document = embedded({metric: values}, "n", "f", 1)
        found = [datum for datum in metrics_in(json.dumps(document)) if datum.name == metric.name]
        assert [bool(values)] == [bool(found)]
        if values:
            assert len(found[0].values) <= MOST_VALUES
            assert statistic(found[0].values) == statistic(values)


def test_names_of_metrics_are_no_fields() -> None:
    """Else a line could not have both; and CloudWatch charges for each name."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert not [metric.name for metric in METRICS if metric.name == metric.name.lower()]


@pytest.mark.parametrize(
    ("raised", "says", "shown"),
    [
        (LakeError("the batch is missing"), LakeError, "the batch is missing"),
        (ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject"), ClientError, "NoSuchKey"),
        (ConnectionResetError(104, "reset by peer"), ConnectionResetError, "reset by peer"),
        (ValueError("invalid literal: 'jane@example.com'"), PipelineError, "ValueError: its message is not shown"),
        (KeyError("jane@example.com"), PipelineError, "KeyError: its message is not shown"),
        (UnicodeDecodeError("utf-8", b"jane@example.com", 0, 1, "no"), PipelineError, "its message is not shown"),
    ],
)
def test_failed_run_has_its_error_and_its_summary(
    written: Written, monkeypatch: pytest.MonkeyPatch, raised: Exception, says: type[Exception], shown: str
) -> None:
    """With the metrics of what was done before it failed."""
    monkeypatch.setattr(runtime, "logger", written.log)

    @runtime.logged
    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        runtime.logger.run.put(BATCH_LATENCY, 7)
        raise raised

    with pytest.raises(says) as caught:
        handle({}, CONTEXT)
    assert (says is PipelineError) is ("Raised at " in str(caught.value) and caught.value.__cause__ is None)
    error, summary = written.lines
    assert ("handle" in json.dumps(error.get("stack"))) is not isinstance(raised, PipelineError)
    assert (error["level"], error["error"]) == ("ERROR", type(raised).__name__)
    assert shown in error["message"]
    assert "jane" not in "".join(written.text) + str(caught.value)
    assert (summary["outcome"], summary["BatchLatency"]) == ("failed", 7)


def test_clients_of_aws_wait_and_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    runtime.client.cache_clear()
    made = runtime.client("s3")
    assert made is runtime.client("s3"), "a warm start has its connections"
    assert made.meta.config.connect_timeout == 10
    assert made.meta.config.retries == {"mode": "standard", "total_max_attempts": 6}
    runtime.client.cache_clear()


def test_log_without_an_invocation_has_defaults(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function may write a line while it is imported; and on a system that does not say how much memory it used."""
    monkeypatch.delenv("METRICS_NAMESPACE")
    monkeypatch.setattr(logs, "memory_used", lambda: None)
    written.log.warning("early", {ROWS_REJECTED: 2, BATCH_LATENCY: 1.5}, table=None)
    written.log.end("done")
    early, summary = written.lines
    declared = [{"Name": "RowsRejected", "Unit": "Count"}, {"Name": "BatchLatency", "Unit": "Seconds"}]
    assert early == {
        "timestamp": "2023-11-14T22:15:00.250Z",
        "level": "WARN",
        "message": "early",
        "request_id": None,
        "_aws": {
            "Timestamp": 1_700_000_100_250,
            "CloudWatchMetrics": [{"Namespace": "pipeline", "Dimensions": [["FunctionName"]], "Metrics": declared}],
        },
        "FunctionName": "local",
        "RowsRejected": 2,
        "BatchLatency": 1.5,
    }
    assert (summary["cold_start"], summary["milliseconds"]) == (False, 100_000), "since the clock began"
    assert "memory_mb" not in summary and "_aws" not in summary


@pytest.mark.parametrize(("level", "shown"), [("debug", 3), ("TRACE", 3), ("info", 3), ("warn", 2), ("Error", 1)])
def test_lines_below_the_level_are_not_written(
    written: Written, monkeypatch: pytest.MonkeyPatch, level: str, shown: int
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", level)
    written.log.info("one")
    written.log.warning("two")
    written.log.error("three", error="E")
    assert [line["level"] for line in written.lines] == ["INFO", "WARN", "ERROR"][-shown:]
    assert written.lines[-1]["error"] == "E"


@pytest.mark.parametrize(
    ("status", "megabytes"),
    [("Name:\tpython\nVmHWM:\t  204800 kB\n", 200), ("VmHWM:\t1535 kB\n", 1), ("Name:\tx\n", None)],
)
def test_memory_is_what_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, megabytes: int | None
) -> None:
    (tmp_path / "status").write_text(status, encoding="ascii")
    monkeypatch.setattr(logs, "Path", lambda asked: tmp_path / str(asked).removeprefix("/proc/self/"))
    assert logs.memory_used() == megabytes
    (tmp_path / "status").unlink()
    assert logs.memory_used() is None


def test_no_line_waits_in_a_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda freezes the process after an invocation: what is in a buffer would be in the log of the next one."""
    found: list[str] = []
    monkeypatch.setattr(logs.sys, "stdout", SimpleNamespace(write=found.append, flush=lambda: found.append("flushed")))
    Log().info("a")
    assert (json.loads(found[0])["message"], found[0][-1], found[1:]) == ("a", "\n", ["flushed"])


def test_steps_name_files_lines_and_functions() -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError) as caught:
        fail()
    [_, last] = logs.steps(caught.value)
    assert last == f"{__file__}:{fail.__code__.co_firstlineno + 1} fail"


def test_metrics_are_put_by_the_functions_that_they_name() -> None:
    """And with a unit and a statistic that CloudWatch has."""
    names = {value: name for name, value in vars(metrics).items() if isinstance(value, metrics.Metric)}
    assert set(METRICS) == set(names)
    for metric in METRICS:
        assert metric.unit in ("Count", "Seconds", "Megabytes") and metric.statistic in ("Sum", "Maximum")
        if metric != metrics.MEMORY_USED:  # which each summary puts
            putting = {
                file.relative_to(LAMBDAS).parts[0]
                for file in LAMBDAS.rglob("*.py")
                if re.search(rf"\b{names[metric]}\b", file.read_text(encoding="utf-8"))
            }
            assert putting - {"shared"} == set(metric.functions)
    assert [metrics.ROWS_EXTRACTED.statistic, metrics.OPEN_REJECTED.statistic] == ["Sum", "Maximum"]


SHOWN = (ArithmeticError, AttributeError, ImportError, MemoryError, NameError, OSError, RecursionError, TypeError)


@pytest.mark.parametrize("kind", [*SHOWN, S3UploadFailedError])
def test_message_that_has_no_values_is_shown(written: Written, monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    monkeypatch.setattr(runtime, "logger", written.log)

    @runtime.logged
    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise kind("what is wrong")

    with pytest.raises(kind, match="what is wrong"):
        handle({}, None)
    error, summary = written.lines
    assert (error["message"], error["error"]) == (f"{kind.__name__}: what is wrong", kind.__name__)
    assert (summary["request_id"], summary["FunctionName"]) == (None, "local")


def test_error_of_arrow_names_the_line_of_the_function(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "logger", written.log)

    @runtime.logged
    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"values": pa.array(event["values"], pa.int64())}

    assert handle({"values": [1]}, CONTEXT) == {"values": pa.array([1])}
    assert (written.lines[0]["request_id"], written.lines[0]["outcome"]) == ("r-1", "done")
    with pytest.raises(PipelineError, match=rf"Raised at {__file__}:\d+ handle\.$"):
        handle({"values": ["jane"]}, CONTEXT)
    assert "pyarrow" in written.lines[1]["stack"][-1]


def test_check_is_answered_and_all_else_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(runtime.declarations, "load", lambda: done.append("declarations"))

    @runtime.checked(lambda: done.append("one"), lambda: done.append("two"))
    def handle(event: Any, context: Any) -> dict[str, Any]:
        return {"given": event, "to": context}

    assert handle({"action": "check"}, None) == {"checked": True}
    assert done == ["declarations", "one", "two"]
    for event in ({}, {"action": "report"}, {"Records": []}, ["check"]):
        assert handle(event, "context") == {"given": event, "to": "context"}  # type: ignore[arg-type]
    assert len(done) == 3


def test_lakes_are_the_buckets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "client", lambda service: service)
    for make, name in ((runtime.ingestion_lake, "INGESTION_BUCKET"), (runtime.processed_lake, "PROCESSED_BUCKET")):
        monkeypatch.setenv(name, f"of {name}")
        found = make()
        assert (found.bucket, found._client) == (f"of {name}", "s3")
        for missing in ("", None):
            monkeypatch.setenv(name, "") if missing == "" else monkeypatch.delenv(name)
            with pytest.raises(PipelineError, match=name):
                make()
