"""The types of the processed files' columns, as each engine names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lambda_toolkit.pipeline.lambdas.shared.conversions import TIME, TIMESTAMP, TIMESTAMPTZ, base_type, modifiers

_MOST_DIGITS = 38  # of a decimal in Arrow, Hive, Trino and DuckDB alike


@dataclass(frozen=True)
class LakeType:
    """A type of a column in the processed Parquet files."""

    hive: str | None
    """As the Glue catalog and Spark name it; ``None`` where neither Athena nor Spark reads it: a time of day."""
    athena: str
    """As Athena's SQL names it."""
    duckdb: str
    """As DuckDB's SQL names it."""


TEXT = LakeType("string", "varchar", "VARCHAR")
BIGINT = LakeType("bigint", "bigint", "BIGINT")
MOMENT = LakeType("timestamp", "timestamp", "TIMESTAMP")
_TYPES: Mapping[str, LakeType] = {
    "smallint": LakeType("smallint", "smallint", "SMALLINT"),
    "integer": LakeType("int", "integer", "INTEGER"),
    "bigint": BIGINT,
    "real": LakeType("float", "real", "FLOAT"),
    "double precision": LakeType("double", "double", "DOUBLE"),
    "boolean": LakeType("boolean", "boolean", "BOOLEAN"),
    "date": LakeType("date", "date", "DATE"),
    # Parquet's TIME has no type in the Hive catalog, and Athena and Spark 3 refuse the column:
    # https://docs.aws.amazon.com/athena/latest/ug/data-types.html
    TIME: LakeType(None, "time", "TIME"),
    TIMESTAMP: MOMENT,
    TIMESTAMPTZ: LakeType("timestamp", "timestamp", "TIMESTAMPTZ"),
}


def lake_type(postgres_type: str) -> LakeType:
    """The type in the lake of a warehouse column of this type, which format_type() wrote.

    Where Arrow has no exact counterpart it is a text, as PostgreSQL writes it; so is a ``numeric`` without precision.
    """
    arguments = modifiers(postgres_type)
    if base_type(postgres_type) == "numeric" and arguments:
        precision, scale = (*arguments, 0)[:2]
        if precision <= _MOST_DIGITS and 0 <= scale <= precision:
            name = f"decimal({precision},{scale})"
            return LakeType(name, name, name.upper())
    return _TYPES.get(base_type(postgres_type), TEXT)
