"""A mutant as data, and the text of a source file with the positions that ``ast`` and ``tokenize`` give."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MUTATED = ("lambda_script.py", "lambdas", "lambda_toolkit")


@dataclass(frozen=True)
class Mutant:
    """One change of one file: ``source[start:end]`` becomes ``new``."""

    file: str
    """Relative to the repository."""
    scope: str
    """The function or class, as ``Class.method``; ``<module>`` outside of all."""
    operator: str
    ordinal: int
    """The number of this mutant among those of its scope and operator, from 1, in the order of the text."""
    start: int
    end: int
    line: int
    old: str
    new: str
    reason: str | None
    """Why the rule says that it does not matter; None when it does."""
    names: tuple[str, ...] = ()
    """Of code that runs at import: the names that it defines, to find the tests of those that use them."""

    @property
    def id(self) -> str:
        """What identifies it as long as its function has the same mutants of this kind: line numbers may shift."""
        return f"{self.file}::{self.scope}::{self.operator}::{self.ordinal}"

    def apply(self, text: str) -> str:
        """The text of the file with this change."""
        return text[: self.start] + self.new + text[self.end :]

    def shown(self) -> str:
        """The change in one line."""
        return f"{_one_line(self.old)} -> {_one_line(self.new)}"


class Text:
    """The text of a file; offsets are in characters, from 0."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines(keepends=True)
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line))

    def offset(self, line: int, column: int) -> int:
        """The offset of a position of ``ast``: the column is in bytes of UTF-8."""
        if line > len(self.lines):
            return len(self.text)
        text = self.lines[line - 1]
        return self._starts[line - 1] + (column if text.isascii() else len(text.encode()[:column].decode()))

    def start(self, node: ast.AST) -> int:
        """Where the node begins."""
        return self.offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> int:
        """Behind the node's last character."""
        return self.offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def of(self, node: ast.AST) -> str:
        """The node's text."""
        return self.text[self.start(node) : self.end(node)]

    def line_at(self, offset: int) -> int:
        """The number, from 1, of the line of an offset."""
        return self.text.count("\n", 0, offset) + 1


def source_files(root: Path = ROOT, within: Iterable[str] = MUTATED) -> Iterator[str]:
    """The files that are mutated, relative to ``root``, sorted; each once, although lambdas/ is visible twice."""
    found = set()
    for name in within:
        path = root / name
        for file in [path] if path.is_file() else path.rglob("*.py"):
            relative = file.relative_to(root).as_posix()
            found.add(relative.replace("lambda_toolkit/pipeline/lambdas/", "lambdas/"))
    yield from sorted(found)


def digest(text: str) -> str:
    """What identifies a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _one_line(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= 80 else f"{shown[:60]} ... {shown[-15:]}"
