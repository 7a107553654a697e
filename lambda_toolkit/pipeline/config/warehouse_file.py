"""The keys of ``[warehouse]`` beside its tables: what the warehouse is, and where, if it is a DuckDB file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.config.schema.table_keys import MIRROR
from lambda_toolkit.pipeline.config.schema.toml_reader import Problems
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import DUCKDB

_BESIDE = {key.name: key for key in MIRROR.keys}


def tables_alone(warehouse: Mapping[str, Any]) -> dict[str, Any]:
    """What is in ``[warehouse]`` without these keys. A table may have the name of a key."""
    return {name: value for name, value in warehouse.items() if name not in _BESIDE or isinstance(value, Mapping)}


def warehouse_file(problems: Problems, root: Path, document: Mapping[str, Any]) -> Path | None:
    """The DuckDB file that ``[warehouse]`` declares, in the project ``root``; None: the warehouse is no file.

    Adds to ``problems`` what contradicts.
    """
    table = document.get("warehouse")
    given = table if isinstance(table, Mapping) else {}
    path = given.get("path")
    if given.get("engine") != DUCKDB:
        if isinstance(path, str):
            problems.add("[warehouse]", f'`path` names a DuckDB file: it needs `engine = "{DUCKDB}"`.')
        return None
    if path is not None and (not isinstance(path, str) or not path or path.endswith("/")):
        problems.add("[warehouse]", "`path` must be the name of a file.")
        return None
    return root / (path or _BESIDE["path"].default)
