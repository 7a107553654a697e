"""Outside changes to resources that AWS replaces in full: shown where they alter a declared value, else preserved."""

from __future__ import annotations

import json

import pytest

from lambda_script import Alarm, AwsError, DeployError, LimitError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.model import Deployment

TOPIC = "arn:aws:sns:eu-west-2:123456789012:theirs"
RULE = "my-function-schedule"


def shown(plan) -> list[str]:
    return [str(item) for change in plan.changes for item in change.differences]


def alarm(client) -> dict:
    [found] = client("cloudwatch").describe_alarms()["MetricAlarms"]
    return found


METRIC = {"Namespace": "AWS/Lambda", "MetricName": "Invocations"}


def set_by_hand(client, **different: object) -> None:
    live = alarm(client)
    kept = ("AlarmName", "MetricName", "Namespace", "Dimensions", "Statistic", "Threshold", "ComparisonOperator")
    kept += ("Period", "EvaluationPeriods", "TreatMissingData", "AlarmActions", "ActionsEnabled")
    client("cloudwatch").put_metric_alarm(**{**{key: live[key] for key in kept if key in live}, **different})


def test_ok_actions_set_outside_are_preserved(script, client) -> None:
    script(alarms=[Alarm("errors", "Errors")]).deploy()
    set_by_hand(client, OKActions=[TOPIC])
    assert not script(alarms=[Alarm("errors", "Errors")]).plan()
    script(alarms=[Alarm("errors", "Errors", threshold=5)]).deploy()
    assert alarm(client)["Threshold"] == 5
    assert alarm(client)["OKActions"] == [TOPIC]


def test_fewer_points_that_make_an_alarm_are_a_difference(script, client) -> None:
    declared = {"alarms": [Alarm("errors", "Errors", evaluation_periods=5)]}
    script(**declared).deploy()
    set_by_hand(client, DatapointsToAlarm=5)
    assert not script(**declared).plan(), "all of them, as without it"
    set_by_hand(client, DatapointsToAlarm=1)
    assert shown(script(**declared).plan()) == ["DatapointsToAlarm: 1 -> none"]
    script(**declared).deploy()
    assert alarm(client).get("DatapointsToAlarm") is None
    assert not script(**declared).plan()


SILENT = Alarm("errors", "Invocations", expression="FILL(m, 0)", comparison="LessThanThreshold", evaluation_periods=3)


def test_alarm_of_an_alias_counts_what_calls_that_alias(script, client) -> None:
    declared = Alarm("silent", "Invocations", alias="live")
    script(alarms=[declared]).deploy()
    assert not script(alarms=[declared]).plan()
    name = alarm(client)["AlarmName"].removesuffix("-silent")
    dimensions = {item["Name"]: item["Value"] for item in alarm(client)["Dimensions"]}
    assert dimensions == {"FunctionName": name, "Resource": f"{name}:live"}
    with pytest.raises(LimitError, match="give dimensions or an alias, not both"):
        script(alarms=[Alarm("silent", "Invocations", alias="live", dimensions={"FunctionName": name})])


def test_expression_of_an_alarm_is_compared_in_its_metrics(script, client) -> None:
    """By what it measures: a label and the order of the metrics change nothing, an expression and a period do."""
    script(alarms=[Alarm("errors", "Errors")]).deploy()
    assert [line.split(":")[0] for line in shown(script(alarms=[SILENT]).plan())] == [
        *("MetricName", "Namespace", "Dimensions", "Statistic", "Period", "Metrics"),
        *("ComparisonOperator", "EvaluationPeriods"),
    ]
    script(alarms=[SILENT]).deploy()
    assert not script(alarms=[SILENT]).plan()
    live = alarm(client)
    assert not live.get("MetricName")
    assert sorted((item["Id"], item.get("Expression")) for item in live["Metrics"]) == [
        ("e", "FILL(m, 0)"),
        ("m", None),
    ]

    def put(expression: str, period: int, function: str = "my-function") -> None:
        metric = {**METRIC, "Dimensions": [{"Name": "FunctionName", "Value": function}]}
        stat = {"Metric": metric, "Period": period, "Stat": "Sum"}
        metrics = [
            {"Id": "m", "MetricStat": stat, "ReturnData": False, "Label": "by hand"},
            {"Id": "e", "Expression": expression, "ReturnData": True, "Label": "by hand"},
        ]
        kept = ("AlarmName", "Threshold", "ComparisonOperator", "EvaluationPeriods", "TreatMissingData")
        client("cloudwatch").put_metric_alarm(**{key: live[key] for key in kept}, Metrics=metrics)

    put("FILL(m, 0)", 60)
    assert not script(alarms=[SILENT]).plan()
    for changed in (("m", 60), ("FILL(m, 0)", 300), ("FILL(m, 0)", 60, "another")):
        put(*changed)
        [difference] = shown(script(alarms=[SILENT]).plan())
        assert difference.startswith("Metrics: ")
    script(alarms=[SILENT]).deploy()
    assert not script(alarms=[SILENT]).plan()
    script(alarms=[Alarm("errors", "Errors")]).deploy()
    assert (alarm(client)["MetricName"], alarm(client).get("Metrics") or []) == ("Errors", [])
    assert not script(alarms=[Alarm("errors", "Errors")]).plan()


def test_rule_pattern_is_a_difference_but_its_description_stays(script, client) -> None:
    """A pattern on a rule is a difference and its description is kept."""
    script(schedule="@daily").deploy()
    events = client("events")
    pattern = json.dumps({"source": ["aws.s3"]})
    ours = {"Description": "mine", "RoleArn": "arn:aws:iam::123456789012:role/mine"}
    events.put_rule(Name=RULE, ScheduleExpression="cron(0 0 * * ? *)", EventPattern=pattern, **ours)
    assert [line.partition(":")[0] for line in shown(script(schedule="@daily").plan())] == ["event_pattern"]
    script(schedule="@daily").deploy()
    rule = events.describe_rule(Name=RULE)
    assert not rule.get("EventPattern")
    assert {key: rule[key] for key in ours} == ours
    assert not script(schedule="@daily").plan()


def test_a_trust_policy_changed_by_hand_is_restored(script, client) -> None:
    """The role may be assumed by Lambda alone, whatever was added to its trust policy or put there instead."""
    script().deploy()
    iam = client("iam")
    declared = iam.get_role(RoleName="my-function-role")["Role"]["AssumeRolePolicyDocument"]
    [own] = declared["Statement"]
    assert own == {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    theirs = {**own, "Principal": {"AWS": "arn:aws:iam::999999999999:root"}}
    for statements in ([own, theirs], [theirs], [{**own, "Effect": "Deny"}], [{**own, "Condition": {"Bool": {}}}]):
        document = json.dumps({**declared, "Statement": statements})
        iam.update_assume_role_policy(RoleName="my-function-role", PolicyDocument=document)
        [change] = script().plan().changes
        assert [str(change.kind), *(item.attribute for item in change.differences)] == ["role", "trust.*"]
        assert script().deploy().ok
        assert iam.get_role(RoleName="my-function-role")["Role"]["AssumeRolePolicyDocument"] == declared
        assert not script().plan()


def test_target_input_is_a_difference_and_its_queue_is_kept(script, client) -> None:
    """What a target gives the function is a difference and its queue is kept."""
    script(schedule="@daily").deploy()
    events = client("events")
    [target] = events.list_targets_by_rule(Rule=RULE)["Targets"]
    queue = {
        "DeadLetterConfig": {"Arn": "arn:aws:sqs:eu-west-2:123456789012:lost"},
        "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600},
    }
    events.put_targets(Rule=RULE, Targets=[{**target, **queue}])
    assert not script(schedule="@daily").plan()
    events.put_targets(Rule=RULE, Targets=[{**target, **queue, "Input": '{"mode": "all"}'}])
    assert shown(script(schedule="@daily").plan()) == ['input: {"mode": "all"} -> none']
    script(schedule="@daily").deploy()
    [target] = events.list_targets_by_rule(Rule=RULE)["Targets"]
    assert "Input" not in target
    assert {key: target[key] for key in queue} == queue
    for other in ({"InputPath": "$.detail"}, {"InputTransformer": {"InputTemplate": '"x"'}}):
        events.put_targets(Rule=RULE, Targets=[{**target, **other}])
        [difference] = shown(script(schedule="@daily").plan())
        assert difference.endswith(" -> none")
        script(schedule="@daily").deploy()
        assert events.list_targets_by_rule(Rule=RULE)["Targets"] == [target]


def test_a_policy_of_one_statement_without_a_list(aws, client) -> None:
    deployment = Deployment(buckets=(BucketSpec("my-lake"),))
    assert execute(aws, make_plan(aws, deployment)).ok
    theirs = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket"}
    document = {"Version": "2012-10-17", "Statement": {**theirs, "Resource": "arn:aws:s3:::my-lake"}}
    client("s3").put_bucket_policy(Bucket="my-lake", Policy=json.dumps(document))
    [change] = make_plan(aws, deployment).changes
    assert shown(make_plan(aws, deployment)) == ["tls_only: False -> True"]
    change.apply(aws)
    statements = json.loads(client("s3").get_bucket_policy(Bucket="my-lake")["Policy"])["Statement"]
    assert [statement["Sid"] for statement in statements] == ["Theirs", "LambdaScriptTlsOnly"]
    assert not make_plan(aws, deployment)


@pytest.fixture
def unreadable(session) -> list[str]:
    """Put a code in, and Lambda answers with it as it does whoever may not use the key of the variables."""
    codes: list[str] = []

    def hide(parsed: dict, **_: object) -> None:
        if codes:
            refusal = {"ErrorCode": codes[0], "Message": "Lambda was unable to decrypt your environment variables."}
            parsed["Configuration"]["Environment"] = {"Error": refusal}

    session.events.register("after-call.lambda.GetFunction", hide)
    return codes


def test_unreadable_environment_is_not_treated_as_empty(script, unreadable, recorder) -> None:
    """An environment that may not be read is not taken for empty."""
    script(environment={"MODE": "fast"}).deploy()
    unreadable.append("AccessDeniedException")
    recorder.clear()
    with pytest.raises(AwsError, match=r"variables cannot be read: .* need kms:Decrypt") as caught:
        script(environment={"MODE": "fast"}).deploy()
    assert caught.value.operation == "kms:Decrypt"
    assert recorder.writes == []
    assert "Environment" not in str(shown(script().plan())), "what is not managed need not be read"


def test_environment_with_an_unusable_key_is_written_again(script, unreadable) -> None:
    script(environment={"MODE": "fast"}).deploy()
    unreadable.append("KMSInvalidStateException")
    assert shown(script(environment={"MODE": "fast"}).plan()) == ["Environment.MODE: none -> fast"]


def test_schedule_is_removed_after_its_permission_removal_failed(script, recorder, client) -> None:
    """A schedule is removed although its permission could not be at first."""
    script(schedule="@daily").deploy()
    recorder.refuse("RemovePermission", "AccessDeniedException", "no", times=1)
    with pytest.raises(DeployError, match="lambda:RemovePermission"):
        script(schedule="").deploy()
    assert script(schedule="").deploy().ok
    with pytest.raises(client("lambda").exceptions.ResourceNotFoundException):
        client("lambda").get_policy(FunctionName="my-function", Qualifier="live")
    assert not script(schedule="").plan()
