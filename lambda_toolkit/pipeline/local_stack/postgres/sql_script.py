"""Loads an SQL script as psql does: the output of pg_dump, as it is, is a script for the source.

What a dump says about the server that it comes from (owners, privileges, roles, tablespaces, the database itself) is
skipped. So are its transactions, because a script is loaded completely or not at all.
https://www.postgresql.org/docs/current/app-psql.html, https://www.postgresql.org/docs/current/app-pgdump.html
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pg8000.native
from pg8000.native import identifier

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.warehouse.sql_tokens import LETTER, LETTER_DIGIT_OR_DOLLAR, LETTER_OR_DIGIT

_TOKEN = re.compile(
    rf"""
    (?P<space>\s+ | --[^\n]*)
  | (?P<comment>/\*)
  | (?P<quoted>[eE]'[^'\\]*(?:(?:''|\\.)[^'\\]*)*' | '[^']*(?:''[^']*)*' | "[^"]*(?:""[^"]*)*")
  | (?P<word>{LETTER}{LETTER_DIGIT_OR_DOLLAR}*)
  | (?P<dollar>\$(?P<tag>(?:{LETTER}{LETTER_OR_DIGIT}*)?)\$.*?\$(?P=tag)\$)
  | (?P<number>\d[\d.]*)
  | (?P<mark>.)
""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_END_OF_DATA = re.compile(r"^\\\.[ \t]*\r?$\n?", re.MULTILINE)
_KINDS = r"database|role|user|group|tablespace|publication|subscription|event\ trigger"
_SKIPPED = re.compile(  # by the first words of a statement, or all of them
    rf"""
    (?:grant|revoke|begin|commit|end|start\ transaction|security\ label|alter\ default\ privileges|alter\ extension)\b
  | (?:create|alter|drop)\ (?:{_KINDS})\b
  | (?:re)?set\ (?:local\ |session\ )?(?:role|authorization|client_encoding|default_tablespace)\b
  | comment\ on\ (?:extension|database|{_KINDS})\b
  | alter\ .*\bowner\ to\b
  | (?:create|drop)\ schema\ (?:if\ (?:not\ )?exists\ )?public\b
""",
    re.VERBOSE,
)
_SKIPPED_META = frozenset(  # psql's commands that change nothing in the database
    [
        "restrict",
        "unrestrict",
        "connect",
        "c",
        "encoding",
        "echo",
        "qecho",
        "warn",
        "set",
        "unset",
        "pset",
        "timing",
        "x",
        "a",
        "t",
        "q",
    ]
)
_EXTENSION = re.compile(r'\s*CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?("[^"]+"|\w+)', re.IGNORECASE)
_MISSING = ("42P01", "3F000", "42704", "42883")  # undefined table, schema, object, function
_TOLERATED = {  # the first words of a statement -> the SQLSTATEs that a new, empty database may answer
    "set": ("42704", "22023"),  # a parameter of a later version
    "drop": _MISSING,
    "alter table": _MISSING,  # of `pg_dump --clean`: it drops constraints first
    "create extension": ("0A000", "58P01"),
}


@dataclass(frozen=True)
class Statement:
    """A statement of a script, or a command of psql, where ``text`` begins with a backslash."""

    text: str
    line: int
    """Where it begins in the script, from 1."""
    words: str
    """Its words that are not quoted, in lower case, separated by spaces."""
    data: str | None = None
    """What follows a COPY FROM stdin."""
    data_line: int = 0


def read_script(path: Path) -> str:
    """The text of a script. Raises LocalError where it cannot be read, or is no text."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LocalError(f"The source's schema {path} cannot be read: {error.strerror}.") from error
    if content.startswith(b"PGDMP"):
        raise LocalError(f"{path} is a dump in pg_dump's custom format. Make SQL of it: pg_restore -f source.sql DUMP")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # PowerShell's `>` writes UTF-16
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise LocalError(
            f"{path}, line {line}: this is not text in UTF-8. Save it as UTF-8; pg_dump does so with --encoding=UTF8."
        ) from error


def statements(script: str) -> Iterator[Statement]:
    """The statements of ``script`` and the commands of psql between them, in order, with the data of each COPY."""
    position, line, counted = 0, 1, 0
    while position < len(script):
        start = _after_space(script, position)
        line += script.count("\n", counted, start)
        counted = start
        if start == len(script):
            return
        if script[start] == "\\":
            end = script.find("\n", start)
            position = len(script) if end < 0 else end
            yield Statement(script[start:position].strip(), line, script[start + 1 : position].split(" ")[0].strip())
            continue
        position, words = _end_of_statement(script, start)
        text = script[start:position]
        if not (words.startswith("copy ") and re.search(r"\bfrom stdin\b", words)):
            yield Statement(text, line, words)
            continue
        begin = script.find("\n", position) + 1 or len(script)
        end_of_data = _END_OF_DATA.search(script, begin)
        position = end_of_data.end() if end_of_data else len(script)
        data = script[begin : end_of_data.start() if end_of_data else position]
        yield Statement(text, line, words, data, line + script.count("\n", start, begin))


def load(connection: pg8000.native.Connection, owner: str, script: str, path: Path) -> tuple[str, ...]:
    """Run ``script`` in the transaction of a superuser's ``connection``; ``owner`` owns what it creates.

    Returns what was not done, a sentence each. Afterwards the session's parameters are those of before. Raises
    LocalError with the line of ``path`` where the server refuses a statement.
    """
    skipped = 0
    absent: list[str] = []
    connection.run(f"SET LOCAL ROLE {identifier(owner)}")
    for statement in statements(script):
        if statement.text.startswith("\\"):
            if statement.words not in _SKIPPED_META:
                raise LocalError(
                    f"{path}, line {statement.line}: \\{statement.words} is a command of psql, and this is loaded "
                    "without psql. Write SQL instead, or remove the line."
                )
        elif _SKIPPED.match(statement.words):
            skipped += 1
        elif re.fullmatch(r"(?:rollback|abort)(?: work| transaction)?", statement.words):
            raise LocalError(
                f"{path}, line {statement.line}: a script is loaded completely or not at all: remove this."
            )
        elif not _run(connection, owner, statement, path, absent):
            absent += _EXTENSION.findall(statement.text)
    connection.run("RESET ALL")  # a dump empties the search path
    connection.run("RESET ROLE")
    notes = [f"{path}: the extension {name} is not available on this machine" for name in absent]
    if skipped:
        notes.append(f"{path}: skipped {skipped:,} statement{'s' * (skipped != 1)} about owners, privileges and more")
    return tuple(notes)


def message_of(error: Exception) -> str:
    """PostgreSQL's message, its detail and its context; of another error, its text."""
    fields = fields_of(error)
    parts = [fields[key] for key in ("M", "D", "W") if key in fields]
    return "; ".join(part.rstrip(".") for part in parts) or str(error)


def fields_of(error: Exception) -> dict[str, str]:
    """The fields of a server's error: https://www.postgresql.org/docs/current/protocol-error-fields.html."""
    return error.args[0] if error.args and isinstance(error.args[0], dict) else {}


def _run(connection: pg8000.native.Connection, owner: str, statement: Statement, path: Path, absent: list[str]) -> bool:
    """Run one statement. Returns False where it failed with an error that is expected of a dump."""
    tolerated = next(
        (codes for words, codes in _TOLERATED.items() if f"{statement.words} ".startswith(f"{words} ")), ()
    )
    is_extension = statement.words.startswith("create extension")
    try:
        if tolerated:
            connection.run("SAVEPOINT statement")
        if is_extension:
            connection.run("RESET ROLE")  # most extensions need a superuser
        if statement.data is None:
            connection.execute_simple(statement.text)
        else:
            connection.execute_unnamed(statement.text, stream=io.BytesIO(statement.data.encode()))
        if is_extension:
            connection.run(f"SET LOCAL ROLE {identifier(owner)}")
    except pg8000.native.DatabaseError as error:
        if fields_of(error).get("C") in tolerated:
            connection.run("ROLLBACK TO SAVEPOINT statement")
            return False
        without = f" Extensions that are not available on this machine: {', '.join(absent)}." if absent else ""
        raise LocalError(
            f"{path}, line {_line_of(error, statement)}: {message_of(error)}.{without} Nothing of the file was loaded: "
            "correct it, and repeat the command."
        ) from error
    return True


def _line_of(error: Exception, statement: Statement) -> int:
    fields = fields_of(error)
    if statement.data is not None:
        found = re.search(r"^COPY .*?, line (\d+)", fields.get("W", ""))
        return statement.data_line + int(found[1]) - 1 if found else statement.line
    position = int(fields.get("P", 1))
    return statement.line + statement.text.count("\n", 0, position - 1)


def _after_space(script: str, position: int) -> int:
    """Where the next statement begins: after spaces, comments and empty statements."""
    while token := _TOKEN.match(script, position):
        if not (token.lastgroup in ("space", "comment") or token.group() == ";"):
            break
        position = _after_comment(script, position) if token.lastgroup == "comment" else token.end()
    return position


def _after_comment(script: str, position: int) -> int:
    """The end of the comment that begins at ``position``. Comments nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(script, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(script)


def _end_of_statement(script: str, position: int) -> tuple[int, str]:
    """The end of the statement that begins at ``position``, its semicolon included, and its words.

    As in psql, a semicolon in parentheses ends nothing, nor does one in the body of a function, BEGIN ATOMIC ... END.
    """
    parentheses, blocks = 0, 0
    words: list[str] = []
    while token := _TOKEN.match(script, position):
        text = token.group()
        position = _after_comment(script, position) if token.lastgroup == "comment" else token.end()
        if token.lastgroup == "word":
            words.append(text.lower())
            if words[0] == "create" and {"function", "procedure"} & set(words[:5]):
                opens = words[-1] in ("begin", "case")
                blocks += 1 if opens else -1 if blocks and words[-1] == "end" else 0
        elif text in "()":
            parentheses += 1 if text == "(" else -1
        elif text == ";" and parentheses <= 0 and not blocks:
            break
    return position, " ".join(words)
