"""Where a Spark job runs: AWS Glue, EMR Serverless, or Spark on this machine. Each starts a job, and says its state.

A state ends the wait for a job, and nothing more: the manifests in the lake decide what a job did. Glue and EMR
Serverless are called as their documentation says; tests have stubs of them, as no emulator runs their jobs.
"""

from __future__ import annotations

import os
import subprocess  # nosec B404  # the interpreter is run from a list of arguments
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws

PYTHON = "3.11"
"""The Python of the engines on AWS, of which the wheel is."""
_GLUE_VERSION = "5.1"  # Spark 3.5, Python 3.11: https://docs.aws.amazon.com/glue/latest/dg/release-notes.html
_GLUE_ENDED = ("SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED")
_EMR_ENDED = ("SUCCESS", "FAILED", "CANCELLED")
_MINUTES = 180  # after which an engine ends a job
_TRIES = 4  # of a task, on this machine: as Spark has it elsewhere


@dataclass(frozen=True)
class Job:
    """What is submitted: addresses of the files, and the arguments of the script."""

    name: str
    script: str
    """As the code and the wheel an ``s3://`` address, or a path on this machine."""
    code: str
    arguments: Mapping[str, str]
    """``--name`` -> value."""
    wheel: str | None = None
    """The wheel of pyarrow; None: the engine has it."""


@dataclass(frozen=True)
class State:
    """What an engine says of a job."""

    text: str
    is_over: bool


class Engine(Protocol):
    """Starts jobs."""

    def start(self, job: Job) -> str:
        """Starts ``job``; returns what the engine calls this run of it. Raises AwsError, or OSError."""

    def state(self, run: str) -> State:
        """The state of a run."""


@dataclass(frozen=True)
class Glue:
    """AWS Glue. The job is created where it is not there, and changed to what is submitted."""

    aws: Aws
    role: str
    workers: int
    _jobs: dict[str, str] = field(default_factory=dict)

    def start(self, job: Job) -> str:
        """As Engine has it. https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html"""
        files = {"--extra-py-files": job.code, "--job-language": "python"}
        if job.wheel:
            files |= {"--additional-python-modules": job.wheel, "--python-modules-installer-option": "--no-deps"}
        definition: dict[str, Any] = {
            "Role": self.role,
            "Command": {"Name": "glueetl", "ScriptLocation": job.script, "PythonVersion": "3"},
            "DefaultArguments": files,
            "GlueVersion": _GLUE_VERSION,
            "WorkerType": "G.1X",
            "NumberOfWorkers": self.workers,
            "Timeout": _MINUTES,
            "MaxRetries": 0,
            "ExecutionProperty": {"MaxConcurrentRuns": 1},
        }
        if self._exists(job.name):
            self.aws.call("glue", "update_job", JobName=job.name, JobUpdate=definition)
        else:
            self.aws.call("glue", "create_job", Name=job.name, **definition)
        run = self.aws.call("glue", "start_job_run", JobName=job.name, Arguments=dict(job.arguments))["JobRunId"]
        self._jobs[run] = job.name
        return str(run)

    def _exists(self, name: str) -> bool:
        from lambda_script import AwsError  # imported on use: the command's help does not need it

        try:
            self.aws.call("glue", "get_job", JobName=name)
        except AwsError as error:
            if error.code == "EntityNotFoundException":
                return False
            raise
        return True

    def state(self, run: str) -> State:
        """As Engine has it."""
        found = self.aws.call("glue", "get_job_run", JobName=self._jobs[run], RunId=run)["JobRun"]
        text = ": ".join(filter(None, (found["JobRunState"], found.get("ErrorMessage"))))
        return State(text, found["JobRunState"] in _GLUE_ENDED)


@dataclass(frozen=True)
class EmrServerless:
    """EMR Serverless: an application that exists, of a release with Spark 3.5 or 4."""

    aws: Aws
    role: str
    application: str
    workers: int

    def start(self, job: Job) -> str:
        """As Engine has it. https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/using-python-libraries.html

        A wheel is a zip: as an archive of the job it is unpacked beside each task.
        """
        conf = {
            "spark.submit.pyFiles": job.code,
            "spark.executor.instances": str(self.workers),
            "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": f"/usr/bin/python{PYTHON}",
            "spark.executorEnv.PYSPARK_PYTHON": f"/usr/bin/python{PYTHON}",
        }
        if job.wheel:
            conf |= {
                "spark.archives": f"{job.wheel}#wheel",
                "spark.emr-serverless.driverEnv.PYTHONPATH": "./wheel",
                "spark.executorEnv.PYTHONPATH": "./wheel",
            }
        answer = self.aws.call(
            "emr-serverless",
            "start_job_run",
            applicationId=self.application,
            executionRoleArn=self.role,
            name=job.name,
            executionTimeoutMinutes=_MINUTES,
            jobDriver={
                "sparkSubmit": {
                    "entryPoint": job.script,
                    "entryPointArguments": [text for pair in job.arguments.items() for text in pair],
                    "sparkSubmitParameters": " ".join(f"--conf {name}={value}" for name, value in conf.items()),
                }
            },
        )
        return str(answer["jobRunId"])

    def state(self, run: str) -> State:
        """As Engine has it."""
        answer = self.aws.call("emr-serverless", "get_job_run", applicationId=self.application, jobRunId=run)
        found = answer["jobRun"]
        text = ": ".join(filter(None, (found["state"], found.get("stateDetails"))))
        return State(text, found["state"] in _EMR_ENDED)


@dataclass(frozen=True)
class LocalSpark:
    """Spark on this machine, in local mode, by a Python that has pyspark, boto3 and the pyarrow of the lock."""

    python: str
    environ: Mapping[str, str]
    workers: int
    log: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, job: Job) -> str:
        """As Engine has it."""
        options = [f"--master local[{self.workers},{_TRIES}]", f"--py-files {job.code}"]
        options += ["--conf spark.ui.enabled=false", "--conf spark.driver.bindAddress=127.0.0.1", "pyspark-shell"]
        environ = {
            **os.environ,
            **self.environ,
            "PYSPARK_SUBMIT_ARGS": " ".join(options),
            "PYSPARK_PYTHON": self.python,
            "PYTHONPATH": job.code,
        }
        arguments = [text for pair in job.arguments.items() for text in pair]
        with self.log.open("wb") as log:
            command = [self.python, job.script, *arguments]
            process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)  # nosec B603
        self._running[str(process.pid)] = process
        return str(process.pid)

    def state(self, run: str) -> State:
        """As Engine has it."""
        code = self._running[run].poll()
        return State("running" if code is None else f"exit status {code}, see {self.log}", code is not None)


def local_python(declared: str | None) -> str:
    """The Python that runs Spark on this machine: as declared, or this one."""
    return declared or sys.executable
