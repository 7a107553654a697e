"""The Lambda handler of ``access``: commands call it where only the functions reach the databases.

Its log has the action, the number of rows and the size of the answer: no query, no value, no name of a column.
"""

from __future__ import annotations

import os
import uuid
import zlib
from datetime import UTC, datetime
from typing import Any, assert_never

from lambda_toolkit.pipeline.access import packing, preparing, source_catalogs, statements
from lambda_toolkit.pipeline.access.answers import AnswerFile, remove_forgotten
from lambda_toolkit.pipeline.access.messages import (
    AccessRequest,
    Answer,
    CatalogRequest,
    CsvRequest,
    Discarded,
    DiscardRequest,
    PrepareRequest,
    RowsRequest,
    TableRequest,
    access_request,
)
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared import database, runtime
from lambda_toolkit.pipeline.lambdas.shared.deadline import seconds_left
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import ANSWERS, answer_key
from lambda_toolkit.pipeline.lambdas.shared.messages.message import Message
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import STATEMENT_TIMEOUT, Connection, connected
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import Credentials
from lambda_toolkit.pipeline.lambdas.shared.postgres.login import credentials_of
from lambda_toolkit.pipeline.lambdas.shared.runtime import checked, logged, logger

RESERVE = 20.0  # seconds for what comes after a query
_GZIP, _FAST = 31, 1  # zlib's window of the gzip format, and its level


def _warehouse() -> Credentials:
    return credentials_of("warehouse")


def _source() -> Credentials:
    return credentials_of("source")


@logged
@checked(_warehouse)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Does what the event's ``action`` says (``messages``). Returns an ``Answer``.

    Raises PipelineError for an event that ``access_request`` refuses, and what the databases raise: the message is for
    whoever called.
    """
    request = access_request(event)
    logger.run.fields["action"] = request.action
    return _answered(request, min(seconds_left(context)() - RESERVE, STATEMENT_TIMEOUT)).to_json()


def _answered(request: AccessRequest, seconds: float) -> Message:
    """``seconds``: that a statement may take, so that the error is PostgreSQL's and not that Lambda ends it."""
    bucket = os.environ.get("PROCESSED_BUCKET")
    s3 = runtime.client("s3")
    if isinstance(request, DiscardRequest):
        if bucket:
            s3.delete_object(Bucket=bucket, Key=request.key)
        return Discarded()
    file = AnswerFile(s3, bucket, answer_key(uuid.uuid4().hex))
    try:
        answer = _written(request, file, seconds)
    except BaseException:
        file.abort()
        raise
    if answer.key and bucket:
        remove_forgotten(s3, bucket, ANSWERS, datetime.now(UTC))
    return answer


def _written(
    request: TableRequest | CsvRequest | RowsRequest | PrepareRequest | CatalogRequest, file: AnswerFile, seconds: float
) -> Answer:
    match request:
        case TableRequest(query):
            with statements.reading(_warehouse(), seconds) as connection:
                return _table(connection, query, file)
        case CsvRequest(query):
            with statements.reading(_warehouse(), seconds) as connection:
                _csv(connection, query, file)
        case RowsRequest(query, parameters):
            with statements.reading(_warehouse(), seconds) as connection:
                found = statements.rows(connection, query, parameters)
            file.write(packing.compressed(packing.to_json(found)))
        case PrepareRequest():
            file.write(packing.compressed(_prepare(request).to_json()))
        case CatalogRequest(schemas, tables):
            document = None if tables is None else packing.unpack(tables, "The event's `tables`")
            with connected(_source()) as connection:
                file.write(packing.compressed(source_catalogs.catalogs(connection, schemas, document).to_json()))
        case _:
            assert_never(request)
    return file.answer()


def _table(connection: Connection, query: str, file: AnswerFile) -> Answer:
    import pyarrow as pa  # imported on use: other actions do not need it

    columns = statements.columns(connection, query)
    schema = statements.schema(columns)
    with pa.ipc.new_stream(file, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        statements.tables(connection, query, schema, stream.write_table)
    return file.answer(columns)


def _csv(connection: Connection, query: str, file: AnswerFile) -> None:
    compressor = zlib.compressobj(_FAST, wbits=_GZIP)
    statements.csv(connection, query, lambda content: file.write(compressor.compress(content)))
    file.write(compressor.flush())


def _prepare(request: PrepareRequest) -> Message:
    document = packing.unpack(request.declaration, "The event's `declaration`")
    schema, later, tables = (document.get(key) for key in ("schema", "later", "tables"))
    if not isinstance(schema, str) or not isinstance(later, str) or not isinstance(tables, dict):
        raise PipelineError("The event's `declaration` must have the texts `schema` and `later`, and `tables`.")
    problem = SchemaNames.name_problem(request.into) if request.into is not None else None
    if problem:
        raise PipelineError(f"The event's `into` cannot be {request.into!r}: {problem}.")
    warehouse = LIVE if request.into is None else SchemaNames.shadow(request.into)
    with database.connected(_warehouse()) as connection:
        return preparing.prepared(connection, schema, tables, warehouse, alter=request.alter, later=later)
