"""Why rows are kept out of the warehouse, told value by value: one row of the report for each fault."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

MAX_TEXT = 1000  # characters of a value that the report shows; the batch has the whole of it

REPORT = pa.schema([(name, pa.string()) for name in ("table", "key", "column", "value", "reason")])


@dataclass(frozen=True)
class Fault:
    """Where ``rows`` is true, the source's ``column`` keeps its row out of the warehouse for ``reason``.

    ``values``: the column as the lake holds it; where ``untold``, what the lake could not hold is in there as JSON.
    """

    rows: pa.ChunkedArray
    column: str
    values: pa.ChunkedArray
    reason: str
    untold: bool = False


def faulty(faults: Sequence[Fault]) -> pa.ChunkedArray | None:
    """Where any of ``faults`` is; None where none is anywhere."""
    masks = [fault.rows for fault in faults if pc.any(fault.rows).as_py()]
    if not masks:
        return None
    found = masks[0]
    for mask in masks[1:]:
        found = pc.or_(found, mask)
    return found


def report(table: str, keys: pa.ChunkedArray, faults: Sequence[Fault]) -> pa.Table:
    """The faults in rows of the source ``table``, by fault and then as the rows come; each (column, reason) once."""
    parts: dict[tuple[str, str], pa.Table] = {}
    for fault in faults:
        found = keys.filter(fault.rows)
        count = len(found)
        if not count or (fault.column, fault.reason) in parts:
            continue
        columns = [
            pa.repeat(table, count),
            as_text(found),
            pa.repeat(fault.column, count),
            _shortened(_told(fault)),
            pa.repeat(fault.reason, count),
        ]
        parts[fault.column, fault.reason] = pa.table(columns, schema=REPORT)
    return pa.concat_tables(parts.values()) if parts else REPORT.empty_table()


def as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values as PostgreSQL would write them; a numeric without zeros at its end, which the lake does not keep."""
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_decimal(kind):
        texts = [None if value is None else _number(value) for value in values.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        texts = [None if value is None else _moment(value) for value in values.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    return values.cast(pa.string())


def _number(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _moment(value: datetime.datetime | datetime.time) -> str:
    whole, zone = (value.isoformat(), "") if value.tzinfo is None else (value.isoformat()[:-6], "+00")
    return (whole.rstrip("0").rstrip(".") if "." in whole else whole).replace("T", " ") + zone


def _told(fault: Fault) -> pa.ChunkedArray:
    values = fault.values.filter(fault.rows)
    if not fault.untold:
        return as_text(values)
    name = fault.column.rpartition(".")[2]
    return pa.chunked_array([pa.array([json.loads(text)[name] for text in values.to_pylist()], pa.string())])


def _shortened(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Long texts are cut, and say so: how many characters they have stands behind the ellipsis."""
    length = pc.utf8_length(texts)
    long = pc.greater(length, MAX_TEXT)
    if not pc.any(long).as_py():
        return texts
    cut = pc.binary_join_element_wise(
        pc.utf8_slice_codeunits(texts, 0, MAX_TEXT), "… (", length.cast(pa.string()), " characters)", ""
    )
    return pc.if_else(long, cut, texts)
