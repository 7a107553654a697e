"""S3 triggers: managed entries change, unmanaged entries are preserved."""

from __future__ import annotations

import pytest

from lambda_script import DeployError, S3Trigger, TriggerError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.model import Deployment

ACCOUNT = "123456789012"  # moto's
REGION = "eu-west-2"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:foreign"


@pytest.fixture
def bucket(client) -> str:
    client("sqs").create_queue(QueueName="foreign")
    client("s3").create_bucket(Bucket="shared", CreateBucketConfiguration={"LocationConstraint": REGION})
    return "shared"


def notifications(client, bucket: str) -> dict:
    answer = client("s3").get_bucket_notification_configuration(Bucket=bucket)
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def foreign(client, bucket: str, prefix: str) -> dict:
    entry = {
        "Id": "theirs",
        "QueueArn": QUEUE,
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}},
    }
    configuration = {"QueueConfigurations": [entry], "EventBridgeConfiguration": {}}
    client("s3").put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    return notifications(client, bucket)


def test_a_trigger_is_made_once(script, client, recorder, bucket) -> None:
    trigger = {"bucket": bucket, "prefix": "in/", "suffix": ".json"}
    assert {change.kind for change in script(s3_trigger=trigger).deploy().done} >= {"trigger"}
    assert [call for call in recorder.writes if call in ("AddPermission", "PutBucketNotificationConfiguration")] == [
        "AddPermission",
        "PutBucketNotificationConfiguration",
    ]
    [entry] = notifications(client, bucket)["LambdaFunctionConfigurations"]
    assert entry["LambdaFunctionArn"].endswith(":function:my-function:live")
    assert entry["Id"].startswith("lambda-script:my-function:")
    recorder.clear()
    script(s3_trigger=S3Trigger(bucket, "in/", ".json")).deploy()
    assert recorder.writes == []


def test_foreign_entries_stay(script, client, bucket) -> None:
    before = foreign(client, bucket, "theirs/")
    script(s3_trigger=S3Trigger(bucket, prefix="in/")).deploy()
    after = notifications(client, bucket)
    assert after["QueueConfigurations"] == before["QueueConfigurations"]
    assert ("EventBridgeConfiguration" in after) == ("EventBridgeConfiguration" in before)
    assert len(after["LambdaFunctionConfigurations"]) == 1
    script(s3_trigger=S3Trigger(bucket, prefix="in/")).destroy()
    assert notifications(client, bucket) == before


def test_an_overlap_with_a_topic_is_named(script, client, recorder, bucket) -> None:
    topic = client("sns").create_topic(Name="theirs")["TopicArn"]
    entry = {"Id": "theirs", "TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}
    configuration = {"TopicConfigurations": [entry]}
    client("s3").put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    with pytest.raises(TriggerError, match=topic):
        script(s3_trigger=S3Trigger(bucket, prefix="in/")).deploy()
    assert "PutBucketNotificationConfiguration" not in recorder.writes


def test_an_overlap_with_a_foreign_entry_is_named(script, client, recorder, bucket) -> None:
    foreign(client, bucket, "in/theirs/")
    with pytest.raises(TriggerError) as refused:
        script(s3_trigger=S3Trigger(bucket, prefix="in/")).deploy()
    for part in ("my-function", bucket, "in/theirs/", QUEUE, "id theirs"):
        assert part in str(refused.value)
    assert recorder.writes == []


def test_several_triggers_of_one_function(script, client, recorder, bucket) -> None:
    triggers = [S3Trigger(bucket, prefix="a/"), S3Trigger(bucket, prefix="b/")]
    script(s3_trigger=triggers).deploy()
    assert len(notifications(client, bucket)["LambdaFunctionConfigurations"]) == 2
    recorder.clear()
    script(s3_trigger=triggers).deploy()
    assert recorder.writes == []
    script(s3_trigger=triggers[:1]).deploy()
    assert len(notifications(client, bucket)["LambdaFunctionConfigurations"]) == 1


def test_functions_on_one_bucket_are_deployed_concurrently(aws, script, client, bucket) -> None:
    functions = tuple(
        script(function_name_template=f"on-{name}", s3_trigger=S3Trigger(bucket, prefix=f"{name}/")).spec
        for name in ("a", "b", "c", "d")
    )
    assert execute(aws, make_plan(aws, Deployment(functions))).ok
    entries = notifications(client, bucket)["LambdaFunctionConfigurations"]
    assert len(entries) == 4
    assert not make_plan(aws, Deployment(functions))


def test_overlapping_declarations_are_refused(aws, script, recorder) -> None:
    functions = (
        script(function_name_template="one", s3_trigger=S3Trigger("lake", prefix="in/")).spec,
        script(function_name_template="two", s3_trigger=S3Trigger("lake", prefix="in/deep/", suffix=".json")).spec,
    )
    with pytest.raises(TriggerError, match="`one`.*`two`"):
        make_plan(aws, Deployment(functions))
    assert recorder.writes == []


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (S3Trigger("lake", "a/"), S3Trigger("lake", "b/"), False),
        (S3Trigger("lake", "a/"), S3Trigger("other", "a/"), False),
        (S3Trigger("lake", "a/", ".json"), S3Trigger("lake", "a/", ".csv"), False),
        (S3Trigger("lake", "a/", ".json"), S3Trigger("lake", "", "x.json"), True),
        (S3Trigger("lake"), S3Trigger("lake", events=("s3:ObjectRemoved:*",)), False),
        (S3Trigger("lake"), S3Trigger("lake", events=("s3:ObjectCreated:Put",)), True),
    ],
)
def test_what_overlaps(aws, script, client, one, other, overlap) -> None:
    functions = (
        script(function_name_template="one", s3_trigger=one).spec,
        script(function_name_template="two", s3_trigger=other).spec,
    )
    if overlap:
        with pytest.raises(TriggerError):
            make_plan(aws, Deployment(functions))
    else:
        assert make_plan(aws, Deployment(functions)).changes != ()


@pytest.mark.parametrize("lagging", range(6))
def test_one_read_that_lags_loses_no_trigger(aws, script, session, client, bucket, lagging) -> None:
    foreign(client, bucket, "theirs/")
    states: list[dict] = [notifications(client, bucket)]
    reads: list[int] = []

    def answer(parsed, **_) -> None:
        reads.append(lagging)
        if len(reads) == lagging + 1 and len(states) > 1:  # as before the latest write
            metadata = parsed["ResponseMetadata"]
            parsed.clear()
            parsed.update(states[-2], ResponseMetadata=metadata)

    session.events.register("after-call.s3.GetBucketNotificationConfiguration", answer)
    session.events.register(
        "after-call.s3.PutBucketNotificationConfiguration",
        lambda **_: states.append(notifications(client, bucket)),
    )
    functions = tuple(
        script(function_name_template=name, s3_trigger=S3Trigger(bucket, f"{name}/")).spec for name in ("one", "two")
    )
    assert execute(aws, make_plan(aws, Deployment(functions))).ok
    assert len(reads) >= 6, "each of the reads was one that lags"
    live = notifications(client, bucket)
    assert len(live["LambdaFunctionConfigurations"]) == 2
    assert len(live["QueueConfigurations"]) == 1
    assert not make_plan(aws, Deployment(functions))


def test_dropped_trigger_is_removed_from_its_bucket(script, client, recorder, bucket) -> None:
    script(s3_trigger=S3Trigger(bucket, prefix="in/")).deploy()
    recorder.clear()
    assert not script().plan(), "an undeclared trigger is not managed"
    recorder.clear()
    [change] = script(s3_trigger=[]).deploy().done
    assert (change.kind, change.action, change.name) == ("trigger", "delete", "my-function on shared")
    assert recorder.writes == ["PutBucketNotificationConfiguration", "RemovePermission"]
    assert notifications(client, bucket) == {}
    assert not script().plan()


def test_missing_trigger_bucket_is_named_function_is_deployed(script, client) -> None:
    """A missing bucket is named and the function is deployed all the same."""
    with pytest.raises(DeployError, match="no bucket not-there") as failed:
        script(s3_trigger=S3Trigger("not-there")).deploy()
    assert [failure.change.kind for failure in failed.value.report.failed] == ["trigger"]
    assert client("lambda").get_function(FunctionName="my-function")
    client("s3").create_bucket(Bucket="not-there", CreateBucketConfiguration={"LocationConstraint": REGION})
    assert script(s3_trigger=S3Trigger("not-there")).deploy().ok  # the same command repairs


def test_a_bucket_of_the_same_deployment_is_made_first(aws, script) -> None:
    spec = script(s3_trigger=S3Trigger("fresh")).spec
    assert execute(aws, make_plan(aws, Deployment((spec,), buckets=(BucketSpec("fresh"),)))).ok
    assert not make_plan(aws, Deployment((spec,), buckets=(BucketSpec("fresh"),)))
