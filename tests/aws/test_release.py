"""Versions and the alias ``live``: released, checked, drifted, repaired, pruned."""

from __future__ import annotations

import json

import pytest

from lambda_script import Alarm, DeployError, OwnershipError, S3Trigger, ToolkitError
from lambda_toolkit.execute import execute
from lambda_toolkit.model import Deployment
from lambda_toolkit.plan import make_plan

REGION = "eu-west-2"
ACCOUNT = "123456789012"  # moto's
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function"


def alias(client) -> dict:
    return client("lambda").get_alias(FunctionName="my-function", Name="live")


def live(client) -> str:
    return str(alias(client)["FunctionVersion"])


def versions(client) -> list[str]:
    listed = client("lambda").list_versions_by_function(FunctionName="my-function")["Versions"]
    return [str(version["Version"]) for version in listed if version["Version"] != "$LATEST"]


def edit(source, text: str) -> None:
    source.write_text(f"def lambda_handler(event, context):\n    return {text!r}\n", encoding="utf-8")


def test_the_first_deployment_is_version_1(script, client, wire) -> None:
    script().deploy()
    assert live(client) == "1"
    assert wire.writes.count("CreateFunction") == wire.writes.count("CreateAlias") == 1
    assert "PublishVersion" not in wire.writes
    assert alias(client)["Description"].startswith("version 1, digest ")


def test_what_is_released_needs_one_write_beside_the_alias(script, source, client, wire) -> None:
    script().deploy()
    edit(source, "new")
    wire.clear()
    script().deploy()
    assert wire.writes == ["UpdateFunctionCode", "UpdateAlias"]
    assert live(client) == "2"
    wire.clear()
    assert not script().plan()
    assert wire.writes == []


def test_a_role_or_an_alarm_that_changes_is_no_release(script, client) -> None:
    script().deploy()
    script(alarms=[Alarm("errors", "Errors")], log_retention_days=7).deploy()
    assert live(client) == "1"


@pytest.mark.parametrize(
    ("drift", "detail"),
    [
        ({"MemorySize": 1024}, "MemorySize: 1024 -> 128"),
        ({"Environment": {"Variables": {"MODE": "theirs"}}}, "Environment.MODE: theirs -> ours"),
    ],
)
def test_drift_of_latest_is_repaired_and_nothing_is_released(script, client, wire, drift, detail) -> None:
    script(environment={"MODE": "ours"}).deploy()
    client("lambda").update_function_configuration(FunctionName="my-function", **drift)
    wire.clear()
    [change] = script(environment={"MODE": "ours"}).deploy().done
    assert list(map(str, change.differences)) == [detail]
    assert wire.writes == ["UpdateFunctionConfiguration"]
    assert live(client) == "1"
    assert not script(environment={"MODE": "ours"}).plan()


def test_drift_of_the_code_of_latest_is_repaired_and_nothing_is_released(script, client, wire, source) -> None:
    script().deploy()
    client("lambda").update_function_code(FunctionName="my-function", ZipFile=b"PK\x05\x06" + bytes(18))
    wire.clear()
    [change] = script().deploy().done
    assert [item.attribute for item in change.differences] == ["code"]
    assert wire.writes == ["UpdateFunctionCode"]
    assert versions(client) == ["1"]


def test_an_alias_that_was_moved_is_moved_back(script, source, client, wire) -> None:
    script().deploy()
    edit(source, "new")
    script().deploy()
    client("lambda").update_alias(FunctionName="my-function", Name="live", FunctionVersion="1")
    wire.clear()
    [change] = script().plan().changes
    assert change.details == ("live is version 1; what is declared was released as 2",)
    assert script().deploy().ok
    assert wire.writes == ["UpdateAlias"]
    assert live(client) == "2"
    assert not script().plan()


def test_an_alias_that_was_weighted_is_made_whole(script, source, client, wire) -> None:
    script().deploy()
    edit(source, "new")
    script().deploy()
    weights = {"AdditionalVersionWeights": {"1": 0.25}}
    client("lambda").update_alias(FunctionName="my-function", Name="live", FunctionVersion="2", RoutingConfig=weights)
    [change] = script().plan().changes
    assert change.details == ("live sends 25% of its calls to version 1",)
    wire.clear()
    script().deploy()
    assert wire.writes == ["UpdateAlias"]
    assert not script().plan()


@pytest.mark.parametrize("lost", ["alias", "description", "version"])
def test_what_was_lost_of_a_release_is_made_again(script, source, client, lost) -> None:
    script().deploy()
    edit(source, "new")
    script().deploy()
    mine = client("lambda")
    if lost == "alias":
        mine.delete_alias(FunctionName="my-function", Name="live")
    elif lost == "description":
        mine.update_alias(FunctionName="my-function", Name="live", FunctionVersion="2", Description="mine now")
    else:
        mine.update_alias(FunctionName="my-function", Name="live", FunctionVersion="1")
        mine.delete_function(FunctionName="my-function", Qualifier="2")
    [change] = script().deploy().done
    assert change.kind == "function"
    assert live(client) != "1"
    assert not script().plan()


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


def test_the_last_five_versions_stay_and_those_that_an_alias_names(script, source, client, wire) -> None:
    for number in range(1, 7):
        edit(source, str(number))
        script().deploy()
        if number == 2:
            client("lambda").create_alias(FunctionName="my-function", Name="theirs", FunctionVersion="2")
    assert versions(client) == ["2", "3", "4", "5", "6"]
    weights = {"AdditionalVersionWeights": {"3": 0.5}}
    client("lambda").update_alias(FunctionName="my-function", Name="theirs", FunctionVersion="2", RoutingConfig=weights)
    for number in range(7, 10):
        edit(source, str(number))
        wire.clear()
        script().deploy()
        assert wire.writes in (
            ["UpdateFunctionCode", "UpdateAlias"],
            ["UpdateFunctionCode", "UpdateAlias", "DeleteFunction"],
        )
    assert versions(client) == ["2", "3", "5", "6", "7", "8", "9"]


def test_a_rollback_is_one_call_and_the_plan_shows_it(script, source, client, wire) -> None:
    for text in ("1", "2", "3"):
        edit(source, text)
        script().deploy()
    wire.clear()
    done = script().rollback()
    assert wire.writes == ["UpdateAlias"]
    assert str(done) == "my-function: live was version 3 and is now version 2."
    assert live(client) == "2"
    [change] = script().plan().changes
    assert change.details == ("live is version 2; what is declared was released as 3",)
    assert script().rollback().to_version == "1"
    with pytest.raises(ToolkitError, match="no version older than 1.*There are: 1, 2, 3"):
        script().rollback()
    assert script().rollback(to=3).to_version == "3"
    assert not script().plan()
    wire.clear()
    assert "already" in str(script().rollback(to="3"))
    assert wire.writes == []


def test_a_rollback_to_nowhere_lists_what_there_is(script, client, wire) -> None:
    with pytest.raises(ToolkitError, match="not released yet"):
        script().rollback()
    script().deploy()
    wire.clear()
    with pytest.raises(ToolkitError, match="no version 9. There are: 1"):
        script().rollback(to=9)
    client("lambda").untag_resource(Resource=FUNCTION, TagKeys=["managed-by"])
    with pytest.raises(OwnershipError):
        script().rollback(to=1)
    assert wire.writes == []


def test_a_version_that_fails_its_check_does_not_go_live_and_the_next_deploy_tries_again(
    script, source, client, wire, invocations
) -> None:
    checked = {"health_event": {"action": "check"}, "schedule": "@daily"}
    script(**checked).deploy()
    edit(source, "broken")
    invocations.problem = lambda version, event: "no database" if version == "2" else None
    with pytest.raises(DeployError, match="Version 2 of my-function fails its check: no database") as failed:
        script(**checked).deploy()
    assert "live stays at version 1" in str(failed.value)
    assert invocations.made == [("1", {"action": "check"}), ("2", {"action": "check"})]
    assert live(client) == "1"
    [change] = script(**checked).plan().changes
    assert change.details == ("live is version 1; what is declared was not released yet",)
    invocations.problem = lambda version, event: None
    wire.clear()
    assert script(**checked).deploy().ok
    assert wire.writes == ["PublishVersion", "Invoke", "UpdateAlias"]
    assert (live(client), versions(client)) == ("2", ["1", "2"])
    assert not script(**checked).plan()


def test_a_first_version_that_fails_its_check_is_attached_to_nothing(script, client, invocations, time) -> None:
    client("s3").create_bucket(Bucket="my-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    declared = {"health_event": {}, "schedule": "@daily", "s3_trigger": S3Trigger("my-lake")}
    invocations.problem = lambda version, event: "no secret"
    with pytest.raises(DeployError, match="no secret. So nothing was released") as failed:
        script(**declared).deploy()
    assert {failure.change.kind for failure in failed.value.report.skipped} == {"schedule", "trigger"}
    assert 10 < time.seconds <= 20  # what a new role may do is not known at once
    assert client("events").list_rules()["Rules"] == []
    invocations.problem = lambda version, event: None
    assert script(**declared).deploy().ok
    assert live(client) == "1"
    assert not script(**declared).plan()


def test_a_role_that_lambda_knows_late_only_delays_the_first_check(script, client, invocations, time) -> None:
    invocations.problem = lambda version, event: "AccessDenied" if time.seconds < 5 else None
    assert script(health_event={}).deploy().ok
    assert live(client) == "1"


def test_one_function_that_fails_its_check_does_not_stop_the_others(aws, script, source, client, invocations) -> None:
    def deployment() -> Deployment:
        names = ("bad", "good")
        return Deployment(tuple(script(function_name_template=n, health_event={"name": n}).spec for n in names))

    assert execute(aws, make_plan(aws, deployment())).ok
    edit(source, "new")
    invocations.problem = lambda version, event: "oops" if (version, event["name"]) == ("2", "bad") else None
    report = execute(aws, make_plan(aws, deployment()))
    assert [change.name for change in report.done] == ["good"]
    assert [failure.change.name for failure in report.failed] == ["bad"]


def test_a_conflict_while_publishing_is_waited_for(script, wire, client, time) -> None:
    script().deploy()
    wire.refuse("PublishVersion", "ResourceConflictException", "An update is in progress for resource", times=3)
    wire.refuse("UpdateAlias", "TooManyRequestsException", "Rate exceeded", times=3, status=429)
    assert script(memory=256).deploy().ok
    assert live(client) == "2"
    assert time.seconds > 0


@pytest.mark.parametrize("denied", ["UpdateAlias", "PublishVersion", "UpdateFunctionConfiguration"])
def test_what_was_denied_half_way_is_made_by_the_same_command(script, wire, client, denied) -> None:
    script(schedule="@daily").deploy()
    wire.refuse(denied, "AccessDeniedException", "no", times=1)
    with pytest.raises(DeployError, match=f"need lambda:{denied}"):
        script(schedule="@daily", memory=256).deploy()
    assert live(client) == "1"
    assert script(schedule="@daily", memory=256).deploy().ok
    assert (live(client), versions(client)) == ("2", ["1", "2"])
    assert not script(schedule="@daily", memory=256).plan()


def test_a_first_alias_that_was_denied_is_made_by_the_same_command(script, wire, client) -> None:
    wire.refuse("CreateAlias", "AccessDeniedException", "no", times=1)
    with pytest.raises(DeployError, match="need lambda:CreateAlias"):
        script(schedule="@daily").deploy()
    assert client("events").list_rules()["Rules"] == []
    assert script(schedule="@daily").deploy().ok
    assert (live(client), versions(client)) == ("1", ["1"])


def test_an_old_version_that_may_not_be_deleted_fails_alone_and_goes_with_the_next_release(
    script, source, client, wire
) -> None:
    for number in range(1, 6):
        edit(source, str(number))
        script().deploy()
    wire.refuse("DeleteFunction", "AccessDeniedException", "no", times=1)
    edit(source, "6")
    with pytest.raises(DeployError, match="need lambda:DeleteFunction"):
        script().deploy()
    assert live(client) == "6"
    edit(source, "7")
    assert script().deploy().ok
    assert versions(client) == ["3", "4", "5", "6", "7"]


def test_what_was_made_a_moment_ago_may_not_be_known_to_its_own_calls(script, wire, time) -> None:
    wire.refuse("CreateAlias", "ResourceNotFoundException", "Function not found", times=2, status=404)
    wire.refuse("GetFunctionConfiguration", "ResourceNotFoundException", "no version 1", times=2, status=404)
    wire.refuse("Invoke", "ResourceNotFoundException", "no version 1", times=2, status=404)
    wire.refuse("AddPermission", "ResourceNotFoundException", "no alias", times=2, status=404)
    assert script(schedule="@daily", health_event={}).deploy().ok
    assert not script(schedule="@daily", health_event={}).plan()


def test_an_alias_that_the_first_try_had_made_is_no_failure(script, wire, client) -> None:
    script().deploy()
    client("lambda").delete_alias(FunctionName="my-function", Name="live")
    plan = script().plan()
    client("lambda").create_alias(FunctionName="my-function", Name="live", FunctionVersion="1")
    assert execute(script()._door(), plan).ok
    assert not script().plan()


def test_destroy_removes_versions_and_alias_with_the_function(script, source, client) -> None:
    script(schedule="@daily").deploy()
    edit(source, "new")
    script(schedule="@daily").deploy()
    assert script(schedule="@daily").destroy().ok
    assert client("lambda").list_functions()["Functions"] == []
    assert script(schedule="@daily").deploy().ok  # and it starts at version 1 again
    assert live(client) == "1"


def three_functions(script, tmp_path) -> Deployment:
    specs = []
    for name in ("one", "two", "three"):
        file = tmp_path / f"{name}.py"
        if not file.exists():
            edit(file, name)
        specs.append(
            script(lambda_function_path=file, function_name_template=f"shop-dev-{name}", schedule="@daily").spec
        )
    return Deployment(tuple(specs), application="shop", stage="dev")


def test_three_functions_are_read_in_few_calls_and_one_is_released_by_two_writes(aws, script, wire, tmp_path) -> None:
    assert execute(aws, make_plan(aws, three_functions(script, tmp_path))).ok
    wire.clear()
    assert not make_plan(aws, three_functions(script, tmp_path))
    assert wire.writes == []
    reads = [name for name in wire.calls if name != "ListTagsForResource"]  # moto's list of tags has no rules
    assert len(reads) <= 19
    edit(tmp_path / "one.py", "new")
    wire.clear()
    assert execute(aws, make_plan(aws, three_functions(script, tmp_path))).ok
    assert wire.writes == ["UpdateFunctionCode", "UpdateAlias"]


def test_a_function_that_is_not_in_the_list_yet_is_asked_itself(aws, script, session, tmp_path, wire) -> None:
    late: list[dict] = []
    session.events.register(
        "after-call.lambda.ListFunctions",
        lambda parsed, **_: late.append(parsed["Functions"].pop()) if parsed["Functions"] else None,
    )
    assert execute(aws, make_plan(aws, three_functions(script, tmp_path))).ok
    wire.clear()
    assert not make_plan(aws, three_functions(script, tmp_path))
    assert wire.calls.count("GetFunction") == len(late) == 1


def test_a_list_of_tags_that_lags_behind_makes_nobody_a_stranger(aws, script, session, tmp_path, wire) -> None:
    session.events.register(
        "after-call.resourcegroupstaggingapi.GetResources",
        lambda parsed, **_: parsed.update(ResourceTagMappingList=[]),
    )
    assert execute(aws, make_plan(aws, three_functions(script, tmp_path))).ok
    wire.clear()
    assert not make_plan(aws, three_functions(script, tmp_path))
    assert wire.calls.count("ListTags") == 3
