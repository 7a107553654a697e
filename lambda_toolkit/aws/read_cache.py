"""Memoized reads, shared by threads: each key is read once (single flight)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

_T = TypeVar("_T")


class ReadCache:
    """Results of reads by key. With ``keeps_failures``, exceptions are cached too.

    Thread-safe. The first caller for a key reads in its own thread; others wait for that result, and so never for a
    free worker. A read may use other cached reads, as long as they do not depend on it in turn.
    """

    def __init__(self, *, keeps_failures: bool = False) -> None:
        self._keeps_failures = keeps_failures
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
                if not self._keeps_failures:
                    self._forget(key, future)
                future.set_exception(error)  # release the waiting threads, whatever the exception is
        return cast("_T", future.result())

    def move(self) -> ReadCache:
        """Move all results into a new cache, which keeps failures. This one is empty afterwards."""
        other = ReadCache(keeps_failures=True)
        with self._lock:
            other._futures, self._futures = self._futures, {}
        return other

    def _forget(self, key: object, future: Future[Any]) -> None:
        """Remove ``future``, unless it was moved to another cache or replaced meanwhile."""
        with self._lock:
            if self._futures.get(key) is future:
                del self._futures[key]
