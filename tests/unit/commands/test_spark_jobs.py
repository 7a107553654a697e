"""A job in which Spark transforms batches: its files, its arguments, and when it is taken for done."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.config.aws.deployment import tables_json
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import Backfill
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key, revision_key
from lambda_toolkit.pipeline.spark import backfill
from lambda_toolkit.pipeline.spark.backfill import Clock
from lambda_toolkit.pipeline.spark.engines import _MINUTES, EmrServerless, Glue, Job, LocalSpark, State
from lambda_toolkit.pipeline.spark.job_files import JobFiles, job_files
from tests.support.memory_s3 import MemoryS3

PROCESSED = "totes-dev-processed-123456789012"
DIGESTS = {name: hashlib.sha256(name.encode()).hexdigest()[:16] for name in ("tables", "code", "script")}


@dataclass
class Lakes:
    """A target whose buckets are in memory."""

    backfill: Backfill = field(default_factory=Backfill)
    is_local: bool = True
    environ: dict[str, str] = field(default_factory=lambda: {"AWS_X": "y"})

    def __post_init__(self) -> None:
        self.s3 = MemoryS3()
        self.pipeline = replace(load(DEFAULT_PATH), backfill=self.backfill)
        self.of = SimpleNamespace(account_id="123456789012", client=lambda service: self.s3)
        self.s3.create_bucket(Bucket=PROCESSED)

    def aws(self) -> Any:
        return self.of

    def put(self, key: str, **content: Any) -> None:
        self.s3.put_object(Bucket=PROCESSED, Key=key, Body=io.BytesIO(json.dumps(content).encode()))


class Local(LocalSpark):
    """Spark on this machine that says what it was started with."""

    def start(self, job: Job) -> str:
        started: Any = self.environ
        started.update(job=job, files=[Path(path).read_bytes() for path in (job.script, job.code)])
        return "run"

    def state(self, run: str) -> State:
        return State("running", False)


@pytest.mark.parametrize("again", [False, True])
def test_local_job_reads_its_files_in_a_folder(again: bool) -> None:
    """It is done when each batch is in the lake, and its receipt too where it was transformed before."""
    target: Any = Lakes()
    started: dict[str, Any] = {}
    engine = Local("python", started, 2, Path("log"))
    polls: list[float] = []

    def sleep(seconds: float) -> None:
        polls.append(seconds)
        receipts = started["job"].arguments["--receipts"]
        batch = {1: 7, 3: 8}.get(len(polls))
        if batch and again:
            target.put(f"{receipts}{batch}.json", revision=2)
            target.put(revision_key(batch, 2))
        elif batch:
            target.put(manifest_key(batch))

    for batch in (7, 8) if again else ():
        target.put(manifest_key(batch))
    done = backfill.transform_by_job(target, [7, 8], again=again, engine=engine, clock=Clock(sleep, 5.0, 4))
    assert done == ({7: 2, 8: 2} if again else {7: 1, 8: 1}) and polls == [5.0] * 3
    job = started["job"]
    assert (job.name, job.wheel, Path(job.script).name, Path(job.code).name) == (
        *("totes-dev-backfill", None, "transform.py", "lambdas.zip"),
    )
    tables = job.arguments["--tables"]
    receipts = job.arguments["--receipts"]
    assert job.arguments == {
        "--ingestion": "totes-dev-ingestion-123456789012",
        "--processed": PROCESSED,
        "--tables": tables,
        "--batches": "7,8",
        "--again": "yes" if again else "no",
        "--receipts": receipts,
    }
    assert len(receipts) == len("jobs/receipts//") + 32 and receipts.startswith("jobs/receipts/")
    files = job_files(target.s3.get_object(Bucket=PROCESSED, Key=tables)["Body"].read())
    for key, content in files.keys().items():
        assert target.s3.get_object(Bucket=PROCESSED, Key=key)["Body"].read() == content
    assert started["files"] == [files.script, files.code]
    with pytest.raises(CommandError, match="is not done after 2 minutes"):
        backfill.transform_by_job(target, [9], again=again, engine=engine, clock=Clock(lambda seconds: None, 30.0, 4))


@pytest.mark.parametrize(("engine", "ending"), [("glue", ""), ("emr-serverless", ".zip")])
def test_job_on_aws_reads_its_files_in_the_bucket(monkeypatch, engine: str, ending: str) -> None:
    """Beside the wheel of pyarrow. That the engine ends the job is no success: the batch has to be there."""
    target: Any = Lakes(Backfill(engine, "role", "app"), is_local=False)
    jobs: list[Job] = []

    def wheel(pipeline: Any, folder: Path) -> Path:
        (folder / "pyarrow-1.whl").write_bytes(b"a wheel")
        return folder / "pyarrow-1.whl"

    monkeypatch.setattr(backfill, "download_wheel", wheel)
    once = Clock(lambda seconds: None, most=1)
    ended: Any = SimpleNamespace(start=jobs.append, state=lambda run: State("SUCCESS", True))
    target.put(manifest_key(7))
    with pytest.raises(CommandError, match=r"ended \(SUCCESS\), but batch 8, 9 was not transformed"):
        backfill.transform_by_job(target, [7, 8, 9], again=False, engine=ended, clock=once)
    assert backfill.transform_by_job(target, [7], again=False, engine=ended, clock=once) == {7: 1}
    files = job_files(tables_json(target.pipeline))
    addresses = [f"s3://{PROCESSED}/{files.key(name)}" for name in ("transform.py", "lambdas.zip")]
    key = f"jobs/wheels/pyarrow-1.whl{ending}"
    assert [jobs[0].script, jobs[0].code, jobs[0].wheel] == [*addresses, f"s3://{PROCESSED}/{key}"]
    assert target.s3.get_object(Bucket=PROCESSED, Key=key)["Body"].read() == b"a wheel"
    assert Clock().most * Clock().poll == _MINUTES * 60, "as long as the engines let a job run"


@pytest.mark.parametrize(("transformed", "missing"), [([], [1, 2, 3]), ([1, 3], [2]), ([2], [1, 3]), ([3, 1, 2], [])])
def test_untransformed_batches_are_those_of_one_bucket_alone(monkeypatch, transformed, missing) -> None:
    buckets = {PROCESSED: transformed, PROCESSED.replace("processed", "ingestion"): [1, 2, 3]}

    def after(aws: Any, bucket: str, number: int) -> list[Any]:
        assert aws is target.of
        return [SimpleNamespace(number=each) for each in buckets[bucket] if each > number]

    target: Any = Lakes()
    monkeypatch.setattr(backfill, "batches_after", after)
    assert backfill.untransformed(target) == missing


def test_files_of_a_job_are_called_by_their_content() -> None:
    files = JobFiles(b"tables", b"code", b"script")
    assert files.keys() == {
        f"jobs/{DIGESTS['script']}/transform.py": b"script",
        f"jobs/{DIGESTS['code']}/lambdas.zip": b"code",
        f"jobs/{DIGESTS['tables']}/tables.json": b"tables",
    }
    assert files.key("lambdas.zip") == f"jobs/{DIGESTS['code']}/lambdas.zip"


def test_code_of_a_job_is_what_transform_imports() -> None:
    """Other modules change more often, and would make another zip: the same code is the same bytes."""
    code = job_files(b"").code
    assert job_files(b"x").code == code
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        names = archive.namelist()
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    first, *paths = (PurePosixPath(name) for name in names)
    assert str(first) == "lambdas/__init__.py"
    assert paths == sorted(paths, key=lambda path: (path.parts[1] < "t", path)), "transform, then shared"
    assert {name.split("/")[1] for name in names[1:]} == {"transform", "shared"}
    assert {"lambdas/transform/spark.py", "lambdas/shared/lake/store.py"} <= set(names)
    assert all(name.endswith(".py") for name in names) and len(set(names)) == len(names)


def test_engine_is_the_declared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    role, arn = "arn:aws:iam::{account}:role/{name}", "arn:aws:iam::123456789012:role/totes"
    glue: Any = Lakes(Backfill("glue", role, None, 7))
    assert backfill.engine_of(glue) == Glue(glue.of, arn, 7)
    emr: Any = Lakes(Backfill("emr-serverless", role, "app", 8))
    assert backfill.engine_of(emr) == EmrServerless(emr.of, arn, "app", 8)
    ran: list[Any] = []

    def run(command: list[str], **named: Any) -> Any:
        ran.append((command, named))
        return subprocess.CompletedProcess(command, code)

    code = 0
    monkeypatch.setattr(backfill.subprocess, "run", run)
    here: Any = Lakes(Backfill("local-spark", workers=3))
    found = backfill.engine_of(here)
    assert isinstance(found, LocalSpark)
    assert (found.python, found.environ, found.workers) == (sys.executable, {"AWS_X": "y"}, 3)
    assert found.log.name == "backfill.log" and found.log.parent.name.startswith("totes-dev-")
    found.log.parent.rmdir()
    options = {"capture_output": True, "check": False}
    assert ran == [([sys.executable, "-c", "import pyspark, boto3, pyarrow"], options)]
    code = 1
    with pytest.raises(CommandError, match="/bin/py cannot import pyspark"):
        backfill.engine_of(Lakes(Backfill("local-spark", python="/bin/py")))  # type: ignore[arg-type]
