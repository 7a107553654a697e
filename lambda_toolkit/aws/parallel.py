"""Independent reads, made in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from lambda_toolkit.aws.client import READERS
from lambda_toolkit.aws.retries import OF_THE_CALLER
from lambda_toolkit.errors import AwsError, PlanError, ToolkitError

_T = TypeVar("_T")
_P = ParamSpec("_P")
Task = Callable[[], _T]


def task(read: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> Task[_T]:
    """``read`` with its arguments, to be called later."""
    return lambda: read(*arguments, **named)


def gather(tasks: Sequence[Task[_T]], ahead: Sequence[Task[object]] = ()) -> list[_T]:
    """What ``tasks`` return, in their order. Raises what they raised, all of it: see :func:`raise_all`.

    ``ahead`` are reads that tasks will ask for once (:meth:`Aws.once`). They are started first, so that no worker
    waits while there is something to ask; what they return or raise is left to the tasks that ask again.
    """
    if not tasks:
        return []
    with ThreadPoolExecutor(min(READERS, len(tasks) + len(ahead)), thread_name_prefix="read") as pool:
        for item in ahead:
            pool.submit(item)
        futures = [pool.submit(item) for item in tasks]
    problems: list[ToolkitError] = []
    answers: list[_T] = []
    for future in futures:
        error = future.exception()
        if error is None:
            answers.append(future.result())
        elif isinstance(error, ToolkitError):
            problems.append(error)
        else:
            raise error
    raise_all(problems)
    return answers


def raise_all(problems: Sequence[ToolkitError]) -> None:
    """Raise the problem, or a PlanError of all of them; nothing where there is none.

    What is told twice is told once, and so are missing credentials, which each call misses.
    """
    by_subject: dict[str, ToolkitError] = {}
    for problem in problems:
        by_subject.setdefault(_subject(problem), problem)
    distinct = list(by_subject.values())
    if len(distinct) == 1:
        raise distinct[0]
    if distinct:
        raise PlanError(distinct)


def _subject(problem: ToolkitError) -> str:
    """What two problems share that need not both be told."""
    return problem.code if isinstance(problem, AwsError) and problem.code in OF_THE_CALLER else str(problem)
