"""Destroy deletes every managed resource, keeps unmanaged ones, and deletes data only on request."""

from __future__ import annotations

import pytest
from botocore.model import OperationModel

from lambda_script import Alarm, S3Trigger
from lambda_toolkit.aws.account import Place
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.retries import _IAM_ACTIONS
from lambda_toolkit.deploy.deployer_policy import deployer_policy
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.model import Deployment, SecretSpec, TopicSpec
from tests.support.sessions import new_session

REGION = "eu-west-2"
ACCOUNT = "123456789012"  # moto's


@pytest.fixture
def deployment(aws, script) -> Deployment:
    function = script(
        schedule="rate(5 minutes)",
        s3_trigger=S3Trigger("my-lake", prefix="in/"),
        alarms=[Alarm("errors", "Errors", topic="alerts")],
    ).spec
    deployment = Deployment(
        functions=(function,),
        buckets=(BucketSpec("my-lake"),),
        topics=(TopicSpec("alerts", emails=("a@example.com",)),),
        secrets=(SecretSpec("my-secret", value="x"),),
    )
    assert execute(aws, make_plan(aws, deployment)).ok
    return deployment


def left(client) -> dict[str, int]:
    return {
        "functions": len(client("lambda").list_functions()["Functions"]),
        "roles": len(client("iam").list_roles()["Roles"]),
        "rules": len(client("events").list_rules()["Rules"]),
        "log groups": len(client("logs").describe_log_groups()["logGroups"]),
        "alarms": len(client("cloudwatch").describe_alarms()["MetricAlarms"]),
        "topics": len(client("sns").list_topics()["Topics"]),
        "buckets": len(client("s3").list_buckets()["Buckets"]),
        "secrets": len(client("secretsmanager").list_secrets()["SecretList"]),
    }


def test_data_stays_unless_asked_for(aws, client, deployment) -> None:
    client("s3").put_object(Bucket="my-lake", Key="in/a", Body=b"1")
    plan = make_destroy_plan(aws, deployment)
    assert plan.notes == (
        "log group /aws/lambda/my-function is kept",
        "bucket my-lake and its objects are kept",
        "secret my-secret is kept",
    )
    assert execute(aws, plan).ok
    remaining = left(client)
    assert (remaining.pop("buckets"), remaining.pop("secrets"), remaining.pop("log groups")) == (1, 1, 1)
    assert set(remaining.values()) == {0}
    assert "LambdaFunctionConfigurations" not in client("s3").get_bucket_notification_configuration(Bucket="my-lake")
    assert not make_destroy_plan(aws, deployment)
    assert execute(aws, make_destroy_plan(aws, deployment, delete_data=True)).ok
    assert set(left(client).values()) == {0}


@pytest.mark.parametrize("delete_data", [False, True])
def test_destroy_calls_only_what_its_policy_grants(deployment, delete_data) -> None:
    called: set[str] = set()

    def record(model: OperationModel, **_: object) -> None:
        service = {"resourcegroupstaggingapi": "tag"}.get(model.service_model.service_name)
        permission = f"{service or model.service_model.service_name}:{model.name}"
        called.add(_IAM_ACTIONS.get(permission, permission))

    session = new_session()
    session.events.register("before-call.*.*", record)
    aws = Aws(REGION, session=session)
    policy = deployer_policy(deployment, Place(ACCOUNT, REGION), delete_data=delete_data)
    assert execute(aws, make_destroy_plan(aws, deployment, delete_data=delete_data)).ok
    assert called <= {action for statement in policy["Statement"] for action in statement["Action"]}
    assert ("logs:DeleteLogGroup" in called) is delete_data


def test_with_its_data(aws, client, deployment) -> None:
    s3 = client("s3")
    s3.put_bucket_versioning(Bucket="my-lake", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket="my-lake", Key="in/a", Body=body)
    s3.delete_object(Bucket="my-lake", Key="in/a")
    s3.create_multipart_upload(Bucket="my-lake", Key="in/unfinished")
    assert execute(aws, make_destroy_plan(aws, deployment, delete_data=True)).ok
    assert set(left(client).values()) == {0}
    assert execute(aws, make_plan(aws, deployment)).ok  # and it can be made again


def test_what_is_not_ours_stays_and_is_named(aws, client, deployment) -> None:
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function"
    client("lambda").untag_resource(Resource=arn, TagKeys=["managed-by"])
    client("s3").put_bucket_tagging(Bucket="my-lake", Tagging={"TagSet": []})
    plan = make_destroy_plan(aws, deployment, delete_data=True)
    assert "function my-function is not managed by this toolkit and is left unchanged" in plan.notes
    assert {change.kind for change in plan.changes} == {"topic", "secret"}


def test_each_resource_that_is_not_ours_stays(aws, client, deployment) -> None:
    """One that lost the tag of the toolkit may be another one: the others are still removed."""

    def kinds() -> set[str]:
        return {change.kind for change in make_destroy_plan(aws, deployment, delete_data=True).changes}

    def arn(service: str, name: str) -> str:
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"

    tag, expected = ["managed-by"], kinds()
    for kind, untag in {
        "schedule": lambda: client("events").untag_resource(
            ResourceARN=arn("events", "rule/my-function-schedule"), TagKeys=tag
        ),
        "alarm": lambda: client("cloudwatch").untag_resource(
            ResourceARN=arn("cloudwatch", "alarm:my-function-errors"), TagKeys=tag
        ),
        "log group": lambda: client("logs").untag_resource(
            resourceArn=arn("logs", "log-group:/aws/lambda/my-function"), tagKeys=tag
        ),
        "role": lambda: client("iam").untag_role(RoleName="my-function-role", TagKeys=tag),
        "topic": lambda: client("sns").untag_resource(ResourceArn=arn("sns", "alerts"), TagKeys=tag),
        "secret": lambda: client("secretsmanager").untag_resource(SecretId="my-secret", TagKeys=tag),
        "bucket": lambda: client("s3").delete_bucket_tagging(Bucket="my-lake"),
    }.items():
        assert kind in expected
        untag()
        expected = expected - {kind}
        assert kinds() == expected


def test_destroy_finishes_what_was_begun(aws, client, deployment, recorder) -> None:
    recorder.refuse("DeleteRole", "AccessDenied", "no", times=1)
    report = execute(aws, make_destroy_plan(aws, deployment))
    assert [failure.change.kind for failure in report.failed] == ["role"]
    assert report.skipped == ()
    assert execute(aws, make_destroy_plan(aws, deployment)).ok
    assert left(client)["roles"] == 0


def test_lambda_script_destroys_its_own(script, client) -> None:
    script(schedule="@daily").deploy()
    report = script(schedule="@daily").destroy()
    assert {change.kind for change in report.done} == {"function", "role", "schedule"}
    assert script().destroy().done == ()
    assert {change.kind for change in script().destroy(delete_data=True).done} == {"log group"}
    assert set(left(client).values()) == {0}
