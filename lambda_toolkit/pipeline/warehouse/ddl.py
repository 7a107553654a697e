"""The tokens of a schema written in SQL, and its CREATE TABLE statements: each is run as it was written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>--[^\n]*|/\*.*?\*/)
  | (?P<text>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
  | (?P<quoted>"(?:[^"]|"")+")
  | (?P<word>[^\W\d]\w*)
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<mark>::|\[\]|.)
""",
    re.VERBOSE | re.DOTALL,
)
_KINDS = ("space", "comment", "text", "quoted", "word", "number", "mark")


@dataclass(frozen=True)
class Token:
    """A token of SQL. ``kind``: space, comment, text (a string constant), quoted (a name), word, number or mark."""

    kind: str
    text: str

    @property
    def word(self) -> str:
        """The keyword that it may be; empty for a quoted name."""
        return self.text.lower() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The name that it is, folded to lower case as PostgreSQL does unless it is quoted."""
        return self.text[1:-1].replace('""', '"') if self.kind == "quoted" else self.text.lower()


@dataclass(frozen=True)
class CreateTable:
    """One CREATE TABLE statement."""

    table: str
    """The name of the table that it creates."""
    statement: str
    """The statement as it was written, without comments and without the semicolon."""
    body: tuple[Token, ...]
    """Its tokens from the first parenthesis on, without spaces and comments."""


def statements(schema_sql: str) -> tuple[CreateTable, ...]:
    """The CREATE TABLE statements of ``schema_sql``, in order.

    Raises WarehouseError for any other statement, and for a table name with a schema: the tables are in one schema.
    """
    return tuple(_create_table(tokens) for tokens in _split(schema_sql))


def _tokens(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        kind = next(kind for kind in _KINDS if match[kind] is not None)
        yield Token(kind, match[0])


def _split(schema_sql: str) -> Iterator[list[Token]]:
    """The tokens of each statement, comments replaced by a space."""
    statement: list[Token] = []
    for token in (*_tokens(schema_sql), Token("mark", ";")):
        if token.text != ";":
            statement.append(Token("space", " ") if token.kind == "comment" else token)
            continue
        if any(part.kind != "space" for part in statement):
            yield statement
        statement = []


def _create_table(tokens: list[Token]) -> CreateTable:
    statement = "".join(token.text for token in tokens).strip()
    solid = [token for token in tokens if token.kind != "space"]
    start = 5 if [token.word for token in solid[2:5]] == ["if", "not", "exists"] else 2
    name, body = solid[start : start + 1], solid[start + 1 :]
    if (
        [token.word for token in solid[:2]] != ["create", "table"]
        or not name
        or name[0].kind not in ("word", "quoted")
        or not body
        or body[0].text != "("
    ):
        raise WarehouseError(
            "The warehouse's schema may contain only CREATE TABLE <name> (...) statements; found: "
            f"{' '.join(statement.split())[:60]}"
        )
    return CreateTable(name[0].name, statement, tuple(body))
