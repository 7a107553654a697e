"""The output of a command: tables and progress, or one JSON document and nothing else on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

FILE_WIDTH = 160  # columns, for tables in a log


class Screen:
    """Results go to stdout and progress to stderr, so that a pipe gets results only.

    With ``as_json``, :meth:`document` is the only thing that reaches stdout. Lines are click's; rich, which takes a
    tenth of a second to import, only draws tables and spinners.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def say(self, text: str, *, color: str | None = None, bold: bool = False, dim: bool = False) -> None:
        """A line of the result. Nothing in JSON mode."""
        if not self.as_json:
            click.secho(text, fg=color, bold=bold, dim=dim)

    def progress(self, text: str, *, color: str | None = None) -> None:
        """A line that reports progress."""
        click.secho(text, fg=color, dim=color is None, err=True)

    def error(self, message: str) -> None:
        """Why the command failed; in JSON mode also as the document."""
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
        _console(sys.stdout).print(table)

    def document(self, document: Mapping[str, Any]) -> None:
        """The result as JSON, in JSON mode."""
        if self.as_json:
            click.echo(json.dumps(document, indent=2, default=str))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show ``text`` during a long operation: a spinner on a terminal, one line elsewhere."""
        if sys.stderr.isatty():
            with _console(sys.stderr).status(text):
                yield
        else:
            self.progress(text)
            yield


def counted(number: int, thing: str, ending: str = "s") -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} {thing}{'' if number == 1 else ending}"


def _console(file: TextIO) -> Console:
    """A console of the terminal's width, and wide enough to truncate nothing where there is no terminal."""
    from rich.console import Console

    return Console(file=file, highlight=False, markup=False, width=None if file.isatty() else FILE_WIDTH)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
