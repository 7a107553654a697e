"""Documents that are read when they are needed, each at most once in its time to live, and failures in their place."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.parallel import READ

Document = Mapping[str, Any]
Request = tuple[str, ...]
"""The name of a document, and the arguments of its read."""

_SHARE = 5  # a document is read in at most a fifth of the time, however long one read takes
_WAIT = 8.0  # seconds that a page waits for its documents
_THREADS = 12
_KEPT = 32  # entries of one document with different arguments: any batch and key may be asked for


@dataclass(frozen=True)
class Reading:
    """A document, or why it could not be read; what was read last may be there with the problem."""

    document: Document | None = None
    problem: str | None = None
    """Why the last attempt failed, a sentence or more for a person."""

    def to_json(self) -> Document:
        """The document, or ``{"error": message}``, as the commands print it."""
        if self.problem is not None or self.document is None:
            return {"error": self.problem or ""}
        return self.document


@dataclass(frozen=True)
class Source:
    """How a document is read, and for how long one is shown."""

    read: Callable[..., Document]
    seconds: float
    """Its time to live."""


@dataclass
class _Entry:
    reading: Reading | None = None
    until: float = 0.0
    running: Future[None] | None = None


class Readings:
    """The documents of ``sources``, shared by all pages that are open. Thread-safe; each read runs once at a time.

    ``explain(error)`` is the message about an error of a read. ``clock`` gives seconds from any origin. ``wait`` is how
    many seconds a caller waits for a document: one that takes longer is there the next time.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        explain: Callable[[Exception], str],
        clock: Callable[[], float] = time.monotonic,
        *,
        wait: float = _WAIT,
    ) -> None:
        self._sources = sources
        self._explain = explain
        self._clock = clock
        self._wait = wait
        self._entries: dict[Request, _Entry] = {}
        self._changing = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=READ)

    def all(self, requests: Iterable[Request], wait: float | None = None) -> dict[str, Reading]:
        """The readings of ``requests`` by the names of their documents, read in parallel; ``wait``: for so long."""
        entries = {request: self._started(request) for request in requests}
        futures.wait([entry.running for entry in entries.values() if entry.running], wait or self._wait)
        return {request[0]: self._result(entry) for request, entry in entries.items()}

    def close(self) -> None:
        """End the threads, without waiting for reads that hang."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _started(self, request: Request) -> _Entry:
        """The entry of ``request``; where it is out of date, its read has been started."""
        with self._changing:
            entry = self._entries.setdefault(request, _Entry())
            if (entry.running is None or entry.running.done()) and self._clock() >= entry.until:
                context = contextvars.copy_context()
                entry.running = self._pool.submit(context.run, self._read, request, entry)
            same = [each for each in self._entries if each[0] == request[0] and each != request]
            for each in same[: 1 - _KEPT]:
                del self._entries[each]
            return entry

    def _result(self, entry: _Entry) -> Reading:
        """What is known of it now."""
        if entry.reading is not None:
            return entry.reading
        return Reading(None, f"There was no answer within {self._wait:.0f} s. It is shown when it comes.")

    def _read(self, request: Request, entry: _Entry) -> None:
        name, *arguments = request
        source, begun = self._sources[name], self._clock()
        try:
            reading = Reading(source.read(*arguments))
        except Exception as error:
            before = entry.reading.document if entry.reading else None
            reading = Reading(before, self._explain(error))
        ended = self._clock()
        entry.reading = reading
        entry.until = ended + max(source.seconds, (ended - begun) * _SHARE if source.seconds else 0.0)
