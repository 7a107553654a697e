"""The tokens of SQL, by PostgreSQL's own rules, and a reader that takes them one after the other.

https://www.postgresql.org/docs/current/sql-syntax-lexical.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql

# The words that are no name of a table or column unless quoted: reserved, or reserved but for functions and types.
# pg_get_keywords() lists them, a test compares.
_RESERVED_WORDS = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze
    from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
    localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references
    returning right select session_user similar some symmetric system_user table tablesample then to trailing true union
    unique user using variadic verbose when where window with
"""
RESERVED = frozenset(_RESERVED_WORDS.split())
# A letter is each character above ASCII too. What is not one is shorter to list: a twentieth of the time to compile.
LETTER = r"[^\x00-@\[-^`{-\x7f]"
LETTER_OR_DIGIT = r"[^\x00-/:-@\[-^`{-\x7f]"
LETTER_DIGIT_OR_DOLLAR = r"[^\x00-\#%-/:-@\[-^`{-\x7f]"
_TOKEN = rf"""
    (?P<space>[ \t\n\r\f]+ | --[^\n\r]*)
  | (?P<text>[eE]'(?:[^'\\]|''|\\.)*' | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*')
  | (?P<unicode>[uU]&")
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<word>{LETTER}{LETTER_DIGIT_OR_DOLLAR}*)
  | (?P<dollar>\$(?P<tag>(?:{LETTER}{LETTER_OR_DIGIT}*)?)\$.*?\$(?P=tag)\$)
  | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<mark>::|[][(),.;:+\-*/<>=~!@\#%^&|`?])
"""
# Characters that look like a space, or like nothing. PostgreSQL takes them for letters of a name.
_UNSEEN = re.compile("[\u0080-\u00a0\u00ad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]")
_CONTINUED = re.compile(r"[ \t\f]*[\n\r]\s*'")  # a string constant goes on in the next line


@dataclass(frozen=True)
class Token:
    """A token of SQL. ``kind``: text (a string constant), quoted (a name), word, number, mark, or end."""

    kind: str
    text: str
    """As it was written."""
    line: int
    start: int
    """Its position in the text that it was read from."""

    @property
    def word(self) -> str:
        """The keyword that it may be; empty for a quoted name."""
        return _folded(self.text) if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The name that it is, folded to lower case as PostgreSQL does unless it is quoted."""
        return self.text[1:-1].replace('""', '"') if self.kind == "quoted" else _folded(self.text)


def tokens(text: str) -> Iterator[Token]:
    """The tokens of ``text`` without spaces and comments; the last one is the end.

    Raises WarehouseError with the line of what PostgreSQL would not read, or reads as something that is no schema.
    """
    pattern = _token()
    position, line = int(text.startswith("\ufeff")), 1  # an editor's byte order mark
    while position < len(text):
        if text.startswith("/*", position):
            end = _end_of_comment(text, position, line)
        else:
            match = pattern.match(text, position)
            if match is None or match["unicode"] or (match["word"] and text[match.end() :][:1] in ("'", '"')):
                _refuse_character(text, position, line)
            end = match.end()
            kind = "text" if match["dollar"] else str(match.lastgroup if match.lastgroup != "tag" else "text")
            if kind == "word" and (unseen := _UNSEEN.search(match[0])):
                code = f"U+{ord(unseen[0]):04X}"
                raise WarehouseError(f"line {line}: {match[0]!r} contains {code}, which looks like a space: remove it.")
            if kind == "number" and re.match(LETTER_DIGIT_OR_DOLLAR, text[end : end + 1]):
                raise WarehouseError(f"line {line}: {text[position : end + 1]!r}: a space is missing after the number.")
            if kind == "text" and _CONTINUED.match(text, end):
                raise WarehouseError(
                    f"line {line}: write the string constant in one piece, not continued in a new line."
                )
            if kind != "space":
                yield Token(kind, match[0], line, position)
        line += text.count("\n", position, end)
        position = end
    yield Token("end", "", line, len(text))


@functools.cache
def _token() -> re.Pattern[str]:
    """Compiled on first use: that takes milliseconds, and most commands read no SQL."""
    return re.compile(_TOKEN, re.VERBOSE | re.DOTALL)


def _folded(name: str) -> str:
    """Only ASCII letters are folded in a database whose encoding is UTF-8."""
    return re.sub("[A-Z]+", lambda letters: letters[0].lower(), name)


def _end_of_comment(text: str, start: int, line: int) -> int:
    """Comments are nested, unlike in C and in the SQL of most other databases."""
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    raise WarehouseError(f"line {line}: the comment that begins here does not end: */ is missing.")


def _refuse_character(text: str, position: int, line: int) -> NoReturn:
    found = text[position]
    if text[position : position + 3].lower() == 'u&"':
        says = "write the name itself in double quotes, without U& and its escapes"
    elif found in "'\"":
        says = (
            f"the {'string constant' if found == chr(39) else 'name'} that begins here does not end: {found} is missing"
        )
    elif found == "$":
        says = "this is no constant: a parameter, or a dollar-quoted string that does not end"
    elif found == "\\":
        says = "commands of psql are not SQL: remove the line"
    elif re.match(LETTER, found):
        says = f"a space is missing before the quote: {text[position : position + 20]!r}"
    else:
        says = f"unexpected character {found!r}"
    raise WarehouseError(f"line {line}: {says}.")


class Reader:
    """Takes the tokens of one statement in order. Every method raises WarehouseError with the line where it cannot."""

    def __init__(self, statement: list[Token], context: str) -> None:
        self._tokens, self._next, self.context = statement, 0, context

    @property
    def next(self) -> Token:
        """The token that comes next."""
        return self._tokens[self._next]

    def peek(self, ahead: int) -> Token:
        """The token ``ahead`` of the next one; the end where there is none."""
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def take(self) -> Token:
        """The next token, whatever it is. At the end, the end."""
        token = self.next
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def refuse(self, says: str, at: Token | None = None) -> NoReturn:
        """Raises WarehouseError: ``says`` of the token ``at``, or of the next one."""
        raise WarehouseError(f"line {(at or self.next).line}: {self.context}: {says}.")

    def has(self, *words: str) -> bool:
        """Whether the next tokens are these keywords or marks; takes them where they are."""
        for ahead, wanted in enumerate(words):
            token = self.peek(ahead)
            if (token.word or token.text) != wanted:  # a name or a text in quotes has them in its text
                return False
        for _ in words:
            self.take()
        return True

    def expect(self, *words: str) -> None:
        """Takes these keywords or marks."""
        for wanted in words:
            if not self.has(wanted):
                found = "its end" if self.next.kind == "end" else self.next.text[:40]
                self.refuse(f"expected {wanted.upper()}, found {found}")

    def name(self, what: str) -> str:
        """Takes the name of a table, column or constraint."""
        token = self.next
        if token.kind not in ("word", "quoted"):
            found = "its end" if token.kind == "end" else token.text[:40]
            self.refuse(f"expected the name of {what}, found {found}")
        if token.word in RESERVED:
            self.refuse(f'{token.text} is a reserved word: write "{token.word}" in double quotes, or use another name')
        if not token.name:
            self.refuse(f"the name of {what} is empty")
        if len(token.name.encode()) > sql.MAX_IDENTIFIER:
            self.refuse(f"the name {token.text} is longer than {sql.MAX_IDENTIFIER} bytes: PostgreSQL would cut it")
        return self.take().name

    def names(self, what: str) -> tuple[str, ...]:
        """Takes names in parentheses, separated by commas, each once."""
        self.expect("(")
        found = [self.name(what)]
        while self.has(","):
            found.append(self.name(what))
        self.expect(")")
        for name in found:
            if found.count(name) > 1:
                self.refuse(f"{name} is named twice")
        return tuple(found)

    def number(self, what: str, smallest: int, largest: int) -> int:
        """Takes a whole number."""
        sign = -1 if self.has("-") else 1
        token = self.next
        if token.kind != "number" or not token.text.isdecimal() or not smallest <= sign * int(token.text) <= largest:
            self.refuse(f"{what} must be a whole number from {smallest} to {largest}, not {token.text}")
        return sign * int(self.take().text)

    def skip_parentheses(self) -> None:
        """Takes an expression in parentheses, whatever is in it."""
        opened = self.next
        self.expect("(")
        depth = 1
        while depth:
            token = self.take()
            if token.kind == "end":
                self.refuse("the parenthesis that opens here is not closed", opened)
            depth += {"(": 1, ")": -1}.get(token.text, 0)
