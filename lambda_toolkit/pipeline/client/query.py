"""Reads a warehouse: a query as an Arrow table, or as CSV. In a transaction that is read-only, whatever the text says.

In a notebook::

    from lambda_toolkit.pipeline import Warehouse

    warehouse = Warehouse.at("postgresql://reader:password@warehouse.example.com/warehouse")
    warehouse.table("current_fact_sales_order").to_pandas()
    warehouse.query("SELECT design_id, sum(units_sold) FROM current_fact_sales_order GROUP BY 1")
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.client.reader import WarehouseReader
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.extract.source.reader import read
from lambda_toolkit.pipeline.lambdas.shared.conversions import base_type
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import arrow_type
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.lambdas.shared.postgres.copy_rows import Sink
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message

_TYPES = (
    "SELECT format_type(CAST(oid AS oid), CAST(modifier AS integer)) FROM"
    " unnest(CAST(:oids AS bigint[]), CAST(:modifiers AS integer[])) WITH ORDINALITY AS t(oid, modifier, number)"
    " ORDER BY number"
)
_RELATIONS = (
    "SELECT c.relname::text FROM pg_catalog.pg_class AS c WHERE c.relnamespace = to_regnamespace('public')"
    " AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1"
)
_AS_THEY_ARE = ("smallint", "integer", "bigint", "real", "double precision", "boolean")
_SHORT, _DIGITS = 38, 76  # of Arrow's decimals of 128 and 256 bits
_ANY_DAY = "1970-01-01"
_NUMBER = r"^-?\d+(\.\d+)?$"


@dataclass(frozen=True)
class Column:
    """A column of a query's result."""

    name: str
    type: str
    """Its PostgreSQL type, as format_type() writes it."""


class Warehouse(WarehouseReader):
    """A warehouse to read into Arrow. Every call has a connection of its own, and sees one snapshot."""

    def tables(self) -> list[str]:
        """The names of the published tables and views, sorted."""
        with self.reading() as connection:
            return [name for (name,) in connection.rows(_RELATIONS)]

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
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"Is {near[0]} meant?" if near else f"It has: {', '.join(known) or 'none'}."
            raise CommandError(f"The warehouse has no table {name}. {meant}") from error

    def query(self, text: str) -> pa.Table:
        """The rows of the query ``text``, in its order.

        numeric is a decimal with as many digits as the values have; a date, a time or a timestamp is Arrow's; every
        other type without a counterpart in Arrow is a string, as PostgreSQL writes it. So is a column of which a value
        (infinity, NaN, 24:00) does not fit its Arrow type. Raises CommandError with what the server says.
        """
        with self.reading() as connection:
            columns = _described(connection, text)
            names = [str(number) for number in range(len(columns))]  # of a query, several columns may have one name
            plain = [arrow_type(c.type) if c.type in _AS_THEY_ARE else pa.string() for c in columns]
            schema = pa.schema(list(zip(names, plain, strict=True)))
            parts = [schema.empty_table()]
            with _explained():
                read(connection, _query(text), schema, parts.append)
        rows = pa.concat_tables(parts)
        values = [_typed(column, of.type) for column, of in zip(rows.columns, columns, strict=True)]
        return pa.Table.from_arrays(values, names=[column.name for column in columns])

    def csv(self, text: str, sink: Sink) -> None:
        """Calls ``sink`` with the rows of the query as CSV (RFC 4180, UTF-8), the names of the columns first.

        NULL is an empty field, an empty text is ``""``. Raises CommandError with what the server says.
        """
        with self.reading() as connection:
            _described(connection, text)
            with _explained():
                connection.copy_out(
                    sql.compose("COPY ($query) TO STDOUT (FORMAT csv, HEADER true)", query=_query(text)), sink
                )


def _query(text: str) -> sql.Fragment:
    """The query as a part of a statement: a comment at its end ends with its line."""
    return sql.Fragment(f"\n{text.strip().rstrip(';').rstrip()}\n")


def _described(connection: Connection, text: str) -> Sequence[Column]:
    """The columns that the query returns. Raises CommandError where it is no query: nothing else is run."""
    if not re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL).strip(" \t\r\n;"):
        raise CommandError("The query is empty.")
    with _explained():
        connection.run_as_it_is(sql.compose("SELECT * FROM ($query) AS query LIMIT 0", query=_query(text)))
    found = connection.columns or []
    if not found:
        raise CommandError("The query returns no columns.")
    types = connection.rows(
        _TYPES,
        oids=[column["type_oid"] for column in found],
        modifiers=[column["type_modifier"] for column in found],
    )
    return [Column(column["name"], kind) for column, (kind,) in zip(found, types, strict=True)]


@contextmanager
def _explained() -> Iterator[None]:
    """Raises CommandError for an error of the server."""
    try:
        yield
    except DatabaseError as error:
        raise CommandError(f"The warehouse refuses the query: {message(error).rstrip('.')}.") from error


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
