"""Each form of a line in CloudWatch Logs, as it is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from lambda_script import AwsError
from lambda_toolkit.pipeline.client.observing import logs
from lambda_toolkit.pipeline.client.observing.batch_log import batch_lines
from lambda_toolkit.pipeline.client.observing.log_lines import parse
from lambda_toolkit.pipeline.client.observing.logs import error_in, events_of, first_error
from lambda_toolkit.pipeline.commands.logs import _time_of
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError
from tests.support.answering_aws import AnsweringAws
from tests.support.repository import CONFIG

POWERTOOLS = {
    "level": "INFO",
    "location": "extract:41",
    "message": "extracted",
    "timestamp": "2026-01-01 10:00:00,000+0000",
    "service": "extract",
    "cold_start": True,
    "function_request_id": "d",
    "batch": 2,
    "tables": {"customer": 1, "none": {}},
    "nothing": None,
    "note": "two words",
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (json.dumps(POWERTOOLS), 'INFO    extracted  batch=2 tables.customer=1 note="two words"'),
        ('{"level": "ERROR", "message": "no", "exception": "Traceback\\n  x", "stack_trace": {"a": 1}}',
         "ERROR   no\n    Traceback\n      x"),
        ('{"level": "ERROR", "message": "no", "stack_trace": ["a", 1], "stackTrace": "b"}', "ERROR   no\n    a\n    1"),
        ('{"level": "INFO", "rows": 1}', "INFO      rows=1"),
        ('{"level": "INFO", "message": {"rows": 1, "cold_start": true}}', "INFO      rows=1"),
        ('{"message": "summary", "cold_start": false}', "        summary"),
        ('{"level": "INFO", "message": {"message": "m", "rows": 1}}', "INFO    m  rows=1"),
        ('{"level": "INFO", "message": "summary", "rows": 0, "cold_start": true, "Lag": 2.5, "FunctionName": "f", '
         '"_aws": {"CloudWatchMetrics": []}}', "INFO    summary  rows=0 cold_start=true Lag=2.5"),
        ('{"level": "ERROR", "message": "no", "error": "X", "stack": ["a:1 f", "b:2 g"]}',
         "ERROR   no  error=X\n    a:1 f\n    b:2 g"),
        ('{"log_level": "FATAL", "errorMessage": "no", "errorType": "X"}', "FATAL   no  errorType=X"),
        ('{"errorMessage": "no", "errorType": "X", "requestId": "d", "stackTrace": ["a", "b"]}',
         "ERROR   no  errorType=X\n    a\n    b"),
        ("[WARNING]\t2026-01-01T10:00:00.000Z\td-e\tslow\nand\nmore\n", "WARNING slow\n    and\n    more"),
        ("one\ntwo\nthree", "        one\n    two\n    three"),
        ('{"a":' * 2000, "        " + '{"a":' * 2000),
        ("[ERROR] Runtime.ImportModuleError: no pyarrow", "ERROR   [ERROR] Runtime.ImportModuleError: no pyarrow"),
        ("2026-01-01 Task timed out after 3.00 seconds\n\n", "ERROR   2026-01-01 Task timed out after 3.00 seconds"),
        ("RequestId: 1 Error: Runtime exited with error: signal: killed", None),
        ("printed {\n", "        printed {"),
        ("{broken", "        {broken"),
        ("[1]", "        [1]"),
    ],
)  # fmt: skip
def test_line_is_shown_as_level_message_and_fields(text: str, shown: str | None) -> None:
    line = parse(text)
    assert not line.is_runtime
    assert str(line) == (shown or f"ERROR   {text}")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("START RequestId: 1 Version: 2\n", True),
        ("END RequestId: 1", True),
        ("REPORT RequestId: 1\tDuration: 2.00 ms\tBilled Duration: 3 ms", True),
        ("INIT_START Runtime Version: python:3.13.v1", True),
        ('{"time": "t", "type": "platform.report", "record": {"status": "success"}}', True),
        ('{"time": "t", "type": "platform.report", "record": {"status": "timeout"}}', False),
        ("REPORT RequestId: 1\tDuration: 3000.00 ms\tStatus: timeout", False),
        ("REPORTING is what this line is about", False),
        ("this is the END", False),
        ('{"level": "INFO", "message": "START"}', False),
    ],
)
def test_lines_of_the_runtime_are_hidden_unless_failed(text: str, hidden: bool) -> None:
    assert parse(text).is_runtime is hidden


def test_report_of_lambda_is_one_line_with_its_level() -> None:
    report = "REPORT RequestId: 1\tDuration: 3.00 ms\tStatus: {}\nXRAY TraceId: 1\n"
    for status, level in (("success", "INFO"), ("timeout", "ERROR")):
        assert str(parse(report.format(status))) == (
            f"{level:<8}REPORT RequestId: 1 Duration: 3.00 ms Status: {status} XRAY TraceId: 1"
        )


class SharedGroup:
    """One log group of two functions, as Lambda names its streams there."""

    def list_all(self, *_: str, **parameters: Any) -> list[dict[str, Any]]:
        assert parameters["logGroupName"] == "/shop"
        streams = ("2026/01/01/a[4]12", "2026/01/01/ba[4]12", "2026/01/01/b[$LATEST]1")
        return [
            {"timestamp": at, "message": at, "eventId": at, "logStreamName": name} for at, name in enumerate(streams)
        ]


def test_log_group_of_several_functions_is_divided() -> None:
    found = events_of(SharedGroup(), ["a", "b"], 0, groups={"a": "/shop", "b": "/shop"})  # type: ignore[arg-type]
    assert [(function, event["message"]) for function, event in found] == [("a", 0), ("b", 2)]


def test_commands_read_the_log_group_that_functions_share() -> None:
    """`run`, the page of a batch, `cost` and `alert-test` read where the log is, and only the function's lines."""

    class Shared:
        account_id = "123456789012"

        def list_all(self, *_: str, **parameters: Any) -> list[dict[str, Any]]:
            assert parameters["logGroupName"] == "/shop"
            entries = {
                name: {"level": "ERROR", "message": f"{name} failed", "batch": 7} for name in ("extract", "transform")
            }
            return [
                {
                    "timestamp": 5,
                    "message": json.dumps(entry),
                    "logStreamName": f"2026/01/01/totes-dev-{name}[4]12",
                }
                for name, entry in entries.items()
            ]

    declared = load(CONFIG / "pipeline.toml")
    functions = {
        name: replace(function, spec=replace(function.spec, log_group="/shop"))
        for name, function in declared.functions.items()
    }
    aws, pipeline = cast("Any", Shared()), replace(declared, functions=functions)
    assert first_error(aws, pipeline, "transform", 0) == "transform failed"
    at = datetime(2026, 1, 1, tzinfo=UTC)
    lines = batch_lines(aws, pipeline, 7, at, at)
    assert [(line["function"], line["message"]) for line in lines] == [
        ("extract", "extract failed  batch=7"),
        ("transform", "transform failed  batch=7"),
    ]


class Logs:
    """Two log groups; a third function has none."""

    def list_all(self, *_: str, **parameters: Any) -> list[dict[str, Any]]:
        times = {"/aws/lambda/a": [1, 4], "/aws/lambda/b": [2, 3]}
        if parameters["logGroupName"] not in times:
            raise AwsError("none", code="ResourceNotFoundException")
        return [{"timestamp": at, "message": f"{at}"} for at in times[parameters["logGroupName"]]]


def test_logs_of_several_functions_are_in_the_order_of_time() -> None:
    logs: Any = Logs()
    found = [(name, event["timestamp"]) for name, event in events_of(logs, ["a", "b", "none"], 0)]
    assert found == [("a", 1), ("b", 2), ("b", 3), ("a", 4)]
    with pytest.raises(CommandError, match="none has no log group"):
        list(events_of(logs, ["none"], 0))


def test_logs_are_followed_without_saying_a_line_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read begins where the first did: lines come late. A function that has no log yet may get one."""
    written: dict[str, Any] = {"a": [1, 2], "b": None}
    asked: list[Any] = []

    def stored(aws: Any, function: str, start: int, *, group: str) -> Any:
        asked.append((aws, function, start, group))
        return written[function] and [{"timestamp": at, "message": f"{at}"} for at in written[function]]

    def wait() -> None:
        written.update(next(later))

    monkeypatch.setattr(logs, "stored_events", stored)
    later: Any = iter([{}, {"a": [1, 2, 5], "b": [3]}])
    followed = events_of("aws", ["a", "b"], 9, groups={"b": "/g"}, follow=True, wait=wait)  # type: ignore[arg-type]
    found = [(name, event["timestamp"]) for name, event in (next(followed) for _ in range(4))]
    assert found == [("a", 1), ("a", 2), ("b", 3), ("a", 5)]
    assert asked == [("aws", "a", 9, ""), ("aws", "b", 9, "/g")] * 3
    assert len(list(events_of("aws", ["a", "b"], 9, wait=wait))) == 4, "it is not followed"  # type: ignore[arg-type]
    assert len(list(events_of("aws", ["a"], 9, follow=True))) == 3, "nothing waits"  # type: ignore[arg-type]
    written.update(a=None, b=None)
    with pytest.raises(CommandError, match=r"^a and b have no log group"):
        list(events_of("aws", ["a", "b"], 9))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "sent"),
    [
        ({}, {}),
        ({"end": 0}, {"endTime": 0}),
        ({"end": 8, "pattern": "p"}, {"endTime": 8, "filterPattern": "p"}),
        ({"pattern": "p"}, {"filterPattern": "p"}),
    ],
)
def test_log_of_a_function_is_limited_by_cloudwatch(limits: dict[str, Any], sent: dict[str, Any]) -> None:
    aws: Any = AnsweringAws(filter_log_events=[{"message": "m"}])
    pipeline = load(CONFIG / "pipeline.toml")
    assert logs.of_function(aws, pipeline, "load", 7, **limits) == [{"message": "m"}]
    own = {"logGroupName": "/aws/lambda/totes-dev-load", "startTime": 7}
    assert aws.asked == [("logs", "filter_log_events", {**own, **sent})]
    aws.answers["filter_log_events"] = AwsError("none", code="ResourceNotFoundException")
    assert logs.of_function(aws, pipeline, "load", 7) == [], "it never ran"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        *((f'{{"level": "{level}", "message": "no"}}', "no") for level in ("ERROR", "CRITICAL", "FATAL")),
        ('{"log_level": "ERROR", "errorMessage": "no"}', "no"),
        ('{"level": "ERROR", "message": "", "errorMessage": "no"}', "no"),
        ('{"level": "ERROR", "message": "no", "errorMessage": "other"}', "no"),
        ('{"level": "INFO", "log_level": "ERROR", "message": "well"}', None),
        ('{"level": "WARNING", "message": "well"}', None),
        ('{"message": "well"}', None),
        ('{"level": "ERROR", "message": "a metric", "_aws": {}}', None),
        (" [ERROR] no\n", "[ERROR] no"),
        ("2026-01-01 Task timed out after 3.00 seconds\n\n", "2026-01-01 Task timed out after 3.00 seconds"),
        ("START RequestId: 1", None),
        ('{"level": "ERROR", "message": "[ERROR] cut', None),
    ],
)
def test_error_of_a_function_is_known_by_its_level(line: str, error: str | None) -> None:
    assert error_in(line) == error


def test_time_has_the_date_unless_it_is_today() -> None:
    now = datetime.now(UTC).replace(hour=10, minute=0, second=5)
    assert _time_of(int(now.timestamp() * 1000)) == "10:00:05Z"
    assert _time_of(1000) == "1970-01-01 00:00:01Z"
