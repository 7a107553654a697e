"""The CREATE TABLE statements of a schema written in SQL, and what their foreign keys refer to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lambda_toolkit.pipeline.lambdas.shared.conversions import base_type
from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.model.schema_declarations import Reference
from lambda_toolkit.pipeline.warehouse.create_table import CreateTable, create_table
from lambda_toolkit.pipeline.warehouse.sql_tokens import Token, tokens

_FAMILIES = (  # types of which one can refer to the other
    ("smallint", "integer", "bigint"),
    ("real", "double precision"),
    ("text", "character varying"),
    ("character", "bpchar"),
    ("date", "timestamp without time zone", "timestamp with time zone"),
    ("bit", "bit varying"),
)


def statements(schema_sql: str) -> tuple[CreateTable, ...]:
    """The CREATE TABLE statements of ``schema_sql``, each after those that it refers to, otherwise in their order.

    Raises WarehouseError, with the line, for anything that is not known to be read right; and for tables that refer to
    one another in a circle.
    """
    found: dict[str, CreateTable] = {}
    relations: set[str] = set()
    for statement in _split(schema_sql):
        entry, names = create_table(schema_sql, statement)
        for name in (entry.table, *names):
            if name in relations:
                raise WarehouseError(f"line {entry.line}: {name} is created twice: tables and their keys share names.")
            relations.add(name)
        found[entry.table] = entry
    complete = {name: _with_references(entry, found) for name, entry in found.items()}
    return tuple(_in_order(complete))


def _split(schema_sql: str) -> Iterator[list[Token]]:
    """The tokens of each statement; the last one is its semicolon, or the end."""
    statement: list[Token] = []
    for token in tokens(schema_sql):
        statement.append(token)
        if token.kind == "end" or token.text == ";":
            if len(statement) > 1:
                yield [*statement[:-1], replace(token, kind="end", text="")]
            statement = []


def _with_references(entry: CreateTable, tables: Mapping[str, CreateTable]) -> CreateTable:
    """The statement with the columns that each of its foreign keys refers to."""
    return replace(entry, references=tuple(_resolved(entry, found, tables) for found in entry.references))


def _resolved(entry: CreateTable, found: Reference, tables: Mapping[str, CreateTable]) -> Reference:
    where = f"line {entry.line}: table {entry.table}: ({', '.join(found.columns)}) refers to {found.table}"
    other = tables.get(found.table)
    if other is None:
        raise WarehouseError(f"{where}, which the schema does not create. It creates: {', '.join(tables)}.")
    keys = found.keys or other.primary_key
    if not keys:
        raise WarehouseError(f"{where}, which has no primary key: name the columns, REFERENCES {found.table} (...).")
    if len(keys) != len(found.columns):
        raise WarehouseError(f"{where} ({', '.join(keys)}): these are not as many columns.")
    if set(keys) not in [set(columns) for columns in other.keys]:
        raise WarehouseError(f"{where} ({', '.join(keys)}), which is neither its PRIMARY KEY nor UNIQUE.")
    for name, key in zip(found.columns, keys, strict=True):
        types = entry.columns[name].type, other.columns[key].type
        if not can_refer(*types):
            raise WarehouseError(f"{where} ({', '.join(keys)}): {name} is {types[0]}, and {key} is {types[1]}.")
    return replace(found, keys=keys)


def can_refer(one: str, other: str) -> bool:
    """Whether a column of the type ``one`` can refer to a column of the type ``other``."""
    mine, theirs = base_type(one), base_type(other)
    return mine == theirs or any(mine in family and theirs in family for family in _FAMILIES)


def _in_order(tables: Mapping[str, CreateTable]) -> Iterator[CreateTable]:
    """Each table after those that it refers to. Raises WarehouseError that names the tables of a circle."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[CreateTable]:
        if name in path:
            circle = " refers to ".join((*path[path.index(name) :], name))
            raise WarehouseError(
                f"line {tables[name].line}: tables refer to one another in a circle: {circle}. No row of them can be "
                "written first: remove one of the foreign keys."
            )
        if name in done:
            return
        for reference in tables[name].references:
            if reference.table != name:
                yield from visit(reference.table, (*path, name))
        done.add(name)
        yield tables[name]

    for name in tables:
        yield from visit(name, ())
