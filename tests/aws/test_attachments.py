"""The table of attachments in docs/extending.md: its files, and the calls of a plan in which nothing changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lambda_script import Alarm
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.resources import registry
from lambda_toolkit.spec.model import Deployment
from tests.support.attachments import ATTACHMENTS, FEW, files_of, table, written
from tests.support.lambda_networks import LambdaNetworks
from tests.support.repository import REPOSITORY

OF_FUNCTIONS = {"GetResources": 1, "ListFunctions": 1, "GetAlias": 3, "GetPolicy": 3}
"""What three functions take without attachments, and with a trigger."""


def test_table_is_that_of_the_code() -> None:
    assert written() == table(), "write it: python -m tests.support.attachments"
    assert [each.module for each in ATTACHMENTS] == [
        module.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
        for module in registry.ATTACHMENTS
    ]


def test_each_attachment_has_an_example_that_uses_it() -> None:
    for each in ATTACHMENTS:
        text = (REPOSITORY / "examples" / each.example / "deploy.py").read_text("utf-8")
        assert [name for name in each.arguments.split(", ") if f"{name}=" in text], each.module


def test_table_says_what_each_attachment_was_proven_by() -> None:
    """The tests against a fake use it, and those on the local stack name the attachment or its example."""
    account = (REPOSITORY / "tests/support/moto_account.py").read_text("utf-8")
    for each in ATTACHMENTS:
        tests = "".join((REPOSITORY / f"tests/aws/test_{name}.py").read_text("utf-8") for name in each.tests.split())
        assert not each.fake or each.fake in account + tests, each.module
        if each.stack:
            text = (REPOSITORY / "tests" / each.stack).read_text("utf-8")
            named = (*each.arguments.split(", "), f'"{each.example}"', each.module)
            assert [name for name in named if name in text.replace("-", "_")], each.module


def test_six_files_add_an_attachment() -> None:
    """The module, a line of the registry, the field, the argument, its type, its limits or declaration: no more."""
    found = {each.module: len(files_of(each)) for each in ATTACHMENTS}
    settings = ("async_invocation", "concurrency", "recursion")
    triggers = ("topic_subscription", "event_pattern_rule", "function_url")
    assert {name: found[name] for name in (*settings, *triggers)} == dict.fromkeys((*settings, *triggers), FEW)
    assert all(each.why for each in ATTACHMENTS if found[each.module] > FEW)


def test_calls_where_nothing_changed_are_those_of_the_table(aws, script, session, client, fake_time, recorder) -> None:
    """Three functions with everything, and with schedules of Scheduler in place of a rule."""
    LambdaNetworks(fake_time.now, client).register(session)
    client("s3").create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    client("sns").create_topic(Name="orders")
    client("sqs").create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "600"})
    queue = "arn:aws:sqs:eu-west-2:123456789012:orders"
    by_name: dict[str, dict[str, Any]] = {
        "event_rule": {"schedule": "@daily"},
        "s3_notification": {"s3_trigger": {"bucket": "lake"}},
        "topic_subscription": {"topic_trigger": "orders"},
        "event_pattern_rule": {"event_trigger": {"pattern": {"source": ["shop"]}}},
        "event_source_mapping": {"queue_trigger": "orders"},
        "function_url": {"url": "AWS_IAM"},
        "async_invocation": {"on_failure": queue},
        "concurrency": {"concurrency": 5},
        "provisioned": {"provisioned_concurrency": 1},
        "recursion": {"recursive_loop": "Allow"},
        "network": {"vpc": {"subnets": ["subnet-1a"], "security_groups": ["sg-1"]}},
        "alarm": {"alarms": [Alarm("errors", "Errors")]},
    }

    def calls(declared: dict[str, Any]) -> Counter[str]:
        made = []
        for name in ("one", "two", "three"):
            own = {"s3_trigger": {"bucket": "lake", "prefix": f"{name}/"}} if "s3_trigger" in declared else {}
            made.append(script(**{**declared, **own}, function_name_template=f"shop-dev-{name}").spec)
        deployment = Deployment(tuple(made), application="shop", stage="dev")
        assert execute(aws, make_plan(aws, deployment, prune=True)).ok
        recorder.clear()
        assert not make_plan(aws, deployment, prune=True)
        return Counter(recorder.calls)

    of = {each.module: each.calls for each in ATTACHMENTS}
    everything = calls({key: value for each in by_name.values() for key, value in each.items()})
    assert everything == _sum(OF_FUNCTIONS, of["role"], of["log_group"], *(of[name] for name in by_name))
    zoned = calls({"schedule": "@daily", "timezone": "Europe/London"})
    assert zoned == _sum(OF_FUNCTIONS, *(of[name] for name in ("role", "log_group", "schedule", "schedule_role")))
    ruled = calls(by_name["event_rule"])
    assert ruled == _sum(OF_FUNCTIONS, of["role"], of["log_group"], of["event_rule"])
    assert ruled.total() <= 20


def _sum(*counts: Mapping[str, int]) -> Counter[str]:
    return Counter({name: sum(each.get(name, 0) for each in counts) for each in counts for name in each})
