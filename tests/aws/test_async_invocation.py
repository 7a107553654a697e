"""Events that fail: retries, age and destination are written with what is not declared, which stays."""

from __future__ import annotations

import json

import pytest

from lambda_script import LimitError

QUEUE = "arn:aws:sqs:eu-west-2:123456789012:failed"
OTHER = "arn:aws:sns:eu-west-2:123456789012:ours"
SETTINGS = {"FunctionName": "my-function", "Qualifier": "live"}


def live(client) -> dict:
    found = client("lambda").get_function_event_invoke_config(**SETTINGS)
    failure = found["DestinationConfig"].get("OnFailure") or {}
    return {
        "retries": found["MaximumRetryAttempts"],
        "age": found["MaximumEventAgeInSeconds"],
        "failure": failure.get("Destination", ""),
    }


@pytest.fixture
def queue(client) -> str:
    client("sqs").create_queue(QueueName="failed")
    return QUEUE


def test_events_that_fail_go_to_the_queue(script, client, queue) -> None:
    """The role may send to it before Lambda is asked to; a second plan is empty."""
    declared = script(on_failure=queue, retries=1, max_event_age=3600)
    assert ("asynchronous invocation", "create") in [(str(c.kind), c.action) for c in declared.plan().changes]
    declared.deploy()
    assert live(client) == {"retries": 1, "age": 3600, "failure": queue}
    policy = client("iam").get_role_policy(RoleName="my-function-role", PolicyName="lambda_script")["PolicyDocument"]
    assert {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": queue} in policy["Statement"]
    assert not declared.plan()


def test_what_is_not_declared_of_it_stays(script, client, queue, recorder) -> None:
    """Also a destination of successes, which AWS would replace; and nothing is read where nothing is declared."""
    script(retries=0).deploy()
    client("lambda").put_function_event_invoke_config(
        **SETTINGS,
        MaximumRetryAttempts=0,
        MaximumEventAgeInSeconds=600,
        DestinationConfig={"OnSuccess": {"Destination": OTHER}},
    )
    script(on_failure=queue).deploy()
    assert live(client) == {"retries": 0, "age": 600, "failure": queue}
    kept = client("lambda").get_function_event_invoke_config(**SETTINGS)["DestinationConfig"]
    assert kept["OnSuccess"] == {"Destination": OTHER}
    recorder.clear()
    assert not script().plan()
    assert "GetFunctionEventInvokeConfig" not in recorder.calls


def test_changed_by_hand_and_declared_empty(script, client, queue) -> None:
    declared = script(on_failure=queue, retries=1)
    declared.deploy()
    client("lambda").put_function_event_invoke_config(**SETTINGS, MaximumRetryAttempts=2)
    [change] = declared.plan().changes
    assert [str(item) for item in change.differences] == ["retries: 2 -> 1", f"on_failure: none -> {QUEUE}"]
    declared.deploy()
    script(on_failure="", permissions=[]).deploy()
    assert live(client)["failure"] == ""
    policy = client("iam").get_role_policy(RoleName="my-function-role", PolicyName="lambda_script")["PolicyDocument"]
    assert "sqs" not in json.dumps(policy)
    assert not script(on_failure="", permissions=[]).plan()


def test_defaults_of_lambda_need_no_call(script, client, recorder) -> None:
    script(retries=2, max_event_age=21_600, on_failure="").deploy()
    assert "PutFunctionEventInvokeConfig" not in recorder.calls


def test_role_that_may_not_send_yet_is_waited_for(script, client, queue, recorder, fake_time) -> None:
    """Lambda checks the right to send when the destination is set, and IAM is eventually consistent."""
    text = "The function's execution role does not have permissions to call SendMessage on " + QUEUE
    recorder.refuse_until(
        lambda: fake_time.seconds >= 8, "PutFunctionEventInvokeConfig", "InvalidParameterValueException", text
    )
    script(on_failure=queue).deploy()
    assert live(client)["failure"] == queue


@pytest.mark.parametrize(
    ("destination", "action", "resource"),
    [
        ("arn:aws:sns:eu-west-2:123456789012:ours", "sns:Publish", "arn:aws:sns:eu-west-2:123456789012:ours"),
        ("arn:aws:s3:::lake", "s3:PutObject", "arn:aws:s3:::lake/*"),
        (
            "arn:aws:lambda:eu-west-2:123456789012:function:other",
            "lambda:InvokeFunction",
            "arn:aws:lambda:eu-west-2:123456789012:function:other",
        ),
        (
            "arn:aws:events:eu-west-2:123456789012:event-bus/default",
            "events:PutEvents",
            "arn:aws:events:eu-west-2:123456789012:event-bus/default",
        ),
    ],
)
def test_role_may_reach_each_kind_of_destination(script, client, destination, action, resource) -> None:
    script(on_failure=destination).deploy()
    policy = client("iam").get_role_policy(RoleName="my-function-role", PolicyName="lambda_script")["PolicyDocument"]
    assert {"Effect": "Allow", "Action": [action], "Resource": resource} in policy["Statement"]


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"on_failure": "failed"}, "is not the ARN of a queue"),
        ({"on_failure": QUEUE + ".fifo"}, "standard queues and topics only"),
        ({"retries": 3}, "retries 3 is outside 0 to 2"),
        ({"max_event_age": 59}, "max_event_age 59 is outside 60 to 21600"),
        ({"retries": "1"}, "retries must be an integer"),
        ({"concurrency": -1}, "concurrency -1 is negative"),
        ({"concurrency": "none"}, "concurrency must be an integer"),
    ],
)
def test_what_aws_would_reject_is_said_before_the_first_call(script, recorder, declared, said) -> None:
    with pytest.raises(LimitError, match=said):
        script(**declared)
    assert recorder.calls == []
