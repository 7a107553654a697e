"""Spark's own cluster manager on this machine: a master and two workers, each an address of the loopback network.

Executors are processes that can be killed. Spark runs no second copy of a task on a host that has one already, so that
two workers of one address, as ``local-cluster`` has them, never speculate: these have two.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from lambda_toolkit.pipeline.local_stack.process import free_port

WORKERS = ("127.0.0.1", "127.0.0.2")
_DEPLOY = "org.apache.spark.deploy"
_START = 60.0  # seconds


@contextlib.contextmanager
def standalone(python: str, variables: Mapping[str, str], folder: Path) -> Iterator[str]:
    """The URL of a master with two workers of a processor each, for the Spark that ``python`` has.

    ``variables``: what executors see. Raises AssertionError with the end of its log where the master does not start.
    """
    home = Path(_printed(python, "import pyspark; print(pyspark.__path__[0])"))
    port = free_port()
    with contextlib.ExitStack() as stack:

        def start(name: str, address: str, *arguments: str) -> Path:
            log = folder / f"{name}.log"
            stack.enter_context(_process(home, (name.partition("-")[0], address, *arguments), variables, log))
            return log

        log = start("master", WORKERS[0], "--port", str(port))
        _await(WORKERS[0], port, log)
        for number, address in enumerate(WORKERS):
            options = ["--cores", "1", "--memory", "1g", "--work-dir", str(folder / f"work-{number}")]
            start(f"worker-{number}", address, *options, f"spark://{WORKERS[0]}:{port}")
        yield f"spark://{WORKERS[0]}:{port}"


@contextlib.contextmanager
def _process(home: Path, what: tuple[str, ...], variables: Mapping[str, str], log: Path) -> Iterator[None]:
    """``what``: master or worker, its address, and arguments. It is ended, with its executors, after the block."""
    name, address, *arguments = what
    command = [str(home / "bin" / "spark-class"), f"{_DEPLOY}.{name}.{name.title()}"]
    command += ["--host", address, "--webui-port", "0", *arguments]
    given = {**os.environ, **variables, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": address}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=given, stdout=out, stderr=out, start_new_session=True) as it,
    ):
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(it.pid, signal.SIGTERM)
            try:
                it.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(it.pid, signal.SIGKILL)


def _await(host: str, port: int, log: Path) -> None:
    deadline = time.monotonic() + _START
    while True:
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
            return
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-2000:]
        time.sleep(0.1)


def _printed(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
