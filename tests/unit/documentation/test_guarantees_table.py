"""Every guarantee names existing tests."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROWS = [
    line for line in (ROOT / "docs/guarantees.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")
]
NAMED = sorted({name for row in ROWS for name in re.findall(r"`(tests/[\w/*.]+|test_\w+)`", row)})


@functools.cache
def functions() -> set[str]:
    """The names of all tests."""
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "tests").rglob("test_*.py"))
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_there_are_promises() -> None:
    assert len(NAMED) > 15


@pytest.mark.parametrize("name", NAMED)
def test_what_proves_a_promise_is_there(name: str) -> None:
    assert any(ROOT.glob(name)) if name.startswith("tests/") else name in functions()
