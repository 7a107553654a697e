"""A function runs on this machine from its package, as Lambda would run it, and a script tells what it declares."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lambda_script import Lambda_script, LimitError, ToolkitError
from lambda_toolkit import console
from lambda_toolkit.changes import Change, Plan, Progress
from lambda_toolkit.running.invocation import Invocation
from lambda_toolkit.scripts import declarations
from tests.support.repository import REPOSITORY

SEEN = """
import logging, os, sys
import beside
def lambda_handler(event, context):
    print("printed")
    logging.getLogger().warning("logged")
    names = ("COLOUR", "SECRET_OF_THE_SHELL", "AWS_ACCESS_KEY_ID", "AWS_LAMBDA_FUNCTION_NAME", "LAMBDA_TASK_ROOT")
    return {
        "event": event, "beside": beside.VALUE, "cwd": os.getcwd(), "python": sys.version_info[:2],
        "environment": {name: os.environ.get(name) for name in names},
        "left": context.get_remaining_time_in_millis(), "memory": context.memory_limit_in_mb,
        "name": context.function_name, "pytest": "pytest" in sys.modules or any("site-packages" in p for p in sys.path),
    }
"""


def run(tmp_path: Path, code: str, event: object = None, **arguments: object) -> Invocation:
    (tmp_path / "fn.py").write_text(code, encoding="utf-8")
    (tmp_path / "beside.py").write_text("VALUE = 42\n", encoding="utf-8")
    defaults = {"include": [tmp_path / "beside.py"], "memory": 512, "timeout": 30}
    script = Lambda_script(tmp_path / "fn.py", tmp_path / "fn.zip", **{**defaults, **arguments})
    return script.invoke(event, local=True)


def test_function_sees_what_it_would_see_on_lambda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "x")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    answer = run(tmp_path, SEEN, {"a": ["é"]}, environment={"COLOUR": "red"})
    assert answer.error is None, answer
    seen = answer.result
    task = seen["cwd"]
    assert seen["environment"] == {
        "COLOUR": "red",
        "SECRET_OF_THE_SHELL": None,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_LAMBDA_FUNCTION_NAME": "fn",
        "LAMBDA_TASK_ROOT": task,
    }
    assert (seen["event"], seen["beside"], seen["memory"], seen["name"]) == ({"a": ["é"]}, 42, "512", "fn")
    assert 0 < seen["left"] <= 30_000
    assert seen["python"] == list(sys.version_info[:2])
    assert not seen["pytest"], "distributions of this Python are not in the package"
    assert not Path(task).exists(), "nothing of the run stays"
    assert "printed" in answer.log_tail
    assert "[WARNING]\t" in answer.log_tail


@pytest.mark.parametrize(
    ("body", "arguments", "error"),
    [
        ("raise KeyError('x')", {}, "'x' (KeyError)"),
        ("return {1, 2}", {}, "Unable to marshal response"),
        ("import sys; sys.exit(3)", {}, "exit status 3 (Runtime.ExitError)"),
        ("import os; os._exit(4)", {}, "The process ended with 4 (Runtime.ExitError)"),
        ("import time; time.sleep(60)", {"timeout": 1}, "Task timed out after 1.00 seconds (Sandbox.Timedout)"),
        ("x = bytearray(1 << 29); import time; time.sleep(60)", {"memory": 128}, "of 128 MB and was ended"),
        ("import click", {"provided_modules": ["click"]}, "No module named 'click'"),
    ],
)
def test_failures_are_those_of_lambda(tmp_path: Path, body: str, arguments: dict[str, object], error: str) -> None:
    answer = run(tmp_path, f"def lambda_handler(event, context):\n    {body}\n", **arguments)
    assert error in str(answer.error)
    assert answer.result is None


def test_module_that_fails_to_import_is_named(tmp_path: Path) -> None:
    answer = run(tmp_path, "import nothere\ndef lambda_handler(event, context):\n    return 1\n")
    assert answer.error == "Unable to import module 'fn': No module named 'nothere' (Runtime.ImportModuleError)"


def test_script_declares_and_deploys_nothing(tmp_path: Path) -> None:
    script = tmp_path / "deploy.py"
    (tmp_path / "names.py").write_text("STAGE = 'one'\n", encoding="utf-8")
    (tmp_path / "fn.py").write_text("def lambda_handler(e, c): pass\n", encoding="utf-8")
    script.write_text(
        "import sys, names\nfrom lambda_script import Lambda_script, deploy_all\n"
        "a = Lambda_script('fn.py', function_name_template=names.STAGE + sys.argv[1])\n"
        "assert not a.plan() and not a.deploy().done\n"
        "b = Lambda_script('fn.py', function_name_template='b')\n"
        "deploy_all([a, b])\n"
        "if __name__ == '__main__':\n    a.invoke({})\n    raise AssertionError('invoked')\n",
        encoding="utf-8",
    )
    assert [each.spec.name for each in declarations(script, ["-x"])] == ["one-x", "b"]
    (tmp_path / "names.py").write_text("STAGE = 'other'\n", encoding="utf-8")
    os.utime(tmp_path / "names.py", (1, 1))
    assert [each.spec.name for each in declarations(script, ["-x"])] == ["other-x", "b"], "read again"
    with pytest.raises(ToolkitError, match=r"deploy.py, line 3: IndexError"):
        declarations(script)
    script.write_text("import sys\nsys.exit('Usage: deploy.py BUCKET')\n", encoding="utf-8")
    with pytest.raises(ToolkitError, match=r"before it declared a function: Usage: deploy.py BUCKET"):
        declarations(script)


def test_mistake_in_a_script_has_no_traceback(tmp_path: Path) -> None:
    """Of a value, of an argument's name, and of the code itself; other errors keep theirs."""

    def ends(code: str) -> tuple[int, str]:
        script = tmp_path / "deploy.py"
        script.write_text(f"from lambda_script import Lambda_script\n{code}\n", encoding="utf-8")
        done = subprocess.run([sys.executable, script], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    code, said = ends("Lambda_script('f.py', memmory=1)")
    assert (code, said) == (1, "Error: Lambda_script has no argument `memmory`. Did you mean `memory`?\n")
    code, said = ends("Lambda_script('f.py', timeout=1000, memory='x')")
    assert code == 1
    assert said.startswith("Error: ")
    assert "Traceback" not in said
    code, said = ends("try:\n    Lambda_script('f.py', memory=1)\nexcept Exception:\n    1 / 0")
    assert "ZeroDivisionError" in said


def test_unknown_argument_is_a_mistake_of_the_declaration() -> None:
    with pytest.raises(LimitError, match="no argument `schedul`. Did you mean `schedule`"):
        Lambda_script("f.py", schedul="0 0 * * *")  # type: ignore[call-arg]


def test_terminal_shows_notes_and_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    change = Change("function", "report", "create", apply=lambda _: None)  # type: ignore[arg-type]
    plan = Plan((change,), notes=("one is old",))
    assert console.shown_on_terminal(plan) is None, "no terminal"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show = console.shown_on_terminal(plan)
    assert show is not None
    show(Progress(change, "started", 0, 1))
    show(Progress(change, "failed", 1, 1, "denied"))
    console.shown_on_terminal(Plan())
    assert capsys.readouterr().err == "Note: one is old.\n[1/1] ! function report: denied\nNothing changed.\n"


def test_command_runs_an_example_here(tmp_path: Path) -> None:
    """What its script declares, without deploying: there is no AWS."""
    hello = REPOSITORY / "examples" / "hello"
    command = [sys.executable, str(REPOSITORY / "deploy.py"), "invoke", str(hello / "deploy.py"), "--json"]
    done = subprocess.run(
        [*command, "--event", str(hello / "event.json")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"] == {"message": "Hello, Ada!"}
