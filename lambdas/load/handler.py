"""The door of load: EventBridge calls it on a schedule; ``{"action": "report"}`` only asks what is loaded."""

from __future__ import annotations

from typing import Any

from lambdas.load.loading import load, report
from lambdas.shared import clients, declarations
from lambdas.shared.postgres import connected
from lambdas.shared.runtime import count_rejected, logged, logger


@logged
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Loads the batches that the warehouse does not have yet, in order."""
    with connected(clients.credentials("WAREHOUSE_SECRET")) as connection:
        if event.get("action") == "report":
            result = report(connection)
        else:
            result = load(connection, clients.processed_lake(), declarations.load())
    if result.busy:
        logger.warning("another load is running: nothing was loaded by this one")
    if result.held:
        logger.warning(
            "rows are held: what they name is not in the warehouse (see what transform rejected), or they lack a value "
            "that it demands",
            held=result.held,
        )
        count_rejected(sum(result.held.values()), context)
    return {
        "loaded": result.loaded,
        "last_batch": result.last.batch,
        "extracted_at": result.last.extracted_at,
        "loaded_at": result.last.loaded_at,
        "waiting_for": result.waiting_for,
        "appended": result.appended,
        "held": result.held,
    }
