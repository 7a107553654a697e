"""Tables of measurements: on the screen, and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import STEPS, Measurement

_WIDTH = 140


def show(heading: str, measurements: Sequence[Measurement]) -> None:
    """Print the table, and below it what failed."""
    table = Table(title=heading, title_justify="left")
    for column in _columns():
        table.add_column(column)
    for row in _rows(measurements):
        table.add_row(*row)
    console = Console(highlight=False, markup=False, width=_WIDTH, soft_wrap=True)
    console.print(table)
    for item in measurements:
        if item.failure:
            console.print(f"{item.tool}, {item.step}: {item.failure}")


def as_markdown(heading: str, measurements: Sequence[Measurement]) -> str:
    """The table, under its heading."""
    lines = [_columns(), ["---"] * len(_columns()), *_rows(measurements)]
    return f"{heading}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _columns() -> list[str]:
    return ["tool", "version", *STEPS]


def _rows(measurements: Sequence[Measurement]) -> list[list[str]]:
    found: dict[tuple[str, str], Mapping[str, Measurement]] = {}
    for item in measurements:
        row = (item.tool, item.version)
        found[row] = {**found.get(row, {}), item.step: item}
    return [[*row, *(_cell(steps.get(step)) for step in STEPS)] for row, steps in found.items()]


def _cell(measurement: Measurement | None) -> str:
    """Seconds, calls and, in brackets, the writes among them."""
    if measurement is None:
        return ""
    if not measurement.timings:
        return "failed"
    return f"{measurement.seconds:.2f} s, {measurement.calls} ({measurement.writes})"
