"""Business in the source that goes on while things break, as it would."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pg8000.native

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.totesys.business_day import simulate

RATE = 40.0  # events a minute
PAUSE = 1.0  # seconds before another attempt where the source does not answer
_FAILURES = (LocalError, pg8000.native.DatabaseError, pg8000.native.InterfaceError, OSError)


class _ClosedError(Exception):
    """The shop closes."""


class Business:
    """Orders, payments, corrections and deletions in the source, until it is closed."""

    def __init__(self, source: Database) -> None:
        self._source = source
        self._closing = threading.Event()
        self._seed = 0
        self.events = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let business happen during the block. What the source refuses, as it is stopped, does not happen."""
        self._closing.clear()
        thread = threading.Thread(target=self._go_on, name="business")
        thread.start()
        try:
            yield
        finally:
            self._closing.set()
            thread.join()

    def _go_on(self) -> None:
        while not self._closing.is_set():
            self._seed += 1
            try:
                simulate(self._source, rate=RATE, minutes=1e4, seed=self._seed, wait=self._wait, on_event=self._count)
            except _ClosedError:
                return
            except _FAILURES:
                self._closing.wait(PAUSE)

    def _count(self, _: str) -> None:
        self.events += 1

    def _wait(self, seconds: float) -> None:
        if self._closing.wait(seconds):
            raise _ClosedError
