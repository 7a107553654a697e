"""The output of plan as text and JSON; the confirmation that deploy asks for before it deletes."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from lambda_toolkit.aws.client import Clock
from lambda_toolkit.changes import Change, Difference, Failure, Plan, Report
from lambda_toolkit.errors import Advice, Hint
from lambda_toolkit.pipeline.commands import deploy
from lambda_toolkit.pipeline.commands.plan import EVERYTHING, Scope, scope_options
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.commands.shared.show_changes import (
    as_document,
    notes_of,
    show_changes,
    show_report,
    wording,
)
from lambda_toolkit.pipeline.errors import CommandError

DONE: list[str] = []


def change(kind: str, action: str, *differences: Difference, details: tuple[str, ...] = ()) -> Change:
    return Change(
        kind,
        "shop",
        action,  # type: ignore[arg-type]
        details,
        differences=differences,
        apply=lambda _: DONE.append(kind),
    )


CHANGED = change(
    "function",
    "update",
    Difference("Timeout", 5, 600),
    Difference("Environment.TOKEN", "hunter2", None, secret=True),
    details=("live is version 1",),
)


def test_advice_of_a_plan_is_a_note() -> None:
    plan = Plan((), ("a bucket is kept",), (Advice(Hint.DELETE_DATA),))
    assert notes_of(plan) == ["a bucket is kept", "To remove data too, add --delete-data"]
    assert set(wording()) == set(Hint), "each remedy of the toolkit has its words here"


def test_each_difference_is_a_line(capsys) -> None:
    show_changes(Screen(), [CHANGED])
    assert capsys.readouterr().out.splitlines() == [
        "~ function shop",
        "    Timeout: 5 -> 600",
        "    Environment.TOKEN: ******** -> none",
        "    live is version 1",
    ]


def test_the_document_holds_them_and_no_secret() -> None:
    [document] = as_document([CHANGED])
    assert document == {
        "action": "update",
        "kind": "function",
        "name": "shop",
        "differences": [
            {"attribute": "Timeout", "live": 5, "desired": 600},
            {"attribute": "Environment.TOKEN", "live": "********", "desired": None},
        ],
        "details": ["live is version 1"],
    }
    assert "hunter2" not in json.dumps(document)


@pytest.fixture
def target(monkeypatch):
    """A target whose plan changes a function, and removes an alarm and a layer."""
    DONE.clear()
    changes = (change("function", "update"), change("alarm", "delete"), change("layer", "delete"))
    plan = Plan(changes, notes=("a bucket is kept",))
    monkeypatch.setattr(Scope, "plan", lambda *_: plan)
    pipeline = SimpleNamespace(name="shop", stage="dev")
    return SimpleNamespace(aws=lambda: SimpleNamespace(clock=Clock()), pipeline=pipeline)


@pytest.mark.parametrize(("answer", "done"), [("y\n", {"function", "alarm", "layer"}), ("n\n", set())])
def test_on_a_terminal_a_removal_is_asked_for(monkeypatch, target, capsys, answer, done) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: answer == "y\n")
    if done:
        deploy.apply(Screen(), target, ask=True)
    else:
        with pytest.raises(CommandError, match="--no-prune"):
            deploy.apply(Screen(), target, ask=True)
    said = capsys.readouterr()
    assert said.out.splitlines()[:1] == ["- alarm shop"] and "layer" not in said.out and "function" not in said.out
    assert "Note: a bucket is kept." in said.err
    assert set(DONE) == done


@pytest.mark.parametrize(
    ("terminal", "ask", "as_json"), [(False, True, False), (True, False, False), (True, True, True)]
)
def test_in_ci_or_with_yes_nothing_is_asked(monkeypatch, target, terminal, ask, as_json) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: pytest.fail("it asked"))
    deploy.apply(Screen(as_json=as_json), target, ask=ask)
    assert set(DONE) == {"function", "alarm", "layer"}


def test_the_options_make_the_scope() -> None:
    seen: list[Scope] = []
    command = click.command()(scope_options(lambda scope: seen.append(scope)))
    overwriting = ["--overwrite-secret", "source", "--overwrite-secret", "totes/dev/warehouse"]
    for arguments in ([], ["--adopt", "--no-prune", "--delete-data", *overwriting]):
        assert CliRunner().invoke(command, arguments).exit_code == 0
    assert seen == [EVERYTHING, Scope(True, False, True, ("source", "totes/dev/warehouse"))]


@pytest.mark.parametrize(
    ("code", "raced"),
    [
        *((code, True) for code in ("EntityAlreadyExists", "ResourceExistsException", "ResourceConflictException")),
        *((code, True) for code in ("BucketAlreadyOwnedByYou", "OperationAborted", "ConcurrentModification")),
        *((code, False) for code in ("AccessDenied", "ResourceNotFoundException")),
    ],
)
def test_codes_of_races_are_those_of_aws(capsys, code: str, raced: bool) -> None:
    failed = tuple(Failure(CHANGED, f"Call shop: no ({each}).") for each in (code, "Throttling"))
    show_report(Screen(), Report((), failed), "Deployed")
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "Deployed: 0 changes made, 2 failed, 0 not tried."
    assert ("another process has just made or changed it" in shown[1]) is raced
    assert shown[2] == "! function shop: Call shop: no (Throttling)."
    assert [line.partition(" ")[0] for line in shown[3:]] == (["Another", "The"] if raced else ["The"])


def test_a_deploy_that_another_one_raced_says_so(capsys) -> None:
    failed = Failure(CHANGED, "iam:CreateRole shop: Role with name shop already exists (EntityAlreadyExists).")
    show_report(
        Screen(), Report((CHANGED,), (failed,), (Failure(CHANGED, "role shop failed first"),)), "Deployed shop (dev)"
    )
    shown = capsys.readouterr().out
    assert "Deployed shop (dev): 1 change made, 1 failed, 1 not tried." in shown
    assert "function shop: another process has just made or changed it" in shown
    assert "Another deploy of this pipeline is under way. Wait until it has ended" in shown
    assert "EntityAlreadyExists" not in shown
    assert "Fix the cause" not in shown, "there is none but the other deploy"
