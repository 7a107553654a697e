"""What the functions do with tables by the million: a server for each size, and a process of its own for each step."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.report import markdown_table, replace_between
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server

REPOSITORY = Path(__file__).parents[1]
_SERVER = "BENCHMARK_SERVER"


@dataclass(frozen=True)
class Step:
    """One step with one size: wall time in seconds, the peak memory of its process in MB, and what came of it."""

    rows: int
    name: str
    seconds: float
    peak: int
    result: str


Measure = Callable[[Credentials, Path, int], Iterator[Step]]


def main(module: str, document: str, result: str, sizes: tuple[float, ...], measure: Measure) -> int:
    """The command line of ``module``: measures each size, prints a table, and writes it into its place where asked."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=document)
    parser.add_argument("millions", nargs="*", type=float, default=sizes, help="of rows")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the table into its place in this document")
    arguments = parser.parse_args()
    columns = ["rows", "step", "wall s", "peak MB", result]
    print(f"{columns[0]:>10}  {columns[1]:<40}{columns[2]:>8}{columns[3]:>9}{columns[4]:>11}", flush=True)
    rows: list[list[str]] = []
    for millions in arguments.millions:
        with tempfile.TemporaryDirectory() as directory:
            server = postgres_server.start(Path(directory) / "server")
            try:
                to = Credentials(server.host, server.port, "postgres", server.superuser, server.password)
                for step in measure(to, Path(directory), int(millions * 1_000_000)):
                    cells = [f"{step.rows:,}", step.name, f"{step.seconds:.2f}", str(step.peak), step.result]
                    print(f"{cells[0]:>10}  {cells[1]:<40}{cells[2]:>8}{cells[3]:>9}{cells[4]:>11}", flush=True)
                    rows.append(cells)
            finally:
                postgres_server.remove(Path(directory) / "server")
    if arguments.into:
        when = f"{date.today().isoformat()}, {os.cpu_count()} cores, one run"
        replace_between(arguments.into, module.split(".")[-1], f"{when}\n\n{markdown_table(columns, rows)}")
    return 0


def in_its_own_process(module: str, to: Credentials, rows: int, name: str, *arguments: str) -> Step:
    """The step ``name``: what ``python -m module --step`` printed by :func:`tell`."""
    given = {**os.environ, _SERVER: json.dumps([to.host, to.port, to.database, to.user, to.password])}
    command = [sys.executable, "-m", module, "--step", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, env=given, stdout=subprocess.PIPE, text=True, check=True)
    seconds, peak, result = json.loads(done.stdout)
    return Step(rows, name, seconds, peak, result)


def server() -> Credentials:
    """The server, in such a process."""
    return Credentials(*json.loads(os.environ[_SERVER]))


def tell(seconds: float, result: str) -> None:
    """Tells the process that measures what came of the step."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps([seconds, peak, result]))
