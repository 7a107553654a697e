"""The imports of modules as files of the cache have them: reading the source again takes a hundred times as long."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lambda_toolkit.packaging.imports.import_statements import Choice, Import, Key, Statements, Step, known, remember

_FORMAT = 1  # increment it when more is read from the same source
_MOST_KEPT = 1000  # modules, of which the file has some 300 bytes each
_LOCK = threading.Lock()
_saved: set[tuple[str, int]] = set()  # which file has how many of the modules that this process knows


def load(folder: Path) -> None:
    """Remember the imports that the file in ``folder`` has, where it can be read."""
    with _LOCK:
        file = _file(folder)
        if _saved:
            return  # this process read it, and knows more
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            remember({_key(name): _statements(value) for name, value in stored.items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return  # none yet, or damaged
        finally:
            _saved.add((str(file), len(known())))


def save(folder: Path) -> None:
    """Write what this process knows into the file in ``folder``, where it knows more and that can be written."""
    with _LOCK:
        file, modules = _file(folder), known()
        if (str(file), len(modules)) in _saved:
            return
        newest = list(modules.items())[-_MOST_KEPT:]
        text = json.dumps({_name(key): _as_json(value) for key, value in newest})
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial.write_text(text, encoding="utf-8")
            partial.replace(file)
        except OSError:
            return
        _saved.add((str(file), len(modules)))


def _file(folder: Path) -> Path:
    return folder / f"statements-{_FORMAT}.json"


def _name(key: Key) -> str:
    digest, version = key
    return f"{digest.hex()}-{version[0]}.{version[1]}"


def _key(name: str) -> Key:
    digest, _, version = name.partition("-")
    major, _, minor = version.partition(".")
    return bytes.fromhex(digest), (int(major), int(minor))


def _as_json(found: Statements) -> list[Any]:
    return [[_step(each) for each in found.steps], sorted(found.names), found.defines_more, found.changes_path]


def _statements(value: list[Any]) -> Statements:
    steps, names, more, path = value
    return Statements(_steps(steps), frozenset(names), bool(more), bool(path))


def _step(step: Step) -> Mapping[str, Any] | list[Any]:
    if isinstance(step, Import):
        return [step.module, step.name, step.level, step.line, step.certain]
    parts = {"tried": step.tried, "otherwise": step.otherwise, "then": step.then}
    return {name: [_step(each) for each in steps] for name, steps in parts.items()}


def _steps(values: list[Any]) -> tuple[Step, ...]:
    return tuple(
        Choice(**{name: _steps(each) for name, each in value.items()}) if isinstance(value, dict) else Import(*value)
        for value in values
    )
