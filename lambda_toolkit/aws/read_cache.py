"""Memoized reads, shared by threads: each key is read once (single flight)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

_T = TypeVar("_T")


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
