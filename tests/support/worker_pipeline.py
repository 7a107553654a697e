"""The three functions as processes, with a proxy before their AWS and one before their databases."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import batch_of
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, connect
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator
from tests.support.fault_proxies import FaultProxy
from tests.support.repository import REPOSITORY
from tests.support.sessions import REGION
from tests.support.source_model import EXPECTED, Versions, current_rows, expected_rows, fact_versions

TIMEOUT = 10.0  # seconds
BUCKETS = ("ingestion", "processed")


@dataclass(frozen=True)
class Outcome:
    """What came of a call: a result, an error that was raised, or the signal that ended the process."""

    result: dict[str, Any] | None = None
    error: str | None = None
    signal: int = 0


@dataclass
class Workers:
    """The process that forks a worker for each call."""

    process: subprocess.Popen[str]
    pid: int = 0

    def call(self, function: str, event: dict[str, Any], **wrong: Any) -> Outcome:
        self.begin(function, event, **wrong)
        return self.end()

    def begin(self, function: str, event: dict[str, Any], **wrong: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"function": function, "event": event, **wrong}) + "\n")
        self.process.stdin.flush()
        self.pid = self._line()["pid"]

    def end(self) -> Outcome:
        answer = Outcome(**self._line())
        self.pid = 0
        return answer

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(self.pid, signal.SIGKILL)

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the workers ended"
        return dict(json.loads(line))


@dataclass
class Line:
    """The pipeline: its functions, its gates, both databases and buckets, and the model of what should come of it."""

    workers: Workers
    aws: FaultProxy
    database: FaultProxy
    admin: Connection
    reader: Connection
    warehouse: Connection
    s3: Any
    secrets: Any
    new_session: Callable[[], Connection]
    model: Versions = field(default_factory=Versions)

    def call(self, function: str, event: dict[str, Any] | None = None, **wrong: Any) -> Outcome:
        return self.workers.call(function, event or {}, **wrong)

    def run(self) -> None:
        """One round of all three as their triggers start them, which must succeed; S3 sends its events again."""
        extracted = self.call("extract")
        assert extracted.error is None and not extracted.signal, extracted
        self.transform()
        self.load()

    def load(self) -> None:
        """Loads every batch. One that was killed has the turn until its server hears of it: the next must wait."""
        last = max(self.batches("processed"))
        deadline = time.monotonic() + TIMEOUT
        while True:
            loaded = self.call("load")
            assert loaded.error is None and loaded.result and loaded.result["missing_batch"] is None, loaded
            if loaded.result["last_batch"] == last:
                return
            assert time.monotonic() < deadline, loaded

    def transform(self) -> None:
        """Transforms every batch that was not yet."""
        done = self.batches("processed")
        for batch in sorted(self.batches("ingestion") - done):
            answer = self.call("transform", {"action": "transform", "batch": batch})
            assert answer.error is None and not answer.signal, answer

    def batches(self, bucket: str) -> set[int]:
        answer = self.s3.list_objects_v2(Bucket=bucket, Prefix="manifests/")
        return {number for item in answer.get("Contents", ()) if (number := batch_of(item["Key"])) is not None}

    def settle(self) -> None:
        """After whatever happened: everything passes, one round is run, and nothing is lost, doubled or bent."""
        self.aws.open()
        self.database.open()
        self.run()
        self.model.look(self.reader)
        for table in EXPECTED:
            assert current_rows(self.warehouse, table) == expected_rows(self.reader, table), table
        for table, versions in self.model.versions.items():
            assert fact_versions(self.warehouse, table) == versions, table
        for bucket in BUCKETS:
            pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
            keys = [item["Key"] for page in pages for item in page.get("Versions", ())]
            assert len(keys) == len(set(keys)), "an object was overwritten"


def secret_value(server: Any, port: int, database: str) -> dict[str, Any]:
    return {
        "engine": "postgres",
        "host": "127.0.0.1",
        "port": port,
        "dbname": database,
        "username": server.superuser,
        "password": server.password,
    }


@contextlib.contextmanager
def start_workers(directory: Path, keys: emulator.Credentials, port: int) -> Iterator[Workers]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "PYTHONPATH": str(REPOSITORY),
        "LAMBDA_TASK_ROOT": str(directory),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "INGESTION_BUCKET": "ingestion",
        "PROCESSED_BUCKET": "processed",
        "SOURCE_SECRET": "faults/source",
        "WAREHOUSE_SECRET": "faults/warehouse",
        "METRICS_NAMESPACE": "faults",
        "FUNCTIONS_LOG": str(directory / "functions.log"),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=environment,
        cwd=REPOSITORY,
    ) as process:
        try:
            yield Workers(process)
        finally:
            process.kill()


def create_database(server: Any, name: str) -> None:
    with connect(Credentials(server.host, server.port, "postgres", server.superuser, server.password)) as admin:
        admin.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.run(f"CREATE DATABASE {name}")


def drop_database(server: Any, name: str) -> None:
    with connect(Credentials(server.host, server.port, "postgres", server.superuser, server.password)) as admin:
        admin.run(f"DROP DATABASE {name} WITH (FORCE)")


def delete_bucket(s3: Any, bucket: str) -> None:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    for page in pages:
        objects = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in page.get("Versions", ())]
        if objects:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    s3.delete_bucket(Bucket=bucket)
