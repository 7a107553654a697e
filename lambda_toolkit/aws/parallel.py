"""Run independent reads in parallel, each once: memoized reads are shared by threads (single flight)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast

from lambda_toolkit.aws.client import READERS
from lambda_toolkit.aws.interrupts import deferred_interrupts
from lambda_toolkit.errors import ToolkitError, raise_all

_T = TypeVar("_T")
_P = ParamSpec("_P")
Task = Callable[[], _T]
READ = "read"
"""The beginning of the names of the threads in which reads run."""
_POLL = 0.5  # seconds after which an interruption is noticed while tasks run


def task(read: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> Task[_T]:
    """``read`` with its arguments, to be called later."""
    return lambda: read(*arguments, **named)


def run_parallel(tasks: Sequence[Task[_T]], prefetch: Sequence[Task[object]] = ()) -> list[_T]:
    """The results of ``tasks``, in their order. Raises all ToolkitErrors of theirs together (:func:`raise_all`).

    Raises KeyboardInterrupt on Ctrl-C, while reads may still run.

    ``prefetch`` are cached reads (:class:`ReadCache`) that the tasks will need. They start first, so that no worker
    idles while there is something to read. Their results and errors reach the tasks through the cache.
    """
    if not tasks:
        return []
    interrupted = threading.Event()
    with deferred_interrupts(interrupted):
        pool = ThreadPoolExecutor(min(READERS, len(tasks) + len(prefetch)), thread_name_prefix=READ)
        try:
            for item in prefetch:
                pool.submit(item)
            futures = [pool.submit(item) for item in tasks]
            while wait(futures, _POLL).not_done and not interrupted.is_set():
                pass
        finally:  # a read changes nothing: an interruption does not wait for those that AWS does not answer
            pool.shutdown(wait=not interrupted.is_set(), cancel_futures=interrupted.is_set())
    if interrupted.is_set():  # the caller's handler of SIGINT did not raise
        raise KeyboardInterrupt
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


@contextmanager
def readers(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of ``count`` threads for reads, which a KeyboardInterrupt in the block does not wait for."""
    pool = ThreadPoolExecutor(count, thread_name_prefix=READ)
    is_interrupted = False
    try:
        yield pool
    except KeyboardInterrupt:
        is_interrupted = True
        raise
    finally:
        pool.shutdown(wait=not is_interrupted, cancel_futures=is_interrupted)


class Locks:
    """Locks by name, created on first use. Thread-safe."""

    def __init__(self) -> None:
        self._creating = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def get(self, name: str) -> threading.Lock:
        """The lock called ``name``."""
        with self._creating:
            return self._locks.setdefault(name, threading.Lock())


class ReadCache:
    """Results of reads by key, exceptions among them: another round of retries would not help.

    Thread-safe. The first caller for a key reads in its own thread; others wait for that result, and so never for a
    free worker. A read may use other cached reads, as long as they do not depend on it in turn.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[object, Future[Any]] = {}

    def get(self, key: object, read: Callable[[], _T]) -> _T:
        """The result of the first ``read`` for ``key``. Concurrent callers wait for it. Raises what it raised."""
        with self._lock:
            future = self._futures.get(key)
            is_first = future is None
            if future is None:
                future = self._futures[key] = Future()
        if is_first:
            try:
                future.set_result(read())
            except BaseException as error:
                future.set_exception(error)  # release the waiting threads, whatever the exception is
        return cast("_T", future.result())
