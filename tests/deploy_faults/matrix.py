"""Every writing call of every operation x every fault: the command waits, or the same command repairs.

``python -m tests.deploy_faults.matrix`` runs all cells (some minutes), and prints each that fails and the counts.
With ``--only TEXT`` it runs those whose operation or cell contains the text.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from time import time as wall_time
from typing import Any

import boto3
import pytest

from lambda_script import ToolkitError
from lambda_toolkit.aws.client import Aws, Clock
from lambda_toolkit.packaging.layer_zip import LayerSpec
from tests.deploy_faults import (  # noqa: F401 - they add to OPERATIONS
    concurrency_operations,
    single_time_operations,
    trigger_operations,
)
from tests.deploy_faults.contents import contents, differing
from tests.deploy_faults.faults import TEMPORARY, Cell, Crash, Faults, faults_of
from tests.deploy_faults.operations import OPERATIONS, Operation, World, restarted
from tests.support.fake_time import FakeTime
from tests.support.lambda_networks import LambdaNetworks
from tests.support.moto_account import in_memory
from tests.support.moto_lambda import Invocations
from tests.support.sessions import REGION, new_session

_CELLS_PER_PROCESS = 100  # what moto and boto3 keep of a cell adds up: after hundreds of cells, to gigabytes
_PAUSE = 60.0  # seconds between two commands: what lagged is visible


@dataclass(frozen=True)
class Outcome:
    """What one cell came to."""

    operation: str
    cell: Cell
    problem: str
    """Why it fails; empty where all is as it must be."""
    happened: bool = True
    """Whether the call of the cell was made: calls of parallel threads vary."""


class _Session:
    """A session that creates each client once: reading the models takes longer than a deploy."""

    region_name = REGION

    def __init__(self, session: boto3.Session) -> None:
        create = cache(lambda service: session.client(service, region_name=REGION))
        self.client = lambda service, **_: create(service)


@cache
def _sessions() -> tuple[Any, Any, Faults, FakeTime, LambdaNetworks]:
    """A session with faults, one without, what injects the faults, the clock, the networks: one of each per process."""
    time = FakeTime()
    faults = Faults(time.now)
    faulty = new_session()
    faulty.events.register("before-call.*.*", faults.before_call)
    faulty.events.register("after-call.*.*", faults.after_call)
    bare = _Session(new_session())
    networks = LambdaNetworks(time.now, bare.client)
    networks.register(faulty)
    return _Session(faulty), bare, faults, time, networks


def _process(session: Any, time: FakeTime) -> Aws:
    """The toolkit as a new process has it."""
    started = wall_time() - time.now()
    clock = Clock(time.now, time.sleep, random=lambda: 1.0, wall=lambda: started + time.now())
    return Aws(REGION, session=session, clock=clock)


@contextmanager
def _world(operation: Operation) -> Iterator[tuple[World, Faults, FakeTime]]:
    """An account on which ``operation`` can begin."""
    session, bare, faults, time, networks = _sessions()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("lambda_toolkit.packaging.layer_zip._install", _install)
        with in_memory(patch, Path(folder), Invocations()):
            faults.arm(None)
            networks.reset()
            world = World(_process(session, time), Path(folder), bare.client)
            operation.prepare(world)
            yield restarted(world, _process(session, time)), faults, time


def _install(spec: LayerSpec, target: Path) -> None:
    """Installing is tested beside the packages; here it writes one module."""
    target.mkdir()
    (target / "one.py").write_text(f"x = {spec.digest!r}\n", encoding="utf-8")


@cache
def reference(name: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The writing calls of an operation without a fault, and what is on AWS afterwards."""
    operation = OPERATIONS[name]()
    with _world(operation) as (world, faults, _):
        faults.arm(None)
        operation.act(world)
        return tuple(faults.writes), contents(world.bare)


def cells(name: str) -> list[Cell]:
    """Every cell of the operation ``name``."""
    counted = Counter(reference(name)[0])
    return [
        Cell(call, number, fault)
        for call, times in sorted(counted.items())
        for number in range(1, times + 1)
        for fault in faults_of(call)
    ]


def run(name: str, cell: Cell) -> Outcome:
    """Inject the fault of ``cell`` into the operation ``name``, repeat a command that failed, and compare."""
    operation = OPERATIONS[name]()
    expected = reference(name)[1]
    with _world(operation) as (world, faults, time):
        faults.arm(cell)
        first = _attempt(operation, world)
        happened, sent = faults.happened, len(faults.writes)
        problem = _first_problem(cell, first, happened)
        if len(faults.writes) != sent:
            problem = problem or "writes went on after the command had ended"
        faults.arm(None)
        session, *_ = _sessions()
        time.sleep(_PAUSE)
        world = restarted(world, _process(session, time))
        if first is not None or cell.fault == "lag":
            second = _attempt(operation, world)
            problem = problem or (f"the same command fails: {second}" if second else "")
            time.sleep(_PAUSE)
            world = restarted(world, _process(session, time))
        if operation.complete_after:
            time.sleep(operation.complete_after)
            _attempt(operation, world)
            world = restarted(world, _process(session, time))
        problem = problem or _difference(operation, world, expected)
    return Outcome(name, cell, problem, happened)


def _attempt(operation: Operation, world: World) -> BaseException | None:
    try:
        operation.act(world)
    except (ToolkitError, Crash, KeyboardInterrupt) as error:
        return error
    return None


def _first_problem(cell: Cell, first: BaseException | None, happened: bool) -> str:
    if not happened:
        return ""
    if cell.fault in TEMPORARY and first is not None:
        return f"it must wait for what passes: {first}"
    if cell.fault == "denied" and not isinstance(first, ToolkitError):
        return f"a denied call is no error: {first!r}"
    if cell.fault == "interrupt" and not isinstance(first, KeyboardInterrupt):
        return f"an interrupted command ends with {first!r}"
    return ""


def _difference(operation: Operation, world: World, expected: dict[str, Any]) -> str:
    """How the account differs from what it is without a fault, or what the next plan would still change."""
    found = differing(contents(world.bare), expected)
    if found:
        return "; ".join(found)
    plan = operation.plan(world)
    return f"the next plan is not empty: {[change.key for change in plan.changes]}" if plan else ""


def _checked(name: str, cell: Cell) -> Outcome:
    try:
        return run(name, cell)
    except Exception as error:
        return Outcome(name, cell, f"{type(error).__name__}: {error}")


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all cells in parallel processes, print those that fail, and the counts. 1 where one fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.deploy_faults.matrix", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    work = [(name, cell) for name in OPERATIONS for cell in cells(name) if options.only in f"{name} {cell}"]
    failed: Counter[str] = Counter()
    ran: Counter[str] = Counter()
    for outcome in _outcomes(work, options.workers):
        ran[outcome.cell.fault] += 1
        if ran.total() % 100 == 0:
            print(f"{ran.total()} of {len(work)} cells, {failed.total()} failed", file=sys.stderr, flush=True)
        if outcome.problem:
            failed[outcome.cell.fault] += 1
            print(f"{outcome.operation} {outcome.cell}: {outcome.problem[:400]}", flush=True)
    for fault, number in sorted(ran.items()):
        print(f"{fault:14} {number:5} cells, {failed[fault]:4} failed")
    print(f"{'all':14} {ran.total():5} cells, {failed.total():4} failed")
    return 1 if failed else 0


def _outcomes(work: Sequence[tuple[str, Cell]], workers: int) -> Iterator[Outcome]:
    """What each cell came to, in the order of ``work``, by fresh processes after so many cells.

    By a pool of their own: with ``max_tasks_per_child``, CPython 3.11's pool can wait for ever for a process that it
    did not start (https://github.com/python/cpython/issues/115634).
    """
    size = _CELLS_PER_PROCESS * workers
    for portion in (work[first : first + size] for first in range(0, len(work), size)):
        # A shell that starts a command in the background lets it ignore SIGINT, and so its children
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_heed_interrupts) as pool:
            yield from pool.map(_checked, *zip(*portion, strict=True), chunksize=4)


if __name__ == "__main__":
    sys.exit(main())
