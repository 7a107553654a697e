"""What ``deploy``, ``plan``, ``destroy``, ``invoke``, ``local`` make of their options, with what they call replaced."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import deploy
import lambda_script
from lambda_toolkit.changes import Change, Difference, Failure, Plan, Report
from lambda_toolkit.pipeline.client.invocation import Invocation
from lambda_toolkit.pipeline.client.sources.mirror import Follow
from lambda_toolkit.pipeline.commands import deploy as command_deploy
from lambda_toolkit.pipeline.commands import destroy, invoke, plan
from lambda_toolkit.pipeline.commands.local import bring_up, up
from lambda_toolkit.pipeline.commands.plan import EVERYTHING, Scope
from lambda_toolkit.pipeline.commands.shared import options
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.commands.shared.show_changes import show_progress
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.local_stack import stack as stacks
from lambda_toolkit.pipeline.local_stack.totesys import seed

AWS = SimpleNamespace(account_id="123456789012")


@pytest.fixture
def target() -> Any:
    return SimpleNamespace(aws=lambda: AWS, pipeline=load(DEFAULT_PATH), is_local=False, environ={})


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, target: Any) -> Callable[..., Result]:
    """Calls a command of a pipeline whose AWS is ``AWS``."""
    monkeypatch.setattr(options, "choose", lambda *_: target)
    return lambda *arguments, **more: CliRunner().invoke(deploy.main, list(arguments), **more)


def change(name: str, action: Any = "update", *differences: Difference) -> Change:
    return Change("function", name, action, (), differences=differences, apply=lambda _: None)  # type: ignore[arg-type]


CHANGES = (change("a", "create"), change("b", "update", Difference("Timeout", 5, 600)))


def apply_all(of: Plan, aws: Any, on_progress: Callable[[Any], None]) -> Report:
    """All changes are made; the first is reported."""
    assert aws is AWS
    on_progress(SimpleNamespace(change=of.changes[0], finished=1, total=9, state="done", message=""))
    return Report(of.changes, ())


def test_deploy_applies_the_plan_of_its_options(call, monkeypatch, target) -> None:
    asked: list[Any] = []
    mirror = SimpleNamespace(target=target, lines=["a table is new"])

    def applied(screen: Screen, of: Any, functions: Any, scope: Scope, *, ask: bool) -> Report | None:
        asked.append((of is target, functions, scope, ask))
        return reports.pop(0)

    failures = [Failure(CHANGES[0], "no."), Failure(CHANGES[1], "after it.")]
    reports: list[Report | None] = [Report(CHANGES, ()), None, Report((), (failures[0],), (failures[1],))]
    known = {(id(target), Follow.NOTHING): mirror}
    monkeypatch.setattr(command_deploy, "refreshed", lambda of, how: known[id(of), how])
    monkeypatch.setattr(command_deploy, "apply", applied)
    done = call("deploy", "load", "--yes", "--no-prune", "--json")
    assert (done.exit_code, done.stderr) == (0, "a table is new\n")
    assert [each["name"] for each in json.loads(done.stdout)["done"]] == ["a", "b"]
    nothing = call("deploy", "--json")
    assert (nothing.exit_code, json.loads(nothing.stdout)) == (0, {"done": [], "failed": []})
    failed = call("deploy", "--json")
    assert failed.exit_code == 1
    assert [list(each.values()) for each in json.loads(failed.stdout)["failed"]] == [
        *(["function", "a", "no."], ["function", "b", "after it."]),
    ]
    assert asked == [
        (True, ("load",), Scope(prune=False), False),
        (True, (), EVERYTHING, True),
        (True, (), EVERYTHING, True),
    ]


def test_deploy_says_what_it_did(monkeypatch, target, capsys) -> None:
    plans = {(): Plan(()), ("a",): Plan(CHANGES)}
    scope: Any = SimpleNamespace(plan=lambda *of: plans[of[2]] if of[:2] == (AWS, target) else None)
    monkeypatch.setattr(lambda_script, "apply", apply_all)
    assert command_deploy.apply(Screen(), target, (), scope) is None
    assert capsys.readouterr() == ("Nothing changed.\n", "Comparing the configuration with AWS ...\n")
    report = command_deploy.apply(Screen(), target, ("a",), scope)
    assert report is not None and report.done == CHANGES
    shown = capsys.readouterr()
    assert shown.out == "Deployed totes (dev): 2 changes.\n"
    assert shown.err.splitlines() == ["Comparing the configuration with AWS ...", "[1/9] + function a"]


def test_removal_of_layers_is_not_asked_for(monkeypatch, target) -> None:
    made = [Change(kind, "x", "delete", (), apply=lambda _: None) for kind in ("layer", "old versions")]
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", lambda *_, **named: pytest.fail("it asked"))
    monkeypatch.setattr(lambda_script, "apply", lambda of, aws, on_progress: Report(of.changes, ()))
    scope: Any = SimpleNamespace(plan=lambda *of: Plan(tuple(made)))
    report = command_deploy.apply(Screen(), target, (), scope, ask=True)
    assert report is not None and len(report.done) == 2


@pytest.mark.parametrize(
    ("state", "message", "line"),
    [
        ("done", "version 3", "[2/5] ~ function b: version 3"),
        ("done", "", "[2/5] ~ function b"),
        ("failed", "no.", "[2/5] ! function b: no."),
        ("skipped", "a failed first", "[2/5] ! function b: a failed first"),
        ("failed", "x (ResourceConflictException).", "[2/5] ! function b: another process has just made or changed it"),
        ("begun", "", None),
    ],
)
def test_progress_is_a_line_of_its_own(capsys, state, message, line) -> None:
    progress: Any = SimpleNamespace(
        change=CHANGES[1], finished=2, total=5, state=state, message=message, worded=lambda words: message
    )
    show_progress(Screen(), progress)
    assert capsys.readouterr().err == (f"{line}\n" if line else "")


FOUND = plan._Found(CHANGES, ["look"], [], "About $1 more a month.", {"changes": ["c"], "notes": []})


@pytest.mark.parametrize(
    ("arguments", "code"), [([], 0), (["--exit-code"], 2), (["--exit-code", "--json"], 2), (["--json"], 0)]
)
def test_plan_exits_with_two_where_it_is_asked_to(call, monkeypatch, target, arguments, code) -> None:
    def read(of: Any, functions: Any, scope: Scope, say: Callable[[str], None]) -> Any:
        assert (of, functions, scope) == (target, ("load",), EVERYTHING)
        say("a table is new")
        return FOUND

    monkeypatch.setattr(plan, "_read", read)
    done = call("plan", "load", *arguments)
    assert done.exit_code == code
    if "--json" in arguments:
        assert json.loads(done.stdout) == FOUND.document
    else:
        assert done.stdout.splitlines() == [
            *("a table is new", "+ function a", "~ function b", "    Timeout: 5 -> 600", "Note: look."),
            *("2 changes.", "About $1 more a month."),
        ]


def test_plan_without_a_change_or_with_a_problem(call, monkeypatch, target) -> None:
    monkeypatch.setattr(plan, "_read", lambda *_: plan._Found([], [], [], None, {}))
    done = call("plan", "--exit-code")
    assert (done.exit_code, done.stdout) == (0, "Nothing would change.\n")
    assert plan.plan_document(target) == {}
    monkeypatch.setattr(plan, "_read", lambda *_: plan._Found(CHANGES, [], ["no table a", "no table b"], None, {}))
    done = call("plan", "--exit-code")
    assert (done.exit_code, done.stderr) == (1, "Error: no table a\nno table b\n")
    with pytest.raises(CommandError, match="no table a\nno table b"):
        plan.plan_document(target)


@dataclass(frozen=True)
class Wanted:
    overwritten: tuple[str, ...]
    adopt: bool = False


def test_scope_reaches_the_declaration_and_the_plan(monkeypatch, target) -> None:
    """Each option has another value than the one before and after it."""
    asked: list[Any] = []

    def wanted(pipeline: Any, account: str, environ: Any, *, overwritten: tuple[str, ...]) -> Wanted:
        assert (pipeline, account, environ) == (target.pipeline, AWS.account_id, target.environ)
        return Wanted(overwritten)

    def planned(of: Wanted, aws: Any, *, only: Any, prune: bool, delete_data: bool) -> Plan:
        asked.append((of, aws, only, prune, delete_data))
        return Plan(CHANGES, notes=("first",))

    monkeypatch.setattr(plan, "deployment", wanted)
    monkeypatch.setattr(lambda_script, "plan", planned)
    given = (target.pipeline, target.environ)
    monkeypatch.setattr(plan, "address_notes", lambda *of: ["second"] if of == given else [])
    assert Scope(True, False, True, ("source",)).plan(AWS, target) == Plan(CHANGES, notes=("first", "second"))
    EVERYTHING.plan(AWS, target, ["load"])  # type: ignore[arg-type]
    [(first, aws, *options), (second, _, only, *others)] = asked
    assert (first, aws, options) == (Wanted(("source",), adopt=True), AWS, [None, False, True])
    assert (second, set(only), others) == (Wanted(()), {"totes-dev-load"}, [True, False])
    target.environ["WAREHOUSE_DATABASE_URL"] = "duckdb:///w.duckdb"
    with pytest.raises(CommandError, match="names a DuckDB file"):
        EVERYTHING.plan(AWS, target)  # type: ignore[arg-type]
    target.environ.clear()
    with pytest.raises(UsageError, match="With FUNCTIONs named, no secret is written"):
        Scope(overwritten=("source",)).plan(AWS, target, ["load"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "answer", "code", "applied"),
    [
        (["--yes"], None, 0, True),
        ([], "y\n", 0, True),
        ([], "n\n", 1, False),
        (["--json"], None, 2, False),
        (["--json", "--yes", "--delete-data"], None, 0, True),
    ],
)
def test_destroy_asks_unless_yes_is_given(call, monkeypatch, target, arguments, answer, code, applied) -> None:
    done: list[Any] = []

    def planned(wanted: Any, aws: Any, *, delete_data: bool) -> Plan:
        assert (aws, delete_data) == (AWS, "--delete-data" in arguments)
        return Plan((change("a", "delete"),), notes=("a bucket is kept",))

    monkeypatch.setattr(destroy, "deployment", lambda pipeline, account, environ: (account, environ))
    monkeypatch.setattr(lambda_script, "plan_destroy", planned)
    monkeypatch.setattr(
        lambda_script, "apply", lambda of, aws, on_progress: done.append(of) or apply_all(of, aws, on_progress)
    )
    result = call("destroy", *arguments, input=answer)
    assert (result.exit_code, bool(done)) == (code, applied)
    if "--yes" in arguments and "--json" not in arguments:
        assert result.stdout.splitlines() == ["- function a", "a bucket is kept", "Removed: 1 change."]
        assert result.stderr == "[1/9] - function a\n"
    if answer:
        assert "Remove 1 resource from AWS account 123456789012?" in result.stderr
    if "--json" in arguments and applied:
        assert [each["name"] for each in json.loads(result.stdout)["done"]] == ["a"]


def test_destroy_that_failed_is_a_failure(call, monkeypatch) -> None:
    monkeypatch.setattr(destroy, "deployment", lambda *_: None)
    monkeypatch.setattr(lambda_script, "plan_destroy", lambda *_, **named: Plan(CHANGES))
    report = Report(CHANGES[:1], (Failure(CHANGES[1], "no."),))
    monkeypatch.setattr(lambda_script, "apply", lambda of, aws, on_progress: report)
    done = call("destroy", "--yes", "--json")
    assert done.exit_code == 1
    assert [each["name"] for each in json.loads(done.stdout)["failed"]] == ["b"]


def test_destroy_of_nothing_says_so(call, monkeypatch) -> None:
    monkeypatch.setattr(destroy, "deployment", lambda *_: None)
    monkeypatch.setattr(lambda_script, "plan_destroy", lambda *_, **named: Plan(()))
    assert call("destroy").stdout == "Nothing to remove.\n"
    assert json.loads(call("destroy", "--json").stdout) == {"done": [], "failed": []}


@pytest.mark.parametrize(
    ("given", "event"),
    [(None, {}), ('{"a": 1}', {"a": 1}), (' {"a": 1}', {"a": 1}), ("-", {"b": 2}), ("{file}", {"c": 3})],
)
def test_event_is_text_a_file_or_standard_input(monkeypatch, tmp_path: Path, given, event) -> None:
    (tmp_path / "e.json").write_text('\ufeff{"c": 3}', encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"b": 2}'))
    assert invoke._event(str(tmp_path / "e.json") if given == "{file}" else given) == event


def test_invoke_shows_result_and_log(call, monkeypatch) -> None:
    answers = [Invocation({"a": 1}, None, "START\nEND\n"), Invocation(None, "no answer.", "")]

    def invoked(aws: Any, name: str, event: Any) -> Invocation:
        assert (aws, name, event) == (AWS, "totes-dev-load", {"x": 2})
        return answers[0]

    monkeypatch.setattr(invoke, "invoke", invoked)
    done = call("invoke", "load", "--event", '{"x": 2}')
    assert (done.exit_code, done.stdout, done.stderr) == (0, '{\n  "a": 1\n}\n', "START\nEND\n")
    document = json.loads(call("invoke", "load", "--event", '{"x": 2}', "--json").stdout)
    assert document == {"result": {"a": 1}, "log_tail": "START\nEND\n"}
    answers.pop(0)
    failed = call("invoke", "load", "--event", '{"x": 2}')
    assert (failed.exit_code, failed.stderr) == (1, "Error: load failed: no answer.\n")
    monkeypatch.setattr(invoke, "_run_here", lambda screen, *of: Invocation([str(each) for each in of], None, "log\n"))
    here = call("invoke", "./a.py", "x", "--name", "n")
    assert (json.loads(here.stdout), here.stderr) == (["a.py", "('x',)", "{}", "n"], ""), "its log was shown meanwhile"
    for wrong in (["load", "argument"], ["load", "--name", "x"]):
        assert call("invoke", *wrong, "--event", '{"x": 2}').exit_code == 2


# ---------------------------------------------------------------------------------------------------------- local stack


@pytest.mark.parametrize(
    ("directory", "orders", "empty", "wrong"),
    [
        (None, None, False, False),
        (Path(), None, False, False),
        (None, 5, False, False),
        (None, None, True, False),
        (Path(), 5, False, True),
        (None, 5, True, True),
        (Path(), None, True, True),
    ],
)
def test_source_is_filled_in_one_way(directory, orders, empty, wrong) -> None:
    if wrong:
        with pytest.raises(UsageError, match="exclude each other"):
            bring_up.Seeding(directory, orders, empty)
    else:
        assert bring_up.Seeding(directory, orders, empty).empty is empty


class Filled:
    """What fills the source, replaced: keeps how it was called, and reports two tables."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_empty: bool) -> None:
        self.asked: list[Any] = []
        monkeypatch.setattr(stacks, "simulated_source", lambda stack: ("source", stack))
        monkeypatch.setattr(seed, "is_empty", lambda source: is_empty)
        monkeypatch.setattr(seed, "from_directory", lambda *of, on_table: self._fill(on_table, *of))
        monkeypatch.setattr(seed, "generated", lambda *of, orders, on_table: self._fill(on_table, *of, orders))

    def _fill(self, on_table: Callable[[str, int], None], *of: Any) -> dict[str, int]:
        self.asked.append(of)
        on_table("small", 99_999)
        on_table("large", 100_000)
        return {"small": 99_999, "large": 100_000}


@pytest.mark.parametrize(
    ("seeding", "given", "waits"),
    [
        (bring_up.Seeding(), 16_000, "Filling the source ..."),
        (bring_up.Seeding(orders=100_000), 100_000, "Filling the source ... 100,000 orders"),
        (bring_up.Seeding(orders=99_999), 99_999, "Filling the source ..."),
        (bring_up.Seeding(Path("here")), Path("here"), "Filling the source ..."),
    ],
)
def test_source_is_filled_as_it_is_said(monkeypatch, capsys, seeding, given, waits) -> None:
    filled = Filled(monkeypatch, is_empty=True)
    bring_up.fill("stack", seeding, Screen())  # type: ignore[arg-type]
    assert filled.asked == [(("source", "stack"), given)]
    assert capsys.readouterr().err.splitlines() == [
        waits,
        "Filled large: 100,000 rows",
        "Filled the source: 199,999 rows in 2 tables",
    ]


def test_source_with_data_is_not_filled(monkeypatch, capsys) -> None:
    filled = Filled(monkeypatch, is_empty=False)
    bring_up.fill("stack", bring_up.Seeding(), Screen())  # type: ignore[arg-type]
    assert (filled.asked, capsys.readouterr().err) == ([], "The source keeps the data of its earlier start\n")
    for seeding in (bring_up.Seeding(Path("here")), bring_up.Seeding(orders=1)):
        with pytest.raises(CommandError, match="data of an earlier start"):
            bring_up.fill("stack", seeding, Screen())  # type: ignore[arg-type]
    assert filled.asked == []


@pytest.mark.parametrize(
    ("stage", "here", "external", "shown"),
    [
        (None, False, False, ["status --stage local", "local simulate", "local down"]),
        (None, True, False, ["status", "local simulate", "local down"]),
        ("local", False, False, ["status", "local simulate", "local down"]),
        (None, True, True, ["status", "local down"]),
    ],
)
def test_next_commands_are_about_this_stack(monkeypatch, tmp_path, capsys, stage, here, external, shown) -> None:
    monkeypatch.setattr(bring_up, "means_local", lambda root, stage, environ: here)
    request: Any = SimpleNamespace(screen=Screen(), root=tmp_path, stage=stage)
    stack: Any = SimpleNamespace(external=external)
    bring_up.say_next(request, stack, "status", "local simulate", "local down")
    assert capsys.readouterr().out.splitlines() == ["Next:", *(f"    python deploy.py {line}" for line in shown)]
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "source.sql").touch()
    bring_up.say_next(request, stack, "local simulate")
    assert capsys.readouterr().out == "Next:\n", "activity is of totesys alone"


def test_place_of_the_stack_is_seen_from_here(monkeypatch, tmp_path) -> None:
    stack: Any = SimpleNamespace(directory=tmp_path / "below" / ".local")
    assert up._shown(stack) == str(tmp_path / "below" / ".local" / "stack.json")
    monkeypatch.chdir(tmp_path)
    assert up._shown(stack) == "below/.local/stack.json"
