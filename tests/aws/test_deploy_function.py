"""One function: created, unchanged, changed and repaired."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from lambda_script import (
    Alarm,
    Change,
    DeployError,
    Lambda_script,
    LimitError,
    OwnershipError,
    PackageError,
    PlanError,
    deploy_all,
)
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.spec import service_model

ACCOUNT = "123456789012"  # moto's
REGION = "eu-west-2"
READ_A_TABLE = {"Effect": "Allow", "Action": ["dynamodb:GetItem"], "Resource": ["arn:aws:dynamodb:eu-west-2:1:table/t"]}
CONFIGURED = ["UpdateFunctionConfiguration", "PublishVersion", "UpdateAlias"]
EVERYTHING = {
    "schedule": "0 6 * * MON-FRI",
    "environment": {"COLOUR": "blue"},
    "alarms": [Alarm("errors", "Errors", topic="alerts")],
    "permissions": [READ_A_TABLE],
    "tags": {"team": "data"},
    "description": "an example",
}


def said(change: Change) -> list[str]:
    """What `plan` prints below a change."""
    return [*map(str, change.differences), *change.details]


def test_the_example_of_the_readme(client, source, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    deployer = Lambda_script(
        lambda_function_path=str(source),
        zip_file_name="lambda_function.zip",
        function_name_template="my_lambda_function",
        schedule="0 0 * * *",
    )
    report = deployer.deploy()
    assert report.ok
    function = client("lambda").get_function(FunctionName="my_lambda_function")
    assert function["Configuration"]["Handler"] == "my_function.lambda_handler"
    rule = client("events").describe_rule(Name="my_lambda_function-schedule")
    assert rule["ScheduleExpression"] == "cron(0 0 * * ? *)"
    assert "my_function.py" in zipfile.ZipFile(tmp_path / "lambda_function.zip").namelist()


def test_everything_is_made(script, client) -> None:
    report = script(**EVERYTHING).deploy()
    assert {change.kind for change in report.done} == {"role", "log group", "function", "schedule", "alarm"}
    assert all(change.action == "create" for change in report.done)

    function = client("lambda").get_function(FunctionName="my-function")
    configuration = function["Configuration"]
    assert configuration["Environment"] == {"Variables": {"COLOUR": "blue"}}
    assert configuration["Description"] == "an example"
    assert configuration["Role"] == f"arn:aws:iam::{ACCOUNT}:role/my-function-role"
    assert function["Tags"] == {
        "team": "data",
        "managed-by": "lambda_script",
        "application": "my-function",
        "stage": "dev",
        "lambda-script:function": "my-function",
    }

    policy = client("iam").get_role_policy(RoleName="my-function-role", PolicyName="lambda_script")["PolicyDocument"]
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/my-function"
    assert policy["Statement"][0]["Resource"] == [f"{group}:*"]
    assert policy["Statement"][0]["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert policy["Statement"][1] == READ_A_TABLE

    [log_group] = client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/my-function")["logGroups"]
    assert log_group["retentionInDays"] == 30

    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function:live"
    [target] = client("events").list_targets_by_rule(Rule="my-function-schedule")["Targets"]
    assert target["Arn"] == arn
    [statement] = json.loads(client("lambda").get_policy(FunctionName="my-function")["Policy"])["Statement"]
    assert statement["Resource"] == arn
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert (
        statement["Condition"]["ArnLike"]["AWS:SourceArn"]
        == f"arn:aws:events:{REGION}:{ACCOUNT}:rule/my-function-schedule"
    )

    [alarm] = client("cloudwatch").describe_alarms(AlarmNames=["my-function-errors"])["MetricAlarms"]
    assert alarm["AlarmActions"] == [f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"]
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": "my-function"}]
    assert (alarm["Namespace"], alarm["TreatMissingData"]) == ("AWS/Lambda", "notBreaching")
    assert alarm["InsufficientDataActions"] == []


def test_unchanged_writes_nothing(script, recorder) -> None:
    script(**EVERYTHING).deploy()
    recorder.clear()
    report = script(**EVERYTHING).deploy()
    assert (report.done, report.ok) == ((), True)
    assert recorder.writes == []
    assert not script(**EVERYTHING).plan()


def test_plan_writes_nothing_and_says_what_deploy_does(script, recorder) -> None:
    planned = script(**EVERYTHING).plan()
    assert recorder.writes == []
    assert script(**EVERYTHING).deploy().done != ()
    assert {change.key for change in planned.changes} == {
        ("role", "my-function-role"),
        ("log group", "/aws/lambda/my-function"),
        ("function", "my-function"),
        ("schedule", "my-function-schedule"),
        ("alarm", "my-function-errors"),
    }


def test_an_edited_handler_is_published_and_made_live(script, source, recorder) -> None:
    script(**EVERYTHING).deploy()
    source.write_text("def lambda_handler(event, context):\n    return 'new'\n", encoding="utf-8")
    recorder.clear()
    [change] = script(**EVERYTHING).deploy().done
    assert (change.kind, change.action) == ("function", "update")
    assert [item.attribute for item in change.differences] == ["code"]
    assert recorder.writes == ["UpdateFunctionCode", "UpdateAlias"]
    recorder.clear()
    script(**EVERYTHING).deploy()
    assert recorder.writes == []


RECOVERING = Alarm("errors", "Errors", topic="alerts", notify_on_ok=True)
QUIET = Alarm("errors", "Errors", topic="alerts", missing_data="missing", notify_on_insufficient_data=True)


@pytest.mark.parametrize(
    ("different", "kind", "writes", "detail"),
    [
        ({"memory": 512}, "function", CONFIGURED, "MemorySize: 128 -> 512"),
        ({"timeout": 61}, "function", CONFIGURED, "Timeout: 60 -> 61"),
        ({"description": ""}, "function", CONFIGURED, "Description: an example -> none"),
        ({"environment": {"COLOUR": "red"}}, "function", CONFIGURED, "Environment.COLOUR: blue -> red"),
        ({"environment": {}}, "function", CONFIGURED, "Environment.COLOUR: blue -> none"),
        ({"permissions": []}, "role", ["PutRolePolicy"], "policy.arn:aws:dynamodb:eu-west-2:1:table/t: Allow"),
        ({"log_retention_days": 90}, "log group", ["PutRetentionPolicy"], "retention_days: 30 -> 90"),
        ({"schedule": "rate(1 hour)"}, "schedule", ["PutRule"], "schedule: cron(0 6 ? * MON-FRI *) -> rate(1 hour)"),
        ({"alarms": [Alarm("errors", "Errors", topic="other")]}, "alarm", ["PutMetricAlarm"], "AlarmActions"),
        ({"alarms": [RECOVERING]}, "alarm", ["PutMetricAlarm"], "OKActions: none -> arn:aws:sns:"),
        ({"alarms": [QUIET]}, "alarm", ["PutMetricAlarm"], "TreatMissingData: notBreaching -> missing"),
    ],
)
def test_a_change_is_the_only_thing_written(script, recorder, different, kind, writes, detail) -> None:
    script(**EVERYTHING).deploy()
    recorder.clear()
    [change] = script(**{**EVERYTHING, **different}).deploy().done
    assert (change.kind, change.action) == (kind, "update")
    assert said(change)[0].startswith(detail)
    assert recorder.writes == writes
    assert not script(**{**EVERYTHING, **different}).plan()
    recorder.clear()
    script(**{**EVERYTHING, **different}).deploy()
    assert recorder.writes == []


def test_another_architecture_comes_with_the_code(script, session, recorder) -> None:
    script().deploy()
    sent = []
    session.events.register("before-parameter-build.lambda.UpdateFunctionCode", lambda params, **_: sent.append(params))
    recorder.clear()
    [change] = (
        Lambda_script(
            "my_function.py",
            function_name_template="my-function",
            architecture="arm64",
            aws=Aws(REGION, session=session),
        )
        .deploy()
        .done
    )
    assert said(change) == ["architecture: x86_64 -> arm64"]
    assert recorder.writes == ["UpdateFunctionCode", "UpdateAlias"]
    assert sent[0]["Architectures"] == ["arm64"]


def test_environment_values_are_never_shown(script) -> None:
    script(environment={"TOKEN": "hunter2"}).deploy()
    plan = script(environment={"TOKEN": "swordfish"}).plan()
    assert "TOKEN" not in repr(script(environment={"TOKEN": "hunter2"}).spec)
    assert not any(word in repr(plan) for word in ("hunter2", "swordfish"))


@pytest.mark.parametrize("attachment", ["schedule", "alarms"])
def test_what_is_no_longer_declared_is_removed(script, recorder, client, attachment) -> None:
    script(**EVERYTHING).deploy()
    recorder.clear()
    [change] = script(**{**EVERYTHING, attachment: "" if attachment == "schedule" else ()}).deploy().done
    assert change.action == "delete"
    assert client("events").list_rules()["Rules"] == [] or attachment != "schedule"
    assert client("cloudwatch").describe_alarms()["MetricAlarms"] == [] or attachment != "alarms"
    if attachment == "schedule":
        assert recorder.writes == ["RemoveTargets", "RemovePermission", "DeleteRule"]


def test_new_tags_reach_everything_and_foreign_tags_stay(script, recorder, client) -> None:
    script(**EVERYTHING).deploy()
    client("iam").tag_role(RoleName="my-function-role", Tags=[{"Key": "cost-centre", "Value": "7"}])
    recorder.clear()
    report = script(**{**EVERYTHING, "tags": {"team": "shop"}}).deploy()
    assert all("team" in said(change)[0] for change in report.done)
    assert len(report.done) == 5
    tags = {tag["Key"]: tag["Value"] for tag in client("iam").list_role_tags(RoleName="my-function-role")["Tags"]}
    assert tags["cost-centre"] == "7"
    assert tags["team"] == "shop"
    recorder.clear()
    script(**{**EVERYTHING, "tags": {"team": "shop"}}).deploy()
    assert recorder.writes == []


def test_drift_is_repaired(script, client, recorder) -> None:
    script(**EVERYTHING).deploy()
    client("events").disable_rule(Name="my-function-schedule")
    client("events").remove_targets(Rule="my-function-schedule", Ids=["lambda-script"])
    client("lambda").remove_permission(
        FunctionName="my-function",
        StatementId=json.loads(client("lambda").get_policy(FunctionName="my-function")["Policy"])["Statement"][0][
            "Sid"
        ],
    )
    [change] = script(**EVERYTHING).deploy().done
    live = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function:live"
    assert said(change) == [
        "state: DISABLED -> ENABLED",
        f"target: none -> {live}",
        f"permission to invoke: none -> {live}",
    ]
    recorder.clear()
    script(**EVERYTHING).deploy()
    assert recorder.writes == []


def test_a_vanished_function_gets_its_permission_again(script, client) -> None:
    script(**EVERYTHING).deploy()
    client("lambda").delete_function(FunctionName="my-function")
    report = script(**EVERYTHING).deploy()
    assert {change.key for change in report.done} == {("function", "my-function"), ("schedule", "my-function-schedule")}
    assert "Statement" in client("lambda").get_policy(FunctionName="my-function")["Policy"]


def test_unmanaged_function_is_not_changed(script, client, recorder) -> None:
    script().deploy()
    client("lambda").untag_resource(
        Resource=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function", TagKeys=["managed-by"]
    )
    recorder.clear()
    with pytest.raises(OwnershipError, match="adopt=True") as refused:
        script(memory=512).deploy()
    assert "my-function" in str(refused.value)
    assert recorder.writes == []
    report = script(memory=512, adopt=True).deploy()
    assert "tags.managed-by: none -> lambda_script" in said(report.done[0])
    assert not script(memory=512).plan()


def test_all_ownership_problems_are_reported_together(script, client, recorder) -> None:
    client("logs").create_log_group(logGroupName="/aws/lambda/my-function")
    client("events").put_rule(Name="my-function-schedule", ScheduleExpression="rate(1 day)")
    recorder.clear()
    with pytest.raises(PlanError) as refused:
        script(**EVERYTHING).deploy()
    assert len(refused.value.problems) == 2
    assert "/aws/lambda/my-function" in str(refused.value)
    assert "my-function-schedule" in str(refused.value)
    assert recorder.writes == []


def test_a_log_group_that_lambda_made_for_our_function_is_ours(script, client) -> None:
    script().deploy()
    client("logs").delete_log_group(logGroupName="/aws/lambda/my-function")
    client("logs").create_log_group(logGroupName="/aws/lambda/my-function")
    [change] = script().deploy().done
    assert said(change)[0] == "retention_days: for ever -> 30"


def test_limits_are_found_before_any_call(script, recorder) -> None:
    with pytest.raises(LimitError, match="timeout 100000"):
        script(timeout=100_000)
    assert recorder.calls == []


def test_a_package_that_cannot_run_is_not_sent(script, source, recorder) -> None:
    source.write_text("def lambda_handler(event, context)\n    return event\n", encoding="utf-8")
    with pytest.raises(PackageError, match=r"my_function\.py"):
        script().deploy()
    assert recorder.writes == []


def test_zip_file_is_written_only_when_it_differs(script, source, tmp_path: Path) -> None:
    """The zip is left for people and written only when it differs."""
    script(zip_file_name="build/a.zip").deploy()
    left = tmp_path / "build" / "a.zip"
    with zipfile.ZipFile(io.BytesIO(left.read_bytes())) as archive:
        assert archive.read("my_function.py") == source.read_bytes()
    before = left.stat().st_mtime_ns
    script(zip_file_name="build/a.zip").deploy()
    assert left.stat().st_mtime_ns == before


def test_the_stage_is_part_of_the_name(script) -> None:
    assert script(function_name_template="shop-{stage}-report", stage="live").spec.name == "shop-live-report"
    with pytest.raises(LimitError, match="no other braces"):
        script(function_name_template="shop-{region}")


def test_several_functions_are_deployed_together(script, recorder) -> None:
    both = [script(function_name_template=name, schedule="@daily") for name in ("one-function", "one-more")]
    assert {change.name for change in deploy_all(both).done} >= {"one-function", "one-more"}
    recorder.clear()
    assert deploy_all(both).done == ()
    assert [change for one in both for change in one.plan().changes] == [], "nor does each alone differ"
    assert recorder.writes == []
    assert deploy_all([]).ok


def test_failing_function_does_not_stop_the_others(script, recorder) -> None:
    """Of several functions one that fails does not stop the others."""
    recorder.refuse("CreateFunction", "AccessDeniedException", "no", times=1)
    with pytest.raises(DeployError) as failed:
        deploy_all([script(function_name_template=name) for name in ("one-function", "one-more")])
    assert [change.kind for change in failed.value.report.done].count("function") == 1


def test_value_that_only_the_model_of_aws_allows_is_noted(script, client) -> None:
    """AWS decides: here it takes the value."""
    most = service_model.largest("lambda", "MemorySize") or 0
    if most <= 10_240:
        pytest.skip("this botocore has the documented limit")
    plan = script(memory=most).plan()
    [note] = plan.notes
    assert note.startswith(
        f"function my-function: memory {most} is more than the 10240 MB of November 2026; the model of"
    )
    assert script(memory=most).deploy().ok
    assert client("lambda").get_function_configuration(FunctionName="my-function")["MemorySize"] == most
    with pytest.raises(LimitError, match=f"memory {most + 1} is outside 128 to {most} MB"):
        script(memory=most + 1)
