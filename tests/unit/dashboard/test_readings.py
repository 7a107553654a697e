"""Documents are read once for all pages, again when they are old; a failure is shown where the document would be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from lambda_toolkit.pipeline.dashboard.readings import Reading, Readings, Source


class Read:
    """A read that counts its calls and fails where `error` is set."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.error: Exception | None = None

    def __call__(self, *arguments: str) -> dict[str, Any]:
        self.calls.append(arguments)
        if self.error:
            raise self.error
        return {"number": len(self.calls)}


def readings(
    read: Callable[..., dict[str, Any]], times: list[float], *, seconds: float = 2.0, wait: float = 8.0
) -> Readings:
    """`times` has the time in its last element."""
    return Readings({"it": Source(read, seconds)}, lambda error: f"Why: {error}", lambda: times[-1], wait=wait)


def test_document_is_read_again_when_it_is_old():
    read, times = Read(), [0.0]
    found = readings(read, times)
    assert [found.all([("it",)])["it"].document for _ in range(3)] == [{"number": 1}] * 3
    times.append(1.9)
    assert found.all([("it",)])["it"].document == {"number": 1}
    times.append(2.0)
    assert found.all([("it",)])["it"].document == {"number": 2}
    assert found.all([("it", "a", "b")])["it"].document == {"number": 3} and read.calls[-1] == ("a", "b")


def test_slow_read_is_repeated_less_often():
    """A read of 3 s takes at most a fifth of the time."""
    times = [0.0]

    def read() -> dict[str, Any]:
        times.append(times[-1] + 3)
        return {"read_at": times[-1]}

    found = readings(read, times)
    for at, expected in ((0, 3), (17.9, 3), (18, 21)):
        times.append(max(times[-1], at))
        assert found.all([("it",)])["it"].document == {"read_at": expected}


def test_failure_is_shown_with_what_was_read_before():
    read, times = Read(), [0.0]
    read.error = ValueError("down")
    found = readings(read, times)
    assert found.all([("it",)])["it"] == Reading(None, "Why: down")
    read.error = None
    times.append(2.0)
    assert found.all([("it",)])["it"] == Reading({"number": 2})
    read.error = ValueError("down again")
    times.append(4.0)
    failed = found.all([("it",)])["it"]
    assert failed == Reading({"number": 2}, "Why: down again")
    assert failed.to_json() == {"error": "Why: down again"} and Reading({"a": 1}).to_json() == {"a": 1}
    assert Reading().to_json() == {"error": ""}


def test_read_that_hangs_keeps_no_page_waiting():
    """It runs once however many pages ask, and its document is there when it comes."""
    going, read = threading.Event(), Read()

    def slow() -> dict[str, Any]:
        going.wait(30)
        return read()

    found = readings(slow, [0.0], wait=0.01)
    for _ in range(20):
        assert "no answer" in str(found.all([("it",)])["it"].problem)
    going.set()
    while found.all([("it",)])["it"].problem is not None:
        pass
    assert found.all([("it",)])["it"].document == {"number": 1}
    found.close()


def test_old_entries_are_forgotten():
    """Any batch and key can be asked for: a page that is open for weeks keeps the last ones only."""
    read, times = Read(), [0.0]
    found = readings(read, times)
    found._sources = {**found._sources, "other": found._sources["it"]}
    found.all([("other",)])
    for number in range(200):
        found.all([("it", str(number))])
    assert list(found._entries) == [("other",), *(("it", str(number)) for number in range(168, 200))]


def test_document_that_is_always_read_may_be_slow():
    """Without a time to live, such as in tests and for programs, every look is a read."""
    times = [0.0]

    def read() -> dict[str, Any]:
        times.append(times[-1] + 3)
        return {"read_at": times[-1]}

    found = readings(read, times, seconds=0.0)
    assert [found.all([("it",)])["it"].document for _ in range(2)] == [{"read_at": 3.0}, {"read_at": 6.0}]


def test_end_waits_for_no_read_and_starts_no_other():
    """There are fewer threads than documents here: those that have none yet are never read."""
    going, read = threading.Event(), Read()

    def slow(*arguments: str) -> dict[str, Any]:
        going.wait(30)
        return read(*arguments)

    found = readings(slow, [0.0], wait=0.01)
    found.all([("it", str(number)) for number in range(30)])
    found.close()
    assert read.calls == []
    going.set()
    found._pool.shutdown()
    assert 0 < len(read.calls) < 30
