"""What extract costs on tables of a million rows and more: seconds, and the peak memory of its process.

Starts a PostgreSQL of its own in a temporary directory, and stops it; the lake is a directory.
Run: python -m benchmarks.capturing [millions of rows ...], and see its --help
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import sizes
from benchmarks.files import Files
from benchmarks.sizes import Step
from lambda_toolkit.pipeline.lambdas.extract.extraction import Request, extract, extract_all
from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect

MODULE = "benchmarks.capturing"
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
INSERT INTO payment SELECT n, now(), now(), n, n % 20, round(n / 100.0, 2), n % 3, n % 4, n % 2 = 0, '2024-01-07', n, n
FROM generate_series(1, CAST(:rows AS int)) AS n
"""
STEPS = (
    ("nothing read before: first load", "every run", "SELECT 1"),
    ("nothing changed", "every run", "SELECT 1"),
    (
        "1,000 changed, keys compared",
        "every run",
        "UPDATE payment SET paid = NOT paid WHERE payment_id % (SELECT max(payment_id) / 1000 FROM payment) = 0",
    ),
    ("1,000 changed, keys not compared", "never", "UPDATE payment SET paid = NOT paid WHERE payment_id < 1001"),
    ("one deleted, keys compared", "every run", "DELETE FROM payment WHERE payment_id = 5"),
)


def main() -> int:
    """Measure each step in a process of its own, and print."""
    if sys.argv[1:2] == ["--step"]:
        return _step(*sys.argv[2:])
    return sizes.main(MODULE, __doc__, "batches", (1, 5), _measure)


def _measure(to: Credentials, directory: Path, rows: int) -> Iterator[Step]:
    with connect(to) as admin:
        admin.run(TABLE)
        admin.run(ROWS, rows=rows)
        admin.run("VACUUM ANALYZE payment")
        for name, deletes, change in STEPS:
            admin.run(change)
            yield sizes.in_its_own_process(MODULE, to, rows, name, str(directory), deletes)


def _step(directory: str, deletes: str) -> int:
    declared = parse({**DECLARED, "source": {"payment": {"key": "payment_id", "deletes": deletes}}})
    lake = Lake(Files(Path(directory) / "lake"), "lake")
    before = lake.last_batch() or 0
    with connect(sizes.server()) as connection:
        begun = time.perf_counter()
        if before:
            extract(PostgresSource(connection), lake, declared, os.urandom(4).hex())
        else:
            extract_all(PostgresSource(connection), lake, declared, Request(), Limits())
        seconds = time.perf_counter() - begun
    sizes.tell(seconds, str((lake.last_batch() or 0) - before))
    return 0


if __name__ == "__main__":
    sys.exit(main())
