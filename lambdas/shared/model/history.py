"""Dimensions that keep every version of a row, Kimball's type 2, and facts that refer to one of the versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..errors import DeclarationError

VALID_FROM, VALID_TO, IS_CURRENT = "valid_from", "valid_to", "is_current"
VALIDITY: Mapping[str, str] = MappingProxyType(
    {VALID_FROM: "timestamp with time zone", VALID_TO: "timestamp with time zone", IS_CURRENT: "boolean"}
)
"""The columns that load fills beside those that transform fills, and their types."""
KEYS = frozenset({"history", "record"})
"""The keys of a dimension's declaration beside those that every dimension has."""
VERSIONS = frozenset({"versions"})
"""The key of a fact's declaration with the versions that it refers to."""


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


@dataclass(frozen=True)
class VersionReference:
    """A column of a fact with the version of a dimension that was valid at the batch of the fact's own version."""

    column: str
    """The column of the fact, which load fills with the surrogate key of the version."""
    columns: tuple[str, ...]
    """The columns of the fact that have the dimension's key, in its order. With a NULL they refer to nothing."""
    dimension: str
    keys: tuple[str, ...]
    """The key of the dimension."""
    record: str
    """The surrogate key of the dimension."""


def link_versions(
    tables: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], list[str]]:
    """The ``declarations.WarehouseTable`` of each name with its ``versions`` and ``referring``; and what is wrong.

    ``entries``: the declarations of the tables, by name.
    """
    linked, errors = dict(tables), []
    for name, table in tables.items():
        found = []
        for column, entry in _versions(name, entries[name]):
            of = entry.get("of") if isinstance(entry, Mapping) else None
            if isinstance(of, str) and of in entries and of not in tables:
                continue  # what is wrong with that dimension is reported already
            reference = _reference(tables, table, column, entry)
            if isinstance(reference, str):
                errors.append(f"[warehouse.{name}.versions.{column}] {reference}.")
            else:
                found.append(reference)
        if found:
            linked[name] = dataclasses.replace(table, versions=tuple(found))
    for name, table in linked.items():
        referring = tuple(
            other for other in linked.values() if any(entry.dimension == name for entry in other.versions)
        )
        if referring:
            linked[name] = dataclasses.replace(table, referring=referring)
    return linked, errors


def _versions(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    declared = entry.get("versions", {})
    if not isinstance(declared, Mapping):
        raise DeclarationError(f"[warehouse.{name}] `versions` must be a table of tables, not {declared!r}.")
    yield from declared.items()


def _reference(tables: Mapping[str, Any], table: Any, column: str, entry: Any) -> VersionReference | str:
    """The reference, or why there is none."""
    if not isinstance(entry, Mapping) or set(entry) != {"of", "by"}:
        return f"must have the keys `of`, a dimension with history, and `by`, the columns with its key, not {entry!r}"
    by = entry["by"]
    columns = (by,) if isinstance(by, str) else tuple(by) if isinstance(by, list | tuple) else ()
    other = tables.get(entry["of"]) if isinstance(entry["of"], str) else None
    if other is None or not other.validity:
        return f"`of` must be a dimension with `history = true`, not {entry['of']!r}"
    if len(columns) != len(other.keys) or not set(columns) <= set(table.column_names):
        return f"`by` must be the columns of {table.name} with the key of {other.name} ({', '.join(other.keys)})"
    if column in (*table.column_names, table.record):
        return "is a column with other values: give it another name"
    return VersionReference(column, columns, other.name, other.keys, other.record)
