"""Runs the functions as Lambda does: each call in a process of its own, which can be killed.

A worker is forked from a process that has imported everything already, so that a call takes as long as a warm one. Run
as ``python -m tests.support.workers``: it reads one call per line of its input, and writes two lines for each to its
output: which process it is, and what came of it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
import traceback
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, Self

from lambda_toolkit.pipeline.lambdas.shared.model import declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from lambda_toolkit.pipeline.lambdas.shared.postgres.login import credentials_of
from tests.support.readers import ThreadReaders, quick, ranges_of_two
from tests.support.thresholds import small_thresholds

FUNCTIONS = ("extract", "transform", "load")
_REMAINING = 600_000  # milliseconds that Lambda gives
_UNTIL_ITS_END = contextlib.ExitStack()  # of the process, of which nothing runs after it


class _Without:
    """A finder that finds nothing of one package."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, name: str, *_: Any) -> None:
        if name.partition(".")[0] == self._package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main() -> None:
    """Serve calls until the input ends."""
    sys.meta_path.insert(0, _Without("pandas"))  # Lambda has none; pyarrow would import it
    handlers = {
        name: importlib.import_module(f"lambda_toolkit.pipeline.lambdas.{name}.handler").lambda_handler
        for name in FUNCTIONS
    }
    runtime = importlib.import_module("lambda_toolkit.pipeline.lambdas.shared.runtime")
    for service in ("s3", "secretsmanager"):
        runtime.client(service)  # made here, connected to in the worker
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    log = os.open(os.environ["FUNCTIONS_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)  # what the functions print and log
    os.dup2(log, 2)
    for line in sys.stdin:
        call = json.loads(line)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _work(handlers[call["function"]], call, writing)
        os.close(writing)
        answers.write(json.dumps({"pid": pid}) + "\n")
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(pid, 0)
        answers.write(json.dumps({"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, **_parsed(said)}))
        answers.write("\n")


def _parsed(said: bytes) -> dict[str, Any]:
    return dict(json.loads(said)) if said else {}


def _work(handler: Any, call: dict[str, Any], writing: int) -> None:
    """One invocation. Ends the process whatever happens."""
    try:
        _disturb(call)
        context = SimpleNamespace(
            function_name=f"totes-test-{call['function']}",
            aws_request_id="r-1",
            get_remaining_time_in_millis=lambda: call.get("remaining", _REMAINING),
        )
        answer = {"result": handler(call["event"], context)}
    except Exception as error:
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    os.write(writing, json.dumps(answer).encode())
    os._exit(0)


def _disturb(call: dict[str, Any]) -> None:
    """What a call may ask to be other: the clock of its machine, the room on its disk, by how many the work is done."""
    if call.get("clock_offset"):
        _shift_clock(timedelta(seconds=call["clock_offset"]))
    if call.get("disk_bytes") is not None:
        parquet = importlib.import_module("lambda_toolkit.pipeline.lambdas.shared.lake.parquet")
        vars(parquet)["SPOOL_BYTES"] = 1  # everything goes to the disk
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # the log is a file too, and not the one that shall not fit
        os.dup2(nowhere, 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (call["disk_bytes"], call["disk_bytes"]))

    if call.get("connections"):
        os.environ["LOAD_CONNECTIONS"] = str(call["connections"])
        _UNTIL_ITS_END.enter_context(small_thresholds())
    if call.get("readers"):
        _read_by_readers()


def _read_by_readers() -> None:
    """Every table is read by readers in ranges of two rows: threads of this process, with connections of their own."""
    package = "lambda_toolkit.pipeline.lambdas"
    handler, postgres, runtime, limits = (
        importlib.import_module(f"{package}.{name}")
        for name in ("extract.handler", "extract.source.postgres", "shared.runtime", "extract.limits")
    )
    several = ThreadReaders(lambda: connect(credentials_of("source")), declarations.load())
    several.lake = runtime.ingestion_lake()
    replaced = {
        "_fan_out": lambda: quick(several, range_rows=2),
        "_limits": lambda context: limits.Limits(bytes=1),  # nothing fits into a batch
    }
    assert set(replaced) <= set(vars(handler))
    vars(handler).update(replaced)
    postgres.PostgresSnapshot.ranges = ranges_of_two


def _shift_clock(offset: timedelta) -> None:
    class ShiftedDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(datetime.now(UTC).timestamp() + offset.total_seconds(), tz or UTC)

    for name, module in list(sys.modules.items()):
        if name.startswith("lambda_toolkit.pipeline.lambdas.") and getattr(module, "datetime", None) is datetime:
            vars(module)["datetime"] = ShiftedDatetime


if __name__ == "__main__":
    main()
