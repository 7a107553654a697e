"""The permissions of schedules and triggers: stale ones are removed, and they do not accumulate."""

from __future__ import annotations

import json

import pytest

from lambda_script import DeployError, S3Trigger
from tests.support.sessions import ACCOUNT, REGION


def policy(client) -> list[dict]:
    return json.loads(client("lambda").get_policy(FunctionName="my-function")["Policy"])["Statement"]


def test_stale_permissions_are_removed_and_those_of_others_stay(script, client, recorder) -> None:
    client("s3").create_bucket(Bucket="my-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    declared = {"schedule": "@daily", "s3_trigger": S3Trigger("my-lake", prefix="in/")}
    script(**declared).deploy()
    ours = {statement["Sid"] for statement in policy(client)}
    rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/my-function-schedule"
    for name, service, source_arn in (
        ("lambda-script-schedule-0badcafe", "events", rule),
        ("lambda-script-s3-0badcafe", "s3", "arn:aws:s3:::my-lake"),
        ("theirs", "s3", "arn:aws:s3:::other"),
    ):
        client("lambda").add_permission(
            FunctionName="my-function",
            Qualifier="live",
            StatementId=name,
            Action="lambda:InvokeFunction",
            Principal=f"{service}.amazonaws.com",
            SourceArn=source_arn,
        )
    recorder.refuse("RemovePermission", "AccessDeniedException", "no", times=2)
    with pytest.raises(DeployError, match="need lambda:RemovePermission"):
        script(**declared).deploy()
    report = script(**declared).deploy()
    assert {change.kind for change in report.done} == {"schedule", "trigger"}
    assert {statement["Sid"] for statement in policy(client)} == {*ours, "theirs"}
    recorder.clear()
    assert not script(**declared).plan()
    assert recorder.calls.count("GetPolicy") == 1


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
