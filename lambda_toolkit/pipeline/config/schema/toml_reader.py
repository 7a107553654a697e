"""Reads a TOML document by the declaration of its keys (``keys``). All errors in it are reported together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.config.schema.key_types import Key, Table, Type
from lambda_toolkit.pipeline.errors import ConfigurationError

Values = dict[str, Any]
"""The values of a table's keys, by name. Lists are tuples; a nested table is again such a dictionary."""


class Problems:
    """The errors in a file, collected while it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._found: dict[str, None] = {}  # in order, each once
        self._places: set[str] = set()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._found)

    def add(self, place: str, text: str) -> None:
        """Add the error ``text`` at ``place``, such as ``[functions.extract]``."""
        self._found[f"{self.file}: {place} {text}"] = None
        self._places.add(place)

    def places(self) -> frozenset[str]:
        """The places where something is wrong, such as ``[source.staff]``."""
        return frozenset(self._places)

    def raise_all(self) -> None:
        """Raise ConfigurationError with all of them, one a line; nothing where there is none."""
        if self._found:
            raise ConfigurationError("\n".join(self._found))


def read_table(problems: Problems, path: str, values: Any, table: Table) -> Values:
    """The value of every key of ``table`` in ``values``, the TOML table at ``path`` (empty: the file).

    Adds to ``problems`` what is missing, mistyped or unknown. There the result has the key's default, or what is empty.
    """
    place = f"[{path}]" if path else "the file"
    if not isinstance(values, Mapping):
        problems.add(place, f"must be a table, not {type(values).__name__}.")
        values, problems = {}, Problems(problems.file)  # its keys are not reported as missing in addition
    result = {key.name: _read_key(problems, path, place, key, values) for key in table.keys}
    for name in sorted(set(values) - set(result)):
        known = ", ".join(sorted(result))
        problems.add(place, f"contains the unknown key `{name}`.{did_you_mean(name, result)} Known here: {known}.")
    return result


def undeclared(name: str, table: str, declared: Collection[str]) -> str:
    """The error of a name that ``table`` does not declare."""
    known = ", ".join(declared) or "nothing"
    return f"names `{name}`, which [{table}] does not declare.{did_you_mean(name, declared)} Declared there: {known}."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question that names the nearest of ``known``, after a space; empty where none is near."""
    near = _nearest(word, known)
    return f" Did you mean `{near}`?" if near else ""


def _nearest(word: str, known: Iterable[str]) -> str:
    return next(iter(get_close_matches(word, list(known))), "")


def _read_key(problems: Problems, path: str, place: str, key: Key, values: Mapping[str, Any]) -> Any:
    below = f"{path}.{key.name}" if path else key.name
    if key.name in values:
        error = _type_error(key, values[key.name])
        if not error:
            return _CONVERT.get(key.type, _as_it_is)(problems, below, key, values[key.name])
        problems.add(place, f"`{key.name}` must be {error}, not {values[key.name]!r}.")
    elif key.required:
        what = f"the key `{key.name}` ({key.type.value})" if path else f"the table [{key.name}]"
        near = _nearest(key.name, values)
        problems.add(place, f"lacks {what}.{near and f' Is `{near}` meant for it?'}")
    if key.default is None and not key.required:
        return None
    # The keys of a table that is missing or of another type are not reported as missing in addition.
    default = _EMPTY[key.type] if key.default is None else key.default
    return _CONVERT.get(key.type, _as_it_is)(Problems(problems.file), below, key, default)


def _type_error(key: Key, value: Any) -> str:
    """The type that ``value`` should have, in words; empty where it has it."""
    right = isinstance(value, _PYTHON[key.type]) and (key.type is Type.BOOLEAN or not isinstance(value, bool))
    if key.type in (Type.STRINGS, Type.STRING_OR_STRINGS):
        right = right and all(isinstance(item, str) for item in value)
    if key.type is Type.OBJECTS:
        right = right and all(isinstance(item, Mapping) for item in value)
    if key.type is Type.STRING_TABLE:
        right = right and all(isinstance(item, str) for item in value.values())
    if right and key.choices and isinstance(value, str) and value not in key.choices:
        number = "an integer or " if key.type is Type.INTEGER_OR_STRING else ""
        return f"{number}one of {', '.join(key.choices)}"
    return "" if right else key.type.value


def _as_it_is(problems: Problems, path: str, key: Key, value: Any) -> Any:
    return value


def _table(problems: Problems, path: str, key: Key, value: Any) -> Values:
    return read_table(problems, path, value, _table_of(key))


def _tables(problems: Problems, path: str, key: Key, value: Any) -> tuple[Values, ...]:
    """One table, or a list of them, which are numbered from 1 where there are several."""
    if isinstance(value, Mapping):
        value = [value]
    return tuple(
        read_table(problems, f"{path}.{number}" if len(value) > 1 else path, item, _table_of(key))
        for number, item in enumerate(value, 1)
    )


def _named_tables(problems: Problems, path: str, key: Key, value: Any) -> dict[str, Values]:
    beside = {each.name for each in key.beside.keys} if key.beside else set()
    own = {name: item for name, item in value.items() if name in beside and not isinstance(item, Mapping)}
    if key.beside:
        read_table(problems, path, own, key.beside)
    tables = {
        name: {key.shorthand: item} if key.shorthand and isinstance(item, str) else item
        for name, item in value.items()
        if name not in own
    }
    return {name: read_table(problems, f"{path}.{name}", item, _table_of(key)) for name, item in tables.items()}


def _table_of(key: Key) -> Table:
    assert key.table is not None, key.name  # noqa: S101  # nosec B101  # its type says that it has one
    return key.table


_PYTHON: Mapping[Type, Any] = {
    Type.STRING: str,
    Type.INTEGER: int,
    Type.INTEGER_OR_STRING: (int, str),
    Type.NUMBER: (int, float),
    Type.BOOLEAN: bool,
    Type.STRINGS: (list, tuple),
    Type.STRING_OR_STRINGS: (str, list, tuple),
    Type.STRING_TABLE: Mapping,
    Type.JOINS: Mapping,
    Type.OBJECT: Mapping,
    Type.OBJECTS: (list, tuple),
    Type.TABLE: Mapping,
    Type.TABLES: (Mapping, list),
    Type.STRING_OR_TABLES: (str, Mapping, list),
    Type.NAMED_TABLES: Mapping,
}
_EMPTY: Mapping[Type, Any] = {
    Type.STRING: "",
    Type.STRING_OR_STRINGS: "",
    **{type_: {} for type_ in (Type.OBJECT, Type.TABLE, Type.NAMED_TABLES)},
}
"""Of the types that required keys have."""
_CONVERT: Mapping[Type, Callable[[Problems, str, Key, Any], Any]] = {
    Type.NUMBER: lambda problems, path, key, value: float(value),
    Type.STRINGS: lambda problems, path, key, value: tuple(value),
    Type.STRING_TABLE: lambda problems, path, key, value: dict(value),
    Type.JOINS: lambda problems, path, key, value: dict(value),
    Type.OBJECT: lambda problems, path, key, value: dict(value),
    Type.OBJECTS: lambda problems, path, key, value: tuple(value),
    Type.TABLE: _table,
    Type.TABLES: _tables,
    Type.STRING_OR_TABLES: lambda problems, path, key, value: (
        value if isinstance(value, str) else _tables(problems, path, key, value)
    ),
    Type.NAMED_TABLES: _named_tables,
}
