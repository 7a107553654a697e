"""The functions are killed (kill -9) between any two of their side effects; the next run goes on as if nothing was.

Extract by readers and load over several connections have hundreds: here one of each, and by ``make crash-points`` all.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from tests.support.fault_proxies import Action, Answer, FaultProxy, Step
from tests.support.source_changes import change_everything
from tests.support.worker_pipeline import Line

ALL = bool(os.environ.get("ALL_CRASH_POINTS"))
pytestmark = [pytest.mark.xdist_group("crashes"), pytest.mark.no_cover]


def nth_effect(n: int, then: Action) -> Callable[[Step], Action | Answer]:
    """Decides ``then`` about the ``n``-th step that changes something, and lets all others pass."""
    seen = [0]

    def decide(step: Step) -> Action:
        seen[0] += step.is_effect
        return then if step.is_effect and seen[0] == n else Action.PASS

    return decide


def effects(gate: FaultProxy) -> list[str]:
    return [step.what for step in gate.steps if step.is_effect]


def reach(line: Line, function: str) -> None:
    """A change is made, and everything before ``function`` is done with it."""
    change_everything(line.admin)
    if function != "extract":
        assert line.call("extract").error is None
    if function == "load":
        line.transform()


def call(line: Line, function: str):
    if function == "transform":
        return line.call(function, {"action": "transform", "batch": max(line.batches("ingestion"))})
    return line.call(function)


def chosen(points: list[str], function: str) -> list[int]:
    """The numbers of the steps to kill at. Those inside load's one transaction are alike: every eighth is enough."""
    if function != "load":
        return list(range(1, len(points) + 1))
    last = len(points) - 1
    return [
        number
        for number, what in enumerate(points, start=1)
        if number % 8 == 1 or what == "COMMIT" or "ledger" in what or number in (last, last + 1)
    ]


def empty_warehouse(line: Line) -> None:
    """Every batch is to be loaded again, into empty facts, which alone are filled over several connections."""
    found = "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = 'public'"
    tables = [LIVE.table(name) for (name,) in line.warehouse.rows(found)]
    line.warehouse.run(f"TRUNCATE {', '.join(map(str, (*tables, *LIVE.control_tables().values())))}")


SEVERAL = {  # load first, and before all others: it loads every batch again at each step, and the others make some
    "load": (empty_warehouse, {}, "database", {"connections": 2}, "filling"),
    "extract": (
        lambda line: reach(line, "extract"),
        {"action": "extract", "full": True},
        "aws",
        {"readers": True},
        ".changes_0",
    ),
}


@pytest.mark.parametrize("function", SEVERAL)
def test_several_sessions_killed_at_any_step_lose_nothing(line, function):
    """Extract by readers, load over several connections: all of their sessions end where the function is killed."""
    before, event, side, how, shown = SEVERAL[function]
    gate = getattr(line, side)
    before(line)
    gate.open()
    assert line.call(function, event, **how).error is None
    points = effects(gate)
    line.settle()
    assert len([what for what in points if shown in what]) >= 4, points  # it was done by several
    for number in range(1, len(points) + 1) if ALL else [len(points) // 2]:
        before(line)
        gate.open()
        gate.decide = nth_effect(number, Action.KILL_AFTER)
        answer = line.call(function, event, **how)
        # Threads take turns differently each time: it may have done with fewer.
        assert answer.signal == signal.SIGKILL or len(effects(gate)) < number, (number, answer)
        line.settle()


@pytest.mark.parametrize("function", ["extract", "transform", "load"])
def test_run_after_a_kill_at_any_step_loses_and_repeats_nothing(line, function):
    """Killed after any step the next run loses doubles and bends nothing."""
    gate = line.database if function == "load" else line.aws
    old = line.new_session()  # a transaction that stays open: what is written now is met again by the next run
    old.run("BEGIN")
    old.run("SELECT pg_current_xact_id()")
    reach(line, function)
    gate.open()
    assert call(line, function).error is None
    points = effects(gate)
    line.settle()
    assert len(points) >= 7, points
    escaped = []
    for number in chosen(points, function):
        for then in (Action.KILL_BEFORE, Action.KILL_AFTER) if number == 1 else (Action.KILL_AFTER,):
            reach(line, function)
            gate.open()
            gate.decide = nth_effect(number, then)
            answer = call(line, function)
            if answer.signal != signal.SIGKILL:
                escaped.append((points[number - 1], answer))
            line.settle()
    old.run("ROLLBACK")
    line.settle()
    assert not escaped, "these were to be killed, and went on"
