"""Stream triggers: Kinesis streams and the streams of DynamoDB tables, each by the alias's own event source mapping."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lambda_script import DeployError, LimitError, StreamTrigger, TriggerError

REGION, ACCOUNT = "eu-west-2", "123456789012"  # moto's account
LIVE = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function:live"
CLICKS = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/clicks"
FAILED = f"arn:aws:sqs:{REGION}:{ACCOUNT}:failed"
ALL = StreamTrigger(
    "clicks",
    starting_position="LATEST",
    batch_size=500,
    batching_window=2,
    filters=({"data": {"kind": ["new"]}},),
    report_failures=True,
    on_failure=FAILED,
    parallelization_factor=4,
    bisect=True,
    retries=3,
    max_record_age=3600,
)


def mappings(client) -> list[dict]:
    found = client("lambda").list_event_source_mappings()["EventSourceMappings"]
    return [item for item in found if item["State"] != "Deleting"]


def statements(client) -> dict[str, dict]:
    policy = client("iam").get_role_policy(RoleName="my-function-role", PolicyName="lambda_script")["PolicyDocument"]
    return {item.get("Sid", ""): item for item in policy["Statement"]}


def make_table(client) -> str:
    made = client("dynamodb").create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    return str(made["TableDescription"]["LatestStreamArn"])


@pytest.fixture
def stream(client) -> str:
    client("kinesis").create_stream(StreamName="clicks", ShardCount=1)
    return CLICKS


def test_kinesis_stream_is_read_as_declared(script, client, recorder, stream) -> None:
    """Rights first, exactly these; each setting is restored, removed ones too, and the place in the stream is kept."""
    script(stream_trigger=ALL).deploy()
    made = mappings(client)[0]
    assert (made["FunctionArn"], made["EventSourceArn"], made["State"]) == (LIVE, CLICKS, "Enabled")
    assert made["DestinationConfig"] == {"OnFailure": {"Destination": FAILED}}
    assert (made["StartingPosition"], made["MaximumRetryAttempts"], made["ParallelizationFactor"]) == ("LATEST", 3, 4)
    allowed = statements(client)
    assert allowed["StreamTriggers"]["Resource"] == [CLICKS]
    assert allowed["StreamLists"]["Action"] == ["kinesis:ListStreams"]
    assert allowed["FailedRecordsToQueue"]["Resource"] == [FAILED]
    recorder.clear()
    assert not script(stream_trigger=ALL).plan()
    assert recorder.calls.count("DescribeStreamSummary") == 1
    script(stream_trigger="clicks").deploy()
    [live] = mappings(client)
    assert live["UUID"] == made["UUID"]
    known = ("BatchSize", "BisectBatchOnFunctionError", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds")
    assert [live[name] for name in known] == [100, False, -1, -1]
    assert live["DestinationConfig"] == {"OnFailure": {"Destination": ""}}
    assert "FailedRecordsToQueue" not in statements(client)
    plan = script(stream_trigger="clicks").plan()
    assert plan.changes == ()
    [note] = plan.notes
    assert note.startswith(
        "stream clicks: my-function began to read it at LATEST; starting_position TRIM_HORIZON would"
    )
    done = script(stream_trigger=()).deploy().done
    assert ("event source mapping", "delete") in [(str(change.kind), change.action) for change in done]
    assert not {"StreamTriggers", "StreamLists"} & set(statements(client))


def test_table_that_was_created_again_is_followed(script, client) -> None:
    first = make_table(client)
    declared = script(stream_trigger=StreamTrigger(table="orders", enabled=False))
    declared.deploy()
    assert [(item["EventSourceArn"], item["State"]) for item in mappings(client)] == [(first, "Disabled")]
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders/stream/*"
    assert statements(client)["TableTriggers"]["Resource"] == [table]
    assert not declared.plan()
    client("dynamodb").delete_table(TableName="orders")
    second = make_table(client)
    assert second != first
    planned = declared.plan().changes
    assert [(change.action, change.name.partition(" (")[0]) for change in planned] == [
        ("create", "my-function on table orders"),
        ("delete", "my-function on table orders"),
    ]
    assert declared.deploy().ok
    assert [item["EventSourceArn"] for item in mappings(client)] == [second]
    assert not declared.plan()


def test_source_that_does_not_exist_is_said_in_the_plan(script, client, recorder) -> None:
    declared = script(stream_trigger=["clicks", StreamTrigger(table="orders")])
    notes = " ".join(declared.plan().notes)
    assert "there is no stream clicks yet" in notes
    assert "there is no table orders yet" in notes
    with pytest.raises(DeployError, match="There is no table orders with a stream to trigger my-function"):
        declared.deploy()
    assert "CreateEventSourceMapping" not in recorder.calls
    client("kinesis").create_stream(StreamName="clicks", ShardCount=1)
    make_table(client)
    assert len(declared.deploy().done) == 2


def test_role_that_may_not_read_yet_is_waited_for(script, client, stream, recorder, fake_time) -> None:
    message = "Cannot access stream. Please ensure the role can perform the GetRecords Actions on your stream in IAM."
    recorder.refuse("CreateEventSourceMapping", "InvalidParameterValueException", message, times=3)
    assert script(stream_trigger="clicks").deploy().ok
    assert recorder.calls.count("CreateEventSourceMapping") == 4


def test_reading_begins_at_a_time(script, client, stream) -> None:
    at = StreamTrigger("clicks", starting_position="AT_TIMESTAMP", starting_timestamp="2026-11-01T00:00:00Z")
    assert script(stream_trigger=at).deploy().ok
    [live] = mappings(client)
    assert live["StartingPositionTimestamp"] == datetime(2026, 11, 1, tzinfo=UTC)
    assert not script(stream_trigger=at).plan()


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        (5, "stream_trigger takes the name"),
        ({"name": "clicks"}, "stream_trigger takes the name"),
        ({}, "either `stream`, a stream of Kinesis, or `table`"),
        ({"stream": "clicks", "table": "orders"}, "either `stream`, a stream of Kinesis, or `table`"),
        ({"table": "no"}, "neither the name of a DynamoDB table"),
        ("arn:aws:sqs:eu-west-2:123456789012:orders", "neither the name of a Kinesis stream"),
        ({"stream": "clicks", "starting_position": "OLDEST"}, "starting_position `OLDEST` is not one of"),
        ({"stream": "clicks", "starting_position": "AT_TIMESTAMP"}, "need each other"),
        ({"stream": "clicks", "starting_timestamp": "2026-11-01T00:00:00Z"}, "need each other"),
        (
            {"stream": "clicks", "starting_position": "AT_TIMESTAMP", "starting_timestamp": "2026-11-01"},
            "no time of ISO 8601: it has no zone",
        ),
        (
            {"table": "orders", "starting_position": "AT_TIMESTAMP", "starting_timestamp": "2026-11-01T00:00:00Z"},
            "a table's stream has no AT_TIMESTAMP",
        ),
        ({"stream": "clicks", "parallelization_factor": 11}, "parallelization_factor 11 is outside 1 to 10"),
        ({"stream": "clicks", "retries": -2}, "retries -2 is outside -1 to 10000"),
        ({"stream": "clicks", "max_record_age": 59}, "max_record_age 59 is outside 60 to 604800"),
        ({"stream": "clicks", "on_failure": "failed"}, "on_failure `failed` is not the ARN"),
        ({"stream": "clicks", "on_failure": f"{FAILED}.fifo"}, "is not the ARN of a standard queue"),
        (f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/clicks", "is in us-east-1, and the function is in eu-west-2"),
    ],
)
def test_trigger_that_aws_would_reject_is_refused(script, recorder, trigger, message) -> None:
    with pytest.raises((TriggerError, LimitError), match=message):
        script(stream_trigger=trigger).plan()
    assert recorder.writes == []
