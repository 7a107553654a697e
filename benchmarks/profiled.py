"""One step of a function, with its time counted: by statement of the server, and by what the function does meanwhile.

`python -m benchmarks.profiled MODULE ARGUMENT ...` runs the module's ``main`` in an environment as the functions have
it, and prints what was counted as one line of JSON; see ``benchmarks.profiling``, which shows it.
"""

from __future__ import annotations

import cProfile
import importlib
import io
import json
import os
import pstats
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, connect

ACTIVITIES = (
    ("shared/postgres/copy_rows.py", "whole_rows", "taking the server's messages apart, one for each row"),
    ("extract/source/reader.py", "_parse", "parsing CSV into Arrow"),
    ("pyarrow/parquet/core.py", "write_table", "encoding and compressing Parquet"),
    ("shared/lake/parquet.py", "batches", "decoding Parquet"),
    ("load/warehouse/binary/", "", "encoding rows for COPY"),
    ("references/distinct_values.py", "", "collecting what the rows refer to"),
    ("pyarrow/compute.py", "", "Arrow's functions: casts, checks, comparisons"),
    ("pg8000/", "", "reading from the server and writing to it"),
    ("socket.py", "", "reading from the server and writing to it"),
    ("shared/postgres/", "", "reading from the server and writing to it"),
    ("tempfile.py", "", "writing files"),
    ("benchmarks/files.py", "", "writing files"),
    ("shutil.py", "", "writing files"),
)
"""A part of a file's path, the name of its function or nothing, and what that does: the first that fits.

What is written in C, such as all of Arrow, counts as the function in Python that calls it.
"""
OTHER = "everything else"
PARQUET, KEY_FILES = "encoding and compressing Parquet", "the same of key files"
_KEY_FILES = ("capture/key_files.py", ("write", "next_range"))
_SHOWN = 44  # characters of a statement, at its beginning and at its end


class Counted:
    """What each statement took: wall seconds, those of the processor here and in its server process, and the log."""

    def __init__(self, credentials: Credentials) -> None:
        self._other = connect(credentials)
        self._is_counting = False
        self.statements: dict[str, list[float]] = {}

    def count(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """``run`` of a connection, counted; what it calls of the connection belongs to it."""

        def counted(connection: Connection, statement: str, *arguments: Any, **named: Any) -> Any:
            if self._is_counting or connection is self._other:
                return run(connection, statement, *arguments, **named)
            self._is_counting = True
            process = int.from_bytes(connection._backend_key_data[:4])
            log = self._log()
            before = _clocks(process)
            try:
                return run(connection, statement, *arguments, **named)
            finally:
                took = [after - was for after, was in zip(_clocks(process), before, strict=True)]
                took.append(self._log() - log)
                self._is_counting = False
                found = self.statements.setdefault(shortened(statement), [0, 0.0, 0.0, 0.0, 0.0])
                found[:] = [total + part for total, part in zip(found, [1, *took], strict=True)]

        return counted

    def _log(self) -> float:
        """MB that were ever written to the write-ahead log."""
        return float(self._other.rows("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")[0][0]) / 1e6


def _clocks(process: int) -> tuple[float, float, float]:
    """Wall seconds, those of this process on a processor, and those of the server's ``process``."""
    server = int(Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9
    return time.perf_counter(), time.process_time(), server


def shortened(statement: str) -> str:
    """The beginning and the end of a statement, with n for each number: those that differ in numbers are one."""
    text = re.sub(r"\b\d+\b", "n", " ".join(str(statement).split()))
    return text if len(text) <= 2 * _SHOWN else f"{text[:_SHOWN]} … {text[-_SHOWN:]}"


def activity(file: str, name: str) -> str:
    """What the function ``name`` of a file does."""
    for path, function, does in ACTIVITIES:
        if path in file and function in ("", name):
            return does
    return OTHER


def activities(stats: Mapping[tuple[str, int, str], tuple[int, int, float, float, object]]) -> dict[str, float]:
    """The seconds of each activity, of what the profiler has: file, line and name -> calls, own and all seconds."""
    seconds: dict[str, float] = {}
    keys = 0.0
    for (file, _, name), (_, _, own, every, _) in stats.items():
        does = activity(file, name)
        seconds[does] = seconds.get(does, 0.0) + own
        if _KEY_FILES[0] in file and name in _KEY_FILES[1]:
            keys += every
    if keys:
        seconds[PARQUET] -= keys
        seconds[KEY_FILES] = keys
    return seconds


def main() -> int:
    """Run the module; print what it took. Exit status 1 where it fails."""
    module, sys.argv = sys.argv[1], sys.argv[1:]
    counted = Counted(Credentials(*json.loads(os.environ["BENCHMARK_SERVER"])))
    for name in ("run", "run_as_it_is"):
        setattr(Connection, name, counted.count(getattr(Connection, name)))
    profile = cProfile.Profile(time.process_time, builtins=False)
    with redirect_stdout(io.StringIO()):
        status = profile.runcall(importlib.import_module(module).main)
    stats: Any = pstats.Stats(profile)
    print(json.dumps({"activities": activities(stats.stats), "statements": counted.statements}))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
