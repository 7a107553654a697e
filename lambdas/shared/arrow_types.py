"""The Arrow type in the lake of each PostgreSQL type."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow as pa

from .expressions import MAX_PRECISION

UNREADABLE = "_unreadable"  # a column of JSON {column: text}: values that the Arrow type cannot represent; else NULL
PLAIN_NUMERIC = pa.decimal128(MAX_PRECISION, 10)  # a numeric without precision, or with more than decimal128 has

_EXACT: Mapping[str, pa.DataType] = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
}
_MODIFIER = re.compile(r"\((?P<arguments>[^)]*)\)")


def base_type(postgres_type: str) -> str:
    """The type without its length, precision or scale: ``numeric`` of ``numeric(10,2)``."""
    return _MODIFIER.sub("", postgres_type)


def arrow_type(postgres_type: str) -> pa.DataType:
    """The type in the lake. A type without an exact counterpart in Arrow is a string there, as PostgreSQL writes it."""
    if base_type(postgres_type) != "numeric":
        return _EXACT.get(base_type(postgres_type), pa.string())
    modifier = _MODIFIER.search(postgres_type)
    if modifier is None:
        return PLAIN_NUMERIC
    precision, scale = (int(part) for part in modifier["arguments"].split(","))
    if precision <= MAX_PRECISION and 0 <= scale <= precision:
        return pa.decimal128(precision, scale)
    return PLAIN_NUMERIC
