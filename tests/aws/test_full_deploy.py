"""A full deployment with faults: random throttling, any call denied, stale reads, partial failures."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter

import pytest
from botocore.exceptions import ClientError

from lambda_script import Alarm, AwsError, PlanError, S3Trigger
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.spec.bucket import BucketSpec, LifecycleRule
from lambda_toolkit.spec.model import Deployment, SecretSpec, TopicSpec

REGION = "eu-west-2"
ACCOUNT = "123456789012"  # moto's


def whole(script, name: str = "shop", functions: int = 1) -> Deployment:
    """Everything that there is to deploy."""
    lake, alerts = f"{name}-lake", f"{name}-alerts"
    return Deployment(
        tuple(
            script(
                function_name_template=f"{name}-{number}",
                schedule="@daily",
                environment={"MODE": "x"},
                s3_trigger=S3Trigger(lake, prefix=f"{number}/"),
                alarms=[Alarm("errors", "Errors", topic=alerts)],
            ).spec
            for number in range(functions)
        ),
        buckets=(BucketSpec(lake, lifecycle=(LifecycleRule("uploads", abort_uploads_days=7),)),),
        topics=(TopicSpec(alerts, emails=("a@example.com",)),),
        secrets=(SecretSpec(f"{name}/source", value="x"),),
        application=name,
        stage="dev",
    )


def alone(script, name: str) -> Deployment:
    """One function with a schedule."""
    return Deployment((script(function_name_template=name, schedule="@daily").spec,), application=name, stage="dev")


def plan(aws, deployment: Deployment):
    return make_plan(aws, deployment, prune=True)


@pytest.mark.parametrize("seed", [1, 2])
def test_throttling_a_third_of_calls_only_costs_time(aws, script, recorder, fake_time, seed) -> None:
    """A third of all calls throttled at random only costs time."""
    draw, lock = random.Random(seed), threading.Lock()  # noqa: S311
    refused = Counter()

    def passes() -> bool:
        with lock:
            served = draw.random() >= 0.3
            refused[served] += 1
            return served

    recorder.refuse_until(passes, "*", "ThrottlingException", "Rate exceeded")
    deployment = whole(script, functions=3)
    assert execute(aws, plan(aws, deployment)).ok
    assert not plan(aws, deployment)
    assert 0.2 < refused[False] / refused.total() < 0.4
    assert fake_time.seconds > 0


class NthDenied:
    """The N-th call is denied, whatever it is."""

    def __init__(self, session) -> None:
        self.left = 0
        self.denied = ""
        self._lock = threading.Lock()
        session.events.register("before-call.*.*", self._before)

    def deny(self, number: int) -> None:
        self.left, self.denied = number, ""

    def _before(self, model, **_: object) -> None:
        with self._lock:
            self.left -= 1
            if self.left == 0:
                self.denied = model.name
                answer = {"Error": {"Code": "AccessDenied", "Message": "not authorized"}}
                raise ClientError(answer, model.name)


@pytest.mark.parametrize(("everything", "step"), [(False, 3), (True, 14)])
def test_whichever_call_is_denied_the_same_command_repairs(aws, script, session, everything, step) -> None:
    """What was done and what was not is said, and a third plan finds nothing to do."""
    denial = NthDenied(session)
    denied: set[str] = set()
    for number in range(1, 200, step):
        deployment = whole(script, f"shop{number}") if everything else alone(script, f"shop{number}")
        denial.deny(number)
        try:
            report = execute(aws, plan(aws, deployment))
        except (AwsError, PlanError) as error:
            assert "not authorized" in str(error)
        else:
            if denial.denied and not report.ok:
                [failure] = report.failed
                assert f":{denial.denied}" in failure.message or "need " in failure.message
                assert len(report.done) + len(report.skipped) == report.total - 1
        if not denial.denied:
            break
        denied.add(denial.denied)
        again = execute(aws, plan(aws, deployment))
        assert again.ok, (denial.denied, again.failed)
        left = plan(aws, deployment)
        assert not left, (denial.denied, left)
    assert len(denied) >= 3  # which ones, depends on the threads; each by its name is denied elsewhere


def test_what_was_made_a_moment_ago_is_seen_late_everywhere(aws, script, recorder, fake_time) -> None:
    for operation, code in {
        "PutRolePolicy": "NoSuchEntity",
        "PutRetentionPolicy": "ResourceNotFoundException",
        "GetFunction": "ResourceNotFoundException",
        "AddPermission": "ResourceNotFoundException",
        "PutTargets": "ResourceNotFoundException",
        "Subscribe": "NotFound",
        "PutBucketTagging": "NoSuchBucket",
        "PutPublicAccessBlock": "NoSuchBucket",
        "PutBucketEncryption": "NoSuchBucket",
        "PutBucketPolicy": "NoSuchBucket",
        "PutBucketVersioning": "NoSuchBucket",
        "PutBucketLifecycleConfiguration": "NoSuchBucket",
    }.items():
        recorder.refuse(operation, code, "not there", times=3, status=404)
    message = "The role defined for the function cannot be assumed by Lambda."
    recorder.refuse_until(lambda: fake_time.seconds >= 8, "CreateFunction", "InvalidParameterValueException", message)
    unvalidated = "Unable to validate the following destination configurations"
    recorder.refuse("PutBucketNotificationConfiguration", "InvalidArgument", unvalidated, times=3)
    deployment = whole(script)
    report = execute(aws, plan(aws, deployment))
    assert report.ok, report.failed
    assert fake_time.seconds >= 8
    assert not plan(aws, deployment)


def test_failures_among_twenty_functions_do_not_stop_the_rest(aws, script, session) -> None:
    """Of twenty functions those that fail do not stop the others."""

    def deny(operation: str, subject: str) -> None:
        def before(params: dict, model, **_: object) -> None:
            if subject in f"{params.get('body')}{params.get('url_path')}":
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, model.name)

        session.events.register(f"before-call.*.{operation}", before)

    deny("CreateFunction", "many-3")
    deny("PutRule", "many-7-")
    deny("PutMetricAlarm", "many-11-")
    functions = tuple(
        script(function_name_template=f"many-{n}", schedule="@daily", alarms=[Alarm("errors", "Errors")]).spec
        for n in (*range(3), *range(4, 20), 33)
    )
    report = execute(aws, make_plan(aws, Deployment(functions)))
    assert {failure.change.key for failure in report.failed} == {
        ("function", "many-33"),
        ("schedule", "many-7-schedule"),
        ("alarm", "many-11-errors"),
    }
    assert {failure.change.key for failure in report.skipped} == {("schedule", "many-33-schedule")}
    assert len(report.done) == 20 * 5 - 4


def test_three_foreign_notifications_survive_to_the_byte(aws, script, client) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="shared", CreateBucketConfiguration={"LocationConstraint": REGION})
    client("sqs").create_queue(QueueName="theirs")
    client("sns").create_topic(Name="theirs")
    script(function_name_template="theirs").deploy()

    def entry(key: str, arn: str, prefix: str) -> dict:
        rules = [{"Name": "prefix", "Value": prefix}, {"Name": "suffix", "Value": ".csv"}]
        return {
            "Id": f"their-{key}",
            key: arn,
            "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": rules}},
        }

    s3.put_bucket_notification_configuration(
        Bucket="shared",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                entry("LambdaFunctionArn", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:theirs", "a/")
            ],
            "QueueConfigurations": [entry("QueueArn", f"arn:aws:sqs:{REGION}:{ACCOUNT}:theirs", "b/")],
            "TopicConfigurations": [entry("TopicArn", f"arn:aws:sns:{REGION}:{ACCOUNT}:theirs", "c/")],
            "EventBridgeConfiguration": {},
        },
    )

    def theirs() -> str:
        answer = s3.get_bucket_notification_configuration(Bucket="shared")
        del answer["ResponseMetadata"]
        entries = answer["LambdaFunctionConfigurations"]
        answer["LambdaFunctionConfigurations"] = [item for item in entries if item["Id"].startswith("their")]
        return json.dumps(answer, sort_keys=True)

    before = theirs()
    for trigger in ([S3Trigger("shared", "in/")], [S3Trigger("shared", "in/"), S3Trigger("shared", "d/")], []):
        script(s3_trigger=trigger).deploy()
        assert theirs() == before
    script(s3_trigger=S3Trigger("shared", "in/")).deploy()
    assert script(s3_trigger=S3Trigger("shared", "in/")).destroy().ok
    assert theirs() == before


ALLOWED = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::x/*"]}
DECLARED = {
    "schedule": "@daily",
    "s3_trigger": [S3Trigger("lake", prefix="in/")],
    "alarms": [Alarm("errors", "Errors")],
    "permissions": [ALLOWED],
    "environment": {"MODE": "x"},
    "description": "theirs",
    "tags": {"team": "data"},
}
EMPTY = {
    "schedule": "",
    "s3_trigger": [],
    "alarms": [],
    "permissions": [],
    "environment": {},
    "description": "",
    "tags": {"team": ""},
}


@pytest.mark.parametrize("attribute", DECLARED)
def test_undeclared_attribute_is_kept_and_empty_one_removed(script, client, attribute) -> None:
    client("s3").create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    script(**{attribute: DECLARED[attribute]}).deploy()
    # the shorter declaration differs, so it is released once; nothing on AWS is removed for it
    assert not any(change.differences or change.action == "delete" for change in script().plan().changes)
    emptied = {attribute: EMPTY[attribute]}
    assert script(**emptied).plan().changes
    assert script(**emptied).deploy().ok
    assert not script(**emptied).plan()
    assert script(**{attribute: DECLARED[attribute]}).plan().changes, "the attribute was removed"


def test_undeclared_emails_are_kept_and_empty_emails_removed(aws, client) -> None:
    def topic(emails) -> Deployment:
        return Deployment(topics=(TopicSpec("alerts", emails=emails),))

    execute(aws, make_plan(aws, topic(("a@example.com",))))
    assert not make_plan(aws, topic(None))
    assert execute(aws, make_plan(aws, topic(()))).ok
    assert client("sns").list_subscriptions()["Subscriptions"] == []


def test_drift_made_by_hand_shows_attribute_by_attribute(aws, script, client) -> None:
    deployment = whole(script)
    assert execute(aws, plan(aws, deployment)).ok
    client("lambda").update_function_configuration(
        FunctionName="shop-0", Timeout=5, Environment={"Variables": {"MODE": "y", "API_TOKEN": "hunter2"}}
    )
    client("logs").put_retention_policy(logGroupName="/aws/lambda/shop-0", retentionInDays=1)
    client("events").disable_rule(Name="shop-0-schedule")
    client("cloudwatch").put_metric_alarm(
        AlarmName="shop-0-errors", MetricName="Errors", Namespace="AWS/Lambda", Threshold=9.0, Period=60,
        EvaluationPeriods=1, Statistic="Sum", ComparisonOperator="GreaterThanOrEqualToThreshold",
    )  # fmt: skip
    client("s3").put_bucket_versioning(Bucket="shop-lake", VersioningConfiguration={"Status": "Suspended"})
    client("iam").put_role_policy(
        RoleName="shop-0-role",
        PolicyName="lambda_script",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{**ALLOWED, "Action": "s3:*"}]}),
    )
    declared = Deployment(
        tuple(deployment.functions), deployment.buckets, deployment.topics, deployment.secrets, "shop", "dev"
    )
    found = plan(aws, declared)
    lines = {str(item) for change in found.changes for item in change.differences}
    assert lines >= {
        "Timeout: 5 -> 60",
        "Environment.MODE: y -> x",
        "Environment.API_TOKEN: ******** -> none",
        "retention_days: 1 -> 30",
        "Threshold: 9.0 -> 1.0",
        "versioning: Suspended -> Enabled",
    }
    assert any("DISABLED -> ENABLED" in line for line in lines)
    assert any(line.startswith("policy.arn:aws:logs:") for line in lines)
    assert "hunter2" not in repr(found)
    assert execute(aws, found).ok
    assert not plan(aws, declared)
    assert execute(aws, make_destroy_plan(aws, declared, delete_data=True)).ok
