"""The closed list: every function and operator of an expression, by the types that it takes.

A name that PostgreSQL has for other types too lists these as ``other``, where a constant without a type could be one of
them: they take part in the choice of a candidate, as they do in PostgreSQL, and are refused when they are chosen. Docs:
docs/expressions.md, which a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from ..conversions import INTEGERS, NUMBERS, TIME, TIMESTAMP, TIMESTAMPTZ
from .types import (
    BOOLEAN,
    BPCHAR,
    DATE,
    DOUBLE,
    INTEGER,
    INTERVAL,
    JSON,
    JSONB,
    NUMERIC,
    REAL,
    TEXT,
    TEXT_ARRAY,
    UUID,
)

COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Signature:
    """One candidate of a function or an operator."""

    arguments: tuple[str, ...]
    result: str
    computed: tuple[str, ...]
    """The types in which it is computed: an integer and a bigint are added as two bigints."""
    is_supported: bool = True


def _one(arguments: Sequence[str], result: str, computed: Sequence[str] | None = None) -> Signature:
    return Signature(tuple(arguments), result, tuple(computed or arguments))


def _other(*arguments: str) -> Signature:
    return Signature(arguments, TEXT, arguments, is_supported=False)


def _mixed(types: Sequence[str]) -> Iterator[tuple[tuple[str, str], str]]:
    """Every pair of ``types``, which are in order, and the larger one of the two."""
    for one, other in product(types, repeat=2):
        yield (one, other), max(one, other, key=types.index)


def _arithmetic() -> Iterator[Signature]:
    for types in (INTEGERS, (REAL, DOUBLE)):
        for pair, larger in _mixed(types):
            yield _one(pair, larger, (larger, larger))
    yield _one((NUMERIC, NUMERIC), NUMERIC)


def _same(types: Sequence[str]) -> Iterator[Signature]:
    yield from (_one((kind, kind), kind) for kind in types)


def _alone(types: Sequence[str], result: str | None = None) -> Iterator[Signature]:
    yield from (_one((kind,), result or kind) for kind in types)


def _comparison(name: str) -> Iterator[Signature]:
    for types in (INTEGERS, (REAL, DOUBLE)):
        for pair, larger in _mixed(types):
            yield _one(pair, BOOLEAN, (larger, larger))
    for pair, larger in _mixed((DATE, TIMESTAMP, TIMESTAMPTZ)):
        yield _one(pair, BOOLEAN, (larger, larger))
    for kind in (NUMERIC, BOOLEAN, TEXT, BPCHAR, TIME, UUID):
        yield _one((kind, kind), BOOLEAN)


def _moved() -> Iterator[Signature]:
    """A date or timestamp, and an interval, which is a constant."""
    for kind in (DATE, TIMESTAMP, TIMESTAMPTZ):
        result = TIMESTAMP if kind == DATE else kind
        yield _one((kind, INTERVAL), result, (result, INTERVAL))


def _json(text: str) -> Iterator[Signature]:
    for kind in (JSON, JSONB):
        for key in (TEXT, INTEGER):
            yield _one((kind, key), text or kind)


_PLUS_OTHER = (_other(INTERVAL, INTERVAL), _other(DATE, TIME), _other(TIME, DATE))
_MINUS_OTHER = tuple(_other(kind, kind) for kind in (INTERVAL, TIMESTAMP, TIMESTAMPTZ))
_NUMBERS_AND_DATES = (DATE, TIME, TIMESTAMP, TIMESTAMPTZ)

SIGNATURES: Mapping[str, tuple[Signature, ...]] = {
    "+": (
        *_arithmetic(),
        _one((DATE, INTEGER), DATE),
        _one((INTEGER, DATE), DATE),
        *_moved(),
        *(_one(found.arguments[::-1], found.result, found.computed[::-1]) for found in _moved()),
        *_PLUS_OTHER,
    ),
    "-": (*_arithmetic(), _one((DATE, INTEGER), DATE), _one((DATE, DATE), INTEGER), *_moved(), *_MINUS_OTHER),
    "*": (*_arithmetic(), _other(DOUBLE, INTERVAL)),
    "/": (*_arithmetic(), _other(INTERVAL, DOUBLE)),
    "%": tuple(_same((*INTEGERS, NUMERIC))),
    "negative": (*_alone(NUMBERS), _other(INTERVAL)),
    "positive": tuple(_alone(NUMBERS)),
    **{name: tuple(_comparison(name)) for name in COMPARISONS},
    **{name: (_one((TEXT, TEXT), BOOLEAN), _one((BPCHAR, TEXT), BOOLEAN)) for name in ("like", "ilike")},
    "upper": tuple(_alone((TEXT,))),
    "lower": tuple(_alone((TEXT,))),
    "length": tuple(_alone((TEXT, BPCHAR), INTEGER)),
    **{name: (_one((TEXT,), TEXT), _one((TEXT, TEXT), TEXT)) for name in ("trim", "ltrim", "rtrim")},
    "substring": (
        _one((TEXT, INTEGER), TEXT),
        _one((TEXT, INTEGER, INTEGER), TEXT),
        _other(TEXT, TEXT),
        _other(TEXT, TEXT, TEXT),
    ),
    "left": (_one((TEXT, INTEGER), TEXT),),
    "right": (_one((TEXT, INTEGER), TEXT),),
    "replace": (_one((TEXT, TEXT, TEXT), TEXT),),
    "strpos": (_one((TEXT, TEXT), INTEGER),),
    "starts_with": (_one((TEXT, TEXT), BOOLEAN),),
    "split_part": (_one((TEXT, TEXT, INTEGER), TEXT),),
    **{name: (_one((TEXT, INTEGER), TEXT), _one((TEXT, INTEGER, TEXT), TEXT)) for name in ("lpad", "rpad")},
    "round": (*_alone((DOUBLE, NUMERIC)), _one((NUMERIC, INTEGER), NUMERIC)),
    "trunc": (*_alone((DOUBLE, NUMERIC)), _one((NUMERIC, INTEGER), NUMERIC), _other("macaddr")),
    "sign": tuple(_alone((DOUBLE, NUMERIC))),
    "floor": tuple(_alone((DOUBLE, NUMERIC))),
    "ceil": tuple(_alone((DOUBLE, NUMERIC))),
    "abs": tuple(_alone(NUMBERS)),
    "->": tuple(_json("")),
    "->>": tuple(_json(TEXT)),
    "#>>": tuple(_one((kind, TEXT_ARRAY), TEXT) for kind in (JSON, JSONB)),
    "at time zone": (
        _one((TEXT, TIMESTAMP), TIMESTAMPTZ),
        _one((TEXT, TIMESTAMPTZ), TIMESTAMP),
    ),
    "date_trunc": (
        _one((TEXT, TIMESTAMP), TIMESTAMP),
        _one((TEXT, TIMESTAMPTZ), TIMESTAMPTZ),
        _other(TEXT, INTERVAL),
    ),
    "extract": (
        *(_one((TEXT, found), NUMERIC) for found in _NUMBERS_AND_DATES),
        _other(TEXT, INTERVAL),
    ),
    "currency_name": (_one((TEXT,), TEXT),),
}
"""Name -> its candidates. Operators have PostgreSQL's name; a minus before a number is ``negative``."""

SPECIAL = (  # whose types have rules of their own: see resolve
    *("and", "or", "not", "is null", "is true", "is false", "is distinct from", "||", "concat", "concat_ws"),
    *("coalesce", "nullif", "greatest", "least", "decimal"),
)
CALLED = (  # the names that are written as functions
    *("upper", "lower", "length", "trim", "ltrim", "rtrim", "substring", "left", "right", "replace", "concat"),
    *("strpos", "starts_with", "split_part", "lpad", "rpad", "trunc", "sign"),
    *("concat_ws", "round", "floor", "ceil", "abs", "coalesce", "nullif", "greatest", "least", "date_trunc"),
    *("extract", "currency_name", "decimal"),
)
ALIASES: Mapping[str, str] = {  # another name -> the name in the list
    "btrim": "trim",
    "char_length": "length",
    "character_length": "length",
    "substr": "substring",
    "ceiling": "ceil",
    "mod": "%",
    "position": "strpos",
}
TRUNCATED_TO = (
    *("microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year"),
    *("decade", "century", "millennium"),
)
EXTRACTED: Mapping[str, str] = {  # field -> what has it: a date, a time of day, or both
    **dict.fromkeys(("year", "quarter", "month", "week", "day", "dow", "isodow", "doy", "isoyear"), "date"),
    **dict.fromkeys(("hour", "minute", "second"), "time"),
    "epoch": "both",
}
NOT_STRICT = (  # what may have a value although an argument is NULL
    *("and", "or", "is null", "is true", "is false", "is distinct from", "concat", "concat_ws", "coalesce", "nullif"),
    *("greatest", "least", "case"),
)
