"""A large table, read by one reader and by several in one snapshot, while another process changes its rows.

Compared with the source in that very snapshot: every key, and the sum of every column. Sizes but the largest predict
the largest, by the model of `deploy.py backfill --plan`. Starts a PostgreSQL of its own in a temporary directory, and
stops it; the lake is a directory.
Run: python -m benchmarks.reading_in_parallel, and see its --help
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import parallel_contents, parallel_prediction
from benchmarks.data_peers import FUNCTIONS
from benchmarks.loading_beside import Scene, python_with
from benchmarks.parallel_prediction import Checking, Reading
from benchmarks.report import markdown_table, replace_between, show_table
from benchmarks.rounds import process_seconds, server_seconds
from benchmarks.sizes import REPOSITORY
from lambda_toolkit.pipeline.lambdas.extract.limits import DEFAULT_LIMITS
from lambda_toolkit.pipeline.lambdas.extract.row_set import ALL
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server

DECLARED = {
    "format": 1,
    "source": {"sales_order": {"key": "sales_order_id", "deletes": "never"}},
    "warehouse": {"dim_date": {"kind": "calendar", "key": "date_id"}},
}
TABLE = """
CREATE UNLOGGED TABLE sales_order (
    sales_order_id int NOT NULL, created_at timestamp(3) NOT NULL, last_updated timestamp(3) NOT NULL,
    design_id int NOT NULL, staff_id int NOT NULL, counterparty_id int NOT NULL, units_sold int NOT NULL,
    unit_price numeric(10, 2) NOT NULL, currency_id int NOT NULL, agreed_delivery_date varchar NOT NULL,
    agreed_payment_date varchar NOT NULL, agreed_delivery_location_id int NOT NULL)
"""
ROWS = """
INSERT INTO sales_order SELECT n, made, made, n % 331, n % 20, n % 21, 1000 + n % 99000, (200 + n % 200) / 100.0,
    n % 3, day, day, n % 30
FROM (SELECT n, '2022-11-03'::timestamp(3) + n % 70000000 * interval '1 second' AS made,
        (ARRAY['2022-11-09', '2023-02-28', '2023-12-31', '2024-01-07'])[1 + n % 4] AS day
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n) AS numbered
"""
SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "maintenance_work_mem": "1GB",
    "autovacuum": "off",  # it would come at another time in each run
}
COLUMNS = (
    "rows", "readers", "wall s", "rows a second", "cpu s of extract", "of its readers", "of the source",
    "MB of a reader", "missing", "doubled", "other sums", "changed meanwhile",
)  # fmt: skip
SMALL = 20_000_000  # rows: fewer are read several times


def main() -> int:
    """Measure each size, print the tables, and write them into their place where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading_in_parallel", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 10_000_000, 100_000_000])
    parser.add_argument("--readers", type=int, nargs="+", default=[1, 8], help="at a time (1 and 8)")
    parser.add_argument("--rounds", type=int, default=3, help=f"of a table with less than {SMALL:,} rows (3)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the tables into their places in this document")
    arguments = parser.parse_args()
    readings: list[Reading] = []
    checkings: list[Checking] = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "tables.json").write_text(json.dumps(DECLARED), encoding="utf-8")
        scene = Scene(postgres_server.start(directory / "server", settings=SETTINGS), directory)
        try:
            for rows in sorted(arguments.rows):
                checkings.append(_generate(scene, rows))
                for _ in range(arguments.rounds if rows < SMALL else 1):
                    readings += [_read(scene, rows, count) for count in arguments.readers]
        finally:
            postgres_server.remove(directory / "server")
    rows = [_row(group) for group in _groups(readings)]
    show_table("reading in parallel", COLUMNS, rows, [])
    expected = parallel_prediction.predictions(readings, checkings)
    show_table("the largest, predicted from the others", parallel_prediction.COLUMNS, expected, [])
    print(json.dumps([each.__dict__ for each in (*checkings, *readings)]))
    if arguments.into:
        replace_between(arguments.into, "reading in parallel", f"{_machine()}\n\n{markdown_table(COLUMNS, rows)}")
        text = markdown_table(parallel_prediction.COLUMNS, expected)
        replace_between(arguments.into, "reading in parallel, predicted", f"{_machine()}\n\n{text}")
    return 0 if not any(each.missing or each.doubled or each.other_sums for each in readings) else 1


def _generate(scene: Scene, rows: int) -> Checking:
    """Makes the table with so many rows, by two sessions, and has the source count it and add it up once."""
    began = time.perf_counter()
    with scene.connect("postgres") as admin:
        admin.run("DROP TABLE IF EXISTS sales_order")
        admin.run(TABLE)
        halves = [(1, rows // 2), (rows // 2 + 1, rows)]

        def fill(half: tuple[int, int]) -> None:
            with scene.connect("postgres") as session:
                session.run("SET statement_timeout = 0")
                session.set_timeout(None)
                session.run(ROWS, first=half[0], last=half[1])

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(fill, halves))
        admin.run("SET statement_timeout = 0")
        admin.set_timeout(None)
        admin.run("ALTER TABLE sales_order ADD PRIMARY KEY (sales_order_id)")
        admin.run("VACUUM (FREEZE, ANALYZE) sales_order")
        _say(f"{rows:,} rows were made: {time.perf_counter() - began:.0f} s")
        declared = parse(DECLARED)
        with PostgresSource(admin).snapshot(declared.source.values()) as snapshot:
            info = snapshot.describe(list(declared.source.values()))["sales_order"]
            begun, used = time.perf_counter(), server_seconds(scene.server.pid)
            snapshot.sums(info, ALL)
            return Checking(rows, time.perf_counter() - begun, server_seconds(scene.server.pid) - used)


def _read(scene: Scene, rows: int, readers: int) -> Reading:
    """One run of extract while another process writes, and what came of it."""
    shutil.rmtree(scene.directory / "lake", ignore_errors=True)
    with _writing(scene, rows) as writer, scene.connect("postgres") as beside:
        beside.run("SET statement_timeout = 0")
        beside.run("SET idle_in_transaction_session_timeout = 0")
        beside.set_timeout(None)
        written, session = writer.seconds()
        used = server_seconds(scene.server.pid)
        batch = min(DEFAULT_LIMITS.rows, rows // 2)  # a smaller table is read by extract alone
        with _started(scene, "extract", str(scene.directory), str(readers), str(batch)) as process:
            shown = _printed(process)
            beside.run("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            beside.run(f"SET TRANSACTION SNAPSHOT '{shown['snapshot']}'")
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            found = _printed(process)
        own, own_session = writer.seconds()
        source = server_seconds(scene.server.pid) - used - (own_session - session)
        changes = writer.end()
        if "ranges" not in found["said"].get("sales_order", ""):
            raise SystemExit(f"the table was not read by readers: {found['said']}")
        differences = parallel_contents.compare(beside, scene.directory / "lake", rows)
    reading = Reading(
        rows,
        readers,
        found["seconds"],
        shown["seconds"],
        found["client"],
        sum(each["client"] for each in found["readers"]),
        source,
        own - written,
        max(each["peak"] for each in found["readers"]),
        changes,
        differences.missing,
        differences.doubled,
        differences.other_sums,
    )
    _say(f"{reading}")
    return reading


@dataclass
class _Writer:
    """The process that changes rows, and its session."""

    process: subprocess.Popen[str]
    backend: int
    changes: int = 0

    def seconds(self) -> tuple[float, float]:
        """Of the processor: of both, and of the session alone."""
        session = process_seconds(self.backend)
        return process_seconds(self.process.pid) + session, session

    def end(self) -> int:
        """Ends it. Returns how many rows it has changed."""
        if self.process.returncode is None:
            printed, _ = self.process.communicate()
            self.changes = int(printed)
        return self.changes


@contextmanager
def _writing(scene: Scene, rows: int) -> Iterator[_Writer]:
    with _started(scene, "write", str(rows)) as process:
        yield (writer := _Writer(process, int(process.stdout.readline())))  # type: ignore[union-attr]
        writer.end()


@contextmanager
def _started(scene: Scene, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process with what the functions have; it has ended after the block."""
    command = [str(python_with(FUNCTIONS)), "-m", "benchmarks.parallel_step", *arguments]
    given = {**os.environ, **scene.variables("postgres")}
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=given, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _printed(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a process has printed, one line of JSON."""
    line = process.stdout.readline()  # type: ignore[union-attr]
    if not line:
        raise SystemExit(f"{' '.join(map(str, process.args))} failed.")  # type: ignore[arg-type]
    return dict(json.loads(line))


def _groups(readings: Sequence[Reading]) -> list[list[Reading]]:
    """The readings of the same table by as many readers, the smallest first."""
    found: dict[tuple[int, int], list[Reading]] = {}
    for each in readings:
        found.setdefault((each.rows, each.readers), []).append(each)
    return list(found.values())


def _row(group: Sequence[Reading]) -> list[str]:
    def median(name: str) -> float:
        return float(statistics.median(getattr(each, name) for each in group))

    def most(name: str) -> str:
        return f"{max(getattr(each, name) for each in group):,}"

    seconds = median("seconds")
    return [
        f"{group[0].rows:,}",
        f"{group[0].readers}",
        f"{seconds:.1f}",
        f"{group[0].rows / seconds:,.0f}",
        *(f"{median(name):.1f}" for name in ("extract", "reading", "source")),
        f"{max(each.peak for each in group) / 2**20:.0f}",
        *(most(name) for name in ("missing", "doubled", "other_sums")),
        f"{median('written'):,.0f}",
    ]


def _machine() -> str:
    return (
        f"{date.today().isoformat()}, {os.cpu_count()} cores for the server, extract, its readers and who writes, load "
        f"{os.getloadavg()[0]:.1f} over the last minute"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
