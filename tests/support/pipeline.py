"""The pipeline between a source and a warehouse on a real server, run step by step in this process."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.lambdas.extract.extraction import Extracted, Request, extract
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.load.loading import Loaded, load
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials
from lambda_toolkit.pipeline.lambdas.transform.batch import Transformed, replay, transform
from lambda_toolkit.pipeline.local_stack.postgres.postgres_server import Server

READER_PASSWORD = "reader's secret"
SEED = Path(__file__).with_name("small_source.sql").read_text(encoding="utf-8")


@dataclass
class Pipeline:
    """The pipeline with its two databases and two buckets, to be run step by step."""

    admin: Connection  # of the source, as its owner
    reader: Connection  # of the source, as extract
    warehouse: Connection
    ingestion: Lake
    processed: Lake
    declarations: Declarations
    new_session: Callable[[], Connection]  # another of the source's owner

    def extract(self, **request: Any) -> Extracted:
        return extract(
            PostgresSource(self.reader), self.ingestion, self.declarations, uuid.uuid4().hex, Request(**request)
        )

    def transform(self, batch: int) -> Transformed:
        return transform(self.ingestion, self.processed, self.declarations, batch)

    def replay(self, batch: int) -> Transformed:
        return replay(self.ingestion, self.processed, self.declarations, batch)

    def load(self) -> Loaded:
        self.warehouse.run("SELECT pg_advisory_unlock_all()")
        return load(PostgresWarehouse(self.warehouse), self.processed, self.declarations)

    def run(self, **request: Any) -> tuple[Extracted, Loaded]:
        extracted = self.extract(**request)
        if extracted.batch is not None:
            self.transform(extracted.batch)
        return extracted, self.load()

    def rows(self, query: str) -> list[list[Any]]:
        return self.warehouse.rows(query)


def credentials_of(server: Server, database: str) -> Credentials:
    """Of a database of ``server``, as the one who may do everything."""
    return Credentials(server.host, server.port, database, server.superuser, server.password)
