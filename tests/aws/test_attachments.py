"""Schedules and triggers name the alias: moved over without a gap, their permissions never piling up."""

from __future__ import annotations

import json

import pytest

from lambda_script import DeployError, S3Trigger
from tests.aws.conftest import ACCOUNT
from tests.support.sessions import REGION

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function"


def policy(client) -> list[dict]:
    return json.loads(client("lambda").get_policy(FunctionName="my-function")["Policy"])["Statement"]


@pytest.fixture
def unaliased(script, client) -> dict:
    """A function with schedule and trigger as a deployment without alias left it. Returns what declares it."""
    client("s3").create_bucket(Bucket="my-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    declared = {"schedule": "@daily", "s3_trigger": S3Trigger("my-lake", prefix="in/")}
    script(**declared).deploy()
    mine = client("lambda")
    for statement in policy(client):
        mine.remove_permission(FunctionName="my-function", StatementId=statement["Sid"])
    mine.delete_alias(FunctionName="my-function", Name="live")
    rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/my-function-schedule"
    for name, service, source_arn in (
        ("lambda-script-schedule-0badcafe", "events", rule),
        ("lambda-script-s3-0badcafe", "s3", "arn:aws:s3:::my-lake"),
        ("theirs", "s3", "arn:aws:s3:::other"),
    ):
        mine.add_permission(
            FunctionName="my-function",
            StatementId=name,
            Action="lambda:InvokeFunction",
            Principal=f"{service}.amazonaws.com",
            SourceArn=source_arn,
        )
    client("events").put_targets(Rule="my-function-schedule", Targets=[{"Id": "lambda-script", "Arn": FUNCTION}])
    notifications = client("s3").get_bucket_notification_configuration(Bucket="my-lake")
    [entry] = notifications["LambdaFunctionConfigurations"]
    client("s3").put_bucket_notification_configuration(
        Bucket="my-lake",
        NotificationConfiguration={"LambdaFunctionConfigurations": [{**entry, "LambdaFunctionArn": FUNCTION}]},
    )
    return declared


def test_attachments_without_alias_are_moved_over_without_a_gap(script, client, wire, unaliased) -> None:
    wire.clear()
    assert script(**unaliased).deploy().ok
    assert {statement["Resource"] for statement in policy(client) if statement["Sid"] != "theirs"} == {
        f"{FUNCTION}:live"
    }
    assert "theirs" in [statement["Sid"] for statement in policy(client)]
    [target] = client("events").list_targets_by_rule(Rule="my-function-schedule")["Targets"]
    assert target["Arn"] == f"{FUNCTION}:live"
    moves = [name for name in wire.writes if name in ("CreateAlias", "PutTargets", "RemovePermission")]
    assert moves.index("CreateAlias") < moves.index("PutTargets")
    assert wire.writes.count("RemovePermission") == 2
    assert not script(**unaliased).plan()


def test_a_stale_permission_that_stayed_is_removed_by_the_same_command(script, client, wire, unaliased) -> None:
    wire.refuse("RemovePermission", "AccessDeniedException", "no", times=2)
    with pytest.raises(DeployError, match="need lambda:RemovePermission"):
        script(**unaliased).deploy()
    report = script(**unaliased).deploy()
    assert {change.kind for change in report.done} == {"schedule", "trigger"}
    assert {statement["Resource"] for statement in policy(client) if statement["Sid"] != "theirs"} == {
        f"{FUNCTION}:live"
    }
    assert not script(**unaliased).plan()
    script(**unaliased, memory=256).deploy()
    wire.clear()
    assert not script(**unaliased, memory=256).plan()
    assert wire.calls.count("GetPolicy") == 1  # nothing is looked for any more


def test_permissions_do_not_pile_up(script, client) -> None:
    buckets = [f"lake-{number}" for number in range(5)]
    for bucket in buckets:
        client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    client_policy_sizes = []
    for number in range(30):
        trigger = S3Trigger(buckets[number % 5], prefix=f"in-{number}/")
        script(s3_trigger=trigger, schedule=f"rate({number + 2} minutes)").deploy()
        client_policy_sizes.append(len(json.dumps(policy(client))))
    assert max(client_policy_sizes) < 1500  # bytes; AWS takes 20 kB
    assert len(policy(client)) == 2
