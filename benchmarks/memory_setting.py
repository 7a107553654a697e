"""What the memory setting of each function does to its time and its cost, and how many rows fit into which timeout.

With 1769 MB a Lambda function has one processor, with others in proportion. So each function runs here with its share:
whenever it has used that share of 20 ms, it is stopped until they are over. Its peak memory hardly depends on the
setting, and says which are too small. Payments of totesys, two sizes; the rows that fit into a timeout follow from the
line through both.
Run: python -m benchmarks.memory_setting, and see its --help
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.charts import Chart, drawn
from benchmarks.report import machine_now, markdown_table, replace_between, show_table
from benchmarks.rounds import Sample, measure, spread
from benchmarks.subjects import PAYMENT
from benchmarks.throttle import share_of
from benchmarks.whole_path import STEPS, WholePath, scene
from lambda_script import price_list

SETTINGS = (256, 512, 1024, 1769, 3008)  # MB
TIMEOUTS = (60, 300, 900)  # seconds
REGION = "eu-west-2"
CLIENTS = 27  # MB that boto3 takes with its clients, which a function has and the process that is measured has not
RESERVE, RESERVED_SHARE = 60, 0.2  # of extract's timeout: lambdas/extract/handler.py
FITTING = tuple(f"rows in {timeout} s" for timeout in TIMEOUTS)
COLUMNS = ("MB", "processors", "function", "wall s", "cents", "peak MB, with boto3", *FITTING)

Found = Mapping[tuple[int, str], Mapping[int, Sequence[Sample]]]


def main() -> int:
    """Measure each setting, print, and write table and charts into their places where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_setting", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the larger size; the other is a tenth of it")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each (3)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write table and charts into this document")
    arguments = parser.parse_args()
    found: dict[tuple[int, str], dict[int, list[Sample]]] = {}
    with scene() as here:
        for rows in (arguments.rows // 10, arguments.rows):
            path = WholePath(here, PAYMENT, rows)
            path.prepare()
            for step in STEPS:
                settings = [replace(path.step(step), name=str(mb), processors=share_of(mb)) for mb in SETTINGS]
                for name, samples in measure(settings, arguments.rounds, here.server.pid).items():
                    found.setdefault((int(name), step), {})[rows] = samples
            path.remove()
    found = {key: found[key] for key in sorted(found, key=lambda key: (STEPS.index(key[1]), key[0]))}
    rows_of_table = table(found)
    title = f"memory setting, {arguments.rows:,} rows"
    show_table(title, COLUMNS, rows_of_table, ())
    if arguments.into:
        when = f"{arguments.rows:,} rows; {machine_now(arguments.rounds)}\n\n"
        shown = drawn(charts(found), arguments.into)
        replace_between(arguments.into, "memory setting", when + markdown_table(COLUMNS, rows_of_table) + shown)
    return 0


def cents(memory: int, seconds: float) -> float:
    """What Lambda bills for so many seconds with so many MB."""
    return memory / 1024 * seconds * float(price_list(REGION)["lambda_x86"].amount) * 100


def table(found: Found) -> list[list[str]]:
    """A row for each function and setting, as COLUMNS."""
    return [
        [
            f"{memory:,}",
            f"{share_of(memory):.2f}",
            step,
            spread([sample.seconds for sample in sizes[max(sizes)]]),
            f"{cents(memory, _median(sizes[max(sizes)])):.4f}",
            _peak(memory, sizes[max(sizes)]),
            *(_rows_within(step, timeout, memory, sizes) for timeout in TIMEOUTS),
        ]
        for (memory, step), sizes in found.items()
    ]


def charts(found: Found) -> dict[str, Chart]:
    """The name of each chart's file -> the chart."""
    seconds: dict[str, list[tuple[float, float]]] = {step: [] for step in STEPS}
    costs: dict[str, list[tuple[float, float]]] = {step: [] for step in STEPS}
    for (memory, step), sizes in found.items():
        took = _median(sizes[max(sizes)])
        seconds[step].append((memory, took))
        costs[step].append((memory, cents(memory, took)))
    return {"memory-time": Chart("MB", "seconds", seconds, True), "memory-cost": Chart("MB", "cents", costs, True)}


def _median(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.seconds for sample in samples)


def _peak(memory: int, samples: Sequence[Sample]) -> str:
    peak = max(sample.peak for sample in samples) + CLIENTS
    return f"{peak}" if peak <= memory else f"{peak}: too much"


def _rows_within(step: str, timeout: int, memory: int, sizes: Mapping[int, Sequence[Sample]]) -> str:
    """By the line through both sizes; of extract within what it leaves for storing what it has read."""
    small, large = sorted(sizes)
    slope = (_median(sizes[large]) - _median(sizes[small])) / (large - small)
    fixed = _median(sizes[small]) - slope * small
    if slope <= 0:
        return "not known"
    time = timeout - min(RESERVE, RESERVED_SHARE * timeout) if step == "extract" else timeout
    return f"{max(0.0, (time - fixed) / slope / 1e6):.0f} M"


if __name__ == "__main__":
    sys.exit(main())
