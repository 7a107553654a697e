"""What is read once and kept, however many threads ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

_T = TypeVar("_T")


class Once:
    """Answers by their keys. With ``keeps_failures`` what was raised is kept as well.

    Safe to share between threads. A read may ask for others once, as long as none of them asks for it: whoever asks
    first reads, in its own thread, so that those who wait never wait for a worker.
    """

    def __init__(self, *, keeps_failures: bool = False) -> None:
        self._keeps_failures = keeps_failures
        self._lock = threading.Lock()
        self._known: dict[object, Future[Any]] = {}

    def get(self, key: object, read: Callable[[], _T]) -> _T:
        """What ``read`` returned the first time it was asked for under ``key``; other threads wait for that one."""
        with self._lock:
            future = self._known.get(key)
            mine = future is None
            if future is None:
                future = self._known[key] = Future()
        if mine:
            try:
                future.set_result(read())
            except BaseException as error:
                if not self._keeps_failures:
                    self._forget(key, future)
                future.set_exception(error)  # whoever waits shall wait no longer, whatever it is
        return cast("_T", future.result())

    def move(self) -> Once:
        """Another one that knows what this one knew, and keeps failures. This one knows nothing any more."""
        other = Once(keeps_failures=True)
        with self._lock:
            other._known, self._known = self._known, {}
        return other

    def _forget(self, key: object, future: Future[Any]) -> None:
        """Unless it went elsewhere meanwhile, or was asked for anew."""
        with self._lock:
            if self._known.get(key) is future:
                del self._known[key]
