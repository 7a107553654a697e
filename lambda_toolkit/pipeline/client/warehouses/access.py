"""The databases of a pipeline by its function ``access``, which is inside their network: nothing connects from here.

It does what ``client.reader`` does over a connection, with the same code, the same results and the same errors.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from lambda_toolkit.pipeline.access import messages, packing
from lambda_toolkit.pipeline.access.messages import Answer, Catalogs, Prepared
from lambda_toolkit.pipeline.client.invocation import invoke
from lambda_toolkit.pipeline.config.aws.access_function import ANSWERS_IN
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.shared import errors
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.messages.events import Request
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import ConnectionLostError, StatementError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pyarrow as pa

    from lambda_toolkit.aws import Aws
    from lambda_toolkit.pipeline.access.messages import Column
    from lambda_toolkit.pipeline.client.target import Target
    from lambda_toolkit.pipeline.config.model import Pipeline
    from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import SchemaNames
    from lambda_toolkit.pipeline.lambdas.shared.postgres.copy_rows import Sink

LARGEST_EVENT = 6 * 1000 * 1000  # bytes: Lambda's limit is 6 MB
_BLOCK = 1024 * 1024  # bytes
_GZIP = 31  # zlib's window of the gzip format
_ERRORS: dict[str, type[PipelineError]] = {
    each.__name__: each
    for each in (
        *(found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, PipelineError)),
        messages.QueryError,
        ConnectionLostError,
        StatementError,
    )
}
"""The errors of the function's code, which are raised here as if it had run here, by their names."""


class AccessError(PipelineError, CommandError):
    """The function failed, and not by an error of its own code that is known here."""


@dataclass(frozen=True)
class FunctionAccess:
    """The databases by the function ``function``, with its large answers in ``bucket``."""

    aws: Aws
    function: str
    bucket: str | None

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        """As ``client.reader.ReadsWarehouse`` has it. Raises CommandError where the function does not run."""
        found: list[list[Any]] = packing.from_json(self._document(messages.RowsRequest(statement, parameters)))
        return found

    def table(self, query: str) -> tuple[list[Column], pa.Table]:
        """As ``client.reader.WarehouseAccess`` has it."""
        import pyarrow as pa

        answer = self._ask(messages.TableRequest(query))
        with self._opened(answer) as file, pa.ipc.open_stream(file.read()) as stream:
            return list(answer.columns), stream.read_all()

    def csv(self, query: str, sink: Sink) -> None:
        """As ``client.reader.WarehouseAccess`` has it."""
        reader = zlib.decompressobj(_GZIP)
        with self._opened(self._ask(messages.CsvRequest(query))) as file:
            while block := file.read(_BLOCK):
                if content := reader.decompress(block):
                    sink(content)
        if not reader.eof:
            raise CommandError(f"{self.function}: the answer ended too early. Repeat the command.")

    def prepare(
        self, pipeline: Pipeline, schema: str, into: SchemaNames, *, alter: bool = False, later: str = ""
    ) -> Prepared:
        """As ``client.reader.WarehouseAccess`` has it."""
        declaration = packing.pack({"schema": schema, "later": later, "tables": pipeline.tables})
        name = None if into == LIVE else into.published
        return Prepared.from_json(self._document(messages.PrepareRequest(declaration, name, alter)))

    def catalogs(self, schemas: Collection[str], tables: Mapping[str, Any] | None = None) -> Catalogs:
        """As ``access.source_catalogs.catalogs`` does it. Raises PipelineError, and CommandError as ``rows``."""
        packed = None if tables is None else packing.pack(tables)
        return Catalogs.from_json(self._document(messages.CatalogRequest(tuple(schemas), packed)))

    def _document(self, request: Request) -> Any:
        with self._opened(self._ask(request)) as file:
            return packing.decompressed(file.read(), f"The answer of {self.function}")

    def _ask(self, request: Request) -> Answer:
        event = request.to_json()
        size = len(json.dumps(event))
        if size > LARGEST_EVENT:
            raise CommandError(
                f"What {self.function} is to be given has {size:,} bytes, and Lambda takes {LARGEST_EVENT:,} at most: "
                "declare fewer tables, or run the command where the database is reached without a function."
            )
        outcome = invoke(self.aws, self.function, event)
        if outcome.failure is not None:
            known = _ERRORS.get(outcome.failure.error_type)
            if known is not None:
                raise known(outcome.failure.message)
            unnamed = outcome.error == outcome.failure.message  # as an emulator has it, which names no type
            raise AccessError(outcome.failure.message if unnamed else f"{self.function} failed: {outcome.error}")
        if not isinstance(outcome.result, dict):
            raise CommandError(f"{self.function} returned {type(outcome.result).__name__}. Was it deployed from here?")
        return Answer.from_json(outcome.result, f"The result of {self.function}")

    @contextlib.contextmanager
    def _opened(self, answer: Answer) -> Iterator[IO[bytes]]:
        """The bytes of the answer as a file; an object of it is removed afterwards."""
        if answer.key is None:
            yield io.BytesIO(base64.b64decode(answer.content or ""))
            return
        try:
            body: IO[bytes] = self.aws.call("s3", "get_object", Bucket=self.bucket, Key=answer.key)["Body"]
            with contextlib.closing(body):
                yield body
        finally:
            with contextlib.suppress(Exception):  # the next large answer removes it
                invoke(self.aws, self.function, messages.DiscardRequest(answer.key).to_json())


def function_access(target: Target) -> FunctionAccess | None:
    """The access by the function of ``target``; None where that is not declared: this machine connects itself."""
    pipeline = target.pipeline
    if messages.NAME not in pipeline.functions:
        return None
    aws = target.aws()
    bucket = pipeline.bucket_name(ANSWERS_IN, aws.account_id) if ANSWERS_IN in pipeline.buckets else None
    return FunctionAccess(aws, pipeline.function_name(messages.NAME), bucket)
