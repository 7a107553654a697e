"""Dimensions that keep every version of a row, as Kimball's slowly changing dimension of type 2."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from .errors import DeclarationError

VALID_FROM, VALID_TO, IS_CURRENT = "valid_from", "valid_to", "is_current"
VALIDITY: Mapping[str, str] = MappingProxyType(
    {VALID_FROM: "timestamp with time zone", VALID_TO: "timestamp with time zone", IS_CURRENT: "boolean"}
)
"""The columns that load fills beside those that transform fills, and their types."""
KEYS = frozenset({"history", "record"})
"""The keys of a dimension's declaration beside those that every dimension has."""


def parse_record(where: str, entry: Mapping[str, Any], columns: Collection[str]) -> str | None:
    """The surrogate key of a dimension that keeps its history; None of one that does not.

    ``columns``: those that transform fills. Raises DeclarationError, which begins with ``where``.
    """
    history, record = entry.get("history", False), entry.get("record")
    if not isinstance(history, bool):
        raise DeclarationError(f"{where} `history` must be true or false, not {history!r}.")
    if not history:
        if record is not None:
            raise DeclarationError(f"{where} `record` numbers versions, which a dimension has with `history = true`.")
        return None
    if not isinstance(record, str) or not record:
        raise DeclarationError(f"{where} lacks the key `record`: with `history`, the column of its surrogate key.")
    taken = sorted({*VALIDITY, record} & set(columns))
    if taken:
        raise DeclarationError(
            f"{where} column `{taken[0]}` is one that load fills, as it keeps its history: give it another name."
        )
    return record
