"""Everything that a function can have: what a plan shows of it, and what is sent to AWS, word by word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_script import Alarm, EventTrigger, QueueTrigger, S3Trigger, Schedule, StreamTrigger, TopicTrigger
from lambda_toolkit.aws.account import Place
from lambda_toolkit.changes import Plan
from lambda_toolkit.deploy.deployer_policy import bounded, deployer_policy, read_only
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.spec.bucket import BucketSpec, LifecycleRule
from lambda_toolkit.spec.catalog import CatalogColumn, CatalogSpec, CatalogTable
from lambda_toolkit.spec.model import DashboardSpec, Deployment, SecretSpec, TopicSpec

REGION, ACCOUNT = "eu-west-2", "123456789012"  # moto's account
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd"
LIMITS = f"arn:aws:iam::{ACCOUNT}:policy/limits"
FAILED = f"arn:aws:sqs:{REGION}:{ACCOUNT}:failed"


VIEW = CatalogTable("current_order", (CatalogColumn("id", "int", "integer"),), query='SELECT id FROM "orders"')


def whole(script, *, changed: bool = False) -> Deployment:
    first: dict[str, Any] = {
        "schedule": [
            Schedule("0 9 * * *", "Europe/London", "nine", {"a": 1}, 5, 3, 600, FAILED, end="2126-01-01"),
            Schedule("rate(1 day)", name="daily"),
        ],
        "memory": 256,
        "environment": {"MODE": "x", "API_TOKEN": "hunter2"},
        "s3_trigger": S3Trigger("lake", "in/", ".csv"),
        "topic_trigger": TopicTrigger("alerts", {"kind": ["new"]}),
        "queue_trigger": QueueTrigger("orders", 100, 5, ({"body": {"kind": ["new"]}},), True, 5),
        "stream_trigger": StreamTrigger("clicks", "", "LATEST", "", 50, 0, (), False, FAILED, 2, True, 3, 600),
        "event_trigger": EventTrigger({"source": ["shop"]}),
        "url": {"auth": "NONE", "cors": {"origins": "https://a.example", "methods": ["GET"], "max_age": 60}},
        "alarms": [
            Alarm("errors", "Errors", topic="alerts", alias="live", evaluation_periods=3, datapoints_to_alarm=2),
            Alarm("quiet", "Invocations", threshold=1, comparison="LessThanThreshold", expression="FILL(m, 0)"),
        ],
        "permissions": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::lake/*"]}],
        "on_failure": FAILED,
        "retries": 1,
        "concurrency": 7,
        "provisioned_concurrency": 2,
        "recursive_loop": "Allow",
        "log_retention_days": 7,
        "ephemeral_storage": 1024,
        "tracing": "Active",
        "kms_key": KEY,
        "log_format": "JSON",
        "log_level": "WARN",
        "description": "reports",
        "permissions_boundary": LIMITS,
        "tags": {"team": "data"},
    }
    rule: dict[str, Any] = {"schedule": "rate(5 minutes)"}
    if changed:
        first |= {
            "schedule": [Schedule("30 9 * * *", "Europe/London", "nine"), Schedule("rate(2 days)", name="new")],
            "memory": 512,
            "environment": {"MODE": "y"},
            "s3_trigger": S3Trigger("lake", "in/", ".json"),
            "topic_trigger": TopicTrigger("alerts"),
            "queue_trigger": QueueTrigger("orders", 10),
            "stream_trigger": [],
            "event_trigger": EventTrigger({"source": ["stock"]}, enabled=False),
            "url": "AWS_IAM",
            "alarms": [Alarm("errors", "Errors", threshold=2, description="Look at the log.")],
            "permissions": [],
            "on_failure": "",
            "retries": 0,
            "concurrency": "unreserved",
            "provisioned_concurrency": 0,
            "recursive_loop": "",
            "log_retention_days": 14,
            "ephemeral_storage": 0,
            "tracing": "",
            "kms_key": "",
            "log_format": "",
            "log_level": "",
            "description": "",
            "permissions_boundary": "",
            "tags": {"team": ""},
        }
        rule = {"schedule": "rate(10 minutes)"}
    lifecycle = (LifecycleRule("old", "tmp/", 7, 30, 90, 30, "STANDARD_IA"),)
    column = CatalogColumn("id", "bigint" if changed else "int", "bigint" if changed else "integer")
    tables = [
        CatalogTable("orders", (column,), "s3://lake/data/"),
        CatalogTable("lines", (column,), "s3://lake/", "lines"),
    ]
    graph = {
        "type": "metric", "x": 0, "y": 0, "width": 12, "height": 6,
        "properties": {
            "title": "Errors",
            "region": REGION,
            "period": 60 if changed else 300,
            "metrics": [["AWS/Lambda", "Errors", "FunctionName", "report", {"stat": "Sum"}]],
        },
    }  # fmt: skip
    return Deployment(
        (
            script(function_name_template="report", **first).spec,
            script(function_name_template="tick", **rule).spec,
        ),
        buckets=(
            BucketSpec(
                "lake",
                kms_key=KEY.replace("key/1234", "key/5678") if changed else KEY,
                lifecycle=() if changed else lifecycle,
            ),
        ),
        topics=(TopicSpec("alerts", emails=() if changed else ("a@example.com",)),),
        secrets=(SecretSpec("shop/source", value="y" if changed else "x"),),
        dashboards=(DashboardSpec("shop-dev", {"widgets": [graph]}),),
        catalogs=(CatalogSpec("shop_dev", (*tables[: 1 if changed else 2], VIEW)),),
        application="shop",
        stage="dev",
    )


@pytest.fixture(autouse=True)
def _around(client) -> None:
    client("sqs").create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "300"})
    client("sqs").create_queue(QueueName="failed")
    client("kinesis").create_stream(StreamName="clicks", ShardCount=1)


MASKED = (  # what differs from machine to machine, and from run to run
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
    (r"digest [0-9a-f]+, code [^ ]+,", "digest <hash>, code <hash>,"),
    (r'("ClientRequestToken": "lambda-script|"CodeSha256": ")[^"]+', r"\1<hash>"),
    (r"python3\.\d+", "python3.X"),
    (r"[\d.]+ kB of code", "<size> of code"),
)
READS = ("Get", "List", "Describe", "Head")


def lines(plan: Plan, sent: list[tuple[str, Any]]) -> Iterator[str]:
    """The changes that the plan shows, with what each waits for, and the calls that made them, sorted."""
    for change in plan.changes:
        yield f"{change.action} {change.kind} {change.name}"
        yield from (f"    {each}" for each in (*change.details, *change.differences))
        for title, keys in (("after", change.after), ("missing", change.missing)):
            yield from (f"    {title} {kind} {name}" for kind, name in sorted(keys))
    yield from sorted(f"{name} {json.dumps(given, default=_shown, sort_keys=True)}" for name, given in sent)


def _shown(value: object) -> str:
    return "<bytes>" if isinstance(value, bytes) else str(value)


def test_plan_shows_and_sends_each_word(aws, script, session) -> None:
    """``whole_plan.txt`` has what a deploy, a deploy of other settings, and a destroy show and send.

    Each line is what AWS's API reference asks for. Where one shall change, change it there by hand.
    """
    sent: list[tuple[str, Any]] = []

    def keep(params: dict[str, Any], model: Any, **_: object) -> None:
        if not model.name.startswith(READS):
            sent.append((model.name, dict(params)))

    session.events.register("provide-client-params.*.*", keep)
    found = []
    for title, planned in (
        ("A deploy", lambda: make_plan(aws, whole(script), prune=True)),
        ("A deploy of other settings", lambda: make_plan(aws, whole(script, changed=True), prune=True)),
        ("A destroy", lambda: make_destroy_plan(aws, whole(script, changed=True), delete_data=True)),
    ):
        plan = planned()
        sent.clear()
        report = execute(aws, plan)
        assert report.ok, report.failed
        found += [f"# {title}", *lines(plan, sent)]
    text = "\n".join(found) + "\n"
    for pattern, instead in MASKED:
        text = re.sub(pattern, instead, text)
    assert text.splitlines() == Path(__file__).with_name("whole_plan.txt").read_text(encoding="utf-8").splitlines()


def test_policy_of_who_deploys_has_each_name(script) -> None:
    """``whole_policy.txt`` has what the deploy and the destroy need, each action on the names that are declared."""
    deployment = whole(script).tagged()
    policy = deployer_policy(deployment, Place(ACCOUNT, REGION), delete_data=True)
    found = []
    for title, each in (("All", policy), ("Reading", read_only(policy)), ("Bounded", bounded(policy, [LIMITS]))):
        found.append(f"# {title}")
        for item in each["Statement"] if title == "All" else _others(each, policy):
            found.append(f"{item['Effect']} {item['Sid']}")
            found += [f"    {action}" for action in item["Action"]]
            found += [f"    on {resource}" for resource in item["Resource"]]
            found += [f"    where {json.dumps(item['Condition'], sort_keys=True)}"] if "Condition" in item else []
    assert found == Path(__file__).with_name("whole_policy.txt").read_text(encoding="utf-8").splitlines()


def _others(policy: dict[str, Any], than: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in policy["Statement"] if item not in than["Statement"]]
