"""What a declaration names and AWS does not have: the plan says so, before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from lambda_script import Alarm, BucketSpec, Deployment, S3Trigger, TopicSpec
from lambda_toolkit.aws.account import Place
from lambda_toolkit.deploy.deployer_policy import deployer_policy
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.spec.model import FunctionSpec


def test_bucket_and_topic_that_do_not_exist_are_noted(script, client, recorder) -> None:
    """Neither CloudWatch nor a plan of differences alone would: an alarm of a missing topic notifies none."""
    declared = script(s3_trigger={"bucket": "my-lake"}, alarms=[Alarm("errors", "Errors", topic="alerts")])
    assert declared.plan().notes == (
        "there is no bucket my-lake yet, and this plan does not create it: trigger my-function on my-lake needs it",
        "there is no topic alerts yet, and this plan does not create it: alarm my-function-errors needs it",
    )
    assert recorder.writes == []
    client("s3").create_bucket(Bucket="my-lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    client("sns").create_topic(Name="alerts")
    assert declared.plan().notes == ()


def test_topic_of_a_trigger_that_does_not_exist_is_noted(script, client) -> None:
    declared = script(topic_trigger="orders")
    [note] = declared.plan().notes
    assert note == (
        "there is no topic orders yet, and this plan does not create it: subscription my-function on orders needs it"
    )
    client("sns").create_topic(Name="orders")
    assert declared.plan().notes == ()


def test_what_the_same_plan_creates_is_not_missing(script, aws) -> None:
    spec = script(s3_trigger=S3Trigger("my-lake"), alarms=[Alarm("errors", "Errors", topic="alerts")]).spec
    deployment = Deployment((spec,), (BucketSpec("my-lake"),), (TopicSpec("alerts"),))
    assert make_plan(aws, deployment).notes == ()


def test_topic_that_the_caller_may_not_read_is_not_missing(script, recorder) -> None:
    recorder.refuse("GetTopicAttributes", "AuthorizationError", status=403)
    assert script(alarms=[Alarm("errors", "Errors", topic="alerts")]).plan().notes == ()


def test_metric_that_lambda_does_not_have_is_noted(script) -> None:
    """AWS may have added one since: it decides, and the plan says that the alarm may never fire."""
    [note] = script(alarms=[Alarm("errors", "Eror")]).plan().notes
    assert note.startswith("function my-function: alarm `errors`: Lambda had no metric `Eror` in ")
    assert note.endswith("Did you mean Errors?")
    assert script(alarms=[Alarm("own", "Eror", namespace="shop")]).plan().notes == ()


PLACE = Place("123456789012", "eu-west-2")
DESTINATIONS = {
    "sqs:eu-west-2:123456789012:failed": (
        "queue failed",
        lambda client: client("sqs").create_queue(QueueName="failed"),
    ),
    "sns:eu-west-2:123456789012:failed": ("topic failed", lambda client: client("sns").create_topic(Name="failed")),
    "s3:::my-failed": (
        "bucket my-failed",
        lambda client: client("s3").create_bucket(
            Bucket="my-failed", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
        ),
    ),
    "events:eu-west-2:123456789012:event-bus/failed": (
        "event bus failed",
        lambda client: client("events").create_event_bus(Name="failed"),
    ),
}


@pytest.mark.parametrize("arn", DESTINATIONS)
def test_destination_that_does_not_exist_is_noted(arn, script, client, recorder) -> None:
    """A deploy would fail half way at it, or its failed events would vanish."""
    named, create = DESTINATIONS[arn]
    declared = script(on_failure=f"arn:aws:{arn}")
    assert declared.plan().notes == (
        f"there is no {named} yet, and this plan does not create it: asynchronous invocation my-function needs it",
    )
    assert recorder.writes == []
    create(client)
    assert declared.plan().notes == ()


def test_function_as_destination_that_does_not_exist_is_noted(script) -> None:
    [note] = script(on_failure="arn:aws:lambda:eu-west-2:123456789012:function:cleaner:live").plan().notes
    assert note.startswith("there is no function cleaner yet")


def test_dead_letter_queue_of_a_schedule_is_looked_for(script, client) -> None:
    queue = "arn:aws:sqs:eu-west-2:123456789012:late"
    declared = script(schedule={"expression": "0 9 * * *", "timezone": "Europe/London", "dead_letter_queue": queue})
    [note] = declared.plan().notes
    assert note == (
        "there is no queue late yet, and this plan does not create it: Scheduler schedule my-function.schedule needs it"
    )
    client("sqs").create_queue(QueueName="late")
    assert declared.plan().notes == ()


def test_destination_of_failed_records_is_looked_for(script, client) -> None:
    client("kinesis").create_stream(StreamName="clicks", ShardCount=1)
    queue = "arn:aws:sqs:eu-west-2:123456789012:lost"
    [note] = script(stream_trigger={"stream": "clicks", "on_failure": queue}).plan().notes
    assert note == (
        "there is no queue lost yet, and this plan does not create it: event source mapping my-function on stream "
        "clicks needs it"
    )


def test_destination_that_stays_costs_no_call(script, client, recorder) -> None:
    client("sqs").create_queue(QueueName="failed")
    declared = {"on_failure": "arn:aws:sqs:eu-west-2:123456789012:failed"}
    script(**declared).deploy()
    recorder.clear()
    assert not script(**declared).plan()
    assert script(**declared, retries=1).plan()
    assert "GetQueueUrl" not in recorder.calls


def test_destination_that_the_caller_may_not_see_is_not_missing(script, recorder) -> None:
    recorder.refuse("GetQueueUrl", "AccessDenied", status=403)
    assert script(on_failure="arn:aws:sqs:eu-west-2:123456789012:failed").plan().notes == ()


def test_destination_of_another_region_is_not_looked_for(script, recorder) -> None:
    assert script(on_failure="arn:aws:sqs:eu-west-1:123456789012:failed").plan().notes == ()
    assert "GetQueueUrl" not in recorder.calls


def test_destinations_of_failed_events_may_be_looked_for() -> None:
    """Each with its own right; the deployment's bucket may be read anyway."""
    place, arns = "eu-west-2:123456789012", ("arn:aws:sqs", "arn:aws:sns", "arn:aws:events", "arn:aws:lambda")
    names = ("failed", "failed", "event-bus/failed", "function:failed")
    found = [f"{start}:{place}:{name}" for start, name in zip(arns, names, strict=True)]
    for arn, action in zip(
        (*found, "arn:aws:s3:::others"),
        ("sqs:GetQueueUrl", "sns:GetTopicAttributes", "events:DescribeEventBus", "lambda:GetFunction", "s3:ListBucket"),
        strict=True,
    ):
        policy = deployer_policy(
            Deployment((FunctionSpec("one", Path("one.py"), on_failure=arn),)), Place("123456789012", "eu-west-2")
        )
        assert [arn] in [item["Resource"] for item in policy["Statement"] if item["Action"] == [action]], arn
    own = FunctionSpec("one", Path("one.py"), on_failure="arn:aws:s3:::lake")
    policy = deployer_policy(Deployment((own,), (BucketSpec("lake"),)), PLACE)
    assert "FailedToBuckets" not in [item["Sid"] for item in policy["Statement"]]
