"""A table of the source, as a declaration has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..errors import DeclarationError
from ..postgres import sql

FRESH_WITHIN = "fresh_within"
"""The key of how soon the warehouse shall have a change: of the document, for all tables, or of a table."""
EVERY_RUN, NEVER = timedelta(0), timedelta.max
_INTERVALS: Mapping[str, timedelta] = {"every run": EVERY_RUN, "never": NEVER}
_INTERVAL = re.compile(r"(?P<count>\d{1,5}) (?P<unit>minute|hour|day)s?")


@dataclass(frozen=True)
class SourceTable:
    """A table of the source that extract ingests."""

    name: str
    keys: tuple[str, ...]
    """The columns that together are its key, in the order declared: rows are read and compared in that order."""
    deletes: timedelta | None = None
    """How often keys are compared to find deleted rows: EVERY_RUN, NEVER, an interval, or None: as its size allows."""
    by_content: bool = False
    """Whether changed rows are found by a hash of their values instead of by xmin, which a view does not have."""

    schema: str = sql.SCHEMA
    """The schema that it is in."""
    table: str | None = None
    """Its name there; None: ``name``, by which declarations, the lake and messages call it."""
    fresh_within: timedelta | None = None
    """How soon the warehouse shall have each change of it; None: see ``Declarations.promises``."""

    @property
    def relation(self) -> str:
        """Its name in its schema."""
        return self.table or self.name

    @property
    def sql_name(self) -> sql.Fragment:
        """The table in a statement, quoted, with its schema."""
        return sql.table(self.relation, self.schema)


def interval(where: str, text: str) -> timedelta:
    """The interval that ``text`` means. Raises DeclarationError, which begins with ``where``."""
    if text in _INTERVALS:
        return _INTERVALS[text]
    match = _INTERVAL.fullmatch(text)
    if match is None or not int(match["count"]):
        raise DeclarationError(
            f'{where} `deletes` must be "every run", "never", or an interval such as "30 minutes", "1 hour" or '
            f'"2 days", not {text!r}.'
        )
    return timedelta(**{f"{match['unit']}s": int(match["count"])})


def promise(where: str, entry: Mapping[str, Any]) -> timedelta | None:
    """The time within which changes shall be in the warehouse, as ``entry`` has it; None where it says nothing.

    Raises DeclarationError, which begins with ``where``.
    """
    if FRESH_WITHIN not in entry:
        return None
    value = entry[FRESH_WITHIN]
    match = _INTERVAL.fullmatch(value) if isinstance(value, str) else None
    if match is None or not int(match["count"]):
        raise DeclarationError(f'{where} `fresh_within` must be a time such as "30 minutes" or "1 day", not {value!r}.')
    return timedelta(**{f"{match['unit']}s": int(match["count"])})
