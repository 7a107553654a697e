"""The processes of `reading_in_parallel`: extract, its readers, who writes meanwhile; with what they have on Lambda.

`python -m benchmarks.parallel_step extract DIRECTORY READERS BATCH` is one run of extract with so many readers, each of
them a process `read DIRECTORY`, over a table with more rows than a batch has. `write ROWS` changes a table of so many
rows until its input ends.
"""

from __future__ import annotations

import json
import os
import queue
import random
import resource
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

from benchmarks.files import Files
from lambda_toolkit.pipeline.lambdas.extract.extraction import extract
from lambda_toolkit.pipeline.lambdas.extract.limits import DEFAULT_LIMITS, Limits
from lambda_toolkit.pipeline.lambdas.extract.readers.fan_out import FanOut
from lambda_toolkit.pipeline.lambdas.extract.readers.reading import read_range
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.messages.read_events import ReadRequest, ReadResult
from lambda_toolkit.pipeline.lambdas.shared.model import declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect, connected

SERVER = "BENCHMARK_SERVER"  # the variable with host, port, database, user and password, as JSON
LONG = 24 * 3600.0  # seconds: nothing here ends for Lambda's limits
CHANGES = """
    WITH ids AS MATERIALIZED (
        SELECT DISTINCT (random() * CAST(:most AS int))::int + 1 AS id FROM generate_series(1, 30)
    ), deleted AS (
        DELETE FROM sales_order WHERE sales_order_id IN (SELECT id FROM ids ORDER BY id LIMIT 5)
    ), moved AS (
        UPDATE sales_order SET units_sold = units_sold + 1, unit_price = unit_price + 0.01, last_updated = now()
        WHERE sales_order_id IN (SELECT id FROM ids ORDER BY id OFFSET 5)
    )
    INSERT INTO sales_order SELECT CAST(:most AS int) + CAST(:done AS int) * 5 + n, now(), now(), n, n, n, n, 2.5, n,
        '2024-01-07', '2024-02-07', n FROM generate_series(1, 5) AS n
"""
PAUSE = 0.02  # seconds between two transactions of the writer


class ReaderProcesses:
    """Readers as processes: each reads one range at a time. The first waits until the snapshot is shared further."""

    def __init__(self, directory: Path, count: int) -> None:
        command = [sys.executable, "-m", "benchmarks.parallel_step", "read", str(directory)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._all = [subprocess.Popen(command, **pipes, text=True) for _ in range(count)]  # type: ignore[call-overload]
        self._idle: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
        self._showing, self._shown = threading.Lock(), False
        self.begun = 0.0
        for process in self._all:
            process.stdout.readline()  # it has imported what it needs
            self._idle.put(process)

    def read(self, request: ReadRequest) -> ReadResult:
        """As Readers has it."""
        with self._showing:
            if not self._shown:
                print(
                    json.dumps({"snapshot": request.snapshot.name, "seconds": time.perf_counter() - self.begun}),
                    flush=True,
                )
                sys.stdin.readline()
                self._shown = True
        process = self._idle.get()
        try:
            process.stdin.write(json.dumps(request.to_json()) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            return ReadResult.from_json(json.loads(process.stdout.readline()))  # type: ignore[union-attr]
        finally:
            self._idle.put(process)

    def used(self) -> list[dict[str, float]]:
        """Ends them. Of each: `client`, seconds of the processor, and `peak`, bytes of memory."""
        found = []
        for process in self._all:
            last, _ = process.communicate()
            found.append(json.loads(last))
        return found


def main() -> int:
    """Runs what the arguments name."""
    step, *rest = sys.argv[1:]
    credentials = Credentials(*json.loads(os.environ[SERVER]))
    if step == "extract":
        _extract(credentials, Path(rest[0]), int(rest[1]), int(rest[2]))
    elif step == "read":
        _read(credentials, Path(rest[0]))
    else:
        _write(credentials, int(rest[0]))
    if {"pandas", "numpy"} & set(sys.modules):
        raise SystemExit("pandas or numpy was imported, which the functions do not have")
    return 0


def _extract(credentials: Credentials, directory: Path, count: int, batch: int) -> None:
    readers = ReaderProcesses(directory, count)
    fan_out = FanOut(readers, max(2, count), rows=10**12, range_rows=DEFAULT_LIMITS.rows, seconds=LONG)
    declared, lake = declarations.load(directory), Lake(Files(directory / "lake"), "lake")
    with connect(credentials) as connection:
        readers.begun = begun = time.perf_counter()
        used = time.process_time()
        source, limits = PostgresSource(connection), Limits(rows=batch)
        done = extract(source, lake, declared, uuid.uuid4().hex, limits=limits, fan_out=fan_out)
        seconds, used = time.perf_counter() - begun, time.process_time() - used
    found = {"seconds": seconds, "client": used, "peak": _peak(), "readers": readers.used(), "said": done.readers}
    print(json.dumps(found), flush=True)


def _read(credentials: Credentials, directory: Path) -> None:
    declared, lake = declarations.load(directory), Lake(Files(directory / "lake"), "lake")
    print(flush=True)
    used = time.process_time()
    for line in sys.stdin:
        event = {key: value for key, value in json.loads(line).items() if key != "action"}
        with connected(credentials) as connection:
            found = read_range(PostgresSource(connection), lake, declared, ReadRequest.from_json(event))
        print(json.dumps(found.to_json()), flush=True)
    print(json.dumps({"client": time.process_time() - used, "peak": _peak()}))


def _write(credentials: Credentials, most: int) -> None:
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    with connect(credentials) as connection:
        connection.run(f"SELECT setseed({random.Random(16).random()})")  # noqa: S311
        print(connection.rows("SELECT pg_backend_pid()")[0][0], flush=True)
        done = int(connection.rows("SELECT max(sales_order_id) - CAST(:most AS int) FROM sales_order", most=most)[0][0])
        done, before = done // 5, done // 5
        while not ended.wait(PAUSE):
            connection.run(CHANGES, most=most, done=done)
            done += 1
    print((done - before) * 35)  # five deleted, about 25 updated, five inserted


def _peak() -> int:
    """Bytes of memory, at most until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
