"""What the role of a function may do: for each setting and trigger that needs it, and what a policy is compared by."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.aws.account import Place
from lambda_toolkit.resources.account import role
from lambda_toolkit.resources.account.role import policy_document, statements
from lambda_toolkit.resources.networks import network
from lambda_toolkit.resources.planning import polling
from lambda_toolkit.resources.planning.live import LiveRole
from lambda_toolkit.resources.registry import ATTACHMENTS
from lambda_toolkit.resources.schedules import schedule_role
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.network import Vpc
from lambda_toolkit.spec.schedules.schedule import Schedule
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger

HERE = Place("123456789012", "eu-west-2")
LOG = "arn:aws:logs:eu-west-2:123456789012:log-group:/aws/lambda/f:*"
QUEUE, QUEUE_OF_OTHERS = (f"arn:aws:sqs:eu-west-2:{account}:orders" for account in ("123456789012", "210987654321"))
STREAM = "arn:aws:kinesis:eu-west-2:123456789012:stream/clicks"
CONSUMER = f"{STREAM}/consumer/app:1730000000"
TABLE = "arn:aws:dynamodb:eu-west-2:123456789012:table/orders"
TABLE_STREAM = f"{TABLE}/stream/2026-11-01T00:00:00.000"
FAILED, TOPIC, BUCKET = f"{QUEUE}-failed", "arn:aws:sns:eu-west-2:123456789012:failed", "arn:aws:s3:::failed"
KEY = "arn:aws:kms:eu-west-2:123456789012:key/1234abcd"
POLL_QUEUE = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
POLL_STREAM = [
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
]
POLL_TABLE = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
LISTS = ("StreamLists", ["kinesis:ListStreams"], ["*"])


def spec(**different: Any) -> FunctionSpec:
    return FunctionSpec(**{"name": "f", "source": Path("f.py"), **different})


def streams(*triggers: StreamTrigger) -> dict[str, Any]:
    return {"stream_triggers": triggers}


NEEDED: tuple[tuple[dict[str, Any], list[tuple[str | None, list[str], Any]]], ...] = (
    ({}, []),
    ({"tracing": "PassThrough", "kms_key": "", "on_failure": "", "queue_triggers": (), "stream_triggers": ()}, []),
    (
        {"tracing": "Active"},
        [("LambdaScriptTracing", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"])],
    ),
    ({"kms_key": KEY}, [("LambdaScriptKey", ["kms:Decrypt"], [KEY])]),
    ({"on_failure": FAILED}, [(None, ["sqs:SendMessage"], FAILED)]),
    ({"on_failure": TOPIC}, [(None, ["sns:Publish"], TOPIC)]),
    ({"on_failure": BUCKET}, [(None, ["s3:ListBucket"], BUCKET), (None, ["s3:PutObject"], f"{BUCKET}/*")]),
    (
        {"on_failure": "arn:aws:events:eu-west-2:123456789012:event-bus/shop"},
        [(None, ["events:PutEvents"], "arn:aws:events:eu-west-2:123456789012:event-bus/shop")],
    ),
    (
        {"on_failure": "arn:aws:lambda:eu-west-2:123456789012:function:failed"},
        [(None, ["lambda:InvokeFunction"], "arn:aws:lambda:eu-west-2:123456789012:function:failed")],
    ),
    (
        {"queue_triggers": (QueueTrigger("orders"), QueueTrigger(QUEUE_OF_OTHERS), QueueTrigger("a"))},
        [("QueueTriggers", POLL_QUEUE, [QUEUE.replace("orders", "a"), QUEUE, QUEUE_OF_OTHERS])],
    ),
    (streams(StreamTrigger("clicks")), [("StreamTriggers", POLL_STREAM, [STREAM]), LISTS]),
    (
        streams(StreamTrigger(CONSUMER), StreamTrigger(STREAM)),
        [
            ("StreamTriggers", POLL_STREAM, [STREAM]),
            ("StreamConsumers", ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"], [CONSUMER]),
            LISTS,
        ],
    ),
    (streams(StreamTrigger("", "orders")), [("TableTriggers", POLL_TABLE, [f"{TABLE}/stream/*"])]),
    (streams(StreamTrigger("", TABLE)), [("TableTriggers", POLL_TABLE, [f"{TABLE}/stream/*"])]),
    (streams(StreamTrigger(TABLE_STREAM)), [("TableTriggers", POLL_TABLE, [TABLE_STREAM])]),
    (
        streams(*(StreamTrigger(TABLE_STREAM, on_failure=arn) for arn in (FAILED, TOPIC, BUCKET, FAILED))),
        [
            ("TableTriggers", POLL_TABLE, [TABLE_STREAM]),
            ("FailedRecordsToQueue", ["sqs:SendMessage"], [FAILED]),
            ("FailedRecordsToTopic", ["sns:Publish"], [TOPIC]),
            ("FailedRecordsBucket", ["s3:ListBucket"], [BUCKET]),
            ("FailedRecordsToBucket", ["s3:PutObject"], [f"{BUCKET}/*"]),
        ],
    ),
)


@pytest.mark.parametrize(("different", "needed"), NEEDED)
def test_role_may_do_what_each_setting_needs(
    different: dict[str, Any], needed: list[tuple[str | None, list[str], Any]]
) -> None:
    """Beside the statement for the function's own log. Each statement allows."""
    own = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": [LOG]}
    allowed = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["*"]}
    document = policy_document(spec(**different, permissions=[allowed]), HERE, ATTACHMENTS)
    assert document["Version"] == "2012-10-17"
    assert {item["Effect"] for item in document["Statement"]} == {"Allow"}
    others = [item for item in document["Statement"] if item not in (own, allowed)]
    assert len(document["Statement"]) == len(others) + 2
    assert [(item.get("Sid"), item["Action"], item["Resource"]) for item in others] == needed


ALL_ACTIONS = {
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}
"""Of Lambda's developer guide, "Giving Lambda functions access to resources in an Amazon VPC"."""


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        ([], set()),
        (None, set()),
        ([{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}], {"Describe"}),
        ([{"Effect": "Allow", "Action": ["s3:*", "EC2:createnetworkinterface"], "Resource": "*"}], {"Create"}),
        ([{"Effect": "Deny", "Action": "ec2:*", "Resource": "*"}], set()),
        ([{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}], set()),
        ([{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}], None),
    ],
)
def test_code_may_not_use_what_lambda_needs_for_the_network(permissions: Any, allowed: set[str] | None) -> None:
    """Unless the declaration allows it."""
    vpc = Vpc(("subnet-1",), ("sg-1",))
    document = policy_document(spec(vpc=vpc, permissions=permissions), HERE, ATTACHMENTS)
    given = {action for item in document["Statement"] for action in item.get("Action", ()) if "Sid" in item}
    assert given == ALL_ACTIONS
    denied = [item for item in document["Statement"] if item["Effect"] == "Deny" and "Condition" in item]
    if allowed is None:
        assert denied == []
        return
    [found] = denied
    assert found["Resource"] == ["*"]
    assert found["Condition"] == {
        "ArnEquals": {"lambda:SourceFunctionArn": "arn:aws:lambda:eu-west-2:123456789012:function:f"}
    }
    expected = {action for action in ALL_ACTIONS if not any(f"ec2:{start}" in action for start in allowed)}
    assert set(found["Action"]) == expected


def test_lambda_makes_interfaces_in_the_network_alone() -> None:
    """With groups and subnets that others may share from their accounts; what it lists knows no resource."""
    document = policy_document(spec(vpc=Vpc(("subnet-1",), ("sg-1",))), HERE, ATTACHMENTS)
    resources = {item["Sid"]: (item["Effect"], item["Resource"]) for item in document["Statement"] if "Sid" in item}
    assert resources == {
        "LambdaScriptNetworkRead": ("Allow", ["*"]),
        "LambdaScriptNetworkCreate": (
            "Allow",
            [
                "arn:aws:ec2:eu-west-2:123456789012:network-interface/*",
                "arn:aws:ec2:eu-west-2:*:security-group/sg-1",
                "arn:aws:ec2:eu-west-2:*:subnet/subnet-1",
            ],
        ),
        "LambdaScriptNetworkManage": ("Allow", ["arn:aws:ec2:eu-west-2:123456789012:*/*"]),
        "LambdaScriptNetworkNotByCode": ("Deny", ["*"]),
    }
    china = network.role_statements(spec(vpc=Vpc(("subnet-1",), ())), Place("123456789012", "cn-north-1", "aws-cn"))
    assert china[1]["Resource"][1] == "arn:aws-cn:ec2:cn-north-1:*:subnet/subnet-1"


def test_detached_function_needs_nothing_of_a_network() -> None:
    for vpc in (None, Vpc()):
        assert len(policy_document(spec(vpc=vpc), HERE, ATTACHMENTS)["Statement"]) == 1


def test_policy_is_compared_by_resource_whatever_its_form() -> None:
    allow: dict[str, Any] = {"Effect": "Allow", "Action": ["b:Y", "a:X"], "Resource": ["r2", "r1"]}
    deny = {"Effect": "Deny", "Action": "c:Z", "Resource": "r3", "Condition": {"Bool": {"k": "v"}}}
    document = {"Version": "2012-10-17", "Statement": [allow, deny]}
    expected = {"r1, r2": "Allow a:X, b:Y", "r3": 'Deny c:Z {"Condition": {"Bool": {"k": "v"}}}'}
    assert statements(document) == statements(json.dumps(document)) == expected
    assert statements({"Statement": allow}) == {"r1, r2": "Allow a:X, b:Y"}
    assert statements({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "p"}]}) == {
        "*": 'Allow sts:AssumeRole {"Principal": "p"}'
    }
    twice = {"Statement": [{**deny, "Resource": "r"}, {"Effect": "Allow", "Action": "a", "Resource": "r"}]}
    assert statements(twice) == {"r": 'Allow a; Deny c:Z {"Condition": {"Bool": {"k": "v"}}}'}
    assert statements(None) == statements("{}") == statements({}) == {}
    assert statements({"Statement": {"Effect": "Allow", "Resource": "r"}}) == {"r": "Allow "}


def test_statements_of_declared_triggers_are_managed() -> None:
    queues, of_streams = {"QueueTriggers"}, {"StreamTriggers", "StreamConsumers", "StreamLists", "TableTriggers"}
    of_failures = {f"FailedRecords{to}" for to in ("ToQueue", "ToTopic", "ToBucket", "Bucket")}
    assert polling.managed_statements(spec()) == set()
    assert polling.managed_statements(spec(queue_triggers=())) == queues
    assert polling.managed_statements(spec(stream_triggers=())) == of_streams | of_failures
    assert polling.managed_statements(spec(queue_triggers=(), stream_triggers=())) == queues | of_streams | of_failures


def test_deployer_looks_at_queues_streams_and_tables() -> None:
    functions = [
        spec(queue_triggers=(QueueTrigger("orders"), QueueTrigger(QUEUE_OF_OTHERS))),
        spec(**streams(StreamTrigger(CONSUMER), StreamTrigger("", "orders"), StreamTrigger(TABLE_STREAM))),
        spec(queue_triggers=(QueueTrigger("orders"),)),
    ]
    assert polling.deployer_needs(functions, HERE) == {
        "sqs": [QUEUE, QUEUE_OF_OTHERS],
        "kinesis": [STREAM],
        "dynamodb": [TABLE],
    }


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        (QUEUE, "queue orders"),
        (STREAM, "stream clicks"),
        (CONSUMER, "stream clicks"),
        (TABLE, "table orders"),
        (TABLE_STREAM, "table orders"),
    ],
)
def test_source_of_events_is_named_by_its_arn(arn: str, name: str) -> None:
    assert polling.source_name(arn) == name


def assumed_by(service: str, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole", **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def test_role_is_assumed_by_the_service_alone_that_needs_it() -> None:
    """That of schedules by Scheduler for the schedules of one group in this account."""
    assert assumed_by("lambda.amazonaws.com") == role.TRUST
    tagged = spec(tags={"application": "shop", "stage": "dev"})
    group = "arn:aws:scheduler:eu-west-2:123456789012:schedule-group/shop-dev"
    condition = {"StringEquals": {"aws:SourceAccount": "123456789012", "aws:SourceArn": group}}
    assert schedule_role.trust_policy(tagged, HERE) == assumed_by("scheduler.amazonaws.com", Condition=condition)


def test_role_of_schedules_invokes_the_alias_alone() -> None:
    live = "arn:aws:lambda:eu-west-2:123456789012:function:f:live"
    invoke = {"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": [live]}
    send = {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": [QUEUE, FAILED]}
    plain = Schedule("rate(1 day)")
    queues = (Schedule("rate(1 day)", dead_letter_queue=queue) for queue in (FAILED, QUEUE, FAILED))
    for schedules, expected in (((plain,), [invoke]), (None, [invoke]), ((plain, *queues), [invoke, send])):
        document = schedule_role.invoke_policy(spec(schedules=schedules), HERE)
        assert document == {"Version": "2012-10-17", "Statement": expected}
    own = "arn:aws:iam::123456789012:role/f.schedule-role"
    assert schedule_role.role_arn(HERE, spec()) == own
    assert schedule_role.role_arn(HERE, spec(schedule_role="arn:given")) == "arn:given"


def test_roles_that_the_toolkit_makes_are_those_of_the_deployer() -> None:
    own, of_schedules = (f"arn:aws:iam::123456789012:role/f{ending}" for ending in ("-role", ".schedule-role"))
    daily = (Schedule("rate(1 day)"),)
    for different, expected in (
        ({}, [own]),
        ({"schedules": ()}, [own]),
        ({"schedules": daily}, [own, of_schedules]),
        ({"schedules": daily, "schedule_role": "arn:given"}, [own]),
        ({"schedules": daily, "role": "arn:given"}, [of_schedules]),
        ({"role": "arn:given"}, []),
    ):
        assert role.deployer_resources(spec(**different), HERE) == expected
    assert role.role_arn(HERE, spec()) == own
    assert role.role_arn(HERE, spec(role="arn:given")) == "arn:given"


OURS = {"managed-by": "lambda_script", "lambda-script:function": "f"}
LIMITS = "arn:aws:iam::123456789012:policy/limits"


@pytest.mark.parametrize("module", [role, schedule_role])
def test_role_of_the_list_counts_where_all_of_it_is_as_declared(module: Any) -> None:
    """Otherwise it is read: a list lags behind."""
    declared = spec(permissions_boundary=LIMITS, permissions=[], schedules=(Schedule("rate(1 day)"),))
    asked: list[Callable[[LiveRole], bool]] = []

    def named(name: str, is_as_declared: Callable[[LiveRole], bool]) -> None:
        asked.append(is_as_declared)

    reads: Any = SimpleNamespace(arn=HERE.arn, role=named)
    context: Any = SimpleNamespace(
        spec=declared, reads=reads, attachments=ATTACHMENTS, function_is_ours=lambda: False, live=lambda: None
    )
    module.plan(context)
    own = module is role
    trust = role.TRUST if own else schedule_role.trust_policy(declared, HERE)
    policy = policy_document(declared, HERE, ATTACHMENTS) if own else schedule_role.invoke_policy(declared, HERE)
    live = LiveRole(OURS, trust, policy, LIMITS)
    assert asked[0](live) is True
    assert asked[0](replace(live, trust=json.dumps(trust), policy=json.dumps(policy))) is True
    for different in (
        *({"trust": None}, {"policy": None}, {"boundary": ""}, {"tags": {}}),
        {"tags": {**OURS, "lambda-script:function": "g"}},
        {"tags": {**OURS, "managed-by": "me"}},
    ):
        assert asked[0](replace(live, **different)) is False, different
