"""Prune deletes tagged resources that are no longer declared, keeps data, and ignores other stages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lambda_script import Advice, Alarm, Hint, OwnershipError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.model import Deployment, SecretSpec, TopicSpec

REGION = "eu-west-2"
ACCOUNT = "123456789012"  # moto's


def pipeline(script, stage: str = "dev") -> Deployment:
    names = [f"shop-{stage}-{name}" for name in ("one", "two")]
    return Deployment(
        tuple(
            script(function_name_template=name, schedule="@daily", alarms=[Alarm("errors", "Errors")]).spec
            for name in names
        ),
        buckets=(BucketSpec(f"shop-{stage}-lake"),),
        topics=(TopicSpec(f"shop-{stage}-alerts"),),
        secrets=(SecretSpec(f"shop/{stage}/source", value="x"),),
        application="shop",
        stage=stage,
    )


def deploy(aws, deployment: Deployment, **options):
    report = execute(aws, make_plan(aws, deployment, prune=True, **options))
    assert report.ok, report
    return report


def kinds(plan) -> set[tuple[str, str]]:
    return {(change.action, change.kind) for change in plan.changes}


def test_undeclared_function_is_removed_but_its_log_group_stays(aws, script, client) -> None:
    """A dropped function goes with all that is its own and its log stays."""
    whole = pipeline(script)
    deploy(aws, whole)
    assert not make_plan(aws, whole, prune=True)
    fewer = replace(whole, functions=whole.functions[:1])
    plan = make_plan(aws, fewer, prune=True)
    assert {change.key for change in plan.changes} == {
        ("function", "shop-dev-two"),
        ("role", "shop-dev-two-role"),
        ("schedule", "shop-dev-two-schedule"),
        ("alarm", "shop-dev-two-errors"),
    }
    assert kinds(plan) == {("delete", kind) for kind in ("function", "role", "schedule", "alarm")}
    [note] = plan.notes
    assert "log group /aws/lambda/shop-dev-two is no longer declared and is kept" in note
    assert plan.advice == (Advice(Hint.DELETE_DATA),)
    assert execute(aws, plan).ok
    assert [item["FunctionName"] for item in client("lambda").list_functions()["Functions"]] == ["shop-dev-one"]
    assert not make_plan(aws, fewer, prune=True).changes
    deploy(aws, fewer, delete_data=True)
    assert [item["logGroupName"] for item in client("logs").describe_log_groups()["logGroups"]] == [
        "/aws/lambda/shop-dev-one"
    ]


def test_secret_that_others_manage_is_never_pruned(aws, script, client) -> None:
    """Whatever its tags: also one of ours that was handed over to others."""
    whole = pipeline(script)
    deploy(aws, whole)
    arn = client("secretsmanager").describe_secret(SecretId="shop/dev/source")["ARN"]
    handed_over = replace(whole, secrets=(), secrets_of_others=(arn,))
    for options in ({}, {"delete_data": True}):
        plan = make_plan(aws, handed_over, prune=True, **options)
        assert (plan.changes, plan.notes) == ((), ())
        assert not [item for item in make_destroy_plan(aws, handed_over, **options).changes if item.kind == "secret"]
    assert make_plan(aws, replace(handed_over, secrets_of_others=()), prune=True, delete_data=True).changes


def test_prune_needs_its_option_and_no_function_name(aws, script) -> None:
    """Nothing is pruned unasked nor beside a function that is named."""
    whole = pipeline(script)
    deploy(aws, whole)
    fewer = replace(whole, functions=whole.functions[:1], topics=())
    assert not make_plan(aws, fewer)
    assert not make_plan(aws, fewer, only=["shop-dev-one"], prune=True)


def test_prune_finds_the_role_of_a_deleted_function(aws, script, client) -> None:
    whole = pipeline(script)
    deploy(aws, whole)
    client("lambda").delete_function(FunctionName="shop-dev-two")
    for rule in ("shop-dev-two-schedule",):
        client("events").remove_targets(Rule=rule, Ids=["lambda-script"])
        client("events").delete_rule(Name=rule)
    client("cloudwatch").delete_alarms(AlarmNames=["shop-dev-two-errors"])
    client("logs").delete_log_group(logGroupName="/aws/lambda/shop-dev-two")
    [change] = make_plan(aws, replace(whole, functions=whole.functions[:1]), prune=True).changes
    assert change.key == ("role", "shop-dev-two-role")


def test_undeclared_attachments_are_pruned(aws, script) -> None:
    """Attachments that are no longer declared are deleted with the rest."""
    whole = pipeline(script)
    deploy(aws, whole)
    silent = replace(whole.functions[0], schedule=None, alarms=None)
    plan = make_plan(aws, replace(whole, functions=(silent, whole.functions[1])), prune=True)
    assert {(change.action, *change.key) for change in plan.changes} == {
        ("delete", "schedule", "shop-dev-one-schedule"),
        ("delete", "alarm", "shop-dev-one-errors"),
    }


def test_data_goes_only_when_that_is_said(aws, script, client) -> None:
    whole = pipeline(script)
    deploy(aws, whole)
    client("s3").put_object(Bucket="shop-dev-lake", Key="a", Body=b"1")
    bare = replace(whole, buckets=(), topics=(), secrets=())
    plan = make_plan(aws, bare, prune=True)
    assert {change.key for change in plan.changes} == {("topic", "shop-dev-alerts")}
    assert {note.partition(" is ")[0] for note in plan.notes} == {"bucket shop-dev-lake", "secret shop/dev/source"}
    deploy(aws, bare, delete_data=True)
    assert client("s3").list_buckets()["Buckets"] == []
    assert client("secretsmanager").list_secrets()["SecretList"] == []


def test_stages_do_not_see_each_other(aws, script, client) -> None:
    for stage in ("dev", "dev-2", "prod"):
        deploy(aws, pipeline(script, stage))
    empty = Deployment(application="shop", stage="dev")
    deploy(aws, empty, delete_data=True)
    left = {item["FunctionName"] for item in client("lambda").list_functions()["Functions"]}
    assert left == {f"shop-{stage}-{name}" for stage in ("dev-2", "prod") for name in ("one", "two")}
    for stage in ("dev-2", "prod"):
        assert not make_plan(aws, pipeline(script, stage), prune=True)


def test_a_bucket_of_another_stage_is_neither_taken_nor_deleted(aws, client) -> None:
    prod = Deployment(buckets=(BucketSpec("shop-lake"),), application="shop", stage="prod")
    dev = replace(prod, stage="dev")
    deploy(aws, prod)
    with pytest.raises(OwnershipError, match="belongs to application `shop`, stage `prod`") as raised:
        make_plan(aws, dev)
    assert raised.value.advice == Advice(Hint.ADOPT)
    assert not make_destroy_plan(aws, dev, delete_data=True)
    assert make_plan(aws, replace(dev, adopt=True)).changes


def test_tags_of_application_and_stage_that_are_missing_are_set(aws, script, client) -> None:
    whole = pipeline(script)
    deploy(aws, replace(whole, application="", stage=""))
    plan = make_plan(aws, whole, prune=True)
    assert {change.action for change in plan.changes} == {"update"}
    assert {item.attribute for change in plan.changes for item in change.differences} >= {
        "tags.application",
        "tags.stage",
    }
    assert execute(aws, plan).ok
    assert not make_plan(aws, whole, prune=True)


def test_prune_is_skipped_without_permission_to_list_tags(aws, script, recorder) -> None:
    """Without the right to list by tag it is said and the rest goes on."""
    whole = pipeline(script)
    deploy(aws, whole)
    recorder.refuse("GetResources", "AccessDeniedException", "no")
    plan = make_plan(aws, replace(whole, functions=whole.functions[:1]), prune=True)
    assert not plan
    assert "lack tag:GetResources" in plan.notes[0]


def test_without_the_right_to_list_roles_the_rest_is_pruned(aws, script, recorder) -> None:
    whole = pipeline(script)
    deploy(aws, whole)
    recorder.refuse("ListRoles", "AccessDenied", "no")
    plan = make_plan(aws, replace(whole, functions=whole.functions[:1]), prune=True)
    assert ("role", "shop-dev-two-role") in {change.key for change in plan.changes}, "it goes with its function"
    assert any("lack iam:ListRoles" in note for note in plan.notes)


@pytest.fixture
def listed(session) -> list[dict]:
    """What the list by tags names, whatever there is, once something is in it: it lags behind.

    The handler is registered before the client is created: a client has its own copy of the session's handlers.
    """
    stale: list[dict] = []

    def lag(parsed: dict, **_: object) -> None:
        if stale:
            parsed["ResourceTagMappingList"] = stale

    session.events.register("after-call.resource-groups-tagging-api.GetResources", lag)
    return stale


def test_a_list_that_lags_behind_is_not_believed(aws, script, client, listed) -> None:
    """It still names what was removed a moment ago, and does not know yet what was made."""
    whole = pipeline(script)
    deploy(aws, whole)
    fewer = replace(whole, functions=whole.functions[:1])
    stale = client("resourcegroupstaggingapi").get_resources()["ResourceTagMappingList"]
    deploy(aws, fewer, delete_data=True)
    listed += [item for item in stale if "-one" not in item["ResourceARN"]]
    assert len(listed) > 5
    assert not make_plan(aws, fewer, prune=True).changes


@pytest.mark.parametrize("tag", ["application", "stage"])
def test_shared_resource_of_another_by_its_own_tags_stays(aws, script, client, listed, tag) -> None:
    """The list by tags still says that it is ours: the resource itself says otherwise."""
    whole = replace(pipeline(script), functions=())
    deploy(aws, whole)
    stale = client("resourcegroupstaggingapi").get_resources()["ResourceTagMappingList"]
    assert len(stale) == 3
    theirs = {item["Key"]: "theirs" if item["Key"] == tag else item["Value"] for item in stale[0]["Tags"]}
    assert "theirs" in theirs.values(), theirs
    labels = [{"Key": key, "Value": value} for key, value in theirs.items()]
    client("s3").put_bucket_tagging(Bucket="shop-dev-lake", Tagging={"TagSet": labels})
    client("sns").tag_resource(ResourceArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:shop-dev-alerts", Tags=labels)
    client("secretsmanager").tag_resource(SecretId="shop/dev/source", Tags=labels)
    listed += stale
    empty = Deployment(application="shop", stage="dev")
    plan = make_plan(aws, empty, prune=True, delete_data=True)
    assert not plan.changes
    assert not plan.notes


def test_a_destroyed_stage_leaves_the_other(aws, script, client) -> None:
    for stage in ("dev", "prod"):
        deploy(aws, pipeline(script, stage))
    assert execute(aws, make_destroy_plan(aws, pipeline(script, "dev"), delete_data=True)).ok
    assert not make_plan(aws, pipeline(script, "prod"), prune=True)
    arns = {
        item["ResourceARN"] for item in client("resourcegroupstaggingapi").get_resources()["ResourceTagMappingList"]
    }
    assert not any("shop-dev" in arn or "shop/dev" in arn for arn in arns)
