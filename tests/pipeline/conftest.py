"""A source and a warehouse on a real server, an in-memory S3, and the pipeline between them."""

from __future__ import annotations

import itertools
import tomllib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moto
import pytest

from lambda_toolkit.pipeline.lambdas.extract.extraction import Extracted, Request, extract
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.load.loading import Loaded, load
from lambda_toolkit.pipeline.lambdas.shared.declarations import Declarations, parse
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect
from lambda_toolkit.pipeline.lambdas.shared.postgres.copy import Connection
from lambda_toolkit.pipeline.lambdas.transform.batch import Transformed, replay, transform
from lambda_toolkit.pipeline.warehouse.column_types import with_types
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.sessions import new_session

CONFIG = Path(__file__).parents[2] / "config"
READER_PASSWORD = "reader's secret"
_NUMBERS = itertools.count(1)

SEED = (Path(__file__).parents[1] / "support" / "small_source.sql").read_text(encoding="utf-8")


def configuration() -> dict[str, Any]:
    """What deployment packages: the declaration of the tables, with the types of the warehouse's schema."""
    document = tomllib.loads((CONFIG / "pipeline.toml").read_text(encoding="utf-8"))
    tables = {"source": document["source"], "warehouse": document["warehouse"]}
    return with_types(tables, (CONFIG / "warehouse.sql").read_text(encoding="utf-8"), "warehouse.sql")


@dataclass
class Shop:
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
        return load(self.warehouse, self.processed, self.declarations)

    def run(self, **request: Any) -> tuple[Extracted, Loaded]:
        extracted = self.extract(**request)
        if extracted.batch is not None:
            self.transform(extracted.batch)
        return extracted, self.load()

    def rows(self, query: str) -> list[list[Any]]:
        return self.warehouse.rows(query)


@pytest.fixture(scope="session")
def templates(postgres_server: Any) -> tuple[str, str]:
    """Two databases to copy: a small source, and a prepared warehouse."""
    server = postgres_server
    with connect(credentials_of(server, "postgres")) as admin:
        admin.run("CREATE DATABASE source_template")
        admin.run("CREATE DATABASE warehouse_template")
        admin.run("CREATE ROLE reader LOGIN PASSWORD 'reader''s secret'")
    with connect(credentials_of(server, "source_template")) as source:
        source.run((CONFIG / "totesys.sql").read_text(encoding="utf-8"))
        source.run("CREATE TABLE _prisma_migrations (id int); GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        source.run(SEED)
    with connect(credentials_of(server, "warehouse_template")) as warehouse:
        prepare(warehouse, (CONFIG / "warehouse.sql").read_text(encoding="utf-8"), parse(configuration()))
    return "source_template", "warehouse_template"


@pytest.fixture
def credentials(postgres_server: Any, templates: tuple[str, str]) -> Iterator[tuple[Credentials, Credentials]]:
    """Of a source (as its owner) and of a warehouse, both new; dropped afterwards."""
    server = postgres_server
    names = [f"{template}_{next(_NUMBERS)}" for template in templates]
    with connect(credentials_of(server, "postgres")) as admin:
        for name, template in zip(names, templates, strict=True):
            admin.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield credentials_of(server, names[0]), credentials_of(server, names[1])
        for name in names:
            admin.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty(credentials: tuple[Credentials, Credentials]) -> Iterator[Connection]:
    """A session in the warehouse's database, in which nothing was prepared."""
    with connect(credentials[1]) as connection:
        connection.run("DROP SCHEMA public, pipeline CASCADE; CREATE SCHEMA public")
        yield connection


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Lake, Lake]]:
    for name, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with moto.mock_aws():
        client = new_session().client("s3")
        for name in ("ingestion", "processed"):
            client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        yield Lake(client, "ingestion"), Lake(client, "processed")


@pytest.fixture
def shop(credentials: tuple[Credentials, Credentials], buckets: tuple[Lake, Lake]) -> Iterator[Shop]:
    source, warehouse = credentials
    opened: list[Connection] = []

    def session(to: Credentials) -> Connection:
        opened.append(connect(to))
        return opened[-1]

    reader = Credentials(source.host, source.port, source.database, "reader", READER_PASSWORD)
    try:
        yield Shop(
            session(source),
            session(reader),
            session(warehouse),
            *buckets,
            parse(configuration()),
            lambda: session(source),
        )
    finally:
        for connection in opened:
            connection.close()


def credentials_of(server: Any, database: str) -> Credentials:
    """Of a database of ``server``, as the one who may do everything."""
    return Credentials(server.host, server.port, database, server.superuser, server.password)
