"""What the packaged declaration of a warehouse table has of config/warehouse.sql: types and foreign keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..errors import DeclarationError


@dataclass(frozen=True)
class ColumnType:
    """A column as the warehouse's schema declares it."""

    type: str
    """As PostgreSQL's format_type() writes it, such as ``numeric(10,2)``."""
    required: bool
    """Whether it is NOT NULL."""


@dataclass(frozen=True)
class Reference:
    """A foreign key that config/warehouse.sql declares."""

    columns: tuple[str, ...]
    """The referring columns."""
    table: str
    """The referenced table of the warehouse."""
    keys: tuple[str, ...]
    """The referenced columns, in the order of ``columns``."""


def column_types(where: str, entry: Mapping[str, Any]) -> Mapping[str, ColumnType]:
    """Column -> its type. Written by the deployment, not by people. Raises DeclarationError."""
    try:
        return MappingProxyType({name: ColumnType(**column) for name, column in entry.get("types", {}).items()})
    except (AttributeError, TypeError) as error:
        raise DeclarationError(f"{where} `types` must name the type of each column: {error}.") from error


def references_of(where: str, entry: Mapping[str, Any]) -> tuple[Reference, ...]:
    """The foreign keys. Written by the deployment, not by people. Raises DeclarationError."""
    try:
        return tuple(
            Reference(tuple(found["columns"]), found["table"], tuple(found["keys"]))
            for found in entry.get("references", ())
        )
    except (KeyError, TypeError) as error:
        raise DeclarationError(f"{where} `references` must be a list of columns, table and keys: {error}.") from error
