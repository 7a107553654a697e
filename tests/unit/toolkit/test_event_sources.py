"""Queues, streams and tables as they are read, and what is said about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.functions import used_layers
from lambda_toolkit.resources.functions.used_layers import RequiredLayer
from lambda_toolkit.resources.triggers import event_source
from lambda_toolkit.resources.triggers.event_source import Source
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger
from tests.support.answering_aws import AnsweringAws

QUEUE = "arn:aws:sqs:eu-west-2:123456789012:orders"
OF_OTHERS = QUEUE.replace("123456789012", "210987654321")
STREAM = "arn:aws:kinesis:eu-west-2:123456789012:stream/clicks"
TABLE = "arn:aws:dynamodb:eu-west-2:123456789012:table/orders"
LATEST = f"{TABLE}/stream/2026-11-01T00:00:00.000"


def read(trigger: Any, **answers: Any) -> Source:
    aws: Any = AnsweringAws(**answers)
    return event_source.read_now(aws, aws, trigger)


FOUND = {"get_queue_url": {"QueueUrl": "url"}, "get_queue_attributes": {"Attributes": {"VisibilityTimeout": "30"}}}


def test_queue_is_read_by_its_name_and_account() -> None:
    aws: Any = AnsweringAws(**FOUND)
    trigger = QueueTrigger(OF_OTHERS)
    found = event_source.read_now(aws, aws, trigger)
    assert found == Source(trigger, OF_OTHERS, True, {"VisibilityTimeout": "30"})
    attributes = ["KmsMasterKeyId", "RedrivePolicy", "VisibilityTimeout"]
    assert aws.asked == [
        ("sqs", "get_queue_url", {"QueueName": "orders", "QueueOwnerAWSAccountId": "210987654321"}),
        ("sqs", "get_queue_attributes", {"QueueUrl": "url", "AttributeNames": attributes}),
    ]
    assert read(QueueTrigger("orders"), **{**FOUND, "get_queue_attributes": {}}).attributes == {}


@pytest.mark.parametrize("code", ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"])
def test_queue_that_does_not_exist_is_said(code: str) -> None:
    source = read(QueueTrigger("orders"), get_queue_url=AwsError("x", code=code))
    assert (source.exists, source.arn) == (False, QUEUE)
    assert event_source.absence(source, "f").startswith("There is no queue orders to trigger f.")


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_queue_of_another_account_may_not_let_us_look(code: str) -> None:
    denied = AwsError("denied", code=code)
    source = read(QueueTrigger(OF_OTHERS), get_queue_url=denied)
    assert (source.exists, source.attributes) == (True, {})
    assert event_source.absence(source, "f") == ""
    with pytest.raises(AwsError, match="denied"):
        read(QueueTrigger(QUEUE), get_queue_url=denied)
    with pytest.raises(AwsError, match="other"):
        read(QueueTrigger(OF_OTHERS), get_queue_url=AwsError("other", code="Other"))


def test_stream_is_read_without_its_consumer() -> None:
    consumer = StreamTrigger(f"{STREAM}/consumer/app:1")
    aws: Any = AnsweringAws(describe_stream_summary={})
    assert event_source.read_now(aws, aws, consumer) == Source(consumer, f"{STREAM}/consumer/app:1", True)
    assert aws.asked == [("kinesis", "describe_stream_summary", {"StreamARN": STREAM})]
    missing = read(StreamTrigger("clicks"))
    assert (missing.exists, missing.arn, missing.name) == (False, STREAM, "stream clicks")
    assert event_source.absence(missing, "f").startswith("There is no stream clicks to trigger f.")


def test_table_is_read_by_its_latest_stream() -> None:
    table = StreamTrigger(table="orders")
    with_stream = {"Table": {"LatestStreamArn": LATEST}}
    aws: Any = AnsweringAws(describe_table=with_stream)
    assert event_source.read_now(aws, aws, table) == Source(table, LATEST, True)
    assert aws.asked == [("dynamodb", "describe_table", {"TableName": TABLE})]
    for answer in (None, {"Table": {}}):
        source = read(table, describe_table=answer)
        assert (source.arn, source.exists) == (TABLE, False)
        assert event_source.absence(source, "f").startswith("There is no table orders with a stream to trigger f.")
    certain = StreamTrigger(LATEST.replace("2026", "2025"))
    assert read(certain, describe_table=with_stream) == Source(certain, certain.stream, True)
    assert read(certain, describe_table={"Table": {}}).exists is True
    assert read(certain, describe_table=None).exists is False


def spec(**different: Any) -> FunctionSpec:
    return FunctionSpec(**{"name": "f", "source": Path("f.py"), "timeout": 60, **different})


def queue(window: int = 0, **attributes: str) -> Source:
    return Source(QueueTrigger("orders", batching_window=window), QUEUE, True, attributes)


@pytest.mark.parametrize(
    ("visible", "problem", "noted"),
    [("59", True, True), ("60", False, True), ("359", False, True), ("360", False, False), (None, False, False)],
)
def test_visibility_of_a_queue_is_compared_with_the_timeout(visible: str | None, problem: bool, noted: bool) -> None:
    source = queue(RedrivePolicy="x", **({"VisibilityTimeout": visible} if visible else {}))
    assert bool(event_source.queue_problem(source, spec())) is problem
    assert bool(event_source.queue_notes(source, spec())) is noted
    if visible == "360":
        wider = queue(5, RedrivePolicy="x", VisibilityTimeout="364")
        assert "364 s; AWS advises 365 s" in event_source.queue_notes(wider, spec())[0]
        assert event_source.queue_notes(queue(5, RedrivePolicy="x", VisibilityTimeout="365"), spec()) == []


DECRYPTS = [{"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": "*"}]


@pytest.mark.parametrize(
    ("attributes", "declared", "notes"),
    [
        ({"RedrivePolicy": "x"}, {}, []),
        ({}, {}, ["no dead-letter queue"]),
        ({"RedrivePolicy": ""}, {}, ["no dead-letter queue"]),
        ({"RedrivePolicy": "x", "KmsMasterKeyId": "k"}, {}, ["encrypted with the key k"]),
        ({"RedrivePolicy": "x", "KmsMasterKeyId": "k"}, {"permissions": []}, ["encrypted with the key k"]),
        ({"RedrivePolicy": "x", "KmsMasterKeyId": "k"}, {"permissions": DECRYPTS}, []),
        ({"RedrivePolicy": "x", "KmsMasterKeyId": "k"}, {"role": "arn"}, []),
        ({"RedrivePolicy": "x", "KmsMasterKeyId": "alias/aws/sqs"}, {}, []),
        ({"RedrivePolicy": "x", "KmsMasterKeyId": ""}, {}, []),
    ],
)
def test_queue_without_what_it_needs_is_noted(attributes: Any, declared: Any, notes: list[str]) -> None:
    found = event_source.queue_notes(queue(VisibilityTimeout="360", **attributes), spec(**declared))
    assert len(found) == len(notes)
    assert all(said in each for said, each in zip(notes, found, strict=True))
    stream = Source(StreamTrigger("clicks"), STREAM, True, attributes)
    assert event_source.queue_notes(stream, spec(**declared)) == []


READY = "arn:aws:lambda:eu-west-2:123456789012:layer:tools:3"
OWN = "arn:aws:lambda:eu-west-2:123456789012:layer:lambda-script-requirements-1:2"


def test_own_layer_comes_after_the_ready_ones() -> None:
    declared = spec(layers=(READY,))
    published = RequiredLayer("lambda-script-requirements-1", OWN)
    aws: Any = AnsweringAws()
    assert used_layers.names(declared, published) == [READY, "lambda-script-requirements-1"]
    assert used_layers.names(declared, None) == [READY]
    assert used_layers.arns(aws, declared, published) == [READY, OWN]
    assert used_layers.arns(aws, declared, None) == [READY]
    assert aws.asked == []
    assert used_layers.shown([READY, OWN]) == [READY, "lambda-script-requirements-1"]
    assert used_layers.difference([READY, OWN], declared, published) == ()
    for used in ([READY], [OWN, READY], [READY, OWN.replace(":2", ":3")]):
        assert len(used_layers.difference(used, declared, published)) == 1
    [unpublished] = used_layers.difference([READY], declared, RequiredLayer("lambda-script-requirements-1", None))
    assert str(unpublished) == f"layers: {READY} -> {READY}, lambda-script-requirements-1"
