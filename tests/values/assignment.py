"""What PostgreSQL stores of a value of one type in a column of another: its own assignment, in a function.

It catches every error: a value that the server refuses is a verdict like any other. Shares no code with the pipeline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.values import hostile

READ_AS_TEXT = (
    "text",
    "character varying",
    "character",
    "bpchar",
    "name",
    *(hostile.ENUM, hostile.DOMAIN),
    hostile.TEXT_DOMAIN,
)
_NUMBER = re.compile(
    r"[ \t\n\r\v\f]*([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,6})?|nan|[+-]?inf(inity)?)[ \t\n\r\v\f]*", re.A | re.I
)
_MOMENT = r"\d{4}-\d\d-\d\d[ T]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?"
FORMS = {  # the forms of a text that docs/values.md promises to read, where PostgreSQL reads more
    **dict.fromkeys(("smallint", "integer", "bigint"), re.compile(r"[ \t\n\r\v\f]*[+-]?\d+[ \t\n\r\v\f]*", re.A)),
    **dict.fromkeys(("numeric", "real", "double precision"), _NUMBER),
    "date": re.compile(r"\d{4}-\d\d-\d\d", re.A),
    "timestamp without time zone": re.compile(_MOMENT, re.A),
    "timestamp with time zone": re.compile(_MOMENT + r"(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)?", re.A),
    "time without time zone": re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?|24:00:00(\.0{1,6})?", re.A),
}


@dataclass(frozen=True)
class Stored:
    """What is stored of a value: as the type's output function writes it, and as ``value::text``."""

    output: str | None
    text: str | None


REJECTED = "rejected"


def base(kind: str) -> str:
    """The type without length, precision or scale; of an array, with them."""
    return kind if kind.endswith("[]") else re.sub(r"\([^)]*\)", "", kind)


def create_assigned(name: str, source: str, target: str) -> str:
    """The statement that creates the function ``name(source)``: what becomes of a value in a column of ``target``.

    Its verdict: ``stored``, ``changed`` (without an error) or ``refused``; and what is stored, in two notations.
    """
    return (
        f"CREATE FUNCTION {name}(v {source}, OUT verdict text, OUT output text, OUT written text)"
        f" LANGUAGE plpgsql AS $do$ DECLARE w {target}; BEGIN w := v;"
        " output := format('%s', w); written := w::text;"
        f" verdict := CASE WHEN v IS NULL OR {_unchanged(source, target)} THEN 'stored' ELSE 'changed' END;"
        " EXCEPTION WHEN others THEN verdict := 'refused'; END $do$"
    )


def _unchanged(source: str, target: str) -> str:
    """The SQL condition that the assignment of ``v`` to ``w`` changed nothing, for PostgreSQL itself."""
    kind, to = base(source), base(target)
    if to in ("real", "double precision"):
        return "true"  # floats are approximate: rounding is what they are for
    if to in ("text", "character varying", "name") or (kind == to and to not in _BY_VALUE):
        return 'v::text COLLATE "C" = w::text COLLATE "C"'
    if to in ("character", "bpchar"):
        limit = re.search(r"\((\d+)\)", target)
        fits = f" AND length(v::text) <= {limit[1]}" if limit else ""
        return f"rtrim(v::text, ' ') COLLATE \"C\" = rtrim(w::text, ' ') COLLATE \"C\"{fits}"
    if kind in READ_AS_TEXT:
        return f"v::text::{to} = w" if to in _BY_VALUE else "true"
    if kind in _BY_VALUE and to in _BY_VALUE:
        return f"w::{kind} = v"
    return "true"


_BY_VALUE = (
    *("smallint", "integer", "bigint", "numeric", "real", "double precision", "date"),
    *("timestamp without time zone", "timestamp with time zone", "time without time zone"),
)


def is_named(source: str, target: str, written: str | None) -> bool:
    """Whether docs/values.md names the value as one that is rejected although PostgreSQL would store it."""
    if written is None:
        return False
    kind, to = base(source), base(target)
    if kind in ("date", "timestamp without time zone", "timestamp with time zone"):
        return not re.match(r"\d{4}-", written) or written.endswith("BC")
    if written.strip().lower() == "nan" and (_is_decimal(source) or _is_decimal(target)) and to != "boolean":
        return _is_decimal(source) or kind in (*READ_AS_TEXT, "numeric", "real", "double precision")
    if kind in READ_AS_TEXT and to in FORMS:
        return not FORMS[to].fullmatch(written)
    return False


def _is_decimal(kind: str) -> bool:
    """Whether Parquet has a decimal of the type, which has no NaN."""
    found = re.fullmatch(r"numeric\((\d+),(-?\d+)\)", kind)
    return found is not None and int(found[1]) <= 38 and 0 <= int(found[2]) <= int(found[1])
