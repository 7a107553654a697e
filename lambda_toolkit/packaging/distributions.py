"""The installed size of each distribution, for messages about size limits."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path


def sizes_of(installed: Path, files: Mapping[str, int]) -> dict[str, int]:
    """Bytes per distribution, such as ``pyarrow 24.0.0``. ``files`` maps paths below ``installed`` to their sizes.

    A module's bytecode counts for the module's distribution. A file without one counts for its top-level folder.
    """
    owner = _owners(installed)
    sizes: dict[str, int] = {}
    for name, size in files.items():
        top = name.partition("/")[0]
        distribution = owner.get(name) or owner.get(_module_of(name)) or top
        sizes[distribution] = sizes.get(distribution, 0) + size
    return sizes


def _owners(installed: Path) -> dict[str, str]:
    owner: dict[str, str] = {}
    for record in sorted(installed.glob("*.dist-info/RECORD")):
        name, _, version = record.parent.name.removesuffix(".dist-info").partition("-")
        with record.open(encoding="utf-8", newline="") as lines:
            for row in csv.reader(lines):
                owner[row[0]] = f"{name} {version}"
    return owner


def _module_of(name: str) -> str:
    """``a/__pycache__/b.cpython-313.pyc`` as ``a/b.py``; other names as they are."""
    folder, cached, file = name.rpartition("__pycache__/")
    return f"{folder}{file.partition('.')[0]}.py" if cached else name
