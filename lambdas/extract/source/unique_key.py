"""Whether the declared keys identify rows: the catalog must prove it, as the present rows may not show otherwise.

Without Arrow, so that ``plan`` can ask as quickly.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...shared.messages.message import Message
from ...shared.model.declarations import SourceTable
from ...shared.postgres import sql
from ...shared.postgres.connection import Connection

DECLARED = sql.Fragment(  # name: by which a table is declared; oid: of the table, where there is one
    "declared AS (SELECT d.name, c.oid FROM unnest(CAST(:names AS text[]), CAST(:schemas AS text[]),"
    " CAST(:relations AS text[])) AS d(name, schema, relation)"
    " JOIN pg_catalog.pg_namespace AS n ON n.nspname = d.schema"
    " JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = d.relation)"
)
# A NOT NULL constraint that was not validated, as PostgreSQL 18 may have, says nothing about older rows.
_COLUMNS = sql.compose(
    "WITH $declared SELECT d.name, a.attname, a.attnotnull AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k"
    " WHERE k.conrelid = c.oid AND k.contype = 'n' AND NOT k.convalidated AND k.conkey = ARRAY[a.attnum])"
    " FROM declared AS d JOIN pg_catalog.pg_class AS c ON c.oid = d.oid"
    " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped",
    declared=DECLARED,
)
BASE_TYPE = sql.Fragment(  # of the column a: its type as format_type() writes it, of a domain the type that it is of
    "(WITH RECURSIVE b AS (SELECT a.atttypid AS type, a.atttypmod AS modifier UNION ALL"
    " SELECT t.typbasetype, t.typtypmod FROM b JOIN pg_catalog.pg_type AS t ON t.oid = b.type AND t.typtype = 'd')"
    " SELECT format_type(b.type, b.modifier) FROM b JOIN pg_catalog.pg_type AS t ON t.oid = b.type"
    " WHERE t.typtype <> 'd')"
)
_TYPES = sql.compose(
    "WITH $declared SELECT d.name, a.attname, $base_type FROM declared AS d"
    " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.oid AND a.attnum > 0 AND NOT a.attisdropped",
    declared=DECLARED,
    base_type=BASE_TYPE,
)
_INDEXES = sql.compose(
    "WITH $declared SELECT d.name, x.relname,"
    " ARRAY(SELECT a.attname::text FROM generate_series(0, i.indnkeyatts - 1) AS n"
    " LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.oid AND a.attnum = i.indkey[n] ORDER BY n),"
    " i.indisvalid, i.indpred IS NOT NULL"
    " FROM declared AS d JOIN pg_catalog.pg_index AS i ON i.indrelid = d.oid AND i.indisunique AND NOT i.indisexclusion"
    " JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid ORDER BY x.relname",
    declared=DECLARED,
)
_INHERITING = sql.compose(
    "WITH $declared SELECT d.name, child.relname FROM declared AS d JOIN pg_catalog.pg_inherits AS i"
    " ON i.inhparent = d.oid JOIN pg_catalog.pg_class AS child ON child.oid = i.inhrelid"
    " AND NOT child.relispartition ORDER BY child.relname",
    declared=DECLARED,
)


@dataclass(frozen=True)
class UniqueIndex(Message):
    """A unique index of a table."""

    name: str
    columns: tuple[str | None, ...]
    """Those of which no two rows have the same values, in the index's order; None for an expression."""
    valid: bool
    """Whether it covers the rows that were there when it was created, and those of every partition."""
    partial: bool
    """Whether it covers only the rows that satisfy a condition."""


@dataclass(frozen=True)
class KeyedTable:
    """A source table, its declared key, and what the catalog says of that."""

    name: str
    keys: tuple[str, ...]
    columns: frozenset[str]
    required: frozenset[str]
    """The columns in which no row has a NULL."""
    indexes: tuple[UniqueIndex, ...]
    """In the order of their names."""
    inheriting: tuple[str, ...]
    """The tables whose rows it shows as they inherit from it; partitions are not among them."""

    @property
    def unique_keys(self) -> tuple[tuple[str, ...], ...]:
        """The columns, alone or together, that identify each row, single columns first.

        Those of each valid unique index without a condition. A deferrable constraint is as good as another: it is
        checked before its transaction commits. The index of a partitioned table covers all its partitions; that of a
        table from which others inherit covers no row of those.
        """
        found = [
            tuple(column for column in index.columns if column is not None)
            for index in self.indexes
            if index.valid and not index.partial and self.required.issuperset(index.columns)
        ]
        return () if self.inheriting else tuple(sorted(dict.fromkeys(found), key=len))

    @property
    def problem(self) -> str | None:
        """Why the key does not identify the table's rows, and the columns that would serve; None where it does."""
        proven = any(set(self.keys) == set(columns) for columns in self.unique_keys)  # in any order
        if proven or not self.columns.issuperset(self.keys):
            return None  # a column that is missing is not this check's business
        return (
            f"The key {_list(self.keys)} does not identify the rows of the source table {self.name}: {self._reason}. "
            f"{self._advice}"
        )

    @property
    def _reason(self) -> str:
        if self.inheriting:
            names = ", ".join(self.inheriting)
            return (
                f"it also shows the rows of {names} by inheritance, and a unique index covers those of one table alone"
            )
        covers = "this column alone" if len(self.keys) == 1 else "exactly these columns"
        return next(self._index_reasons(), f"no unique index covers {covers}")

    def _index_reasons(self) -> Iterator[str]:
        """Why the indexes on the key alone are not enough, the one that lacks least first."""
        on_key = [index for index in self.indexes if set(index.columns) == set(self.keys)]
        if any(index.valid and not index.partial for index in on_key):
            where = "there" if len(self.keys) == 1 else f"in {_list([*filter(self._may_be_null, self.keys)])}"
            yield f"it is unique, but a row may have NULL {where}, as no valid NOT NULL constraint forbids it"
        for index in on_key:
            lack = "covers only the rows that satisfy its condition"
            if not index.valid:
                lack = "is not valid: its creation has failed or not ended, or a partition lacks it"
            yield f"the unique index {index.name} {lack}"

    @property
    def _advice(self) -> str:
        serving = [_toml(columns) for columns in self.unique_keys]
        if serving:
            return f"Write key = {' or '.join(serving)} in [source.{self.name}]."
        one = len(self.keys) == 1
        return (
            f"Declare {'a NOT NULL column that has' if one else 'NOT NULL columns that have'} a unique index; or "
            f"create that index on {_list(self.keys)}; or, where {'its' if one else 'their'} values are unique all "
            f'the same, write compare = "content" in [source.{self.name}]: then every run reads all rows and checks '
            "that."
        )

    def _may_be_null(self, column: str) -> bool:
        return column not in self.required


def _list(columns: Sequence[str]) -> str:
    """``a``, or ``(a, b)``."""
    return columns[0] if len(columns) == 1 else f"({', '.join(columns)})"


def _toml(columns: Sequence[str]) -> str:
    """The key as a declaration has it: ``"a"``, or ``["a", "b"]``."""
    texts = ", ".join(json.dumps(column, ensure_ascii=False) for column in columns)
    return texts if len(columns) == 1 else f"[{texts}]"


def places(tables: Collection[SourceTable]) -> dict[str, list[str]]:
    """The parameters of a query that begins with ``DECLARED``."""
    return {
        "names": [table.name for table in tables],
        "schemas": [table.schema for table in tables],
        "relations": [table.relation for table in tables],
    }


def by_table(rows: Iterable[list[Any]]) -> Mapping[str, list[list[Any]]]:
    """The rows without their first value, a table's name, by that name, in their order; none for any other name."""
    found: dict[str, list[list[Any]]] = defaultdict(list)
    for table, *rest in rows:
        found[table].append(rest)
    return found


def keyed_tables(connection: Connection, tables: Collection[SourceTable]) -> tuple[KeyedTable, ...]:
    """What the catalog says of the keys of ``tables``, without those compared by content, which checks every key."""
    declared = [table for table in tables if not table.by_content]
    named = places(declared)
    columns = by_table(connection.rows(_COLUMNS, **named))
    indexes = by_table(connection.rows(_INDEXES, **named))
    inheriting = by_table(connection.rows(_INHERITING, **named))
    return tuple(
        KeyedTable(
            table.name,
            table.keys,
            frozenset(name for name, _ in columns[table.name]),
            frozenset(name for name, required in columns[table.name] if required),
            tuple(UniqueIndex(name, tuple(on), *is_) for name, on, *is_ in indexes[table.name]),
            tuple(name for (name,) in inheriting[table.name]),
        )
        for table in declared
    )


def column_types(connection: Connection, tables: Collection[SourceTable]) -> dict[str, dict[str, str]]:
    """By table and column, the types of ``tables`` as ``catalog.Column`` has them; none for a table that is missing."""
    found = by_table(connection.rows(_TYPES, **places(tables)))
    return {table.name: dict(found[table.name]) for table in tables}


def key_problems(connection: Connection, tables: Collection[SourceTable]) -> tuple[str, ...]:
    """A message for each of ``tables`` whose key does not identify its rows: table, key, reason, what would serve."""
    return tuple(table.problem for table in keyed_tables(connection, tables) if table.problem is not None)
