"""Independent reads, made in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from lambda_toolkit.aws.client import READERS
from lambda_toolkit.errors import ToolkitError, raise_all

_T = TypeVar("_T")
_P = ParamSpec("_P")
Task = Callable[[], _T]


def task(read: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> Task[_T]:
    """``read`` with its arguments, to be called later."""
    return lambda: read(*arguments, **named)


def gather(tasks: Sequence[Task[_T]], ahead: Sequence[Task[object]] = ()) -> list[_T]:
    """What ``tasks`` return, in their order. Raises all that they raised, together (:func:`raise_all`).

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
