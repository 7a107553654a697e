"""The line of ``watch`` after each deploy: what was saved, and what became of it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import deploy
import lambda_script
from lambda_script import ToolkitError
from lambda_toolkit.changes import Change, Failure, Plan, Report
from lambda_toolkit.errors import Advice, Hint
from lambda_toolkit.pipeline.commands import watch
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.running import watching


def change(name: str) -> Change:
    return Change("function", name, "update", (), apply=lambda _: None)  # type: ignore[arg-type]


A, B, C, D = (change(name) for name in "abcd")
NO = Failure(A, "no\nright.")


class Said:
    """A screen that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Any]] = []
        self.documents: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def say(self, text: str, *, color: str, bold: bool) -> None:
        assert bold
        assert re.match(r"\d\d:\d\d:\d\d  ", text)
        self.lines.append((text[10:], color))

    def line(self, document: dict[str, Any]) -> None:
        self.documents.append(document)

    def progress(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (Report((), ()), "nothing changed on AWS (2.5 s)"),
        (Report((A,), ()), "live after 2.5 s: function a"),
        (Report((A, B, C), ()), "live after 2.5 s: function a, function b, function c"),
        (Report((A, B, C, D), ()), "live after 2.5 s: function a, function b, function c and 1 more"),
        (Report((), (NO,)), "1 change failed: function a: no / right."),
        (
            Report((B,), (NO, Failure(C, "x"), Failure(D, "y"))),
            "3 changes failed: function a: no / right. (and 2 more)",
        ),
    ],
)
def test_line_names_three_changes_or_the_first_failure(monkeypatch, report: Report, line: str) -> None:
    screen: Any = Said()
    planned: list[object] = []
    watched: Any = SimpleNamespace(
        read=lambda: planned.append("read"),
        plan=lambda changed: planned.append(changed) or Plan((A,), notes=("look",)),
        aws=lambda: "aws",
    )
    monkeypatch.setattr(watch.time, "monotonic", iter([10.0, 12.5]).__next__)
    monkeypatch.setattr(
        lambda_script, "apply", lambda plan, aws: {(Plan((A,), notes=("look",)), "aws"): report}[plan, aws]
    )
    watch._deploy(screen, watched, ["x.py"])
    assert planned == ["read", ["x.py"]]
    assert screen.notes == ["Note: look."]
    assert screen.lines == [(f"x.py: {line}", "red" if report.failed else "green")]
    assert screen.documents == [{"saved": ["x.py"], "ok": not report.failed, "seconds": 2.5, "text": line}]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CommandError("no\nway"), "not deployed: no / way"),
        (ToolkitError("It is not managed.", advice=Advice(Hint.ADOPT)), "It is not managed. To adopt it, deploy once"),
    ],
)
def test_what_cannot_be_read_is_not_deployed(error: Exception, line: str) -> None:
    def read() -> None:
        raise error

    screen, watched = Said(), SimpleNamespace(read=read)
    watch._deploy(screen, watched, [])  # type: ignore[arg-type]
    [(said, color)] = screen.lines
    assert color == "red" and said.startswith("not deployed: ") and line in said
    assert screen.documents == [{"saved": [], "ok": False, "seconds": None, "text": said}]


@pytest.mark.parametrize(
    ("changed", "saved"),
    [(["b/c.py", "a/d.py", "e.py"], "c.py, d.py, e.py: "), (["z/d", "c", "a/c", "b", "a"], "a, b, c, ...: "), ([], "")],
)
def test_saved_files_are_named_once_by_their_names(changed: list[str], saved: str) -> None:
    screen = Said()
    watch._say(screen, "done", changed, seconds=None, ok=True)  # type: ignore[arg-type]
    assert screen.lines == [(f"{saved}done", "green")]
    assert screen.documents[0]["saved"] == sorted({Path(path).name for path in changed})


def test_watched_script_is_run_with_its_arguments(monkeypatch, tmp_path: Path) -> None:
    done: list[Any] = []
    script = SimpleNamespace(read=lambda: done.append("read"), places="places")
    monkeypatch.setattr(watch, "WatchedScript", lambda *of: done.append(of) or script)
    monkeypatch.setattr(watching, "watch", lambda places, *_: done.append(places))
    assert CliRunner().invoke(deploy.main, ["watch", str(tmp_path), "a", "b"]).exit_code == 130
    assert done == [(tmp_path, ("a", "b")), "read", "places"]
