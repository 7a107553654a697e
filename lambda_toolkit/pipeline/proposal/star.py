"""A star for a catalog: dimensions with the attributes of what they refer to, facts and bridges that refer to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lambda_toolkit.pipeline.lambdas.shared.conversions import base_type, result_type
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import CALENDAR, DIMENSION, FACT
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import Expression
from lambda_toolkit.pipeline.lambdas.shared.model.joins import Join
from lambda_toolkit.pipeline.lambdas.shared.model.schema_declarations import Reference
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, ForeignKey, Table
from lambda_toolkit.pipeline.proposal.names import FORBIDDEN_COLUMNS, Names, snake
from lambda_toolkit.pipeline.proposal.roles import Classified, Role, classify, is_audit, is_date, usable_references
from lambda_toolkit.pipeline.proposal.types import warehouse_type
from lambda_toolkit.pipeline.warehouse.ddl import can_refer

_PREFIX = {Role.FACT: "fact", Role.DIMENSION: "dim", Role.BRIDGE: "bridge"}
_ORDER = (Role.DIMENSION, Role.BRIDGE, Role.FACT)
_LARGE = ("bytea", "tsvector", "xml")  # types that no attribute of a joined table is taken of
_MOST_COLUMNS = 1000  # of a table with joined attributes; PostgreSQL's limit is 1600
_DEEPEST = 3  # tables along a path
_REFERS = re.compile("_(id|code|no|nr|number|key|fk|ref)$")
_WHEN = re.compile("_(at|on|date|time|timestamp|datetime)$")


@dataclass(frozen=True)
class StarColumn:
    """A column of a proposed table."""

    name: str
    expression: Expression
    type: str
    required: bool
    comment: str | None = None
    """What is worth to know of it; None for nothing."""


@dataclass(frozen=True)
class StarTable:
    """A proposed table."""

    name: str
    kind: str
    keys: tuple[str, ...]
    columns: tuple[StarColumn, ...] = ()
    source: str | None = None
    record: str | None = None
    joins: Mapping[str, Join] = field(default_factory=dict)
    """Alias -> what is joined under it, each after the alias that it starts from."""
    references: tuple[Reference, ...] = ()
    comments: tuple[str, ...] = ()
    """Why it is proposed like this, sentences."""


def star(catalog: Catalog) -> tuple[StarTable, ...]:
    """The tables of a star for ``catalog``: a date dimension where facts have dates, dimensions, bridges, facts.

    One for each table that extract can read. The same catalog gives the same star.
    """
    return _Star(catalog).tables()


class _Star:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._roles = classify(catalog)
        self._names = Names()
        self._calendar = self._names.make("dim_date")
        self._of = {
            name: self._names.make(f"{_PREFIX[found.role]}_{snake(name)}") for name, found in self._roles.items()
        }

    def tables(self) -> tuple[StarTable, ...]:
        """All of them, in the order in which one reads them."""
        ordered = sorted(self._roles.values(), key=lambda found: _ORDER.index(found.role))
        found = [_Draft(self, each).table() for each in ordered]
        uses_dates = any(reference.table == self._calendar for table in found for reference in table.references)
        return (*([_calendar(self._calendar)] if uses_dates else []), *found)

    def role(self, table: str) -> Role:
        """The role of a source table."""
        return self._roles[table].role

    def name(self, table: str) -> str:
        """The name of what a source table becomes."""
        return self._of[table]

    @property
    def calendar(self) -> str:
        """The name of the date dimension."""
        return self._calendar

    @property
    def catalog(self) -> Catalog:
        """What the star is for."""
        return self._catalog


def _calendar(name: str) -> StarTable:
    comments = ("A date dimension: every date that a fact refers to.",)
    return StarTable(name, CALENDAR, ("date_id",), comments=comments)


@dataclass(frozen=True)
class _Joined:
    """A table that is joined in."""

    alias: str
    join: Join
    table: Table
    required: bool
    """Whether each row finds one."""


class _Draft:
    """One table while its columns are collected."""

    def __init__(self, of: _Star, classified: Classified) -> None:
        self._star, self._source, self._role = of, classified.table, classified.role
        rows = self._source.estimated_rows
        size = "" if rows is None else f" About {rows:,} rows."
        noun = {Role.FACT: "A fact", Role.DIMENSION: "A dimension", Role.BRIDGE: "A bridge"}[self._role]
        self._comments = [f"{noun}: {classified.reason}.{size}"]
        self._columns: list[StarColumn] = []
        self._references: list[Reference] = []
        self._joins: dict[str, Join] = {}
        self._aliases = Names()
        self._names = Names(FORBIDDEN_COLUMNS)
        self._own: Mapping[str, str] = {}  # source column -> column

    def table(self) -> StarTable:
        """The proposed table."""
        table = self._source
        references = usable_references(table, self._star.catalog)
        record = self._names.make(f"{snake(table.name)}_record_id") if self._role is Role.FACT else None
        self._own = {column.name: self._names.make(snake(column.name)) for column in table.columns}
        for column in table.columns:
            name = self._own[column.name]
            self._add(name, column, Expression(column.name), column.required)
            if self._role is Role.FACT and is_date(column):
                self._add_date(name, Expression(column.name), column, column.required)
        self._follow(references)
        self._explain_others(references)
        return StarTable(
            self._star.name(table.name),
            FACT if self._role is Role.FACT else DIMENSION,
            tuple(self._own[name] for name in table.key),
            tuple(self._columns),
            table.name,
            record,
            self._joins,
            tuple(self._references),
            tuple(self._comments),
        )

    def _add(self, name: str, column: Column, expression: Expression, required: bool) -> None:
        kind = warehouse_type(column)
        notes = (kind.reason, f"generated, {column.generated}" if column.generated else None, column.comment)
        self._columns.append(StarColumn(name, expression, kind.type, required, "; ".join(filter(None, notes)) or None))

    def _add_date(self, name: str, expression: Expression, column: Column, required: bool) -> None:
        """Has a date refer to the date dimension; of a timestamp, its date in UTC, beside it."""
        if base_type(warehouse_type(column).type) != "date":
            expression = Expression(expression.column, expression.table, "date")
            name = self._names.make(f"{_WHEN.sub('', name)}_date_key")
            kind = result_type(expression, column.type)
            self._columns.append(StarColumn(name, expression, kind, required, "its date in UTC"))
        self._refer((name,), self._star.calendar, ("date_id",))

    def _refer_to(self, other: Table, columns: tuple[str, ...]) -> None:
        """Refers to the dimension of ``other``, unless the types of the columns are of different families."""
        types = {column.name: column.type for column in self._columns}
        keys = [other.by_name[name] for name in other.key]
        if all(can_refer(types[one], warehouse_type(two).type) for one, two in zip(columns, keys, strict=True)):
            self._refer(columns, self._star.name(other.name), dimension_key(other))
        else:
            self._comments.append(
                f"{', '.join(columns)} and the key of {other.name} have types too different to refer."
            )

    def _refer(self, columns: tuple[str, ...], table: str, keys: tuple[str, ...]) -> None:
        self._references.append(Reference(columns, table, keys))

    def _follow(self, references: tuple[ForeignKey, ...]) -> None:
        """Refers to dimensions; takes what one needs of tables that nothing can refer to."""
        joined = []
        for key in references:
            role = self._star.role(key.table)
            if self._role is not Role.DIMENSION and role is Role.DIMENSION:
                self._refer_to(self._star.catalog.by_name[key.table], tuple(self._own[name] for name in key.columns))
            elif self._role is Role.FACT and role is Role.FACT and key.table != self._source.name:
                self._join_header(key)
            elif self._role is Role.DIMENSION and role is Role.DIMENSION:
                joined.append(key)
        self._join_attributes(joined)

    def _join_header(self, key: ForeignKey) -> None:
        other = self._star.catalog.by_name[key.table]
        taken = [*self._header(other)]
        if not taken or len(self._columns) + len(taken) > _MOST_COLUMNS:
            return
        found = _Joined(self._alias(key), Join(other.name, key.columns), other, self._is_required(self._source, key))
        self._joins[found.alias] = found.join
        for column in taken:
            name = snake(column.name)
            self._join(found, column, name if name not in self._names else f"{found.alias}_{name}")
        self._comments.append(
            f"{other.name} is a fact too, and nothing can refer to a fact, which has versions: what it refers to, and "
            f"its dates, are joined in by {', '.join(key.columns)}. Its measures are not: they would add up per row."
        )

    def _join_attributes(self, references: list[ForeignKey]) -> None:
        """Joins in the attributes of what the dimension refers to, and of what that refers to, the nearest first.

        What the table itself refers to is joined as often as it does; further along a path, each table once.
        """
        level: list[tuple[ForeignKey, str | None, Table, bool]] = [
            (key, None, self._source, True) for key in references
        ]
        found: list[_Joined] = []
        seen = {self._source.name}
        for _ in range(_DEEPEST):
            following: list[tuple[ForeignKey, str | None, Table, bool]] = []
            for key, parent, table, required in level:
                if parent is not None and key.table in seen:
                    continue
                other = self._star.catalog.by_name[key.table]
                of = _Joined(
                    self._alias(key),
                    Join(other.name, key.columns, parent),
                    other,
                    required and self._is_required(table, key),
                )
                found.append(of)
                following += [
                    (each, of.alias, other, of.required)
                    for each in usable_references(other, self._star.catalog)
                    if self._star.role(each.table) is Role.DIMENSION
                ]
                if parent is not None:
                    seen.add(other.name)
            seen |= {of.table.name for of in found}
            level = following
        self._add_joined(found)

    def _add_joined(self, found: list[_Joined]) -> None:
        """Adds the attributes of each, and the joins that they take."""
        attributes = {of.alias: [*self._attributes(of.table)] for of in found}
        parents = {of.alias: of.join.parent for of in found}
        needed: set[str] = set()
        for alias in [of.alias for of in found if attributes[of.alias]]:
            at: str | None = alias
            while at is not None:
                needed.add(at)
                at = parents[at]
        for of in found:
            if of.alias in needed and len(self._columns) + len(attributes[of.alias]) <= _MOST_COLUMNS:
                self._joins[of.alias] = of.join
                for column in attributes[of.alias]:
                    name = snake(column.name)
                    plain = name == of.alias or name.startswith(f"{of.alias}_")
                    self._join(of, column, name if plain else f"{of.alias}_{name}")
        if self._joins:
            ways = [
                f"{join.table} by {f'{join.parent}.' if join.parent else ''}{', '.join(join.on)}"
                for join in self._joins.values()
            ]
            self._comments.append(f"Joined in, as in a star no dimension refers to another: {'; '.join(ways)}.")

    def _alias(self, key: ForeignKey) -> str:
        """A name for what the foreign key refers to: ``billing`` of ``billing_id``."""
        if len(key.columns) > 1:
            return self._aliases.make(snake(key.table))
        return self._aliases.make(_REFERS.sub("", snake(key.columns[0])))  # never empty: it begins with no underscore

    def _is_required(self, table: Table, key: ForeignKey) -> bool:
        return all(table.by_name[name].required for name in key.columns)

    def _join(self, of: _Joined, column: Column, wanted: str) -> None:
        expression, required = Expression(column.name, of.alias), of.required and column.required
        name = self._names.make(wanted)
        self._add(name, column, expression, required)
        if self._role is not Role.FACT:
            return
        if is_date(column):
            self._add_date(name, expression, column, required)
        for key in usable_references(of.table, self._star.catalog):
            target = self._star.catalog.by_name[key.table]
            if key.columns == (column.name,) and self._star.role(target.name) is Role.DIMENSION:
                self._refer_to(target, (name,))

    def _attributes(self, other: Table) -> Iterator[Column]:
        """The columns of a dimension that describe it."""
        referring = {name for key in other.foreign_keys for name in key.columns}
        for column in other.columns:
            is_large = base_type(warehouse_type(column).type) in _LARGE
            if column.name not in (*other.key, *referring) and not is_large and not is_audit(column):
                yield column

    def _header(self, other: Table) -> Iterator[Column]:
        """The columns of a fact that say who, what and when, for the rows that refer to it."""
        own = {key.table for key in usable_references(self._source, self._star.catalog)}
        keys = usable_references(other, self._star.catalog)
        single = {key.columns[0] for key in keys if len(key.columns) == 1 and key.table not in (other.name, *own)}
        return (column for column in other.columns if column.name in single or is_date(column))

    def _explain_others(self, usable: tuple[ForeignKey, ...]) -> None:
        known = {(frozenset(key.columns), key.table) for key in usable}
        for key in self._source.foreign_keys:
            if (frozenset(key.columns), key.table) in known:
                continue
            other = self._star.catalog.by_name.get(key.table)
            columns = ", ".join(key.columns)
            if not key.proven:
                reason = "it is not validated, so that some rows may refer to nothing"
            elif other is None or other.obstacle is not None:
                reason = f"{key.table} is not proposed"
            elif other.row_security:
                reason = f"row-level security may hide rows of {key.table}"
            elif set(key.references) == set(other.key):
                reason = "its values may be equal to PostgreSQL and differ as texts, by case, accents or blanks"
            else:
                reason = f"it names {', '.join(key.references)}, and the key of {key.table} is {', '.join(other.key)}"
            self._comments.append(f"The foreign key on {columns} is not used: {reason}.")


def dimension_key(table: Table) -> tuple[str, ...]:
    """The columns of the key of what ``table`` becomes, as a dimension names them."""
    names = Names(FORBIDDEN_COLUMNS)
    made = {column.name: names.make(snake(column.name)) for column in table.columns}
    return tuple(made[name] for name in table.key)
