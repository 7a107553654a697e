"""The door of load: EventBridge calls it on a schedule; ``{"action": "report"}`` only asks what is loaded."""

from __future__ import annotations

from typing import Any

from lambdas.load.loading import load, report
from lambdas.shared import clients, declarations
from lambdas.shared.postgres import connected
from lambdas.shared.runtime import logged


@logged
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Loads the batches that the warehouse does not have yet, in order."""
    with connected(clients.credentials("WAREHOUSE_SECRET")) as connection:
        if event.get("action") == "report":
            result = report(connection)
        else:
            result = load(connection, clients.processed_lake(), declarations.load())
    return {
        "loaded": result.loaded,
        "last_batch": result.last.batch,
        "extracted_at": result.last.extracted_at,
        "loaded_at": result.last.loaded_at,
        "waiting_for": result.waiting_for,
        "appended": result.appended,
    }
