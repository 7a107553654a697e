"""The Arrow types in which columns of the warehouse are published, and their values from PostgreSQL's texts."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lambda_toolkit.pipeline.access.messages import Column
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.conversions import TIME, base_type
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import arrow_type

_ANY_DAY = "1970-01-01"


def published_type(postgres_type: str) -> pa.DataType:
    """The type of a published column. One without a counterpart in Iceberg is a string, as PostgreSQL writes it.

    So is a ``numeric`` without precision. Iceberg has no 16-bit integer: https://iceberg.apache.org/spec/#primitive-types
    """
    if base_type(postgres_type) == "smallint":
        return pa.int32()
    return pa.time64("us") if base_type(postgres_type) == TIME else arrow_type(postgres_type)


def published_schema(columns: Sequence[Column]) -> pa.Schema:
    """The schema of a published table with these columns."""
    return pa.schema([(column.name, published_type(column.type)) for column in columns])


def published_rows(rows: pa.Table, columns: Sequence[Column], where: str) -> pa.Table:
    """``rows`` as ``access.statements.tables`` reads them, in the types of :func:`published_schema`.

    Raises CommandError, which names ``where`` and the column, for a value that its type cannot have: infinity, 24:00.
    """
    fields = []
    for values, column in zip(rows.columns, columns, strict=True):
        try:
            fields.append(_typed(values, published_type(column.type)))
        except pa.ArrowInvalid as error:
            raise CommandError(
                f"Column {column.name} of {where} has a value that Iceberg's {published_type(column.type)} cannot "
                f"have: {error}. Nothing of this table was published. Declare the column as text, or correct the value."
            ) from error
    return pa.Table.from_arrays(fields, schema=published_schema(columns))


def _typed(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_time(wanted):  # Arrow reads a time of day as a part of a timestamp alone
        return pc.binary_join_element_wise(_ANY_DAY, values, " ").cast(pa.timestamp("us")).cast(wanted)
    return values.cast(wanted)
