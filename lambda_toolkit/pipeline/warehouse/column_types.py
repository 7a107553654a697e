"""What config/warehouse.sql declares: the types of columns, which must not be NULL, and the foreign keys."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.lambdas.shared.declarations import Declarations, Reference, parse
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError, WarehouseError
from lambda_toolkit.pipeline.warehouse.ddl import CreateTable, Token, statements

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
class Table:
    """What a CREATE TABLE statement says."""

    columns: Mapping[str, Column]
    """The columns in order."""
    references: tuple[Reference, ...]
    """The foreign keys in order, of the columns and of the table."""


def tables(schema_sql: str) -> Mapping[str, Table]:
    """Table -> what its CREATE TABLE statement in ``schema_sql`` says of it.

    Raises PipelineError for anything but CREATE TABLE statements, and for a foreign key whose columns are not known.
    """
    created = statements(schema_sql)
    columns = {entry.table: _columns_of(entry.body) for entry in created}
    keys = {entry.table: _primary_key_of(entry.body) for entry in created}
    return {entry.table: Table(columns[entry.table], tuple(_references_of(entry, keys))) for entry in created}


def with_types(tables_declared: Mapping[str, Mapping[str, Any]], schema_sql: str, where: str) -> dict[str, Any]:
    """The sections ``source`` and ``warehouse`` with the ``types`` and ``references`` of each warehouse table.

    Raises ConfigurationError, naming ``where``, when the declaration and ``schema_sql`` do not fit each other.
    """
    try:
        declared, schema = parse(tables_declared), tables(schema_sql)
    except PipelineError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    _check(declared, {name: table.columns for name, table in schema.items()}, where)
    warehouse = {
        name: {**entry, **_packaged(schema[name], declared.warehouse[name].column_names)}
        for name, entry in tables_declared["warehouse"].items()
    }
    return {**tables_declared, "warehouse": warehouse}


def _packaged(table: Table, names: tuple[str, ...]) -> dict[str, Any]:
    """The types and the foreign keys of the columns that transform fills, as JSON values."""
    references = [
        {"columns": list(found.columns), "table": found.table, "keys": list(found.keys)}
        for found in table.references
        if set(found.columns) <= set(names)
    ]
    return {"types": _types(table.columns, names), "references": references}


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


def _columns_of(body: tuple[Token, ...]) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for item in _items(body):
        if item[0].word in _TABLE_CONSTRAINTS:
            for name in _primary_key(item):
                found[name] = Column(found[name].type, True, found[name].filled)
        elif len(item) > 1:
            found[item[0].name] = _column(item[1:])
    return found


def _items(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """The tokens between the commas of the outermost parentheses."""
    depth = 0
    item: list[Token] = []
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


def _primary_key_of(body: tuple[Token, ...]) -> tuple[str, ...]:
    for item in _items(body):
        if item[0].word in _TABLE_CONSTRAINTS:
            if names := _primary_key(item):
                return names
        elif ("primary", "key") in itertools.pairwise(_outside_parentheses(item[1:])):
            return (item[0].name,)
    return ()


def _primary_key(item: list[Token]) -> tuple[str, ...]:
    """The columns of a table constraint PRIMARY KEY; none of another constraint."""
    return _names_after(item, 0) if "primary" in [token.word for token in item[:3]] else ()


def _names_after(item: list[Token], start: int) -> tuple[str, ...]:
    """The names within the first parentheses after ``start``; none where there are no parentheses."""
    begin = next((n for n, token in enumerate(item) if n >= start and token.text == "("), len(item))
    end = next((n for n, token in enumerate(item) if n >= begin and token.text == ")"), len(item))
    return tuple(token.name for token in item[begin + 1 : end] if token.kind in ("word", "quoted"))


def _references_of(entry: CreateTable, keys: Mapping[str, tuple[str, ...]]) -> Iterator[Reference]:
    """The foreign keys of a table. ``keys``: the primary key of each table, which REFERENCES without columns means."""
    for item in _items(entry.body):
        words = [token.word for token in item]
        if "references" not in words:
            continue
        at = words.index("references")
        is_table_constraint = item[0].word in _TABLE_CONSTRAINTS
        columns = _names_after(item, 0) if is_table_constraint else (item[0].name,)
        other = item[at + 1].name if len(item) > at + 1 else ""
        has_columns = len(item) > at + 2 and item[at + 2].text == "("
        named = _names_after(item, at + 2) if has_columns else keys.get(other, ())
        if len(named) != len(columns):
            raise WarehouseError(
                f"Table {entry.table} refers to {other}, whose primary key is not in the schema: "
                f"name the columns, REFERENCES {other} (...)."
            )
        yield Reference(columns, other, named)


def _column(tokens: list[Token]) -> Column:
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


def _outside_parentheses(tokens: list[Token]) -> list[str]:
    words, depth = [], 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if not depth and token.text != ")":
            words.append(token.word)
    return words


def _type(tokens: list[Token]) -> tuple[str, str]:
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


def _inside(tokens: list[Token]) -> list[Token]:
    depth, found = 0, []
    for token in tokens:
        if token.text == ")":
            depth -= 1
        if depth:
            found.append(token)
        if token.text == "(":
            depth += 1
    return found
