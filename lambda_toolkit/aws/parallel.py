"""Run independent reads in parallel."""

from __future__ import annotations

import threading
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


def run_parallel(tasks: Sequence[Task[_T]], prefetch: Sequence[Task[object]] = ()) -> list[_T]:
    """The results of ``tasks``, in their order. Raises all ToolkitErrors of theirs together (:func:`raise_all`).

    ``prefetch`` are cached reads (:class:`ReadCache`) that the tasks will need. They start first, so that no worker
    idles while there is something to read. Their results and errors reach the tasks through the cache.
    """
    if not tasks:
        return []
    with ThreadPoolExecutor(min(READERS, len(tasks) + len(prefetch)), thread_name_prefix="read") as pool:
        for item in prefetch:
            pool.submit(item)
        futures = [pool.submit(item) for item in tasks]
    problems: list[ToolkitError] = []
    results: list[_T] = []
    for future in futures:
        error = future.exception()
        if error is None:
            results.append(future.result())
        elif isinstance(error, ToolkitError):
            problems.append(error)
        else:
            raise error
    raise_all(problems)
    return results


class Locks:
    """Locks by name, created on first use. Thread-safe."""

    def __init__(self) -> None:
        self._creating = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def get(self, name: str) -> threading.Lock:
        """The lock called ``name``."""
        with self._creating:
            return self._locks.setdefault(name, threading.Lock())
