"""Ctrl-C as an event that code asks for, instead of an exception between any two instructions."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupts(interrupted: threading.Event) -> Iterator[None]:
    """Within the block, SIGINT sets ``interrupted``; at its end, the handler that was there before is called.

    That is Python's own as a rule, which raises KeyboardInterrupt. Raised within the block, it could end the wait for
    threads that still write, or leave a lock of theirs in an unknown state. Other threads than the main one get no
    signals, and nothing is changed there, nor where SIGINT is ignored or handled outside Python.

    https://docs.python.org/3/library/signal.html#signals-and-threads
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    received: list[FrameType | None] = []

    def note(_: int, frame: FrameType | None) -> None:
        received.append(frame)
        interrupted.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if received:
            before(signal.SIGINT, received[0])
