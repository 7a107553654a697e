"""Which rows of a source table are meant, as data: the source translates a row set into its own conditions."""

from __future__ import annotations

from dataclasses import dataclass

Key = tuple[str, ...]
"""A key: the text of each of its columns, in the order in which the declaration names them."""


@dataclass(frozen=True)
class AllRows:
    """Every row."""


@dataclass(frozen=True)
class NoRows:
    """No row."""


@dataclass(frozen=True)
class WrittenSince:
    """The rows that a transaction wrote which was unfinished, or had not begun, at ``xmin``."""

    xmin: int
    """The ``snapshot_xmin`` of an earlier batch, an ``xid8``."""


@dataclass(frozen=True)
class KeysUpTo:
    """The rows whose key is ``key`` or sorts before it."""

    key: Key


@dataclass(frozen=True)
class KeysAfter:
    """The rows whose key sorts after ``key``."""

    key: Key


@dataclass(frozen=True)
class KeysIn:
    """The rows with these keys."""

    keys: tuple[Key, ...]
    """At least one."""


@dataclass(frozen=True)
class WithoutKey:
    """The rows whose key the lake cannot represent, which are beyond no key and up to none."""


@dataclass(frozen=True)
class StoredBetween:
    """The rows whose place in the source's storage is ``first`` or beyond it, and before ``end``.

    A place is a text of the source's, such as PostgreSQL's ctid; None: from the beginning, or up to the end. A row has
    one place in a snapshot, so that ranges which follow each other have each row once.
    """

    first: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class Referencing:
    """The rows whose ``columns`` contain the key of one of ``rows`` of ``table``."""

    columns: tuple[str, ...]
    """One for each column of that key, in its order."""
    table: str
    rows: RowSet


@dataclass(frozen=True)
class ReferencedBy:
    """The rows whose key is in ``columns`` of one of ``rows`` of ``table``."""

    table: str
    columns: tuple[str, ...]
    """One for each column of the key, in its order."""
    rows: RowSet


@dataclass(frozen=True)
class Dangling:
    """The rows whose ``columns``, of which none is NULL, contain the key of no row of ``table``."""

    columns: tuple[str, ...]
    """One for each column of that key, in its order."""
    table: str


@dataclass(frozen=True)
class Intersection:
    """The rows that are in all of ``parts``."""

    parts: tuple[RowSet, ...]


@dataclass(frozen=True)
class Union:
    """The rows that are in one of ``parts`` at least."""

    parts: tuple[RowSet, ...]


RowSet = (
    AllRows
    | NoRows
    | WrittenSince
    | KeysUpTo
    | KeysAfter
    | KeysIn
    | WithoutKey
    | StoredBetween
    | Referencing
    | ReferencedBy
    | Dangling
    | Intersection
    | Union
)

ALL, NONE, WITHOUT_KEY = AllRows(), NoRows(), WithoutKey()


def intersection(*parts: RowSet) -> RowSet:
    """The rows that are in all of ``parts``, without the parts that do not matter."""
    needed = tuple(dict.fromkeys(part for part in parts if part != ALL))
    if NONE in needed:
        return NONE
    return needed[0] if len(needed) == 1 else Intersection(needed) if needed else ALL


def union(*parts: RowSet) -> RowSet:
    """The rows that are in one of ``parts`` at least, without the parts that do not matter."""
    needed = tuple(dict.fromkeys(part for part in parts if part != NONE))
    if ALL in needed:
        return ALL
    return needed[0] if len(needed) == 1 else Union(needed) if needed else NONE
