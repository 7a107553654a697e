"""AWS in memory or on moto's server, a record of every call, injected faults, and a clock that only sleeping moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import boto3
import pytest

from lambda_script import Lambda_script
from lambda_toolkit.aws.client import Aws, Clock
from tests.second_emulator import differences, server
from tests.support.api_recorder import ApiRecorder
from tests.support.fake_time import FakeTime
from tests.support.moto_account import in_memory, set_up
from tests.support.moto_lambda import Invocations
from tests.support.sessions import REGION, new_session


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On the second emulator, skip what it cannot do."""
    if not server.url():
        return
    for item in items:
        reason = differences.reason(item.name)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def invocations() -> Invocations:
    return Invocations()


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, invocations: Invocations) -> Iterator[None]:
    second = server.url()
    if second:
        set_up(monkeypatch, tmp_path)
        monkeypatch.setenv("AWS_ENDPOINT_URL", second)
        server.reset(second)
        yield
        return
    with in_memory(monkeypatch, tmp_path, invocations):
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


@pytest.fixture(scope="session")
def client() -> Callable[[str], object]:
    """Clients whose calls are not recorded, to look at what is there and to meddle with it."""
    session = new_session()
    return cache(lambda service: session.client(service, aws_access_key_id="testing", aws_secret_access_key="testing"))


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
