"""Rows of a source table as transform reads them: the key in the type of its column, like every other column."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.expression.types import UNKNOWN
from ...shared.lake.parquet import UNREADABLE, arrow_type
from .cast_result import CastResult, keep

_READABLE = r"^\d{4}-\d\d-\d\d( [\d:.]+(\+00)?)?$"  # the dates and timestamps that the lake's types can represent


@dataclass(frozen=True)
class SourceRows:
    """Rows of a source table in the lake's types."""

    rows: pa.Table
    types: Mapping[str, str]
    """Column -> its PostgreSQL type, as format_type() writes it; ABSENT of one that its table did not have then."""


ABSENT = UNKNOWN
"""The type of a column that the source did not have at the time of the batch: NULL, of whatever type is needed."""


def with_absent_columns(rows: pa.Table, types: Mapping[str, str]) -> pa.Table:
    """``rows`` with a column of NULLs, as text, for each of ``types`` that is ABSENT."""
    for name, kind in types.items():
        if kind == ABSENT and name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, pa.string()))
    return rows


def with_typed_keys(source: SourceRows, keys: Sequence[str]) -> SourceRows:
    """``source``, as the lake has it, with its ``keys`` in the types that any other column of their type has there.

    A key that such a type cannot represent becomes NULL, and its text goes into ``_unreadable``.
    """
    for key in keys:
        texts, names = source.rows[key], source.rows.column_names
        found = typed_keys(texts, source.types[key])
        rows = source.rows.set_column(names.index(key), key, found.values)
        if found.invalid is not None and UNREADABLE in names and pc.any(found.invalid).as_py():
            noted = _with_texts(rows[UNREADABLE], key, texts.filter(found.invalid), found.invalid)
            rows = rows.set_column(names.index(UNREADABLE), UNREADABLE, noted)
        source = SourceRows(rows, source.types)
    return source


def _with_texts(
    unreadable: pa.ChunkedArray, column: str, texts: pa.ChunkedArray, rows: pa.ChunkedArray
) -> pa.ChunkedArray:
    """``unreadable`` with the ``texts`` of ``column`` in the ``rows`` that are true, one for each of these."""
    before = unreadable.filter(rows).to_pylist()
    after = [
        json.dumps({**json.loads(other or "{}"), column: text}, ensure_ascii=False)
        for other, text in zip(before, texts.to_pylist(), strict=True)
    ]
    found = pc.replace_with_mask(unreadable.combine_chunks(), rows.combine_chunks(), pa.array(after, pa.string()))
    return pa.chunked_array([found])


def typed_keys(keys: pa.ChunkedArray, postgres_type: str) -> CastResult:
    """Keys of the lake, some of which are text there, in the type of any other column; invalid where it lacks one."""
    wanted = arrow_type(postgres_type)
    if not pa.types.is_string(keys.type) or pa.types.is_string(wanted):
        return CastResult(keys)
    if pa.types.is_floating(wanted):
        return CastResult(keys.cast(wanted))
    found = keep(keys, pc.match_substring_regex(keys, _READABLE), pa.string())
    plain = pc.replace_substring_regex(found.values, r"\+00$", "")  # every session of the pipeline is in UTC
    if pa.types.is_timestamp(wanted):
        plain = plain.cast(pa.timestamp(wanted.unit))
    return CastResult(plain.cast(wanted), found.invalid)


def unreadable_texts(rows: pa.Table, column: str) -> pa.ChunkedArray:
    """The texts of the values of ``column`` that the lake's type cannot represent; NULL for all other rows."""
    if UNREADABLE not in rows.column_names:
        return pa.chunked_array([pa.nulls(rows.num_rows, pa.string())])
    found = [None if text is None else json.loads(text).get(column) for text in rows[UNREADABLE].to_pylist()]
    return pa.chunked_array([pa.array(found, pa.string())])
