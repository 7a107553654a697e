"""A process that gets a share of one processor, as a Lambda function of little memory does."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

FULL = 1769  # MB: with so much memory a function has one processor, with others in proportion
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
PERIOD = 0.02  # seconds, in each of which the process gets its share
_GLANCE = 0.001  # seconds between two looks at what it used


def share_of(memory: int) -> float:
    """How many processors a function of so many MB has."""
    return memory / FULL


@contextlib.contextmanager
def throttled(process: int, share: float) -> Iterator[None]:
    """Stops ``process`` until the period ends whenever it has used its ``share`` of one, as the kernel's quota does.

    It loses nothing while it waits for the server: what it does not use of a period is lost, as with Lambda's quota.
    """
    over = threading.Event()
    thread = threading.Thread(target=_throttle, args=(process, share, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _throttle(process: int, share: float, over: threading.Event) -> None:
    clock = (~process << 3) | 2  # the process's own clock: clock_getcpuclockid(3)
    with contextlib.suppress(OSError):  # it has ended
        quota, debt = share * PERIOD, 0.0
        while not over.is_set():
            begun, used = time.monotonic(), time.clock_gettime(clock)
            left = quota - debt
            while time.monotonic() < begun + PERIOD and not over.is_set():
                if time.clock_gettime(clock) - used >= left:
                    os.kill(process, signal.SIGSTOP)
                    over.wait(max(0.0, begun + PERIOD - time.monotonic()))
                    os.kill(process, signal.SIGCONT)
                    break
                time.sleep(_GLANCE)
            debt = max(0.0, time.clock_gettime(clock) - used - left)  # a look comes late: the next periods pay
