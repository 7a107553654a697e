"""Lookups: for each row the row of another table that it refers to, by that table's key, along a path of joins."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.conversions import DATES, NUMBERS, base_type
from ...shared.model.joins import Join
from ...shared.postgres_text import key_texts, postgres_text
from .numbers import canonical
from .rejects import DataError, filter_error
from .source_rows import SourceRows
from .times import TIMESTAMP


@dataclass(frozen=True)
class JoinedRows(SourceRows):
    """All rows of a source table that others may refer to, each once."""

    changed: int = 0
    """How many of them, the first ones, are changes of this batch."""
    deleted: pa.Table | None = None
    """The keys of its rows that were deleted with this batch; None where there are none."""


@dataclass(frozen=True)
class LookupResult:
    """The rows of another table that foreign keys reference."""

    found: SourceRows
    """The referenced row of each row, in the same order; NULL in every column where there is none."""
    positions: pa.ChunkedArray
    """Its place in the rows of that table; NULL where there is none."""
    dangling: tuple[DataError, ...]
    """The rows whose foreign key references a row that does not exist: here, and before on the path."""

    @property
    def is_dangling(self) -> pa.ChunkedArray:
        """Of each row, whether a foreign key on its path references a row that does not exist."""
        return functools.reduce(pc.or_, [error.rows for error in self.dangling])

    def filter(self, rows: pa.ChunkedArray) -> LookupResult:
        """What was found, of those of the rows alone that are true in ``rows``."""
        found = SourceRows(self.found.rows.filter(rows), self.found.types)
        return LookupResult(
            found, self.positions.filter(rows), tuple(filter_error(error, rows) for error in self.dangling)
        )


def look_up(
    joins: Mapping[str, Join],
    source: SourceRows,
    joined: Mapping[str, SourceRows],
    keys: Mapping[str, tuple[str, ...]],
) -> dict[str, LookupResult]:
    """Alias -> what the rows of ``source`` reference. ``joined``: by source table; ``keys``: the key of each."""
    found: dict[str, LookupResult] = {}
    for alias, join in joins.items():
        parent = found[join.parent] if join.parent else None
        rows = parent.found if parent else source
        result = lookup(rows, join.on, joined[join.table], keys[join.table], join.table, join.parent)
        before = parent.dangling if parent else ()
        found[alias] = LookupResult(result.found, result.positions, (*before, *result.dangling))
    return found


def lookup(
    source: SourceRows,
    columns: Sequence[str],
    other: SourceRows,
    keys: Sequence[str],
    name: str,
    alias: str | None = None,
) -> LookupResult:
    """Looks up the foreign key ``columns`` of ``source`` in ``other``, rows of the table ``name``, by its ``keys``.

    The keys are unique in ``other``. A value that no value of the key's type equals references nothing. ``alias``: of
    ``source``, if it was looked up itself.
    """
    mine, theirs = _references(source, columns, other, keys)
    positions = pc.index_in(mine, value_set=theirs, skip_nulls=True)
    missing = pc.and_(pc.is_valid(mine), pc.is_null(positions))
    referring = ", ".join(f"{alias}.{column}" if alias else column for column in columns)
    values = key_texts([postgres_text(source.rows[name], source.types[name]) for name in columns])
    if len(columns) == 1:
        values = source.rows[columns[0]]
    error = DataError(missing, referring, values, f"there is no such {name} in the source")
    return LookupResult(SourceRows(other.rows.take(positions), other.types), positions, (error,))


def depends_on_changes(
    joins: Mapping[str, Join],
    source: SourceRows,
    joined: Mapping[str, JoinedRows],
    keys: Mapping[str, tuple[str, ...]],
) -> pa.ChunkedArray:
    """Of each row of ``source``, whether a row along its paths has changed or was deleted with this batch."""
    found = look_up(joins, source, joined, keys)
    masks = []
    for alias, join in joins.items():
        other = joined[join.table]
        masks.append(pc.fill_null(pc.less(found[alias].positions, other.changed), False))
        if other.deleted is not None:
            rows = found[join.parent].found if join.parent else source
            deleted = SourceRows(other.deleted, other.types)
            mine, theirs = _references(rows, join.on, deleted, keys[join.table])
            masks.append(pc.is_in(mine, value_set=theirs, skip_nulls=True))
    return functools.reduce(pc.or_, masks)


def _references(
    source: SourceRows, columns: Sequence[str], other: SourceRows, keys: Sequence[str]
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Foreign keys, NULL where one of their ``columns`` is, and the keys that they may reference, as one value each."""
    pairs = [
        _comparable((source.rows[column], source.types[column]), (other.rows[key], other.types[key]))
        for column, key in zip(columns, keys, strict=True)
    ]
    if len(pairs) == 1:
        return pairs[0]
    mine, theirs = (key_texts([side.cast(pa.string()) for side in sides]) for sides in zip(*pairs, strict=True))
    complete = functools.reduce(pc.and_, [pc.is_valid(source.rows[column]) for column in columns])
    return pc.if_else(complete, mine, pa.scalar(None, pa.string())), theirs


Typed = tuple[pa.ChunkedArray, str]


def _comparable(one: Typed, other: Typed) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Two columns in one type of Arrow, in which two values are equal where PostgreSQL takes them for equal.

    A text and a value of another type are equal where the text is how PostgreSQL writes the value.
    """
    kinds = {base_type(one[1]), base_type(other[1])}
    if one[0].type == other[0].type and one[0].type in _COMPARED_AS_THEY_ARE:
        return one[0], other[0]
    if kinds <= set(NUMBERS):
        if pa.types.is_integer(one[0].type) and pa.types.is_integer(other[0].type):
            return one[0].cast(pa.int64()), other[0].cast(pa.int64())
        return canonical(one[0]), canonical(other[0])
    if kinds <= set(DATES):
        return one[0].cast(TIMESTAMP), other[0].cast(TIMESTAMP)
    return postgres_text(*one), postgres_text(*other)


_COMPARED_AS_THEY_ARE = (pa.int16(), pa.int32(), pa.int64(), pa.bool_(), pa.date32(), TIMESTAMP)
