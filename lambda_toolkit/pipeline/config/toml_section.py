"""Reading a table of a TOML file so that every mistake in it is named, all of them at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.errors import ConfigurationError

WHOLE_FILE = "the file"
_NOTHING: dict[Any, Any] = {str: "", int: 0, (int, float): 0, bool: False, list: [], dict: {}}


class Problems:
    """What is wrong with a file, gathered while it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._found: dict[str, None] = {}  # in order, each once

    def __len__(self) -> int:
        """How many there are."""
        return len(self._found)

    def add(self, place: str, text: str) -> None:
        """Add what is wrong at ``place``, such as ``[functions.extract]``."""
        self._found[f"{self.file}: {place} {text}"] = None

    def raise_all(self) -> None:
        """Raise ConfigurationError with all of them, one a line; nothing where there is none."""
        if self._found:
            raise ConfigurationError("\n".join(self._found))


class Section:
    """One table of a TOML file, read key by key. What is missing, mistyped or unknown is a problem with its full name.

    Where there is a problem, a reader returns the default, or what is empty, and reading goes on.
    """

    def __init__(self, problems: Problems, name: str, values: Any) -> None:
        self._problems, self._name = problems, name
        self._read: set[str] = set()
        if not isinstance(values, Mapping):
            self.problem(f"must be a table, not {type(values).__name__}.")
            values = {}
        self._values: Mapping[str, Any] = values

    def problem(self, text: str) -> None:
        """Note that something is wrong with this table."""
        self._problems.add(self._place, text)

    def _take(self, key: str, kind: type | tuple[type, ...], expected: str, default: Any, required: bool) -> Any:
        self._read.add(key)
        nothing = _NOTHING[kind] if default is None and required else default
        if key not in self._values:
            if required:
                near = _nearest(key, set(self._values) - self._read)
                self.problem(f"lacks {self._called(key)} ({expected}).{near and f' Is `{near}` meant for it?'}")
            return nothing
        value = self._values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.problem(f"`{key}` must be {expected}, not {value!r}.")
            return nothing
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

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        return bool(self._take(key, bool, "true or false", default, False))

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number; needed where it has no default."""
        return int(self._take(key, int, "a whole number", default, default is None))

    def optional_whole(self, key: str) -> int | None:
        """A whole number, or ``None``."""
        value = self._take(key, int, "a whole number", None, False)
        return None if value is None else int(value)

    def number(self, key: str, default: float) -> float:
        """A number."""
        return float(self._take(key, (int, float), "a number", default, False))

    def optional_number(self, key: str) -> float | None:
        """A number, or ``None``."""
        value = self._take(key, (int, float), "a number", None, False)
        return None if value is None else float(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty where it is not there."""
        return self.optional_texts(key) or ()

    def optional_texts(self, key: str) -> tuple[str, ...] | None:
        """A list of texts, or ``None`` where it is not there."""
        values = self._take(key, list, "a list of texts", None, False)
        if values is not None and not all(isinstance(value, str) for value in values):
            self.problem(f"`{key}` must be a list of texts, not {values!r}.")
            return ()
        return None if values is None else tuple(values)

    def text_map(self, key: str) -> dict[str, str]:
        """A table of texts; empty where it is not there."""
        values = self._take(key, dict, "a table of texts", {}, False)
        if not all(isinstance(value, str) for value in values.values()):
            self.problem(f"`{key}` must hold texts only.")
        return {name: value for name, value in values.items() if isinstance(value, str)}

    def section(self, key: str) -> Section:
        """The table under ``key``. Of one that is missing, its keys are not said to be missing, too."""
        values = self._take(key, dict, "a table", None, True)
        if not isinstance(self._values.get(key), Mapping):
            return Section(Problems(self._problems.file), key, {})
        return self._below(key, values)

    def optional_section(self, key: str) -> Section | None:
        """The table under ``key``, or ``None``."""
        values = self._take(key, dict, "a table", None, False)
        return None if values is None else self._below(key, values)

    def sections(self, key: str, *, required: bool = True) -> dict[str, Section]:
        """The tables below ``key``, by name."""
        tables = self.section(key) if required or key in self._values else None
        return {name: tables._below(name, value) for name, value in tables._values.items()} if tables else {}

    def optional_list(self, key: str) -> list[Section] | None:
        """The tables in the list under ``key``, of which one may stand there alone; ``None`` where it is not there."""
        self._read.add(key)
        if key not in self._values:
            return None
        value = self._values[key]
        tables = value if isinstance(value, list) else [value]
        if isinstance(value, list) and len(value) > 1:
            return [self._below(f"{key}.{number}", item) for number, item in enumerate(tables, 1)]
        return [self._below(key, item) for item in tables]

    def mixed(self, key: str) -> tuple[dict[str, str], dict[str, Section]]:
        """The texts and the tables below ``key``, each by name."""
        values = self._take(key, dict, "a table", {}, False)
        below = self._below(key, values)
        texts = {name: value for name, value in values.items() if isinstance(value, str)}
        return texts, {name: below._below(name, value) for name, value in values.items() if name not in texts}

    def optional_raw(self, key: str) -> Mapping[str, Any] | None:
        """The table under ``key``, as it was written, or ``None``."""
        values = self._take(key, dict, "a table", None, False)
        return None if values is None else dict(values)

    def raw(self, key: str) -> Mapping[str, Any]:
        """The table under ``key``, as it was written."""
        return dict(self._take(key, dict, "a table", None, True))

    def done(self) -> None:
        """Note what was never asked for: a typing error would else go unnoticed."""
        for key in sorted(set(self._values) - self._read):
            near = _nearest(key, self._read)
            known = ", ".join(sorted(self._read))
            self.problem(f"holds the unknown key `{key}`.{near and f' Did you mean `{near}`?'} Known here: {known}.")

    def _below(self, key: str, values: Any) -> Section:
        return Section(self._problems, key if self._name == WHOLE_FILE else f"{self._name}.{key}", values)


def undeclared(name: str, table: str, declared: Collection[str]) -> str:
    """What to say of a name that ``table`` does not declare."""
    known = ", ".join(declared) or "nothing"
    return f"names `{name}`, which [{table}] does not declare.{did_you_mean(name, declared)} Declared there: {known}."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question that names the nearest of ``known``, after a space; empty where none is near."""
    near = _nearest(word, known)
    return f" Did you mean `{near}`?" if near else ""


def _nearest(word: str, known: Iterable[str]) -> str:
    return next(iter(get_close_matches(word, list(known), n=1)), "")
