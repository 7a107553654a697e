"""How many rows a piece of work has at most, where work is divided: the part of a batch, and what readers read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import DeclarationError

READER_ROWS = 20_000_000
"""The most rows of a table that readers read for one batch, unless it is declared otherwise: docs/scale.md."""
PART_ROWS = 1_000_000
"""The rows of the source that a part has at most, unless its one file has more, or it is declared otherwise."""


def part_rows(document: Mapping[str, Any]) -> int:
    """``part_rows`` of the declaration. Raises DeclarationError where it is not an integer of at least 1."""
    rows = document.get("part_rows", PART_ROWS)
    if type(rows) is not int or rows < 1:
        raise DeclarationError(f"[transform] `part_rows` must be 1 or more, not {rows!r}.")
    return rows
