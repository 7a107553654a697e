"""The screen of ``status``, line by line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_script import ToolkitError
from lambda_toolkit.pipeline.client.observing.status import Seldom
from lambda_toolkit.pipeline.commands import status as command
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError

PROMISE = {
    "state": "fresh",
    "seconds_behind": 61.0,
    "fresh_within_seconds": 1800.0,
    "checked_at": "2026-01-02T03:00:00.000Z",
}
LATE = {"what": f"{'late ' * 20}table", "command": "python deploy.py logs load"}
DOCUMENT: dict[str, Any] = {
    "pipeline": "totes",
    "stage": "dev",
    "region": "eu-west-2",
    "at": "2026-01-02T03:04:05.678Z",
    "batches": {"extracted": 3, "transformed": 2, "loaded": None},
    "freshness": {"loaded_unknown": False, "summary": "word " * 17 + "end", "promise": PROMISE},
    "functions": [
        {
            "name": "totes-dev-extract",
            "state": "Active",
            "version": "12",
            "last_run": "2026-01-02T03:00:00.000Z",
            "last_failed": False,
            "next_run": "2026-01-02T03:05:00.000Z",
            "schedule": "S3 event, ingestion-bucket-of-the-pipeline",
        },
        {
            "name": "totes-dev-a-long-name-of-one",
            "state": "not deployed",
            "version": None,
            "last_run": "2026-01-02T02:59:00.000Z",
            "last_failed": True,
            "next_run": None,
            "schedule": None,
        },
        {**dict.fromkeys(("version", "last_run", "next_run")), "name": "of-others", "state": "Active", "schedule": "r"},
    ],
    "open": {"rejected": 1200, "pending": 3000},
    "alarms": [{"state": "ALARM"}, {"state": "OK"}, {"state": "INSUFFICIENT_DATA"}],
    "drift": {"changes": ["function a", "role b"], "problem": None},
    "cost_so_far": "1234.5",
    "failed_events": {
        "functions": [
            {"function": "totes-dev-load", "count": 1500, "made_good": True},
            {"function": "totes-dev-transform", "count": 2, "made_good": True},
            {"function": "totes-dev-extract", "count": 3, "made_good": False},
        ]
    },
    "troubles": [LATE, {"what": "Alone.", "command": None}],
}


def shown(capsys: pytest.CaptureFixture[str], **changed: Any) -> list[str]:
    command._show(Screen(), {**DOCUMENT, **changed})
    return capsys.readouterr().out.splitlines()


def test_screen_has_a_line_for_everything(capsys) -> None:
    assert shown(capsys) == [
        "totes (dev), eu-west-2                                      2026-01-02 03:04:05Z",
        "FRESH, at most 61 s behind, promised within 30 min",
        "Last batch: extracted 3, transformed 2, loaded none",
        "word word word word word word word word word word word word word word word word",
        "word end",
        "",
        "function      state         live  last run      next   started by",
        "extract       Active        12    03:00 done    03:05  S3, ingestion-bucket-of-…",
        "a-long-name…  not deployed  -     02:59 failed  -      -",
        "of-others     Active        -     -             -      r",
        "",
        "rejected 1,200  waiting 3,000  alarms 1 of 3  drift 2 changes  this month $1,234.50",
        "failed events load 1,500, transform 2, which later runs made up for",
        "! late late late late late late late late late late late late late late late",
        "  late late late late late table",
        "  -> python deploy.py logs load",
        "! Alone.",
    ]


def test_screen_of_a_whole_pipeline_is_short(capsys) -> None:
    found = shown(
        capsys,
        troubles=[],
        failed_events=None,
        cost_so_far=None,
        drift=None,
        freshness={**DOCUMENT["freshness"], "loaded_unknown": True},
    )
    assert found[2] == "Last batch: extracted 3, transformed 2, loaded unknown"
    assert found[-2:] == [
        "rejected 1,200  waiting 3,000  alarms 1 of 3  drift not known",
        "Nothing is wrong.",
    ]
    command._show(Screen(as_json=True), {})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("drift", "text"),
    [
        ({"changes": [], "problem": None}, "none"),
        ({"changes": ["role b"], "problem": None}, "1 change"),
        ({"changes": ["role b"], "problem": "denied"}, "not known"),
        (None, "not known"),
    ],
)
def test_drift_is_counted_or_not_known(drift, text) -> None:
    assert command._drift_text(drift) == text


@pytest.mark.parametrize(
    ("changed", "text", "color"),
    [
        (None, "Nothing is promised of freshness.", None),
        ({}, "FRESH, at most 61 s behind, promised within 30 min", "green"),
        ({"state": "late"}, "LATE, at most 61 s behind, promised within 30 min", "red"),
        ({"seconds_behind": None}, "FRESHNESS NOT KNOWN, promised within 30 min", "yellow"),
        (
            {"state": "unknown"},
            "FRESHNESS NOT KNOWN since 2026-01-02 03:00:00Z, at most 61 s behind, promised within 30 min",
            "yellow",
        ),
        (
            {"state": "unknown", "checked_at": None},
            "FRESHNESS NOT KNOWN since -, at most 61 s behind, promised within 30 min",
            "yellow",
        ),
    ],
)
def test_freshness_has_a_color_of_its_own(changed, text, color) -> None:
    promise = None if changed is None else {**PROMISE, **changed}
    assert command._freshness({"freshness": {"promise": promise}}) == (text, color)


def test_terminal_is_cleared_and_times_are_short(monkeypatch) -> None:
    cleared: list[bool] = []
    monkeypatch.setattr(command.click, "clear", lambda: cleared.append(True))
    for as_json in (True, False):
        command._again(Screen(as_json=as_json), Reader(DOCUMENT))  # type: ignore[arg-type]
    assert cleared == [True], "of documents, each stays"
    assert [command._clock(text) for text in ("2026-01-02T03:04:05Z", "-")] == ["2026-01-02 03:04:05Z", "-"]


def test_failed_events_are_named_where_made_up_for() -> None:
    def said(*functions: dict[str, Any]) -> str:
        return command._failed_events({**DOCUMENT, "failed_events": {"functions": functions}})

    assert said() == said({"function": "totes-dev-load", "count": 1, "made_good": False}) == ""


class Reader:
    """Answers with a document, or raises the error that is given."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def read(self, now: datetime) -> Any:
        assert now.tzinfo is UTC
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_watching_goes_on_after_an_error(capsys) -> None:
    errors = [kind("no answer") for kind in (CommandError, ToolkitError, PipelineError)]
    for answer, as_json in (*((error, False) for error in errors), (DOCUMENT, True), (DOCUMENT, False)):
        command._again(Screen(as_json=as_json), Reader(answer))  # type: ignore[arg-type]
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert [line[:13] + line[-11:] for line in lines] == ["Not known at : no answer"] * 3
    first, *rest = said.out.splitlines()
    assert json.loads(first) == DOCUMENT
    assert rest[0].startswith("totes (dev)") and rest[-1] == "", "screens are parted"


def test_problem_of_the_plan_is_not_drift(monkeypatch) -> None:
    changes = [SimpleNamespace(kind="function", name="a"), SimpleNamespace(kind="role", name="b")]
    target: Any = SimpleNamespace()
    plans = SimpleNamespace(plan=lambda aws, of: SimpleNamespace(changes=changes if of is target else []))
    monkeypatch.setattr(command, "EVERYTHING", plans)
    assert command._drift(target, None) == {"changes": ["function a", "role b"], "problem": None}

    def denied(aws: Any, of: Any) -> None:
        raise errors.pop()

    errors = [CommandError("denied"), ToolkitError("denied"), OSError("denied")]
    monkeypatch.setattr(command, "EVERYTHING", SimpleNamespace(plan=denied))
    assert [command._drift(target, None) for _ in range(3)] == [{"changes": [], "problem": "denied"}] * 3


def test_seldom_starts_with_an_answer() -> None:
    assert Seldom(lambda: 3).at(datetime(2026, 1, 1, tzinfo=UTC)) == 3
