"""Where the repository's own files are, and what its configuration declares."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.warehouse.column_types import with_types

REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "config"


def configuration() -> dict[str, Any]:
    """What deployment packages: the declaration of the tables, with the types of the warehouse's schema."""
    document = tomllib.loads((CONFIG / "pipeline.toml").read_text(encoding="utf-8"))
    tables = {"source": document["source"], "warehouse": document["warehouse"]}
    return with_types(tables, (CONFIG / "warehouse.sql").read_text(encoding="utf-8"), "warehouse.sql")
