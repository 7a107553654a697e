"""The whole pipeline on this machine, with the emulated AWS between: millions of rows at first, then one row at a time.

Starts a local stack of its own in a temporary directory, with its databases, its emulator and all functions deployed,
and stops it. Each time is that of a command, `deploy.py run`, with the start of Python.
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
from pathlib import Path

from benchmarks.report import machine_now, markdown_table, replace_between, show_table
from benchmarks.rounds import spread
from benchmarks.sizes import REPOSITORY
from lambda_toolkit.pipeline.local_stack.description import Stack
from lambda_toolkit.pipeline.local_stack.stack import load_stack, simulated_source

COLUMNS = ("`deploy.py run`", "wall s", "processor s of the command alone", "rows a second")
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
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the table into its place in this document")
    arguments = parser.parse_args()
    into = arguments.into.resolve() if arguments.into else None
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        shutil.copytree(REPOSITORY / "config", home / "config")
        try:
            _command(home, "local", "up", "--orders", str(arguments.orders))
            rows = _measured(home, arguments.orders, arguments.rounds)
        finally:
            _command(home, "local", "down", "--wipe")
    show_table("embedded stack", COLUMNS, rows, ())
    if into:
        when = f"{machine_now(arguments.rounds)}; the first run once\n\n"
        replace_between(into, "embedded stack", when + markdown_table(COLUMNS, rows))
    return 0


def _measured(home: Path, orders: int, times: int) -> list[list[str]]:
    """A row for the first run, and one for those with one changed row. Raises SystemExit where one does not arrive."""
    stack = load_stack(home)
    seconds, used = _command(home, "run")
    _check(stack)
    first = [f"the first, {3 * orders:,} rows", f"{seconds:.2f}", f"{used:.2f}", f"{3 * orders / seconds:,.0f}"]
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
    return [first, ["one changed row, until it is in the warehouse", *parts, ""]]


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
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"deploy.py {' '.join(arguments)} failed: {(done.stdout + done.stderr)[-_SHOWN:]}")
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return time.perf_counter() - begun, used


if __name__ == "__main__":
    sys.exit(main())
