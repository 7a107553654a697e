"""The whole pipeline on this machine, with the emulated AWS between: millions of rows at first, then one row at a time.

With `--seed`, also what a directory has of totesys' tables, as `deploy.py local run --seed` reads it: a file for each.

Starts a local stack of its own in a temporary directory, with its databases, its emulator and all functions deployed,
and stops it. Each time is that of a command, `deploy.py run`, with the start of Python and with bytecode cached.
Run: python -m benchmarks.embedded_stack, and see its --help
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from benchmarks.report import machine_now, markdown_table, replace_between, show_table
from benchmarks.rounds import spread
from benchmarks.sizes import REPOSITORY
from benchmarks.startup import with_bytecode
from lambda_toolkit.pipeline.local_stack.description import Stack
from lambda_toolkit.pipeline.local_stack.running import load_stack
from lambda_toolkit.pipeline.local_stack.stack import simulated_source
from lambda_toolkit.pipeline.local_stack.totesys.seed import files_in

COLUMNS = ("`deploy.py run`", "wall s", "processor s of the command alone", "rows a second")
SHARES = ("of the first run", "processor s")
NO_SEED = (
    "Totesys' own data were not measured: `--seed DIRECTORY` says where they are, with a Parquet or CSV file for each "
    "table."
)
_SHOWN = 2000  # characters of what a failed command said
_CHANGE = "UPDATE payment SET paid = NOT paid, last_updated = now() WHERE payment_id = 1 RETURNING paid"
_LOADED = "SELECT paid FROM fact_payment WHERE payment_id = 1 ORDER BY payment_record_id DESC LIMIT 1"
_COUNTS = {"source": "SELECT count(*) FROM {}", "warehouse": "SELECT count(DISTINCT {1}) FROM {0}"}
_FACTS = (("sales_order", "fact_sales_order", "sales_order_id"), ("payment", "fact_payment", "payment_id"))


def main() -> int:
    """Measure, print, and write the table into its place where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedded_stack", description=__doc__)
    parser.add_argument(
        "--orders", type=int, default=1_600_000, help="each with its transaction and payment (1,600,000)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="runs with one changed row (5)")
    parser.add_argument("--seed", type=Path, metavar="DIRECTORY", help="with Parquet or CSV files of totesys' tables")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the table into its place in this document")
    arguments = parser.parse_args()
    into = arguments.into.resolve() if arguments.into else None
    rows, shares, notes = [], [], [] if arguments.seed else [NO_SEED]
    if arguments.seed:
        directory = arguments.seed.resolve()
        with _stack("--seed", str(directory)) as home:
            rows.append(_first_run(home, "the first, totesys' own data", seeded := _seeded(directory))[0])
            rows.append(_changed_row(home, arguments.rounds, seeded))
    with _stack("--orders", str(arguments.orders)) as home:
        first, used = _first_run(home, "the first", 3 * arguments.orders)
        rows.append(first)
        shares = [[f"{what}, {3 * arguments.orders:,} rows", f"{seconds:.2f}"] for what, seconds in used.items()]
        rows.append(_changed_row(home, arguments.rounds, 3 * arguments.orders))
    show_table("embedded stack", COLUMNS, rows, notes)
    show_table("who uses the processors", SHARES, shares, [])
    if into:
        when = f"{machine_now(arguments.rounds)}; first runs once\n\n"
        below = "".join(f"\n{note}\n" for note in notes)
        replace_between(into, "embedded stack", when + markdown_table(COLUMNS, rows) + below)
        replace_between(into, "embedded stack, shares", when + markdown_table(SHARES, shares))
    return 0


@contextmanager
def _stack(*options: str) -> Iterator[Path]:
    """A local stack, started with ``options``, in a directory of its own; both are removed at the end."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        shutil.copytree(REPOSITORY / "config", home / "config")
        try:
            _command(home, "local", "up", *options)
            yield home
        finally:
            _command(home, "local", "down", "--wipe")


def _seeded(directory: Path) -> int:
    """The rows in the Parquet files of ``directory``, and in its CSV files, each of which has a header."""
    rows = 0
    for file in files_in(directory).values():
        found = pq.ParquetFile(file).metadata.num_rows if file.suffix == ".parquet" else _table_of(file).num_rows
        rows += found
    return rows


def _table_of(file: Path) -> pa.Table:
    return pc.read_csv(file, parse_options=pc.ParseOptions(newlines_in_values=True))


def _first_run(home: Path, name: str, rows: int) -> tuple[list[str], dict[str, float]]:
    """A row for the first run, which has so many ``rows``, and the processor seconds of all that take part in it.

    Raises SystemExit where they do not arrive.
    """
    stack = load_stack(home)
    before = _processor_seconds(stack)
    seconds, used = _command(home, "run")
    after = {name: now - before.get(name, 0.0) for name, now in _processor_seconds(stack).items()}
    _check(stack)
    row = [f"{name}, {rows:,} rows", f"{seconds:.2f}", f"{used:.2f}", f"{rows / seconds:,.0f}"]
    return row, {**after, "the command": used}


def _processor_seconds(stack: Stack) -> dict[str, float]:
    """User and system seconds so far of each process of the stack, and of all that it started."""
    found: dict[str, float] = {}
    for name, identity in stack.processes.items():
        process = psutil.Process(identity.pid)
        own = process.cpu_times()
        below = [each.cpu_times() for each in process.children(recursive=True)]
        ended = own.children_user + own.children_system
        found[name] = own.user + own.system
        found[f"what {name} starts"] = ended + sum(sum(each[:4]) for each in below)
    return {name: seconds for name, seconds in found.items() if seconds}


def _changed_row(home: Path, times: int, rows: int) -> list[str]:
    """A row for the runs with one changed row of ``rows``. Raises SystemExit where one does not arrive."""
    stack = load_stack(home)
    found = []
    source, warehouse = simulated_source(stack).connect(), stack.warehouse.connect()
    try:
        for _ in range(times + 1):
            paid = source.run(_CHANGE)[0][0]
            found.append(_command(home, "run"))
            if warehouse.run(_LOADED)[0][0] != paid:
                raise SystemExit("the changed row is not in the warehouse")
    finally:
        source.close()
        warehouse.close()
    parts = [spread([sample[part] for sample in found[1:]]) for part in (0, 1)]
    return [f"one changed row of {rows:,}, until it is in the warehouse", *parts, ""]


def _check(stack: Stack) -> None:
    """Raises SystemExit where the warehouse has not as many orders or payments as the source."""
    source, warehouse = simulated_source(stack).connect(), stack.warehouse.connect()
    try:
        for table, fact, key in _FACTS:
            wanted = source.run(_COUNTS["source"].format(table))[0][0]
            loaded = warehouse.run(_COUNTS["warehouse"].format(fact, key))[0][0]
            if wanted != loaded:
                raise SystemExit(f"{fact} has {loaded:,} of {wanted:,} rows")
    finally:
        source.close()
        warehouse.close()


def _command(home: Path, *arguments: str) -> tuple[float, float]:
    """Runs `deploy.py`; returns its seconds and those of its processor. Raises SystemExit where it fails."""
    begun, before = time.perf_counter(), os.times()
    command = [sys.executable, str(REPOSITORY / "deploy.py"), *arguments]
    environment = with_bytecode(home / "bytecode")
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"deploy.py {' '.join(arguments)} failed: {(done.stdout + done.stderr)[-_SHOWN:]}")
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return time.perf_counter() - begun, used


if __name__ == "__main__":
    sys.exit(main())
