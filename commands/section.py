"""Reading a table of a TOML file so that every mistake in it is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commands.errors import ConfigurationError

WHOLE_FILE = "the file"


class Section:
    """One table of a TOML file, read key by key. What is missing, mistyped or unknown is refused by its full name.

    Every reader raises ConfigurationError that names the file, the table and the key.
    """

    def __init__(self, file: Path, name: str, values: Any) -> None:
        if not isinstance(values, Mapping):
            raise ConfigurationError(f"{file}: [{name}] must be a table, not {type(values).__name__}.")
        self._file, self._name, self._values = file, name, values
        self._read: set[str] = set()

    def _take(self, key: str, kind: type | tuple[type, ...], expected: str, default: Any, required: bool) -> Any:
        self._read.add(key)
        if key not in self._values:
            if required:
                raise ConfigurationError(f"{self._file}: {self._place} lacks {self._called(key)} ({expected}).")
            return default
        value = self._values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ConfigurationError(f"{self._file}: {self._place} `{key}` must be {expected}, not {value!r}.")
        return value

    @property
    def _place(self) -> str:
        return self._name if self._name == WHOLE_FILE else f"[{self._name}]"

    def _called(self, key: str) -> str:
        return f"the table [{key}]" if self._name == WHOLE_FILE else f"the key `{key}`"

    def text(self, key: str) -> str:
        """A text that must be there."""
        return str(self._take(key, str, "a text", None, True))

    def optional_text(self, key: str) -> str | None:
        """A text, or ``None``."""
        value = self._take(key, str, "a text", None, False)
        return None if value is None else str(value)

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number; needed where it has no default."""
        return int(self._take(key, int, "a whole number", default, default is None))

    def number(self, key: str, default: float) -> float:
        """A number."""
        return float(self._take(key, (int, float), "a number", default, False))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty where it is not there."""
        values = self._take(key, list, "a list of texts", [], False)
        if not all(isinstance(value, str) for value in values):
            raise ConfigurationError(f"{self._file}: [{self._name}] `{key}` must be a list of texts, not {values!r}.")
        return tuple(values)

    def text_map(self, key: str) -> dict[str, str]:
        """A table of texts; empty where it is not there."""
        values = self._take(key, dict, "a table of texts", {}, False)
        if not all(isinstance(value, str) for value in values.values()):
            raise ConfigurationError(f"{self._file}: [{self._name}] `{key}` must hold texts only.")
        return dict(values)

    def section(self, key: str) -> Section:
        """The table under ``key``."""
        return self._below(key, self._take(key, dict, "a table", None, True))

    def optional_section(self, key: str) -> Section | None:
        """The table under ``key``, or ``None``."""
        values = self._take(key, dict, "a table", None, False)
        return None if values is None else self._below(key, values)

    def sections(self, key: str) -> dict[str, Section]:
        """The tables below ``key``, by name."""
        tables = self.section(key)
        return {name: tables._below(name, value) for name, value in tables._values.items()}

    def raw(self, key: str) -> Mapping[str, Any]:
        """The table under ``key``, as it was written."""
        return dict(self._take(key, dict, "a table", None, True))

    def done(self) -> None:
        """Refuses what was never asked for: a typing error would else go unnoticed."""
        unknown = sorted(set(self._values) - self._read)
        if unknown:
            known = ", ".join(sorted(self._read))
            raise ConfigurationError(
                f"{self._file}: {self._place} holds the unknown key `{unknown[0]}`. Known here: {known}."
            )

    def _below(self, key: str, values: Any) -> Section:
        return Section(self._file, key if self._name == WHOLE_FILE else f"{self._name}.{key}", values)
