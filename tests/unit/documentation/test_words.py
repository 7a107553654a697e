"""The repository uses the field's words: AWS's for AWS, PostgreSQL's for PostgreSQL, Kimball's for the warehouse.

The words below have a standard word in one of those manuals, or hide who acts. docs/glossary.md has the words to use.
Identifiers are read as the words that they are made of: `brought_by` is "brought by".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
SKIPPED = {".git", ".local", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", "build", "dist", "node_modules"}
BANNED = """
told, gone, held, lies, stands, somebody, someone, nobody, anybody, anew, mend, mends, mended, mending, strange,
strangely, judge, judges, judged, judging, door, doors, patience, deeds, unaliased, brought, untold, kept back,
seen to, let in, left out, take over, give back, gone off, goes off, rang, tell missing, in time, placing, stages sql,
at once, other hands, by itself, by themselves, is to go, are to go, said again, so many times, such as are,
stays at home, stay at home, made anew, of its own accord, in its place, put right, good again,
what is not mentioned, whose it is, taken off
"""
TEST_NAME = re.compile("`[^`]*test_[^`]*`")
"""The names of tests in documents: their words are checked where the tests are."""
PHRASES = [phrase.strip() for phrase in BANNED.replace("\n", " ").split(",")]
ALLOWED = {
    Path(__file__).relative_to(ROOT).as_posix(): "lists the words",
    "lambda_toolkit/pipeline/warehouse/sql_tokens.py": "lists the keywords of SQL, of which one is PLACING",
}
"""Files that may use them, each with its reason."""
ACCOUNT = '"nobody"'
"""The name of an account of the operating system, in code."""


def words_of(line: str) -> str:
    """The words of a line in lower case, identifiers taken apart, each between single spaces."""
    text = re.sub(r"([a-z])([A-Z])", r"\1 \2", line).replace("_", " ").lower()
    return f" {' '.join(re.findall('[a-z]+', text))} "


def findings() -> Iterator[str]:
    """Each line of the repository's Python and Markdown that uses a banned word: file, line number, word, and text."""
    for file in sorted(path for path in ROOT.rglob("*") if path.suffix in {".py", ".md"}):
        name = file.relative_to(ROOT)
        if (
            SKIPPED & set(name.parts)
            or name.as_posix() in ALLOWED
            or name.as_posix().startswith("lambda_toolkit/pipeline/lambdas/")  # the link to lambdas/
        ):
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            words = words_of(TEST_NAME.sub("", line) if file.suffix == ".md" else line.replace(ACCOUNT, ""))
            yield from (f"{name}:{number}: {phrase}: {line.strip()}" for phrase in PHRASES if f" {phrase} " in words)


def test_words_of_a_line_are_found_in_identifiers() -> None:
    assert words_of("def let_in(isHeld: bool) -> None:") == " def let in is held bool none "


def test_no_banned_words() -> None:
    assert list(findings()) == []


def test_allowed_files_exist() -> None:
    assert [name for name in ALLOWED if not (ROOT / name).is_file()] == []
