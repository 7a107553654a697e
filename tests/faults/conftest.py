"""The three functions as processes, with a gate before their AWS and one before their databases."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from lambda_toolkit.pipeline.config.aws.deployment import tables_json
from lambda_toolkit.pipeline.config.load import load as load_configuration
from lambda_toolkit.pipeline.lambdas.shared.model import declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, connect
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator
from lambda_toolkit.pipeline.local_stack.process import free_port
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.fault_proxies import FaultProxy, http_proxy, postgres_proxy
from tests.support.pipeline import SEED
from tests.support.repository import REPOSITORY
from tests.support.sessions import REGION
from tests.support.source_changes import add_what_goes_first
from tests.support.worker_pipeline import (
    BUCKETS,
    Line,
    create_database,
    delete_bucket,
    drop_database,
    secret_value,
    start_workers,
)


@pytest.fixture(scope="package")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, emulator.Credentials]]:
    """The port of an emulated AWS, and who may do everything there."""
    directory = tmp_path_factory.mktemp("aws") / "emulator"
    credentials = emulator.Credentials("AKIAFAULTS0000000000", "faults")
    log = directory.parent / "emulator.log"
    emulator.set_clock_speed(directory, 1)
    running = emulator.launch(
        directory,
        credentials=credentials,
        region=REGION,
        mail_sink=directory.parent / "mail-sink",
        log=log,
        port=free_port(),
    )
    try:
        emulator.await_ready(running, log)
        yield running.port, credentials
    finally:
        emulator.stop(directory, running.process)


@pytest.fixture(scope="module")
def line(
    emulated: tuple[int, emulator.Credentials], postgres_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A pipeline that has run once over a small source."""
    port, keys = emulated
    server, directory = postgres_server, tmp_path_factory.mktemp("faults")
    settings = {"region_name": REGION, "aws_access_key_id": keys.access_key_id}
    settings |= {"aws_secret_access_key": keys.secret_access_key, "endpoint_url": f"http://127.0.0.1:{port}"}
    s3 = boto3.client("s3", **settings, config=Config(s3={"addressing_style": "path"}))
    secrets = boto3.client("secretsmanager", **settings)
    aws, database = FaultProxy(), FaultProxy()
    with contextlib.ExitStack() as stack:
        for name in ("faults_source", "faults_warehouse"):
            create_database(server, name)
            stack.callback(drop_database, server, name)

        def session(name: str) -> Connection:
            of = Credentials(server.host, server.port, name, server.superuser, server.password)
            connection = connect(of)
            stack.callback(connection.close)
            return connection

        admin, warehouse = session("faults_source"), session("faults_warehouse")
        admin.run((REPOSITORY / "config" / "totesys.sql").read_text(encoding="utf-8"))
        admin.run(SEED)
        add_what_goes_first(admin)
        tables = tables_json(load_configuration(REPOSITORY / "config" / "pipeline.toml", "local"))
        (directory / declarations.TABLES_FILE).write_bytes(tables)
        schema = (REPOSITORY / "config" / "warehouse.sql").read_text(encoding="utf-8")
        prepare(warehouse, schema, declarations.load(directory))
        aws_port = stack.enter_context(http_proxy(aws, port))
        database_port = stack.enter_context(postgres_proxy(database, server.port))
        for bucket in BUCKETS:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            stack.callback(delete_bucket, s3, bucket)
        for name in ("source", "warehouse"):
            value = secret_value(server, database_port, f"faults_{name}")
            secrets.create_secret(Name=f"faults/{name}", SecretString=json.dumps(value))
            stack.callback(secrets.delete_secret, SecretId=f"faults/{name}", ForceDeleteWithoutRecovery=True)
        workers = stack.enter_context(start_workers(directory, keys, aws_port))
        made = Line(
            workers,
            aws,
            database,
            admin,
            session("faults_source"),
            warehouse,
            s3,
            secrets,
            lambda: session("faults_source"),
        )
        aws.kill = database.kill = workers.kill
        made.settle()
        yield made
