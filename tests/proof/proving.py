"""One history from its beginning to its end, and many of them from a seed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from unittest import mock

import hypothesis

from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSnapshot
from lambda_toolkit.pipeline.lambdas.shared.messages.part_events import PartRequest, PartResult
from lambda_toolkit.pipeline.lambdas.shared.messages.read_events import ReadRequest, ReadResult
from tests.proof.comparison import compare_lake, compare_objects, compare_ranges, compare_twin, compare_warehouse
from tests.proof.shrinking import shrink, written
from tests.proof.simulation import Simulation
from tests.proof.steps import History, Secure, histories
from tests.support.part_workers import Change
from tests.support.readers import ChangedReaders, quick, ranges_of_two

REFERRED = ("design", "specimen")  # tables of dimensions, of which policies hide rows
Prove = Callable[[Simulation, History], None]


class BrokenError(AssertionError):
    """A history after which something is not as promised, made short; and how to repeat it."""

    def __init__(self, seed: int, prove: Prove, history: History, problem: BaseException) -> None:
        super().__init__(
            f"{type(problem).__name__}: {problem}\nThe shortest history found (seed {seed}); "
            f"repeat it with tests.proof.proving.{prove.__name__}(world, history):\n\nhistory = {written(history)}"
        )


def prove(world: Simulation, history: History, begin: Callable[[], object] = lambda: None) -> None:
    """Performs ``history`` in a simulation in its initial state, drains it, and compares all of it; then again, with
    every bad value corrected. ``begin`` is called before the first step.
    """
    world.reset()
    begin()
    try:
        world.perform(history)
        world.settle()
        compare_warehouse(world)
        compare_twin(world)
        if world.repair():
            world.settle()
            compare_warehouse(world)
            compare_twin(world)
        compare_lake(world)
        world.counts["histories"] += 1
    finally:
        world.forget()


def prove_in_ranges(world: Simulation, history: History) -> None:
    """The same with runs that read two rows of what is not read yet, and leave the rest to the next.

    Without policies of a dimension: a row that they hide before its range is read never arrives, and the facts that
    refer to it wait. The oracle does not know which ranges were read.
    """
    world.reset()
    world.limits = Limits(rows=2)
    try:
        world.perform([step for step in history if not (isinstance(step, Secure) and step.table in REFERRED)])
        world.settle()
        world.repair()
        world.settle()
        compare_ranges(world)
        compare_twin(world)
        compare_objects(world)
        world.counts["histories"] += 1
    finally:
        world.forget()


def prove_by_readers(world: Simulation, history: History, change_part: Change | None = None) -> None:
    """As ``prove``, where every table of which something is to be read is read by readers, in ranges of two rows.

    Every fourth of them dies after it has read. Without policies: their tables are compared by content, and extract
    alone reads those. ``change_part``: see ``prove_in_parts``.
    """
    number = itertools.count(1)

    def read(request: ReadRequest, really: Callable[[ReadRequest], ReadResult]) -> ReadResult:
        found = really(request)
        if next(number) % 4 == 0 and world.readers.requests.count(request) == 1:
            raise ConnectionResetError("a reader died")
        return found

    def begin() -> None:
        world.limits = Limits(bytes=1)  # nothing fits into a batch, and yet a batch may have every row
        world.fan_out = quick(ChangedReaders(world.readers, read), range_rows=2)
        world.readers.requests.clear()
        world.change_part = change_part

    with mock.patch.object(PostgresSnapshot, "ranges", ranges_of_two):
        prove(world, [step for step in history if not isinstance(step, Secure)], begin)


def prove_in_parts(world: Simulation, history: History) -> None:
    """As ``prove_by_readers``, and every file that a reader stored is a part that a worker transforms.

    Every fifth worker dies after it has stored its files, and every seventh answers that it read something else.
    """
    number = itertools.count(1)

    def change(request: PartRequest, really: Callable[[PartRequest], PartResult]) -> PartResult:
        found, at = really(request), next(number)
        if at % 5 == 0:
            raise ConnectionResetError("a worker died")
        return replace(found, read=found.read + 1) if at % 7 == 0 else found

    prove_by_readers(world, history, change)


def prove_over_connections(world: Simulation, history: History) -> None:
    """As ``prove``, where the first rows of every fact are loaded over several connections, and die with load.

    Use ``small_thresholds`` around it.
    """

    def begin() -> None:
        world.load_connections = 2

    prove(world, history, begin)


def prove_many(world: Simulation, seed: int, number: int, prove: Prove = prove) -> None:
    """``number`` random histories, the same for the same ``seed``. Raises BrokenError with the first that fails."""
    failed: list[tuple[History, Exception]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=number,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.generate,),
    )
    @hypothesis.given(history=histories())
    def examine(history: History) -> None:
        if failed:
            return
        try:
            prove(world, history)
        except Exception as problem:
            failed.append((history, problem))

    examine()
    if failed:
        history, problem = failed[0]
        raise BrokenError(seed, prove, *_shortest(world, history, problem, prove)) from problem


def _shortest(world: Simulation, history: History, problem: Exception, prove: Prove) -> tuple[History, Exception]:
    """The history shrunk, unless HISTORIES_AS_FOUND is set; and what was wrong after it."""
    if os.environ.get("HISTORIES_AS_FOUND"):
        return history, problem

    def fails(candidate: History) -> bool:
        nonlocal problem
        try:
            prove(world, candidate)
        except Exception as found:
            problem = found
            return True
        return False

    return shrink(history, fails), problem
