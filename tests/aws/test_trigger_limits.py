"""What AWS would reject of a trigger is refused before a call; what only AWS can decide is a note."""

from __future__ import annotations

import pytest

from lambda_script import UNRESERVED, LimitError, QueueTrigger, TriggerError

ACCOUNT = "123456789012"  # moto's
QUEUE = f"arn:aws:sqs:eu-west-2:{ACCOUNT}:orders"


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        (5, "queue_trigger takes the name"),
        ({"name": "orders"}, "queue_trigger takes the name"),
        ({"queue": "orders", "batch_size": "5"}, "`batch_size` is '5', which is not an integer"),
        ({"queue": "orders", "enabled": 1}, "`enabled` is 1, which is not True or False"),
        ({"queue": "orders", "filters": ["new"]}, "`filters` is .* which is not a list of mappings"),
        ({"queue": "orders", "on_failure": QUEUE}, "queue_trigger takes the name"),
        ("arn:aws:sns:eu-west-2:123456789012:orders", "neither the name of an SQS queue"),
        ("orders!", "neither the name of an SQS queue"),
        ("", r"names no queue; queue_trigger=\[\] removes"),
        (["orders", "orders"], "two triggers on the queue `orders`"),
        ({"queue": "orders", "batch_size": 0}, "batch_size 0 is outside 1 to 10000"),
        ({"queue": "orders", "batch_size": 11}, "more than 10 needs a batching_window"),
        ({"queue": "orders.fifo", "batch_size": 11}, "more than 10, the most of a FIFO queue"),
        ({"queue": "orders.fifo", "batching_window": 1}, "a FIFO queue has no batching_window"),
        ({"queue": "orders", "batching_window": 301}, "batching_window 301 is outside 0 to 300 seconds"),
        ({"queue": "orders", "maximum_concurrency": 1}, "maximum_concurrency 1 is outside 2 to 1000"),
        ({"queue": "orders", "filters": {"body": {"kind": "new"}}}, r"`body.kind` must be a list .* \[\"new\"\]"),
        ({"queue": "orders", "filters": [{}]}, "filter 1 must be a mapping"),
        ({"queue": "orders", "filters": {"body": {"a": [{"prefix": "x", "suffix": "y"}]}}}, "one operator in each"),
        ({"queue": "orders", "filters": {"body": ["x" * 5000]}}, "the limit is 4096"),
        (f"arn:aws:sqs:us-east-1:{ACCOUNT}:orders", "is in us-east-1, and the function is in eu-west-2"),
    ],
)
def test_trigger_that_aws_would_reject_is_refused(script, recorder, trigger, message) -> None:
    with pytest.raises((TriggerError, LimitError), match=message):
        script(queue_trigger=trigger).plan()
    assert recorder.writes == []


def test_what_only_aws_can_decide_is_a_note(script, client) -> None:
    redrive = {"RedrivePolicy": f'{{"deadLetterTargetArn": "{QUEUE[:-6]}failed", "maxReceiveCount": "5"}}'}
    client("sqs").create_queue(QueueName="failed")
    client("sqs").create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "360", **redrive})
    doubtful = QueueTrigger("orders", filters=({"body": [{"near": 1}]},) * 6, maximum_concurrency=8)
    notes = script(queue_trigger=doubtful, concurrency=5).plan().notes
    assert any("`near` was no operator of event patterns" in note for note in notes)
    assert any("6 filters are more than the 5" in note for note in notes)
    assert any("more than the function's concurrency 5" in note for note in notes)
    assert not any(
        "concurrency" in note for note in script(queue_trigger="orders", concurrency=UNRESERVED).plan().notes
    )
