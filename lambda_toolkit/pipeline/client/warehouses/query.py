"""Reads a warehouse: a query as an Arrow table, or as CSV. In a transaction that is read-only, whatever the text says.

In a notebook::

    from lambda_toolkit.pipeline import Warehouse

    warehouse = Warehouse.at("postgresql://reader:password@warehouse.example.com/warehouse")
    warehouse.table("current_fact_sales_order").to_pandas()
    warehouse.query("SELECT design_id, sum(units_sold) FROM current_fact_sales_order GROUP BY 1")
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from lambda_toolkit.pipeline.access.messages import QueryError
from lambda_toolkit.pipeline.client.warehouses.reader import WarehouseAccess, credentials_at, reader_of, warehouse_of
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.conversions import base_type
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import arrow_type
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.client.target import Target
    from lambda_toolkit.pipeline.lambdas.shared.postgres.copy_rows import Sink

_RELATIONS = (
    "SELECT c.relname::text FROM pg_catalog.pg_class AS c WHERE c.relnamespace = to_regnamespace('public')"
    " AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1"
)
_SHORT, _DIGITS = 38, 76  # of Arrow's decimals of 128 and 256 bits
_ANY_DAY = "1970-01-01"
_NUMBER = r"^-?\d+(\.\d+)?$"


@dataclass(frozen=True)
class Warehouse:
    """A warehouse to read into Arrow. Every call sees one snapshot."""

    access: WarehouseAccess

    @classmethod
    def at(cls, url: str) -> Self:
        """The warehouse at ``url``. Raises ConfigurationError.

        ``postgresql://user:password@host:port/database``, or ``duckdb:///path/of/warehouse.duckdb``.
        """
        return cls(reader_of(credentials_at(url)))

    @classmethod
    def of(cls, target: Target) -> Self:
        """The warehouse of ``target``. Raises CommandError where its credentials are needed and unknown."""
        return cls(warehouse_of(target))

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        """The few rows of a query, values as the driver has them. Raises PipelineError."""
        return self.access.rows(statement, **parameters)

    def tables(self) -> list[str]:
        """The names of the published tables and views, sorted."""
        return [name for (name,) in self.rows(_RELATIONS)]

    def table(self, name: str) -> pa.Table:
        """All rows of a published table or view, in no order, as ``query`` returns them.

        Raises CommandError for a name that the warehouse does not have.
        """
        try:
            return self.query(sql.compose("SELECT * FROM $table", table=sql.table(name)))
        except CommandError as error:
            known = self.tables()
            if name in known:
                raise
            near = difflib.get_close_matches(name, known)
            meant = f"Is {near[0]} meant?" if near else f"It has: {', '.join(known) or 'none'}."
            raise CommandError(f"The warehouse has no table {name}. {meant}") from error

    def query(self, text: str) -> pa.Table:
        """The rows of the query ``text``, in its order.

        numeric is a decimal with as many digits as the values have; a date, a time or a timestamp is Arrow's; every
        other type without a counterpart in Arrow is a string, as PostgreSQL writes it. So is a column of which a value
        (infinity, NaN, 24:00) does not fit its Arrow type. Raises CommandError with what the server says.
        """
        with _refused():
            columns, rows = self.access.table(text)
        values = [_typed(column, of.type) for column, of in zip(rows.columns, columns, strict=True)]
        return pa.Table.from_arrays(values, names=[column.name for column in columns])

    def csv(self, text: str, sink: Sink) -> None:
        """Calls ``sink`` with the rows of the query as CSV (RFC 4180, UTF-8), the names of the columns first.

        NULL is an empty field, an empty text is ``""``. Raises CommandError with what the server says.
        """
        with _refused():
            self.access.csv(text, sink)


@contextmanager
def _refused() -> Iterator[None]:
    """Raises CommandError for a query that the server refuses."""
    try:
        yield
    except QueryError as error:
        raise CommandError(str(error)) from error


def _typed(column: pa.ChunkedArray, postgres_type: str) -> pa.ChunkedArray:
    """A column of texts in the Arrow type of ``postgres_type``; as it is where it has none, or a value does not fit."""
    if not pa.types.is_string(column.type):
        return column
    base = base_type(postgres_type)
    if base == "numeric":
        return _numbers(column, postgres_type)
    try:
        if base == "time without time zone":  # Arrow reads a time of day as a part of a timestamp alone
            return pc.binary_join_element_wise(_ANY_DAY, column, " ").cast(pa.timestamp("us")).cast(pa.time64("us"))
        return column.cast(arrow_type(postgres_type))
    except pa.ArrowInvalid:
        return column


def _numbers(column: pa.ChunkedArray, postgres_type: str) -> pa.ChunkedArray:
    """Decimals of one scale: that of the type, or else the longest that a value has."""
    if not pc.all(pc.match_substring_regex(column, _NUMBER), min_count=0).as_py():
        return column  # NaN, or infinity
    declared = arrow_type(postgres_type)
    if pa.types.is_decimal(declared):
        return column.cast(declared)
    whole = pc.utf8_length(pc.replace_substring_regex(pc.ascii_ltrim(column, "-"), r"\..*", ""))
    scale = pc.max(pc.utf8_length(pc.replace_substring_regex(column, r"^[^.]*\.?", ""))).as_py() or 0
    digits = (pc.max(whole).as_py() or 0) + scale
    if digits > _DIGITS:
        return column
    return column.cast(pa.decimal128(_SHORT, scale) if digits <= _SHORT else pa.decimal256(_DIGITS, scale))
