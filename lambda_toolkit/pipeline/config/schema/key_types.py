"""How a key of ``pipeline.toml`` is declared: its type, default, meaning and an example."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Type(Enum):
    """The type of a key's value. The value of a member is how a message names it."""

    STRING = "a string"
    INTEGER = "an integer"
    INTEGER_OR_STRING = "an integer, or a string"
    """Of the strings, those in :attr:`Key.choices`."""
    NUMBER = "a number"
    BOOLEAN = "true or false"
    STRINGS = "a list of strings"
    STRING_OR_STRINGS = "a string, or a list of strings"
    STRING_TABLE = "a table of strings"
    JOINS = "a table of columns, or of tables with `on`, `table` and `from`"
    OBJECT = "a table with any keys"
    OBJECTS = "a list of tables with any keys"
    TABLE = "a table"
    """A table with the keys of :attr:`Key.table`."""
    TABLES = "a table, or a list of tables"
    """One or more tables with the keys of :attr:`Key.table`."""
    STRING_OR_TABLES = "a string, a table, or a list of tables"
    """A string, or as TABLES."""
    NAMED_TABLES = "a table of tables"
    """A table of tables, each under a name that the user chooses, with the keys of :attr:`Key.table`."""


@dataclass(frozen=True)
class Key:
    """One key of a table."""

    name: str
    type: Type
    meaning: str
    """What it does, with units, as Markdown."""
    example: str
    """A value as TOML; empty for a table, whose keys have examples."""
    default: Any = None
    """The value where the key is absent; ``None``: the setting is not managed or not used, as ``absent`` says."""
    absent: str = ""
    """What happens where the key is absent and has no default."""
    required: bool = False
    choices: tuple[str, ...] = ()
    """The only values of a string; empty for any."""
    table: Table | None = None
    """The keys of the table or tables that it contains."""
    beside: Table | None = None
    """For NAMED_TABLES: keys that may be beside the tables, of other types than a table."""
    shorthand: str = ""
    """For NAMED_TABLES: a string in place of one of the tables is the value of this key of it."""


@dataclass(frozen=True)
class Table:
    """A table of the file."""

    path: str
    """Its name in the file, such as ``functions.<name>``; empty for the file itself."""
    meaning: str
    keys: tuple[Key, ...]
    alternatives: tuple[tuple[str, ...], ...] = ()
    """Sets of keys, one of which is required; empty: none is."""
