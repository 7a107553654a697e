"""Tables of measurements: on the screen, and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    """Seconds, calls and, in brackets, the writes among them."""
    if measurement is None:
        return ""
    if not measurement.timings:
        return "failed"
    return f"{measurement.seconds:.2f} s, {measurement.calls} ({measurement.writes})"
