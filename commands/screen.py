"""What a command shows: tables and progress for a person, or one JSON document and nothing else on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

FILE_WIDTH = 160  # columns, for tables in a log


class Screen:
    """Results go to stdout and progress to stderr, so that a pipe gets results only.

    With ``as_json``, :meth:`document` is the only thing that reaches stdout.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._out = _console(sys.stdout)
        self._progress = _console(sys.stderr)

    def say(self, text: str, style: str | None = None) -> None:
        """A line of the result. Nothing in JSON mode."""
        if not self.as_json:
            self._out.print(text, style=style, markup=False)

    def progress(self, text: str, style: str | None = "dim") -> None:
        """A line that tells what is going on."""
        self._progress.print(text, style=style, markup=False)

    def error(self, message: str) -> None:
        """Why the command failed; in JSON mode the document says it too."""
        self._progress.print(f"Error: {message}", style="bold red", markup=False)
        if self.as_json:
            self.document({"error": message})

    def table(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()
    ) -> None:
        """A table of results; the columns named in ``right`` are aligned there. Nothing in JSON mode."""
        if self.as_json:
            return
        table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left")
        for row in rows:
            table.add_row(*("" if cell is None else _cell(cell) for cell in row))
        self._out.print(table, soft_wrap=False)

    def document(self, document: Mapping[str, Any]) -> None:
        """The result as JSON, in JSON mode."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")
            sys.stdout.flush()

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Shows ``text`` while something long goes on: a spinner on a terminal, one line elsewhere."""
        if self._progress.is_terminal:
            with self._progress.status(text):
                yield
        else:
            self.progress(text)
            yield


def _console(file: TextIO) -> Console:
    """A console that cuts nothing off where there is no terminal, whose width one would have to keep to."""
    width = None if file.isatty() else FILE_WIDTH
    return Console(file=file, highlight=False, soft_wrap=not file.isatty(), width=width)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
