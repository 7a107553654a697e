"""Trials that are interrupted: what was begun is finished, and its copy is deleted only then."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mutants import trial
from tests.mutants.python_operators import mutants
from tests.mutants.reach import PassingTest, Reach

CODE = "def f(a):\n    return a < 1\n"


class AlwaysReached(Reach):
    def tests_of(self, mutant: object, text: str) -> list[PassingTest]:
        return [PassingTest("tests/test_it.py::test_f", 0.1, 0.1)]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Where tests run in the background of a shell, Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_for_the_mutant_that_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruptible: None
) -> None:
    events: list[str] = []

    class Interrupted:
        def run(self, file: str, text: str, tests: object) -> dict[str, Any]:
            os.kill(os.getpid(), signal.SIGINT)
            trials._stopping.wait(10)
            threading.Event().wait(0.2)  # time for whoever does not wait
            events.append("tried")
            return {"outcome": "survived", "by": None, "when": None, "seconds": 0.0}

    @contextlib.contextmanager
    def worker(texts: object) -> Iterator[Interrupted]:
        yield Interrupted()
        events.append("copy deleted")

    monkeypatch.setattr(trial, "worker", worker)
    monkeypatch.setattr(trial, "STORE", tmp_path)
    monkeypatch.setattr(trial, "RESULTS", tmp_path / "results.jsonl")
    tried: list[trial.Result] = []
    trials = trial.Trials(AlwaysReached(), {"a.py": CODE}, 10.0, tried.append)
    with pytest.raises(KeyboardInterrupt):
        trials.run(mutants("a.py", CODE), workers=1)
    assert events == ["tried", "copy deleted"]
    assert len(tried) == 1 < len(mutants("a.py", CODE)), "the others are left"
    assert list(trial.known_results()) == [tried[0].id]
