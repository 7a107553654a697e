"""A value is read once: every waiting thread gets the value, or the read's error."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lambda_script import AwsError, PlanError
from lambda_toolkit.aws.parallel import ReadCache, run_parallel
from lambda_toolkit.errors import raise_all

TIMEOUT = 10  # seconds after which a waiting test fails


def test_several_threads_read_once() -> None:
    once, begun, goes_on, reads = ReadCache(), threading.Event(), threading.Event(), []

    def read() -> int:
        reads.append(1)
        begun.set()
        assert goes_on.wait(TIMEOUT)
        return 5

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(once.get, "a", read)
        assert begun.wait(TIMEOUT)
        others = [pool.submit(once.get, "a", read) for _ in range(2)]
        goes_on.set()
        assert [future.result(TIMEOUT) for future in (first, *others)] == [5, 5, 5]
    assert len(reads) == 1


def test_an_error_is_raised_in_every_thread_that_waits_and_kept() -> None:
    once, begun, goes_on, reads = ReadCache(), threading.Event(), threading.Event(), []

    def fail() -> int:
        reads.append(1)
        begun.set()
        assert goes_on.wait(TIMEOUT)
        raise AwsError("no")

    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(once.get, "a", fail)
        assert begun.wait(TIMEOUT)
        waiting = pool.submit(once.get, "a", fail)
        goes_on.set()
        for future in (reading, waiting):
            with pytest.raises(AwsError, match="no"):
                future.result(TIMEOUT)
    with pytest.raises(AwsError, match="no"):
        once.get("a", fail)
    assert len(reads) == 1


def test_failed_prefetch_is_raised_by_the_task_that_reads() -> None:
    """A read ahead that breaks is raised by the task that asks again."""
    once = ReadCache()

    def break_() -> int:
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        run_parallel([lambda: once.get("a", break_)], prefetch=[lambda: once.get("a", break_)])
    assert run_parallel([lambda: 1], prefetch=[break_]) == [1], "no task needs the prefetched value"


def test_more_reads_that_need_each_other_than_workers() -> None:
    """Whoever waits does so for a thread that reads, never for one that has yet to start."""
    once = ReadCache()

    def chain(number: int) -> int:
        return once.get(number, lambda: chain(number - 1) + 1 if number else 0)

    assert run_parallel([lambda number=number: chain(number) for number in reversed(range(100))])[0] == 99


def test_same_missing_setting_is_reported_once() -> None:
    missing = [AwsError(f"{call}: no credentials", code="NoCredentialsError") for call in ("one", "two")]
    with pytest.raises(AwsError, match="^one: no credentials$"):
        raise_all(missing)
    with pytest.raises(PlanError) as caught:
        raise_all([*missing, AwsError("x", code="AccessDenied"), AwsError("y", code="AccessDenied")])
    assert [str(problem) for problem in caught.value.problems] == ["one: no credentials", "x", "y"]
