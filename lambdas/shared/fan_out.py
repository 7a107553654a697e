"""Requests that others answer, so many at a time: tried again where they fail, and given up where they take too long.

Readers of extract and parts of transform are asked for in this way. What an answer is worth, who asked decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from .messages.message import Message

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


@dataclass(frozen=True, kw_only=True)
class AskLimits:
    """How often a request is tried, and for how long answers are waited for."""

    attempts: int = 3
    """How often a request is tried."""
    pause: float = 1.0
    """Seconds before the second try of a request, and twice as many before the third."""
    heartbeat: float = 20.0
    """Seconds after which whoever waits may do something else, such as keep a transaction open."""
    share: float = 0.5
    """Of the time that an invocation has left, for the answers of others: the rest is for doing without."""
    seconds: float = 420.0
    """The most that the answers of others may take."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep

    def end(self, seconds_left: float) -> float:
        """When no answer is waited for any more, by ``clock``, in an invocation that has so many seconds left."""
        return self.clock() + min(self.seconds, seconds_left * self.share)


@dataclass(frozen=True)
class NoAnswer:
    """A request without an answer."""

    reason: str
    """What became of it, after its name: ``failed 3 times: ClientError``."""
    error: BaseException | None = None


class Gathering(Generic[Q, A]):
    """Asks for ``requests`` in threads, ``together`` of them at a time, as a context manager.

    Its threads are not waited for when it is left: an answer that comes later is not read.
    """

    def __init__(
        self, ask: Callable[[Q], A], requests: Sequence[Q], together: int, limits: AskLimits, seconds_left: float
    ) -> None:
        self._ask, self._requests, self._limits = ask, requests, limits
        self._end = limits.end(seconds_left)
        self._pool = ThreadPoolExecutor(together, thread_name_prefix="asking")
        self._waiting: dict[Future[A], tuple[Q, int]] = {}

    def __enter__(self) -> Self:
        """Begins to ask."""
        self._waiting = {self._pool.submit(self._ask, request): (request, 1) for request in self._requests}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends asking; what runs, runs on."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def answers(self, beat: Callable[[], object] = lambda: None) -> Iterator[tuple[Q, A | NoAnswer]]:
        """Each request once, with its answer, in the order in which they come. ``beat`` is called in between."""
        while self._waiting:
            left = self._end - self._limits.clock()
            done, _ = wait(self._waiting, max(0.0, min(left, self._limits.heartbeat)), FIRST_COMPLETED)
            if left <= 0 and not done:
                for request, _ in self._waiting.values():
                    yield request, NoAnswer("took too long")
                return
            beat()
            for future in done:
                request, attempt = self._waiting.pop(future)
                error = future.exception()
                if error is None:
                    yield request, future.result()
                elif attempt < self._limits.attempts:
                    self._waiting[self._pool.submit(self._again, request, attempt)] = (request, attempt + 1)
                else:
                    yield request, NoAnswer(f"failed {attempt} times: {type(error).__name__}", error)

    def _again(self, request: Q, attempt: int) -> A:
        self._limits.sleep(self._limits.pause * attempt)
        return self._ask(request)
