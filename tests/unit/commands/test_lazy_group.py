"""Groups of commands: the default one gets the options that are not the group's, and errors are JSON with --json."""

from __future__ import annotations

import atexit
import gc
import json
import sys
from types import ModuleType, SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result

from lambda_toolkit.pipeline import command_line
from lambda_toolkit.pipeline.commands.shared.lazy_group import LazyGroup
from lambda_toolkit.pipeline.installed import PACKAGE_ROOT


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> LazyGroup:
    """A group of ``make``, the default, and ``take-back``, which lacks a library."""

    @click.command("make")
    @click.option("--stage", default="dev")
    @click.option("--json", "as_json", is_flag=True)
    def make(stage: str, as_json: bool) -> None:
        """Make it."""
        if stage == "stopped":
            raise click.Abort
        if stage == "broken":
            raise ZeroDivisionError
        click.echo(f"made {stage} {as_json}")

    @click.command("take-back")
    @click.option("--json", is_flag=True)
    def take_back(json: bool) -> None:
        """Take it back."""
        raise ModuleNotFoundError("No module named 'nothere'", name="nothere")

    monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.make", SimpleNamespace(command=make))  # type: ignore[misc]
    monkeypatch.setitem(sys.modules, "shop.take_back", SimpleNamespace(command=take_back))  # type: ignore[misc]
    summaries = {"make": "Makes.", "take-back": "Takes back."}
    version = click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False)
    return LazyGroup(
        "shop", package="shop", summaries=summaries, default="make", params=[version], callback=lambda: None
    )


def run(group: LazyGroup, *arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ([], "made dev False\n"),
        (["--stage", "prod", "--json"], "made prod True\n"),
        (["make", "--stage", "prod"], "made prod False\n"),
        (["--version", "make"], "made dev False\n"),
    ],
)
def test_options_without_a_command_are_the_defaults(group: LazyGroup, arguments: list[str], output: str) -> None:
    done = run(group, *arguments)
    assert (done.exit_code, done.stdout) == (0, output)


def test_help_of_the_group_lists_its_commands(group: LazyGroup) -> None:
    shown = run(group, "--help").stdout
    assert [line.split() for line in shown.splitlines()[-2:]] == [["make", "Makes."], ["take-back", "Takes", "back."]]
    assert "Make it." in run(group, "make", "--help").stdout


def test_errors_have_a_code_and_with_json_a_document(group: LazyGroup) -> None:
    wrong = run(group, "mkae", "--json")
    says = "No such command 'mkae'. Did you mean 'make'?"
    assert (wrong.exit_code, json.loads(wrong.stdout)) == (2, {"error": says})
    assert says in wrong.stderr
    other = run(group, "xyz")
    assert (other.exit_code, other.stdout) == (2, "")
    assert other.stderr.endswith("No such command 'xyz'.\n")
    missing = run(group, "take-back", "--json")
    assert missing.exit_code == 1
    assert "nothere" in json.loads(missing.stdout)["error"]
    assert missing.stderr == f"Error: {json.loads(missing.stdout)['error']}\n"
    assert run(group, "take-back").stdout == ""
    stopped = run(group, "--stage", "stopped")
    assert (stopped.exit_code, stopped.stdout, stopped.stderr) == (130, "", "Stopped.\n")
    broken = run(group, "--stage", "broken")
    assert (type(broken.exception), broken.output) == (ZeroDivisionError, "")


@pytest.mark.parametrize(
    ("folder", "names"),
    [("commands", command_line.COMMANDS), ("commands/local", command_line.LOCAL_COMMANDS)],
    ids=["commands", "local"],
)
def test_each_module_with_a_command_is_one(folder: str, names: dict[str, str]) -> None:
    modules = (PACKAGE_ROOT / folder).glob("*.py")
    with_command = {path for path in modules if "\ndef command(" in path.read_text(encoding="utf-8")}
    assert {path.stem.replace("_", "-") for path in with_command} == set(names)


@pytest.mark.parametrize(
    ("environ", "name"), [({}, "python x.py"), ({"_LAMBDA_SCRIPT_COMPLETE": "bash_source"}, "lambda-script")]
)
def test_program_runs_by_its_name_and_ends_soon(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], name: str
) -> None:
    """A shell that completes knows one name; garbage is hardly searched for, not even at the end."""
    called: list[object] = []
    monkeypatch.setattr(command_line, "main", lambda **given: called.append(given))
    monkeypatch.setattr(command_line, "program", lambda: "python x.py")
    monkeypatch.setattr(gc, "set_threshold", called.append)
    monkeypatch.setattr(atexit, "register", called.append)
    monkeypatch.delenv("_LAMBDA_SCRIPT_COMPLETE", raising=False)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    command_line.run()
    threshold, *others = called
    assert isinstance(threshold, int) and threshold > 100 * 700  # Python's own
    assert others == [gc.freeze, {"prog_name": name, "complete_var": "_LAMBDA_SCRIPT_COMPLETE"}]
