"""The order of a table's keys: PostgreSQL sorts and compares them as Arrow sorts them in the lake."""

from __future__ import annotations

import pyarrow as pa

from ...shared.postgres import sql
from .catalog import Column


def ordering(column: Column) -> sql.Fragment:
    """The expression that sorts and compares the key ``column`` of the row ``t`` as Arrow does.

    A key that the lake stores as text is sorted by its bytes, whatever the database's collation: ``COLLATE "C"``
    (https://www.postgresql.org/docs/current/collation.html). A uuid is sorted by its bytes without that.
    """
    name = sql.columns([column.name], of="t")
    if not pa.types.is_string(column.arrow) or column.type == "uuid":
        return name
    if column.base_type in ("text", "character varying"):
        return sql.compose('(t.$c COLLATE "C")', c=sql.identifier(column.name))
    return sql.compose("(format('%s', t.$c) COLLATE \"C\")", c=sql.identifier(column.name))


def beyond(column: Column, key: str) -> sql.Fragment:
    """The condition that the key of the row ``t`` sorts after ``key``, which is the key as text."""
    return sql.compose("$order > $key", order=ordering(column), key=sql.constant(key))


def up_to(column: Column, key: str) -> sql.Fragment:
    """The condition that the key of the row ``t`` is ``key`` or sorts before it."""
    return sql.compose("$order <= $key", order=ordering(column), key=sql.constant(key))


def text_of(keys: pa.ChunkedArray) -> str | None:
    """The last of ``keys`` as text; None where there are no keys."""
    return str(keys[-1].cast(pa.string()).as_py()) if len(keys) else None


def value_of(text: str, dtype: pa.DataType) -> pa.Scalar:
    """The key whose text is ``text``."""
    return pa.scalar(text).cast(dtype)
