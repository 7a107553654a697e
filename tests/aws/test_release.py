"""Versions and the alias ``live``: released, drifted, repaired, pruned, and completed after a denied call."""

from __future__ import annotations

import pytest

from lambda_script import Alarm, DeployError
from lambda_toolkit.deploy.execute import execute
from tests.support.function_releases import alias, edit, live, versions


def test_the_first_deployment_is_version_1(script, client, recorder) -> None:
    script().deploy()
    assert live(client) == "1"
    assert recorder.writes.count("CreateFunction") == recorder.writes.count("CreateAlias") == 1
    assert "PublishVersion" not in recorder.writes
    assert alias(client)["Description"].startswith("version 1, digest ")


def test_what_is_released_needs_one_write_beside_the_alias(script, source, client, recorder) -> None:
    script().deploy()
    edit(source, "new")
    recorder.clear()
    script().deploy()
    assert recorder.writes == ["UpdateFunctionCode", "UpdateAlias"]
    assert live(client) == "2"
    recorder.clear()
    assert not script().plan()
    assert recorder.writes == []


def test_a_role_or_an_alarm_that_changes_is_no_release(script, client) -> None:
    script().deploy()
    script(alarms=[Alarm("errors", "Errors")], log_retention_days=7).deploy()
    assert live(client) == "1"


def test_an_environment_in_another_order_is_no_release(script, client, recorder) -> None:
    script(environment={"FIRST": "1", "SECOND": "2"}).deploy()
    recorder.clear()
    reordered = script(environment={"SECOND": "2", "FIRST": "1"})
    assert not reordered.plan()
    assert reordered.deploy().ok
    assert recorder.writes == []
    assert live(client) == "1"
    script(environment={"FIRST": "2", "SECOND": "1"}).deploy()
    assert live(client) == "2"


@pytest.mark.parametrize(
    ("drift", "detail"),
    [
        ({"MemorySize": 1024}, "MemorySize: 1024 -> 128"),
        ({"Environment": {"Variables": {"MODE": "theirs"}}}, "Environment.MODE: theirs -> ours"),
    ],
)
def test_drift_of_latest_is_repaired_and_nothing_is_released(script, client, recorder, drift, detail) -> None:
    script(environment={"MODE": "ours"}).deploy()
    client("lambda").update_function_configuration(FunctionName="my-function", **drift)
    recorder.clear()
    [change] = script(environment={"MODE": "ours"}).deploy().done
    assert list(map(str, change.differences)) == [detail]
    assert recorder.writes == ["UpdateFunctionConfiguration"]
    assert live(client) == "1"
    assert not script(environment={"MODE": "ours"}).plan()


def test_code_drift_of_latest_is_repaired_without_a_release(script, client, recorder, source) -> None:
    """Drift of the code of latest is repaired and nothing is released."""
    script().deploy()
    client("lambda").update_function_code(FunctionName="my-function", ZipFile=b"PK\x05\x06" + bytes(18))
    recorder.clear()
    [change] = script().deploy().done
    assert [item.attribute for item in change.differences] == ["code"]
    assert recorder.writes == ["UpdateFunctionCode"]
    assert versions(client) == ["1"]


def test_an_alias_that_was_moved_is_moved_back(script, source, client, recorder) -> None:
    script().deploy()
    edit(source, "new")
    script().deploy()
    client("lambda").update_alias(FunctionName="my-function", Name="live", FunctionVersion="1")
    recorder.clear()
    [change] = script().plan().changes
    assert change.details == ("live is version 1; what is declared was released as 2",)
    assert script().deploy().ok
    assert recorder.writes == ["UpdateAlias"]
    assert live(client) == "2"
    assert not script().plan()


def test_an_alias_that_was_weighted_is_made_whole(script, source, client, recorder) -> None:
    script().deploy()
    edit(source, "new")
    script().deploy()
    weights = {"AdditionalVersionWeights": {"1": 0.25}}
    client("lambda").update_alias(FunctionName="my-function", Name="live", FunctionVersion="2", RoutingConfig=weights)
    [change] = script().plan().changes
    assert change.details == ("live sends 25% of its calls to version 1",)
    recorder.clear()
    script().deploy()
    assert recorder.writes == ["UpdateAlias"]
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


def test_last_five_versions_and_aliased_ones_are_kept(script, source, client, recorder) -> None:
    """The last five versions stay and those that an alias names."""
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
        recorder.clear()
        script().deploy()
        assert recorder.writes in (
            ["UpdateFunctionCode", "UpdateAlias"],
            ["UpdateFunctionCode", "UpdateAlias", "DeleteFunction"],
        )
    assert versions(client) == ["2", "3", "5", "6", "7", "8", "9"]


def test_a_conflict_while_publishing_is_waited_for(script, recorder, client, fake_time) -> None:
    script().deploy()
    recorder.refuse("PublishVersion", "ResourceConflictException", "An update is in progress for resource", times=3)
    recorder.refuse("UpdateAlias", "TooManyRequestsException", "Rate exceeded", times=3, status=429)
    assert script(memory=256).deploy().ok
    assert live(client) == "2"
    assert fake_time.seconds > 0


@pytest.mark.parametrize("denied", ["UpdateAlias", "PublishVersion", "UpdateFunctionConfiguration"])
def test_what_was_denied_half_way_is_made_by_the_same_command(script, recorder, client, denied) -> None:
    script(schedule="@daily").deploy()
    recorder.refuse(denied, "AccessDeniedException", "no", times=1)
    with pytest.raises(DeployError, match=f"need lambda:{denied}"):
        script(schedule="@daily", memory=256).deploy()
    assert live(client) == "1"
    assert script(schedule="@daily", memory=256).deploy().ok
    assert (live(client), versions(client)) == ("2", ["1", "2"])
    assert not script(schedule="@daily", memory=256).plan()


def test_denied_first_alias_is_created_by_the_same_command(script, recorder, client) -> None:
    """A first alias that was denied is made by the same command."""
    recorder.refuse("CreateAlias", "AccessDeniedException", "no", times=1)
    with pytest.raises(DeployError, match="need lambda:CreateAlias"):
        script(schedule="@daily").deploy()
    assert client("events").list_rules()["Rules"] == []
    assert script(schedule="@daily").deploy().ok
    assert (live(client), versions(client)) == ("1", ["1"])


def test_undeletable_version_is_retried_at_the_next_release(script, source, client, recorder) -> None:
    """An old version that may not be deleted fails alone and goes with the next release."""
    for number in range(1, 6):
        edit(source, str(number))
        script().deploy()
    recorder.refuse("DeleteFunction", "AccessDeniedException", "no", times=1)
    edit(source, "6")
    with pytest.raises(DeployError, match="need lambda:DeleteFunction"):
        script().deploy()
    assert live(client) == "6"
    edit(source, "7")
    assert script().deploy().ok
    assert versions(client) == ["3", "4", "5", "6", "7"]


def test_calls_on_a_new_resource_are_retried_until_it_is_known(script, recorder, fake_time) -> None:
    """What was made a moment ago may not be known to its own calls."""
    recorder.refuse("CreateAlias", "ResourceNotFoundException", "Function not found", times=2, status=404)
    recorder.refuse("GetFunction", "ResourceNotFoundException", "no version 1", times=3, status=404)
    recorder.refuse("Invoke", "ResourceNotFoundException", "no version 1", times=2, status=404)
    recorder.refuse("AddPermission", "ResourceNotFoundException", "no alias", times=2, status=404)
    assert script(schedule="@daily", health_event={}).deploy().ok
    assert not script(schedule="@daily", health_event={}).plan()


def test_an_alias_that_the_first_try_had_made_is_no_failure(script, recorder, client) -> None:
    script().deploy()
    client("lambda").delete_alias(FunctionName="my-function", Name="live")
    plan = script().plan()
    client("lambda").create_alias(FunctionName="my-function", Name="live", FunctionVersion="1")
    assert execute(script()._client(), plan).ok
    assert not script().plan()


def test_destroy_removes_versions_and_alias_with_the_function(script, source, client) -> None:
    script(schedule="@daily").deploy()
    edit(source, "new")
    script(schedule="@daily").deploy()
    assert script(schedule="@daily").destroy().ok
    assert client("lambda").list_functions()["Functions"] == []
    assert script(schedule="@daily").deploy().ok  # and it starts at version 1 again
    assert live(client) == "1"


NETWORK = {"SubnetIds": ["subnet-2", "subnet-1"], "SecurityGroupIds": ["sg-1"]}
QUEUE = "arn:aws:sqs:eu-west-2:123456789012:dead"


@pytest.mark.parametrize(
    ("by_hand", "shown"),
    [
        ({"VpcConfig": NETWORK}, ["VpcConfig.SubnetIds: none -> subnet-1, subnet-2"]),
        ({"DeadLetterConfig": {"TargetArn": QUEUE}}, [f"DeadLetterConfig.TargetArn: none -> {QUEUE}"]),
        ({"TracingConfig": {"Mode": "Active"}}, ["TracingConfig.Mode: none -> Active"]),
        ({"EphemeralStorage": {"Size": 1024}}, ["EphemeralStorage.Size: none -> 1024"]),
        ({"Environment": {"Variables": {"API_KEY": "theirs"}}}, ["Environment.API_KEY: none -> ***"]),
        ({"Description": "theirs"}, ["Description: none -> theirs"]),
    ],
)
def test_settings_made_by_hand_are_released(script, client, recorder, session, by_hand, shown) -> None:
    latest: dict[str, object] = {}  # moto has few of these settings: they are put into its answers
    published: dict[str, dict[str, object]] = {}

    def answer(parsed, **_) -> None:
        configuration = parsed.get("Configuration", parsed)
        if "Version" in configuration:
            known = published.setdefault(str(configuration["Version"]), dict(latest))
            configuration.update(latest if configuration["Version"] == "$LATEST" else known)

    for operation in ("GetFunction", "GetFunctionConfiguration", "PublishVersion", "CreateFunction"):
        session.events.register(f"after-call.lambda.{operation}", answer)
    script().deploy()
    assert not script().plan()
    for memory in (256, 128):  # so that moto publishes a new version
        client("lambda").update_function_configuration(FunctionName="my-function", MemorySize=memory)
    latest |= by_hand
    [change, *_] = script().plan().changes
    assert change.details == ("live is version 1; settings that are not declared were changed on $LATEST since",)
    assert all(text in " ".join(map(str, change.differences)) for text in shown), change.differences
    recorder.clear()
    script().deploy()
    assert recorder.writes == ["PublishVersion", "UpdateAlias"]
    assert live(client) == "2"
    assert not script().plan()


def test_variables_no_longer_declared_are_not_said_to_be_changed(script) -> None:
    script(environment={"COLOUR": "green"}).deploy()
    [change] = script().plan().changes
    assert change.details == ("live is version 1; what is declared was not released yet",)
    script().deploy()
    assert not script().plan()


def test_defaults_are_no_settings_made_by_hand(script, session) -> None:
    script().deploy()

    def with_defaults(parsed, **_) -> None:
        parsed["Configuration"].update(
            VpcConfig={"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False},
            TracingConfig={"Mode": "PassThrough"},
            EphemeralStorage={"Size": 512},
            SnapStart={"ApplyOn": "None", "OptimizationStatus": "Off"},
            LoggingConfig={"LogFormat": "Text", "LogGroup": "/aws/lambda/my-function"},
        )

    session.events.register("after-call.lambda.GetFunction", with_defaults)
    assert not script().plan()
