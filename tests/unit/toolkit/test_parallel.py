"""However many threads call, no more calls run concurrently than there are connections."""

from __future__ import annotations

import threading
import time
from typing import Any

from lambda_toolkit.aws.botocore_clients import Clients
from lambda_toolkit.aws.client import READERS, WRITERS, Aws
from lambda_toolkit.aws.parallel import Locks, run_parallel, task


class Busy:
    """A client whose calls take their time, and that counts how many are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = self.most = 0

    def describe(self, **_: Any) -> dict[str, Any]:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.1)
        with self._lock:
            self._now -= 1
        return {}


def test_reads_that_gather_reads(monkeypatch) -> None:
    aws, busy = Aws("eu-west-2"), Busy()
    monkeypatch.setattr(Clients, "get", lambda self, service, operation="": busy)
    part = [task(aws.call, "s3", "describe") for _ in range(5)]
    assert len(run_parallel([task(run_parallel, part) for _ in range(READERS)])) == READERS
    assert 1 < busy.most <= READERS + WRITERS


def test_locks_of_one_name_are_one_lock() -> None:
    locks = Locks()
    with locks.get("a"):
        assert not locks.get("a").acquire(blocking=False)
        assert locks.get("b").acquire(blocking=False)
