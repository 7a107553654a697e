"""Events that fail for good in the emulator: a record in AWS's form, where the function's role may write it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator_destinations
from lambda_toolkit.pipeline.local_stack.aws_emulator.emulator_destinations import AsyncInvocations

ARN = "arn:aws:lambda:eu-west-2:000000000000:function:mine"
LIVE = f"{ARN}:live"
BUCKET = "arn:aws:s3:::failed"
AT = 1_767_323_045.678  # 2026-01-02T03:04:05.678Z
ROLE = "arn:aws:iam::000000000000:role/path/mine-role"


class Started:
    """Invocations with everything that is called replaced, and kept."""

    def __init__(self, destination: str = BUCKET, retries: int | None = None, **results: Any) -> None:
        self.written: list[Any] = []
        self.sent: list[Any] = []
        self.paused: list[float] = []
        self.ran: list[Any] = []
        self.asked: list[Any] = []
        self.results = [results or {"error": True, "body": {"errorMessage": "no"}, "function_error": "Handled"}]
        settings: dict[str, Any] = {"DestinationConfig": {"OnFailure": {"Destination": destination}}}
        settings |= {} if retries is None else {"MaximumRetryAttempts": retries}
        own = {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:own"}}}
        owner = {"event_invoke_configs": {"live": settings, "": own}}
        config = {"FunctionName": "mine", "FunctionArn": LIVE, "Role": ROLE, "Version": "7"}
        self.function: dict[str, Any] = {"config": config}
        self.allowed = True

        def run(function: Any, event: Any) -> dict[str, Any]:
            self.ran.append(event)
            return self.results[min(len(self.ran), len(self.results)) - 1]

        self.of = AsyncInvocations(
            run=run,
            function_of=lambda arn: (owner, None, "mine"),
            roles={"mine-role": {"role": "mine"}},
            allows=lambda *of: self.asked.append(of) or self.allowed,
            put_object=lambda *of: self.written.append(of),
            send_elsewhere=lambda *of: self.sent.append(of),
            within=lambda function, call, *of: call(*of),
            now=lambda: AT,
            sleep=self.paused.append,
        )


def test_event_that_fails_for_good_is_written_to_the_bucket() -> None:
    started = Started()
    started.of.attempt(started.function, {"a": 1}, 3)
    assert (started.ran, started.paused) == ([{"a": 1}] * 3, [1.0, 2.0])
    [(bucket, key, body, headers)] = started.written
    assert (bucket, headers) == ("failed", {"content-type": "application/json"})
    begin = "aws/lambda/async/mine/2026/01/02/2026-01-02T03.04.05-"
    assert key.startswith(begin) and len(key) == len(begin) + 36
    assert started.asked == [({"role": "mine"}, "s3:PutObject", f"{BUCKET}/{key}")]
    record = json.loads(body)
    assert len(record["requestContext"].pop("requestId")) == 36
    assert record == {
        "version": "1.0",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "requestContext": {"functionArn": LIVE, "condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": {"a": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "7", "functionError": "Handled"},
        "responsePayload": {"errorMessage": "no"},
    }


def test_record_has_what_is_known_of_a_failure() -> None:
    started = Started(error=True, body="no JSON")
    del started.function["config"]["Version"]
    started.of.attempt(started.function, None)
    record = json.loads(started.written[0][2])
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert (record["responsePayload"], record["requestContext"]["approximateInvokeCount"]) == ({}, 1)


@pytest.mark.parametrize("result", [{"error": False}, {"error": True, "throttle": True}])
def test_success_and_throttle_have_no_record(result: dict[str, Any]) -> None:
    started = Started(**result)
    started.of.attempt(started.function, None, 1)
    assert (started.written, started.sent) == ([], [])


def test_success_ends_the_repetitions() -> None:
    started = Started()
    started.results.append({"error": None})
    started.of.attempt(started.function, None, 3)
    assert (len(started.ran), started.paused, started.written) == (2, [1.0], [])


def test_role_must_be_allowed_to_write() -> None:
    for change in ("allowed", "role"):
        started = Started()
        started.allowed = change == "role"
        started.function["config"]["Role"] = ROLE if change == "allowed" else ""
        started.of.attempt(started.function, None)
        assert started.written == []


def test_other_destinations_are_the_emulators() -> None:
    queue = "arn:aws:sqs:eu-west-2:000000000000:failed"
    started = Started(queue)
    started.of.attempt(started.function, {"a": 1})
    assert started.sent == [(queue, "mine", {"a": 1}, started.results[0])] and started.written == []
    nothing = Started("")
    nothing.of.attempt(nothing.function, {"a": 1})
    assert (nothing.sent, nothing.written) == ([], [])
    nothing.function["config"]["DeadLetterConfig"] = {"TargetArn": queue}
    nothing.of.attempt(nothing.function, {"a": 1})
    assert [sent[0] for sent in nothing.sent] == [queue]
    other = Started()
    other.function["config"]["FunctionArn"] = f"{ARN}:other"
    other.of.attempt(other.function, {"a": 1})
    assert (other.sent, other.written) == ([], []), "the settings are those of the alias that was called"
    other.function["config"]["FunctionArn"] = ARN
    other.of.attempt(other.function, {"a": 1})
    assert [sent[0] for sent in other.sent] == ["arn:aws:sqs:own"]
    for owner in ({}, {"event_invoke_configs": None}, None):
        bare = Started()
        replace(bare.of, function_of=lambda arn, owner=owner: (owner, None, "")).attempt(bare.function, {"a": 1})
        assert (bare.sent, bare.written) == ([], []), "nothing was set"


@pytest.mark.parametrize(("retries", "attempts"), [(None, 3), (0, 1), (1, 2)])
def test_call_is_repeated_as_often_as_declared(monkeypatch, retries: int | None, attempts: int) -> None:
    class Now:
        def __init__(self, *, target: Any, args: Any, daemon: bool) -> None:
            assert daemon
            self.start = lambda: target(*args)

    monkeypatch.setattr(emulator_destinations.threading, "Thread", Now)
    started = Started(retries=retries)
    started.of.start(started.function, "e")
    assert len(started.ran) == attempts
    assert json.loads(started.written[0][2])["requestContext"]["approximateInvokeCount"] == attempts
    once = Started(retries=retries)
    once.of.start_once(once.function, "e")
    assert len(once.ran) == 1


def test_rules_topics_and_calls_start_functions_this_way(monkeypatch) -> None:
    """A rule's event runs once in the background, a topic's before the topic goes on, a call with repetitions."""
    names = {
        "lambda_svc": (
            *("_get_func_record_for_ref", "_execution_record_for_config", "_execute_function_with_config_scope"),
            *("_get_base_func_record_for_ref", "_route_async_failure", "_run_with_function_config_scope"),
            "invoke_async_with_retry",
        ),
        "eventbridge": ("_dispatch_to_lambda",),
        "sns": ("_deliver_to_lambda",),
        "s3": ("_put_object",),
        "iam": ("_roles",),
    }
    modules = {name: ModuleType(f"ministack.services.{name}") for name in names}
    for name, module in modules.items():
        vars(module).update({each: each for each in names[name]})
        monkeypatch.setitem(sys.modules, module.__name__, module)
    found = {LIVE: ("record", {"FunctionArn": ARN, "a": 1}, "mine"), ARN: ("record", None, "mine")}
    vars(modules["lambda_svc"]).update(
        _get_func_record_for_ref=lambda arn: found.get(arn, (None, None, "")),
        _execution_record_for_config=lambda record, config: {"record": record, "config": config},
    )
    begun: list[Any] = []
    for name in ("start_once", "attempt"):
        monkeypatch.setattr(AsyncInvocations, name, lambda self, *of, name=name: begun.append((name, *of)))
    of = emulator_destinations.install(getattr, "allows")  # type: ignore[arg-type]
    assert (of.run, of.function_of) == ("_execute_function_with_config_scope", "_get_base_func_record_for_ref")
    assert (of.roles, of.allows, of.put_object) == ("_roles", "allows", "_put_object")
    assert (of.send_elsewhere, of.within) == ("_route_async_failure", "_run_with_function_config_scope")
    assert vars(modules["lambda_svc"])["invoke_async_with_retry"] == of.start
    function = {"record": "record", "config": {"FunctionArn": LIVE, "a": 1}}
    by_rule, by_topic = vars(modules["eventbridge"])["_dispatch_to_lambda"], vars(modules["sns"])["_deliver_to_lambda"]
    for arn in (LIVE, ARN, "unknown"):
        by_rule(arn, '{"x": 1}')
        by_topic(arn, '{"Message": "m"}', "topic", "subscription", "more")
    record = {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": "subscription"}
    assert begun == [
        ("start_once", function, {"x": 1}),
        ("attempt", function, {"Records": [{**record, "Sns": {"Message": "m"}}]}),
    ]
