"""Behaviour of AWS that no emulator has, taken from AWS's manuals or from users' bug reports."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ConnectionClosedError

from lambda_script import Alarm, AwsError, DeployError, OwnershipError, S3Trigger
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.model import Deployment, TopicSpec

REGION = "eu-west-2"


def statements(client, function: str) -> dict[str, dict]:
    policy = json.loads(client("lambda").get_policy(FunctionName=function)["Policy"])
    return {statement["Sid"].split("-")[2]: statement["Condition"] for statement in policy["Statement"]}


def sent(session, operation: str) -> list[dict]:
    """The parameters of every call of ``operation`` from here on."""
    calls: list[dict] = []
    session.events.register(
        f"provide-client-params.*.{operation}", lambda params, **_: calls.append(dict(params)) and None
    )
    return calls


def test_source_account_is_added_only_for_arns_without_account(script, client, session) -> None:
    """Only an arn without an account needs the account beside it."""
    client("s3").create_bucket(Bucket="my-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    calls = sent(session, "AddPermission")
    script(schedule="@daily", s3_trigger=S3Trigger("my-lake")).deploy()
    accounts = {call["Principal"]: call.get("SourceAccount") for call in calls}
    assert accounts == {"events.amazonaws.com": None, "s3.amazonaws.com": "123456789012"}
    assert set(statements(client, "my-function")) == {"schedule", "s3"}


def test_a_permission_that_the_first_try_had_made_is_no_failure(script, recorder, client) -> None:
    recorder.refuse(
        "AddPermission", "ResourceConflictException", "The statement id (x) provided already exists.", times=1
    )
    assert script(schedule="@daily").deploy().ok


def test_function_with_unreadable_tags_is_not_called_unmanaged(script, session) -> None:
    def hidden(parsed: dict, **_: object) -> None:
        if parsed.pop("Tags", None):
            parsed["TagsError"] = {"ErrorCode": "AccessDeniedException", "Message": "not authorized"}

    session.events.register("after-call.lambda.GetFunction", hidden)
    script().deploy()
    with pytest.raises(AwsError, match="need lambda:ListTags"):
        script().plan()


def test_what_lambda_needs_beyond_the_call_itself_is_named(script, recorder) -> None:
    message = "User: x is not authorized to perform: iam:PassRole on resource: y because no identity-based policy"
    recorder.refuse("CreateFunction", "AccessDeniedException", message)
    with pytest.raises(DeployError, match="need iam:PassRole"):
        script().deploy()


def test_a_new_role_is_unknown_to_the_key_of_the_environment_too(script, recorder, fake_time) -> None:
    message = (
        "Lambda was unable to configure access to your environment variables because the KMS key is invalid for "
        "CreateGrant. KMS Exception: InvalidArnException KMS Message: ARN does not refer to a valid principal"
    )
    recorder.refuse_until(lambda: fake_time.seconds >= 5, "CreateFunction", "InvalidParameterValueException", message)
    assert script(environment={"MODE": "x"}).deploy().ok


def test_bucket_that_cannot_be_tagged_is_deleted_again(aws, recorder, client) -> None:
    """A bucket that may not be tagged is taken back so that the same command repairs."""
    deployment = Deployment(buckets=(BucketSpec("my-lake"),))
    recorder.refuse("PutBucketTagging", "AccessDenied", "no", times=1)
    report = execute(aws, make_plan(aws, deployment))
    assert "need s3:PutBucketTagging" in report.failed[0].message
    assert client("s3").list_buckets()["Buckets"] == []
    assert execute(aws, make_plan(aws, deployment)).ok
    assert not make_plan(aws, deployment)


def test_a_bucket_that_the_first_try_had_made_is_no_failure(aws, session, recorder) -> None:
    deployment = Deployment(buckets=(BucketSpec("my-lake"),))
    plan = make_plan(aws, deployment)

    def lose_the_answer(**_: object) -> None:
        if recorder.calls.count("CreateBucket") == 1:
            raise ConnectionClosedError(endpoint_url="https://s3")

    session.events.register("after-call.s3.CreateBucket", lose_the_answer)
    assert execute(aws, plan).ok
    assert not make_plan(aws, deployment)


def test_bucket_created_by_others_meanwhile_is_not_tagged(aws, client) -> None:
    deployment = Deployment(buckets=(BucketSpec("my-lake"),))
    plan = make_plan(aws, deployment)
    client("s3").create_bucket(Bucket="my-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    assert not execute(aws, plan).ok
    with pytest.raises(OwnershipError):
        make_plan(aws, deployment)


def test_a_bucket_of_another_account_is_called_that(aws, recorder) -> None:
    recorder.refuse("GetBucketTagging", "AccessDenied", "Access Denied", status=403)
    with pytest.raises(AwsError, match="my-lake belongs to another account"):
        make_plan(aws, Deployment(buckets=(BucketSpec("my-lake"),)))


def test_north_virginia_is_no_location(session) -> None:
    aws = Aws("us-east-1", session=session)
    assert execute(aws, make_plan(aws, Deployment(buckets=(BucketSpec("my-lake"),)))).ok


def test_notification_is_removed_despite_a_deleted_target(script, client, session) -> None:
    client("s3").create_bucket(Bucket="my-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    calls = sent(session, "PutBucketNotificationConfiguration")
    script(s3_trigger=S3Trigger("my-lake", prefix="in/")).deploy()
    script(s3_trigger=()).deploy()
    assert [call["SkipDestinationValidation"] for call in calls] == [False, True]


def test_filter_names_come_back_with_capitals(script, client, session, recorder) -> None:
    client("s3").create_bucket(Bucket="my-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    trigger = S3Trigger("my-lake", prefix="in/", suffix=".json")
    spelled: set[str] = set()

    def as_s3_spells_them(parsed: dict, **_: object) -> None:
        for entry in parsed.get("LambdaFunctionConfigurations", []):
            for rule in entry["Filter"]["Key"]["FilterRules"]:
                rule["Name"] = rule["Name"].capitalize()
                spelled.add(rule["Name"])

    session.events.register("after-call.s3.GetBucketNotificationConfiguration", as_s3_spells_them)
    script(s3_trigger=trigger).deploy()
    recorder.clear()
    script(s3_trigger=trigger).deploy()
    assert recorder.writes == []
    assert spelled == {"Prefix", "Suffix"}


def test_fields_added_by_lambda_and_cloudwatch_are_no_difference(script, session, recorder) -> None:
    """What lambda and cloudwatch add to their answers is no difference."""
    declared = {"alarms": [Alarm("errors", "Errors", threshold=1)], "schedule": "rate(1 minute)"}
    seen: set[str] = set()

    def more_of_lambda(parsed: dict, **_: object) -> None:
        if "Configuration" not in parsed:
            return
        seen.add("function")
        configuration = parsed["Configuration"]
        configuration.pop("Environment", None)
        configuration.pop("Layers", None)
        configuration.update(
            PackageType="Zip",
            EphemeralStorage={"Size": 512},
            LoggingConfig={"LogFormat": "Text", "LogGroup": "/aws/lambda/my-function"},
            RuntimeVersionConfig={"RuntimeVersionArn": "arn"},
        )

    def more_of_cloudwatch(parsed: dict, **_: object) -> None:
        for alarm in parsed["MetricAlarms"]:
            seen.add("alarm")
            alarm.update(OKActions=[], InsufficientDataActions=[], StateReason="Unchecked: Initial alarm creation")

    session.events.register("after-call.lambda.GetFunction", more_of_lambda)
    session.events.register("after-call.cloudwatch.DescribeAlarms", more_of_cloudwatch)
    script(**declared).deploy()
    recorder.clear()
    script(**declared).deploy()
    assert recorder.writes == []
    assert seen == {"function", "alarm"}


def test_rule_and_role_removal_waits_for_their_dependents(script, recorder, fake_time) -> None:
    script(schedule="@daily").deploy()
    recorder.refuse_until(
        lambda: fake_time.seconds >= 2,
        "DeleteRule",
        "ValidationException",
        "Rule can't be deleted since it has targets.",
    )
    recorder.refuse("DeleteRole", "DeleteConflict", "Cannot delete entity, must delete policies first.", times=2)
    assert script().destroy().ok


def test_a_target_that_is_not_removed_is_a_failure(script, session) -> None:
    def refused(parsed: dict, **_: object) -> None:
        parsed.update(FailedEntryCount=1, FailedEntries=[{"ErrorCode": "InternalException", "ErrorMessage": "oops"}])

    session.events.register("after-call.events.RemoveTargets", refused)
    script(schedule="@daily").deploy()
    with pytest.raises(DeployError, match="did not remove its target: oops"):
        script(schedule="").deploy()


def test_a_connection_is_kept_alive_through_a_long_invocation(aws) -> None:
    assert aws.client("lambda").meta.config.tcp_keepalive


def test_what_was_made_a_moment_ago_may_not_be_known_yet(aws, script, recorder) -> None:
    recorder.refuse("GetFunction", "ResourceNotFoundException", "Function not found", times=3, status=404)
    recorder.refuse(
        "PutRetentionPolicy", "ResourceNotFoundException", "The specified log group does not exist.", times=2
    )
    recorder.refuse("Subscribe", "NotFound", "Topic does not exist", times=2, status=404)
    deployment = Deployment((script().spec,), topics=(TopicSpec("alerts", emails=("a@example.com",)),))
    assert execute(aws, make_plan(aws, deployment)).ok


def test_an_object_that_may_not_be_deleted_is_named(aws, session, client) -> None:
    def kept(parsed: dict, **_: object) -> None:
        parsed["Errors"] = [{"Key": "in/a.json", "Code": "AccessDenied", "Message": "Access Denied"}]

    session.events.register("after-call.s3.DeleteObjects", kept)
    deployment = Deployment(buckets=(BucketSpec("my-lake"),))
    execute(aws, make_plan(aws, deployment))
    client("s3").put_object(Bucket="my-lake", Key="in/a.json", Body=b"{}")
    [failure] = execute(aws, make_destroy_plan(aws, deployment, delete_data=True)).failed
    assert "in/a.json remains: Access Denied" in failure.message


def test_recreated_role_warns_about_its_function(script, client) -> None:
    """A role that was lost and is made again says what may be wrong with its function."""
    declared = {"environment": {"MODE": "x"}}
    [first] = [change for change in script(**declared).deploy().done if change.kind == "role"]
    assert len(first.details) == 1
    client("iam").delete_role_policy(RoleName="my-function-role", PolicyName="lambda_script")
    client("iam").delete_role(RoleName="my-function-role")
    [change] = script(**declared).deploy().done
    assert (change.kind, change.action) == ("role", "create")
    assert "KMSAccessDeniedException, delete the function my-function and deploy again" in change.details[1]
    client("lambda").delete_function(FunctionName="my-function")
    assert script(**declared).deploy().ok
    assert not script(**declared).plan()
