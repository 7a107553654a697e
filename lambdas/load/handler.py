"""The Lambda handler of load: EventBridge calls it on a schedule; other events name an action (``shared.events``)."""

from __future__ import annotations

import dataclasses
import functools
import os
from datetime import datetime
from typing import Any, assert_never

from ..shared import runtime
from ..shared.database import connected
from ..shared.deadline import Deadline, seconds_left
from ..shared.duckdb.connection import DuckdbConnection
from ..shared.errors import PipelineError
from ..shared.lake.manifest import ProcessedTable
from ..shared.lake.store import Lake
from ..shared.logs import TableWork
from ..shared.messages.events import (
    CompareRequest,
    LoadEvent,
    LoadReplayRequest,
    LoadReplayResult,
    LoadRequest,
    LoadResult,
    RebuildRequest,
    RebuildResult,
    RejectedRequest,
    ReportRequest,
    load_request,
)
from ..shared.messages.message import Message
from ..shared.metrics import BATCH_LATENCY, OPEN_PENDING, OPEN_REJECTED, ROWS_REJECTED, VERSIONS_WRITTEN
from ..shared.model import declarations
from ..shared.postgres.connection import Connection, connect
from ..shared.postgres.credentials import Credentials
from ..shared.postgres.login import credentials_of
from ..shared.runtime import checked, logged, logger
from .compare import compare
from .loading import Loaded, LoadedBatch, load, report
from .open_items import count_open, open_rows
from .rebuild import rebuild
from .replay import replay
from .warehouse.duckdb import DuckdbWarehouse
from .warehouse.interface import Warehouse
from .warehouse.parallel.parallel_copy import Connections
from .warehouse.postgres import PostgresWarehouse
from .warehouse.schemas import LIVE, SchemaNames

RESERVE = 20.0  # seconds for what comes after the last batch
SAFETY_FACTOR = 1.5  # a batch may take that many times as long as the longest before it


def _credentials() -> Credentials:
    return credentials_of("warehouse")


@logged
@checked(_credentials, runtime.processed_lake)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Loads the batches that the warehouse does not have yet, in order; or runs the event's ``action``.

    Raises PipelineError for an event that ``events.load_request`` refuses, and what the action raises.
    """
    request = load_request(event)
    logger.run.fields["action"] = request.action
    with connected(_credentials()) as connection:
        return _answer(connection, request, context).to_json()


def _answer(connection: Connection, request: LoadEvent, context: Any) -> Message:
    match request:
        case LoadRequest():
            return _load(connection, context)
        case ReportRequest():
            warehouse = warehouse_of(connection)
            differences = warehouse.differences(declarations.load())
            return dataclasses.replace(_described(connection, report(warehouse)), differences=tuple(differences))
        case RejectedRequest():
            return open_rows(connection, declarations.load())
        case LoadReplayRequest():
            return _replay(connection, request, context)
        case RebuildRequest():
            return _rebuild(connection, request, context)
        case CompareRequest():
            return compare(connection, declarations.load(), LIVE, _shadow(request.schema))
        case _:
            assert_never(request)


def warehouse_of(
    connection: Connection, schemas: SchemaNames = LIVE, connections: Connections | None = None
) -> Warehouse:
    """The warehouse behind ``connection``, chosen by its kind.

    ``connections``: further ones, see PostgresWarehouse. A file has no use for them.
    """
    if isinstance(connection, DuckdbConnection):
        return DuckdbWarehouse(connection, schemas)
    return PostgresWarehouse(connection, schemas, connections)


def _connections() -> Connections:
    """Those that several connections fill a large fact with, as many as this function was deployed with."""
    return Connections(lambda: connect(_credentials()), int(os.environ.get("LOAD_CONNECTIONS", "1") or 1))


def _load(connection: Connection, context: Any) -> LoadResult:
    lake = runtime.processed_lake()
    result = load(
        warehouse_of(connection, connections=_connections()),
        lake,
        declarations.load(),
        has_time_for_next=_deadline(context).has_time_for_next,
        on_batch=functools.partial(_log, lake),
    )
    if result.busy:
        logger.warning("another load is running: this one loaded nothing")
    described = _described(connection, result)
    if not result.busy:
        logger.run.put(OPEN_REJECTED, described.open.rejected)
        logger.run.put(OPEN_PENDING, described.open.pending)
    return described


def _log(lake: Lake, done: LoadedBatch) -> None:
    """Logs a batch that was loaded; warns of deferred rows, and counts them in the metric of the alarm."""
    batch, entry = done.manifest.batch, done.entry
    work = {}
    for name, written in done.written.items():
        table = done.manifest.tables.get(name, ProcessedTable())
        files = (*table.data_files, *table.deleted_files)
        more = {"deleted": sum(file.rows for file in table.deleted_files), "pending": written.pending}
        size = sum(lake.sizes.get(file.key, 0) for file in files)
        work[name] = TableWork(written.rows, size, written.milliseconds, more)
        if written.filled:
            logger.info("filling", batch=batch, table=name, what=written.filled)
        if written.pending:
            logger.warning(
                "rows are pending: a row that they reference is not in the warehouse (see what transform rejected), "
                "or they lack a value that the warehouse requires",
                {ROWS_REJECTED: written.pending},
                batch=batch,
                table=name,
                rows=written.pending,
            )
    logger.tables("table loaded", batch, work)
    logger.run.put(VERSIONS_WRITTEN, sum(written.rows for written in done.written.values()))
    if entry.extracted_at and entry.loaded_at:
        took = datetime.fromisoformat(entry.loaded_at) - datetime.fromisoformat(entry.extracted_at)
        logger.run.put(BATCH_LATENCY, max(took.total_seconds(), 0.0))  # two clocks: the server's and the function's


def _replay(connection: Connection, request: LoadReplayRequest, context: Any) -> LoadReplayResult:
    if not request.batches:
        raise PipelineError("The event of load, action replay: `batches` must name at least one batch.")
    done = replay(
        warehouse_of(connection),
        runtime.processed_lake(),
        declarations.load(),
        list(request.batches),
        has_time_for_next=_deadline(context).has_time_for_next,
    )
    return LoadReplayResult(
        tuple(done.replayed),
        done.written,
        tuple(done.not_loaded),
        tuple(done.left),
        busy=done.busy,
        open=count_open(connection),
    )


def _rebuild(connection: Connection, request: RebuildRequest, context: Any) -> RebuildResult:
    shadow = warehouse_of(connection, _shadow(request.schema), _connections())
    done = rebuild(shadow, runtime.processed_lake(), declarations.load(), _deadline(context).has_time_for_next)
    return RebuildResult(
        done.last_batch,
        tuple(done.loaded),
        tuple(done.replayed),
        missing_batch=done.missing_batch,
        done=done.done,
        busy=done.busy,
    )


def _described(connection: Connection, result: Loaded) -> LoadResult:
    return LoadResult(
        loaded=tuple(result.loaded),
        last_batch=result.last.batch,
        extracted_at=result.last.extracted_at,
        loaded_at=result.last.loaded_at,
        missing_batch=result.missing_batch,
        appended=result.appended,
        pending=result.pending,
        open=count_open(connection),
        busy=result.busy,
    )


def _shadow(schema: str) -> SchemaNames:
    """The schemas of the shadow warehouse in ``schema``. Raises PipelineError for a name that cannot be used."""
    problem = SchemaNames.name_problem(schema)
    if problem:
        raise PipelineError(f"The event's `schema` cannot be {schema!r}: {problem}.")
    return SchemaNames.shadow(schema)


def _deadline(context: Any) -> Deadline:
    return Deadline(seconds_left(context), RESERVE, SAFETY_FACTOR, first_always=True)
