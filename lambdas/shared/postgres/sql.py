"""SQL statements from templates. Identifiers are quoted, values are bound as parameters or copied, never pasted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from string import Template

SCHEMA = "public"  # where the source's and the warehouse's published tables are
MAX_IDENTIFIER = 63  # bytes: PostgreSQL cuts longer names silently
_DIGITS = 8  # of the hash in a name that was cut


class Fragment(str):
    """SQL that was composed by this module: only a Fragment can be a part of a template."""

    __slots__ = ()


def identifier(name: str) -> Fragment:
    """``name`` as a quoted identifier. Raises ValueError for what cannot be a name in PostgreSQL."""
    if not name or "\0" in name or len(name.encode()) > MAX_IDENTIFIER:
        raise ValueError(f"{name!r} cannot be the name of a table or column")
    return Fragment('"' + name.replace('"', '""') + '"')


def bounded(name: str) -> str:
    """``name`` within MAX_IDENTIFIER bytes: a longer one is cut, and ends in a hash of the whole."""
    encoded = name.encode()
    if len(encoded) <= MAX_IDENTIFIER:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:_DIGITS]
    return f"{encoded[: MAX_IDENTIFIER - _DIGITS - 1].decode(errors='ignore')}_{digest}"


def table(name: str, schema: str = SCHEMA) -> Fragment:
    """The table ``name``, quoted, with its schema."""
    return Fragment(f"{identifier(schema)}.{identifier(name)}")


def columns(names: Iterable[str], of: str | None = None) -> Fragment:
    """The columns, quoted, separated by commas; each prefixed with the alias ``of`` if that is given."""
    prefix = f"{identifier(of)}." if of else ""
    return Fragment(", ".join(f"{prefix}{identifier(name)}" for name in names))


def joined(separator: str, pieces: Iterable[Fragment]) -> Fragment:
    """The pieces with ``separator`` (a constant) between them."""
    return Fragment(separator.join(pieces))


def compose(template: str, /, **parts: Fragment) -> Fragment:
    """``template`` (a constant) with each ``$name`` replaced by a fragment.

    Raises TypeError for a part that is a bare string: that would be SQL built from text of unknown origin.
    """
    for name, part in parts.items():
        if not isinstance(part, Fragment):
            raise TypeError(f"${name} must be a Fragment, not {type(part).__name__}")
    return Fragment(Template(template).substitute(parts))


def number(value: int) -> Fragment:
    """``value`` as a constant, for statements that take no parameter."""
    return Fragment(str(int(value)))


def constant(value: str) -> Fragment:
    """``value`` as a string constant, for statements that take no parameter: CREATE VIEW, COPY."""
    if "\0" in value:
        raise ValueError("PostgreSQL has no NUL character")
    escaped = value.replace("'", "''")
    if "\\" in escaped:
        return Fragment("E'" + escaped.replace("\\", "\\\\") + "'")
    return Fragment(f"'{escaped}'")
