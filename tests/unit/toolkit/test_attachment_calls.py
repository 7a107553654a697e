"""The calls of attachments: which reads start before a plan needs them, and which writes are made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.account import bucket, catalog, role, secret, topic
from lambda_toolkit.resources.functions import async_invocation, concurrency, function, provisioned, recursion, version
from lambda_toolkit.resources.monitoring import alarm, log_group
from lambda_toolkit.resources.networks import network
from lambda_toolkit.resources.planning import alias
from lambda_toolkit.resources.planning.alias import Release
from lambda_toolkit.resources.planning.attachment import Context
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.resources.schedules import event_rule, schedule, schedule_role
from lambda_toolkit.resources.triggers import (
    event_pattern_rule,
    event_source_mapping,
    function_url,
    s3_notification,
    topic_subscription,
)
from lambda_toolkit.spec.bucket import BucketSpec, LifecycleRule
from lambda_toolkit.spec.catalog import CatalogSpec, CatalogTable
from lambda_toolkit.spec.function_url import FunctionUrl
from lambda_toolkit.spec.model import Alarm, FunctionSpec, SecretSpec, TopicSpec
from lambda_toolkit.spec.network import Vpc
from lambda_toolkit.spec.schedules.schedule import Schedule
from lambda_toolkit.spec.triggers.event import EventTrigger
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.s3 import S3Trigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger
from lambda_toolkit.spec.triggers.topic import TopicTrigger
from tests.support.answering_aws import AnsweringAccount, planning

TAGS = {"application": "shop", "stage": "dev"}
OURS = {**TAGS, "managed-by": "lambda_script", "lambda-script:function": "f"}
SUBNET = {"SubnetId": "subnet-1", "VpcId": "vpc-1"}
PER_PLAN = {"list_functions": 1, "get_resources": 1}  # which the plan of the function itself reads


def context(declared: dict[str, Any], name: str = "f", functions: int = 1) -> tuple[Any, Context]:
    live = {"FunctionName": "f", "FunctionArn": "arn:aws:lambda:eu-west-2:123456789012:function:f"}
    """Of a new function, or of ``f``, which exists and has nothing but a rule, and others' group of schedules."""
    aws: Any = AnsweringAccount(
        list_functions={"Functions": [live]},
        get_function=lambda **given: {"Configuration": live, "Tags": OURS} if given["FunctionName"] == "f" else None,
        get_resources=[],
        list_rules=[{"Name": "f-schedule"}],
        list_tags_for_resource={"Tags": [{"Key": key, "Value": value} for key, value in OURS.items()]},
        list_schedules=[{"Name": "f.schedule"}],
        describe_log_groups=[{"logGroupName": "/shop"}],
        describe_subnets=[SUBNET],
        get_queue_url={"QueueUrl": "url"},
        get_queue_attributes={},
        get_account_authorization_details={},
        **{operation: {} for operation in ("get_function_concurrency", "get_function_recursion_config")},
    )
    spec = FunctionSpec(name, Path("f.py"), tags=TAGS, **declared)
    others = [FunctionSpec(f"f-{number}", Path("f.py")) for number in range(1, functions)]
    return aws, planning(aws, spec, *others)


def started(prefetch: Prefetch) -> None:
    for read in (*prefetch.shared.values(), *prefetch.own):
        read()


DAILY = {"schedules": (Schedule("cron(0 9 * * ? *)", "Europe/London", name="schedule"),)}
OTHERS_ROLE = "arn:aws:iam::123456789012:role/x"
EARLY: tuple[tuple[ModuleType, dict[str, Any], str], ...] = (
    (role, {}, ""),
    (log_group, {}, "describe_log_groups"),
    (log_group, {"log_group": "/shop"}, "describe_log_groups"),
    (event_rule, {}, ""),
    (event_rule, {"schedule": ""}, "list_rules"),
    (event_rule, {"schedule": "rate(1 day)"}, "list_rules get_policy list_targets_by_rule"),
    (schedule_role, {}, ""),
    (schedule_role, {**DAILY, "schedule_role": OTHERS_ROLE}, ""),
    (schedule_role, DAILY, "get_role"),
    (schedule, {}, ""),
    (schedule, DAILY, "list_schedules get_schedule"),
    (s3_notification, {}, ""),
    (s3_notification, {"s3_triggers": (S3Trigger("lake"),)}, "get_policy"),
    (topic_subscription, {}, ""),
    (topic_subscription, {"topic_triggers": (TopicTrigger("t"),)}, "get_policy list_subscriptions_by_topic"),
    (event_pattern_rule, {}, ""),
    (event_pattern_rule, {"event_triggers": (EventTrigger({"source": ["a"]}),)}, "get_policy describe_rule"),
    (event_source_mapping, {}, ""),
    (event_source_mapping, {"queue_triggers": ()}, "list_event_source_mappings"),
    (
        event_source_mapping,
        {"queue_triggers": (QueueTrigger("q"),), "stream_triggers": (StreamTrigger("s"),)},
        "list_event_source_mappings get_queue_url get_queue_attributes describe_stream_summary",
    ),
    (function_url, {}, ""),
    (function_url, {"url": FunctionUrl("NONE")}, "get_policy get_function_url_config"),
    (async_invocation, {}, ""),
    (async_invocation, {"retries": 0}, "get_function_event_invoke_config"),
    (concurrency, {}, ""),
    (concurrency, {"concurrency": 0}, "get_function_concurrency"),
    (provisioned, {}, ""),
    (provisioned, {"provisioned_concurrency": 0}, "get_provisioned_concurrency_config"),
    (recursion, {}, ""),
    (recursion, {"recursive_loop": ""}, "get_function_recursion_config"),
    (network, {"vpc": Vpc()}, ""),
    (
        network,
        {"vpc": Vpc(("subnet-1",), ())},
        "describe_subnets describe_security_groups describe_route_tables describe_vpc_endpoints",
    ),
    (alarm, {}, ""),
    (alarm, {"alarms": (Alarm("a", "Errors"),)}, "describe_alarms"),
)


@pytest.mark.parametrize(("module", "declared", "operations"), EARLY)
def test_plan_reads_early_what_it_reads_in_any_case(module: Any, declared: dict[str, Any], operations: str) -> None:
    """Once, and nothing where nothing is declared: each read costs time, and may need a right."""
    aws, planned = context(declared)
    started(module.prefetch(planned))
    early = Counter(name for name, _ in aws.operations if name not in PER_PLAN)
    assert early == dict.fromkeys(operations.split(), 1)
    module.plan(planned)
    asked = Counter(name for name, _ in aws.operations)
    assert {name: asked[name] for name in early} == early, "the plan takes them"
    alone, afresh = context(declared)
    module.plan(afresh)
    assert {*early} <= {name for name, _ in alone.operations}, "none is in vain"


@pytest.mark.parametrize(
    ("module", "declared"),
    [
        (function_url, {"url": FunctionUrl("NONE")}),
        (async_invocation, {"retries": 0}),
        (concurrency, {"concurrency": 0}),
        (provisioned, {"provisioned_concurrency": 0}),
        (recursion, {"recursive_loop": ""}),
        (function, {}),
    ],
)
def test_nothing_is_read_early_of_a_function_that_is_new(module: Any, declared: dict[str, Any]) -> None:
    aws, planned = context(declared, name="new")
    started(module.prefetch(planned))
    assert {name for name, _ in aws.operations} <= {*PER_PLAN}


def test_lists_are_read_early_for_all_functions() -> None:
    """By one key for all of them, so that each list is read once."""
    aws, planned = context({})
    started(function.prefetch(planned))
    assert Counter(name for name, _ in aws.operations) == {**PER_PLAN, "get_alias": 1}
    aws, planned = context(DAILY, functions=8)
    for module in (role, schedule_role):
        started(module.prefetch(planned))
    asked = [name for name, _ in aws.operations]
    assert asked.count("get_account_authorization_details") == asked.count("get_role") == 1
    given = FunctionSpec("f", Path("f.py"), role=OTHERS_ROLE)
    assert role.prefetch(replace(planned, spec=given)) == Prefetch({})
    wide = {"queue_triggers": (QueueTrigger("q"),), "vpc": Vpc(("subnet-1",), ()), **DAILY}
    for_all = (*schedule.prefetch(context(wide)[1]).shared, *event_source_mapping.prefetch(context(wide)[1]).shared)
    assert for_all == (("schedules", "shop-dev"), "event source mappings")


def writing(module: Any, **declared: Any) -> Any:
    """AWS with the calls that make what is declared of a new function."""
    aws, planned = context(declared, name="new")
    aws.answers |= {
        "put_targets": {},
        "create_event_source_mapping": {"UUID": "u", "State": "Enabled"},
        "create_function_url_config": {},
    }
    for change in module.plan(planned):
        change.apply(aws)
    return aws


def shared(module: Any, declared: Any) -> Any:
    aws: Any = AnsweringAccount(get_bucket_tagging=AwsError("x", code="NoSuchBucket"))
    [change] = module.plan(aws, declared)
    change.apply(aws)
    return aws


def asked(call: Any, **answers: Any) -> Any:
    aws: Any = AnsweringAccount(**answers)
    call(aws)
    return aws


ACTIVE = {"get_function": {"Configuration": {"State": "Active"}}}
NOT_FOUND = "ResourceNotFoundException"
LIMITS = "arn:aws:iam::123456789012:policy/limits"
BUCKET = BucketSpec("lake", versioned=True, lifecycle=(LifecycleRule("a", expire_days=1),))
RELEASE = Release("1", "d", "c", "5")
NEW: tuple[tuple[Callable[[], Any], str, str], ...] = (
    (lambda: writing(role), "put_role_policy", "NoSuchEntity"),
    (lambda: asked(lambda aws: role.put_boundary(aws, "r", LIMITS)), "put_role_permissions_boundary", "NoSuchEntity"),
    (lambda: asked(lambda aws: role.delete(aws, "r")), "delete_role", "DeleteConflict"),
    (lambda: writing(log_group, log_retention_days=7), "put_retention_policy", NOT_FOUND),
    (lambda: writing(event_rule, schedule="rate(1 day)"), "put_targets add_permission", NOT_FOUND),
    (lambda: asked(lambda aws: schedule._create(aws, {"Name": "n"})), "create_schedule", NOT_FOUND),
    (lambda: writing(topic_subscription, topic_triggers=(TopicTrigger("t"),)), "subscribe", "NotFound"),
    (lambda: writing(event_pattern_rule, event_triggers=(EventTrigger({"source": ["a"]}),)), "put_targets", NOT_FOUND),
    (
        lambda: writing(event_source_mapping, queue_triggers=(QueueTrigger("q"),)),
        "create_event_source_mapping",
        NOT_FOUND,
    ),
    (lambda: writing(function_url, url=FunctionUrl("NONE")), "create_function_url_config", NOT_FOUND),
    (lambda: writing(async_invocation, retries=0), "put_function_event_invoke_config", NOT_FOUND),
    (lambda: writing(concurrency, concurrency=5), "put_function_concurrency", NOT_FOUND),
    (lambda: writing(provisioned, provisioned_concurrency=1), "put_provisioned_concurrency_config", NOT_FOUND),
    (lambda: writing(recursion, recursive_loop="Allow"), "put_function_recursion_config", NOT_FOUND),
    (lambda: asked(lambda aws: alias.move(aws, "f", None, RELEASE)), "create_alias", NOT_FOUND),
    (lambda: asked(lambda aws: version.wait_until_active(aws, "f", "1"), **ACTIVE), "get_function", NOT_FOUND),
    (lambda: asked(lambda aws: function._wait_until_ready(aws, "f"), **ACTIVE), "get_function", NOT_FOUND),
    (lambda: asked(lambda aws: version._invoke(aws, "f", "1", {})), "invoke", NOT_FOUND),
    (lambda: shared(topic, TopicSpec("t", emails=("a@example.com",))), "subscribe", "NotFound"),
    (
        lambda: shared(bucket, BUCKET),
        "put_public_access_block put_bucket_encryption put_bucket_policy put_bucket_versioning put_bucket_tagging "
        "put_bucket_lifecycle_configuration",
        "NoSuchBucket",
    ),
)


@pytest.mark.parametrize(("write", "operations", "code"), NEW)
def test_call_is_made_again_until_what_is_new_is_known(write: Any, operations: str, code: str) -> None:
    """Roles, aliases, groups and buckets are not known everywhere when the call that created them returns."""
    repeated = write().repeated
    assert {name: repeated.get(name) for name in operations.split()} == dict.fromkeys(operations.split(), (code,))


def test_function_is_waited_for_as_long_as_its_update_takes() -> None:
    """Some 300 s: AWS's own waiters do the same. The others wait for what is not known everywhere."""
    for wait in (
        lambda aws: version.wait_until_active(aws, "f", "1"),
        lambda aws: function._wait_until_ready(aws, "f"),
        lambda aws: provisioned.wait_until_ready(aws, "f"),
    ):
        assert asked(wait, **ACTIVE).waits == [5.0]
    for failed, says in (({}, "no reason given"), ({"StatusReason": "no capacity."}, "no capacity")):
        aws: Any = AnsweringAccount(get_provisioned_concurrency_config={"Status": "FAILED", **failed})
        with pytest.raises(AwsError, match=f"the 0 environments of f: {says}\\. Events"):
            provisioned.wait_until_ready(aws, "f")


@pytest.mark.parametrize(
    ("write", "codes"),
    [
        (lambda: writing(role), {"create_role": "EntityAlreadyExists"}),
        (lambda: writing(log_group), {"create_log_group": "ResourceAlreadyExistsException"}),
        (
            lambda: writing(function_url, url=FunctionUrl("NONE")),
            {"create_function_url_config": "ResourceConflictException"},
        ),
        (
            lambda: writing(event_source_mapping, queue_triggers=(QueueTrigger("q"),)),
            {"create_event_source_mapping": "ResourceConflictException"},
        ),
        (lambda: shared(secret, SecretSpec("s", "x")), {"create_secret": "ResourceExistsException"}),
        (
            lambda: shared(catalog, CatalogSpec("c", (CatalogTable("t", (), "s3://lake/"),))),
            dict.fromkeys(("create_database", "create_table"), "AlreadyExistsException"),
        ),
        (lambda: shared(bucket, BUCKET), {"create_bucket": "BucketAlreadyOwnedByYou"}),
    ],
)
def test_attempt_without_an_answer_may_have_made_it(write: Any, codes: dict[str, str]) -> None:
    """By that code AWS then says that it exists."""
    assert write().made == {operation: (code,) for operation, code in codes.items()}
