"""PostgreSQL's types in DuckDB: as DuckDB's own where that has every value, else as the text that PostgreSQL writes."""

from __future__ import annotations

from ..conversions import base_type, modifiers

MOST_DIGITS = 38  # of DuckDB's DECIMAL
TEXT, BLOB, JSON = "VARCHAR", "BLOB", "JSON"
_SAME = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "time without time zone": "TIME",
    "uuid": "UUID",
    "bytea": BLOB,
    "json": JSON,
    "jsonb": JSON,
}


def duckdb_type(postgres_type: str) -> str:
    """The type of DuckDB for a column of ``postgres_type``, written as format_type() does.

    A text where DuckDB has no type with the same values: intervals, which have months, days and time apart and may be
    infinite; numbers without a precision; arrays, whose elements have types that DuckDB may not have; network
    addresses. https://duckdb.org/docs/stable/sql/data_types/overview
    """
    base = base_type(postgres_type)
    if base == "numeric":
        digits = modifiers(postgres_type)
        precision, scale = (*digits, 0)[:2] if digits else (0, 0)
        return f"DECIMAL({precision},{scale})" if 0 < precision <= MOST_DIGITS and 0 <= scale <= precision else TEXT
    return _SAME.get(base, TEXT)
