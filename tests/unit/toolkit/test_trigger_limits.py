"""Each limit of triggers, URL and network at its edges, the forms of a declaration, and event patterns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.errors import LimitError, TriggerError
from lambda_toolkit.spec import function_url, network
from lambda_toolkit.spec.event_pattern import as_json, pattern_problems
from lambda_toolkit.spec.function_url import Cors, FunctionUrl
from lambda_toolkit.spec.limit_checks import Doubt
from lambda_toolkit.spec.limits.quotas import function_doubts, function_problems
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.network import Vpc
from lambda_toolkit.spec.triggers import event, queue, s3, stream, topic
from lambda_toolkit.spec.triggers.event import EventTrigger
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.s3 import S3Trigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger
from lambda_toolkit.spec.triggers.topic import TopicTrigger

ARN = "arn:aws:{}:eu-west-2:123456789012:{}"
PATTERN = {"source": ["shop"]}
TIME = "2026-11-01T00:00:00Z"
AT = {"starting_position": "AT_TIMESTAMP", "starting_timestamp": TIME}
CONSUMER = ARN.format("kinesis", "stream/clicks/consumer/app:1730000000")
TABLE_STREAM = ARN.format("dynamodb", "table/orders/stream/2026-11-01T00:00:00.000")
READ: dict[str, Callable[[Any], Any]] = {
    "queue_triggers": queue.read,
    "stream_triggers": stream.read,
    "topic_triggers": topic.read,
    "event_triggers": event.read,
    "s3_triggers": s3.read,
    "url": function_url.read,
    "vpc": network.read,
}


def findings(name: str, value: Any, **more: Any) -> list[str]:
    """Problems and doubts of what ``value`` declares."""
    spec = FunctionSpec("f", Path("f.py"), **{name: READ[name](value), **more})
    return [*function_problems(spec), *function_doubts(spec)]


def shown(value: object) -> str:
    """The start of the name of a case."""
    return str(value)[:60]


def many(number: int, start: str = "x") -> list[str]:
    return [f"{start}{each}" for each in range(number)]


TAKEN: tuple[tuple[str, Any], ...] = (
    *(("queue_triggers", name) for name in ("q" * 80, f"{'q' * 75}.fifo", ARN.format("sqs", "orders"))),
    ("queue_triggers", []),
    ("queue_triggers", {"queue": "orders", "batch_size": 1}),
    ("queue_triggers", {"queue": "orders", "batch_size": 10_000, "batching_window": 1}),
    ("queue_triggers", {"queue": "orders", "batch_size": 11, "batching_window": 300}),
    ("queue_triggers", {"queue": "orders.fifo", "batch_size": 10, "maximum_concurrency": 2}),
    ("queue_triggers", {"queue": "orders", "maximum_concurrency": 1000, "filters": [PATTERN] * 5}),
    ("queue_triggers", {"queue": "orders", "filters": PATTERN}),
    ("queue_triggers", ["orders", "refunds"]),
    *(("stream_triggers", name) for name in ("s" * 128, ARN.format("kinesis", "stream/clicks"), CONSUMER)),
    *(("stream_triggers", {"table": name}) for name in ("abc", "t" * 255, ARN.format("dynamodb", "table/orders"))),
    ("stream_triggers", TABLE_STREAM),
    ("stream_triggers", {"stream": TABLE_STREAM, "starting_position": "LATEST"}),
    ("stream_triggers", {"stream": "clicks", **AT}),
    ("stream_triggers", {"stream": CONSUMER, **AT}),
    ("stream_triggers", {"stream": "clicks", "parallelization_factor": 10, "retries": 10_000, "max_record_age": 60}),
    ("stream_triggers", {"stream": "clicks", "parallelization_factor": 1, "retries": -1, "max_record_age": 604_800}),
    ("stream_triggers", {"stream": "clicks", "retries": 0, "max_record_age": -1, "batch_size": 1}),
    *(("stream_triggers", {"table": "abc", "on_failure": ARN.format(service, "f_-")}) for service in ("sqs", "sns")),
    ("stream_triggers", {"table": "abc", "on_failure": "arn:aws:s3:::failed"}),
    ("stream_triggers", [{"table": "orders"}, "clicks"]),
    *(("topic_triggers", name) for name in ("t" * 256, ARN.format("sns", "orders"), ["orders", "refunds"])),
    ("topic_triggers", {"topic": "orders", "filter_policy": {"kind": ["new"]}, "filter_scope": "MessageBody"}),
    ("topic_triggers", {"topic": "orders", "filter_scope": "MessageAttributes"}),
    ("event_triggers", {"pattern": PATTERN, "name": "n" * 40, "bus": "b" * 256}),
    ("event_triggers", {"pattern": PATTERN, "name": "a.B_c-9", "bus": "aws.partner/shop.com/orders_1"}),
    ("event_triggers", [{"pattern": PATTERN}, {"pattern": PATTERN, "name": "other"}]),
    *(
        ("s3_triggers", {"bucket": "lake", "events": f"s3:{event}"})
        for event in (
            *("ObjectCreated:*", "ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:Copy"),
            *("ObjectCreated:CompleteMultipartUpload", "ObjectRemoved:*", "ObjectRemoved:Delete"),
            "ObjectRemoved:DeleteMarkerCreated",
        )
    ),
    ("url", ""),
    ("url", "NONE"),
    ("url", {"auth": "AWS_IAM", "invoke_mode": "RESPONSE_STREAM"}),
    *(("url", {"auth": "NONE", "cors": {"methods": method}}) for method in ("GET", "PUT", "HEAD", "POST", "PATCH")),
    ("url", {"auth": "NONE", "cors": {"methods": ["DELETE", "*"], "credentials": True}}),
    ("url", {"auth": "NONE", "cors": {"methods": ["GET", "PUT", "HEAD", "POST", "PATCH", "DELETE"]}}),
    *(("url", {"auth": "NONE", "cors": {"origins": origin}}) for origin in ("*", "http://x", "https://example.com:8")),
    ("url", {"auth": "NONE", "cors": {"origins": many(100, "https://x"), "headers": many(100), "max_age": 0}}),
    ("url", {"auth": "NONE", "cors": {"exposed_headers": many(100), "headers": "x" * 1024, "max_age": 86_400}}),
    ("url", {"auth": "NONE", "cors": {"origins": f"https://{'x' * 245}", "exposed_headers": ["x" * 1024]}}),
    ("vpc", {"subnets": many(16, "subnet-a"), "security_groups": many(5, "sg-A")}),
    ("vpc", {"subnets": ["subnet-1"] * 17, "security_groups": ["sg-1"] * 6}),
    ("vpc", {}),
)


@pytest.mark.parametrize(("name", "value"), TAKEN, ids=shown)
def test_trigger_that_aws_takes_has_no_finding(name: str, value: Any) -> None:
    assert findings(name, value) == []


REFUSED: tuple[tuple[str, Any, str], ...] = (
    *(
        ("queue_triggers", name, "neither the name of an SQS queue")
        for name in ("q" * 81, f"{'q' * 76}.fifo", ".fifo", "orders!", ARN.format("sns", "orders"))
    ),
    ("queue_triggers", "", "names no queue"),
    ("queue_triggers", ["a", "b", "a"], "two triggers on the queue `a`; declare it once"),
    ("queue_triggers", {"queue": "orders", "batch_size": 0}, "`orders`: batch_size 0 is"),
    ("queue_triggers", {"queue": "orders", "batch_size": 10_001, "batching_window": 1}, "batch_size 10001"),
    ("queue_triggers", {"queue": "orders", "batch_size": 11}, "more than 10 needs a batching_window"),
    ("queue_triggers", {"queue": "orders", "batching_window": -1}, "batching_window -1 is"),
    ("queue_triggers", {"queue": "orders", "batching_window": 301}, "batching_window 301 is"),
    ("queue_triggers", {"queue": "o.fifo", "batch_size": 11}, "more than 10, the most of a FIFO queue"),
    ("queue_triggers", {"queue": "o.fifo", "batching_window": 1}, "has no batching_window"),
    ("queue_triggers", {"queue": "orders", "maximum_concurrency": 1}, "maximum_concurrency 1 is"),
    ("queue_triggers", {"queue": "orders", "maximum_concurrency": 0}, "maximum_concurrency 0 is"),
    ("queue_triggers", {"queue": "orders", "maximum_concurrency": 1001}, "maximum_concurrency 1001 is"),
    ("queue_triggers", {"queue": "orders", "filters": [PATTERN] * 6}, "6 filters are more than the 5"),
    ("queue_triggers", {"queue": "orders", "filters": [PATTERN, {}]}, "`orders`: filter 2 must be a mapping"),
    ("stream_triggers", {}, "needs either `stream`"),
    ("stream_triggers", {"stream": "clicks", "table": "orders"}, "needs either `stream`"),
    *(
        ("stream_triggers", name, "neither the name of a Kinesis stream")
        for name in ("s" * 129, "clicks!", f"{CONSUMER}!", f"{TABLE_STREAM}!", ARN.format("kinesis", "clicks"))
    ),
    *(("stream_triggers", {"table": name}, "name of a DynamoDB table") for name in ("ab", "t" * 256, "orders!")),
    ("stream_triggers", ["clicks", "clicks"], "two triggers on the stream `clicks`"),
    ("stream_triggers", [{"table": "orders"}] * 2, "two triggers on the stream `orders`"),
    ("stream_triggers", {"stream": "clicks", "starting_position": "LAST"}, "starting_position `LAST`"),
    ("stream_triggers", {"stream": "clicks", "starting_position": "AT_TIMESTAMP"}, "need each other"),
    ("stream_triggers", {"stream": "clicks", "starting_timestamp": TIME}, "need each other"),
    ("stream_triggers", {"stream": "clicks", **AT, "starting_timestamp": TIME[:-1]}, "it has no zone"),
    ("stream_triggers", {"stream": "clicks", **AT, "starting_timestamp": "today"}, "is no time of ISO 8601"),
    ("stream_triggers", {"table": "orders", **AT}, "a table's stream has no AT_TIMESTAMP"),
    ("stream_triggers", {"stream": TABLE_STREAM, **AT}, "a table's stream has no AT_TIMESTAMP"),
    ("stream_triggers", {"stream": "clicks", "parallelization_factor": 0}, "parallelization_factor 0"),
    ("stream_triggers", {"stream": "clicks", "parallelization_factor": 11}, "parallelization_factor 11"),
    ("stream_triggers", {"stream": "clicks", "retries": -2}, "retries -2"),
    ("stream_triggers", {"stream": "clicks", "retries": 10_001}, "retries 10001"),
    *(
        ("stream_triggers", {"stream": "clicks", "max_record_age": age}, f"age {age} is")
        for age in (-2, 0, 59, 604_801)
    ),
    ("stream_triggers", {"stream": "clicks", "on_failure": ARN.format("sqs", "f.fifo")}, "on_failure"),
    ("stream_triggers", {"stream": "clicks", "on_failure": ARN.format("lambda", "f")}, "on_failure"),
    ("stream_triggers", {"stream": "clicks", "batch_size": 0}, "`clicks`: batch_size 0"),
    ("topic_triggers", "", "names no topic"),
    *(
        ("topic_triggers", name, "neither the name of a standard topic")
        for name in ("t" * 257, "orders.fifo", ARN.format("sqs", "orders"))
    ),
    ("topic_triggers", ["a", "b", "a"], "two triggers on the topic `a`"),
    ("topic_triggers", {"topic": "orders", "filter_scope": "Body"}, "`Body` must be MessageAttributes or"),
    ("topic_triggers", {"topic": "orders", "filter_policy": {"a": {1}}}, "cannot be written as JSON"),
    *(("event_triggers", {"pattern": PATTERN, "name": name}, "name must be") for name in ("n" * 41, "a b", "schedule")),
    ("event_triggers", {"pattern": PATTERN, "bus": "b" * 257}, "is not the name of an event bus"),
    ("event_triggers", {"pattern": PATTERN, "bus": ""}, "is not the name of an event bus"),
    ("event_triggers", [{"pattern": PATTERN}] * 2, "trigger `events`; give each a name of its own"),
    ("event_triggers", {"pattern": {}}, "its event trigger `events`: its pattern must be"),
    ("s3_triggers", {"bucket": "Lake"}, "its trigger's bucket `Lake`"),
    ("s3_triggers", {"bucket": "lake", "events": ["s3:ObjectCreated:?"]}, "its trigger's event `s3:ObjectCreated:?`"),
    ("s3_triggers", {"bucket": "lake", "prefix": "\udc80" * 342}, "prefix has 1026 bytes"),
    ("s3_triggers", {"bucket": "lake", "suffix": "x" * 1025}, "suffix has 1025 bytes"),
    ("url", "none", "its url's auth `none`"),
    ("url", {"auth": "NONE", "invoke_mode": "STREAM"}, "its url's invoke_mode `STREAM`"),
    *(("url", {"auth": "NONE", "cors": {"max_age": age}}, f"max_age {age} is") for age in (-1, 86_401)),
    ("url", {"auth": "NONE", "cors": {"methods": "OPTIONS"}}, "its url's method `OPTIONS`"),
    ("url", {"auth": "NONE", "cors": {"methods": ["GET"] * 7}}, "its url has 7 methods"),
    *(
        ("url", {"auth": "NONE", "cors": {"origins": origin}}, f"`{origin}` is no origin")
        for origin in ("**", "ftp://x", "https://", "https://x/", "https://x y")
    ),
    ("url", {"auth": "NONE", "cors": {"origins": many(101, "https://x")}}, "its url has 101 origins"),
    ("url", {"auth": "NONE", "cors": {"headers": many(101)}}, "its url has 101 headers"),
    ("url", {"auth": "NONE", "cors": {"exposed_headers": many(101)}}, "its url has 101 headers"),
    ("url", {"auth": "NONE", "cors": {"headers": "x" * 1025}}, "its url's header"),
    ("url", {"auth": "NONE", "cors": {"exposed_headers": "x" * 1025}}, "its url's header"),
    ("url", {"auth": "NONE", "cors": {"origins": f"https://{'x' * 246}"}}, "its url's origin"),
    ("vpc", {"subnets": many(17, "subnet-"), "security_groups": ["sg-1"]}, "17 subnets; the limit is 16"),
    ("vpc", {"subnets": ["subnet-1"], "security_groups": many(6, "sg-")}, "6 security_groups; the limit is 5"),
    ("vpc", {"subnets": ["subnet-1!"], "security_groups": ["sg-1"]}, "`subnet-1!` in subnets is no id"),
    ("vpc", {"subnets": ["subnet-1"], "security_groups": ["sg-1!"]}, "`sg-1!` in security_groups is no id"),
    ("vpc", {"subnets": ["subnet-1"]}, "vpc has `subnets` and no `security_groups`"),
    ("vpc", {"security_groups": ["sg-1"]}, "vpc has `security_groups` and no `subnets`"),
    ("vpc", {"ipv6": True}, "vpc has `ipv6` and no subnets"),
    ("vpc", {"subnets": ["subnet-1"], "security_groups": ["sg-1"], "ipv6": True}, "declare `environment`"),
)


@pytest.mark.parametrize(("name", "value", "says"), REFUSED, ids=shown)
def test_trigger_that_aws_refuses_has_one_finding(name: str, value: Any, says: str) -> None:
    [found] = findings(name, value)
    assert says in found


def test_bus_by_its_arn_is_refused_with_the_reason() -> None:
    found = findings("event_triggers", {"pattern": PATTERN, "bus": ARN.format("events", "event-bus/shop")})
    assert any("not an ARN" in each for each in found)


@pytest.mark.parametrize(("concurrency", "doubts"), [(4, 1), (5, 0), (0, 1), ("unreserved", 0), (None, 0)])
def test_queue_that_asks_for_more_than_the_function_has(concurrency: int | str | None, doubts: int) -> None:
    trigger = {"queue": "orders", "maximum_concurrency": 5}
    assert len(findings("queue_triggers", trigger, concurrency=concurrency)) == doubts


def test_ipv6_goes_with_declared_variables() -> None:
    vpc = {"subnets": ["subnet-1"], "security_groups": ["sg-1"], "ipv6": True}
    assert findings("vpc", vpc, environment={}) == []
    declared = network.read(vpc)
    assert network.endpoint_variables(declared) == {"AWS_USE_DUALSTACK_ENDPOINT": "true"}
    assert network.endpoint_variables(Vpc(("subnet-1",), ("sg-1",))) == network.endpoint_variables(None) == {}
    assert Vpc(("b", "a", "b"), ("d", "c"), ipv6=True).as_config() == {
        "SubnetIds": ["a", "b"],
        "SecurityGroupIds": ["c", "d"],
        "Ipv6AllowedForDualStack": True,
    }
    assert [Vpc(("a",)).is_attached, Vpc((), ("b",)).is_attached, Vpc(ipv6=True).is_attached] == [True, True, False]


READS: tuple[tuple[str, Any, Any], ...] = (
    *((name, None, None) for name in READ),
    ("queue_triggers", (), ()),
    ("queue_triggers", "orders", (QueueTrigger("orders"),)),
    ("queue_triggers", QueueTrigger("orders"), (QueueTrigger("orders"),)),
    ("queue_triggers", {"queue": "a", "filters": PATTERN}, (QueueTrigger("a", filters=(PATTERN,)),)),
    (
        "queue_triggers",
        [{"queue": "a", "filters": [PATTERN]}, "b"],
        (QueueTrigger("a", filters=(PATTERN,)), QueueTrigger("b")),
    ),
    ("stream_triggers", "clicks", (StreamTrigger("clicks"),)),
    ("stream_triggers", [StreamTrigger(table="orders")], (StreamTrigger(table="orders"),)),
    ("topic_triggers", "orders", (TopicTrigger("orders"),)),
    ("topic_triggers", TopicTrigger("orders"), (TopicTrigger("orders"),)),
    ("topic_triggers", ["a", {"topic": "b"}], (TopicTrigger("a"), TopicTrigger("b"))),
    ("event_triggers", EventTrigger(PATTERN), (EventTrigger(PATTERN),)),
    ("event_triggers", {"pattern": PATTERN, "enabled": False}, (EventTrigger(PATTERN, enabled=False),)),
    ("s3_triggers", S3Trigger("lake"), (S3Trigger("lake"),)),
    ("s3_triggers", {"bucket": "lake", "events": "e"}, (S3Trigger("lake", events=("e",)),)),
    (
        "s3_triggers",
        [{"bucket": "lake", "events": ["a", "b"]}, S3Trigger("b")],
        (S3Trigger("lake", events=("a", "b")), S3Trigger("b")),
    ),
    ("s3_triggers", {"bucket": "lake"}, (S3Trigger("lake", "", "", ("s3:ObjectCreated:*",)),)),
    ("url", "", ""),
    ("url", "AWS_IAM", FunctionUrl("AWS_IAM", Cors(), "BUFFERED")),
    ("url", FunctionUrl("NONE"), FunctionUrl("NONE")),
    ("url", {"auth": "NONE", "cors": Cors(("*",))}, FunctionUrl("NONE", Cors(("*",)))),
    (
        "url",
        {"auth": "NONE", "cors": {"origins": "*", "methods": ["GET"], "headers": "a", "exposed_headers": "b"}},
        FunctionUrl("NONE", Cors(("*",), ("GET",), ("a",), ("b",))),
    ),
    ("vpc", Vpc(("subnet-1",)), Vpc(("subnet-1",))),
    ("vpc", {"subnets": ["subnet-1"], "ipv6": True}, Vpc(("subnet-1",), (), ipv6=True)),
)


@pytest.mark.parametrize(("name", "value", "expected"), READS, ids=shown)
def test_declaration_may_have_several_forms(name: str, value: Any, expected: Any) -> None:
    assert READ[name](value) == expected


WRONG: tuple[tuple[str, Any, str], ...] = (
    *((name, 5, "5") for name in READ),
    *((name, {"nothing": 1}, "nothing") for name in READ),
    ("queue_triggers", b"orders", "b'orders'"),
    ("queue_triggers", {"queue": "orders", "maximum_concurrency": True}, "`maximum_concurrency` is True"),
    ("queue_triggers", {"queue": "orders", "maximum_concurrency": "5"}, "which is not an integer"),
    ("queue_triggers", {"queue": "orders", "batch_size": True}, "`batch_size` is True"),
    ("queue_triggers", {"queue": "orders", "filters": None}, "queue_trigger takes"),
    ("queue_triggers", {"queue": 5}, "`queue` is 5, which is not a string"),
    ("queue_triggers", {"queue": "orders", "enabled": None}, "which is not True or False"),
    ("stream_triggers", {"stream": "clicks", "filters": ["a"]}, "which is not a list of mappings"),
    ("event_triggers", {"pattern": "a"}, "`pattern` is 'a', which is not a mapping"),
    ("topic_triggers", {"topic": 5}, "topic_trigger takes"),
    ("topic_triggers", {"topic": "a", "filter_scope": 5}, "topic_trigger takes"),
    ("topic_triggers", {"topic": "a", "filter_policy": []}, "topic_trigger takes"),
    ("s3_triggers", "lake", "'lake' does not fit"),
    ("s3_triggers", [S3Trigger("lake", events="s3:ObjectCreated:*")], "does not fit"),  # type: ignore[arg-type]
    ("s3_triggers", {"bucket": "lake", "events": [5]}, "does not fit"),
    *(("s3_triggers", {"bucket": "lake", name: 5}, "does not fit") for name in ("bucket", "prefix", "suffix")),
    ("url", {"auth": "NONE", "cors": {"origins": ["a", 1]}}, "which is not a list of strings"),
    ("url", {"auth": "NONE", "cors": 5}, "url takes"),
    ("vpc", {"subnets": "subnet-1"}, "vpc takes"),
    ("vpc", {"subnets": [1]}, "vpc takes"),
    ("vpc", {"security_groups": [1]}, "vpc takes"),
    ("vpc", {"ipv6": 1}, "vpc takes"),
)


@pytest.mark.parametrize(("name", "value", "says"), WRONG, ids=shown)
def test_declaration_of_another_form_is_refused(name: str, value: Any, says: str) -> None:
    with pytest.raises((TriggerError, LimitError)) as refused:
        READ[name](value)
    assert says in str(refused.value)


def test_public_url_is_one_that_everyone_may_call() -> None:
    assert FunctionUrl("NONE").is_public
    assert not FunctionUrl("AWS_IAM").is_public


def nested(text: str) -> dict[str, Any]:
    return {"detail": {"a": {"b": text}}}


PATTERNS: tuple[tuple[Any, str | None], ...] = (
    ({"source": ["shop", 1, None, True]}, None),
    ({"source": ("shop",)}, None),
    ({"detail": {"a": {"b": [{"prefix": "x"}]}}}, None),
    ({"$or": [PATTERN, {"detail": {"a": [1]}}]}, None),
    ({"a": [{"anything-but": ["x"]}, {"cidr": "10.0.0.0/8"}, {"equals-ignore-case": "x"}, {"exists": False}]}, None),
    ({"a": [{"numeric": [">", 1]}, {"prefix": "x"}, {"suffix": "x"}, {"wildcard": "*"}]}, None),
    ({"a": ["x" * 4086]}, None),
    ({"a": ["x" * 4087]}, "it has 4097 characters as JSON; the limit is 4096"),
    ({}, "it must be a mapping"),
    ([PATTERN], "it must be a mapping"),
    ({"a": [float("nan")]}, "it cannot be written as JSON"),
    ({"a": [{1}]}, "it cannot be written as JSON"),
    ({"a": []}, "it: `a` must be a list of values"),
    ({"a": {}}, "it: `a` must be a list of values"),
    (nested("x"), 'it: `detail.a.b` must be a list of values, such as ["x"]'),
    ({"": ["x"]}, "it: the key '' is no text"),
    ({1: ["x"]}, "it: the key 1 is no text"),
    ({"$or": [PATTERN]}, "it: `$or` must be a list of two or more patterns"),
    ({"$or": PATTERN}, "it: `$or` must be a list of two or more patterns"),
    ({"detail": {"$or": [PATTERN, "x"]}}, "it: `detail.$or` must be a list of patterns, not 'x'"),
    ({"$or": [PATTERN, {}]}, "it: `$or` must be a list of patterns, not {}"),
    ({"$or": [PATTERN, {"a": "x"}]}, "it: `$or.a` must be a list of values"),
    ({"a": ["x", ["y"]]}, "it: `a` has a list in its list"),
    ({"a": [{}]}, "it: `a` must have one operator in each {}"),
    ({"a": [{"prefix": "x", "suffix": "y"}]}, "it: `a` must have one operator in each {}"),
    ({"a": [{"near": "x"}]}, "it: `near` was no operator of event patterns"),
)


@pytest.mark.parametrize(("pattern", "says"), PATTERNS, ids=shown)
def test_event_pattern_that_aws_would_refuse_is_found(pattern: Any, says: str | None) -> None:
    found = list(pattern_problems("it", pattern))
    assert len(found) == (says is not None)
    for each in found:
        assert str(says) in (each.text if isinstance(each, Doubt) else each)
        assert isinstance(each, Doubt) == ("near" in repr(pattern)), "AWS decides on operators that it may have by now"


def test_equal_patterns_are_sent_as_the_same_text() -> None:
    assert as_json({"b": [1], "a": {"d": [2], "c": ["é"]}}) == '{"a":{"c":["\\u00e9"],"d":[2]},"b":[1]}'
