"""Which types of a source column can be stored in which types of the warehouse, by PostgreSQL's assignments.

A value is stored as ``INSERT INTO warehouse SELECT column FROM source`` would store it, or rejected. A column of text,
and of a type that is not known here (an enum, a domain), is read as the text that a value of the wanted type has.
https://www.postgresql.org/docs/current/typeconv-query.html; docs/values.md has the rules of each type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .model.declarations import Declarations, WarehouseTable
from .model.expressions import Expression

INTEGERS = ("smallint", "integer", "bigint")
FLOATS = ("real", "double precision")
NUMBERS = (*INTEGERS, "numeric", *FLOATS)
TEXTS = ("text", "character varying", "character", "bpchar")
TIMESTAMP, TIMESTAMPTZ = "timestamp without time zone", "timestamp with time zone"
DATES = ("date", TIMESTAMP, TIMESTAMPTZ)
TIME = "time without time zone"

_PARSED = (*NUMBERS, "boolean", *DATES, TIME, "uuid")  # what a text is read as
_GEOMETRIC = ("point", "line", "lseg", "box", "path", "polygon", "circle")
_RANGES = tuple(
    f"{kind}{range_}" for kind in ("int4", "int8", "num", "ts", "tstz", "date") for range_ in ("range", "multirange")
)
_AS_TEXT = (  # stored as PostgreSQL writes them, from a column of the same type
    *("time with time zone", "interval", "bytea", "json", "jsonb", "xml", "inet", "cidr", "macaddr", "macaddr8"),
    *("bit", "bit varying", "tsvector", "tsquery", "oid", "pg_lsn", *_GEOMETRIC, *_RANGES),
)
_ASSIGNED: Mapping[str, tuple[str, ...]] = {  # a source's type -> the other types that its values can be stored in
    **dict.fromkeys(NUMBERS, NUMBERS),
    **dict.fromkeys(DATES, DATES),
    "jsonb": ("json",),
    "cidr": ("inet",),
    "macaddr": ("macaddr8",),
}
_KNOWN = (*_PARSED, *_AS_TEXT, *TEXTS, "money")
_BY_VALUE = (  # equal values of these types are the same to the character
    *(*INTEGERS, "boolean", "text", "character varying", "character", *DATES, TIME, "uuid", "bytea", "oid"),
    *("macaddr", "macaddr8", "bit", "bit varying"),
)
_WITHOUT_EQUALITY = ("json", "xml", *_GEOMETRIC)
# Of these, values are equal to PostgreSQL whose texts differ: 1 day and 24 hours, [1] and [1.0], a and A.
_EQUAL_THOUGH_OTHER_TEXTS = (
    "interval",
    "jsonb",
    "citext",
    "numrange",
    "nummultirange",
    "numeric[]",
    "interval[]",
    "jsonb[]",
)

_MODIFIER = re.compile(r"\((?P<arguments>[^)]*)\)")


def base_type(postgres_type: str) -> str:
    """The type without its length, precision or scale: ``numeric`` of ``numeric(10,2)``."""
    return _MODIFIER.sub("", postgres_type)


def modifiers(postgres_type: str) -> tuple[int, ...]:
    """The integers of a type: (10, 2) of ``numeric(10,2)``. None of a type that has none, or has others."""
    match = _MODIFIER.search(postgres_type)
    parts = match["arguments"].split(",") if match else []
    return tuple(map(int, parts)) if all(part.strip().lstrip("-").isdecimal() for part in parts) else ()


def is_text(postgres_type: str) -> bool:
    """Whether a column of this type is read as text, whatever the wanted type."""
    base = base_type(postgres_type)
    return base in TEXTS or (base not in _KNOWN and not base.endswith("[]"))


def refusal(source: str, wanted: str) -> str | None:
    """Why no value of the type ``source`` can be stored in a column of the type ``wanted``; None where values can."""
    unknown = unsupported(wanted)
    if unknown is not None:
        return unknown
    base, to = base_type(source), base_type(wanted)
    if to in TEXTS or (is_text(source) and to in _PARSED) or to in _ASSIGNED.get(base, ()):
        return None
    if base != to:
        hint = _HINTS.get((base, to), "declare the column with the source's type, or as text")
        return f"PostgreSQL does not assign {source} to {wanted} without loss: {hint}"
    if to in _PARSED or source == wanted or not modifiers(wanted):
        return None
    mine, limit = modifiers(source), modifiers(wanted)
    if to != "bit" and not to.endswith("[]") and mine and mine <= limit:
        return None
    return f"values of {source} may not fit {wanted}: declare the column as {source}"


_USE_TIME = "use time(column)"
_HINTS: Mapping[tuple[str, str], str] = {
    (TIMESTAMP, TIME): _USE_TIME,
    (TIMESTAMPTZ, TIME): _USE_TIME,
    ("boolean", "integer"): "declare the column as boolean",
    ("json", "jsonb"): "not every json is a jsonb; declare the column as json",
}


def unsupported(wanted: str) -> str | None:
    """Why the warehouse cannot have a column of the type ``wanted``; None where it can."""
    base = base_type(wanted)
    element = base.removesuffix("[]")
    if element == "money":
        return "the text of a money depends on the server's lc_monetary: declare the column as numeric or text"
    if element not in _KNOWN and not element.startswith("interval "):
        return f"{wanted} is not a type that the pipeline writes: declare the column as text"
    return None


def unfit_key(wanted: str) -> str | None:
    """Why a column of the type ``wanted`` cannot be the key of a warehouse table; None where it can."""
    if base_type(wanted).removesuffix("[]") in _WITHOUT_EQUALITY:
        return f"PostgreSQL cannot compare two values of {wanted}, so it is no key: declare the column as text"
    return None


def is_compared_as_text(postgres_type: str) -> bool:
    """Whether two values of the type are the same only when their texts are.

    PostgreSQL has no equality for some types (json, xml, point). For others it takes different values for equal: two
    boxes of the same area, 1 day and 24 hours, 1.0 and 1.00.
    """
    base = base_type(postgres_type)
    return base not in _BY_VALUE and not (base == "numeric" and modifiers(postgres_type))


def have_one_equality(one: str, other: str) -> bool:
    """Whether PostgreSQL compares values of two types as what they are. Otherwise they are compared as texts."""
    bases = {base_type(one), base_type(other)}
    return len(bases) == 1 or any(bases <= set(kinds) for kinds in (NUMBERS, DATES, TEXTS))


def refused_columns(declarations: Declarations, types: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """One sentence for each warehouse column that no value of its source column fits, and for each impossible join.

    ``types``: source table -> column -> PostgreSQL type; tables and columns that are not in there are not checked.
    """
    for table in declarations.warehouse.values():
        for name, expression in table.columns.items():
            if not isinstance(expression, Expression):
                continue  # SQL: expression.check
            source = types.get(table.table_of(expression.table), {}).get(expression.column)
            if source is None or name not in table.types:
                continue
            wanted = table.types[name].type
            reason = refusal(result_type(expression, source), wanted)
            if reason is not None:
                yield (
                    f"The source column {table.table_of(expression.table)}.{expression.column} ({source}) cannot be "
                    f"stored in {table.name}.{name} ({wanted}): {reason}."
                )
        yield from _refused_joins(table, declarations, types)


def result_type(expression: Expression, source: str) -> str:
    """The PostgreSQL type of an expression on a column of the type ``source``."""
    if expression.function == "decimal":
        return f"numeric({expression.arguments[0]},{expression.arguments[1]})"
    return {"date": "date", "time": TIME, "currency_name": "text"}.get(expression.function or "", source)


def _refused_joins(
    table: WarehouseTable, declarations: Declarations, types: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    for join in table.joins.values():
        referring = [(table.table_of(join.parent), column) for column in join.on]
        referred = [(join.table, key) for key in declarations.source[join.table].keys]
        for name, column in (*referring, *referred):
            found = types.get(name, {}).get(column)
            if found is not None and unfit_key(found) is not None:
                yield (
                    f"The source column {name}.{column} ({found}) cannot join {join.table}: PostgreSQL cannot compare "
                    "its values."
                )
        for (name, column), (_, key) in zip(referring, referred, strict=True):
            found = types.get(name, {}).get(column)
            same = found is not None and base_type(found) == base_type(types.get(join.table, {}).get(key, ""))
            if found is not None and same and base_type(found) in _EQUAL_THOUGH_OTHER_TEXTS:
                yield (
                    f"The source column {name}.{column} ({found}) cannot join {join.table}: values that PostgreSQL "
                    "takes for equal may have different texts, by which they are looked up. Join by another column."
                )
