"""What is red, yellow, green, bold or dim on a terminal: what is wrong is plain to see, and notes stay aside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import click
import pytest

from lambda_toolkit.changes import Change, Difference, Failure, Report
from lambda_toolkit.pipeline.commands import alert_test, backfill, batches, cost, status
from lambda_toolkit.pipeline.commands.local import business_day, inbox, own_database
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.commands.shared.show_changes import show_changes, show_progress, show_report
from lambda_toolkit.pipeline.local_stack.independent_check import Check, TableCheck
from tests.unit.commands import test_command_screens as screens
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


def marks(text: str) -> list[str]:
    """The lines that have a style: the style, and their first two words."""
    found = []
    for line in text.splitlines():
        style = " ".join(STYLES[code] for code in re.findall(r"\x1b\[(\d+)m", line) if code in STYLES)
        words = re.sub(r"\x1b\[\d+m", "", line).split()
        if style and words:
            found.append(f"{style}: {' '.join(words[:2])}")
    return found


@pytest.fixture(autouse=True)
def _on_a_terminal() -> Iterator[None]:
    """Styles are written, as to a terminal."""
    with click.Context(click.Command("any"), color=True).scope():
        yield


def progress(state: str, change: Change = CHANGES[0]) -> Any:
    of = {"change": change, "finished": 1, "total": 2, "state": state, "message": "no."}
    return SimpleNamespace(**of, worded=lambda words: "no.")


def of_slack(state: str, **changed: Any) -> dict[str, Any]:
    return {**TEST, "unknown": [], "slack": {"state": state, "reason": None}, **changed}


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        (lambda: alert_test._show(screens.request(), of_slack("sent")), ["bold: Test ab12,"]),
        (lambda: alert_test._show(screens.request(), of_slack("none")), ["bold: Test ab12,"]),
        (
            lambda: alert_test._show(screens.request(), of_slack("pending", **UNCONFIRMED)),
            ["bold: Test ab12,", "yellow: a@x.com gets", "yellow: Slack did"],
        ),
        (
            lambda: backfill._show(screens.request(), screens.PLAN),
            *(["bold: What totes", "bold: A first", "bold: Take glue.", "dim: - 4", "dim: - rates"],),
        ),
        (
            lambda: batches._show(Screen(), {"batches": [screens.BATCH], "latency": None}),
            *(["bold: The last", "dim: Times are", "dim: transform and", "dim: one in", "dim: no times"],),
        ),
        (
            lambda: batches._show_one(Screen(), screens.BATCH),
            ["bold: Batch 1002", "bold: Changed in", "bold: Written to"],
        ),
        (
            lambda: cost._show(screens.request(), screens.COST),
            *(["bold: A month", "bold: One change", "dim: - batches:", "dim: - prices:", "dim: - durations:"],),
        ),
        (
            lambda: own_database._show(Screen(), screens.document(True), 1, 1),
            ["bold: Source and", "dim: Not compared:", "green bold: Source and"],
        ),
        (
            lambda: own_database._show(Screen(), screens.document(False), 1, 1),
            ["bold: Source and", "red bold: ! fact_payment:", "dim: Not compared:", "red bold: Source and"],
        ),
        (
            lambda: business_day.show_check(Screen(), DIFFERS, "Compared"),
            ["bold: Compared", "red bold: ! dim_staff:", "red bold: ! the"],
        ),
        (lambda: inbox._show(screens.request(), MESSAGE), ["dim: 2026-01-02 03:04:05Z", "bold: Red"]),
        (
            lambda: status._show(Screen(), DOCUMENT),
            [
                *("bold: totes (dev),", "green bold: FRESH, at", "dim: function state"),
                *("yellow: ! late", "yellow: late late", "yellow: ! Alone."),
            ],
        ),
        (
            lambda: status._show(Screen(), {**DOCUMENT, "troubles": []}),
            ["bold: totes (dev),", "green bold: FRESH, at", "dim: function state", "green: Nothing is"],
        ),
        (
            lambda: show_changes(Screen(), CHANGES),
            ["green: + role", "dim: A: 1", "yellow: ~ role", "dim: A: 1", "red: - role", "dim: A: 1"],
        ),
        (
            lambda: show_report(Screen(), FAILED, "Did"),
            ["bold: Did: 0", "red bold: ! role", "yellow: - not"],
        ),
    ],
)
def test_results_are_marked(capsys: Any, show: Callable[[], None], expected: list[str]) -> None:
    show()
    assert marks(capsys.readouterr().out) == expected


def test_progress_is_dim_unless_it_has_a_color(capsys: Any) -> None:
    screen = Screen()
    screen.progress("one thing")
    screen.progress("another thing", color="red")
    screen.error("why not")
    for change in CHANGES:
        show_progress(screen, progress("done", change))
    show_progress(screen, progress("failed"))
    shown = capsys.readouterr()
    assert marks(shown.err) == [
        *("dim: one thing", "red: another thing", "red bold: Error: why"),
        *("green: [1/2] +", "yellow: [1/2] ~", "red: [1/2] -", "red: [1/2] !"),
    ]
    assert shown.out == ""
