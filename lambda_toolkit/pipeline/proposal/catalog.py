"""What PostgreSQL's catalog says of a database that may become a source, as values that travel as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from lambda_toolkit.pipeline.lambdas.extract.source.unique_key import UniqueIndex
from lambda_toolkit.pipeline.lambdas.shared.messages.message import Message
from lambda_toolkit.pipeline.lambdas.shared.postgres.sql import SCHEMA

TABLE, PARTITIONED, VIEW, MATERIALIZED_VIEW, FOREIGN_TABLE = "r", "p", "v", "m", "f"  # pg_class.relkind
_WITHOUT_TRANSACTIONS = {VIEW: "a view", MATERIALIZED_VIEW: "a materialized view", FOREIGN_TABLE: "a foreign table"}
_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Column(Message):
    """A column of a table or view."""

    name: str
    type: str
    """As format_type() writes it, such as ``numeric(10,2)``; of a domain, the domain's name."""
    base_type: str
    """The type that a domain is of, through all its levels; otherwise ``type``."""
    required: bool
    """Whether no row has a NULL in it: NOT NULL, and validated."""
    generated: str = ""
    """``stored`` or ``virtual`` of a generated column."""
    identity: str = ""
    """``always`` or ``by default`` of an identity column."""
    default: str | None = None
    """The expression of its default, or that generates it."""
    enum_labels: tuple[str, ...] = ()
    """The labels of its enum, in order; also of an array or a domain of one."""
    comment: str | None = None
    readable: bool = True
    """Whether this user has SELECT on it."""
    exact: bool = True
    """Whether PostgreSQL takes only the same text for equal: not under a collation that ignores case or accents, nor in
    a type of an extension, such as citext."""


@dataclass(frozen=True)
class ForeignKey(Message):
    """A foreign key. Of a partitioned table also one that each of its partitions has."""

    columns: tuple[str, ...]
    table: str
    """The table that it refers to."""
    references: tuple[str, ...]
    """The columns that it refers to, in the order of ``columns``."""
    proven: bool
    """Whether every row of the table satisfies it: it is validated and enforced."""


@dataclass(frozen=True)
class Table(Message):
    """A table, view or foreign table. A partitioned table is one, and its partitions are none."""

    name: str
    kind: str
    """``pg_class.relkind``: https://www.postgresql.org/docs/current/catalog-pg-class.html"""
    columns: tuple[Column, ...]
    """In the table's order."""
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    """The columns, alone or together, by which extract can identify each row, single columns first."""
    indexes: tuple[UniqueIndex, ...] = ()
    """Its unique indexes, those that identify no row included."""
    foreign_keys: tuple[ForeignKey, ...] = ()
    """In the order of their columns."""
    partitions: int = 0
    """How many partitions without further partitions it has."""
    foreign_partitions: tuple[str, ...] = ()
    """Those that are foreign tables."""
    inheriting: tuple[str, ...] = ()
    """The tables whose rows it also shows, by inheritance."""
    comment: str | None = None
    estimated_rows: int | None = None
    """By the planner's statistics; None before the first ANALYZE."""
    row_security: bool = False
    """Whether policies decide which rows this user sees."""
    extension: str | None = None
    """The extension that it belongs to."""
    schema: str = SCHEMA
    relation: str = ""
    """Its name in the schema, where ``name`` is another; else empty."""

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """Its columns by their names."""
        return {column.name: column for column in self.columns}

    @property
    def key(self) -> tuple[str, ...]:
        """The columns by which extract identifies its rows: the primary key where that serves; empty for none."""
        for columns in self.unique_keys:
            if set(columns) == set(self.primary_key):
                return self.primary_key
        return self.unique_keys[0] if self.unique_keys else ()

    @property
    def obstacle(self) -> str | None:
        """Why extract cannot read it as it is, and what would serve, as sentences; None where it can."""
        return next(self._obstacles(), None)

    @property
    def kind_obstacle(self) -> str | None:
        """Why no transaction shows its changes, and what would serve, as sentences; None where one does."""
        return next(self._kind_obstacles(), None)

    def _obstacles(self) -> Iterator[str]:
        if self.extension is not None:
            yield f"It belongs to the extension {self.extension}."
        yield from self._kind_obstacles()
        yield from self._access_obstacles()

    def _kind_obstacles(self) -> Iterator[str]:
        if self.kind in _WITHOUT_TRANSACTIONS:
            yield (
                f"It is {_WITHOUT_TRANSACTIONS[self.kind]}: PostgreSQL does not show which of its rows changed. "
                'Use the tables behind it; or declare its key and compare = "content": then every run reads all rows.'
            )
        if self.kind not in (TABLE, PARTITIONED):
            yield f"It is of the kind {self.kind!r}."
        if self.foreign_partitions:
            yield (
                f"Its partition {self.foreign_partitions[0]} is a foreign table: PostgreSQL does not show which of its "
                'rows changed. Declare its key and compare = "content", and every run reads all its rows.'
            )

    def _access_obstacles(self) -> Iterator[str]:
        unreadable = [column.name for column in self.columns if not column.readable]
        if len(unreadable) == len(self.columns):
            what = "it has no columns" if not self.columns else "this user may not read it: GRANT SELECT on it"
            yield f"{what[0].upper()}{what[1:]}."
        if unreadable:
            yield f"This user may not read {listed(unreadable)}: GRANT SELECT on the whole table."
        if not self.unique_keys:
            yield f"{self._without_key()} {self._remedy()}"

    def _without_key(self) -> str:
        """Why no key identifies its rows, a sentence."""
        if self.inheriting:
            return (
                f"It also shows the rows of {listed(self.inheriting)} by inheritance, and a unique index covers those "
                "of one table alone."
            )
        return next(self._index_reasons(), "It has neither a primary key nor a unique index.")

    def _index_reasons(self) -> Iterator[str]:
        """What each unique index lacks, the one that lacks least first."""
        for index, nullable in self._nullable_indexes():
            yield f"{nullable} may be NULL in the unique index {index.name}."
        for index in self.indexes:
            lack = "is on an expression" if None in index.columns else "covers only the rows that satisfy a condition"
            if not index.valid:
                lack = "is not valid: its creation has failed or not ended, or a partition lacks it"
            yield f"The unique index {index.name} {lack}."

    def _nullable_indexes(self) -> Iterator[tuple[UniqueIndex, str]]:
        """Each unique index that lacks NOT NULL alone, and of which columns: one that has it everywhere is a key."""
        for index in self.indexes:
            if index.valid and not index.partial and None not in index.columns:
                yield index, listed([name for name in index.columns if name and not self.by_name[name].required])

    def _remedy(self) -> str:
        if self.inheriting:
            return (
                'Name each of those tables instead; or declare its key and compare = "content": then every run reads '
                "all rows, and checks that the key is unique."
            )
        for _, nullable in self._nullable_indexes():
            return f"Where they never are NULL: ALTER COLUMN ... SET NOT NULL on {nullable}."
        return (
            "Add a primary key; or, where columns identify its rows all the same, declare them as its key with "
            'compare = "content": then every run reads all rows, and checks that.'
        )


@dataclass(frozen=True)
class Catalog(Message):
    """The tables of a schema, and what else the database has."""

    tables: tuple[Table, ...]
    """By name."""
    other_schemas: Mapping[str, int]
    """Schema -> how many tables and views of it are not read; without PostgreSQL's own schemas, and empty ones."""

    @cached_property
    def by_name(self) -> Mapping[str, Table]:
        """The tables by their names."""
        return {table.name: table for table in self.tables}

    @property
    def readable(self) -> tuple[Table, ...]:
        """The tables that extract can read as they are, by name."""
        return tuple(table for table in self.tables if table.obstacle is None)

    @property
    def excluded(self) -> Mapping[str, str]:
        """Table -> why extract cannot read it, and what would serve; by name."""
        return {table.name: table.obstacle for table in self.tables if table.obstacle is not None}


def listed(names: Iterator[str] | tuple[str, ...] | list[str]) -> str:
    """The names as words: ``a``, ``a and b``, ``a, b and c``; of many, the first few and how many more."""
    found = list(names)
    if len(found) > _SHOWN + 1:
        return f"{', '.join(found[:_SHOWN])} and {len(found) - _SHOWN} more"
    return " and ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))
