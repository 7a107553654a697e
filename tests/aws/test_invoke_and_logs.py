"""`invoke()` calls the live version of a deployed function, and `logs()` reads what it wrote."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from lambda_script import Lambda_script, ToolkitError
from lambda_toolkit.aws.client import Aws
from tests.support.moto_lambda import Invocations

GROUP = "/aws/lambda/my-function"


def test_invoke_calls_the_live_version(script: Callable[..., Lambda_script], invocations: Invocations) -> None:
    with pytest.raises(ToolkitError, match=r"no function my-function on AWS yet. Deploy it first"):
        script().invoke()
    script().deploy()
    answer = script().invoke({"n": 1})
    assert (answer.ok, answer.result) == (True, {"ok": True})
    assert invocations.made[-1][1] == {"n": 1}
    invocations.problem = lambda version, event: "no such order"
    failed = script().invoke({"n": 2})
    assert (failed.ok, failed.result) == (False, None)
    assert "no such order" in str(failed.error)
    with pytest.raises(ToolkitError, match="cannot be written as JSON"):
        script().invoke({1, 2})


def test_logs_are_read_once_and_in_order(script: Callable[..., Lambda_script], aws: Aws, client: Any) -> None:
    with pytest.raises(ToolkitError, match=f"no log group {GROUP} yet"):
        list(script().logs())
    script().deploy()
    logs, now = client("logs"), int(time.time() * 1000)
    for stream, ages in (("b", (3000, 1000)), ("a", (2000, 3_600_000))):
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        events = [{"timestamp": now - age, "message": f"{age} ago\n"} for age in sorted(ages, reverse=True)]
        logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)
    assert [event.message for event in script().logs()] == ["3000 ago", "2000 ago", "1000 ago"]
    assert next(event.message for event in script().logs(minutes=120)) == "3600000 ago"
    assert str(next(iter(script().logs()))).endswith("Z  3000 ago")
