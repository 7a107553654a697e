"""The expressions by which a declaration derives a warehouse column from a source row.

column                  unchanged
table.column            of the joined row
date(c), time(c)        of a timestamp; date also of a string with an ISO 8601 date
decimal(c, p, s)        a numeric that must fit numeric(p, s)
currency_name(c)        the ISO 4217 name of a code

A name with other characters than letters, digits and _ is in double quotes, as in SQL: "Order Details"."Unit Price".
Without quotes too, capitals are capitals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

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

    def __str__(self) -> str:
        """The expression as a declaration writes it."""
        column = f"{written(self.table)}.{written(self.column)}" if self.table else written(self.column)
        if self.function is None:
            return column
        return f"{self.function}({', '.join((column, *map(str, self.arguments)))})"


def written(name: str) -> str:
    """The name of a table or column as an expression writes it: in double quotes where that is necessary."""
    return name if _PLAIN_NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'


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
