"""The batch that Spark transforms is that of Lambda, whatever happens to its tasks; with real pyspark, 3.5 and 4.

``make spark`` makes an environment for each, and sets SPARK_PYTHONS. Without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import boto3
import pytest

from lambda_toolkit.pipeline.client.target import choose
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import processed_manifest
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.transform.batch import transform
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator
from lambda_toolkit.pipeline.local_stack.process import free_port
from lambda_toolkit.pipeline.spark.backfill import buckets_of, untransformed
from lambda_toolkit.pipeline.spark.job_files import job_files
from tests.pipeline.spark.cluster import standalone
from tests.support.command_line import CommandLine, copy_of_the_repository
from tests.support.large_table import PART_ROWS, ROWS
from tests.support.part_workers import ThreadWorkers, by_workers
from tests.support.repository import configuration
from tests.support.sessions import REGION

PYTHONS = dict(pair.split("=", 1) for pair in os.environ.get("SPARK_PYTHONS", "").split())
KEYS = emulator.Credentials("AKIASPARK00000000000", "spark")
HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.skipif(not PYTHONS, reason="make spark installs what these tests need"),
    pytest.mark.parametrize("version", PYTHONS or ["3.5"]),
]


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """The S3 of an emulated AWS, which other processes reach, too; and the variables by which they do."""
    directory = tmp_path_factory.mktemp("aws") / "emulator"
    log = directory.parent / "emulator.log"
    emulator.set_clock_speed(directory, 1)
    sink = directory.parent / "mail-sink"
    running = emulator.launch(directory, credentials=KEYS, region=REGION, mail_sink=sink, log=log, port=free_port())
    try:
        emulator.await_ready(running, log)
        variables = {
            "AWS_ACCESS_KEY_ID": KEYS.access_key_id,
            "AWS_SECRET_ACCESS_KEY": KEYS.secret_access_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{running.port}",
        }
        settings = {name.lower(): value for name, value in variables.items() if "KEY" in name}
        yield boto3.client("s3", region_name=REGION, endpoint_url=variables["AWS_ENDPOINT_URL"], **settings), variables
    finally:
        emulator.stop(directory, running.process)


@pytest.fixture
def job(s3, parted, tmp_path, version):
    return Job(s3, parted, tmp_path, version)


class Job:
    """The batch of ``parted`` in an S3 that Spark reaches, and Spark of one version in local mode."""

    def __init__(self, s3, parted, folder, version):
        self.client, variables = s3
        self.folder, self._number = folder, 0
        self.ingestion = self.bucket()
        for found in parted.ingestion.listing(""):
            self.client.put_object(Bucket=self.ingestion.bucket, Key=found.key, Body=parted.ingestion.get(found.key))
        tables = {"format": 1, "part_rows": PART_ROWS, **configuration()}
        self.files = job_files(json.dumps(tables).encode())
        (folder / "tables.json").write_bytes(self.files.tables)
        (folder / "lambdas.zip").write_bytes(self.files.code)
        (folder / "transform.py").write_bytes(self.files.script)
        workers = ThreadWorkers(parted.ingestion, parted.processed, parted.declarations)
        engine = by_workers(workers)
        transform(parted.ingestion, parted.processed, parted.declarations, 1, engine=engine)
        self.of_lambda = parted.processed.get(manifest_key(1))
        self.lambda_files = parted.processed
        python = PYTHONS[version]
        self.aws = variables
        self.variables = {**os.environ, **variables, "PYSPARK_PYTHON": python, "PYSPARK_DRIVER_PYTHON": python}
        self.variables |= {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_WORKER_DIR": str(folder / "work")}
        self.python = python

    def bucket(self):
        """A new bucket."""
        self._number += 1
        name = f"{self.folder.name.replace('_', '-').lower()[:40]}-{self._number}"
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return Lake(self.client, name)

    def run(self, script, *arguments, master="local[2,4]", **conf):
        """What the driver printed; raises nothing for a job that fails."""
        options = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", **conf}
        submit = f"--master {master} --py-files {self.folder / 'lambdas.zip'} "
        submit += " ".join(f"--conf {name}={value}" for name, value in options.items()) + " pyspark-shell"
        variables = {**self.variables, "PYSPARK_SUBMIT_ARGS": submit, "PYTHONPATH": str(self.folder / "lambdas.zip")}
        command = ["nice", self.python, str(script), *arguments]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=1800)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], done


def test_spark_and_lambda_write_the_same_files(job):
    """The job as it is submitted: the manifest of Lambda, byte for byte, so the same rows by the same digests."""
    processed = job.bucket()
    for key, content in job.files.keys().items():
        job.client.put_object(Bucket=processed.bucket, Key=key, Body=content)
    buckets = ["--ingestion", job.ingestion.bucket, "--processed", processed.bucket]
    arguments = [*buckets, "--tables", job.files.key("tables.json"), "--batches", "1", "--JOB_NAME", "of-glue"]
    said, done = job.run(job.folder / "transform.py", *arguments)
    assert said == [{"batch": 1, "revision": 1, "created": True}], done.stderr[-3000:]
    assert processed.get(manifest_key(1)) == job.of_lambda
    for file in processed_manifest(job.of_lambda, "").tables["fact_payment"].data_files:
        assert processed.get(file.key) == job.lambda_files.get(file.key)


def test_command_has_local_spark_transform_and_reprocess(job, monkeypatch):
    """`[backfill] engine = "local-spark"`: the command transforms the batch; reprocessed, it has the same revision."""
    line = CommandLine(copy_of_the_repository(job.folder / "project"))
    path = line.root / "config" / line.file
    declared = f'\n[backfill]\nengine = "local-spark"\nworkers = 2\npython = "{job.python}"\n'
    own = f'name = "spark{len(job.client.list_buckets()["Buckets"])}"'  # for each version buckets of its own
    path.write_text(path.read_text(encoding="utf-8").replace('name = "totes"', own, 1) + declared, encoding="utf-8")
    for name, value in job.aws.items():
        monkeypatch.setenv(name, value)
    target = choose(path, "production", dict(os.environ))
    buckets = dict(zip(("ingestion", "processed"), buckets_of(target), strict=True))
    for name in buckets.values():
        job.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    for found in job.ingestion.listing(""):
        job.client.put_object(Bucket=buckets["ingestion"], Key=found.key, Body=job.ingestion.get(found.key))
    assert untransformed(target) == [1]
    done = {"engine": "local-spark", "batches": [{"batch": 1, "revision": 1}]}
    assert line.document("backfill", "--stage", "production") == done
    assert untransformed(target) == []
    assert line.document("backfill", "--stage", "production", "--batch", "1", "--again") == done
    manifest = processed_manifest(Lake(job.client, buckets["processed"]).get(manifest_key(1)), "")
    assert manifest.tables["fact_payment"].rows == ROWS + 9 - 60


def test_one_batch_whatever_happens_to_tasks(job):
    """A Python worker that is killed, a task that raises: each is tried again. One that always raises ends the job."""
    marks = job.folder / "marks"
    marks.mkdir()
    ways = {how: job.bucket() for how in ("killed", "raised", "hopeless")}
    arguments = [job.ingestion.bucket, str(job.folder / "tables.json"), str(marks)]
    said, done = job.run(HERE / "failing_job.py", *arguments, *(f"{how}={lake.bucket}" for how, lake in ways.items()))
    assert [line.get("created") for line in said] == [True, True, None], done.stderr[-3000:]
    assert {mark.name for mark in marks.iterdir()} >= {"killed-0", "killed-1", "raised-0", "raised-1", "hopeless-3"}
    for how in ("killed", "raised"):
        assert ways[how].get(manifest_key(1)) == job.of_lambda
        _check_no_other_file(ways[how])
    assert ways["hopeless"].get_optional(manifest_key(1)) is None


def test_one_batch_on_a_cluster_whatever_happens(job):
    """Two executors, each on a host of its own. One is killed: its task runs on another, and the files are the same.

    A task that is slow runs a second time beside itself, by speculation: whichever ends first, the files are one.
    """
    marks, ways = job.folder / "marks", {how: job.bucket() for how in ("executor", "slow")}
    marks.mkdir()
    arguments = [job.ingestion.bucket, str(job.folder / "tables.json"), str(marks)]
    conf = {
        "spark.speculation": "true",
        "spark.speculation.interval": "200ms",
        "spark.speculation.multiplier": "1.1",
        "spark.speculation.quantile": "0.3",
        "spark.executor.memory": "512m",
        "spark.cores.max": "2",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",  # both executors are there before the first task
    }
    with standalone(job.python, job.variables, job.folder) as master:
        buckets = (f"{how}={lake.bucket}" for how, lake in ways.items())
        said, done = job.run(HERE / "failing_job.py", *arguments, *buckets, master=master, **conf)
    assert said == [{"way": how, "created": True} for how in ways], done.stderr[-3000:]
    found = {mark.name for mark in marks.iterdir()}
    assert found >= {f"{how}-{attempt}" for how in ways for attempt in (0, 1)}
    assert "slow-awake" not in found, "the second task did not run beside the first"
    for lake in ways.values():
        assert lake.get(manifest_key(1)) == job.of_lambda
        _check_no_other_file(lake)
    assert "ExecutorLostFailure" in done.stderr + done.stdout, "no executor was lost"


def _check_no_other_file(lake):
    """Every file is one that the manifest lists."""
    listed = lake.get(manifest_key(1)).decode()
    assert [found.key for found in lake.listing("") if found.key not in listed] == []
