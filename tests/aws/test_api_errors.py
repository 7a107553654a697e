"""Transient errors of AWS: roles not yet propagated, updates in progress, throttling, late validation, denied calls."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from botocore.exceptions import EndpointConnectionError

from lambda_script import Alarm, AwsError, DeployError, S3Trigger, apply
from lambda_toolkit.aws.client import Aws, Clock

REGION = "eu-west-2"
UNASSUMABLE = "The role defined for the function cannot be assumed by Lambda."
IN_PROGRESS = "The operation cannot be performed at this time. An update is in progress for resource: my-function"
UNVALIDATED = "Unable to validate the following destination configurations"


def test_a_role_that_lambda_learns_of_after_eight_seconds(script, recorder, fake_time) -> None:
    recorder.refuse_until(
        lambda: fake_time.seconds >= 8, "CreateFunction", "InvalidParameterValueException", UNASSUMABLE
    )
    assert script().deploy().ok
    assert 8 <= fake_time.seconds < 12
    assert fake_time.pauses[0] == pytest.approx(0.2)
    assert max(fake_time.pauses) <= 5


def test_a_role_that_lambda_never_learns_of(script, recorder, fake_time) -> None:
    recorder.refuse("CreateFunction", "InvalidParameterValueException", UNASSUMABLE)
    with pytest.raises(DeployError, match="cannot be assumed") as failed:
        script(schedule="@daily").deploy()
    report = failed.value.report
    assert [failure.change.kind for failure in report.failed] == ["function"]
    assert [failure.change.kind for failure in report.skipped] == ["schedule"]
    assert {change.kind for change in report.done} == {"role", "log group"}
    assert 50 < fake_time.seconds <= 60
    assert "the same command makes the rest" in str(failed.value)
    assert "Its trust policy must allow the service lambda.amazonaws.com" in str(failed.value)


def test_a_parameter_that_is_wrong_for_ever_is_not_repeated(script, recorder, fake_time) -> None:
    recorder.refuse(
        "CreateFunction", "InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes"
    )
    with pytest.raises(DeployError, match="Unzipped size"):
        script().deploy()
    assert fake_time.seconds == 0
    assert recorder.calls.count("CreateFunction") == 1


def test_an_update_in_progress_is_waited_for(script, source, recorder, fake_time) -> None:
    script().deploy()
    source.write_text("def lambda_handler(event, context):\n    return 2\n", encoding="utf-8")
    recorder.refuse_until(
        lambda: fake_time.seconds >= 3, "UpdateFunctionCode", "ResourceConflictException", IN_PROGRESS
    )
    assert script(memory=256).deploy().ok
    assert 3 <= fake_time.seconds < 6


def test_code_and_configuration_do_not_race(script, source, recorder, fake_time) -> None:
    """The second of two updates comes while the first is under way, as on AWS."""
    script().deploy()
    source.write_text("def lambda_handler(event, context):\n    return 3\n", encoding="utf-8")
    recorder.refuse("UpdateFunctionCode", "ResourceConflictException", IN_PROGRESS, times=2)
    recorder.clear()
    [change] = script(memory=256).deploy().done
    assert len(change.differences) == 2
    assert recorder.writes == ["UpdateFunctionConfiguration", *["UpdateFunctionCode"] * 3, "UpdateAlias"]
    assert not script(memory=256).plan()


def test_a_function_that_exists_already_is_not_waited_for(script, recorder, fake_time) -> None:
    recorder.refuse("CreateFunction", "ResourceConflictException", "Function already exist: my-function")
    with pytest.raises(DeployError, match="already exist"):
        script().deploy()
    assert fake_time.seconds == 0


@pytest.mark.parametrize("code", ["ThrottlingException", "TooManyRequestsException", "Throttling", "SlowDown"])
def test_throttling_of_every_third_call_only_costs_time(script, recorder, fake_time, code) -> None:
    lock, count = threading.Lock(), [0]

    def ready() -> bool:
        with lock:
            count[0] += 1
            return count[0] % 3 != 0

    recorder.refuse_until(ready, "*", code, "Rate exceeded")
    declared = {"schedule": "@daily", "alarms": [Alarm("errors", "Errors")]}
    assert script(**declared).deploy().ok
    assert not script(**declared).plan()
    assert fake_time.seconds > 0


def test_s3_that_has_not_heard_of_the_permission(script, client, recorder, fake_time) -> None:
    client("s3").create_bucket(Bucket="my-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    recorder.refuse_until(
        lambda: fake_time.seconds >= 4, "PutBucketNotificationConfiguration", "InvalidArgument", UNVALIDATED
    )
    assert script(s3_trigger=S3Trigger("my-lake")).deploy().ok
    assert 4 <= fake_time.seconds < 8


def test_a_denied_call_names_the_permission_and_the_rest_goes_on(script, recorder, client) -> None:
    recorder.refuse("PutMetricAlarm", "AccessDenied", "User is not authorized", times=1)
    with pytest.raises(DeployError, match="need cloudwatch:PutMetricAlarm") as failed:
        script(alarms=[Alarm("errors", "Errors")]).deploy()
    assert {change.kind for change in failed.value.report.done} == {"role", "log group", "function"}
    [change] = script(alarms=[Alarm("errors", "Errors")]).deploy().done
    assert change.kind == "alarm"


def test_denied_half_way_through_a_role_is_repaired(script, recorder, client) -> None:
    recorder.refuse("PutRolePolicy", "AccessDenied", "no", times=1)
    with pytest.raises(DeployError):
        script().deploy()
    report = script().deploy()
    assert ("role", "my-function-role", "update") in [(c.kind, c.name, c.action) for c in report.done]
    assert not script().plan()


def test_a_role_unknown_to_its_own_policy_call(script, recorder, fake_time) -> None:
    recorder.refuse("PutRolePolicy", "NoSuchEntity", "The role cannot be found", times=3)
    assert script().deploy().ok
    assert fake_time.seconds > 0


@pytest.mark.parametrize(("seconds", "ends_well"), [(280, True), (320, False)])
@pytest.mark.parametrize("whose", ["ours", "another's"])
def test_update_is_waited_for_as_long_as_aws_own_waiters_do(
    script, session, recorder, fake_time, whose, seconds, ends_well
) -> None:
    """300 seconds, as botocore's: a function in a network takes minutes. Also one that another deploy updates."""
    begun: list[float] = []

    def is_over() -> bool:
        return not begun or fake_time.seconds - begun[0] >= seconds

    def still(parsed, **_) -> None:
        if "Configuration" in parsed and not is_over():
            parsed["Configuration"]["LastUpdateStatus"] = "InProgress"

    if whose == "ours":
        session.events.register("after-call.lambda.GetFunction", still)
    else:
        recorder.refuse_until(is_over, "UpdateFunctionConfiguration", "ResourceConflictException", IN_PROGRESS)
    script().deploy()
    plan = script(memory=256).plan()
    begun.append(fake_time.seconds)
    report = apply(plan, script()._client())
    assert report.ok is ends_well
    if not ends_well:
        assert 250 < fake_time.seconds - begun[0] <= 300


def test_aws_that_cannot_be_reached_is_given_up_soon(session, fake_time) -> None:
    aws = Aws(REGION, session=session, clock=Clock(fake_time.now, fake_time.sleep, random=lambda: 1.0))

    def unreachable(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    session.events.register("before-call.*.*", unreachable)
    with pytest.raises(AwsError, match="AWS_ENDPOINT_URL"):
        _ = aws.account_id
    assert fake_time.seconds < 6


def test_a_fault_of_aws_is_repeated(aws, recorder, fake_time) -> None:
    recorder.refuse("GetCallerIdentity", "InternalFailure", "oops", times=2, status=500)
    assert aws.account_id == "123456789012"
    assert fake_time.pauses == pytest.approx([0.2, 0.3])


def test_without_a_region_it_says_what_to_set() -> None:
    with pytest.raises(AwsError, match="Set AWS_REGION"):
        _ = Aws().region


def test_without_credentials_it_says_what_to_set(monkeypatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AwsError, match="AWS_PROFILE"):
        _ = Aws(REGION).account_id


def show(session, **state: Callable[[], str]) -> None:
    """Let every function that is there show this in its configuration."""

    def shown(parsed: dict, **_: object) -> None:
        if "Configuration" in parsed:
            parsed["Configuration"].update({name: value() for name, value in state.items()})

    session.events.register("after-call.lambda.GetFunction", shown)


def test_a_function_that_lambda_cannot_set_up(script, session, recorder) -> None:
    show(session, State=lambda: "Failed", StateReason=lambda: "The subnet was deleted")
    with pytest.raises(DeployError, match="The subnet was deleted"):
        script().deploy()


def test_a_function_that_takes_its_time(script, session, fake_time) -> None:
    states = iter(["Pending", "Pending", "Active"])
    show(session, State=lambda: next(states))
    assert script().deploy().ok
    assert fake_time.pauses == pytest.approx([0.1, 0.1])


def test_what_takes_for_ever_is_given_up(script, session, fake_time) -> None:
    show(session, State=lambda: "Pending")
    with pytest.raises(DeployError, match="not true after"):
        script().deploy()
    assert fake_time.seconds <= 300
