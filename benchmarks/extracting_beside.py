"""What extract and transform cost beside programs that copy or convert the same rows, and check and record nothing.

Starts a PostgreSQL of its own in a temporary directory, and stops it; the lake is a directory. The functions run in an
environment with what they have on Lambda, thus without pandas and numpy. The others are installed on first use.
Everything is measured with two sizes.
Run: python -m benchmarks.extracting_beside, and see its --help
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import capturing
from benchmarks.loading_beside import FUNCTIONS, OTHERS, Scene, psql_path, python_with, write_table
from benchmarks.rounds import Contestant, measure
from lambda_toolkit.pipeline.config.aws.deployment import tables_json
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server

TABLES = ("dim_date", "fact_payment")
CHANGED = "UPDATE payment SET paid = NOT paid WHERE payment_id % (SELECT max(payment_id) / 1000 FROM payment) = 0"
POLARS = ("polars==1.35.2",)
DUCKDB = """
import json, os, sys, time
import duckdb
host, port, database, user, password = json.loads(os.environ["BENCHMARK_SERVER"])
begun, used = time.perf_counter(), time.process_time()
lake = duckdb.connect()
lake.sql("INSTALL postgres; LOAD postgres")
lake.sql(f"ATTACH 'host={host} port={port} dbname={database} user={user} password={password}' AS s (TYPE postgres)")
lake.sql(f"COPY (SELECT * FROM s.public.payment) TO '{sys.argv[1]}' (FORMAT parquet, COMPRESSION zstd)")
print(json.dumps({"seconds": time.perf_counter() - begun, "client": time.process_time() - used}))
"""
ADBC = """
import json, os, sys, time
import adbc_driver_postgresql.dbapi as adbc, pyarrow.parquet as pq
host, port, database, user, password = json.loads(os.environ["BENCHMARK_SERVER"])
begun, used = time.perf_counter(), time.process_time()
with adbc.connect(f"postgresql://{user}:{password}@{host}:{port}/{database}") as connection:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM payment")
        reader = cursor.fetch_record_batch()
        with pq.ParquetWriter(sys.argv[1], reader.schema, compression="zstd", compression_level=1) as writer:
            for batch in reader:
                writer.write_batch(batch)
print(json.dumps({"seconds": time.perf_counter() - begun, "client": time.process_time() - used}))
"""
STREAM = """
import glob, json, sys, time
import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq
begun, used, writer = time.perf_counter(), time.process_time(), None
for name in sorted(glob.glob(sys.argv[1] + "/ingestion/data/payment/*/*.changes.parquet")):
    for batch in pq.ParquetFile(name).iter_batches(65536):
        column = {name: batch.column(name) for name in batch.schema.names}
        made, updated = column["created_at"], column["last_updated"]
        rows = pa.table({
            "payment_id": column["payment_id"],
            "created_date": made.cast(pa.date32()), "created_time": made.cast(pa.time64("us"), safe=False),
            "last_updated_date": updated.cast(pa.date32()),
            "last_updated_time": updated.cast(pa.time64("us"), safe=False),
            "transaction_id": column["transaction_id"], "counterparty_id": column["counterparty_id"],
            "payment_amount": column["payment_amount"], "currency_id": column["currency_id"],
            "payment_type_id": column["payment_type_id"], "paid": column["paid"],
            "payment_date": column["payment_date"].cast(pa.timestamp("us")).cast(pa.date32()),
        })
        writer = writer or pq.ParquetWriter(sys.argv[2], rows.schema, compression="zstd", compression_level=1)
        writer.write_table(rows)
writer.close()
print(json.dumps({"seconds": time.perf_counter() - begun, "client": time.process_time() - used}))
"""
FRAME = """
import glob, json, sys, time
import polars as pl
begun, used = time.perf_counter(), time.process_time()
made, updated = pl.col("created_at"), pl.col("last_updated")
names = glob.glob(sys.argv[1] + "/ingestion/data/payment/*/*.changes.parquet")
pl.concat([pl.scan_parquet(name) for name in names]).select(
    "payment_id", made.dt.date().alias("created_date"), made.dt.time().alias("created_time"),
    updated.dt.date().alias("last_updated_date"), updated.dt.time().alias("last_updated_time"),
    "transaction_id", "counterparty_id", "payment_amount", "currency_id", "payment_type_id", "paid",
    pl.col("payment_date").str.to_date(),
).sink_parquet(sys.argv[2], compression="zstd", compression_level=1)
print(json.dumps({"seconds": time.perf_counter() - begun, "client": time.process_time() - used}))
"""


def main() -> int:
    """Measure every table, print it, and write it into its place where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extracting_beside", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table that is read (1,000,000)")
    parser.add_argument("--large", type=int, default=5_000_000, help="of the larger table (5,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each (5); of the larger table 3 at most")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the tables into their places in this document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        scene = Scene(postgres_server.start(directory / "server"), directory)
        try:
            _measure(scene, arguments.rows, arguments.rounds, arguments.into)
            _measure(scene, arguments.large, min(arguments.rounds, 3), arguments.into, ", large")
        finally:
            postgres_server.remove(directory / "server")
    return 0


def declaration() -> bytes:
    """The declaration of totesys' payments, the source's and the fact's, as the functions read it."""
    document = json.loads(tables_json(load(DEFAULT_PATH)))
    document["source"] = {"payment": {**document["source"]["payment"], "deletes": "every run"}}
    document["warehouse"] = {name: document["warehouse"][name] for name in TABLES}
    document["warehouse"]["fact_payment"].pop("references", None)  # of tables that are not declared here
    return json.dumps(document).encode()


def _measure(scene: Scene, rows: int, times: int, into: Path | None, size: str = "") -> None:
    """``size``: ends the names of the tables' places in the document."""
    with scene.connect("postgres") as admin:
        admin.run("DROP DATABASE IF EXISTS payments")
        admin.run("CREATE DATABASE payments")
    with scene.connect("payments") as admin:
        admin.run(capturing.TABLE)
        admin.run(capturing.ROWS, rows=rows)
        admin.run("VACUUM (FREEZE, ANALYZE) payment")
    given = scene.variables("payments")
    home = scene.directory / f"payments{size}"
    home.mkdir()
    (home / "tables.json").write_bytes(declaration())
    written = home / "copy.parquet"

    def ours(name: str, step: str, prepare: Callable[[], object] = lambda: None) -> Contestant:
        command: list[str | Path] = [python_with(FUNCTIONS), "-m", "benchmarks.extract_step", step, home]
        return Contestant(name, command, prepare, given)

    def psql(statement: str) -> list[str]:
        return [psql_path(), "-q", "-v", "ON_ERROR_STOP=1", "-c", statement]

    def change() -> None:
        with scene.connect("payments") as admin:
            admin.run(CHANGED)

    def forget(*names: str) -> None:
        for name in names:
            shutil.rmtree(home / name, ignore_errors=True)

    first = ours("extract, a first load", "extract", partial(forget, "ingestion", "processed"))
    others = [
        Contestant(name, [python_with(OTHERS), "-c", code, written], environment=given)
        for name, code in (("DuckDB, two connections", DUCKDB), ("ADBC, a stream", ADBC))
    ]
    copy = r"\copy payment TO '/dev/null' (FORMAT {})"
    copies = [
        Contestant(f"psql, {style}, to nowhere", psql(copy.format(style)), environment=given)
        for style in ("csv", "binary")
    ]
    write_table(scene, f"first read{size}", [*copies, *others, first], times, into)
    forget("ingestion", "processed")
    measure([first], 1, scene.server.pid)
    stream = Contestant("pyarrow, a stream", [python_with(FUNCTIONS), "-c", STREAM, home, written], environment=given)
    frame = Contestant("Polars, two threads", [python_with(POLARS), "-c", FRAME, home, written], environment=given)
    transform = ours("transform", "transform", partial(forget, "processed"))
    write_table(scene, f"transform{size}", [stream, frame, transform], times, into)
    unchanged = Contestant("psql, max(last_updated)", psql("SELECT max(last_updated) FROM payment"), environment=given)
    compared = ours("extract, 1,000 changed rows, all keys compared", "extract", change)
    write_table(
        scene, f"later runs{size}", [unchanged, ours("extract, nothing changed", "extract"), compared], times, into
    )


if __name__ == "__main__":
    sys.exit(main())
