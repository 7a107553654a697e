"""One CREATE TABLE statement: a closed list of what it may say, read as PostgreSQL does.

What is not in the list is refused with its line. What is in it is read as a real catalog shows it: a test compares the
two.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lambda_toolkit.pipeline.lambdas.shared.conversions import base_type
from lambda_toolkit.pipeline.lambdas.shared.model.schema_declarations import Reference
from lambda_toolkit.pipeline.warehouse.sql_tokens import Reader, Token
from lambda_toolkit.pipeline.warehouse.sql_types import SqlType, read_type

SYSTEM_COLUMNS = ("tableoid", "ctid", "xmin", "xmax", "cmin", "cmax")
"""The names that PostgreSQL gives to a column of no table."""
_MAX_COLUMNS = 1600
_WITHOUT_ORDER = (  # types that no PRIMARY KEY or UNIQUE can be of
    *("json", "xml", "jsonpath", "point", "line", "lseg", "box", "path", "polygon", "circle"),
)
_WITH_COLLATION = ("text", "character varying", "character", "bpchar", "name")
_INSTEAD = {  # first words of other statements -> what to do instead
    "alter": "write the constraint or the column in CREATE TABLE itself",
    "create index": "prepare creates the indexes that load needs; create others in the warehouse itself",
    "create unique": "write UNIQUE in CREATE TABLE",
    "create view": "create your own views in another schema of the warehouse",
    "create temp": "a temporary table is no table of a warehouse",
    "create temporary": "a temporary table is no table of a warehouse",
    "create unlogged": "an unlogged table is empty after a crash",
    "create type": "use one of PostgreSQL's own types, such as text",
    "create domain": "use one of PostgreSQL's own types, such as text",
    "comment": "write a comment of SQL, which begins with --",
    "begin": "remove it: prepare runs the file in one transaction",
    "start": "remove it: prepare runs the file in one transaction",
    "commit": "remove it: prepare runs the file in one transaction",
}
_LITERAL_WORDS = (
    *("true", "false", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"),
    *("current_user", "session_user", "user", "current_role"),
)


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    type: str
    """As PostgreSQL's format_type() writes it."""
    required: bool
    """NOT NULL, by whichever way it is said."""
    filled: bool
    """Where nothing is given, the server puts a value."""
    computed: bool = False
    """Nothing can be given: GENERATED ALWAYS."""


@dataclass(frozen=True)
class CreateTable:
    """One CREATE TABLE statement."""

    table: str
    """The name of the table that it creates."""
    statement: str
    """The statement as it was written, without comments and without the semicolon."""
    line: int
    columns: Mapping[str, Column]
    """The columns in order."""
    keys: tuple[tuple[str, ...], ...]
    """The columns of each PRIMARY KEY and UNIQUE."""
    primary_key: tuple[str, ...]
    references: tuple[Reference, ...]
    """The foreign keys in order, those of the columns first."""
    deferrable: frozenset[tuple[str, ...]] = frozenset()
    """The columns of each foreign key that is DEFERRABLE."""


@dataclass
class _Table:
    """A statement while it is read."""

    columns: dict[str, Column]
    types: dict[str, SqlType]
    keys: list[tuple[str, ...]]
    references: list[Reference]  # without ``keys`` where none are named
    names: list[str]  # of constraints
    index_names: list[str]
    primary_key: tuple[str, ...] = ()
    deferrable: set[tuple[str, ...]] = field(default_factory=set)


def create_table(schema_sql: str, statement: list[Token]) -> tuple[CreateTable, tuple[str, ...]]:
    """What ``statement``, the tokens of one of ``schema_sql``, says; and the names that its keys were given.

    The foreign keys that name no columns have no ``keys`` yet. Raises WarehouseError, with the line, for anything that
    is not known to be read right.
    """
    reader = Reader(statement, "the schema")
    first = reader.next
    if not reader.has("create", "table"):
        _refuse_statement(reader)
    reader.has("if", "not", "exists")
    name = reader.name("the table")
    reader.context = f"table {name}"
    if reader.next.text == ".":
        reader.refuse("write its name without a schema: load decides where the tables are")
    if reader.next.text != "(":
        reader.refuse("only CREATE TABLE <name> (<columns>) is read: columns in parentheses must follow")
    reader.take()
    table = _Table({}, {}, [], [], [], [])
    while True:
        _item(reader, table)
        if not reader.has(","):
            break
    if reader.next.kind == "end":
        reader.refuse("the parenthesis of its columns is not closed")
    reader.expect(")")
    if reader.next.kind != "end":
        reader.refuse(
            f"{reader.next.text[:40]} after the columns is not read. A semicolon ends the statement; INHERITS, "
            "PARTITION BY, WITH and the like are for the warehouse itself"
        )
    _check(reader, first, table)
    columns = {
        column: replace(found, required=found.required or column in table.primary_key)
        for column, found in table.columns.items()
    }
    text = _without_comments(schema_sql, statement)
    keys, references, deferrable = tuple(table.keys), tuple(table.references), frozenset(table.deferrable)
    created = CreateTable(name, text, first.line, columns, keys, table.primary_key, references, deferrable)
    return created, tuple(table.index_names)


def _refuse_statement(reader: Reader) -> None:
    words = [reader.peek(ahead).word for ahead in (0, 1)]
    instead = _INSTEAD.get(" ".join(words)) or _INSTEAD.get(words[0]) or "remove it"
    beginning = " ".join(reader.peek(ahead).text for ahead in range(4)).strip()
    reader.refuse(f"may contain only CREATE TABLE <name> (...) statements, not {beginning[:60]}; {instead}")


def _without_comments(schema_sql: str, statement: list[Token]) -> str:
    """The statement as it was written, with a space, or what there was of spaces, where a comment was."""
    pieces = []
    for token, following in itertools.pairwise(statement):
        between = schema_sql[token.start + len(token.text) : following.start]
        is_last = following.kind == "end"
        pieces.append(token.text + ("" if is_last else between if not between.strip() else " "))
    return "".join(pieces)


def _item(reader: Reader, table: _Table) -> None:
    """Takes a column, or a constraint of the table."""
    token = reader.next
    if token.word in ("constraint", "primary", "unique", "foreign", "check"):
        _table_constraint(reader, table)
        return
    if token.word in ("like", "not") or (token.word == "exclude" and reader.peek(1).text.lower() in ("using", "(")):
        reader.refuse(
            f"{token.text.upper()} is not read here: write columns, PRIMARY KEY, UNIQUE, FOREIGN KEY or CHECK"
        )
    name = reader.name("a column")
    if name in table.columns:
        reader.refuse(f"column {name} is there twice", token)
    if name in SYSTEM_COLUMNS:
        reader.refuse(f"{name} is the name of a system column of PostgreSQL: use another", token)
    context, reader.context = reader.context, f"{reader.context}, column {name}"
    table.types[name] = kind = read_type(reader)
    table.columns[name] = Column(kind.name, required=kind.is_serial, filled=kind.is_serial)
    _column_constraints(reader, table, name)
    reader.context = context


def _column_constraints(reader: Reader, table: _Table, name: str) -> None:
    has_default = table.types[name].is_serial
    is_nullable = has_value = False
    begin = reader.next
    while reader.next.text not in (",", ")") and reader.next.kind != "end":
        column = table.columns[name]
        given = _constraint_name(reader, table)
        token = reader.next
        if reader.has("not", "null"):
            table.columns[name] = replace(column, required=True)
        elif reader.has("null"):
            is_nullable = True
        elif reader.has("primary", "key"):
            _add_key(reader, table, (name,), given, token, is_primary=True)
        elif reader.has("unique"):
            _nulls_distinct(reader)
            _add_key(reader, table, (name,), given, token, is_primary=False)
        elif reader.has("check"):
            reader.skip_parentheses()
        elif reader.has("references"):
            _reference(reader, table, (name,))
        elif reader.has("default"):
            has_value, is_second = True, has_default or has_value
            if is_second:
                reader.refuse("it has two defaults", token)
            table.columns[name] = replace(column, filled=not _default(reader))
        elif reader.has("generated"):
            if has_default or has_value:
                reader.refuse("it has two defaults", token)
            has_value = True
            table.columns[name] = _generated(reader, column)
        elif reader.has("collate"):
            if base_type(table.types[name].name).removesuffix("[]") not in _WITH_COLLATION:
                reader.refuse(f"{column.type} has no collation", token)
            reader.name("a collation")
            while reader.has("."):
                reader.name("a collation")
        else:
            _refuse_constraint(reader)
    if is_nullable and (table.columns[name].required or (name,) == table.primary_key):
        reader.refuse("it is NULL and NOT NULL", begin)


def _table_constraint(reader: Reader, table: _Table) -> None:
    given = _constraint_name(reader, table)
    token = reader.next
    if reader.has("primary", "key"):
        _add_key(reader, table, reader.names("a column"), given, token, is_primary=True)
    elif reader.has("unique"):
        _nulls_distinct(reader)
        _add_key(reader, table, reader.names("a column"), given, token, is_primary=False)
    elif reader.has("foreign", "key"):
        columns = reader.names("a column")
        reader.expect("references")
        _reference(reader, table, columns)
    elif reader.has("check"):
        reader.skip_parentheses()
    else:
        _refuse_constraint(reader)
    if reader.next.text not in (",", ")") and reader.next.kind != "end":
        _refuse_constraint(reader)


def _refuse_constraint(reader: Reader) -> None:
    if reader.next.kind == "end":
        reader.refuse("it ends here, and its parenthesis is not closed")
    reader.refuse(
        f"{reader.next.text[:40]} is not read here. Known are NOT NULL, NULL, DEFAULT, CHECK, PRIMARY KEY, UNIQUE, "
        "REFERENCES, FOREIGN KEY, COLLATE and GENERATED"
    )


def _constraint_name(reader: Reader, table: _Table) -> str | None:
    token = reader.next
    if not reader.has("constraint"):
        return None
    name = reader.name("a constraint")
    if name in table.names:
        reader.refuse(f"constraint {name} is there twice", token)
    table.names.append(name)
    return name


def _nulls_distinct(reader: Reader) -> None:
    if reader.next.word == "nulls":
        reader.refuse("NULLS [NOT] DISTINCT is not read: write UNIQUE alone")


def _add_key(
    reader: Reader, table: _Table, columns: tuple[str, ...], given: str | None, token: Token, *, is_primary: bool
) -> None:
    if is_primary and table.primary_key:
        reader.refuse("it has two primary keys", token)
    if is_primary:
        table.primary_key = columns
    following = reader.peek(1 if reader.next.word == "not" else 0).word
    if following in ("deferrable", "initially"):
        reader.refuse("a key that is DEFERRABLE cannot be used to update rows: remove the word")
    table.keys.append(columns)
    if given:
        table.index_names.append(given)


def _reference(reader: Reader, table: _Table, columns: tuple[str, ...]) -> None:
    """Takes the other table of a foreign key, its columns, and what happens to its rows."""
    other = reader.name("a table")
    if reader.next.text == ".":
        reader.refuse(f"write the name of {other} without a schema: all tables are in one")
    keys = reader.names("a column") if reader.next.text == "(" else ()
    if reader.has("match") and not reader.has("simple"):
        reader.refuse("only MATCH SIMPLE is read: a row with a NULL among the columns refers to nothing")
    while reader.has("on"):
        if not (reader.has("delete") or reader.has("update")):
            reader.refuse("expected DELETE or UPDATE after ON")
        actions = (("no", "action"), ("restrict",), ("cascade",), ("set", "null"), ("set", "default"))
        if not any(reader.has(*action) for action in actions):
            reader.refuse("expected NO ACTION, RESTRICT, CASCADE, SET NULL or SET DEFAULT")
    if reader.has("not", "deferrable"):
        reader.has("initially", "immediate")
    elif reader.has("deferrable"):
        table.deferrable.add(columns)
        if reader.has("initially"):
            reader.expect("immediate" if reader.next.word == "immediate" else "deferred")
    table.references.append(Reference(columns, other, keys))


def _default(reader: Reader) -> bool:
    """Takes a default; returns whether it is NULL, which is no value."""
    token = reader.next
    is_null = reader.has("null")
    if not is_null:
        _value(reader)
    while reader.has("::"):
        read_type(reader)
    if reader.next.text not in (",", ")") and reader.next.kind == "mark":
        reader.refuse("write a default that is an expression in parentheses", token)
    return is_null


def _value(reader: Reader) -> None:
    """Takes a constant, a call of a function, or an expression in parentheses."""
    token = reader.next
    if token.text == "(":
        reader.skip_parentheses()
    elif token.text in ("-", "+") and reader.peek(1).kind == "number":
        reader.take()
        reader.take()
    elif token.kind in ("number", "text") or token.word in _LITERAL_WORDS:
        reader.take()
    elif token.kind in ("word", "quoted") and reader.peek(1).text in ("(", "."):
        reader.take()
        while reader.has("."):
            reader.name("a function")
        reader.skip_parentheses()
    else:
        reader.refuse("a default is a constant, a call such as now(), or an expression in parentheses", token)


def _generated(reader: Reader, column: Column) -> Column:
    """Takes what follows GENERATED; returns the column with it."""
    token = reader.next
    always = reader.has("always")
    if not always:
        reader.expect("by", "default")
    reader.expect("as")
    if reader.has("identity"):
        if column.type not in ("smallint", "integer", "bigint"):
            reader.refuse(f"an identity column is smallint, integer or bigint, not {column.type}", token)
        if reader.next.text == "(":
            reader.skip_parentheses()
        return replace(column, required=True, filled=True, computed=always)
    if not always:
        reader.refuse("only GENERATED BY DEFAULT AS IDENTITY is known", token)
    reader.skip_parentheses()
    if not reader.has("stored"):
        reader.refuse("write STORED after the expression")
    return replace(column, filled=True, computed=True)


def _check(reader: Reader, first: Token, table: _Table) -> None:
    """What only the whole statement shows."""
    if not table.columns:
        reader.refuse("it has no columns", first)
    if len(table.columns) > _MAX_COLUMNS:
        reader.refuse(f"it has more than {_MAX_COLUMNS} columns", first)
    used = [*table.keys, *(reference.columns for reference in table.references)]
    for name in (name for columns in used for name in columns):
        if name not in table.columns:
            reader.refuse(f"a key names the column {name}, and it has: {', '.join(table.columns)}", first)
    for name in (name for columns in table.keys for name in columns):
        if base_type(table.types[name].name) in _WITHOUT_ORDER:
            reader.refuse(f"column {name} is {table.types[name].name}, which cannot be a key", first)
