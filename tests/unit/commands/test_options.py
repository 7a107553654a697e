"""Parsers of options: durations, log lines, events."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.client.observing.logs import error_in
from lambda_toolkit.pipeline.commands import invoke
from lambda_toolkit.pipeline.commands.invoke import _event
from lambda_toolkit.pipeline.commands.logs import seconds
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.errors import UsageError
from lambda_toolkit.running import local


@pytest.mark.parametrize(("text", "expected"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_lengths_of_time(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "1w", "1.5h"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(UsageError, match="30s, 10m, 2h or 1d"):
        seconds(text)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"level": "ERROR", "message": "no table x"}', "no table x"),
        ('{"level": "INFO", "message": "recovered from an ERROR"}', None),
        ("START RequestId: 1", None),
        ("[ERROR] Runtime.ImportModuleError: no pyarrow", "[ERROR] Runtime.ImportModuleError: no pyarrow"),
        ("2026-01-01 1234 Task timed out after 3.00 seconds", "2026-01-01 1234 Task timed out after 3.00 seconds"),
        ("{broken", None),
    ],
)
def test_log_errors_are_distinguished_from_other_lines(line, complaint):
    assert error_in(line) == complaint


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("-", "standard input is not JSON"),
        ("{", "--event is not JSON"),
        ("a.json", "a.json is not JSON"),
        ("none.json", "There is no event file none.json."),
        ("folder", "folder cannot be read as text"),
        ("bytes", "bytes cannot be read as text"),
        ("list", r"list must hold a JSON object, not list\."),
    ],
)
def test_event_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO("{"))
    (tmp_path / "folder").mkdir()
    for name, content in (("a.json", b"{"), ("bytes", b"\xff{}"), ("list", b"[]")):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=f"^{says}"):
        _event(given)


@pytest.mark.parametrize(
    ("declared", "name", "runs"),
    [
        (["a"], None, "a"),
        (["a"], "a", "a"),
        (["a", "b"], "b", "b"),
        (["a", "b"], None, "app.py declares a, b. Which one[?] --name a$"),
        (["a", "b"], "c", "app.py declares no function c. There are: a, b[.]"),
    ],
)
def test_function_of_a_script_is_run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, declared: list[str], name: str | None, runs: str
) -> None:
    def scripts(path: Path, arguments: list[str]) -> list[Any]:
        assert (path, arguments) == (Path("app.py"), ["x"])
        return [SimpleNamespace(spec=SimpleNamespace(name=each), region=f"region of {each}") for each in declared]

    def invoked(spec: Any, event: Any, *, on_log: Any, region: str) -> Any:
        assert (event, region) == ({"n": 1}, f"region of {spec.name}")
        on_log("a line")
        return SimpleNamespace(result=spec.name, error="no.", log_tail="tail", ok=False)

    monkeypatch.setattr(invoke, "scripts_of", scripts)
    monkeypatch.setattr(local, "invoke_locally", invoked)
    if runs in declared:
        assert invoke._run_here(Screen(), Path("app.py"), ["x"], {"n": 1}, name) == invoke.Invocation(
            runs, "no.", "tail"
        )
        assert capsys.readouterr().err == "a line\n"
    else:
        with pytest.raises(UsageError, match=runs):
            invoke._run_here(Screen(), Path("app.py"), ["x"], {"n": 1}, name)
