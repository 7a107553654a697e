"""The tokens of an expression: PostgreSQL's operators, and the text of its string constants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.expression.tree import ExpressionError
from lambda_toolkit.pipeline.warehouse.sql_tokens import Reader, Token, tokens

OPERATOR = frozenset("+-*/<>=~!@#%^&|`?")  # the characters of operators

_MAY_END_IN_SIGN = frozenset("~!@#%^&|`?")  # an operator with one of these may end in + or -
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))|''", re.DOTALL)


def read_tokens(text: str) -> ExpressionReader:
    """A reader of the tokens of ``text``. Raises ExpressionError for what PostgreSQL would not read."""
    try:
        return ExpressionReader(_operators(list(tokens(text))), "")
    except WarehouseError as error:
        raise ExpressionError(str(error).partition(": ")[2].rstrip("."), 0) from error


class ExpressionReader(Reader):
    """Refuses with the place in the text."""

    def refuse(self, says: str, at: Token | None = None) -> NoReturn:
        """Raises ExpressionError."""
        raise ExpressionError(says, (at or self.next).start)


def _operators(given: Sequence[Token]) -> list[Token]:
    """The tokens, with the characters of each operator in one: the longest that PostgreSQL's lexer would take."""
    found: list[Token] = []
    at = 0
    while at < len(given):
        end = at
        while given[end].text in OPERATOR and _follows(given, at, end):
            end += 1
        text = "".join(token.text for token in given[at:end])
        while len(text) > 1 and text[-1] in "+-" and not _MAY_END_IN_SIGN & set(text):
            text, end = text[:-1], end - 1
        if end == at:
            found.append(given[at])
            end = at + 1
        else:
            text = "<>" if text == "!=" else text
            found.append(Token("mark", text, given[at].line, given[at].start))
        at = end
    return found


def _follows(given: Sequence[Token], first: int, last: int) -> bool:
    """Whether no space is between the single characters."""
    return given[last].start == given[first].start + last - first


def string(token: Token) -> str:
    """The text of a string constant. Raises ExpressionError."""
    text = token.text
    if text[0] == "$":
        return text[text.index("$", 1) + 1 : text.rindex("$", 0, -1)]
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    if text[0] in "eE":
        found = _ESCAPE.sub(_unescaped, text[2:-1])
        if "\0" in found:
            raise ExpressionError("a text cannot contain the character 0", token.start)
        return found
    raise ExpressionError(f"{text[:20]} is not in the list: write a text in single quotes", token.start)


def _unescaped(match: re.Match[str]) -> str:
    octal, byte, short, long, other = match.groups()
    if octal or byte:
        code = int(octal, 8) if octal else int(byte, 16)
        if code > 127:
            raise ExpressionError("write characters beyond ASCII themselves, or as \\u", match.start())
        return chr(code)
    if short or long:
        code = int(short or long, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise ExpressionError(f"{match[0]} is no character", match.start())
        return chr(code)
    return "'" if other is None else _ESCAPES.get(other, other)
