"""Lambda handler of extract: EventBridge invokes it on a schedule."""

from __future__ import annotations

import os
from typing import Any

from ..shared import declarations, runtime
from ..shared.deadline import Deadline, seconds_left
from ..shared.errors import PipelineError
from ..shared.events import ExtractRequest, ExtractResult, extract_request
from ..shared.metrics import ROWS_EXTRACTED
from ..shared.postgres.connection import connected
from ..shared.postgres.credentials import Credentials
from ..shared.runtime import checked, logged, logger
from .extraction import Extracted, Request, extract_all
from .limits import Limits
from .source.postgres import PostgresSource

RESERVE = 60.0  # seconds at the end of an invocation, for storing what was read
RESERVED_SHARE = 0.2  # of the function's timeout, where that is a shorter reserve


def _credentials() -> Credentials:
    name, connection = runtime.setting("SOURCE_SECRET"), os.environ.get("SOURCE_CONNECTION", "")
    return Credentials.from_secret(runtime.client("secretsmanager"), name, "the source", connection)


@logged
@checked(_credentials, runtime.ingestion_lake)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Captures the changes in the source since the last batch; more than fit into one batch become several.

    Takes the event of ``events.extract_request`` and returns an ``ExtractResult``. Raises PipelineError for an event
    that is not one.
    """
    declared = declarations.load()
    asked = extract_request(event)
    logger.run.fields["action"] = asked.action
    request = _request(asked, frozenset(declared.source))
    limits = _limits(context)
    with connected(_credentials()) as connection:
        done = extract_all(PostgresSource(connection), runtime.ingestion_lake(), declared, request, limits, _log)
    return ExtractResult(done.batch, done.last_batch, done.rows, done.deleted, done.incomplete).to_json()


def _log(extracted: Extracted) -> None:
    """Logs one run: its tables, and what is remarkable about it. No key of a row is in it."""
    if extracted.batch is not None:
        logger.tables("table extracted", extracted.batch, extracted.work)
        logger.run.put(ROWS_EXTRACTED, sum(extracted.rows.values()) + sum(extracted.deleted.values()))
    if extracted.reason_for_full:
        logger.warning("every row is read", reason=extracted.reason_for_full, batch=extracted.batch)
    for line in extracted.drift:
        logger.info(line, batch=extracted.batch)
    if extracted.deletes:
        logger.info("deletes", batch=extracted.batch, tables=dict(extracted.deletes))
    if extracted.incomplete:
        logger.info("more remains to be read", batch=extracted.batch, tables=sorted(extracted.incomplete))


def _limits(context: Any) -> Limits:
    """The limits of a batch, with the deadline of this invocation."""
    left = seconds_left(context)
    return Limits(deadline=Deadline(left, min(RESERVE, RESERVED_SHARE * left())))


def _request(request: ExtractRequest, tables: frozenset[str]) -> Request:
    """``request`` with all ``tables`` named where it means all. Raises PipelineError for a table not among them."""
    chosen = frozenset(request.full) if isinstance(request.full, tuple) else tables if request.full else frozenset()
    for table in sorted(chosen - tables):
        raise PipelineError(f"The event asks for the table {table}, which the declaration does not name.")
    return Request(chosen, frozenset(request.accept_types))
