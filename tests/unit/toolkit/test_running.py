"""Invocations and logs of a function on AWS, a rollback, and secrets and topics as they are planned."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.deploy import rollback as rollbacks
from lambda_toolkit.errors import MASK, AwsError, OwnershipError, ToolkitError
from lambda_toolkit.resources.account import secret, topic
from lambda_toolkit.running import calls, log_events
from lambda_toolkit.running.invocation import Invocation, invoke, payload_of
from lambda_toolkit.running.watching import files_of
from lambda_toolkit.spec.model import FunctionSpec, SecretSpec, TopicSpec
from tests.support.answering_aws import AnsweringAws

OURS = [{"Key": "managed-by", "Value": "lambda_script"}]


def answered(text: bytes, **more: Any) -> dict[str, Any]:
    return {"Payload": io.BytesIO(text), "LogResult": base64.b64encode(b"log \xff").decode(), **more}


def test_invocation_has_the_result_or_the_error() -> None:
    aws: Any = AnsweringAws(invoke=answered('{"a": "é"}'.encode()))
    found = invoke(aws, "f", {"b": 1})
    assert found == Invocation({"a": "é"}, None, "log \ufffd")
    asked = {"FunctionName": "f", "Qualifier": "live", "LogType": "Tail", "Payload": b'{"b": 1}'}
    assert (found.ok, aws.operations) == (True, [("invoke", asked)])
    failed: Any = AnsweringAws(
        invoke=answered(b'{"errorType": "KeyError", "errorMessage": "x"}', FunctionError="Unhandled")
    )
    said = invoke(failed, "f", None)
    assert (said.result, said.error, said.ok) == (None, "x (KeyError)", False)
    empty: Any = AnsweringAws(invoke={"Payload": io.BytesIO(b"")})
    assert invoke(empty, "f", None) == Invocation(None, None, "")
    missing: Any = AnsweringAws()
    with pytest.raises(ToolkitError, match="There is no function f on AWS yet"):
        invoke(missing, "f", None)


def test_event_is_sent_as_json() -> None:
    assert [payload_of(event) for event in (None, 0, [], "é")] == [b"{}", b"0", b"[]", b'"\\u00e9"']
    circle: list[Any] = []
    circle.append(circle)
    for event in ({1, 2}, circle):
        with pytest.raises(ToolkitError, match="The event cannot be written as JSON"):
            payload_of(event)


def event(at: int, message: str = "m\n", stream: str = "s", **more: Any) -> dict[str, Any]:
    return {"timestamp": at, "message": message, "logStreamName": stream, **more}


def test_events_of_a_log_come_once_and_in_order() -> None:
    listed = [event(2000, "b\n"), event(1000, "a\n\n"), event(2000, "b\n"), event(2000, "c", eventId="1")]
    aws: Any = AnsweringAws(filter_log_events=listed)
    waits: list[int] = []

    def wait() -> None:
        waits.append(1)
        listed.append(event(3000, f"later {len(waits)}"))
        if len(waits) == 3:
            raise KeyboardInterrupt

    found = []
    with pytest.raises(KeyboardInterrupt):
        for each in log_events.log_events(aws, "f", 0.5, wait=wait):
            found.append(each)
    assert [each.message for each in found] == ["a", "b", "c", "later 1", "later 2"]
    assert (found[0].at.timestamp(), str(found[0])) == (1.0, "00:00:01Z  a")
    assert aws.operations[0] == ("filter_log_events", {"logGroupName": "/aws/lambda/f", "startTime": 500})


def test_events_of_a_shared_group_are_those_of_the_function() -> None:
    listed = [event(1, stream="2027/01/01/f[1]a"), event(2, stream="2027/01/01/other[1]a"), event(3, stream="x")]
    aws: Any = AnsweringAws(filter_log_events=listed)
    shared = log_events.stored_events(aws, "f", 0, group="/shop", limit=5)
    assert shared == listed[:1]
    assert aws.operations == [("filter_log_events", {"logGroupName": "/shop", "startTime": 0, "limit": 5})]
    for group in ("", "/aws/lambda/f"):
        assert log_events.stored_events(aws, "f", 0, group=group) == listed
    missing: Any = AnsweringAws(filter_log_events=AwsError("x", code="ResourceNotFoundException"))
    assert log_events.stored_events(missing, "f", 0) is None
    for group, named in ((None, "/aws/lambda/f"), ("/shop", "/shop")):
        with pytest.raises(ToolkitError, match=f"f has no log group {named} yet"):
            list(log_events.log_events(missing, "f", 0, group=group))
    denied: Any = AnsweringAws(filter_log_events=AwsError("denied", code="AccessDenied"))
    with pytest.raises(AwsError, match="denied"):
        log_events.stored_events(denied, "f", 0)


def test_logs_are_followed_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", wait)
    monkeypatch.setattr("time.time", lambda: 120.0)
    aws: Any = AnsweringAws(filter_log_events=[event(1000, "a")])
    spec = FunctionSpec(name="f", source=Path("f.py"))
    assert [each.message for each in calls.logs(spec, aws, 1.5, follow=False)] == ["a"]
    assert aws.operations == [("filter_log_events", {"logGroupName": "/aws/lambda/f", "startTime": 30000})]
    with pytest.raises(KeyboardInterrupt):
        list(calls.logs(spec, aws, 1.5, follow=True))
    assert waits == [1.0]


def test_events_of_several_functions_are_merged() -> None:
    seen: set[object] = set()
    both = {"f": [event(3), event(1)], "g": [event(2), event(3)]}
    assert [(name, each["timestamp"]) for name, each in log_events.unseen(both, seen)] == [
        *(("f", 1), ("g", 2)),
        *(("f", 3), ("g", 3)),
    ]
    assert list(log_events.unseen(both, seen)) == []


def test_files_of_a_package_are_watched() -> None:
    extra = {"a": Path("x"), "b": b"y"}
    spec = FunctionSpec("f", Path("f.py"), include=(Path("lib"),), extra_files=extra)
    assert files_of(spec) == [Path("f.py"), Path("lib"), Path("x")]


@pytest.mark.parametrize(
    ("to", "live", "weights", "released", "target", "moves"),
    [
        (None, "10", {}, "10", "9", True),
        (None, "9", {}, "10", "9", False),
        (None, "9", {}, None, "2", True),
        ("2", "10", {}, "10", "2", True),
        (10, "10", {}, "10", "10", False),
        (10, "10", {"9": 0.1}, "10", "10", True),
        (None, "2", {}, "2", None, False),
        (3, "2", {}, "2", None, False),
    ],
)
def test_rollback_moves_the_alias_to_an_older_version(
    monkeypatch: pytest.MonkeyPatch, to: Any, live: str, weights: Any, released: Any, target: str | None, moves: bool
) -> None:
    tags = {"managed-by": "lambda_script", "lambda-script:function": "f"}
    moved: list[tuple[Any, ...]] = []
    alias = SimpleNamespace(version=live, weights=weights, release=released and SimpleNamespace(version=released))
    monkeypatch.setattr(rollbacks, "read_function", lambda aws, name: SimpleNamespace(tags=tags))
    monkeypatch.setattr(rollbacks.alias, "read", lambda aws, name: alias)
    monkeypatch.setattr(rollbacks.alias, "route", lambda *given: moved.append(given[1:]))
    monkeypatch.setattr(rollbacks.version, "published", lambda aws, name: ["2", "9", "10"])
    aws: Any = AnsweringAws()
    if target is None:
        with pytest.raises(ToolkitError, match=r"There are: 2, 9, 10\."):
            rollbacks.rollback(aws, "f", to)
    else:
        found = rollbacks.rollback(aws, "f", to)
        assert (found.from_version, found.to_version) == (live, target)
        assert ("is live already" in str(found)) == (live == target)
    assert moved == ([("f", target, {})] if moves else [])


NEW = SecretSpec("s", "v", "VAR")


def secret_plan(spec: SecretSpec, live: Any = None, stored: str = "v") -> tuple[list[Any], Any]:
    described = None if live is None else {"Tags": OURS, **live}
    aws: Any = AnsweringAws(describe_secret=described, get_secret_value={"SecretString": stored})
    return secret.plan(aws, spec), aws


def test_secret_is_created_with_its_value_or_says_what_it_lacks() -> None:
    [change], aws = secret_plan(NEW)
    assert (change.action, change.details) == ("create", ("value from VAR",))
    change.apply(aws)
    [(operation, sent)] = aws.writes
    assert operation == "create_secret"
    assert sent.pop("ClientRequestToken").startswith("lambda-script-")
    assert sent == {"Name": "s", "SecretString": "v", "Tags": OURS}
    assert secret_plan(SecretSpec("s", "v"))[0][0].details == ()
    [lacking], aws = secret_plan(SecretSpec("s", None, "VAR"))
    assert lacking.details == ("has no value: set VAR",)
    with pytest.raises(ToolkitError, match="no secret s on AWS, and the environment variable VAR is not set"):
        lacking.apply(aws)
    assert secret_plan(SecretSpec("s", None, optional=True))[0] == []
    assert len(secret_plan(SecretSpec("s", "v", optional=True))[0]) == 1


def test_secret_is_written_where_its_value_differs() -> None:
    assert secret_plan(NEW, {})[0] == []
    assert secret_plan(SecretSpec("s", None), {}, "x")[0] == []
    [change], aws = secret_plan(NEW, {}, "x")
    assert [str(each) for each in change.differences] == [f"value: {MASK} -> {MASK}"]
    change.apply(aws)
    [(operation, sent)] = aws.writes
    assert (operation, sent["SecretId"], sent["SecretString"]) == ("put_secret_value", "s", "v")
    [restored], aws = secret_plan(NEW, {"DeletedDate": 1})
    assert restored.details == ("is restored from deletion",)
    restored.apply(aws)
    assert [name for name, _ in aws.writes] == ["restore_secret", "put_secret_value"]
    with pytest.raises(OwnershipError):
        secret_plan(NEW, {"Tags": []})
    removed: Any = AnsweringAws(describe_secret={"Tags": OURS})
    [deletion] = secret.plan_removal(removed, NEW, frozenset())
    deletion.apply(removed)
    assert removed.writes == [("delete_secret", {"SecretId": "s", "ForceDeleteWithoutRecovery": True})]
    for live in (None, {"Tags": []}):
        others: Any = AnsweringAws(describe_secret=live)
        assert secret.plan_removal(others, NEW, frozenset()) == []


TOPIC = "arn:aws:sns:eu-west-2:123456789012:alerts"
CONFIRMED, PENDING, OTHER = (
    {"Endpoint": "a@x", "SubscriptionArn": f"{TOPIC}:1", "Protocol": "email"},
    {"Endpoint": "b@x", "SubscriptionArn": "PendingConfirmation", "Protocol": "email"},
    {"Endpoint": "https://x", "SubscriptionArn": f"{TOPIC}:2", "Protocol": "https"},
)
LIVE = {"list_tags_for_resource": {"Tags": OURS}, "list_subscriptions_by_topic": [CONFIRMED, PENDING, OTHER]}


def topic_plan(spec: TopicSpec, **live: Any) -> tuple[list[Any], Any]:
    aws: Any = AnsweringAws(**live)
    return topic.plan(aws, spec), aws


def test_topic_is_created_with_its_addresses() -> None:
    [change], aws = topic_plan(TopicSpec("alerts", ("a@x",), "key"))
    assert change.details == ("encrypted with key", "a@x gets a request to confirm its subscription")
    change.apply(aws)
    subscribed = {"TopicArn": TOPIC, "Protocol": "email", "Endpoint": "a@x"}
    created = {"Name": "alerts", "Tags": OURS, "Attributes": {"KmsMasterKeyId": "key"}}
    assert aws.writes == [("create_topic", created), ("subscribe", subscribed)]


@pytest.mark.parametrize(
    ("emails", "differences"),
    [
        (None, []),
        (("a@x", "b@x"), []),
        (("a@x",), []),
        (("b@x",), ["emails.a@x: subscribed -> none"]),
        (("a@x", "b@x", "c@x"), ["emails.c@x: none -> subscribed"]),
        ((), ["emails.a@x: subscribed -> none"]),
    ],
)
def test_addresses_of_a_topic_are_those_declared(emails: Any, differences: list[str]) -> None:
    """One that was never confirmed has nothing to end; SNS deletes it."""
    changes, aws = topic_plan(TopicSpec("alerts", emails), **LIVE)
    assert [str(item) for change in changes for item in change.differences] == differences
    for change in changes:
        change.apply(aws)
    expected = []
    if any("c@x" in each for each in differences):
        expected = [("subscribe", {"TopicArn": TOPIC, "Protocol": "email", "Endpoint": "c@x"})]
    elif differences:
        expected = [("unsubscribe", {"SubscriptionArn": f"{TOPIC}:1"})]
    assert aws.writes == expected


@pytest.mark.parametrize(
    ("key", "live", "difference"),
    [
        (None, "k", None),
        ("k", "k", None),
        ("", "", None),
        ("", None, None),
        ("k", None, "kms_key: none -> k"),
        ("k", "other", "kms_key: other -> k"),
        ("", "k", "kms_key: k -> none"),
    ],
)
def test_key_of_a_topic_is_the_declared_one(key: str | None, live: str | None, difference: str | None) -> None:
    attributes = {"Attributes": {} if live is None else {"KmsMasterKeyId": live}}
    changes, aws = topic_plan(TopicSpec("alerts", None, key), **LIVE, get_topic_attributes=attributes)
    assert [str(item) for change in changes for item in change.differences] == ([difference] if difference else [])
    for change in changes:
        change.apply(aws)
    sent = {"TopicArn": TOPIC, "AttributeName": "KmsMasterKeyId", "AttributeValue": key}
    assert aws.writes == ([("set_topic_attributes", sent)] if difference else [])


def test_topic_is_deleted_with_its_subscriptions() -> None:
    aws: Any = AnsweringAws(**LIVE)
    [change] = topic.plan_removal(aws, TopicSpec("alerts"), frozenset())
    change.apply(aws)
    ended = [("unsubscribe", {"SubscriptionArn": f"{TOPIC}:{number}"}) for number in (1, 2)]
    assert aws.writes == [*ended, ("delete_topic", {"TopicArn": TOPIC})]
    for others in ({"list_tags_for_resource": {"Tags": []}}, {}):
        of_others: Any = AnsweringAws(**others)
        assert topic.plan_removal(of_others, TopicSpec("alerts"), frozenset()) == []
    notes = topic.notes(aws, TopicSpec("alerts", ("a@x", "b@x", "b@x", "c@x")))
    assert [note.split()[0] for note in notes] == ["b@x"]
    assert topic.notes(aws, TopicSpec("alerts")) == ()
