"""AWS in memory (moto), a record of every call, faults on demand, and time that passes only when someone sleeps."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.resource_tagging import TaggedResource
from moto.events.models import EventsBackend
from moto.iam.access_control import PermissionResult
from moto.iam.models import IAMBackend
from moto.s3.models import FakeBucket

from lambda_script import Lambda_script
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.clock import Clock
from tests.support.moto_lambda import Invocations, behave_like_lambda
from tests.support.sessions import REGION, new_session

for _service in ("sqs", "sns", "events", "logs", "cloudwatch", "awslambda", "s3", "secretsmanager"):
    import_module(f"moto.{_service}.models")  # they import each other: first done by two threads at once, that locks up

ACCOUNT = "123456789012"  # moto's


@dataclass
class FakeTime:
    """A clock whose seconds pass only in ``sleep``."""

    seconds: float = 0.0
    pauses: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds
            self.pauses.append(seconds)


@dataclass
class Wire:
    """What goes to AWS: ``calls`` by name, in order; ``refuse`` makes some of them fail."""

    calls: list[str] = field(default_factory=list)
    _faults: list[tuple[str, Callable[[], ClientError | None]]] = field(default_factory=list)

    @property
    def writes(self) -> list[str]:
        return [name for name in self.calls if not name.startswith(("Get", "List", "Describe", "Head"))]

    def refuse(
        self, operation: str, code: str, message: str = "", *, times: int = 1_000_000, status: int = 400
    ) -> None:
        """The next ``times`` calls of ``operation`` fail with AWS's ``code``."""
        left = [times]

        def fault() -> ClientError | None:
            if left[0] <= 0:
                return None
            left[0] -= 1
            return error(operation, code, message, status)

        self._faults.append((operation, fault))

    def refuse_until(self, ready: Callable[[], bool], operation: str, code: str, message: str) -> None:
        """Calls of ``operation`` fail with AWS's ``code`` until ``ready``."""
        self._faults.append((operation, lambda: None if ready() else error(operation, code, message, 400)))

    def clear(self) -> None:
        self.calls.clear()

    def before_call(self, model: object, **_: object) -> None:
        name = model.name  # type: ignore[attr-defined]
        self.calls.append(name)
        for operation, fault in self._faults:
            found = fault() if operation in (name, "*") else None
            if found is not None:
                raise found


def error(operation: str, code: str, message: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)  # type: ignore[arg-type]


@pytest.fixture
def invocations() -> Invocations:
    return Invocations()


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, invocations: Invocations) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("LAMBDA_SCRIPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    # moto walks through its roles while another thread adds one, which Python refuses
    monkeypatch.setattr(IAMBackend, "get_roles", lambda self: list(self.roles.values()))
    monkeypatch.setattr(EventsBackend, "iter_tagged_resources", rules_with_tags)  # of EventBridge, moto lists the buses
    # moto takes a bucket policy's statement for unconditional: the one that demands TLS would forbid everything
    monkeypatch.setattr(FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL)
    behave_like_lambda(monkeypatch, invocations)
    with mock_aws():
        yield


def rules_with_tags(events: EventsBackend) -> Iterator[TaggedResource]:
    for bus in events.event_buses.values():
        for rule in bus.rules.values():
            yield TaggedResource(rule.arn, events.tagger.get_tag_dict_for_resource(rule.arn), "events:rule")


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def session(wire: Wire) -> boto3.Session:
    session = new_session()
    session.events.register("before-call.*.*", wire.before_call)
    return session


@pytest.fixture
def aws(session: boto3.Session, time: FakeTime) -> Aws:
    return Aws(REGION, session=session, clock=Clock(time.now, time.sleep, random=lambda: 1.0))


@pytest.fixture
def client() -> Callable[[str], object]:
    """Clients whose calls are not recorded, to look at what is there and to meddle with it."""
    return cache(new_session().client)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "my_function.py"
    file.write_text("def lambda_handler(event, context):\n    return event\n", encoding="utf-8")
    return file


@pytest.fixture
def script(aws: Aws, source: Path) -> Callable[..., Lambda_script]:
    """A Lambda_script on this AWS, with what the test says differently."""

    def make(**different: object) -> Lambda_script:
        named = {"lambda_function_path": source, "function_name_template": "my-function", **different}
        return Lambda_script(**named, aws=aws)  # type: ignore[arg-type]

    return make
