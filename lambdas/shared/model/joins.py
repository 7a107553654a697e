"""The joins of a warehouse table: for each alias the one row of another source table that a row refers to.

`join = { department = "department_id" }` joins a table under its own name. A table of `table`, `on` and `from` joins it
under an alias, so that it may be joined more than once, by a key of several columns, and from another alias: a path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..errors import DeclarationError

_ALLOWED = ("table", "on", "from")


@dataclass(frozen=True)
class Join:
    """The row of a table whose key is in columns of a row; none where one of these is NULL, or no row has that key."""

    table: str
    """The source table that is joined."""
    on: tuple[str, ...]
    """The columns that contain the key of ``table``, in its order."""
    parent: str | None = None
    """The alias of the row that has these columns; None: the row of the warehouse table's own source."""

    def stored(self, alias: str) -> Any:
        """The join as a declaration has it, shortest."""
        if alias == self.table and len(self.on) == 1 and self.parent is None:
            return self.on[0]
        return [self.table, list(self.on), self.parent]


def parse_joins(where: str, declared: object, keys: Mapping[str, tuple[str, ...]]) -> Mapping[str, Join]:
    """Alias -> its join, each after the one that it starts from. ``keys``: of each source table.

    Raises DeclarationError with every error, one a line, each of which begins with ``where``.
    """
    if not isinstance(declared, Mapping):
        raise DeclarationError(f"{where} `join` must be a table, not {declared!r}.")
    found, errors = {}, []
    for alias, entry in declared.items():
        try:
            found[alias] = _join(f"{where} `join.{alias}`", alias, entry)
        except DeclarationError as error:
            errors.append(str(error))
    for alias, join in found.items():
        errors += _problems(where, alias, join, found, keys)
    if errors:
        raise DeclarationError("\n".join(errors))
    return MappingProxyType(_ordered(where, found))


def joined_tables(declared: object) -> tuple[object, ...]:
    """The tables that a declaration joins, as far as it is one."""
    joins = declared if isinstance(declared, Mapping) else {}
    return tuple(entry.get("table", alias) if isinstance(entry, Mapping) else alias for alias, entry in joins.items())


def _join(where: str, alias: str, entry: object) -> Join:
    if isinstance(entry, str):
        entry = {"on": entry}
    if not isinstance(entry, Mapping) or not set(entry) <= set(_ALLOWED) or "on" not in entry:
        raise DeclarationError(f"{where} must be a column, or a table of `on` and, if needed, `table` and `from`.")
    on = entry["on"]
    columns = (on,) if isinstance(on, str) else tuple(on) if isinstance(on, list | tuple) else ()
    if not columns or not all(isinstance(column, str) and column for column in columns):
        raise DeclarationError(f"{where} `on` must be a text or a list of texts, not {on!r}.")
    names = {"table": alias, "from": None, **entry}
    for name in ("table", "from"):
        if names[name] is not None and (not isinstance(names[name], str) or not names[name]):
            raise DeclarationError(f"{where} `{name}` must be a text, not {names[name]!r}.")
    return Join(str(names["table"]), columns, names["from"])


def _problems(
    where: str, alias: str, join: Join, joins: Mapping[str, Join], keys: Mapping[str, tuple[str, ...]]
) -> list[str]:
    if join.table not in keys:
        hint = "" if alias != join.table else f" If `{alias}` is an alias, name its table: [...join.{alias}] `table`."
        return [f"{where} reads the table `{join.table}`, which no [source.{join.table}] declares.{hint}"]
    if join.parent is not None and join.parent not in joins:
        known = ", ".join(f"`{other}`" for other in joins if other != alias) or "none"
        return [f"{where} `join.{alias}` is from `{join.parent}`, which is no alias of `join`; others are {known}."]
    key = keys[join.table]
    if len(join.on) != len(key):
        return [
            f"{where} joins `{alias}` by {', '.join(join.on)}, and the key of {join.table} is {', '.join(key)}: write "
            f"[...join.{alias}] with a list in `on`, a column for each, in that order."
        ]
    return []


def _ordered(where: str, joins: Mapping[str, Join]) -> dict[str, Join]:
    """Each join after its parent, otherwise as declared. Raises DeclarationError for a circle."""
    ordered: dict[str, Join] = {}
    left = dict(joins)
    while left:
        ready = [alias for alias, join in left.items() if join.parent is None or join.parent in ordered]
        if not ready:
            raise DeclarationError(f"{where} `join` is a circle: {', '.join(left)} start from one another.")
        for alias in ready:
            ordered[alias] = left.pop(alias)
    return ordered
