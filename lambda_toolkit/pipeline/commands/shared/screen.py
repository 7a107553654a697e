"""The output of a command: tables and progress, or one JSON document and nothing else on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TextIO

import click

from lambda_toolkit.pipeline.commands.shared.spinner import Spinner, is_terminal

if TYPE_CHECKING:
    from rich.console import Console

FILE_WIDTH = 160  # columns, for tables in a log


class Screen:
    """Results go to stdout and progress to stderr, so that a pipe gets results only.

    With ``as_json``, :meth:`document` is the only thing that reaches stdout. Lines are click's; rich, which takes a
    tenth of a second to import, only draws tables.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._spinner: Spinner | None = None

    def say(self, text: str, *, color: str | None = None, bold: bool = False, dim: bool = False) -> None:
        """A line of the result. Nothing in JSON mode."""
        if not self.as_json:
            with self._aside():
                click.secho(text, fg=color, bold=bold, dim=dim)

    def progress(self, text: str, *, color: str | None = None) -> None:
        """A line that reports progress."""
        with self._aside():
            click.secho(text, fg=color, dim=color is None, err=True)

    def error(self, message: str) -> None:
        """Why the command failed; in JSON mode also as the document."""
        with self._aside():
            click.secho(f"Error: {message}", fg="red", bold=True, err=True)
        self.document({"error": message})

    def table(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()
    ) -> None:
        """A table of results; the columns named in ``right`` are aligned there. Nothing in JSON mode."""
        if self.as_json:
            return
        from rich.table import Table

        self.say(title, bold=True)
        table = Table(header_style="bold")
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left")
        for row in rows:
            table.add_row(*("" if cell is None else _cell(cell) for cell in row))
        with self._aside():
            _console(sys.stdout).print(table)

    def pairs(self, title: str, rows: Iterable[tuple[str, str]]) -> None:
        """Two columns of results below ``title``, for a command that need not wait for rich. Nothing in JSON mode."""
        if self.as_json:
            return
        formatter = click.HelpFormatter(width=FILE_WIDTH)
        with formatter.section(title):
            formatter.write_dl(list(rows))
        with self._aside():
            click.echo(formatter.getvalue(), nl=False)

    def document(self, document: Mapping[str, Any]) -> None:
        """The result as JSON, in JSON mode."""
        if self.as_json:
            click.echo(json.dumps(document, indent=2, default=str))

    def line(self, document: Mapping[str, Any]) -> None:
        """One of several results as JSON, on a line of its own, in JSON mode."""
        if self.as_json:
            click.echo(json.dumps(document, default=str))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show ``text`` during a long operation: a spinner on a terminal, one line elsewhere."""
        if self._spinner is not None or not is_terminal(sys.stderr):
            self.progress(text)
            yield
            return
        self._spinner = Spinner(text, sys.stderr)
        try:
            yield
        finally:
            spinner, self._spinner = self._spinner, None
            spinner.stop()

    def _aside(self) -> AbstractContextManager[None]:
        """Writes what follows in place of the spinner."""
        return self._spinner.aside() if self._spinner else nullcontext()


def counted(number: int, thing: str, ending: str = "s") -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} {thing}{'' if number == 1 else ending}"


def duration(seconds: float) -> str:
    """``3.2 s``, ``45 s``, ``12 min``, ``5 h``, ``3 days``: short, and as exact as one can use it."""
    for limit, size, unit in ((9.95, 1, "s"), (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}" if limit < 10 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"


def _console(file: TextIO) -> Console:
    """A console of the terminal's width, and wide enough to truncate nothing where there is no terminal."""
    from rich.console import Console

    return Console(file=file, highlight=False, markup=False, width=None if file.isatty() else FILE_WIDTH)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
