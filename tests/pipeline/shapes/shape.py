"""A shape: a source with its generated data, a star of it that is declared by hand, and what SQL says it must have."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations, parse
from lambda_toolkit.pipeline.warehouse.column_types import with_types

QUOTE = '"'
Values = Sequence[str]
"""What a column is drawn from: constants of SQL."""


def text(value: str) -> str:
    """A text as a constant of SQL."""
    return "'" + value.replace("'", "''") + "'"


def numbers(last: int, *more: str) -> Values:
    """The whole numbers from 1 to ``last``, and more constants."""
    return (*(str(number) for number in range(1, last + 1)), *more)


TEXTS: Values = tuple(
    text(value)
    for value in (
        *("a", "b", "", " ", "  a ", "a'b", 'x"y"', "\\N", "\\", "NULL", "null", "e\u0301", "\u00e9", "stra\u00dfe"),
        *("\t", "a\nb", "\r\n", "\U0001f600", "{a,b}", "a,b", "$$", "%s", "[1]", "\u200b", "\x01", "0", "A" * 39),
    )
)
MAYBE_TEXTS: Values = (*TEXTS, "NULL", "NULL", "NULL")


@dataclass(frozen=True)
class SourceTable:
    """A table of the source: its name in SQL, the columns of its key, what each column is drawn from, and how often."""

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, Values]
    rows: int = 20


@dataclass(frozen=True)
class Waiting:
    """Rows of a table wait until a dimension with a filter has had the row that ``columns`` name."""

    columns: tuple[str, ...]
    dimension: str


@dataclass(frozen=True)
class Shape:
    """Everything that is known of a shape. Of a table's columns, ``oracle`` selects those that transform fills."""

    name: str
    ddl: str
    tables: tuple[SourceTable, ...]
    config: str
    warehouse_sql: str
    oracle: Mapping[str, str]
    """By table of the warehouse, one query on the source. A calendar has none."""
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    schemas: tuple[str, ...] = ()
    """The schemas of the source beside public."""

    def declared(self) -> Declarations:
        """The declarations, with deleted rows looked for by every run."""
        document: dict[str, Any] = tomllib.loads(self.config)
        for entry in document["source"].values():
            entry["deletes"] = "every run"
        return parse(with_types(document, self.warehouse_sql, "warehouse.sql"))

    def in_public(self) -> Shape:
        """The same shape with all tables of the source in the schema public."""

        def moved(sql: str) -> str:
            for schema in self.schemas:
                sql = sql.replace(f"{schema}.", "")
                sql = sql.replace(f', schema = "{schema.strip(QUOTE)}"', "")
            return sql

        return replace(
            self,
            ddl=moved(self.ddl),
            tables=tuple(replace(table, name=moved(table.name)) for table in self.tables),
            config=moved(self.config),
            oracle={name: moved(query) for name, query in self.oracle.items()},
            schemas=(),
        )
