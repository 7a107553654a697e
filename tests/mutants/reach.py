"""Which tests reach which line: collected once, one test file after the other, and kept below ``.local/mutants``.

A test file is collected again when its own text changed. Where the code changed since, its lines are followed
through the difference of the two texts, and to other files: nothing is collected again because a function moved.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.mutants.mutant import ROOT, Mutant, digest, source_files

STORE = ROOT / ".local" / "mutants"
REACH = STORE / "reach"
SOURCES = STORE / "sources"


@dataclass(frozen=True)
class PassingTest:
    """A test that passed without a mutant."""

    id: str
    seconds: float
    """Of the processor, which does not depend on what else the machine does."""
    limit: float
    """The seconds that it took: a test that takes ten times as long is ended."""


@dataclass
class Reach:
    """For each file and line, the tests that run it; and for each name, the lines that use it."""

    tests: dict[str, PassingTest] = field(default_factory=dict)
    lines: dict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    uses: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))

    texts: dict[str, str] = field(default_factory=dict)
    """The texts of the test files."""

    def tests_of(self, mutant: Mutant, text: str) -> list[PassingTest]:
        """The tests that reach a mutant, the fastest first.

        Code that runs at import is reached by the tests of the functions that use the names that it defines, and if
        there are none by all that run a function of its file; and by those of the test files that name them. A function
        that no test reaches may be called at import too: it is reached by the tests of what uses its name.
        """
        lines = self.lines.get(mutant.file, {})
        last = text.count("\n", 0, mutant.end) + 1
        found: set[str] = set()
        if not mutant.names:
            found = set().union(*(lines.get(number, set()) for number in range(mutant.line, last + 1)))
            if not found:
                found = set().union(*(lines.get(number, set()) for number in _statement(text, mutant.line)))
            if not found:
                found = self._of_names([mutant.scope.rsplit(".", 1)[-1]], set())
        else:
            found = self._of_names(mutant.names, set()) or set().union(*lines.values())
            found |= self._naming(Path(mutant.file).stem, mutant.names)
        return sorted((self.tests[test] for test in found if test in self.tests), key=lambda test: test.seconds)

    def _naming(self, module: str, names: Iterable[str]) -> set[str]:
        """The tests in files that name the module and one of the names: a constant may be compared as it is."""
        pattern = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
        files = {file for file, text in self.texts.items() if module in text and pattern.search(text)}
        return {test for test in self.tests if test.split("::", 1)[0] in files}

    def _of_names(self, names: Iterable[str], seen: set[str]) -> set[str]:
        found: set[str] = set()
        for name in names:
            if name in seen:
                continue
            seen.add(name)
            for file, line in self.uses.get(name, ()):
                reached = self.lines.get(file, {}).get(line, set())
                found |= reached
        return found


def load(root: Path = ROOT) -> Reach:
    """What was collected, in terms of the code of ``root``."""
    reach = Reach()
    code = Code({file: (root / file).read_text(encoding="utf-8") for file in source_files(root)})
    for record in records().values():
        if not (root / record["file"]).is_file():
            continue
        reach.texts[record["file"]] = (root / record["file"]).read_text(encoding="utf-8")
        reach.tests.update({test: PassingTest(test, *taken) for test, taken in record["tests"].items()})
        for file, known in record["reached"].items():
            follow = code.followed(file, record["sources"][file])
            for test, ranges in known.items():
                for line in _numbers(ranges):
                    now = (file, line) if follow is None else follow.get(line)
                    if now is not None:
                        reach.lines[now[0]][now[1]].add(test)
    for file, text in code.texts.items():
        for name, line in _used(text):
            reach.uses[name].append((file, line))
    return reach


class Code:
    """The code as it is now; says where lines of an earlier state are, in the same file or moved to another."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts
        self._followed: dict[tuple[str, str], dict[int, tuple[str, int]] | None] = {}
        found: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
        for file, text in texts.items():
            for line, window in _windows(text.splitlines()):
                found[window].append((file, line))
        self._moved = {window: places[0] for window, places in found.items() if len(places) == 1}

    def followed(self, file: str, state: str) -> dict[int, tuple[str, int]] | None:
        """Where each line of ``file`` in ``state`` (the digest of its text) is now; None where nothing changed."""
        key = (file, state)
        if key not in self._followed:
            now = self.texts.get(file)
            self._followed[key] = None if now is not None and state == digest(now) else self._follow(file, state)
        return self._followed[key]

    def _follow(self, file: str, state: str) -> dict[int, tuple[str, int]]:
        before = (SOURCES / state).read_text(encoding="utf-8").splitlines()
        now = self.texts.get(file, "").splitlines()
        elsewhere = {line: self._moved[window] for line, window in _windows(before) if window in self._moved}
        places: dict[int, tuple[str, int]] = {}
        for tag, a, b, c, d in difflib.SequenceMatcher(None, before, now, autojunk=False).get_opcodes():
            for step in range(b - a):
                line = a + 1 + step
                if tag == "equal":
                    places[line] = (file, c + 1 + step)
                elif line in elsewhere:
                    places[line] = elsewhere[line]
                elif tag == "replace":  # the changed lines are reached by what reached those that they replace
                    places[line] = (file, min(c + 1 + step, d))
        return places


def _windows(lines: list[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each line, by its number, with those around it: what is found once in all of the code is the same line."""
    stripped = ["", *(line.strip() for line in lines), ""]
    for number in range(1, len(lines) + 1):
        window = tuple(stripped[number - 1 : number + 2])
        if len("".join(window)) > 30:  # characters: shorter ones are the same by chance
            yield number, window


def records() -> dict[str, Any]:
    """What was collected, by test file."""
    found = {}
    for file in REACH.glob("*.json") if REACH.is_dir() else ():
        record = json.loads(file.read_text(encoding="utf-8"))
        found[record["file"]] = record
    return found


def outdated(test_files: Iterable[str], root: Path = ROOT) -> list[str]:
    """The test files that were not collected, or that have changed since."""
    known = records()
    return [
        file
        for file in test_files
        if file not in known or known[file]["digest"] != digest((root / file).read_text(encoding="utf-8"))
    ]


def keep(record: dict[str, Any], texts: dict[str, str]) -> None:
    """Store the record of a test file, and the texts of the files that it reached."""
    SOURCES.mkdir(parents=True, exist_ok=True)
    REACH.mkdir(parents=True, exist_ok=True)
    for text in texts.values():
        path = SOURCES / digest(text)
        if not path.exists():
            path.write_text(text, encoding="utf-8")
    name = record["file"].replace("/", "-").removesuffix(".py")
    new = REACH / f"{name}.new"
    new.write_text(json.dumps(record), encoding="utf-8")
    new.replace(REACH / f"{name}.json")


def ranges(numbers: Iterable[int]) -> str:
    """Line numbers as ``1-3,7``."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def _numbers(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def function_lines(text: str) -> set[int]:
    """The lines of the bodies of functions: what runs there was called, and not only imported."""
    return {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for line in range(node.body[0].lineno, (node.end_lineno or 0) + 1)
    }


def _statement(text: str, line: int) -> Iterator[int]:
    """The lines of the smallest statement around ``line``: coverage reports the first line of some, all of others."""
    smallest: range | None = None
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            end = node.body[0].lineno if hasattr(node, "body") and node.body else (node.end_lineno or 0) + 1
            lines = range(node.lineno, max(end, line + 1))
            if smallest is None or len(lines) < len(smallest):
                smallest = lines
    yield from smallest or ()


def _used(text: str) -> Iterator[tuple[str, int]]:
    """Each name that a function uses, with the line; a name of a constant that uses it counts as its users do."""
    tree = ast.parse(text)
    indirect: dict[str, set[str]] = defaultdict(set)
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    indirect[node.id] |= targets
    direct: dict[str, set[int]] = defaultdict(set)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = function.body[0]
        direct[function.name].add(function.body[1 if _is_text(first) and len(function.body) > 1 else 0].lineno)
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                direct[node.id].add(node.lineno)
            elif isinstance(node, ast.Attribute):
                direct[node.attr].add(node.lineno)
    for name, users in indirect.items():
        for user in users:
            direct[name] |= direct.get(user, set())
    for name, lines in direct.items():
        for line in lines:
            yield name, line


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
