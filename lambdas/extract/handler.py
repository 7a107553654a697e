"""Lambda handler of extract: EventBridge invokes it on a schedule."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..shared import runtime
from ..shared.deadline import Deadline, seconds_left
from ..shared.errors import PipelineError
from ..shared.invoking import asked_function
from ..shared.messages.events import ExtractRequest, ExtractResult, extract_request, request_in
from ..shared.messages.read_events import ReadRequest
from ..shared.metrics import ROWS_EXTRACTED
from ..shared.model import declarations
from ..shared.model.declarations import Declarations
from ..shared.model.scale import READER_ROWS
from ..shared.postgres.connection import connected
from ..shared.postgres.credentials import Credentials
from ..shared.postgres.login import credentials_of
from ..shared.runtime import checked, logged, logger
from .extraction import Extracted, Request, extract_all, extract_with_readers
from .limits import Limits
from .readers.fan_out import ALONE, FanOut, LambdaReaders
from .readers.reading import read_range
from .source.interface import Source
from .source.postgres import PostgresSource

RESERVE = 60.0  # seconds at the end of an invocation, for storing what was read
RESERVED_SHARE = 0.2  # of the function's timeout, where that is a shorter reserve


def _credentials() -> Credentials:
    return credentials_of("source")


@logged
@checked(_credentials, runtime.ingestion_lake)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Captures the changes in the source since the last batch; more than fit into one batch become several.

    Takes the event of ``events.extract_request`` and returns an ``ExtractResult``; or a ``ReadRequest``, by which
    extract has a range of a large table read, and returns a ``ReadResult``. Raises PipelineError for any other event.
    """
    declared = declarations.load()
    if isinstance(event, dict) and event.get("action") == ReadRequest.action:
        return _read(request_in("extract", event, (ReadRequest,)), declared)
    asked = extract_request(event)
    logger.run.fields["action"] = asked.action
    request = _request(asked, frozenset(declared.source))
    limits = _limits(context)
    lake, credentials = runtime.ingestion_lake(), _credentials()

    @contextmanager
    def source() -> Iterator[PostgresSource]:
        with connected(credentials) as connection:
            yield PostgresSource(connection)

    def run(source: Source, fan_out: FanOut | None) -> Extracted:
        return extract_all(source, lake, declared, request, limits, _log, fan_out)

    done = extract_with_readers(source, run, _fan_out(), _log_lost)
    return ExtractResult(done.batch, done.last_batch, done.rows, done.deleted, done.incomplete).to_json()


def _fan_out() -> FanOut | None:
    """The readers that this function was deployed with; None: it reads alone."""
    function, most = os.environ.get("READER_FUNCTION", ""), int(os.environ.get("READERS", "0") or 0)
    if not function or most < 2:
        return None
    readers = LambdaReaders(asked_function(function, most))
    return FanOut(readers, most, int(os.environ.get("READER_ROWS", READER_ROWS)))


def _read(request: ReadRequest, declared: Declarations) -> dict[str, Any]:
    """Reads one range for the run of extract that asks for it."""
    logger.run.fields["action"] = request.action
    with connected(_credentials()) as connection:
        found = read_range(PostgresSource(connection), runtime.ingestion_lake(), declared, request)
    logger.info("range read", batch=request.batch, table=request.table, number=request.number, rows=found.rows)
    if found.refused is not None:
        logger.warning(found.refused, batch=request.batch, table=request.table, number=request.number)
    return found.to_json()


def _log_lost(why: str) -> None:
    logger.warning(f"extract reads again, and alone. {why}")


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
    for table, what in extracted.readers.items():
        write = logger.warning if what.startswith(ALONE) else logger.info
        write("readers", batch=extracted.batch, table=table, what=what)
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
