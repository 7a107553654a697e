"""How time and memory of each function grow with the rows, from ten thousand to twenty million: tables and charts.

Totesys' payments, from an empty lake to an empty warehouse: first loads, which are the most that a function ever has to
do. Up to a million rows a size is measured several times, a larger one once.
Run: python -m benchmarks.growth, and see its --help
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.charts import Chart, drawn
from benchmarks.report import machine_now, markdown_table, replace_between, show_table
from benchmarks.rounds import Sample, measure, spread
from benchmarks.subjects import PAYMENT
from benchmarks.whole_path import STEPS, WholePath, scene

SIZES = (10_000, 100_000, 1_000_000, 5_000_000, 20_000_000)
COLUMNS = ("rows", "function", "wall s", "client cpu s", "rows per client cpu s", "server cpu s", "peak MB")
LINE_COLUMNS = ("function", "s for no row", "s for a million rows", "largest deviation", "MB, first to last size")
_OFTEN = 1_000_000  # rows: up to which sizes are measured as often as asked

Found = Mapping[int, Mapping[str, Sequence[Sample]]]


def main() -> int:
    """Measure each size, print, and write tables and charts into their places where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES, help="the sizes (10,000 to 20,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="samples of a size up to a million rows (3)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write tables and charts into this document")
    arguments = parser.parse_args()
    found: dict[int, dict[str, list[Sample]]] = {}
    with scene() as here:
        for rows in arguments.rows:
            path = WholePath(here, PAYMENT, rows)
            path.prepare()
            found[rows] = {}
            for step in STEPS:
                times = arguments.rounds if rows <= _OFTEN else 1
                found[rows] |= measure([path.step(step)], times, here.server.pid)
            path.remove()
    rows_of_table, lines = table(found), straight_lines(found)
    show_table("growth", COLUMNS, rows_of_table, ())
    show_table("straight lines", LINE_COLUMNS, lines, ())
    if arguments.into:
        when = f"{machine_now(arguments.rounds)}; more than a million rows: one sample\n\n"
        shown = drawn(charts(found), arguments.into)
        replace_between(arguments.into, "growth", when + markdown_table(COLUMNS, rows_of_table) + shown)
        replace_between(arguments.into, "straight lines", markdown_table(LINE_COLUMNS, lines))
    return 0


def table(found: Found) -> list[list[str]]:
    """A row for each size and function, as COLUMNS."""
    return [
        [
            f"{rows:,}",
            step,
            spread([sample.seconds for sample in samples]),
            spread([sample.client for sample in samples]),
            f"{rows / statistics.median(sample.client for sample in samples) / 1e6:.2f} M",
            spread([sample.server for sample in samples]),
            f"{statistics.median(sample.peak for sample in samples):.0f}",
        ]
        for rows, steps in found.items()
        for step, samples in steps.items()
    ]


def straight_lines(found: Found) -> list[list[str]]:
    """A row for each function, as LINE_COLUMNS: the line through the medians, by least squares."""
    return [
        [step, *_line(points), f"{peaks[0][1]:.0f} to {peaks[-1][1]:.0f}"]
        for step, points, peaks in (
            (step, _points(found, step, "seconds"), _points(found, step, "peak")) for step in STEPS
        )
    ]


def _line(points: Sequence[tuple[float, float]]) -> list[str]:
    """Weighted by the size, so that the small ones are not drowned by the noise of the large."""
    if len(points) < 2:
        return ["", "", ""]
    weights = [1 / rows for rows, _ in points]
    whole = sum(weights)
    x, y = (sum(w * point[axis] for w, point in zip(weights, points, strict=True)) / whole for axis in (0, 1))
    products = sum(w * (a - x) * (b - y) for w, (a, b) in zip(weights, points, strict=True))
    slope = products / sum(w * (a - x) ** 2 for w, (a, _) in zip(weights, points, strict=True))
    fixed = y - slope * x
    off = max(abs(b / (fixed + slope * a) - 1) for a, b in points)
    return [f"{fixed:.2f}", f"{slope * 1e6:.2f}", f"{off:.0%}"]


def charts(found: Found) -> dict[str, Chart]:
    """The name of each chart's file -> the chart."""
    return {
        "growth-time": Chart("rows", "seconds", {step: _points(found, step, "seconds") for step in STEPS}),
        "growth-memory": Chart("rows", "peak MB", {step: _points(found, step, "peak") for step in STEPS}, True),
    }


def _points(found: Found, step: str, what: str) -> list[tuple[float, float]]:
    return [(rows, statistics.median(getattr(sample, what) for sample in steps[step])) for rows, steps in found.items()]


if __name__ == "__main__":
    sys.exit(main())
