"""What PostgreSQL's catalog says of the source's tables, as values, and whether the declarations can be met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ...shared.conversions import FLOATS, base_type, refused_columns
from ...shared.errors import SourceError
from ...shared.expression.check import refused_expressions
from ...shared.lake.parquet import arrow_type, key_type
from ...shared.model.declarations import Declarations
from ...shared.postgres import sql
from ...shared.postgres_text import PADDED

_WITHOUT_XMIN: Mapping[str, str] = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


@dataclass(frozen=True)
class Column:
    """A column of a source table."""

    name: str
    type: str
    """As format_type() writes it, e.g. ``numeric(10,2)``; of a domain, the type that it is of."""
    identity: str = ""
    """A hash of what makes the column this one, beside its name: under another, the rows show other values although no
    transaction wrote them."""
    is_key: bool = False
    """Whether it is the table's key, or one of its columns."""
    sorts_as_text: bool = False
    """Whether a date or timestamp that is a key has values whose texts sort in another order than themselves."""

    @property
    def base_type(self) -> str:
        """The type without its length, precision or scale."""
        return base_type(self.type)

    @property
    def arrow(self) -> pa.DataType:
        """The type in the lake."""
        return key_type(self.type) if self.is_key else arrow_type(self.type)

    def value(self, of: str = "t") -> sql.Fragment:
        """The column of the row ``of``; an xml as it was stored, whose output leaves out the declared encoding."""
        name = sql.columns([self.name], of=of)
        return sql.compose("$c::text", c=name) if self.type == "xml" else name

    def key_value(self, of: str = "t") -> sql.Fragment:
        """The column of the row ``of`` as a key: equal keys are the same in the lake.

        A numeric that the lake stores as text is read without the zeros at its end: 1.0 and 1 are the same key. So are
        0 and -0, and a text that is padded with more blanks or fewer.
        """
        if self.base_type == "numeric" and pa.types.is_string(self.arrow):
            return sql.compose("trim_scale($c)", c=self.value(of))
        if self.base_type in FLOATS:
            return sql.compose("($c + CAST(0 AS $type))", c=self.value(of), type=sql.Fragment(self.base_type))
        return sql.compose("$c::text", c=self.value(of)) if self.base_type in PADDED else self.value(of)

    def representable_condition(self) -> sql.Fragment | None:
        """The condition that the lake's type can represent the value; None where it represents every value.

        PostgreSQL's infinities, NaN, and years before 1 or after 9999 are not representable in Arrow's types.
        """
        column = sql.columns([self.name], of="t")
        if pa.types.is_date(self.arrow) or pa.types.is_timestamp(self.arrow):
            return sql.compose("($c >= '0001-01-01' AND $c < '10000-01-01')", c=column)
        if pa.types.is_decimal(self.arrow):
            return sql.compose("($c <> 'NaN')", c=column)
        return None


@dataclass(frozen=True)
class Relation:
    """A table, or one of its partitions."""

    name: str
    kind: str
    """``pg_class.relkind``: https://www.postgresql.org/docs/current/catalog-pg-class.html"""


@dataclass(frozen=True)
class TableInfo:
    """A source table as it is in the present snapshot; without columns where the table does not exist."""

    name: str
    keys: tuple[str, ...]
    """The key's columns, as the declaration names them; ``columns`` may lack them until ``check_needed`` has run."""
    columns: tuple[Column, ...] = ()
    """In the table's order."""
    relation_oids: tuple[int, ...] = ()
    """The object ids of the table and its partitions, ascending. Under another id, rows appear that no transaction
    has written since."""
    bytes: int = 0
    """What the table and its partitions take on disk, without indexes."""
    enum_labels: Mapping[str, str] = field(default_factory=dict)
    """The labels of the enums that its columns contain, by object id."""
    row_security: bool = False
    """Whether policies decide which rows this user sees: others appear and disappear that no transaction wrote."""
    location: sql.Fragment | None = None
    """The table in a statement; None: of its name in the schema ``public``."""

    @property
    def sql_name(self) -> sql.Fragment:
        """The table in a statement, quoted, with its schema."""
        return self.location or sql.table(self.name)

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    @property
    def column_types(self) -> dict[str, str]:
        """Column -> its type, as format_type() writes it, in the table's order."""
        return {column.name: column.type for column in self.columns}

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns of the key, in its order."""
        return tuple(self.column(name) for name in self.keys)

    @property
    def key_schema(self) -> pa.Schema:
        """The key as columns of the lake, in its order."""
        return pa.schema([(column.name, column.arrow) for column in self.key_columns])


def check_relkind(table: str, relations: Sequence[Relation]) -> None:
    """Refuses what has no xmin, such as a view; a foreign table also as a partition. A missing table passes.

    Raises SourceError that says what to write in the declaration.
    """
    for relation in relations:
        if relation.kind in ("r", "p"):
            continue
        what = _WITHOUT_XMIN.get(relation.kind, f"of the kind {relation.kind!r}")
        which = f"The source table {table} is {what}"
        if relation is not relations[0]:
            which = f"{relation.name}, a partition of {table}, is {what}"
        raise SourceError(
            f"{which}: PostgreSQL does not show which of its rows were written since the last run. Nothing was "
            f'extracted. Name the table behind it, or write compare = "content" in [source.{table}]: then every run '
            "reads all its rows and compares them by a hash."
        )


def is_lockable(relations: Sequence[Relation]) -> bool:
    """Whether LOCK TABLE accepts the table: PostgreSQL locks no materialized view and no foreign table."""
    return not relations or relations[0].kind not in ("m", "f")


def check_conversions(declarations: Declarations, described: Mapping[str, TableInfo]) -> None:
    """Refuses columns of a type whose values the warehouse's columns cannot have. Raises SourceError that names all."""
    types = {name: {column.name: column.type for column in info.columns} for name, info in described.items()}
    refused = [*refused_columns(declarations, types), *refused_expressions(declarations, types)]
    if refused:
        raise SourceError(" ".join((*refused, "Nothing was extracted.")))
