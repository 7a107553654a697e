"""What a declaration names and AWS does not have: the plan says so, before anything is written."""

from __future__ import annotations

from lambda_script import Alarm, BucketSpec, Deployment, S3Trigger, TopicSpec
from lambda_toolkit.deploy.plan import make_plan


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
