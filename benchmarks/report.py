"""Tables of measurements: on the screen, and in Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import STEPS, Measurement

_WIDTH = 140


def show(heading: str, measurements: Sequence[Measurement]) -> None:
    """Print the table, and below it what failed."""
    failures = [f"{item.tool}, {item.step}: {item.failure}" for item in measurements if item.failure]
    show_table(heading, _columns(), _rows(measurements), failures)


def show_table(heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
    """Print a table with its heading, and notes below it."""
    table = Table(title=heading, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, width=_WIDTH, soft_wrap=True)
    console.print(table)
    for note in notes:
        console.print(note)


def as_markdown(heading: str, measurements: Sequence[Measurement]) -> str:
    """The table, under its heading."""
    return f"{heading}\n\n{markdown_table(_columns(), _rows(measurements))}"


def machine(measurements: Sequence[Measurement]) -> str:
    """How often was measured, when, and on what: how busy the machine was besides belongs to it."""
    runs = sorted({len(item.timings) for item in measurements if item.timings}) or [0]
    times = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    load = os.getloadavg()[2]
    return (
        f"median of {times}, {date.today().isoformat()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {load:.1f} over the last 15 minutes"
    )


def machine_now(times: int) -> str:
    """Likewise of ``times`` samples of each that have just been taken."""
    return (
        f"median of {times} (smallest to largest), {date.today().isoformat()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, load {os.getloadavg()[0]:.1f} over the last minute"
    )


def replace_between(file: Path, marker: str, text: str) -> None:
    """Put ``text`` between ``<!-- marker -->`` and ``<!-- end -->``. Raises ValueError where there is no such place."""
    before, found, rest = file.read_text(encoding="utf-8").partition(f"<!-- {marker} -->\n")
    _, end, after = rest.partition("<!-- end -->")
    if not found or not end:
        raise ValueError(
            f"{file} has no place for `{marker}`: <!-- {marker} --> and <!-- end --> on lines of their own."
        )
    file.write_text(f"{before}{found}{text}{end}{after}", encoding="utf-8")


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _columns() -> list[str]:
    return ["tool", "version", *STEPS]


def _rows(measurements: Sequence[Measurement]) -> list[list[str]]:
    found: dict[tuple[str, str], Mapping[str, Measurement]] = {}
    for item in measurements:
        row = (item.tool, item.version)
        found[row] = {**found.get(row, {}), item.step: item}
    return [[*row, *(_cell(steps.get(step)) for step in STEPS)] for row, steps in found.items()]


def _cell(measurement: Measurement | None) -> str:
    """Seconds, those of them on the processor, calls and, in brackets, the writes among them."""
    if measurement is None:
        return ""
    if not measurement.timings:
        return "failed"
    seconds = f"{measurement.seconds:.2f} s, {measurement.processor:.2f} s cpu"
    return f"{seconds}, {measurement.calls} ({measurement.writes})"
