"""The rejects of a warehouse table: one row per invalid value, with the reason that keeps its row out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.postgres_text import postgres_text

MAX_CHARACTERS = 1000  # of a value in the rejects; the ingestion bucket has the full value

REJECTS_SCHEMA = pa.schema([(name, pa.string()) for name in ("table", "key", "column", "value", "reason")])
"""The source table, the row's key, the source column (``table.column`` of a join), its value, and the reason."""


@dataclass(frozen=True)
class DataError:
    """One reason that keeps rows out of the warehouse."""

    rows: pa.ChunkedArray
    """Booleans, one per row: true where the value is invalid."""
    column: str
    """The source column; ``table.column`` of a join."""
    values: pa.ChunkedArray
    """The values of ``column``, one per row, in the same order."""
    reason: str
    overflow: str | None = None
    """The source column where ``values`` is the JSON of what the lake's types cannot represent, by column."""


def filter_error(error: DataError, rows: pa.ChunkedArray) -> DataError:
    """``error``, of those of the rows alone that are true in ``rows``."""
    return replace(error, rows=error.rows.filter(rows), values=error.values.filter(rows))


def error_mask(errors: Sequence[DataError]) -> pa.ChunkedArray | None:
    """Booleans, one per row: true where a row has any of ``errors``. None: no row has one."""
    masks = [error.rows for error in errors if pc.any(error.rows).as_py()]
    if not masks:
        return None
    found = masks[0]
    for mask in masks[1:]:
        found = pc.or_(found, mask)
    return found


def build_rejects(table: str, keys: pa.ChunkedArray, errors: Sequence[DataError]) -> pa.Table:
    """The rejects of the source ``table``, with the schema REJECTS_SCHEMA; ``keys``: of all rows, in order, as text.

    Ordered by error, then as the rows are; of several errors with the same column and reason, only the first counts.
    """
    parts: dict[tuple[str, str], pa.Table] = {}
    for error in errors:
        found = keys.filter(error.rows)
        count = len(found)
        if not count or (error.column, error.reason) in parts:
            continue
        columns = [
            pa.repeat(table, count),
            found,
            pa.repeat(error.column, count),
            _shortened(_values(error)),
            pa.repeat(error.reason, count),
        ]
        parts[error.column, error.reason] = pa.table(columns, schema=REJECTS_SCHEMA)
    return pa.concat_tables(parts.values()) if parts else REJECTS_SCHEMA.empty_table()


def _values(error: DataError) -> pa.ChunkedArray:
    values = error.values.filter(error.rows)
    if error.overflow is None:
        return postgres_text(values)
    found = [json.loads(text)[error.overflow] for text in values.to_pylist()]
    return pa.chunked_array([pa.array(found, pa.string())])


def _shortened(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Long strings cut to MAX_CHARACTERS characters, followed by an ellipsis and their length."""
    length = pc.utf8_length(texts)
    long = pc.greater(length, MAX_CHARACTERS)
    if not pc.any(long).as_py():
        return texts
    cut = pc.binary_join_element_wise(
        pc.utf8_slice_codeunits(texts, 0, MAX_CHARACTERS), "… (", length.cast(pa.string()), " characters)", ""
    )
    return pc.if_else(long, cut, texts)
