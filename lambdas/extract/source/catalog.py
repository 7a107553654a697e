"""What the source's tables look like, and whether they are what the declarations need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ...shared.arrow_types import PLAIN_NUMERIC, arrow_type, base_type
from ...shared.errors import SourceError
from ...shared.expressions import Expression
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection

_WHOLE = ("smallint", "integer", "bigint")
_TEXT = ("character varying", "text", "character")
_TIMESTAMPS = ("timestamp without time zone", "timestamp with time zone")
_ACCEPTED: Mapping[str, Sequence[str]] = {  # function of an expression -> the base types that it can read
    "date": (*_TIMESTAMPS, "date", *_TEXT),
    "time": _TIMESTAMPS,
    "decimal": ("numeric", *_WHOLE),
    "currency_name": _TEXT,
}
_WITHOUT_XMIN: Mapping[str, str] = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


@dataclass(frozen=True)
class Column:
    """A column of a source table; ``type`` as PostgreSQL writes it, e.g. ``numeric(10,2)``."""

    name: str
    type: str

    @property
    def base_type(self) -> str:
        """The type without its length, precision or scale."""
        return base_type(self.type)

    @property
    def arrow(self) -> pa.DataType:
        """The type in the lake."""
        return arrow_type(self.type)

    def fits(self) -> sql.Fragment | None:
        """The condition under which the lake's type can hold the value; None where it always can.

        PostgreSQL's infinities, NaN, and years before 1 or after 9999 have no place in Arrow's types.
        """
        column = sql.columns([self.name], of="t")
        if pa.types.is_date(self.arrow) or pa.types.is_timestamp(self.arrow):
            return sql.compose("($c >= '0001-01-01' AND $c < '10000-01-01')", c=column)
        if self.arrow == PLAIN_NUMERIC and self.type != "numeric(38,10)":
            return sql.compose("($c > -1e28 AND $c < 1e28 AND $c = round($c, 10))", c=column)
        if pa.types.is_decimal(self.arrow):
            return sql.compose("($c <> 'NaN')", c=column)
        return None


@dataclass(frozen=True)
class Part:
    """A table, or one of its partitions; ``kind`` as pg_class.relkind has it."""

    name: str
    kind: str


@dataclass(frozen=True)
class Described:
    """A source table: its columns in its order, the object ids of it and its partitions, what these take on disk.

    With another object id, rows come that nobody has written anew. ``bytes``: without indexes.
    """

    columns: tuple[Column, ...] = ()
    relations: tuple[int, ...] = ()
    bytes: int = 0


_TREE = sql.Fragment(  # name and root: of the table; oid: of itself, and of each of its partitions
    "tree AS (SELECT relname AS name, oid AS root, oid FROM pg_catalog.pg_class"
    " WHERE relnamespace = to_regnamespace(:schema) AND relname = ANY(CAST(:tables AS name[]))"
    " UNION SELECT tree.name, tree.root, i.inhrelid FROM tree"
    " JOIN pg_catalog.pg_inherits AS i ON i.inhparent = tree.oid)"
)
_PARTS = sql.compose(
    "WITH RECURSIVE $tree SELECT tree.name, c.relname, c.relkind FROM tree"
    " JOIN pg_catalog.pg_class AS c ON c.oid = tree.oid ORDER BY c.oid <> tree.root, c.oid",
    tree=_TREE,
)
_RELATIONS = sql.compose(
    "WITH RECURSIVE $tree SELECT name, array_agg(oid::bigint ORDER BY oid),"
    " coalesce(sum(pg_table_size(oid)), 0)::bigint FROM tree GROUP BY name",
    tree=_TREE,
)
_COLUMNS = (
    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)"
    " FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = to_regnamespace(:schema) AND c.relname = ANY(CAST(:tables AS name[]))"
    " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)


def parts(connection: Connection, tables: Collection[str]) -> dict[str, tuple[Part, ...]]:
    """Each of ``tables`` with its partitions, itself first; empty for one that does not exist."""
    rows = connection.rows(_PARTS, schema=sql.SCHEMA, tables=list(tables))
    return {table: tuple(Part(name, kind) for of, name, kind in rows if of == table) for table in tables}


def describe(connection: Connection, tables: Collection[str]) -> dict[str, Described]:
    """What each of ``tables`` looks like; nothing is known of one that does not exist."""
    columns = connection.rows(_COLUMNS, schema=sql.SCHEMA, tables=list(tables))
    relations = connection.rows(_RELATIONS, schema=sql.SCHEMA, tables=list(tables))
    found = {name: (tuple(ids), int(size)) for name, ids, size in relations}
    return {
        table: Described(
            tuple(Column(name, kind) for of, name, kind in columns if of == table), *found.get(table, ((), 0))
        )
        for table in tables
    }


def check_kind(table: str, parts: Sequence[Part]) -> None:
    """Refuses what does not tell which transaction wrote a row, such as a view. A missing table is left to others.

    A foreign table is refused as a partition too. Raises SourceError that says what to write in the declaration.
    """
    for part in parts:
        if part.kind in ("r", "p"):
            continue
        what = _WITHOUT_XMIN.get(part.kind, f"of the kind {part.kind!r}")
        which = f"The source table {table} is {what}"
        if part is not parts[0]:
            which = f"{part.name}, a part of {table}, is {what}"
        raise SourceError(
            f"{which}: PostgreSQL does not tell which of its rows were written since the last run. Nothing was "
            f'extracted. Name the table behind it, or write compare = "content" in [source.{table}]: then every run '
            "reads all its rows and keeps those that differ."
        )


def lockable(parts: Sequence[Part]) -> bool:
    """Whether a table can be locked: PostgreSQL locks no materialized view and no foreign table."""
    return not parts or parts[0].kind not in ("m", "f")


def drift(table: str, columns: Sequence[Column], previous: Mapping[str, str]) -> tuple[str, ...]:
    """What to say of the columns that came or went since ``previous``, the columns of the last batch."""
    if not previous:
        return ()
    now = {column.name: column.type for column in columns}
    came = tuple(
        f"The source column {table}.{name} ({now[name]}) is new. It is ingested; the warehouse is not affected."
        for name in now
        if name not in previous
    )
    went = tuple(
        f"The source column {table}.{name} ({previous[name]}) is gone. Nothing in the warehouse needs it."
        for name in previous
        if name not in now
    )
    return came + went


def check_needed(
    table: str,
    columns: Sequence[Column],
    needed: Mapping[str, Sequence[Expression]],
    previous: Mapping[str, str],
    accepted: Collection[str] = (),
) -> None:
    """Refuses a table that lacks a needed column, or in which one has a type that its expressions cannot read.

    ``previous``: the types at the last run; a needed column may not change its type unless ``accepted`` names it as
    ``table.column``. Raises SourceError with table and column.
    """
    found = {column.name: column for column in columns}
    for name, expressions in needed.items():
        column = found.get(name)
        if column is None:
            raise SourceError(
                f"The source table {table} lacks the column {name}, which the warehouse needs. Nothing was extracted. "
                "Restore the column, or change the declaration of the tables that read it."
            )
        for expression in expressions:
            if expression.function and column.base_type not in _ACCEPTED[expression.function]:
                raise SourceError(
                    f"The source column {table}.{name} is of type {column.type}, which {expression} cannot read. "
                    "Nothing was extracted. Change the column's type back, or the declaration."
                )
        before = previous.get(name)
        if before and not _same_kind(Column(name, before), column) and f"{table}.{name}" not in accepted:
            raise SourceError(
                f"The source column {table}.{name} was of type {before} and is now {column.type}. Nothing was "
                "extracted. Change it back; or, when the warehouse's column can hold the new type, invoke extract once "
                f'with the event {{"accept_types": ["{table}.{name}"]}}.'
            )


def _same_kind(one: Column, other: Column) -> bool:
    varying = ("character varying", "text")  # the same but for a length limit
    if one.base_type in varying and other.base_type in varying:
        return True
    return one.base_type == other.base_type
