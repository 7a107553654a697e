"""A schema written in SQL, cut into its CREATE TABLE statements: each is run as it was written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError

_TOKEN = re.compile(
    r"""
    --[^\n]*                      # a comment to the end of the line
  | /\*.*?\*/                     # a comment between marks
  | '(?:[^']|'')*'                # a text
  | "(?:[^"]|"")*"                # a quoted name
  | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$   # a dollar-quoted text
  | ;
""",
    re.VERBOSE | re.DOTALL,
)
_CREATE = re.compile(r'\s*CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>"(?:[^"]|"")+"|\w+)\s*\(', re.IGNORECASE)


@dataclass(frozen=True)
class CreateTable:
    """One statement and the table that it creates."""

    table: str
    statement: str


def statements(schema_sql: str) -> tuple[CreateTable, ...]:
    """The CREATE TABLE statements of ``schema_sql``, in order.

    Raises WarehouseError for any other statement, and for a table name with a schema: the tables live in one.
    """
    found = []
    for text in _split(schema_sql):
        match = _CREATE.match(text)
        if match is None:
            beginning = " ".join(text.split())[:60]
            raise WarehouseError(
                f"The warehouse's schema may hold only CREATE TABLE <name> (...) statements; found: {beginning}"
            )
        name = match["name"]
        found.append(CreateTable(name[1:-1].replace('""', '"') if name[0] == '"' else name.lower(), text.strip()))
    return tuple(found)


def _split(text: str) -> list[str]:
    """The statements between semicolons, without comments."""
    pieces, current, position = [], "", 0
    for token in _TOKEN.finditer(text):
        current += text[position : token.start()]
        position = token.end()
        if token[0] == ";":
            pieces.append(current)
            current = ""
        elif token[0].startswith(("--", "/*")):
            current += " "
        else:
            current += token[0]
    return [piece for piece in (*pieces, current + text[position:]) if piece.strip()]
