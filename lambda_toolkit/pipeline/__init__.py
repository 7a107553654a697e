"""The pipeline that the toolkit deploys: its command line, configuration, warehouse schema and local stack.

``Warehouse`` reads a warehouse from Python: see :mod:`.client.query`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.client.warehouses.query import Warehouse

__all__ = ["Warehouse"]


def __getattr__(name: str) -> Any:
    """``Warehouse``, imported when it is asked for: no command but ``query`` needs Arrow at its start."""
    if name == "Warehouse":
        from lambda_toolkit.pipeline.client.warehouses.query import Warehouse

        return Warehouse
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
