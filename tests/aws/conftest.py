"""AWS in memory (moto), a record of every call, injected faults, and a clock that advances only when code sleeps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from moto.events.models import EventsBackend
from moto.iam.access_control import PermissionResult
from moto.iam.models import IAMBackend
from moto.s3.models import FakeBucket

from lambda_script import Lambda_script
from lambda_toolkit.aws.client import Aws, Clock
from tests.support.api_recorder import ApiRecorder
from tests.support.fake_time import FakeTime
from tests.support.moto_lambda import Invocations, behave_like_lambda, rules_with_tags
from tests.support.sessions import REGION, new_session

for _service in ("sqs", "sns", "events", "logs", "cloudwatch", "awslambda", "s3", "secretsmanager"):
    import_module(f"moto.{_service}.models")  # circular imports: two threads that import them first deadlock


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


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def recorder() -> ApiRecorder:
    return ApiRecorder()


@pytest.fixture
def session(recorder: ApiRecorder) -> boto3.Session:
    session = new_session()
    session.events.register("before-call.*.*", recorder.before_call)
    return session


@pytest.fixture
def aws(session: boto3.Session, fake_time: FakeTime) -> Aws:
    return Aws(REGION, session=session, clock=Clock(fake_time.now, fake_time.sleep, random=lambda: 1.0))


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
