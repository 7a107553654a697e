"""Smaller runs of the benchmark of readers predict the largest, by the model of ``backfill --plan``."""

from __future__ import annotations

import pytest

from benchmarks.parallel_prediction import Checking, Reading, predictions


def test_smaller_runs_predict_the_largest() -> None:
    """Runs that take what the model says, and a second: the benchmark predicts the largest of them from the others."""

    def run(millions: int, readers: int) -> Reading:
        seconds = 1.0 + millions * (1.5 if readers == 1 else 0.8)
        busy = (1.0, 0.1, 0.1, 0.7 * millions, 0.9 * millions, 0.0)
        return Reading(millions * 1_000_000, readers, seconds, *busy[1:5], busy[5], 0, 0, 0, 0, 0)

    sizes = (2, 5, 100)
    found = predictions(
        [run(size, count) for size in sizes for count in (1, 8)],
        [Checking(size * 1_000_000, 0.1 * size, 0.1 * size) for size in sizes],
    )
    assert [row[0] for row in found] == ["1", "8"]
    assert float(found[0][2]) == pytest.approx(151, rel=0.01)
    assert float(found[1][2]) <= float(found[1][3]) * 1.2
