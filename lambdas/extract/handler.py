"""The door of extract: EventBridge calls it on a schedule."""

from __future__ import annotations

import uuid
from typing import Any

from lambdas.extract.extraction import Request, extract
from lambdas.shared import clients, declarations
from lambdas.shared.errors import PipelineError
from lambdas.shared.postgres import connected
from lambdas.shared.runtime import logged, logger


@logged
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Captures what changed in the source since the last batch.

    The event may hold ``full``: true, or a list of tables, to read them whole again; and ``accept_types``: a list of
    ``table.column`` whose type was changed on purpose.
    """
    declared = declarations.load()
    request = _request(event, frozenset(declared.source))
    with connected(clients.credentials("SOURCE_SECRET")) as connection:
        extracted = extract(connection, clients.ingestion_lake(), declared, uuid.uuid4().hex, request)
    if extracted.reason_for_full:
        logger.info("every row was read", reason=extracted.reason_for_full)
    for line in extracted.drift:
        logger.info(line, batch=extracted.batch)
    return {
        "batch": extracted.batch,
        "last_batch": extracted.last_batch,
        "rows": dict(extracted.rows),
        "deleted": dict(extracted.deleted),
    }


def _request(event: dict[str, Any], tables: frozenset[str]) -> Request:
    full, accept = event.get("full", []), event.get("accept_types", [])
    chosen = tables if full is True else frozenset(full or ())
    for table in sorted(chosen - tables):
        raise PipelineError(f"The event asks for the table {table}, which the declaration does not name.")
    return Request(chosen, frozenset(accept))
