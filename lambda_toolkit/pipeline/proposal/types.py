"""The type of the warehouse's column for a column of the source: the same where the pipeline can write it, or text."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from lambda_toolkit.pipeline.lambdas.shared.conversions import base_type, refusal
from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.proposal.catalog import Column
from lambda_toolkit.pipeline.warehouse.sql_tokens import Reader, tokens
from lambda_toolkit.pipeline.warehouse.sql_types import read_type

TEXT = "text"  # what every type can be stored in


@dataclass(frozen=True)
class WarehouseType:
    """The type of a warehouse column."""

    type: str
    """As format_type() writes it."""
    reason: str | None = None
    """Why it is not the source's; None where it is."""


def warehouse_type(column: Column) -> WarehouseType:
    """The type for the values of ``column`` as they are: its own; the type that its domain is of; or text."""
    for kind in (column.type, column.base_type):
        if _can_be_written(column.type, kind):
            return WarehouseType(kind, None if kind == column.type else next(_reasons(column), None))
    return WarehouseType(TEXT, next(_reasons(column), f"{column.type} is stored as PostgreSQL writes it"))


@functools.cache
def _can_be_written(source: str, wanted: str) -> bool:
    """Whether a column of the type ``wanted`` takes values of the type ``source``, and warehouse.sql can name it."""
    return refusal(source, wanted) is None and reads_as_itself(wanted)


def reads_as_itself(kind: str) -> bool:
    """Whether the reader of warehouse.sql reads ``kind`` as a whole type of that very name."""
    try:
        reader = Reader(list(tokens(kind)), "the type")
        return read_type(reader).name == kind and reader.next.kind == "end"
    except WarehouseError:
        return False


def _reasons(column: Column) -> Iterator[str]:
    if column.type != column.base_type:
        yield f"the domain {column.type}, of {column.base_type}"
    if column.enum_labels:
        many = base_type(column.type).endswith("[]")
        yield f"an array of the enum {column.type.removesuffix('[]')}" if many else f"the enum {column.type}"
    if base_type(column.type).removesuffix("[]") == "money":
        yield "money, as PostgreSQL writes it with lc_monetary = C"
