"""What extract costs on tables of a million rows and more: seconds, and the peak memory of its process.

Starts a PostgreSQL of its own in a temporary directory, and stops it; the lake is a directory.
Run: python -m benchmarks.capturing [millions of rows ...]
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.files import Files
from lambdas.extract.budget import Limits
from lambdas.extract.extraction import Request, extract
from lambdas.extract.several import extract_all
from lambdas.shared.declarations import parse
from lambdas.shared.lake import Lake
from lambdas.shared.postgres import Credentials, connect
from local import postgres

REPOSITORY = Path(__file__).parents[1]
DECLARED = {
    "source": {"payment": {"key": "payment_id", "deletes": "every run"}},
    "warehouse": {"dim_date": {"kind": "calendar", "key": "date_id"}},
}
TABLE = """
CREATE TABLE payment (payment_id int PRIMARY KEY,
    created_at timestamp(3) NOT NULL, last_updated timestamp(3) NOT NULL,
    transaction_id int NOT NULL, counterparty_id int NOT NULL,
    payment_amount numeric NOT NULL, currency_id int NOT NULL,
    payment_type_id int NOT NULL, paid boolean NOT NULL, payment_date varchar NOT NULL, company_ac_number int NOT NULL,
    counterparty_ac_number int NOT NULL)
"""
ROWS = """
INSERT INTO payment SELECT n, now(), now(), n, n % 20, n / 100.0, n % 3, n % 4, n % 2 = 0, '2024-01-07', n, n
FROM generate_series(1, CAST(:rows AS int)) AS n
"""


def main() -> int:
    """Measure each step in a process of its own, and print."""
    if sys.argv[1:2] == ["--step"]:
        return _step(*sys.argv[2:])
    print(f"{'rows':>10}  {'run':<34}{'wall s':>8}{'peak MB':>9}{'batches':>9}")
    for millions in map(float, sys.argv[1:] or ("1", "5")):
        with tempfile.TemporaryDirectory() as directory:
            server = postgres.start(Path(directory) / "server")
            try:
                _measure(server, Path(directory), int(millions * 1_000_000))
            finally:
                postgres.remove(Path(directory) / "server")
    return 0


def _measure(server: postgres.Server, directory: Path, rows: int) -> None:
    credentials = Credentials(server.host, server.port, "postgres", server.superuser, server.password)
    with connect(credentials) as admin:
        admin.run(TABLE)
        admin.run(ROWS, rows=rows)
        admin.run("VACUUM ANALYZE payment")
        steps = (
            ("nothing read before: first load", "SELECT 1"),
            ("nothing changed", "SELECT 1"),
            ("1,000 changed, keys compared", "UPDATE payment SET paid = NOT paid WHERE payment_id % (SELECT "
             "max(payment_id) / 1000 FROM payment) = 0"),
            ("1,000 changed, keys not compared", "UPDATE payment SET paid = NOT paid WHERE payment_id < 1001"),
            ("one deleted, keys compared", "DELETE FROM payment WHERE payment_id = 5"),
        )  # fmt: skip
        for name, change in steps:
            admin.run(change)
            deletes = "never" if "not compared" in name else "every run"
            command = [sys.executable, "-m", "benchmarks.capturing", "--step", str(directory), deletes]
            given = {**os.environ, "SOURCE": json.dumps([server.host, server.port, server.superuser, server.password])}
            done = subprocess.run(command, cwd=REPOSITORY, env=given, capture_output=True, text=True, check=True)
            seconds, peak, batches = done.stdout.split()
            print(f"{rows:>10,}  {name:<34}{seconds:>8}{peak:>9}{batches:>9}", flush=True)


def _step(directory: str, deletes: str) -> int:
    host, port, user, password = json.loads(os.environ["SOURCE"])
    declared = parse({**DECLARED, "source": {"payment": {"key": "payment_id", "deletes": deletes}}})
    lake = Lake(Files(Path(directory) / "lake"), "lake")
    before = lake.last_batch() or 0
    with connect(Credentials(host, port, "postgres", user, password)) as connection:
        begun = time.perf_counter()
        if before:
            extract(connection, lake, declared, os.urandom(4).hex())
        else:
            extract_all(connection, lake, declared, Request(), Limits())
        seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{seconds:.2f} {peak} {(lake.last_batch() or 0) - before}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
