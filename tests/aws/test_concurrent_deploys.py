"""Two deploys of different commits: what goes live is all of one, never half of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from lambda_script import DeployError, Lambda_script
from lambda_toolkit.aws.client import Aws, Clock
from tests.support.fake_time import FakeTime
from tests.support.sessions import REGION, new_session

WRITES = ("UpdateFunctionConfiguration", "UpdateFunctionCode", "UpdateAlias")
COMMITS = {
    name: {"memory": memory, "timeout": memory // 8, "environment": {"COMMIT": name}}
    for name, memory in (("base", 128), ("ours", 256), ("theirs", 512))
}


@pytest.fixture
def session() -> boto3.Session:
    return new_session()


@pytest.fixture
def commit(tmp_path: Path, session: boto3.Session, fake_time: FakeTime) -> Callable[[str], Lambda_script]:
    """The declaration of a commit, each as a process of its own would have it."""

    def make(name: str) -> Lambda_script:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        file = folder / "my_function.py"
        file.write_text(f"def lambda_handler(event, context):\n    return {name!r}\n", encoding="utf-8")
        used = session if name == "ours" else new_session()
        aws = Aws(REGION, session=used, clock=Clock(fake_time.now, fake_time.sleep, random=lambda: 1.0))
        return Lambda_script(lambda_function_path=file, function_name_template="my-function", aws=aws, **COMMITS[name])

    return make


def live_configuration(client: Callable[[str], object]) -> dict[str, object]:
    found = client("lambda").get_function(FunctionName="my-function", Qualifier="live")["Configuration"]  # type: ignore[attr-defined]
    return {key: found.get(key) for key in ("CodeSha256", "MemorySize", "Timeout", "Environment")}


@pytest.fixture
def whole(commit, client) -> dict[str, dict[str, object]]:
    """What is live after each commit alone."""
    found = {}
    for name in ("theirs", "ours", "base"):
        commit(name).deploy()
        found[name] = live_configuration(client)
    return found


def occurrences(operation: str) -> Iterator[tuple[str, str]]:
    yield from ((when, operation) for when in ("before", "after"))


@pytest.mark.parametrize(("when", "operation"), [pair for name in WRITES for pair in occurrences(name)])
def test_deploy_between_two_calls_of_another(commit, client, session, whole, when, operation) -> None:
    """Theirs runs as a whole before or after one call of ours."""
    made: list[str] = []

    def deploy_theirs(**_: object) -> None:
        if not made:
            made.append("theirs")
            commit("theirs").deploy()

    event = "before-call" if when == "before" else "after-call"
    made.append("not before all is ready")
    session.events.register(f"{event}.lambda.{operation}", deploy_theirs)  # a client has the handlers of its creation
    ours = commit("ours")
    assert ours.plan()
    made.clear()
    try:
        ours.deploy()
    except DeployError as error:
        assert "changed while it was deployed" in str(error)
    assert made == ["theirs"]
    assert live_configuration(client) in (whole["ours"], whole["theirs"])
    same = {name: live_configuration(client) == whole[name] for name in ("ours", "theirs")}
    for name, is_live in same.items():
        assert is_live or commit(name).plan(), f"{name} is not live, and its plan is empty"
    assert ours.deploy().ok
    assert live_configuration(client) == whole["ours"]


def test_revision_counts_once_the_update_has_ended(commit, client, session, whole) -> None:
    """Lambda changes the revision when an update ends: one that was read before would be refused."""
    pending = ["0"]
    sent: list[str | None] = []

    def still_pending(parsed: dict, **_: object) -> None:
        configuration = parsed.get("Configuration", {})
        if pending:
            configuration["LastUpdateStatus"], configuration["RevisionId"] = "InProgress", pending.pop()
        else:
            configuration["RevisionId"] = "settled"

    def remember(params: dict, **_: object) -> None:
        sent.append(params.get("RevisionId"))

    session.events.register("after-call.lambda.GetFunction", still_pending)
    session.events.register("before-parameter-build.lambda.UpdateFunctionCode", remember)
    assert commit("ours").deploy().ok
    assert sent == ["settled"]
