"""What config/warehouse.sql says of the warehouse's columns: types, and which must not be NULL."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.lambdas.shared.declarations import Declarations, parse
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.warehouse.ddl import statements

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<text>[eE]?'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")+")
  | (?P<word>[^\W\d]\w*)
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<mark>::|\[\]|.)
""",
    re.VERBOSE | re.DOTALL,
)
_ALIASES = {  # other names of a type -> the one that format_type writes
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "smallserial": "smallint",
    "serial2": "smallint",
    "serial": "integer",
    "serial4": "integer",
    "bigserial": "bigint",
    "serial8": "bigint",
    "decimal": "numeric",
    "dec": "numeric",
    "bool": "boolean",
    "float4": "real",
    "float8": "double precision",
    "float": "double precision",
    "varchar": "character varying",
    "char varying": "character varying",
    "char": "character",
    "bpchar": "character",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
}
_SERIAL = ("smallserial", "serial2", "serial", "serial4", "bigserial", "serial8")
_TYPE_ENDS = (  # the words by which a column's constraints begin
    *("constraint", "not", "null", "default", "primary", "unique", "references", "check", "generated", "collate"),
    *("deferrable", "initially", "storage", "compression"),
)
_TABLE_CONSTRAINTS = ("constraint", "primary", "unique", "foreign", "check", "exclude", "like")
_LARGEST_REAL = 24  # bits: float(n) up to this is a real


@dataclass(frozen=True)
class Column:
    """A column of a table; ``filled``: where nothing is given, the server puts a value."""

    type: str
    required: bool
    filled: bool


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        """The keyword that it may be; a quoted name is none."""
        return self.text.lower() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The name that it is, folded as PostgreSQL does."""
        return self.text[1:-1].replace('""', '"') if self.kind == "quoted" else self.text.lower()


def columns(schema_sql: str) -> Mapping[str, Mapping[str, Column]]:
    """Table -> column -> what its CREATE TABLE statement in ``schema_sql`` says of it.

    Raises PipelineError for anything but CREATE TABLE statements.
    """
    return {entry.table: _columns_of(entry.statement) for entry in statements(schema_sql)}


def with_types(tables: Mapping[str, Mapping[str, Any]], schema_sql: str, where: str) -> dict[str, Any]:
    """``tables`` (the sections source and warehouse) with the ``types`` of each warehouse table.

    Raises ConfigurationError, naming ``where``, when the two do not fit each other.
    """
    try:
        declared, schema = parse(tables), columns(schema_sql)
    except PipelineError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    _check(declared, schema, where)
    warehouse = {
        name: {**entry, "types": _types(schema[name], declared.warehouse[name].column_names)}
        for name, entry in tables["warehouse"].items()
    }
    return {**tables, "warehouse": warehouse}


def _types(schema: Mapping[str, Column], names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    return {name: {"type": schema[name].type, "required": schema[name].required} for name in names}


def _check(declared: Declarations, schema: Mapping[str, Mapping[str, Column]], where: str) -> None:
    for table in declared.warehouse.values():
        if table.name not in schema:
            raise ConfigurationError(f"{where} has no table {table.name}, which [warehouse.{table.name}] declares.")
        present = schema[table.name]
        named = (*table.column_names, *((table.record,) if table.record else ()))
        for name in named:
            if name not in present:
                raise ConfigurationError(
                    f"{where}: table {table.name} has no column {name}, which [warehouse.{table.name}] declares. "
                    f"It has: {', '.join(present)}."
                )
        for name, column in present.items():
            if column.required and not column.filled and name not in named:
                raise ConfigurationError(
                    f"{where}: column {name} of {table.name} is NOT NULL without a default, and "
                    f"[warehouse.{table.name}] does not say where it comes from. Declare it, or let it be NULL."
                )
        if table.record and not present[table.record].filled:
            raise ConfigurationError(
                f"{where}: column {table.record} of {table.name} must be GENERATED BY DEFAULT AS IDENTITY: "
                "it numbers the versions."
            )


def _columns_of(statement: str) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for item in _items(_tokens(statement)):
        if item[0].word in _TABLE_CONSTRAINTS:
            for name in _primary_key(item):
                found[name] = Column(found[name].type, True, found[name].filled)
        elif len(item) > 1:
            found[item[0].name] = _column(item[1:])
    return found


def _tokens(statement: str) -> list[_Token]:
    return [
        _Token(str(match.lastgroup), match[0]) for match in _TOKEN.finditer(statement) if match.lastgroup != "space"
    ]


def _items(tokens: list[_Token]) -> Iterator[list[_Token]]:
    """What stands between the commas of the outermost parentheses."""
    depth = 0
    item: list[_Token] = []
    for token in tokens:
        if token.text == "(" and (depth := depth + 1) == 1:
            continue
        if token.text == ")" and (depth := depth - 1) == 0:
            break
        if token.text == "," and depth == 1:
            yield item
            item = []
        elif depth:
            item.append(token)
    if item:
        yield item


def _primary_key(item: list[_Token]) -> list[str]:
    words = [token.word for token in item]
    if "primary" not in words[:3]:
        return []
    start = next(place for place, token in enumerate(item) if token.text == "(")
    end = next(place for place, token in enumerate(item) if token.text == ")")
    return [token.name for token in item[start + 1 : end] if token.kind in ("word", "quoted")]


def _column(tokens: list[_Token]) -> Column:
    end = next((place for place, token in enumerate(tokens) if token.word in _TYPE_ENDS), len(tokens))
    rest = _outside_parentheses(tokens[end:])
    kind, raw = _type(tokens[:end])
    pairs = set(itertools.pairwise(rest))
    identity, serial = "identity" in rest, raw in _SERIAL
    return Column(
        type=kind,
        required=("not", "null") in pairs or ("primary", "key") in pairs or identity or serial,
        filled="default" in rest or "generated" in rest or serial,
    )


def _outside_parentheses(tokens: list[_Token]) -> list[str]:
    words, depth = [], 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if not depth and token.text != ")":
            words.append(token.word)
    return words


def _type(tokens: list[_Token]) -> tuple[str, str]:
    """A type as format_type writes it, and its name as it was written."""
    words = " ".join(token.name if token.kind == "quoted" else token.word for token in tokens if token.kind in _NAMES)
    raw = words.removeprefix("pg_catalog ")
    modifier = "".join(token.text for token in _inside(tokens))
    array = "[]" if any(token.text in ("[]", "[") for token in tokens) else ""
    if raw == "float" and modifier:
        return ("real" if int(modifier) <= _LARGEST_REAL else "double precision") + array, raw
    name = _ALIASES.get(raw, raw)
    if name == "character" and not modifier and raw != "bpchar":
        modifier = "1"
    if name == "numeric" and modifier and "," not in modifier:
        modifier += ",0"
    first, _, zone = name.partition(" ") if name.startswith(("time", "timestamp")) else (name, "", "")
    return f"{first}{f'({modifier})' if modifier else ''}{f' {zone}' if zone else ''}{array}", raw


_NAMES = ("word", "quoted")


def _inside(tokens: list[_Token]) -> list[_Token]:
    depth, found = 0, []
    for token in tokens:
        if token.text == ")":
            depth -= 1
        if depth:
            found.append(token)
        if token.text == "(":
            depth += 1
    return found
