"""Buckets, topics and secrets; several functions in one deployment; one function alone."""

from __future__ import annotations

import logging
from collections import Counter

import pytest

import lambda_script
from lambda_script import OwnershipError, ToolkitError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.resources.planning.reads import BULK_ROLES
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.model import Deployment, SecretSpec, TopicSpec

REGION = "eu-west-2"


def deploy(aws, deployment: Deployment, only=None):
    return execute(aws, make_plan(aws, deployment, only))


def test_a_bucket_is_closed_to_the_public_and_tagged(aws, client, recorder) -> None:
    deployment = Deployment(buckets=(BucketSpec("my-lake", tags={"project": "x"}),))
    assert deploy(aws, deployment).ok
    access = client("s3").get_public_access_block(Bucket="my-lake")["PublicAccessBlockConfiguration"]
    assert set(access.values()) == {True}
    assert client("s3").get_bucket_location(Bucket="my-lake")["LocationConstraint"] == REGION
    recorder.clear()
    deploy(aws, deployment)
    assert recorder.writes == []
    client("s3").delete_public_access_block(Bucket="my-lake")
    [change] = deploy(aws, deployment).done
    assert change.action == "update"
    assert [(item.attribute, item.live, item.desired) for item in change.differences] == [
        (f"public_access.{name}", None, True)
        for name in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    ]


def test_new_bucket_tags_keep_the_others(aws, client) -> None:
    deploy(aws, Deployment(buckets=(BucketSpec("my-lake"),)))
    kept = [*client("s3").get_bucket_tagging(Bucket="my-lake")["TagSet"], {"Key": "theirs", "Value": "1"}]
    client("s3").put_bucket_tagging(Bucket="my-lake", Tagging={"TagSet": kept})
    deploy(aws, Deployment(buckets=(BucketSpec("my-lake", tags={"project": "x"}),)))
    tags = {tag["Key"] for tag in client("s3").get_bucket_tagging(Bucket="my-lake")["TagSet"]}
    assert tags == {"theirs", "project", "managed-by"}


def test_unmanaged_bucket_is_not_changed(aws, client, recorder) -> None:
    client("s3").create_bucket(Bucket="theirs", CreateBucketConfiguration={"LocationConstraint": REGION})
    with pytest.raises(OwnershipError, match="`theirs`"):
        make_plan(aws, Deployment(buckets=(BucketSpec("theirs"),)))
    assert deploy(aws, Deployment(buckets=(BucketSpec("theirs", adopt=True),))).ok
    assert not make_plan(aws, Deployment(buckets=(BucketSpec("theirs"),)))


def test_a_topic_asks_each_address_once(aws, client, recorder) -> None:
    deployment = Deployment(topics=(TopicSpec("alerts", emails=("a@example.com", "b@example.com", "a@example.com")),))
    [change] = deploy(aws, deployment).done
    assert change.details == (
        "a@example.com gets a request to confirm its subscription",
        "b@example.com gets a request to confirm its subscription",
    )
    recorder.clear()
    deploy(aws, deployment)
    assert recorder.writes == []
    [change] = deploy(aws, Deployment(topics=(TopicSpec("alerts", emails=("c@example.com",)),))).done
    assert change.action == "update"
    topic = client("sns").list_topics()["Topics"][0]["TopicArn"]
    endpoints = {
        item["Endpoint"] for item in client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    }
    assert endpoints == {"c@example.com"}


def test_topic_is_encrypted_with_the_declared_key(aws, client, recorder) -> None:
    def key() -> str | None:
        topic = client("sns").list_topics()["Topics"][0]["TopicArn"]
        return client("sns").get_topic_attributes(TopicArn=topic)["Attributes"].get("KmsMasterKeyId") or None

    def declared(kms_key: str | None) -> Deployment:
        return Deployment(topics=(TopicSpec("alerts", kms_key=kms_key),))

    one, other = (f"arn:aws:kms:{REGION}:123456789012:key/{name}" for name in ("one", "other"))
    [change] = deploy(aws, declared(one)).done
    assert (change.details, key()) == ((f"encrypted with {one}",), one)
    recorder.clear()
    assert not make_plan(aws, declared(one))
    assert not make_plan(aws, declared(None)), "not managed"
    assert recorder.writes == []
    [change] = deploy(aws, declared(other)).done
    assert [str(difference) for difference in change.differences] == [f"kms_key: {one} -> {other}"]
    assert key() == other
    deploy(aws, declared(""))
    assert (key(), bool(make_plan(aws, declared("")))) == (None, False)


def secret(value: str | None, **different) -> Deployment:
    return Deployment(
        secrets=(SecretSpec("shop/dev/source", value=value, environment="SOURCE_DATABASE_URL", **different),)
    )


def stored(client) -> str:
    return client("secretsmanager").get_secret_value(SecretId="shop/dev/source")["SecretString"]


def test_a_secret_is_written_only_when_it_differs(aws, client, recorder) -> None:
    assert deploy(aws, secret("one")).ok
    assert stored(client) == "one"
    recorder.clear()
    deploy(aws, secret("one"))
    assert recorder.writes == []
    [change] = deploy(aws, secret("two")).done
    assert list(map(str, change.differences)) == ["value: ******** -> ********"]
    assert stored(client) == "two"


def test_without_a_value_the_stored_one_stays_unread(aws, client, recorder) -> None:
    deploy(aws, secret("one"))
    recorder.clear()
    assert deploy(aws, secret(None)).done == ()
    assert "GetSecretValue" not in recorder.calls
    assert stored(client) == "one"


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        ({"RotationEnabled": True}, "is rotated"),
        ({"OwningService": "rds"}, "is managed by rds"),
        ({"VersionIdsToStages": {"a": ["AWSCURRENT"]}}, "was changed since it was deployed"),
        ({"VersionIdsToStages": {"a": ["x", "AWSCURRENT"], "lambda-script-1": ["AWSPREVIOUS"]}}, "was changed since"),
    ],
)
def test_secret_that_others_manage_is_left_alone(aws, client, session, recorder, described, reason) -> None:
    session.events.register("after-call.secretsmanager.DescribeSecret", lambda parsed, **_: parsed.update(described))
    deploy(aws, secret("one"))
    recorder.clear()
    plan = make_plan(aws, secret("two"))
    assert not plan
    [note] = plan.notes
    assert note.startswith(f"secret shop/dev/source {reason}")
    assert note.endswith(": its value is left as it is, and the value of SOURCE_DATABASE_URL is not used")
    assert [advice.values for advice in plan.advice] == ([("shop/dev/source",)] if "changed" in reason else [])
    assert "GetSecretValue" not in recorder.calls
    assert make_plan(aws, secret(None)).notes == ()
    if "changed" not in reason:
        assert not make_plan(aws, secret("two", overwrite=True)), "whoever rotates it would overwrite it again"


@pytest.mark.parametrize("changes", [1, 2, 3])
def test_secret_changed_by_hand_stays_until_it_is_overwritten(aws, client, session, recorder, changes) -> None:
    """However often it was changed: AWS lists the versions with a label only, and ours loses its last with the second.

    A change back to a version of ours makes it the deploys' again, and so does a deploy that is to overwrite it.
    """

    def as_aws_lists_them(parsed, **_) -> None:
        listed = parsed.get("VersionIdsToStages", {})
        parsed["VersionIdsToStages"] = {version: stages for version, stages in listed.items() if stages}

    session.events.register("after-call.secretsmanager.DescribeSecret", as_aws_lists_them)
    manager = client("secretsmanager")
    deploy(aws, secret("one"))
    [ours] = manager.describe_secret(SecretId="shop/dev/source")["VersionIdsToStages"]
    for number in range(changes):
        manager.put_secret_value(SecretId="shop/dev/source", SecretString=f"by hand {number}")
        assert not deploy(aws, secret("two")).total
    assert stored(client) == f"by hand {changes - 1}"
    if changes == 1:  # a version without a label is deleted by AWS before long
        staged = manager.describe_secret(SecretId="shop/dev/source")["VersionIdsToStages"]
        [theirs] = [version for version, stages in staged.items() if "AWSCURRENT" in stages]
        current = {"SecretId": "shop/dev/source", "VersionStage": "AWSCURRENT"}
        manager.update_secret_version_stage(**current, MoveToVersionId=ours, RemoveFromVersionId=theirs)
    else:
        deploy(aws, secret(f"by hand {changes - 1}", overwrite=True))
    assert make_plan(aws, secret("two")).notes == ()
    assert [change.action for change in deploy(aws, secret("two")).done] == ["update"]
    assert stored(client) == "two"
    recorder.clear()
    assert not deploy(aws, secret("two", overwrite=True)).total
    assert recorder.writes == [], "it is the deploys' already"


def test_secret_without_a_value_is_given_the_declared_one(aws, client) -> None:
    """Whether it was created here and never written, or elsewhere and adopted: then its value is replaced once."""
    manager = client("secretsmanager")
    manager.create_secret(Name="shop/dev/source", Tags=[{"Key": "managed-by", "Value": "lambda_script"}])
    assert deploy(aws, secret("one")).ok
    assert stored(client) == "one"
    manager.create_secret(Name="shop/dev/other", SecretString="theirs")
    other = Deployment(secrets=(SecretSpec("shop/dev/other", value="ours", environment="V", adopt=True),))
    assert deploy(aws, other).ok
    assert manager.get_secret_value(SecretId="shop/dev/other")["SecretString"] == "ours"
    manager.put_secret_value(SecretId="shop/dev/other", SecretString="theirs")
    assert not deploy(aws, other).total, "it was adopted before"


def test_missing_secret_value_names_its_variable(aws) -> None:
    """A missing secret without a value names the variable and the rest goes on."""
    deployment = Deployment(secrets=secret(None).secrets, topics=(TopicSpec("alerts"),))
    plan = make_plan(aws, deployment)
    assert ("has no value: set SOURCE_DATABASE_URL",) in [change.details for change in plan.changes]
    report = execute(aws, plan)
    assert [change.kind for change in report.done] == ["topic"]
    [failure] = report.failed
    assert "SOURCE_DATABASE_URL is not set" in failure.message


def test_a_secret_that_waits_for_deletion_is_taken_back(aws, client) -> None:
    deploy(aws, secret("one"))
    client("secretsmanager").delete_secret(SecretId="shop/dev/source", RecoveryWindowInDays=7)
    [change] = deploy(aws, secret("two")).done
    assert change.details == ("is restored from deletion",)
    assert [item.attribute for item in change.differences] == ["value"]
    assert stored(client) == "two"


def test_no_value_is_ever_shown(aws, recorder, caplog) -> None:
    caplog.set_level(logging.INFO)
    recorder.refuse("CreateSecret", "AccessDeniedException", "not allowed")
    plan = make_plan(aws, secret("hunter2"))
    report = execute(aws, plan)
    shown = f"{plan!r} {report!r} {secret('hunter2')!r} {report.failed[0].message} {caplog.text}"
    assert "hunter2" not in shown
    assert "secretsmanager:CreateSecret" in report.failed[0].message


def test_one_function_alone_leaves_the_shared_things(aws, script, recorder) -> None:
    functions = tuple(script(function_name_template=name).spec for name in ("one", "two"))
    deployment = Deployment(functions, buckets=(BucketSpec("my-lake"),), secrets=secret(None).secrets)
    report = deploy(aws, deployment, only=["two"])
    assert {change.name for change in report.done} == {"two", "two-role", "/aws/lambda/two"}
    assert "DescribeSecret" not in recorder.calls


def test_an_edit_updates_one_of_three(aws, script, source, recorder) -> None:
    def deployment(memory: int) -> Deployment:
        names = {"one": 128, "two": memory, "three": 128}
        return Deployment(tuple(script(function_name_template=n, memory=m).spec for n, m in names.items()))

    deploy(aws, deployment(128))
    recorder.clear()
    [change] = deploy(aws, deployment(256)).done
    assert change.key == ("function", "two")
    assert recorder.writes == ["UpdateFunctionConfiguration", "PublishVersion", "UpdateAlias"]


def test_names_that_do_not_fit_are_refused(aws, script) -> None:
    with pytest.raises(ToolkitError, match="Two functions are called `one`"):
        make_plan(aws, Deployment((script(function_name_template="one").spec,) * 2))
    with pytest.raises(ToolkitError, match="no function `other`.*There are: one"):
        make_plan(aws, Deployment((script(function_name_template="one").spec,)), only=["other"])


def test_what_was_never_a_string_is_not_shown_either(aws) -> None:
    wrong = Deployment(secrets=(SecretSpec("s", value=["hunter2"], environment="V"),))  # type: ignore[arg-type]
    report = execute(aws, make_plan(aws, wrong))
    assert "hunter2" not in report.failed[0].message
    assert "wrong type" in report.failed[0].message


def test_missing_topic_without_a_refusal_is_created(aws, session, recorder) -> None:
    """Some of AWS list no tags for a topic that does not exist, instead of refusing."""
    declared = Deployment(topics=(TopicSpec("alerts", tags={"team": "data"}),))

    def no_refusal(http_response, parsed, **_) -> None:
        if http_response.status_code >= 400:
            http_response.status_code = 200
            parsed.clear()
            parsed.update(Tags=[], ResponseMetadata={"HTTPStatusCode": 200})

    session.events.register("after-call.sns.ListTagsForResource", no_refusal)
    assert execute(aws, make_plan(aws, declared)).ok
    recorder.clear()
    assert not make_plan(aws, declared)
    assert "GetTopicAttributes" not in recorder.calls, "its tags show that it exists"


def test_new_tags_reach_topics_and_secrets(aws, client) -> None:
    def tagged(tags: dict[str, str]) -> Deployment:
        return Deployment(topics=(TopicSpec("alerts", tags=tags),), secrets=secret("one", tags=tags).secrets)

    deploy(aws, tagged({}))
    report = deploy(aws, tagged({"project": "x"}))
    assert {str(item) for change in report.done for item in change.differences} == {"tags.project: none -> x"}
    assert not make_plan(aws, tagged({"project": "x"}))
    described = client("secretsmanager").describe_secret(SecretId="shop/dev/source")
    assert {"Key": "project", "Value": "x"} in described["Tags"]


EACH = ("GetAlias", "GetPolicy", "ListTargetsByRule")
ROLE = ("GetRole", "GetRolePolicy")
ONCE = ("DescribeLogGroups", "GetResources", "ListFunctions", "ListRoles", "ListRules")


@pytest.mark.parametrize("number", [3, 20])
def test_what_is_unchanged_is_read_in_few_calls(aws, script, recorder, number) -> None:
    """Three functions take 20 calls: other responses contain the account id and all tags except those of roles.

    The roles of many functions are read in one list.
    """
    names = [f"shop-dev-{index}" for index in range(number)]
    functions = tuple(
        script(function_name_template=name, schedule="@daily", environment={"MODE": "b"}).spec for name in names
    )
    deployment = Deployment(functions, application="shop", stage="dev")
    assert execute(aws, make_plan(aws, deployment, prune=True)).ok
    recorder.clear()
    assert not make_plan(aws, deployment, prune=True)
    pages = recorder.calls.count("GetResources")  # of moto, which gives a hundred tags a page
    assert pages == 1 or number > 3
    expected = {**dict.fromkeys(ONCE, 1), **dict.fromkeys(EACH, number), "GetResources": pages}
    expected |= {"GetAccountAuthorizationDetails": 1} if number >= BULK_ROLES else dict.fromkeys(ROLE, number)
    assert Counter(recorder.calls) == expected
    assert number > 3 or len(recorder.calls) == 20


@pytest.fixture
def many(aws, script) -> Deployment:
    """As many functions as it takes until their roles are read in one list; deployed."""
    names = [f"shop-dev-{number}" for number in range(BULK_ROLES)]
    functions = tuple(script(function_name_template=name, environment={"MODE": "b"}).spec for name in names)
    deployment = Deployment(functions, application="shop", stage="dev")
    assert execute(aws, make_plan(aws, deployment)).ok
    return deployment


def test_role_that_differs_in_the_list_is_read_and_repaired(aws, client, recorder, many) -> None:
    """A role that the list shows changed is asked itself and repaired."""
    client("iam").delete_role_policy(RoleName="shop-dev-3-role", PolicyName="lambda_script")
    client("iam").untag_role(RoleName="shop-dev-4-role", TagKeys=["stage"])
    recorder.clear()
    plan = make_plan(aws, many)
    assert [(change.kind, change.name) for change in plan.changes] == [
        ("role", "shop-dev-3-role"),
        ("role", "shop-dev-4-role"),
    ]
    assert recorder.calls.count("GetRole") == recorder.calls.count("GetRolePolicy") == 2
    assert execute(aws, plan).ok
    assert not make_plan(aws, many)


def test_a_role_that_is_not_in_the_list_is_asked_itself(aws, recorder, many) -> None:
    def first_two(parsed: dict, **_: object) -> None:
        del parsed["RoleDetailList"][2:]

    events = aws.client("iam").meta.events
    events.register("after-call.iam.GetAccountAuthorizationDetails", first_two)  # moto returns all roles in one page
    recorder.clear()
    assert not make_plan(aws, many)
    assert recorder.calls.count("GetRole") == BULK_ROLES - 2


def test_who_may_not_list_all_roles_asks_for_each(aws, recorder, many) -> None:
    recorder.refuse("GetAccountAuthorizationDetails", "AccessDenied")
    recorder.clear()
    assert not make_plan(aws, many)
    assert recorder.calls.count("GetRole") == recorder.calls.count("GetRolePolicy") == BULK_ROLES


def test_what_is_read_ahead_and_refused_is_asked_for_once(aws, recorder, many) -> None:
    recorder.refuse("GetAlias", "AccessDeniedException")
    recorder.clear()
    with pytest.raises(ToolkitError, match="lambda:GetAlias shop-dev-0"):
        make_plan(aws, many)
    assert recorder.calls.count("GetAlias") == BULK_ROLES


def test_deployment_goes_through_the_public_face(aws, client) -> None:
    deployment = Deployment(
        buckets=(BucketSpec("shop-lake"),), topics=(TopicSpec("shop-alerts"),), application="shop", stage="dev"
    )
    assert {change.kind for change in lambda_script.plan(deployment, aws).changes} == {"bucket", "topic"}
    seen: list[str] = []
    assert lambda_script.deploy(deployment, aws, on_progress=lambda step: seen.append(step.state)).ok
    assert seen.count("done") == 2
    assert not lambda_script.plan(deployment, aws, prune=True)
    removal = lambda_script.plan_destroy(deployment, aws, delete_data=True)
    assert lambda_script.apply(removal, aws).ok
    assert client("s3").list_buckets()["Buckets"] == []
    with pytest.raises(ToolkitError, match="orders was not released yet"):
        lambda_script.rollback("orders", aws=aws)
