"""Jobs on Glue and EMR Serverless: what is submitted, and that the lake alone says whether it was done.

moto answers for Glue and EMR Serverless, and runs nothing. That a job does its work is shown with real Spark.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import replace

import pytest

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import Backfill
from lambda_toolkit.pipeline.errors import CommandError, ConfigurationError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.spark import backfill
from lambda_toolkit.pipeline.spark.backfill import Clock, buckets_of, transform_by_job, untransformed
from lambda_toolkit.pipeline.spark.engines import EmrServerless, Glue, Job, State
from tests.support.repository import REPOSITORY
from tests.support.sessions import new_session

ROLE = "arn:aws:iam::{account}:role/{name}-{stage}-backfill"


@pytest.fixture
def target(emulated_aws, monkeypatch):
    """The sample pipeline for Glue, whose buckets exist; a wheel that is not downloaded."""
    pipeline = load(REPOSITORY / "config" / "pipeline.toml", None, {})
    found = Target(replace(pipeline, backfill=Backfill("glue", ROLE, None, 7)), {}, is_local=False)
    for name in buckets_of(found):
        emulated_aws.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})

    def wheel(pipeline, folder):
        path = folder / "pyarrow-1-cp311-cp311-manylinux_2_28_x86_64.whl"
        path.write_bytes(b"a wheel")
        return path

    monkeypatch.setattr(backfill, "download_wheel", wheel)
    return found


class Recording:
    """A clock that counts polls; after some of them, ``act`` happens."""

    def __init__(self, polls=0, act=lambda: None):
        self.polls, self._after, self._act = 0, polls, act

    def __call__(self, seconds):
        self.polls += 1
        if self.polls == self._after:
            self._act()


def test_manifest_decides_what_a_job_did_not_its_state(target, emulated_aws):
    """Glue answers SUCCEEDED for a job that never ran: the batch has no manifest, and the command says so."""
    ingestion, processed = buckets_of(target)
    emulated_aws.put_object(Bucket=ingestion, Key=manifest_key(1), Body=b"{}")
    assert untransformed(target) == [1]
    with pytest.raises(CommandError, match=r"ended \(SUCCEEDED\), but batch 1 was not transformed"):
        transform_by_job(target, [1], again=False, clock=Clock(Recording(), most=50))
    glue = new_session().client("glue")
    job = glue.get_job(JobName="totes-dev-backfill")["Job"]
    run = glue.get_job_runs(JobName="totes-dev-backfill")["JobRuns"][0]
    arguments, files = run["Arguments"], job["DefaultArguments"]
    assert (job["Role"], job["NumberOfWorkers"]) == ("arn:aws:iam::123456789012:role/totes-dev-backfill", 7)
    assert (arguments["--batches"], arguments["--ingestion"], arguments["--again"]) == ("1", ingestion, "no")
    assert (
        files["--additional-python-modules"]
        == f"s3://{processed}/jobs/wheels/pyarrow-1-cp311-cp311-manylinux_2_28_x86_64.whl"
    )
    lake = Lake(emulated_aws, processed)
    code = zipfile.ZipFile(io.BytesIO(lake.get(files["--extra-py-files"].removeprefix(f"s3://{processed}/"))))
    assert "lambdas/transform/spark.py" in code.namelist()
    assert b"lambdas.transform.spark" in lake.get(job["Command"]["ScriptLocation"].removeprefix(f"s3://{processed}/"))
    assert json.loads(lake.get(arguments["--tables"]))["format"] == 1
    updating = Updating(target.aws())  # the job exists now, and is updated
    with pytest.raises(CommandError, match="was not transformed"):
        transform_by_job(target, [1], again=False, engine=Glue(updating, "r", 9), clock=Clock(Recording(), most=50))
    assert [update["JobUpdate"]["NumberOfWorkers"] for update in updating.updates] == [9]


class Updating:
    """AWS, with the call that moto lacks."""

    def __init__(self, aws):
        self._aws, self.updates = aws, []

    def call(self, service, operation, /, **parameters):
        if operation == "update_job":
            self.updates.append(parameters)
            return {}
        return self._aws.call(service, operation, **parameters)


class Ended:
    """An engine whose job has ended when it is asked, in any state."""

    def __init__(self, text="FAILED", *, is_over=True, act=lambda job: None):
        self._state, self._act, self.job = State(text, is_over), act, None

    def start(self, job: Job) -> str:
        self.job = job
        self._act(job)
        return "run"

    def state(self, run: str) -> State:
        return self._state


def test_batch_in_the_lake_is_done_whatever_the_state_is(target, emulated_aws):
    """A job that failed after its manifest was written has done its work; one that runs is waited for."""
    _, processed = buckets_of(target)

    def write():
        emulated_aws.put_object(Bucket=processed, Key=manifest_key(3), Body=b"{}")

    running = Recording(3, write)
    assert transform_by_job(target, [3], again=False, engine=Ended("RUNNING", is_over=False), clock=Clock(running)) == {
        3: 1
    }
    assert running.polls == 3
    assert transform_by_job(target, [3], again=False, engine=Ended("FAILED"), clock=Clock(Recording())) == {3: 1}
    with pytest.raises(CommandError, match="not done after"):
        never = Ended("RUNNING", is_over=False)
        transform_by_job(target, [4], again=False, engine=never, clock=Clock(Recording(), most=5))


def test_receipt_decides_whether_a_batch_was_reprocessed(target, emulated_aws):
    """The manifest of a batch that was transformed before proves nothing: the job's receipt names the revision."""
    _, processed = buckets_of(target)
    emulated_aws.put_object(Bucket=processed, Key=manifest_key(1), Body=b"{}")

    def receipt(revision):
        def act(job):
            key = f"{job.arguments['--receipts']}1.json"
            emulated_aws.put_object(Bucket=processed, Key=key, Body=json.dumps({"revision": revision}).encode())

        return act

    for engine in (Ended("SUCCEEDED"), Ended("SUCCEEDED", act=receipt(2))):  # no receipt; one of a revision not there
        with pytest.raises(CommandError, match="batch 1 was not transformed"):
            transform_by_job(target, [1], again=True, engine=engine, clock=Clock(Recording()))
    assert transform_by_job(target, [1], again=True, engine=Ended(act=receipt(1)), clock=Clock(Recording())) == {1: 1}


def test_emr_serverless_is_given_the_job_and_its_wheel(target, emulated_aws):
    """The application is one that exists; the wheel is unpacked as an archive, and found by PYTHONPATH."""
    emr = new_session().client("emr-serverless")
    application = emr.create_application(name="a", releaseLabel="emr-7.12.0", type="SPARK")["applicationId"]
    emr.start_application(applicationId=application)
    declared = replace(target.pipeline, backfill=Backfill("emr-serverless", ROLE, application, 4))
    asked = Target(declared, {}, is_local=False)
    engine = backfill.engine_of(asked)
    assert isinstance(engine, EmrServerless)
    _, processed = buckets_of(asked)
    with pytest.raises(CommandError, match="not"):
        transform_by_job(asked, [1], again=False, engine=engine, clock=Clock(Recording(), most=3))
    run = emr.list_job_runs(applicationId=application)["jobRuns"][0]["id"]
    submit = emr.get_job_run(applicationId=application, jobRunId=run)["jobRun"]["jobDriver"]["sparkSubmit"]
    assert submit["entryPoint"].startswith(f"s3://{processed}/jobs/")
    assert submit["entryPointArguments"][:2] == ["--ingestion", buckets_of(asked)[0]]
    archive = f"spark.archives=s3://{processed}/jobs/wheels/pyarrow-1-cp311-cp311-manylinux_2_28_x86_64.whl.zip#wheel"
    for option in (archive, "spark.executorEnv.PYTHONPATH=./wheel", "spark.executor.instances=4"):
        assert f"--conf {option}" in submit["sparkSubmitParameters"]


def test_declared_engine_is_complete(tmp_path):
    """What an engine needs is asked for when the file is read."""
    shutil.copytree(DEFAULT_PATH.parent, tmp_path / "config")
    path = tmp_path / "config" / "pipeline.toml"
    text = path.read_text(encoding="utf-8")
    for section, message in (
        ('engine = "glue"', "lacks the key `role`"),
        ('engine = "emr-serverless"\nrole = "r"', "lacks the key `application`"),
        ('engine = "spark"', "engine"),
        ("workers = 1", "from 2 to 500"),
    ):
        path.write_text(f"{text}\n[backfill]\n{section}\n", encoding="utf-8")
        with pytest.raises(ConfigurationError, match=message):
            load(path)
    path.write_text(f'{text}\n[backfill]\nengine = "glue"\nrole = "r"\n', encoding="utf-8")
    assert load(path).backfill == Backfill("glue", "r")
