"""Any one call denied, whichever it is: what was being done is told, and the same command repairs it afterwards."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lambda_script import Alarm, AwsError, DeployError, Lambda_script, PlanError
from lambda_toolkit.aws import Aws
from lambda_toolkit.execute import execute
from lambda_toolkit.model import BucketSpec, Deployment, SecretSpec, TopicSpec
from lambda_toolkit.plan import make_plan
from tests.aws.conftest import REGION, Wire

DENIED = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform this"


@pytest.fixture
def declared(script: Callable[..., Lambda_script], client, tmp_path: Path) -> Callable[..., Lambda_script]:
    """A function with everything that can belong to one, on a bucket of its own, so that many fit into one account."""

    def make(name: str, **different: object) -> Lambda_script:
        bucket = f"{name}-lake"
        s3 = client("s3")
        if bucket not in [item["Name"] for item in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        everything = {
            "function_name_template": name,
            "schedule": "@daily",
            "s3_trigger": {"bucket": bucket, "prefix": "in/"},
            "alarms": [Alarm("errors", "Errors")],
        }
        return script(**{**everything, **different})

    return make


@contextmanager
def denied(wire: Wire, number: int) -> Iterator[Callable[[], bool]]:
    """The call of that number, from now on, is denied. Yields whether it came."""
    lock, count = threading.Lock(), itertools.count(1)
    came = threading.Event()

    def ready() -> bool:
        with lock:
            if next(count) != number:
                return True
        came.set()
        return False

    faults = list(wire._faults)
    wire.refuse_until(ready, "*", "AccessDenied", DENIED)
    try:
        yield came.is_set
    finally:
        wire._faults[:] = faults


def deny_each(wire: Wire, prepare: Callable[[int], Callable[[], object]], repaired: Callable[[int], bool]) -> int:
    """Deny the first call, the second and so on until there are no more; return how many there were."""
    for number in itertools.count(1):
        act = prepare(number)
        with denied(wire, number) as came:
            try:
                act()
            except (AwsError, DeployError, PlanError) as error:
                assert came()
                assert "The credentials in use need " in str(error), f"call {number}: {error}"
            else:
                if not came():
                    return number - 1
        act()
        assert repaired(number), f"after call {number} was denied"
    raise AssertionError("there is an end")


def test_of_a_first_deployment(declared, wire) -> None:
    def prepare(number: int) -> Callable[[], object]:
        return lambda: declared(f"first-{number:03}").deploy()

    assert deny_each(wire, prepare, lambda number: not declared(f"first-{number:03}").plan()) > 20


def test_of_what_functions_share(aws, wire) -> None:
    def prepare(number: int) -> Callable[[], object]:
        tags = {"project": "denied"}
        deployment = Deployment(
            buckets=(BucketSpec(f"shared-{number:03}-lake", tags=tags),),
            topics=(TopicSpec(f"shared-{number:03}-alerts", emails=("alerts@example.com",), tags=tags),),
            secrets=(SecretSpec(f"shared/{number:03}", value="{}", variable="URL", tags=tags),),
        )
        return lambda: carry_out(aws, deployment)

    assert deny_each(wire, prepare, lambda number: prepare(number)() == 0) > 10


def carry_out(aws: Aws, deployment: Deployment) -> int:
    """Deploy, and return how many changes there were."""
    report = execute(aws, make_plan(aws, deployment))
    if not report.ok:
        raise DeployError(report)
    return report.total


def test_of_a_deployment_that_changes_everything(declared, source, wire) -> None:
    changes = {"schedule": "@hourly", "memory": 256, "alarms": [Alarm("errors", "Errors", threshold=2)]}

    def prepare(number: int) -> Callable[[], object]:
        declared(f"again-{number:03}").deploy()
        return lambda: declared(f"again-{number:03}", **changes).deploy()

    assert deny_each(wire, prepare, lambda number: not declared(f"again-{number:03}", **changes).plan()) > 15


def test_of_a_removal(declared, wire, client) -> None:
    def prepare(number: int) -> Callable[[], object]:
        declared(f"gone-{number:03}").deploy()
        return lambda: declared(f"gone-{number:03}").destroy()

    def nothing_is_left(number: int) -> bool:
        name = f"gone-{number:03}"
        left = [item["FunctionName"] for item in client("lambda").list_functions()["Functions"]]
        left += [item["RoleName"] for item in client("iam").list_roles()["Roles"]]
        left += [item["Name"] for item in client("events").list_rules()["Rules"]]
        left += [item["logGroupName"] for item in client("logs").describe_log_groups()["logGroups"]]
        left += [item["AlarmName"] for item in client("cloudwatch").describe_alarms()["MetricAlarms"]]
        return not [item for item in left if name in item]

    assert deny_each(wire, prepare, nothing_is_left) > 10
