"""What a command makes of its options, with all that it calls replaced: the calls, the lines and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

import deploy
from lambda_toolkit.pipeline.client.observing import batches
from lambda_toolkit.pipeline.client.warehouses import reader
from lambda_toolkit.pipeline.commands import replay, run
from lambda_toolkit.pipeline.commands.shared import options
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.messages.events import CompareResult, TableComparison

AWS = SimpleNamespace(account_id="123456789012")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Calls a command of a pipeline whose AWS is ``AWS``."""
    target = SimpleNamespace(aws=lambda: AWS, pipeline=load(DEFAULT_PATH), is_local=False, environ={})
    monkeypatch.setattr(options, "choose", lambda *_: target)
    return lambda *arguments: CliRunner().invoke(deploy.main, list(arguments))


class Timelines:
    """Answers with the batches that are given, and keeps what it was asked for."""

    asked: list[tuple[str, int]] = []  # noqa: RUF012  # replaced for each test
    problem: str | None = None
    found: tuple[int, ...] = (7,)

    def __init__(self, aws: Any, pipeline: Any, warehouse: Any) -> None:
        assert (aws, pipeline.name, warehouse) == (AWS, "totes", "warehouse")

    def read(self, limit: int) -> Any:
        self.asked.append(("read", limit))
        return self

    def one(self, number: int) -> Any:
        self.asked.append(("one", number))
        return self

    @property
    def batches(self) -> tuple[int, ...]:
        return self.found

    def to_json(self, pipeline: Any, now: Any) -> dict[str, Any]:
        assert (pipeline.name, now.utcoffset().total_seconds()) == ("totes", 0)
        counts = dict.fromkeys(("rows", "deleted", "versions", "rejected", "still_rejected", "still_waiting"), 0)
        times = dict.fromkeys(("transformed_at", "loaded_at", "commits", "latency"))
        seconds = dict.fromkeys(("extract", "transform", "load"))
        batch = {"batch": 7, "state": "extracted", "extracted_at": "2026-01-02T03:04:05.678Z", "seconds": seconds}
        return {"batches": [{**batch, **counts, **times, "tables": {}, "written": {}}], "latency": None}


@pytest.fixture
def timelines(monkeypatch: pytest.MonkeyPatch) -> type[Timelines]:
    fresh = type("Fresh", (Timelines,), {"asked": []})
    monkeypatch.setattr(batches, "TimelineReader", fresh)
    monkeypatch.setattr(reader, "warehouse_of", lambda target: "warehouse")
    return fresh


@pytest.mark.parametrize(
    ("arguments", "asked", "first"),
    [
        ([], ("read", 20), "The last batch"),
        (["--limit", "1000"], ("read", 1000), "The last batch"),
        (["--limit", "1"], ("read", 1), "The last batch"),
        (["1"], ("one", 1), "Batch 7 is extracted."),
    ],
)
def test_batches_are_as_many_as_asked_for(call, timelines, arguments, asked, first) -> None:
    done = call("batches", *arguments)
    assert (done.exit_code, timelines.asked, done.stdout.splitlines()[0]) == (0, [asked], first)
    assert json.loads(call("batches", *arguments, "--json").stdout)["batches"][0]["batch"] == 7


def test_batch_that_is_not_there_is_a_failure(call, timelines) -> None:
    timelines.found = ()
    done = call("batches", "8")
    assert (done.exit_code, "There is no batch 8." in done.stderr) == (1, True)
    assert call("batches").exit_code == 0, "none yet is none"
    assert [call("batches", *wrong).exit_code for wrong in (["0"], ["--limit", "0"], ["--limit", "1001"])] == [2, 2, 2]


def test_batches_with_an_unreadable_warehouse_fail(call, timelines) -> None:
    timelines.problem = "no answer."
    done = call("batches")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (
        1,
        "! Which of them are loaded is not known: no answer.",
    )


def test_run_shows_what_was_written(call, monkeypatch) -> None:
    answer = {"summary": "Batch 3 is in the warehouse.", "appended": {"fact_payment": 1200, "dim_staff": 1}}
    monkeypatch.setattr(run, "run", lambda follower: {**answer, "asked": [follower.aws is AWS, follower.pipeline.name]})
    assert call("run").stdout.splitlines() == [
        "Batch 3 is in the warehouse.",
        "Written to the warehouse:",
        "  dim_staff     1 row",
        "  fact_payment  1,200 rows",
    ]
    assert json.loads(call("run", "--json").stdout) == {**answer, "asked": [True, "totes"]}
    answer["appended"] = {}
    assert call("run").stdout == "Batch 3 is in the warehouse.\n"


class Replays:
    """A ``Replay`` with two rejected batches."""

    def __init__(self, follower: Any) -> None:
        assert follower.aws is AWS

    def rejected(self) -> list[int]:
        return [4, 9]

    def replay(self, batches: list[int]) -> dict[str, Any]:
        entries = [{"batch": batch, "changed": batch % 2 == 0} for batch in batches]
        written = {"fact_payment": 1200} if batches else {}
        return {"batches": entries, "written": written, "open": {"rejected": len(batches) - 2, "pending": 0}}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [([], [4, 9]), (["5"], [5]), (["--from", "2", "--to", "4"], [2, 3, 4]), (["--from", "2", "--to", "2"], [2])],
)
def test_replay_takes_the_batches_that_are_named(call, monkeypatch, arguments, named) -> None:
    monkeypatch.setattr(replay, "Replay", Replays)
    document = json.loads(call("replay", *arguments, "--json").stdout)
    assert [entry["batch"] for entry in document["batches"]] == named


def test_replay_says_what_differs_and_what_is_open(call, monkeypatch) -> None:
    monkeypatch.setattr(replay, "Replay", Replays)
    assert call("replay", "--from", "2", "--to", "4").stdout.splitlines() == [
        "Replayed 3 batches; 2 with another outcome than before.",
        "fact_payment: 1,200 rows written",
        "Still outstanding: 1 rejected row, 0 pending.",
    ]
    assert call("replay").stdout.splitlines()[-1] == "fact_payment: 1,200 rows written"
    monkeypatch.setattr(Replays, "rejected", lambda self: [])
    assert call("replay").stdout == "No rejected row is missing from the warehouse: there is nothing to replay.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--function", "load"],
        *(["--failed", *more] for more in (["3"], ["--from", "1"], ["--to", "1"], ["--all"])),
        *(["--failed", *more] for more in (["--into", "check"], ["--no-compare"])),
        ["--all", "--into", "check", "3"],
        ["--all", "--into", "check", "--from", "1"],
        ["--all", "--into", "check", "--to", "1"],
    ],
)
def test_options_that_exclude_each_other_are_refused(call, monkeypatch, arguments) -> None:
    for name in ("_failed_events", "_rebuild", "Replay"):
        monkeypatch.setattr(replay, name, lambda *_, **named: pytest.fail("it went on"))
    assert call("replay", *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("document", "code", "shown"),
    [
        ({}, 0, ["No failed event is kept: there is nothing to replay."]),
        ({"done": [{"function": "load", "events": 1}]}, 0, ["load: 1 failed event made up for."]),
        ({"failed": [{"function": "load", "events": 2, "error": "no."}]}, 1, ["load failed again on 2 events: no."]),
        (
            {"refused": [{"function": "load", "reason": "it is old", "key": "k"}]},
            1,
            ["load: not repeated, as it is old: k"],
        ),
    ],
)
def test_failed_events_are_said_to_be_made_up_for(call, monkeypatch, document, code, shown) -> None:
    def replayed(aws: Any, pipeline: Any, report: Any, function: str | None) -> dict[str, Any]:
        assert (aws, pipeline.name, function) == (AWS, "totes", "load")
        return {"done": [], "failed": [], "refused": [], **document}

    monkeypatch.setattr(replay, "replay_failed", replayed)
    done = call("replay", "--failed", "--function", "load")
    assert (done.exit_code, done.stdout.splitlines()) == (code, shown)
    assert json.loads(call("replay", "--failed", "--function", "load", "--json").stdout).keys() >= {"done", "failed"}


class Rebuilds:
    """A ``Rebuild``; ``result`` is what comparing says."""

    result = CompareResult()

    def __init__(self, target: Any, schema: str, report: Any) -> None:
        assert schema == "check"

    def rebuild(self) -> dict[str, Any]:
        return {"schema": "check", "last_batch": 7, "tables": ["fact_payment", "dim_staff"]}

    def compare(self) -> CompareResult:
        return self.result


TABLE = TableComparison("fact_payment", (1200, 1199), 1, 0, ("payment 7 is missing",))


@pytest.mark.parametrize(
    ("result", "code", "shown"),
    [
        (
            CompareResult(equal=True, rows=1200, last_batches=(7, 7)),
            0,
            ["Equal, row for row: 1,200 rows in 2 tables."],
        ),
        (
            CompareResult(equal=False, tables=(TABLE,), renumbered=1, replayed=True, last_batches=(7, 8)),
            1,
            [
                "fact_payment: 1 difference",
                "  payment 7 is missing",
                "1 version with another record number (replayed late versions have later numbers)",
                "The live warehouse contains batch 7, and check batch 8.",
                "The live warehouse and check are not equal.",
            ],
        ),
        (
            CompareResult(equal=False, renumbered=2, last_batches=(7, 7)),
            1,
            ["2 versions with another record number", "The live warehouse and check are not equal."],
        ),
    ],
)
def test_rebuilt_warehouse_is_compared_with_the_live_one(call, monkeypatch, result, code, shown) -> None:
    monkeypatch.setattr(replay, "Rebuild", type("Given", (Rebuilds,), {"result": result}))
    first = "The schema check contains everything up to batch 7."
    done = call("replay", "--all", "--into", "check")
    assert (done.exit_code, done.stdout.splitlines()) == (code, [first, *shown])
    comparison = json.loads(call("replay", "--all", "--into", "check", "--json").stdout)["comparison"]
    assert comparison["equal"] is result.equal and "busy" not in comparison
    alone = call("replay", "--all", "--into", "check", "--no-compare")
    assert (alone.exit_code, alone.stdout.splitlines()) == (0, [first])
    assert "comparison" not in json.loads(call("replay", "--all", "--into", "check", "--no-compare", "--json").stdout)
