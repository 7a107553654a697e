"""Smaller runs of the benchmark of readers predict the largest, by the model of ``backfill --plan``."""

from __future__ import annotations

import os
import re

import pytest

from benchmarks.parallel_prediction import Checking, Reading, predictions
from lambda_toolkit.pipeline.cost.rates import rates
from lambda_toolkit.pipeline.cost.reading import MILLION, Machines, ReadingRates, reading_time
from tests.support.repository import REPOSITORY

PAGE = (REPOSITORY / "docs" / "scale.md").read_text(encoding="utf-8")
NEAR = 0.2


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


def table(marker: str) -> list[list[str]]:
    """The rows of a table of docs/scale.md, without its head."""
    text = PAGE.partition(f"<!-- {marker} -->")[2].partition("<!-- end -->")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().replace(",", "") for cell in line.strip("|").split("|")] for line in lines[2:]]


def measured() -> list[Reading]:
    """What the page has of each size; who wrote meanwhile is not in it."""
    return [
        Reading(int(row[0]), int(row[1]), float(row[2]), 0.0, *map(float, row[4:7]), 0.0, *map(int, row[7:11]), 0)
        for row in table("reading in parallel")
    ]


def cores() -> int:
    return int(re.search(r"<!-- reading in parallel -->\n[^\n]*?(\d+) cores", PAGE)[1])  # type: ignore[index]


def test_hundred_million_rows_are_predicted_by_smaller_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the runs of the page: whole, and each number of readers within a fifth."""
    readings = measured()
    monkeypatch.setattr(os, "cpu_count", cores)
    assert all((each.missing, each.doubled, each.other_sums) == (0, 0, 0) for each in readings)
    each_size = {each.rows for each in readings}
    added_up = [Checking(rows, rows / MILLION * rates().seconds["add_up"], 0.0) for rows in each_size]
    found = predictions(readings, added_up)
    assert [row[:2] for row in found] == [["1", "100,000,000"], ["8", "100,000,000"]]
    for row in (*found, *table("reading in parallel, predicted")):
        assert float(row[2]) == pytest.approx(float(row[3]), rel=NEAR), row


def test_rates_of_the_plan_are_those_of_the_measured_run() -> None:
    """`backfill --plan` would say of the machine of the page what was measured there, within a fifth."""
    of, machine = rates().seconds, float(cores())
    per_million = ReadingRates(of["stream"], of["reader"], of["send"] + of["add_up_cpu"], of["add_up"])
    for each in measured():
        if each.rows == max(other.rows for other in measured()):
            millions = each.rows / MILLION
            time = reading_time(millions, per_million, Machines(each.readers, machine, machine, machine))
            assert time.seconds + millions * of["count"] == pytest.approx(each.seconds, rel=NEAR)
