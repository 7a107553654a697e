"""Each limit of a function's settings at its edges: what Lambda takes has no finding, what it refuses has one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader

from lambda_toolkit.spec import service_model
from lambda_toolkit.spec.function_url import Cors, FunctionUrl
from lambda_toolkit.spec.limits.quotas import artifact_bucket, function_doubts, function_problems
from lambda_toolkit.spec.model import Alarm, FunctionSpec
from lambda_toolkit.spec.schedules.schedule import Schedule
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.s3 import S3Trigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger

ROLE = "arn:aws:iam::123456789012:role/service/report"
POLICY = "arn:aws:iam::123456789012:policy/limits"
KEY = "arn:aws:kms:eu-west-2:123456789012:key/1234abcd-12ab"
QUEUE = "arn:aws:sqs:eu-west-2:123456789012:failed"
SNAPSHOTS: dict[str, Any] = {"snapstart": True, "runtime": "python3.12"}
DAILY = (Schedule("cron(0 9 * * ? *)"),)


def layers(*numbers: int) -> tuple[str, ...]:
    return tuple(f"arn:aws:lambda:eu-west-2:123456789012:layer:own:{number}" for number in numbers)


def shown(value: object) -> str:
    """The start of the name of a case."""
    return str(value)[:60]


def spec(**different: Any) -> FunctionSpec:
    return FunctionSpec(**{"name": "f", "source": Path("f.py"), **different})


def findings(**different: Any) -> list[str]:
    """Problems and doubts: the model of AWS that is installed may allow more than what is written down."""
    return [*function_problems(spec(**different)), *function_doubts(spec(**different))]


TAKEN: tuple[dict[str, Any], ...] = (
    *({"log_format": "JSON", "log_level": level} for level in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")),
    *({"log_format": "JSON", "system_log_level": level} for level in ("DEBUG", "INFO", "WARN")),
    {"log_format": "Text"},
    {"log_format": "", "log_level": "", "system_log_level": "", "log_group": ""},
    {"log_group": "/shop/dev_1.#-"},
    {"log_group": "x" * 512},
    {"ephemeral_storage": 512},
    {"ephemeral_storage": 10_240},
    {"ephemeral_storage": 0, "tracing": "", "recursive_loop": "", "kms_key": ""},
    {"tracing": "Active", "recursive_loop": "Allow"},
    {"tracing": "PassThrough", "recursive_loop": "Terminate"},
    {"kms_key": KEY},
    SNAPSHOTS,
    {**SNAPSHOTS, "ephemeral_storage": 512, "provisioned_concurrency": 0},
    {"snapstart": False, "runtime": "python3.11", "ephemeral_storage": 1024, "provisioned_concurrency": 1},
    {"concurrency": 0, "provisioned_concurrency": 0},
    {"concurrency": 5, "provisioned_concurrency": 5},
    {"concurrency": "unreserved", "provisioned_concurrency": 5},
    {"layers": layers(1, 2, 3, 4, 5)},
    {"layers": layers(1, 2, 3, 4), "requirements": ("click", "rich")},
    *({"on_failure": QUEUE.replace("sqs", service)} for service in ("sqs", "sns", "lambda", "events")),
    {"on_failure": "arn:aws:s3:::failed-events"},
    {"on_failure": ""},
    {"retries": 0, "max_event_age": 60},
    {"retries": 2, "max_event_age": 21_600},
    {"role": ROLE, "permissions": None, "permissions_boundary": None},
    {"role": ROLE, "schedules": DAILY, "schedule_role": ROLE},
    {"role": ROLE, "schedules": ()},
    {"schedules": DAILY},
    {"permissions_boundary": POLICY},
    {"permissions_boundary": "arn:aws:iam::aws:policy/PowerUserAccess", "permissions": []},
    {"permissions_boundary": ""},
    {"health_event": {}},
    {"environment": {"Ab": "", "A_1": ""}, "log_retention_days": None},
    {"tags": {"away": ""}},
)


@pytest.mark.parametrize("different", TAKEN, ids=shown)
def test_setting_that_lambda_takes_has_no_finding(different: dict[str, Any]) -> None:
    assert findings(**different) == []


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"log_format": "JSON", "log_level": "debug"}, "log_level `debug`"),
    ({"log_format": "JSON", "system_log_level": "TRACE"}, "system_log_level `TRACE`"),
    ({"log_format": "XML"}, "log_format `XML`"),
    ({"log_level": "WARN"}, "log_level `WARN` needs"),
    ({"log_format": "", "system_log_level": "WARN"}, "system_log_level `WARN` needs"),
    ({"log_group": "x" * 513}, "log_group"),
    ({"log_group": "name!"}, "log_group `name!`"),
    ({"ephemeral_storage": 511}, "ephemeral_storage 511"),
    ({"ephemeral_storage": 10_241}, "ephemeral_storage 10241"),
    ({"tracing": "On"}, "tracing `On`"),
    ({"recursive_loop": "Stop"}, "recursive_loop `Stop`"),
    ({"kms_key": f"{KEY}!"}, "kms_key"),
    ({**SNAPSHOTS, "runtime": "python3.11"}, "snapstart needs python3.12"),
    ({**SNAPSHOTS, "runtime": "nodejs22.x"}, "runtime `nodejs22.x`"),
    ({**SNAPSHOTS, "ephemeral_storage": 513}, "ephemeral_storage exclude each other"),
    ({**SNAPSHOTS, "provisioned_concurrency": 1}, "provisioned_concurrency and snapstart exclude each other"),
    ({"concurrency": -1, "provisioned_concurrency": 1}, "concurrency -1 is negative"),
    ({"provisioned_concurrency": -1}, "provisioned_concurrency -1 is negative"),
    ({"concurrency": 5, "provisioned_concurrency": 6}, "more than the function's concurrency 5"),
    ({"concurrency": 0, "provisioned_concurrency": 1}, "more than the function's concurrency 0"),
    ({"layers": layers(1, 2, 3, 4, 5, 6)}, "6 layers are more than the 5"),
    ({"layers": layers(1, 2, 3, 4, 5), "requirements": ("click",)}, "6 layers, with that of the requirements,"),
    ({"layers": layers(1, 2, 1)}, "layer:own:1` is declared twice"),
    ({"layers": (f"{layers(1)[0]}a",)}, "is not the ARN of a layer's version"),
    ({"on_failure": "failed"}, "on_failure `failed` is not the ARN"),
    ({"on_failure": "arn:aws:s3:::failed/"}, "on_failure"),
    ({"on_failure": f"{QUEUE}.fifo"}, "standard queues and topics only"),
    ({"retries": -1}, "retries -1"),
    ({"retries": 3}, "retries 3"),
    ({"max_event_age": 59}, "max_event_age 59"),
    ({"max_event_age": 21_601}, "max_event_age 21601"),
    ({"role": f"{ROLE}!"}, "role `"),
    ({"role": ROLE, "permissions": []}, "that role has the permissions"),
    ({"role": ROLE, "permissions_boundary": ""}, "that role has the boundary"),
    ({"role": ROLE, "schedules": DAILY}, "give a `schedule_role`"),
    ({"schedules": DAILY, "schedule_role": f"{ROLE}!"}, "schedule_role"),
    ({"permissions_boundary": f"{POLICY}!"}, "permissions_boundary"),
    ({"permissions_boundary": ROLE}, "permissions_boundary"),
    ({"health_event": {"a": {1}}}, "health event"),
    ({"health_event": {"a": float("inf")}}, "health event"),
    ({"environment": {"A": ""}}, "`A` cannot be the name"),
    ({"environment": {"AB ": ""}}, "`AB ` cannot be the name"),
    *(({"environment": {name: ""}}, "reserved") for name in ("AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SECURITY_TOKEN")),
    ({"tags": {"AWS:team": ""}}, "reserved by AWS"),
    ({"tags": {"team": "a;b"}}, "tag `team`"),
    ({"tags": {"te;am": "a"}}, "tag `te;am`"),
    ({"log_retention_days": 0}, "log_retention_days 0"),
    ({"alarms": (Alarm("a", ""),)}, "must not be empty"),
    ({"alarms": (Alarm("a", "E", namespace=""),)}, "must not be empty"),
    ({"alarms": (Alarm("a", "E", dimensions={":d": "x"}, namespace="own"),)}, "a dimension needs a name"),
    ({"alarms": (Alarm("a", "E", dimensions={" ": "x"}, namespace="own"),)}, "a dimension needs a name"),
    ({"alarms": (Alarm("a", "Errors", namespace="n" * 256),)}, "its namespace has 256 characters"),
    ({"alarms": (Alarm("a", "Eror"),)}, "Did you mean Errors?"),
)


@pytest.mark.parametrize(("different", "says"), REFUSED, ids=shown)
def test_setting_that_lambda_refuses_has_one_finding(different: dict[str, Any], says: str) -> None:
    # An alarm without a metric has a second one: Lambda has no metric of that name.
    found = [each for each in findings(**different) if "had no metric ``" not in each]
    assert len(found) == 1
    assert says in found[0]


LAMBDA, CLOUDWATCH, SCHEDULER = "lambda", "cloudwatch", "scheduler"
NEWER: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    (LAMBDA, "Architecture", "riscv", {"architecture": "riscv"}),
    (LAMBDA, "MemorySize", "", {"memory": 90_000}),
    (LAMBDA, "Timeout", "", {"timeout": 90_000}),
    (LAMBDA, "Description", "", {"description": "x" * 257}),
    (LAMBDA, "EphemeralStorageSize", "", {"ephemeral_storage": 90_000}),
    (LAMBDA, "TracingMode", "All", {"tracing": "All"}),
    (LAMBDA, "RecursiveLoop", "Ask", {"recursive_loop": "Ask"}),
    (LAMBDA, "LogFormat", "XML", {"log_format": "XML"}),
    (LAMBDA, "ApplicationLogLevel", "ALL", {"log_format": "JSON", "log_level": "ALL"}),
    (LAMBDA, "SystemLogLevel", "ALL", {"log_format": "JSON", "system_log_level": "ALL"}),
    (LAMBDA, "MaximumRetryAttempts", "", {"retries": 3}),
    (LAMBDA, "MaximumEventAgeInSeconds", "", {"max_event_age": 21_601}),
    (LAMBDA, "BatchSize", "", {"queue_triggers": (QueueTrigger("orders", 10_001, 1),)}),
    (LAMBDA, "MaximumBatchingWindowInSeconds", "", {"queue_triggers": (QueueTrigger("orders", 10, 301),)}),
    (LAMBDA, "MaximumConcurrency", "", {"queue_triggers": (QueueTrigger("orders", maximum_concurrency=1001),)}),
    (LAMBDA, "ParallelizationFactor", "", {"stream_triggers": (StreamTrigger("clicks", parallelization_factor=11),)}),
    (
        LAMBDA,
        "MaximumRetryAttemptsEventSourceMapping",
        "",
        {"stream_triggers": (StreamTrigger("clicks", retries=10_001),)},
    ),
    (LAMBDA, "MaximumRecordAgeInSeconds", "", {"stream_triggers": (StreamTrigger("clicks", max_record_age=604_801),)}),
    (
        LAMBDA,
        "EventSourcePosition",
        "NEWEST",
        {"stream_triggers": (StreamTrigger("clicks", starting_position="NEWEST"),)},
    ),
    (LAMBDA, "FunctionUrlAuthType", "OIDC", {"url": FunctionUrl("OIDC")}),
    (LAMBDA, "InvokeMode", "DUPLEX", {"url": FunctionUrl("NONE", invoke_mode="DUPLEX")}),
    (LAMBDA, "MaxAge", "", {"url": FunctionUrl("NONE", Cors(max_age=86_401))}),
    (LAMBDA, "Origin", "", {"url": FunctionUrl("NONE", Cors(origins=(f"https://{'x' * 246}",)))}),
    (LAMBDA, "Header", "", {"url": FunctionUrl("NONE", Cors(headers=("x" * 1025,)))}),
    (LAMBDA, "Header", "", {"url": FunctionUrl("NONE", Cors(exposed_headers=("x" * 1025,)))}),
    (CLOUDWATCH, "AlarmDescription", "", {"alarms": (Alarm("a", "Errors", description="x" * 1025),)}),
    (CLOUDWATCH, "MetricName", "", {"alarms": (Alarm("a", "x" * 256, "own"),)}),
    (CLOUDWATCH, "Namespace", "", {"alarms": (Alarm("a", "Errors", "x" * 256),)}),
    (CLOUDWATCH, "DimensionName", "", {"alarms": (Alarm("a", "Errors", dimensions={"x" * 256: "v"}),)}),
    (CLOUDWATCH, "DimensionValue", "", {"alarms": (Alarm("a", "Errors", dimensions={"d": "x" * 1025}),)}),
    (SCHEDULER, "MaximumWindowInMinutes", "", {"schedules": (Schedule("rate(1 day)", flexible_minutes=1441),)}),
    (SCHEDULER, "MaximumRetryAttempts", "", {"schedules": (Schedule("rate(1 day)", retries=186),)}),
    (SCHEDULER, "MaximumEventAgeInSeconds", "", {"schedules": (Schedule("rate(1 day)", max_event_age=86_401),)}),
    ("s3", "Event", "s3:New", {"s3_triggers": (S3Trigger("lake", events=("s3:New",)),)}),
)


@pytest.mark.parametrize(("service", "shape", "value", "different"), NEWER, ids=[each[1] for each in NEWER])
def test_what_a_newer_model_allows_is_a_doubt(
    monkeypatch: pytest.MonkeyPatch, service: str, shape: str, value: str, different: dict[str, Any]
) -> None:
    """By the name that AWS's own model has for the shape of each value."""
    newer = {shape: {"enum": [value]} if value else {"max": 1_000_000}}
    monkeypatch.setattr(service_model, "_shapes", lambda asked: newer if asked == service else {})
    assert function_problems(spec(**different)) == []
    [doubt] = function_doubts(spec(**different))
    assert "so AWS decides" in doubt
    *_, setting = different
    assert re.search(rf"\b{setting.removesuffix('_triggers').rstrip('s')}", doubt), "it names what was declared"
    narrower = {shape: {"enum": ["other"]} if value else {"max": 1}}
    monkeypatch.setattr(service_model, "_shapes", lambda asked: narrower if asked == service else {})
    assert function_doubts(spec(**different)) == []
    assert len(function_problems(spec(**different))) == 1


def test_shapes_have_the_names_of_the_models_of_aws() -> None:
    loader = Loader()
    models = {service: loader.load_service_model(service, "service-2")["shapes"] for service, *_ in NEWER}
    assert [shape for service, shape, *_ in NEWER if shape not in models[service]] == []


METRICS = """
    Invocations Errors DeadLetterErrors DestinationDeliveryFailures Throttles OversizedRecordCount
    ProvisionedConcurrencyInvocations ProvisionedConcurrencySpilloverInvocations RecursiveInvocationsDropped
    Duration PostRuntimeExtensionsDuration IteratorAge OffsetLag
    ConcurrentExecutions ProvisionedConcurrentExecutions ProvisionedConcurrencyUtilization
    UnreservedConcurrentExecutions ClaimedAccountConcurrency
    AsyncEventsReceived AsyncEventAge AsyncEventsDropped SignatureValidationErrors
    PolledEventCount FilteredOutEventCount InvokedEventCount FailedInvokeEventCount DroppedEventCount
    OnFailureDestinationDeliveredEventCount DeletedEventCount
"""
"""Of Lambda's developer guide, "Types of metrics for Lambda functions"."""


def test_metric_that_lambda_has_is_no_doubt() -> None:
    assert function_doubts(spec(alarms=tuple(Alarm(name.lower(), name) for name in METRICS.split()))) == []


def test_model_of_aws_is_asked_for_size_value_and_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = {
        "Number": {"min": 2, "max": 4},
        "Text": {"min": 2, "max": 3},
        "Colour": {"enum": ["red", "blue"]},
        "Digits": {"pattern": "[0-9]+"},
        "Java": {"pattern": r"\p{L}+"},
    }
    monkeypatch.setattr(service_model, "_shapes", lambda service: shapes)
    asked: dict[str, tuple[Any, ...]] = {
        "Number": (1, 2, 3.5, 4, 5, True, "12345"),
        "Text": ("a", "ab", "abc", "abcd", ["a"], ("a", "b"), {"a": 1}),
        "Colour": ("red", "blue", "green"),
        "Digits": ("12", "12a", ""),
        "Java": ("any\ntext",),
        "Unknown": ("any", 10**9),
    }
    assert {
        shape: [service_model.allows("x", shape, value) for value in values] for shape, values in asked.items()
    } == {
        "Number": [False, True, True, True, False, True, False],
        "Text": [False, True, True, False, False, True, True],
        "Colour": [True, True, False],
        "Digits": [True, False, False],
        "Java": [True],
        "Unknown": [True, True],
    }
    assert (service_model.largest("x", "Number"), service_model.largest("x", "Colour")) == (4, None)
    assert (service_model.known_values("x", "Colour"), service_model.known_values("x", "Text")) == (("red", "blue"), ())


def test_bucket_of_the_toolkit_differs_by_account_and_region() -> None:
    """Its name stays: packages of earlier deploys are in it."""
    assert artifact_bucket("123456789012", "eu-west-2") == "lambda-script-123456789012-eu-west-2"


@pytest.mark.parametrize(
    ("different", "watches"),
    [
        ({}, True),
        ({"missing_data": "missing"}, True),
        ({"missing_data": "breaching"}, False),
        ({"missing_data": "ignore"}, False),
        ({"missing_data": "missing", "notify_on_insufficient_data": True}, False),
        ({"expression": "FILL(m, 0)"}, False),
        ({"expression": "m * 2"}, True),
    ],
    ids=shown,
)
def test_alarm_that_waits_for_silence_watches_no_canary(different: dict[str, Any], watches: bool) -> None:
    assert Alarm("a", "Errors", **different).watches_canary is watches
