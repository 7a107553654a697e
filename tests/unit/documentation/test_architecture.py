"""What `docs/architecture.md` says of files and numbers: the files exist, and the walks pass through all of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support import structure

ROOT = structure.ROOT
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
READ = ("lambda_script.py", "lambda_toolkit/*.py", "lambda_toolkit/*/**/*.py")
READERS_OF_A_SPEC = ("pipeline/cost/", "pipeline/commands/", "pipeline/local_stack/", "toolkit/running/")
OF_ANOTHER = {"lambda_toolkit/pipeline/config/aws/access_function.py"}
"""Declares a function of its own, as a file of a person does."""


def section(title: str) -> str:
    found = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    assert found
    return found


def files_in(text: str) -> list[str]:
    """The paths of files that a text names in full."""
    return re.findall(r"`((?:lambda_script|deploy|(?:lambdas|lambda_toolkit|config|tests)/[\w/]+)\.(?:py|toml))", text)


def names_in(file: Path) -> Iterator[str]:
    """Every identifier, keyword and text in a file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg | ast.keyword):
            yield str(node.arg)
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant):
            yield str(node.value)


def test_files_that_the_document_names_exist() -> None:
    named = files_in(TEXT)
    assert len(named) > 60
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_thirty_decisions_have_a_file_each() -> None:
    rows = re.findall(r"^\| (.+?) \| (`.+) \|$", section("Where is it decided ...?"), re.MULTILINE)
    assert len(rows) == len({question for question, _ in rows}) == 30
    assert [question for question, answer in rows if not files_in(answer)] == []


def test_walk_of_an_argument_has_every_file_that_names_it() -> None:
    title = "One constructor argument: `memory`"
    documented = {name for name in files_in(section(title)) if name.endswith(".py") and not name.startswith("tests/")}
    files = {file for pattern in READ for file in ROOT.glob(pattern) if "pipeline/lambdas/" not in file.as_posix()}
    naming = {
        file.relative_to(ROOT).as_posix()
        for file in files
        if not any(part in file.as_posix() for part in READERS_OF_A_SPEC) and "memory" in names_in(file)
    }
    assert len(files) > 300
    assert documented == naming - OF_ANOTHER


def test_command_plan_reaches_no_more_modules_than_documented() -> None:
    stated = re.search(r"reaches at most (\d+) modules", section("One command: `plan`"))
    assert stated is not None
    reached = structure.walk_of_plan(structure.read())
    assert 100 < len(reached) <= int(stated[1]), "does plan need what is new, or is the document to be corrected?"
