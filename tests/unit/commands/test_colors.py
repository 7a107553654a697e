"""What is red, yellow, green, bold or dim on a terminal: what is wrong is plain to see, and notes stay aside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

import deploy
from lambda_toolkit.changes import Change, Difference, Failure, Report
from lambda_toolkit.pipeline.commands import alert_test, backfill, batches, cost, plan, status
from lambda_toolkit.pipeline.commands.local import business_day, inbox, own_database
from lambda_toolkit.pipeline.commands.shared import options
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.commands.shared.show_changes import show_changes, show_progress, show_report
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.messages.events import CompareResult
from lambda_toolkit.pipeline.local_stack.independent_check import Check, TableCheck
from tests.unit.commands import test_command_screens as screens
from tests.unit.commands.test_command_options import TABLE, Rebuilds
from tests.unit.commands.test_operating_options import TEST
from tests.unit.commands.test_status_screen import DOCUMENT

STYLES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow"}
CHANGES = [
    Change("role", name, name, (), differences=(Difference("A", 1, 2),), apply=lambda _: None)  # type: ignore[arg-type]
    for name in ("create", "update", "delete")
]
DIFFERS = Check((TableCheck("dim_staff", 2, 1, None, 1, ("id 2 is missing",)),), ("paid -> dim_x",))
MESSAGE = {"received_at": "2026-01-02T03:04:05", "channel": "email", "to": "a@x.com", "subject": "Red", "text": "one"}
FAILED = Report((), (Failure(CHANGES[0], "no."),), (Failure(CHANGES[1], "x"),))
UNCONFIRMED = {"addresses": [{"address": "a@x.com", "state": "not confirmed"}]}


def marks(text: str) -> str:
    """The lines that have a style: the style, and their first two words."""
    found = []
    for line in text.splitlines():
        style = " ".join(STYLES[code] for code in re.findall(r"\x1b\[(\d+)m", line) if code in STYLES)
        words = re.sub(r"\x1b\[\d+m", "", line).split()
        if style and words:
            found.append(f"{style}: {' '.join(words[:2])}")
    return " / ".join(found)


@pytest.fixture(autouse=True)
def _on_a_terminal() -> Iterator[None]:
    """Styles are written, as to a terminal."""
    with click.Context(click.Command("any"), color=True).scope():
        yield


def of_slack(state: str, **changed: Any) -> dict[str, Any]:
    return {**TEST, "unknown": [], "slack": {"state": state, "reason": None}, **changed}


SCREEN, REQUEST = Screen(), screens.request()
SHOWN: list[tuple[Callable[[], None], str]] = [
    (lambda: alert_test._show(REQUEST, of_slack("sent")), "bold: Test ab12,"),
    (lambda: alert_test._show(REQUEST, of_slack("none")), "bold: Test ab12,"),
    (
        lambda: alert_test._show(REQUEST, of_slack("pending", **UNCONFIRMED)),
        "bold: Test ab12, / yellow: a@x.com gets / yellow: Slack did",
    ),
    (
        lambda: backfill._show(REQUEST, screens.PLAN),
        "bold: What totes / bold: A first / bold: Take glue. / dim: - 4 / dim: - rates",
    ),
    (
        lambda: batches._show(SCREEN, {"batches": [screens.BATCH], "latency": None}),
        "bold: The last / dim: Times are / dim: transform and / dim: one in / dim: no times",
    ),
    (lambda: batches._show_one(SCREEN, screens.BATCH), "bold: Batch 1002 / bold: Changed in / bold: Written to"),
    (
        lambda: cost._show(REQUEST, screens.COST),
        "bold: A month / bold: One change / dim: - batches: / dim: - prices: / dim: - durations:",
    ),
    (
        lambda: own_database._show(SCREEN, screens.document(True), 1, 1),
        "bold: Source and / dim: Not compared: / green bold: Source and",
    ),
    (
        lambda: own_database._show(SCREEN, screens.document(False), 1, 1),
        "bold: Source and / red bold: ! fact_payment: / dim: Not compared: / red bold: Source and",
    ),
    (lambda: business_day.show_check(SCREEN, DIFFERS, "x"), "bold: x / red bold: ! dim_staff: / red bold: ! the"),
    (lambda: inbox._show(REQUEST, MESSAGE), "dim: 2026-01-02 03:04:05Z / bold: Red"),
    (
        lambda: status._show(SCREEN, DOCUMENT),
        "bold: totes (dev), / green bold: FRESH, at / dim: function state / yellow: ! late / yellow: late late / "
        "yellow: ! Alone.",
    ),
    (
        lambda: status._show(SCREEN, {**DOCUMENT, "troubles": []}),
        "bold: totes (dev), / green bold: FRESH, at / dim: function state / green: Nothing is",
    ),
    (
        lambda: show_changes(SCREEN, CHANGES),
        "green: + role / dim: A: 1 / yellow: ~ role / dim: A: 1 / red: - role / dim: A: 1",
    ),
    (lambda: show_report(SCREEN, FAILED, "Did"), "bold: Did: 0 / red bold: ! role / yellow: - not"),
]


@pytest.mark.parametrize(("show", "expected"), SHOWN)
def test_results_are_marked(capsys: Any, show: Callable[[], None], expected: str) -> None:
    show()
    assert marks(capsys.readouterr().out) == expected


def mirror(of: Any, how: Any) -> Any:
    return SimpleNamespace(target=of, lines=(), source=of, changes=(), notes=())


COMMANDS = "lambda_toolkit.pipeline.commands"
PREPARED = {"created": ["a"], "altered": ["b"], "replaced": ["c"], "differences": ["d is"], "alterations": []}
AGAIN = {"function": "load", "events": 2, "error": "no.", "reason": "it is old", "key": "k"}
LOGGED = [
    ("totes-dev-load", {"timestamp": 1, "message": f'{{"level": "{level}", "message": "m"}}'})
    for level in ("INFO", "WARN", "WARNING", "ERROR", "CRITICAL")
]
REBUILT = type("Given", (Rebuilds,), {"result": CompareResult(tables=(TABLE,), last_batches=(1, 1))})
CALLED: list[tuple[str, dict[str, Any], str]] = [
    (
        "prepare",
        {"prepare.refreshed": mirror, "prepare.prepare": lambda of, **named: PREPARED},
        "green: + a / yellow: ~ b / yellow: ~ c / red bold: ! d",
    ),
    (
        "replay --failed",
        {"replay.replay_failed": lambda *_: {"done": [], "failed": [AGAIN], "refused": [AGAIN]}},
        "red bold: load failed / yellow: load: not",
    ),
    ("replay --all --into check", {"replay.Rebuild": REBUILT}, "red bold: fact_payment: 1"),
    ("run", {"run.run": lambda _: {"summary": "All done.", "appended": {}}}, "bold: All done."),
    ("plan", {"plan._read": lambda *_: plan._Found([], [], [], None, {})}, "bold: Nothing would"),
    (
        "logs load",
        {"logs.events_of": lambda *_, **named: iter(LOGGED)},
        " / ".join(f"{color}: 1970-01-01 00:00:00Z" for color in ("yellow", "yellow", "red", "red")),
    ),
]


@pytest.mark.parametrize(("command", "replaced", "expected"), CALLED)
def test_commands_mark_what_is_wrong(monkeypatch: Any, command: str, replaced: dict[str, Any], expected: str) -> None:
    target = SimpleNamespace(aws=lambda: SimpleNamespace(account_id="1"), pipeline=load(DEFAULT_PATH), is_local=False)
    monkeypatch.setattr(options, "choose", lambda *_: target)
    for name, value in replaced.items():
        monkeypatch.setattr(f"{COMMANDS}.{name}", value)
    assert marks(CliRunner().invoke(deploy.main, command.split(), color=True).stdout) == expected


def test_progress_is_dim_unless_it_has_a_color(capsys: Any) -> None:
    SCREEN.progress("one thing")
    SCREEN.progress("another thing", color="red")
    SCREEN.error("why not")
    for change, state in ((CHANGES[0], "done"), (CHANGES[1], "done"), (CHANGES[2], "done"), (CHANGES[0], "failed")):
        progress: Any = SimpleNamespace(change=change, finished=1, total=2, state=state, message="no.")
        progress.worded = lambda words: "no."
        show_progress(SCREEN, progress)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert marks(shown.err) == (
        "dim: one thing / red: another thing / red bold: Error: why / "
        "green: [1/2] + / yellow: [1/2] ~ / red: [1/2] - / red: [1/2] !"
    )
