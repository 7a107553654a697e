"""Changes run in order of dependency and in parallel, and continue after a failure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from lambda_toolkit.aws.client import WRITERS, Aws
from lambda_toolkit.changes import Artifact, Change, DeployError, Key, Plan, Progress
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.errors import PackageError, ToolkitError

AWS = Aws()  # the changes of these tests make no calls


def change(name: str, apply: Callable[[Any], None] = lambda _: None, after: frozenset[Key] = frozenset()) -> Change:
    return Change("thing", name, "create", after=after, apply=apply)


def after(*names: str) -> frozenset[Key]:
    return frozenset(("thing", name) for name in names)


def fail(_: Any) -> None:
    raise ToolkitError("it is broken. Fix it.")


def test_dependencies_come_first() -> None:
    order: list[str] = []
    changes = [
        change("c", lambda _: order.append("c"), after("b")),
        change("b", lambda _: order.append("b"), after("a", "not in the plan")),
        change("a", lambda _: order.append("a")),
    ]
    report = execute(AWS, Plan(tuple(changes)))
    assert order == ["a", "b", "c"]
    assert report.ok
    assert report.total == 3


def test_independent_changes_run_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=10)
    changes = tuple(change(str(number), lambda _: together.wait() and None) for number in range(4))
    assert execute(AWS, Plan(changes)).ok


def test_a_failure_skips_what_needs_it_and_nothing_else() -> None:
    changes = (
        change("broken", fail),
        change("needs it", after=after("broken")),
        change("needs that", after=after("needs it")),
        change("independent"),
    )
    report = execute(AWS, Plan(changes))
    assert [item.name for item in report.done] == ["independent"]
    assert [(failure.change.name, failure.message) for failure in report.failed] == [
        ("broken", "it is broken. Fix it.")
    ]
    assert [failure.change.name for failure in report.skipped] == ["needs it", "needs that"]
    assert not report.ok
    text = str(DeployError(report))
    assert "thing broken: it is broken. Fix it." in text
    assert "thing needs it: not tried: thing broken failed first" in text
    assert "1 of 4 changes were made" in text


def test_progress_is_reported_for_each_step() -> None:
    reported: list[Progress] = []
    execute(AWS, Plan((change("a"), change("b", fail, after("a")), change("c", after=after("b")))), reported.append)
    assert [(item.change.name, item.state, item.finished) for item in reported] == [
        ("a", "started", 0),
        ("a", "done", 1),
        ("b", "started", 1),
        ("b", "failed", 2),
        ("c", "skipped", 3),
    ]
    assert {item.total for item in reported} == {3}


def test_a_mistake_in_the_program_is_not_hidden() -> None:
    def mistake(_: Any) -> None:
        raise KeyError("Arn")

    with pytest.raises(KeyError):
        execute(AWS, Plan((change("a", mistake), change("b"))))


def test_an_interruption_begins_nothing_more() -> None:
    begun: list[str] = []
    goes_on = threading.Event()

    def slow(name: str) -> Callable[[Any], None]:
        def apply(_: Any) -> None:
            begun.append(name)
            assert goes_on.wait(10)

        return apply

    def interrupt(progress: Progress) -> None:
        if progress.change.name == "19":
            threading.Timer(0.1, goes_on.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(AWS, Plan(tuple(change(str(number), slow(str(number))) for number in range(20))), interrupt)
    assert len(begun) <= WRITERS


def test_a_circle_is_named() -> None:
    with pytest.raises(ToolkitError, match="wait for each other"):
        execute(AWS, Plan((change("a", after=after("b")), change("b", after=after("a")))))


def test_an_empty_plan_is_false_and_does_nothing(tmp_path) -> None:
    plan = Plan(artifacts=(Artifact(tmp_path / "deep" / "f.zip", b"zip"),))
    assert not plan
    assert execute(AWS, plan).ok
    assert (tmp_path / "deep" / "f.zip").read_bytes() == b"zip"
    assert "zip'" not in repr(plan)


def test_a_copy_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    plan = Plan((change("a"),), artifacts=(Artifact(tmp_path / "file" / "f.zip", b"zip"),))
    with pytest.raises(PackageError, match=r"file/f\.zip.*zip_file_name"):
        execute(AWS, plan)
