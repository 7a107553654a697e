"""What `reading_in_parallel` has read, compared with the source in the same snapshot: every key, every column's sum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.files import Files
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import ingestion_manifest
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection

TABLE, KEY = "sales_order", "sales_order_id"
# Column -> its value as an integer, for PostgreSQL. The sums of a file are made of the same integers by Arrow.
VALUES = {
    KEY: "{}::bigint",
    "created_at": "(date_part('epoch', {}) * 1000)::bigint",
    "last_updated": "(date_part('epoch', {}) * 1000)::bigint",
    **dict.fromkeys(("design_id", "staff_id", "counterparty_id", "units_sold", "currency_id"), "{}::bigint"),
    "unit_price": "({} * 100)::bigint",
    **dict.fromkeys(("agreed_delivery_date", "agreed_payment_date"), "({}::date - '1970-01-01'::date)::bigint"),
    "agreed_delivery_location_id": "{}::bigint",
}
_HEADER, _ROWS = (
    19,
    5_000_000,
)  # bytes before the first row of PostgreSQL's binary format; rows that are compared together
_ROW = np.dtype([("fields", ">i2"), ("length", ">i4"), ("key", ">i4")])


@dataclass(frozen=True)
class Differences:
    """Keys that the source has and the files have not, or have more than once; and columns with other sums.

    A key that the files have and the source has not counts as doubled, and other numbers of rows as another sum.
    """

    missing: int
    doubled: int
    other_sums: int


def compare(source: Connection, directory: Path, rows: int) -> Differences:
    """The files of the first batch in ``directory`` beside what ``source`` shows in its present transaction.

    ``rows``: about the largest key.
    """
    seen = np.zeros(2 * rows + 1_000_000, np.uint8)
    count, sums = 0, dict.fromkeys(VALUES, 0)
    for table in _files(directory):
        count += table.num_rows
        np.add.at(seen, table.column(KEY).to_numpy(), 1)
        for name in sums:
            sums[name] += _sum(table.column(name))
    wanted = ", ".join(f"sum({value.format(name)})::text" for name, value in VALUES.items())
    counted, *expected = source.rows(f"SELECT count(*), {wanted} FROM {TABLE}")[0]  # noqa: S608
    missing = 0
    for keys in _keys(source):
        missing += int(np.count_nonzero(seen[keys] == 0))
        seen[keys] -= 1  # to 255 where it is missing: it counts there alone
    other = sum(int(text) != sums[name] for name, text in zip(VALUES, expected, strict=True))
    return Differences(missing, int(np.count_nonzero(seen)) - missing, other + (counted != count))


def _files(directory: Path) -> Iterator[pa.Table]:
    lake = Lake(Files(directory), "lake")
    manifest = ingestion_manifest(lake.get(manifest_key(1)), manifest_key(1))
    for file in manifest.tables[TABLE].change_files:
        yield pq.ParquetFile(directory / file.key).read(columns=list(VALUES))


def _sum(column: pa.ChunkedArray) -> int:
    kind = column.type
    if pa.types.is_string(kind):
        found = pc.value_counts(column)
        days = found.field("values").cast(pa.date32()).cast(pa.int32()).to_pylist()
        return sum(day * times for day, times in zip(days, found.field("counts").to_pylist(), strict=True))
    if pa.types.is_timestamp(kind):
        return int(pc.sum(column.cast(pa.timestamp("ms")).cast(pa.int64())).as_py())
    if pa.types.is_decimal(kind):
        return int(pc.sum(column).as_py().scaleb(kind.scale))
    return int(pc.sum(column.cast(pa.int64())).as_py())


def _keys(source: Connection) -> Iterator[npt.NDArray[np.int64]]:
    """The keys of the source: its server writes them to a file among its own, which this process may read."""
    path = Path(source.rows("SELECT current_setting('data_directory')")[0][0]) / "keys.copy"
    try:
        source.run(f"COPY (SELECT {KEY} FROM {TABLE}) TO '{path}' (FORMAT binary)")  # noqa: S608
        with path.open("rb") as file:
            file.seek(_HEADER)
            while (found := np.fromfile(file, _ROW, _ROWS)).size:
                yield found["key"].astype(np.int64)
    finally:
        path.unlink(missing_ok=True)
