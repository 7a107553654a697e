"""A source and a warehouse on a real server, an in-memory S3, and the pipeline between them."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import boto3
import moto
import pytest
from pg8000.exceptions import InterfaceError

from lambda_toolkit.pipeline.lambdas.shared import runtime
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, connect
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.large_table import PART_ROWS, grow, step
from tests.support.memory_s3 import MemoryS3
from tests.support.pipeline import READER_PASSWORD, SEED, Pipeline, credentials_of
from tests.support.readers import ThreadReaders, quick
from tests.support.repository import CONFIG, configuration
from tests.support.sessions import new_session

_NUMBERS = itertools.count(1)


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
            admin.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")  # no log of each block
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
def emulated_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """AWS in memory (moto), for tests of what makes clients of its own; a client of its S3."""
    for name, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with moto.mock_aws():
        yield new_session().client("s3")


@pytest.fixture
def buckets(request: pytest.FixtureRequest) -> tuple[Lake, Lake]:
    """Two buckets: of ``emulated_aws`` where a test has it, else of a much faster S3 that answers the same."""
    emulated = "emulated_aws" in request.fixturenames
    client = request.getfixturevalue("emulated_aws") if emulated else MemoryS3()
    for name in ("ingestion", "processed"):
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    return Lake(client, "ingestion"), Lake(client, "processed")


@pytest.fixture
def pipeline(credentials: tuple[Credentials, Credentials], buckets: tuple[Lake, Lake]) -> Iterator[Pipeline]:
    source, warehouse = credentials
    opened: list[Connection] = []

    def session(to: Credentials) -> Connection:
        opened.append(connect(to))
        return opened[-1]

    reader = Credentials(source.host, source.port, source.database, "reader", READER_PASSWORD)
    try:
        yield Pipeline(
            session(source),
            session(reader),
            session(warehouse),
            *buckets,
            parse(configuration()),
            lambda: session(source),
        )
    finally:
        for connection in opened:
            with contextlib.suppress(InterfaceError):  # a test may have closed it
                connection.close()


@pytest.fixture
def readers(pipeline: Pipeline, credentials: tuple[Credentials, Credentials]) -> Iterator[ThreadReaders]:
    """Readers of the source with connections of their own, as the role that extract has."""
    source = dataclasses.replace(credentials[0], user="reader", password=READER_PASSWORD)
    found = ThreadReaders(lambda: connect(source), pipeline.declarations)
    found.lake = pipeline.ingestion
    yield found
    found.close()


@pytest.fixture
def parted(pipeline: Pipeline, readers: ThreadReaders) -> Pipeline:
    """The pipeline with a batch of five files of payments, which are five parts; some rows of each are rejected."""
    pipeline.declarations = dataclasses.replace(pipeline.declarations, part_rows=PART_ROWS)
    grow(pipeline)
    pipeline.admin.run("UPDATE payment SET payment_date = '2023-02-30' WHERE payment_id % 10 = 0")
    pipeline.admin.run("CLUSTER payment USING payment_pkey")  # an update moves rows to the end
    assert "ranges" in step(pipeline, quick(readers)).readers["payment"]
    return pipeline


@pytest.fixture
def deployed(emulated_aws, pipeline, credentials, buckets, monkeypatch, tmp_path):
    """What deployment leaves around the functions: tables.json, environment, secrets."""
    (tmp_path / "tables.json").write_text(json.dumps({"format": 1, **configuration()}), encoding="utf-8")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", new_session())  # for the functions, too: AWS's models are read once
    secrets = boto3.client("secretsmanager")
    reader = dataclasses.replace(credentials[0], user="reader", password=READER_PASSWORD)
    for name, of in (("totes/source", reader), ("totes/warehouse", credentials[1])):
        value = {
            "engine": "postgres",
            "host": of.host,
            "port": of.port,
            "dbname": of.database,
            "username": of.user,
            "password": of.password,
        }
        secrets.create_secret(Name=name, SecretString=json.dumps(value))
    for name, value in {
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "INGESTION_BUCKET": "ingestion",
        "PROCESSED_BUCKET": "processed",
        "SOURCE_SECRET": "totes/source",
        "WAREHOUSE_SECRET": "totes/warehouse",
        "METRICS_NAMESPACE": "totes-test",
    }.items():
        monkeypatch.setenv(name, value)
    runtime.client.cache_clear()
    yield pipeline
    runtime.client.cache_clear()


@pytest.fixture
def log(monkeypatch):
    """What the functions log, as a stream."""
    stream = io.StringIO()
    monkeypatch.setattr(runtime.logger, "write", lambda line: stream.write(line + "\n"))
    return stream
