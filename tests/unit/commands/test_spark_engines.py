"""What engines are asked to run: the calls of Glue and EMR Serverless, and the process of a local Spark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_script import AwsError
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.spark import backfill, engines
from lambda_toolkit.pipeline.spark.engines import EmrServerless, Glue, Job, LocalSpark, State, local_python

JOB = Job("shop", "s3://b/transform.py", "s3://b/lambdas.zip", {"--a": "1", "--b": "2"}, "s3://b/pyarrow.whl")
BARE = Job("shop", "s3://b/transform.py", "s3://b/lambdas.zip", {})


class Calls:
    """AWS that answers each operation with what is given, and keeps the calls."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.calls = answers, list[tuple[str, str, dict[str, Any]]]()

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        self.calls.append((service, operation, parameters))
        answer = self.answers.get(operation, {})
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_glue_job_is_created_once_and_then_changed() -> None:
    aws: Any = Calls(get_job=AwsError("none", code="EntityNotFoundException"), start_job_run={"JobRunId": "r1"})
    glue = Glue(aws, "role", 7)
    assert glue.start(JOB) == "r1"
    definition = {
        "Role": "role",
        "Command": {"Name": "glueetl", "ScriptLocation": "s3://b/transform.py", "PythonVersion": "3"},
        "DefaultArguments": {
            "--extra-py-files": "s3://b/lambdas.zip",
            "--job-language": "python",
            "--additional-python-modules": "s3://b/pyarrow.whl",
            "--python-modules-installer-option": "--no-deps",
        },
        "GlueVersion": "5.1",
        "WorkerType": "G.1X",
        "NumberOfWorkers": 7,
        "Timeout": 180,
        "MaxRetries": 0,
        "ExecutionProperty": {"MaxConcurrentRuns": 1},
    }
    run = ("glue", "start_job_run", {"JobName": "shop", "Arguments": {"--a": "1", "--b": "2"}})
    known = ("glue", "get_job", {"JobName": "shop"})
    assert aws.calls == [known, ("glue", "create_job", {"Name": "shop", **definition}), run]
    aws.calls.clear()
    aws.answers["get_job"] = {}
    glue.start(BARE)
    [_, (_, operation, parameters), _] = aws.calls
    assert (operation, parameters["JobName"]) == ("update_job", "shop")
    files = {"--extra-py-files": "s3://b/lambdas.zip", "--job-language": "python"}
    assert parameters["JobUpdate"]["DefaultArguments"] == files
    aws.answers["get_job"] = AwsError("no", code="AccessDeniedException")
    with pytest.raises(AwsError):
        glue.start(JOB)


@pytest.mark.parametrize(
    ("found", "state"),
    [
        ({"JobRunState": "RUNNING"}, State("RUNNING", False)),
        ({"JobRunState": "SUCCEEDED"}, State("SUCCEEDED", True)),
        ({"JobRunState": "FAILED", "ErrorMessage": "no memory"}, State("FAILED: no memory", True)),
        *(({"JobRunState": name}, State(name, True)) for name in ("STOPPED", "TIMEOUT", "ERROR", "EXPIRED")),
        *(({"JobRunState": name}, State(name, False)) for name in ("STARTING", "STOPPING", "WAITING")),
    ],
)
def test_state_of_a_glue_run_is_glues(found: dict[str, Any], state: State) -> None:
    aws: Any = Calls(get_job_run={"JobRun": found}, start_job_run={"JobRunId": "r1"})
    glue = Glue(aws, "role", 7)
    glue.start(JOB)
    assert glue.state("r1") == state
    assert aws.calls[-1] == ("glue", "get_job_run", {"JobName": "shop", "RunId": "r1"})


def test_emr_is_given_the_submit_command() -> None:
    aws: Any = Calls(start_job_run={"jobRunId": "r1"})
    assert EmrServerless(aws, "role", "app", 4).start(JOB) == "r1"
    [(service, operation, parameters)] = aws.calls
    submit = parameters.pop("jobDriver")["sparkSubmit"]
    assert (service, operation) == ("emr-serverless", "start_job_run")
    expected = {"applicationId": "app", "executionRoleArn": "role", "name": "shop", "executionTimeoutMinutes": 180}
    assert parameters == expected
    assert (submit["entryPoint"], submit["entryPointArguments"]) == ("s3://b/transform.py", ["--a", "1", "--b", "2"])
    python = "/usr/bin/python3.11"
    options = [
        "spark.submit.pyFiles=s3://b/lambdas.zip",
        "spark.executor.instances=4",
        f"spark.emr-serverless.driverEnv.PYSPARK_PYTHON={python}",
        f"spark.executorEnv.PYSPARK_PYTHON={python}",
    ]
    wheel = ["spark.archives=s3://b/pyarrow.whl#wheel", "spark.emr-serverless.driverEnv.PYTHONPATH=./wheel"]
    wheel += ["spark.executorEnv.PYTHONPATH=./wheel"]
    assert submit["sparkSubmitParameters"] == " ".join(f"--conf {option}" for option in (*options, *wheel))
    EmrServerless(aws, "role", "app", 4).start(BARE)
    submit = aws.calls[-1][2]["jobDriver"]["sparkSubmit"]
    assert submit["sparkSubmitParameters"] == " ".join(f"--conf {option}" for option in options)


@pytest.mark.parametrize(
    ("found", "state"),
    [
        ({"state": "RUNNING"}, State("RUNNING", False)),
        ({"state": "FAILED", "stateDetails": "no"}, State("FAILED: no", True)),
        *(({"state": name}, State(name, True)) for name in ("SUCCESS", "CANCELLED")),
        *(({"state": name}, State(name, False)) for name in ("SUBMITTED", "PENDING", "SCHEDULED", "CANCELLING")),
    ],
)
def test_state_of_an_emr_run_is_emrs(found: dict[str, Any], state: State) -> None:
    aws: Any = Calls(get_job_run={"jobRun": found})
    assert EmrServerless(aws, "role", "app", 4).state("r1") == state
    assert aws.calls == [("emr-serverless", "get_job_run", {"applicationId": "app", "jobRunId": "r1"})]


def test_local_spark_is_a_process_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    ended = iter([None, 3])

    def popen(command: list[str], *, env: dict[str, str], stdout: Any, stderr: Any) -> Any:
        started.append((command, env, stdout.name, stderr.name))
        return SimpleNamespace(pid=42, poll=lambda: next(ended))

    monkeypatch.setattr(engines.subprocess, "Popen", popen)
    monkeypatch.setenv("KEPT", "1")
    log = tmp_path / "x.log"
    spark = LocalSpark("/bin/py", {"AWS_X": "y"}, 5, log)
    assert spark.start(JOB) == "42"
    [(command, environ, out, err)] = started
    assert (command, out, err) == (["/bin/py", JOB.script, "--a", "1", "--b", "2"], str(log), str(log))
    assert (environ["KEPT"], environ["AWS_X"]) == ("1", "y")
    assert (environ["PYSPARK_PYTHON"], environ["PYTHONPATH"]) == ("/bin/py", JOB.code)
    assert environ["PYSPARK_SUBMIT_ARGS"] == (
        f"--master local[5,4] --py-files {JOB.code} --conf spark.ui.enabled=false "
        "--conf spark.driver.bindAddress=127.0.0.1 pyspark-shell"
    )
    assert spark.state("42") == State("running", False)
    assert spark.state("42") == State(f"exit status 3, see {log}", True)
    assert (local_python(None), local_python("/bin/py")) == (sys.executable, "/bin/py")


@pytest.mark.parametrize(
    ("code", "stderr", "wheel", "says"),
    [
        (0, "", True, None),
        (1, "one\ntwo\n", True, "pip cannot download pyarrow==21.0.0 for Python .*: two"),
        (0, "", False, "pip cannot download pyarrow==21.0.0 for Python .*: no message"),
    ],
)
def test_wheel_is_the_one_of_the_lock(tmp_path: Path, monkeypatch, code, stderr, wheel, says) -> None:
    lines = ("boto3==1.0.0 --hash=sha256:b", "pyarrow==21.0.0 --hash=sha256:a")
    monkeypatch.setattr(backfill, "read_lock", lambda pipeline: SimpleNamespace(requirements=lines))
    ran: list[list[str]] = []

    def run(command: list[str], **named: Any) -> Any:
        ran.append(command)
        assert Path(command[command.index("-r") + 1]).read_text(encoding="utf-8") == f"{lines[1]}\n"
        assert named == {"capture_output": True, "text": True, "check": False}
        if wheel:
            (tmp_path / "pyarrow-21.0.0-x.whl").touch()
        return subprocess.CompletedProcess(command, code, "", stderr)

    monkeypatch.setattr(backfill.subprocess, "run", run)
    pipeline: Any = SimpleNamespace()
    if says is None:
        assert backfill.download_wheel(pipeline, tmp_path).name == "pyarrow-21.0.0-x.whl"
    else:
        with pytest.raises(CommandError, match=says):
            backfill.download_wheel(pipeline, tmp_path)
    [command] = ran
    assert command == [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
        *("-r", str(tmp_path / "pyarrow.txt"), "--only-binary", ":all:", "--platform", "manylinux_2_28_x86_64"),
        *("--implementation", "cp", "--python-version", "3.11", "--dest", str(tmp_path)),
    ]
    for nothing in (None, SimpleNamespace(requirements=lines[:1])):
        monkeypatch.setattr(backfill, "read_lock", lambda pipeline, lock=nothing: lock)
        with pytest.raises(CommandError, match="names none. Run: lock"):
            backfill.download_wheel(pipeline, tmp_path)


def test_batches_are_transformed_by_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    target: Any = SimpleNamespace(aws=lambda: "aws", pipeline=SimpleNamespace(function_name=lambda name: f"x-{name}"))

    def call(aws: str, function: str, request: Any, result: type) -> Any:
        asked.append((aws, function, request.to_json(), result.__name__))
        return SimpleNamespace(revision=request.batch * 10)

    monkeypatch.setattr(backfill, "call", call)
    assert backfill.transform_by_functions(target, [3, 4], again=True) == {3: 30, 4: 40}
    assert backfill.transform_by_functions(target, [3], again=False) == {3: 1}
    kinds = [(aws, function, result) for aws, function, _, result in asked]
    assert kinds == [("aws", "x-transform", name) for name in ("TransformReplayResult",) * 2 + ("TransformResult",)]
