"""Runs tests against one mutant after the other, in a copy of the repository: ``python -m tests.mutants.worker``.

The process imports what takes long and is never mutated (pytest, moto, pyarrow, ...) and keeps one PostgreSQL server.
For each request, a line of JSON on standard input, it writes the mutant, forks, and lets the child run the tests until
one fails. The child has imported nothing of the repository, so nothing is reloaded. The answer is a line of JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

PRELOADED = (
    *("boto3", "botocore", "moto", "moto.s3.models", "moto.iam.models", "moto.events.models", "moto.awslambda.models"),
    *("moto.sqs.models", "moto.sns.models", "moto.logs.models", "moto.cloudwatch.models", "moto.secretsmanager.models"),
    *("pyarrow", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "pg8000.native", "hypothesis", "click", "rich"),
    *("responses", "werkzeug", "_pytest.assertion.rewrite"),
)
# Bytes of data, not of addresses, of which Chromium reserves more: a mutant must not end the machine.
MEMORY = 12 * 1024**3
GRACE = float(os.environ.get("MUTANTS_GRACE", "10"))  # seconds for every test, beyond ten times what it took
COLLECTING = 60.0  # seconds until pytest knows its tests
WAITING = 6  # times as long as a test may use the processor, it may wait: for the server, or for a busy machine
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2): what a mutant leaves behind becomes a child of this process
SERVER = """
import json, sys, tempfile, dataclasses
from pathlib import Path
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server
folder = Path(tempfile.mkdtemp(prefix="mutants-postgres-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
folder.chmod(0o755)
try:
    server = postgres_server.start(folder, settings={"autovacuum": "off", "jit": "off"})
    print(json.dumps({**dataclasses.asdict(server), "directory": str(folder)}), flush=True)
    sys.stdin.read()
finally:
    postgres_server.remove(folder)
"""
_WITHOUT_SERVER = ("tests/unit/", "tests/aws/")
_OWN_SERVER = "lambda_toolkit/pipeline/local_stack/"
"""Mutants in these files are tried with a server that they start themselves."""


class _Reporter:
    """A pytest plugin: writes what happens to a pipe, keeps the order of the tests, gives them the running server."""

    def __init__(self, pipe: int, order: list[str], server: dict[str, Any] | None) -> None:
        self._pipe = pipe
        self._order = {test: number for number, test in enumerate(order)}
        self._server = server
        self._running = ""

    def _say(self, **what: object) -> None:
        os.write(self._pipe, json.dumps(what).encode() + b"\n")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )
        self._say(collected=len(items))

    def pytest_sessionfinish(self) -> None:
        self._say(finished=True)  # what pytest does at its end takes longer than many tests

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._say(failed=report.nodeid, when="collect", text=str(report.longrepr)[-300:])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running = nodeid
        self._say(began=nodeid)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """An exception that escapes a test so ends pytest in order, and no test has failed."""
        self._say(failed=self._running, when="process", text=str(excinfo.value))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._say(failed=report.nodeid, when=report.when, text=str(report.longrepr)[-300:])

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> object | None:
        if fixturedef.argname != "postgres_server" or self._server is None:
            return None
        module = importlib.import_module("lambda_toolkit.pipeline.local_stack.postgres.postgres_server")
        server = module.Server(**{**self._server, "directory": Path(self._server["directory"])})
        fixturedef.cached_result = (server, fixturedef.cache_key(request), None)
        return server  # type: ignore[no-any-return]


def main() -> None:
    """Answers requests until standard input ends."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    for name in () if "--bare" in sys.argv else PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.ExitStack() as opened:
        server: dict[str, Any] | None = None
        gc.freeze()  # what is imported is not collected in each child
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            if server is None and not all(test.startswith(_WITHOUT_SERVER) for test, _ in request["tests"]):
                server = opened.enter_context(_postgres())
            answer = _try(request, server)
            if server is not None:
                _drop_databases(server)
            print(json.dumps(answer), flush=True)


@contextlib.contextmanager
def _postgres() -> Iterator[dict[str, Any]]:
    holder = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin and holder.stdout
    try:
        yield {**json.loads(holder.stdout.readline()), "holder": holder.pid}
    finally:
        holder.stdin.close()
        holder.wait(60)


def _drop_databases(server: dict[str, Any]) -> None:
    """What the last mutant's tests left on the server: databases, then roles."""
    import pg8000.native as pg

    where = {"host": server["host"], "port": server["port"], "password": server["password"], "database": "postgres"}
    with contextlib.closing(pg.Connection(server["superuser"], **where)) as connection:
        for (name,) in connection.run(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        ):
            connection.run(f"DROP DATABASE IF EXISTS {pg.identifier(name)} WITH (FORCE)")
        for (name,) in connection.run("SELECT rolname FROM pg_roles WHERE oid > 16383"):
            connection.run(f"DROP OWNED BY {pg.identifier(name)} CASCADE")
            connection.run(f"DROP ROLE {pg.identifier(name)}")


def _try(request: dict[str, Any], server: dict[str, Any] | None) -> dict[str, Any]:
    """Run the tests of a request with ``text`` in its file; the file is as before afterwards."""
    file = Path(request["file"])
    original, times = file.read_text(encoding="utf-8"), file.stat()
    file.write_text(request["text"], encoding="utf-8")
    _forget_bytecode(file)
    began = time.monotonic()
    try:
        given = server and not request["file"].startswith(_OWN_SERVER)
        answer = _run(request["tests"], {k: v for k, v in server.items() if k != "holder"} if given else None)
    finally:
        file.write_text(original, encoding="utf-8")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        _end_leftovers({server["holder"], server["pid"]} if server else set())
        _forget_bytecode(file)
    return {**answer, "seconds": round(time.monotonic() - began, 2)}


class _Limit:
    """How long a child may go on from now: ``seconds`` of the processor, or :data:`WAITING` times that of waiting."""

    def __init__(self, child: int, seconds: float) -> None:
        self._process = psutil.Process(child)
        self._used = self._processor() + seconds
        self._ends = time.monotonic() + WAITING * seconds

    def _processor(self) -> float:
        with contextlib.suppress(psutil.NoSuchProcess):
            return float(sum(self._process.cpu_times()[:4]))  # its own, and those of processes that it waited for
        return 0.0

    def is_reached(self) -> bool:
        return self._processor() >= self._used or time.monotonic() >= self._ends


def _forget_bytecode(file: Path) -> None:
    """Delete what was compiled of a file: Python compares times in seconds, and a mutant takes less.

    All else that is compiled is kept for the next mutant: compiling took most of the time of a test that is fast.
    """
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
        compiled.unlink()


def _run(tests: list[list[Any]], server: dict[str, Any] | None) -> dict[str, Any]:
    usual = {test: float(seconds) for test, seconds in tests}
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(writing, list(usual), server)
    os.close(writing)
    answer: dict[str, Any] = {"outcome": "survived", "by": None, "when": None, "text": None}
    running, collected, pending = "", 0, b""
    limit = _Limit(child, COLLECTING)
    try:
        while True:
            ready, _, _ = select.select([reading], [], [], 1.0)
            if not ready:
                if limit.is_reached():
                    return {**answer, "outcome": "endless", "by": running, "when": "call"}
                continue
            got = os.read(reading, 65536)
            if not got:
                break
            *lines, pending = (pending + got).split(b"\n")
            for line in lines:
                said = json.loads(line)
                if "failed" in said:
                    return {"outcome": "caught", "by": said["failed"], "when": said["when"], "text": said["text"]}
                if "finished" in said:
                    return answer if collected else {**answer, "outcome": "no tests"}
                if "began" in said:
                    running = said["began"]
                    limit = _Limit(child, GRACE + 10 * usual.get(running, 0.0))
                if "collected" in said:
                    limit = _Limit(child, COLLECTING)
                collected = said.get("collected", collected)
        _, status = os.waitpid(child, 0)
        child = 0
        if os.waitstatus_to_exitcode(status) != 0 and answer["outcome"] == "survived":
            return {
                **answer,
                "outcome": "caught",
                "by": running or next(iter(usual)),
                "when": "process",
                "text": f"status {status}",
            }
        return answer
    finally:
        os.close(reading)
        if child:
            _end(psutil.Process(child))
            os.waitpid(child, 0)


def _child(pipe: int, tests: list[str], server: dict[str, Any] | None) -> None:
    """Never returns."""
    status = 70
    try:
        os.setsid()
        log = os.open(os.environ.get("MUTANTS_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        silence = os.open(os.devnull, os.O_RDONLY)
        os.dup2(silence, 0), os.dup2(log, 1), os.dup2(log, 2)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        os.environ["HISTORIES_AS_FOUND"] = "1"
        options = ["-x", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=line", "-q"]
        # Files, not tests: pytest runs nothing at all when one of many tests is not there any more.
        files = dict.fromkeys(test.split("::", 1)[0] for test in tests)
        status = int(pytest.main([*options, *files], plugins=[_Reporter(pipe, tests, server)]))
    finally:
        os._exit(status)


def _end(process: psutil.Process) -> None:
    """End a process of ours and what it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)


def _end_leftovers(kept: set[int]) -> None:
    """End the processes that a mutant's tests left behind: they have become children of this one."""
    left = [process for process in psutil.Process().children() if process.pid not in kept]
    for process in left:
        _end(process)
    psutil.wait_procs(left, 10.0)  # one that was killed takes a moment to end
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break


if __name__ == "__main__":
    main()
