"""The names of tests: short enough for a table and for a line of pytest's report."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parents[2]
LONGEST = 60  # characters


def names() -> dict[str, list[str]]:
    """The names of the test functions, by file."""
    return {
        str(file.relative_to(TESTS)): [
            node.name
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        ]
        for file in TESTS.rglob("test_*.py")
    }


def test_names_are_short() -> None:
    found = names()
    assert sum(map(len, found.values())) > 500
    assert [f"{file}::{name}" for file, names in found.items() for name in names if len(name) > LONGEST] == []
