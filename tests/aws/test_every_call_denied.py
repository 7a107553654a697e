"""Each call denied in turn: the error names the change under way, and the same command recovers afterwards."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lambda_script import Alarm, AwsError, DeployError, Lambda_script, PlanError
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.model import Deployment, SecretSpec, TopicSpec
from tests.support.api_recorder import ApiRecorder
from tests.support.sessions import REGION

pytestmark = pytest.mark.no_cover  # hundreds of deployments: watching each line would take as long again
DENIED = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform this"


@pytest.fixture
def declared(script: Callable[..., Lambda_script], client, tmp_path: Path) -> Callable[..., Lambda_script]:
    """A function with everything that can belong to one."""
    client("s3").create_bucket(Bucket="my-lake", CreateBucketConfiguration={"LocationConstraint": REGION})

    def make(name: str, **different: object) -> Lambda_script:
        everything = {
            "function_name_template": name,
            "schedule": "@daily",
            "s3_trigger": {"bucket": "my-lake", "prefix": "in/"},
            "alarms": [Alarm("errors", "Errors")],
        }
        return script(**{**everything, **different})

    return make


@contextmanager
def denied(recorder: ApiRecorder, number: int) -> Iterator[Callable[[], bool]]:
    """The call of that number, from now on, is denied. Yields whether it came."""
    lock, count = threading.Lock(), itertools.count(1)
    came = threading.Event()

    def ready() -> bool:
        with lock:
            if next(count) != number:
                return True
        came.set()
        return False

    faults = list(recorder._faults)
    recorder.refuse_until(ready, "*", "AccessDenied", DENIED)
    try:
        yield came.is_set
    finally:
        recorder._faults[:] = faults


def deny(recorder: ApiRecorder, number: int, act: Callable[[], object]) -> bool:
    """Deny one call of ``act``, then let it be made again. Whether there was such a call."""
    with denied(recorder, number) as came:
        try:
            act()
        except (AwsError, DeployError, PlanError) as error:
            assert came()
            assert "The credentials in use need " in str(error), f"call {number}: {error}"
        else:
            if not came():
                return False
    act()
    return True


def test_of_a_first_deployment_and_of_a_removal(declared, recorder, client) -> None:
    for number in itertools.count(1):
        one = declared("my-function")
        deployed = deny(recorder, number, one.deploy)
        assert not one.plan(), f"after call {number} was denied"
        removed = deny(recorder, number, functools.partial(one.destroy, delete_data=True))
        assert left_of(client) == [], f"after call {number} was denied"
        if not deployed and not removed:
            break
    assert number > 20


def left_of(client) -> list[str]:
    left = [item["FunctionName"] for item in client("lambda").list_functions()["Functions"]]
    left += [item["RoleName"] for item in client("iam").list_roles()["Roles"]]
    left += [item["Name"] for item in client("events").list_rules()["Rules"]]
    left += [item["logGroupName"] for item in client("logs").describe_log_groups()["logGroups"]]
    return left + [item["AlarmName"] for item in client("cloudwatch").describe_alarms()["MetricAlarms"]]


def test_of_a_deployment_that_changes_everything(declared, recorder) -> None:
    changes = {"schedule": "@hourly", "memory": 256, "alarms": [Alarm("errors", "Errors", threshold=2)]}
    states = itertools.cycle([declared("my-function", **changes), declared("my-function")])
    declared("my-function").deploy()
    number = 0
    while deny(recorder, number := number + 1, (one := next(states)).deploy):
        assert not one.plan(), f"after call {number} was denied"
    assert number > 15


def test_of_what_functions_share(aws, recorder) -> None:
    number = 0
    while deny(recorder, number := number + 1, functools.partial(carry_out, aws, shared(number))):
        assert carry_out(aws, shared(number)) == 0, f"after call {number} was denied"
    assert number > 10


def shared(number: int) -> Deployment:
    tags = {"project": "denied"}
    return Deployment(
        buckets=(BucketSpec(f"shared-{number:03}-lake", tags=tags),),
        topics=(TopicSpec(f"shared-{number:03}-alerts", emails=("alerts@example.com",), tags=tags),),
        secrets=(SecretSpec(f"shared/{number:03}", value="{}", environment="URL", tags=tags),),
    )


def carry_out(aws: Aws, deployment: Deployment) -> int:
    """Deploy, and return how many changes there were."""
    report = execute(aws, make_plan(aws, deployment))
    if not report.ok:
        raise DeployError(report)
    return report.total


def test_of_a_deployment_that_takes_away_what_was_attached(declared, recorder, client) -> None:
    whole, bare = declared("my-function"), declared("my-function", schedule="", s3_trigger=(), alarms=())
    for number in itertools.count(1):
        whole.deploy()
        came = deny(recorder, number, bare.deploy)
        assert not bare.plan(), f"after call {number} was denied"
        assert attached(client) == [], f"after call {number} was denied"
        if not came:
            break
    assert number > 10


def attached(client) -> list[str]:
    """What still hangs on the function, its permissions and its entries on the bucket among it."""
    left = [item["Name"] for item in client("events").list_rules()["Rules"]]
    left += [item["AlarmName"] for item in client("cloudwatch").describe_alarms()["MetricAlarms"]]
    entries = client("s3").get_bucket_notification_configuration(Bucket="my-lake")
    left += [item["Id"] for item in entries.get("LambdaFunctionConfigurations", [])]
    with contextlib.suppress(client("lambda").exceptions.ResourceNotFoundException):
        policy = client("lambda").get_policy(FunctionName="my-function", Qualifier="live")
        left += [item["Sid"] for item in json.loads(policy["Policy"])["Statement"]]
    return left
