"""Transforms batches by the engine that ``[backfill]`` declares; manifests in the lake decide whether that was done."""

from __future__ import annotations

import json
import subprocess  # nosec B404  # interpreters are run from lists of arguments
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lambda_toolkit.pipeline.client.invocation import call
from lambda_toolkit.pipeline.client.lake import batches_after
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.aws.deployment import tables_json
from lambda_toolkit.pipeline.config.lock_file import read_lock
from lambda_toolkit.pipeline.config.model import BACKFILL_ENGINES, Pipeline
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key, revision_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.messages.events import (
    TransformReplayRequest,
    TransformReplayResult,
    TransformRequest,
    TransformResult,
)
from lambda_toolkit.pipeline.spark.engines import (
    PYTHON,
    EmrServerless,
    Engine,
    Glue,
    Job,
    LocalSpark,
    local_python,
)
from lambda_toolkit.pipeline.spark.job_files import JOBS, JobFiles, job_files

LAMBDA, GLUE, EMR, LOCAL = BACKFILL_ENGINES
_PLATFORM = "manylinux_2_28_x86_64"  # of Glue, and of EMR Serverless unless an application says arm64
_POLL = 10.0  # seconds


@dataclass(frozen=True)
class Clock:
    """How a job is waited for."""

    sleep: Callable[[float], object] = time.sleep
    poll: float = _POLL
    most: int = 3 * 60 * 6  # polls: three hours, after which the engines end a job


def untransformed(target: Target) -> list[int]:
    """The batches that extract has written, and transform has not, in order."""
    aws, (ingestion, processed) = target.aws(), buckets_of(target)
    there = {found.number for found in batches_after(aws, processed, 0)}
    return [found.number for found in batches_after(aws, ingestion, 0) if found.number not in there]


def buckets_of(target: Target) -> tuple[str, str]:
    """The names of the ingestion and the processed bucket."""
    account = target.aws().account_id
    return target.pipeline.bucket_name("ingestion", account), target.pipeline.bucket_name("processed", account)


def transform_by_functions(target: Target, batches: Sequence[int], *, again: bool) -> Mapping[int, int]:
    """Has ``batches`` transformed by the function transform, one after the other; returns the revision of each.

    Raises CommandError with the function's message where it fails.
    """
    aws, function = target.aws(), target.pipeline.function_name("transform")
    found = {}
    for batch in batches:
        if again:
            request = TransformReplayRequest(batch)
            found[batch] = call(aws, function, request, TransformReplayResult).revision
        else:
            call(aws, function, TransformRequest(batch), TransformResult)
            found[batch] = 1
    return found


def transform_by_job(
    target: Target, batches: Sequence[int], *, again: bool, engine: Engine | None = None, clock: Clock | None = None
) -> Mapping[int, int]:
    """Has ``batches`` transformed by one Spark job; returns the revision of each that is in the lake now.

    ``again``: batches that are transformed are reprocessed. Raises CommandError where, after the job has ended, a batch
    is not in the lake, whatever the engine says of the job; and what the engine raises when it starts.
    """
    clock = clock or Clock()
    ingestion, processed = buckets_of(target)
    lake = Lake(target.aws().client("s3"), processed)
    files = job_files(tables_json(target.pipeline))
    receipts = f"{JOBS}receipts/{uuid.uuid4().hex}/"
    with tempfile.TemporaryDirectory() as folder:
        chosen = engine or engine_of(target)
        job = _submitted(target.pipeline, lake, files, Path(folder), is_local=isinstance(chosen, LocalSpark))
        arguments = {"--ingestion": ingestion, "--processed": processed, "--tables": files.key("tables.json")}
        arguments |= {"--batches": ",".join(map(str, batches)), "--again": "yes" if again else "no"}
        job = Job(job.name, job.script, job.code, {**arguments, "--receipts": receipts}, job.wheel)
        run = chosen.start(job)
        for _ in range(clock.most):
            state = chosen.state(run)
            done = {batch: found for batch in batches if (found := _revision(lake, receipts, batch, again=again))}
            if len(done) == len(batches):
                return done
            if state.is_over:
                missing = ", ".join(str(batch) for batch in batches if batch not in done)
                raise CommandError(
                    f"The job {job.name} ended ({state.text}), but batch {missing} was not transformed by it: "
                    f"s3://{processed} has no manifest of it. Nothing is half done. See the log of the job, and repeat "
                    "the command; [backfill] engine names another engine."
                )
            clock.sleep(clock.poll)
    raise CommandError(f"The job {job.name} is not done after {clock.most * clock.poll / 60:.0f} minutes. See its log.")


def _revision(lake: Lake, receipts: str, batch: int, *, again: bool) -> int | None:
    """The revision of ``batch`` that the job found or wrote; None: there is none in the lake.

    A batch that was transformed before has a manifest in any case: that it was reprocessed, its receipt says, which the
    job writes after the manifest that it names.
    """
    if not again:
        return 1 if lake.exists(manifest_key(batch)) else None
    receipt = lake.get_optional(f"{receipts}{batch}.json")
    revision = int(json.loads(receipt)["revision"]) if receipt else None
    return revision if revision and lake.exists(revision_key(batch, revision)) else None


def _submitted(pipeline: Pipeline, lake: Lake, files: JobFiles, folder: Path, *, is_local: bool) -> Job:
    """The job, whose files are where its engine reads them. Its arguments are not there yet."""
    for key, content in files.keys().items():
        lake.put_if_absent(key, content)
    name = f"{pipeline.name}-{pipeline.stage}-backfill"
    if is_local:
        (folder / "transform.py").write_bytes(files.script)
        (folder / "lambdas.zip").write_bytes(files.code)
        return Job(name, str(folder / "transform.py"), str(folder / "lambdas.zip"), {})
    wheel = download_wheel(pipeline, folder)
    # EMR Serverless unpacks what is called a zip; Glue installs what is called a wheel.
    key = f"{JOBS}wheels/{wheel.name}"
    if pipeline.backfill.engine == EMR:
        key += ".zip"
    lake.put_if_absent(key, wheel.read_bytes())
    address = f"s3://{lake.bucket}/"
    return Job(name, address + files.key("transform.py"), address + files.key("lambdas.zip"), {}, address + key)


def engine_of(target: Target) -> Engine:
    """The engine that ``[backfill]`` declares, other than ``lambda``. Raises CommandError for a local one on AWS."""
    declared, aws = target.pipeline.backfill, target.aws()
    role = target.pipeline.expand(declared.role or "", aws.account_id)
    if declared.engine == GLUE:
        return Glue(aws, role, declared.workers)
    if declared.engine == EMR:
        return EmrServerless(aws, role, declared.application or "", declared.workers)
    log = Path(tempfile.mkdtemp(prefix=f"{target.pipeline.name}-{target.pipeline.stage}-")) / "backfill.log"
    python = local_python(declared.python)
    found = subprocess.run([python, "-c", "import pyspark, boto3, pyarrow"], capture_output=True, check=False)  # nosec B603
    if found.returncode:
        raise CommandError(
            f'{python} cannot import pyspark, boto3 and pyarrow, which engine = "local-spark" needs. Make an '
            "environment with them, and name its Python in [backfill] `python`."
        )
    return LocalSpark(python, target.environ, declared.workers, log)


def download_wheel(pipeline: Pipeline, folder: Path) -> Path:
    """The wheel of the lock's pyarrow for the engines on AWS, checked by its hash. Raises CommandError without one."""
    lock = read_lock(pipeline)
    pinned = [line for line in lock.requirements if line.startswith("pyarrow==")] if lock else []
    if not pinned:
        raise CommandError("A job on AWS brings the layer's pyarrow, and [packages] `lock` names none. Run: lock")
    listed = folder / "pyarrow.txt"
    listed.write_text(pinned[0] + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-r", str(listed)]
    command += ["--only-binary", ":all:", "--platform", _PLATFORM, "--implementation", "cp"]
    command += ["--python-version", PYTHON, "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # nosec B603
    wheels = list(folder.glob("pyarrow-*.whl"))
    if done.returncode or not wheels:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CommandError(f"pip cannot download {pinned[0].split()[0]} for Python {PYTHON} on {_PLATFORM}: {last}")
    return wheels[0]
