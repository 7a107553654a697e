"""What the emulated AWS does as AWS does it: isolation, least privilege, schedules, alarms and emails."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

import boto3
import pytest

from lambda_script import Lambda_script
from lambda_toolkit.aws import Aws
from lambda_toolkit.pipeline.local_stack.alerting import mail_sink
from tests.support.account import Account, eventually

pytestmark = pytest.mark.xdist_group("stack")

IMPORTING = """
import importlib.util, os, sys
def handle(event, context):
    return {
        "modules": {name: importlib.util.find_spec(name) is not None for name in event},
        "environment": dict(os.environ),
        "path": sys.path,
    }
"""
WRITING = """
import boto3
def handle(event, context):
    bucket = event.get("bucket", "BUCKET")
    boto3.client("s3").put_object(Bucket=bucket, Key=context.aws_request_id, Body=b"x")
    return "written"
"""
FAILING = "def handle(event, context):\n    raise RuntimeError('it broke')\n"
SLOWLY_FAILING = "import time\ndef handle(event, context):\n    time.sleep(1)\n    raise RuntimeError('it broke')\n"
WORKING = "def handle(event, context):\n    return 'fine'\n"
COUNTING = """
import json, time
def handle(event, context):
    directive = {"Namespace": "local-test", "Dimensions": [["FunctionName"]], "Metrics": [{"Name": "RowsRejected"}]}
    print("an ordinary line")
    print(json.dumps({
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
        "FunctionName": context.function_name, "RowsRejected": [event],
    }))
"""
OURS = (
    "pg8000",
    "pyarrow",
    "click",
    "pandas",
    "numpy",
    "rich",
    "lambdas",
)


def test_a_function_finds_boto3_and_nothing_else_of_ours(account: Account) -> None:
    account.function("importing", IMPORTING)

    error, result = account.invoke("importing", ["boto3", "botocore", *OURS, "lambda_toolkit", "lambda_script"])

    assert error is None
    found = {name for name, present in result["modules"].items() if present}
    assert found == {"boto3", "botocore"}
    assert "PYTHONPATH" not in result["environment"]


def test_a_package_that_lacks_a_dependency_fails_as_on_aws(account: Account) -> None:
    account.function("lacking", "import pg8000\n" + WORKING)

    error, result = account.invoke("lacking")

    assert error == "Unhandled"
    assert "No module named 'pg8000'" in result["errorMessage"]


def test_function_has_the_keys_of_its_own_role(account: Account) -> None:
    """A function has the keys of its role and not the administrators."""
    account.function("looking", IMPORTING)

    _, result = account.invoke("looking", [])

    environment = result["environment"]
    assert environment["AWS_ACCESS_KEY_ID"] != account.stack.access_key_id
    assert account.stack.secret_access_key not in json.dumps(result)
    assert environment["AWS_REGION"] == account.stack.region


def test_a_role_may_do_what_its_policy_says_and_nothing_more(account: Account) -> None:
    s3 = account.client("s3")
    for bucket in ("local-test-mine", "local-test-theirs"):
        _bucket(account, bucket)
    may_write = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::local-test-mine/*"}
    account.function("writing", WRITING, [may_write])

    allowed = account.invoke("writing", {"bucket": "local-test-mine"})
    refused, result = account.invoke("writing", {"bucket": "local-test-theirs"})

    assert allowed == (None, "written")
    assert refused == "Unhandled"
    assert "AccessDenied" in result["errorMessage"]
    assert "Contents" not in s3.list_objects_v2(Bucket="local-test-theirs")


def test_rate_rule_invokes_only_the_permitted_target(account: Account) -> None:
    """Of two functions with the same rule, the one whose policy permits the rule is invoked, and only that one."""
    s3, events = account.client("s3"), account.client("events")
    rule = events.put_rule(Name="every-minute", ScheduleExpression="rate(1 minute)", State="ENABLED")["RuleArn"]
    for name in ("permitted", "unpermitted"):
        function = _writer(account, name)
        events.put_targets(Rule="every-minute", Targets=[{"Id": name, "Arn": function}])
    _permit(account, "permitted", "events.amazonaws.com", rule)
    _permit(account, "unpermitted", "events.amazonaws.com", f"{rule}-another")

    eventually(lambda: s3.list_objects_v2(Bucket="local-test-permitted").get("KeyCount", 0) >= 2)

    events.disable_rule(Name="every-minute")
    assert s3.list_objects_v2(Bucket="local-test-unpermitted").get("KeyCount", 0) == 0


def test_rule_becomes_a_schedule_with_the_rights_of_its_role(account: Account, tmp_path: Path) -> None:
    """Deployed as on AWS: the function goes on being started, now with its input; without its role, it is not."""
    source = tmp_path / "zoned.py"
    source.write_text("def lambda_handler(event, context):\n    print('got', event)\n", encoding="utf-8")
    session = boto3.Session(account.stack.access_key_id, account.stack.secret_access_key, None, account.stack.region)
    aws = Aws(session=session, endpoint_url=account.stack.aws_endpoint_url)

    def script(schedule: Any) -> Lambda_script:
        return Lambda_script(source, tmp_path / "zoned.zip", "zoned", schedule, timezone="Europe/London", aws=aws)

    def got(text: str) -> int:
        events = account.client("logs").filter_log_events(logGroupName="/aws/lambda/zoned")["events"]
        return sum(text in item["message"] for item in events if "got" in item["message"])

    script("rate(1 minute)").deploy()
    assert eventually(lambda: got("aws.events"))
    schedule = {"expression": "rate(1 minute)", "input": {"mode": "full"}}
    assert {change.kind for change in script(schedule).deploy().done} == {
        *("schedule group", "schedule role", "Scheduler schedule", "schedule")
    }
    assert eventually(lambda: got("{'mode': 'full'}"))
    assert not script(schedule).plan()
    account.client("iam").delete_role_policy(RoleName="zoned.schedule-role", PolicyName="lambda_script")
    sleep(1)
    before = got("full")
    sleep(3)
    assert got("full") == before
    assert script(schedule).destroy(delete_data=True).ok
    groups = account.client("scheduler").list_schedule_groups()["ScheduleGroups"]
    assert [group["Name"] for group in groups] == ["default"]


def test_metrics_count_runs_of_a_rule_and_throttles_apart(account: Account) -> None:
    """What a rule starts is counted at its start, also where it fails; a call that is throttled is no invocation."""
    account.function("scheduled", SLOWLY_FAILING)
    events, functions = account.client("events"), account.client("lambda")
    version = functions.publish_version(FunctionName="scheduled")["Version"]
    live = functions.create_alias(FunctionName="scheduled", Name="live", FunctionVersion=version)["AliasArn"]
    rule = events.put_rule(Name="every-other", ScheduleExpression="rate(1 minute)", State="ENABLED")["RuleArn"]
    _permit(account, "scheduled", "events.amazonaws.com", rule, Qualifier="live")
    events.put_targets(Rule="every-other", Targets=[{"Id": "scheduled", "Arn": live}])
    eventually(lambda: _counted(account, "scheduled", "Errors"))
    events.disable_rule(Name="every-other")
    account.invoke(f"scheduled:{version}")
    functions.put_function_concurrency(FunctionName="scheduled", ReservedConcurrentExecutions=0)
    with pytest.raises(functions.exceptions.TooManyRequestsException):
        account.invoke("scheduled:live")

    assert eventually(lambda: _counted(account, "scheduled", "Throttles"))
    runs = account.client("logs").filter_log_events(logGroupName="/aws/lambda/scheduled")["events"]
    began = sum(event["message"].startswith("START ") for event in runs)
    eventually(lambda: _counted(account, "scheduled", "Errors") == began)
    assert _counted(account, "scheduled", "Invocations") == began
    assert _counted(account, "scheduled", "Invocations", Resource="scheduled:live") == began - 1
    assert _counted(account, "scheduled", "Invocations", Resource=f"scheduled:{version}") == 1
    [shortest] = _statistic(account, "scheduled", "Duration", "Minimum")
    assert 1000 <= shortest < 10_000


def test_a_new_object_invokes_what_permits_its_bucket(account: Account) -> None:
    s3 = account.client("s3")
    for name in ("s3-permitted", "s3-unpermitted"):
        function = _writer(account, name)
        lake = f"local-test-{name}-lake"
        _bucket(account, lake)
        if name == "s3-permitted":
            _permit(account, name, "s3.amazonaws.com", f"arn:aws:s3:::{lake}")
        trigger = {"Id": "new", "LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}
        s3.put_bucket_notification_configuration(
            Bucket=lake, NotificationConfiguration={"LambdaFunctionConfigurations": [trigger]}
        )

    for name in ("s3-unpermitted", "s3-permitted"):
        s3.put_object(Bucket=f"local-test-{name}-lake", Key="manifests/1.json", Body=b"{}")

    eventually(lambda: s3.list_objects_v2(Bucket="local-test-s3-permitted").get("KeyCount", 0) == 1)
    assert s3.list_objects_v2(Bucket="local-test-s3-unpermitted").get("KeyCount", 0) == 0


def test_alarm_of_the_failing_function_alone_sends_email(account: Account) -> None:
    account.function("failing", FAILING)
    account.function("healthy", WORKING)
    sns, cloudwatch = account.client("sns"), account.client("cloudwatch")
    topic = sns.create_topic(Name="local-test-alerts")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="people@example.com")
    for function in ("failing", "healthy"):
        _put_alarm(account, f"{function}-errors", "AWS/Lambda", "Errors", function, topic)

    for function in ("failing", "healthy"):
        account.invoke(function)

    email = eventually(lambda: _emails(account, "failing-errors"))[0]
    assert email.recipient == "people@example.com"
    assert email.subject.startswith('ALARM: "failing-errors"')
    assert json.loads(email.body)["NewStateValue"] == "ALARM"
    assert not _emails(account, "healthy-errors")
    states = {a["AlarmName"]: a["StateValue"] for a in cloudwatch.describe_alarms()["MetricAlarms"]}
    assert (states["failing-errors"], states["healthy-errors"]) == ("ALARM", "OK")
    # the subscription that AWS knows is the email's alone
    subscriptions = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [subscription["Protocol"] for subscription in subscriptions] == ["email"]


def test_a_metric_in_a_log_line_raises_its_alarm(account: Account) -> None:
    account.function("counting", COUNTING)
    topic = account.client("sns").create_topic(Name="local-test-rejected")["TopicArn"]
    account.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="people@example.com")
    _put_alarm(account, "counting-rejected", "local-test", "RowsRejected", "counting", topic)

    account.invoke("counting", 3)

    eventually(lambda: _emails(account, "counting-rejected"))


def _bucket(account: Account, name: str) -> None:
    account.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": account.stack.region}
    )


def _writer(account: Account, name: str) -> str:
    """A function that writes one object to a bucket of its own whenever it is invoked. Returns its ARN."""
    bucket = f"local-test-{name}"
    _bucket(account, bucket)
    may_write = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return account.function(name, WRITING.replace("BUCKET", bucket), [may_write])


def _permit(account: Account, function: str, service: str, source: str, **more: str) -> None:
    account.client("lambda").add_permission(
        FunctionName=function,
        StatementId="trigger",
        Action="lambda:InvokeFunction",
        Principal=service,
        SourceArn=source,
        **more,
    )


def _put_alarm(account: Account, name: str, namespace: str, metric: str, function: str, topic: str) -> None:
    account.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        AlarmActions=[topic],
    )


def _counted(account: Account, function: str, metric: str, **more: str) -> float:
    return sum(_statistic(account, function, metric, "Sum", **more))


def _statistic(account: Account, function: str, metric: str, statistic: str, **more: str) -> list[float]:
    now = datetime.now(UTC)
    answer = account.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in {"FunctionName": function, **more}.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=7200,
        Statistics=[statistic],
    )
    return [float(point[statistic]) for point in answer["Datapoints"]]


def _emails(account: Account, alarm: str) -> list[mail_sink.Email]:
    return [email for email in mail_sink.read(account.stack.mail_sink) if f'"{alarm}"' in email.subject]


def test_event_that_failed_goes_to_the_alias_destination(account: Account) -> None:
    """Of a rule and of a call, with the event and the error, where the role may write; ministack sends neither."""
    s3, client = account.client("s3"), account.client("lambda")
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": account.stack.region})
    writing = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": "arn:aws:s3:::kept/*"}
    for name, allowed in (("losing", [writing]), ("forbidden", [])):
        account.function(name, FAILING, allowed)
        version = client.publish_version(FunctionName=name)["Version"]
        client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
        client.put_function_event_invoke_config(
            FunctionName=name,
            Qualifier="live",
            MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::kept"}},
        )
        client.invoke(FunctionName=name, Qualifier="live", InvocationType="Event", Payload=b'{"called": true}')
    arn = client.get_alias(FunctionName="losing", Name="live")["AliasArn"]
    events = account.client("events")
    rule = events.put_rule(Name="losing", ScheduleExpression="rate(1 minute)")["RuleArn"]
    client.add_permission(
        FunctionName="losing",
        Qualifier="live",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    events.put_targets(Rule="losing", Targets=[{"Id": "function", "Arn": arn}])

    def kept() -> list[dict[str, Any]]:
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="kept").get("Contents", ())]
        assert all(key.startswith("aws/lambda/async/losing/") for key in keys)
        return [json.loads(s3.get_object(Bucket="kept", Key=key)["Body"].read()) for key in keys]

    found = eventually(lambda: [each for each in kept() if each["requestPayload"].get("source") == "aws.events"])
    events.remove_targets(Rule="losing", Ids=["function"])
    [called] = [each for each in kept() if each["requestPayload"] == {"called": True}]
    for record in (called, found[0]):
        assert record["requestContext"]["condition"] == "RetriesExhausted"
        assert record["requestContext"]["functionArn"] == arn
        assert record["responsePayload"]["errorMessage"] == "it broke"
