"""The expressions by which a declaration derives a warehouse column from a source row.

column                  unchanged
table.column            of the joined row
date(c), time(c)        of a timestamp; date also of a string with an ISO 8601 date
decimal(c, p, s)        a numeric that must fit numeric(p, s)
currency_name(c)        the ISO 4217 name of a code

A name with other characters than letters, digits and _ is in double quotes, as in SQL: "Order Details"."Unit Price".
Without quotes too, capitals are capitals.

Any other text is SQL: it is parsed where the configuration is read, and packaged as a tree (``expression.tree``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..expression import tree

MAX_PRECISION = 38  # digits of Arrow's decimal128

_INTEGERS = ("smallint", "integer", "bigint")
_STRINGS = ("character varying", "text", "character")
_TIMESTAMPS = ("timestamp without time zone", "timestamp with time zone")


@dataclass(frozen=True)
class Function:
    """A function of a column, as all three users need it: the parser, extract's check of types, and transform."""

    accepts: tuple[str, ...]
    """The types of a source column that it can read, without length, precision or scale."""
    refusal: str
    """Why a value is rejected that it cannot convert; ``{0}``, ``{1}`` are the integers."""
    integers: tuple[str, ...] = ()
    """What the integers after the column are, in order."""


EXPRESSIONS: Mapping[str, Function] = {  # name -> function; transform.columns.convert has the implementations
    "date": Function((*_TIMESTAMPS, "date", *_STRINGS), "not a date of the form yyyy-mm-dd"),
    "time": Function(_TIMESTAMPS, "not a time"),
    "decimal": Function(("numeric", *_INTEGERS), "does not fit numeric({0}, {1})", ("precision", "scale")),
    "currency_name": Function(_STRINGS, "not a currency code of ISO 4217"),
}

_NAME = r'\w+|"(?:[^"]|"")+"'
_PLAIN_NAME = re.compile(r"\w+")
_COLUMN = re.compile(rf"(?:(?P<table>{_NAME})\s*\.\s*)?(?P<column>{_NAME})")
_CALL = re.compile(
    rf"(?P<function>\w+)\(\s*(?P<column>(?:(?:{_NAME})\s*\.\s*)?(?:{_NAME}))?\s*(?P<rest>(?:,[^(),]*)*)\)"
)


@dataclass(frozen=True)
class Expression:
    """``function`` (None: the value unchanged) of ``column`` of the joined ``table`` (None: of the row itself)."""

    column: str
    table: str | None = None
    function: str | None = None
    arguments: tuple[int, ...] = ()

    @property
    def reads(self) -> tuple[tuple[str | None, str], ...]:
        """The joined table (None: the row itself) and the column that it reads."""
        return ((self.table, self.column),)

    def __str__(self) -> str:
        """The expression as a declaration writes it."""
        column = f"{written(self.table)}.{written(self.column)}" if self.table else written(self.column)
        if self.function is None:
            return column
        return f"{self.function}({', '.join((column, *map(str, self.arguments)))})"


@dataclass(frozen=True)
class SqlExpression:
    """An expression of SQL, with PostgreSQL's semantics."""

    text: str
    """As the declaration writes it."""
    tree: tree.Node

    @property
    def reads(self) -> tuple[tuple[str | None, str], ...]:
        """The joined table (None: the row itself) and the column of each column that it reads, each once."""
        return tuple((None if len(path) == 1 else path[0], path[-1]) for path in tree.column_paths(self.tree))

    def to_json(self) -> dict[str, Any]:
        """The expression as ``tables.json`` has it."""
        return {"sql": self.text, "tree": tree.to_json(self.tree)}

    def __str__(self) -> str:
        """The expression as a declaration writes it."""
        return self.text


ColumnExpression = Expression | SqlExpression
ParseSql = Callable[[str], tree.Node]
"""Parses SQL. It raises ValueError. No function's package has one."""

_CONSTANT = re.compile(r"true|false|null|\d+", re.IGNORECASE | re.ASCII)


def read_expression(declared: object, parse_sql: ParseSql | None = None) -> ColumnExpression:
    """What a declaration has for a column: a text, or SQL that was parsed. Raises ValueError that says what is wrong.

    ``parse_sql`` parses a text that is neither a column nor a function of one; None: such a text is refused.
    """
    if isinstance(declared, Mapping):
        return read_sql(declared)
    text = str(declared).strip()
    try:
        if parse_sql is None or not _CONSTANT.fullmatch(text):
            return parse_expression(text)
    except ValueError:
        if parse_sql is None or _is_own_function(text):
            raise
    return read_sql(text, parse_sql)


def read_sql(declared: object, parse_sql: ParseSql | None = None) -> SqlExpression:
    """As ``read_expression``, where only SQL is possible."""
    if isinstance(declared, Mapping):
        found = SqlExpression(str(declared.get("sql")), tree.from_json(declared.get("tree")))
    elif parse_sql is not None:
        found = SqlExpression(str(declared).strip(), parse_sql(str(declared).strip()))
    else:
        raise ValueError("this SQL was not parsed when the function was packaged")
    for path in tree.column_paths(found.tree):
        if len(path) > 2:
            raise ValueError(f"{'.'.join(path)} has too many names: write a column, or alias.column of a join")
    return found


def _is_own_function(text: str) -> bool:
    """Whether the text is one of the pipeline's own functions, of arguments that are no expressions themselves."""
    call = _CALL.fullmatch(text)
    return call is not None and call["function"] in EXPRESSIONS


def written(name: str) -> str:
    """The name of a table or column as an expression writes it: in double quotes where that is necessary."""
    if _PLAIN_NAME.fullmatch(name) and not _CONSTANT.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'


def parse_expression(text: str) -> Expression:
    """Parses ``text``. Raises ValueError that says what is wrong with it."""
    call = _CALL.fullmatch(text.strip())
    if call is None:
        return _column(text.strip())
    function = call["function"]
    if function not in EXPRESSIONS:
        raise ValueError(f"there is no function `{function}`; known: {', '.join(EXPRESSIONS)}")
    rest = [part.strip() for part in call["rest"].split(",")[1:]]
    integers = EXPRESSIONS[function].integers
    if call["column"] is None or len(rest) != len(integers) or not all(part.isdecimal() for part in rest):
        expected = " and ".join(("a column", *(f"the integer {name}" for name in integers)))
        raise ValueError(f"`{function}` takes {expected}")
    arguments = tuple(int(part) for part in rest)
    if function == "decimal" and not (1 <= arguments[0] <= MAX_PRECISION and arguments[1] <= arguments[0]):
        raise ValueError(f"decimal's precision is 1 to {MAX_PRECISION}, and its scale no more than that")
    column = _column(call["column"])
    return Expression(column.column, column.table, function, arguments)


def _column(text: str) -> Expression:
    match = _COLUMN.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is neither a column, a table.column, nor a function of one")
    return Expression(_name(match["column"]), _name(match["table"]) if match["table"] else None)


def _name(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
