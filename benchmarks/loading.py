"""What load costs with facts by the million: seconds, and the peak memory of its process.

Starts a PostgreSQL of its own in a temporary directory, and stops it; the lake is a directory. The warehouse is that of
config/warehouse.sql, with nine foreign keys on the facts that are loaded.
Run: python -m benchmarks.loading [millions of rows ...], and see its --help
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks import sizes
from benchmarks.files import Files
from benchmarks.sizes import REPOSITORY, Step
from lambda_toolkit.pipeline.config.aws.deployment import tables_json
from lambda_toolkit.pipeline.config.load import load as configuration
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import ProcessedManifest, ProcessedTable, to_json
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import batch_folder, manifest_key, revision_key
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import ParquetPart
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations, parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect
from lambda_toolkit.pipeline.warehouse.preparation import prepare

MODULE = "benchmarks.loading"
FACT = "fact_sales_order"
DIMENSIONS = """
INSERT INTO dim_date SELECT d, 1, 1, 1, 1, '', '', 1 FROM generate_series(DATE '2022-01-01', '2024-12-31', '1 day') d;
INSERT INTO dim_staff SELECT n, '', '', '', '', '' FROM generate_series(1, 20) n;
INSERT INTO dim_location SELECT n, '', '', '', '', '', '', '' FROM generate_series(1, 30) n;
INSERT INTO dim_counterparty SELECT n, '', '', '', '', '', '', '', '' FROM generate_series(1, 20) n;
INSERT INTO dim_currency SELECT n, '', '' FROM generate_series(1, 3) n;
INSERT INTO dim_design SELECT n, '', '', '' FROM generate_series(1, 500) n
"""
FIRST_DAY = 18_993  # 2022-01-01, in days since 1970


def main() -> int:
    """Measure each step in a process of its own, and print."""
    if sys.argv[1:2] == ["--step"]:
        return _step(sys.argv[2])
    return sizes.main(MODULE, __doc__, "written", (1,), _measure)


def _measure(to: Credentials, directory: Path, rows: int) -> Iterator[Step]:
    schema = (REPOSITORY / "config" / "warehouse.sql").read_text(encoding="utf-8")
    with connect(to) as admin:
        prepare(admin, schema, declared())
        for statement in DIMENSIONS.split(";"):
            admin.run(statement)
    lake = Lake(Files(directory / "lake"), "lake")
    steps = (
        ("into the empty table", 1, 1),
        ("the same again", 1, 1),
        ("one in ten is another version", 10, 2),
        ("one in a thousand is another version", 1000, 3),
    )
    for batch, (name, one_in, units) in enumerate(steps, start=1):
        write_batch(lake, batch, orders(np.arange(1, rows + 1, one_in), units))
        yield sizes.in_its_own_process(MODULE, to, rows, name, str(directory))


def _step(directory: str) -> int:
    lake = Lake(Files(Path(directory) / "lake"), "lake")
    with connect(sizes.server()) as connection:
        begun = time.perf_counter()
        loaded = load(PostgresWarehouse(connection), lake, declared())
        seconds = time.perf_counter() - begun
    sizes.tell(seconds, f"{loaded.appended[FACT]:,}")
    return 0


def declaration() -> bytes:
    """The tables of this repository's configuration, as they are packaged with a function."""
    return tables_json(configuration(REPOSITORY / DEFAULT_PATH))


def declared() -> Declarations:
    """The same, read."""
    return parse(json.loads(declaration()))


def orders(ids: npt.NDArray[np.int64], units: int) -> pa.Table:
    """Rows of the fact with these keys; with other ``units`` they are other versions."""
    days = pa.array((FIRST_DAY + ids % 1000).astype("int32")).cast(pa.date32())
    ten = pa.array(np.full(len(ids), 36_000_000, "int32")).cast(pa.time32("ms"))

    def numbers(values: npt.NDArray[np.int64]) -> pa.Array:
        return pa.array(values.astype("int32"))

    return pa.table(
        {
            "sales_order_id": numbers(ids),
            "created_date": days,
            "created_time": ten,
            "last_updated_date": days,
            "last_updated_time": ten,
            "sales_staff_id": numbers(1 + ids % 20),
            "counterparty_id": numbers(1 + ids % 20),
            "units_sold": numbers(np.full(len(ids), units)),
            "unit_price": numbers(ids % 1000).cast(pa.decimal128(12, 2)).cast(pa.decimal128(10, 2)),
            "currency_id": numbers(1 + ids % 3),
            "design_id": numbers(1 + ids % 500),
            "agreed_payment_date": days,
            "agreed_delivery_date": days,
            "agreed_delivery_location_id": numbers(1 + ids % 30),
        }
    )


def write_batch(lake: Lake, batch: int, rows: pa.Table) -> None:
    """Writes a batch with these rows of the fact."""
    with ParquetPart(rows.schema) as part:
        part.write(rows)
        key = lake.put_table(batch_folder(FACT, batch), part)
    at = datetime.now(UTC).isoformat()
    manifest = ProcessedManifest(batch, manifest_key(batch), at, {FACT: ProcessedTable(len(rows), key, None)}, {}, 1)
    lake.put_if_absent(revision_key(batch, 1), to_json(manifest))


if __name__ == "__main__":
    sys.exit(main())
