"""The programs that extract, transform and load are measured beside: what each does, as small as it can be written.

Each is run by an interpreter that has its packages, at these versions, and finds the database in BENCHMARK_SERVER. None
checks a value, finds a delete, keeps a history or records what it did, but dlt, which has a load package and a table of
loads. A program that reads, reads the table `payment` of the database and writes it as Parquet to its first argument;
one that loads, loads the Parquet file of its first argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_ARROW = "pyarrow==26.0.1"
FUNCTIONS = (_ARROW, "pg8000==1.31.6")
"""What the functions have: config/requirements.lock."""
DUCKDB = ("duckdb==1.4.4", _ARROW)
_CONNECTORX = "connectorx==0.4.6"
_ALCHEMY = ("sqlalchemy==2.1.9", "psycopg2-binary==2.9.13")
# DuckDB's extension is in a package, of the same build: DuckDB itself would ask its own server for it, and checks
# whose signature it has.
_DUCKDB_POSTGRES = ("duckdb-ext-postgres==1.4.4.20260205", "duckdb==1.4.4")
_ADBC = ("adbc-driver-postgresql==1.13.0", _ARROW)
_PANDAS = ("pandas==3.1.1", _ARROW, *_ALCHEMY)
_DLT = ("dlt==1.31.0", "dlt[filesystem,parquet,postgres,sql-database]==1.31.0", _CONNECTORX, *_ADBC)

_BEGIN = """
import json, os, sys, time
host, port, database, user, password = json.loads(os.environ["BENCHMARK_SERVER"])
url = f"postgresql://{user}:{password}@{host}:{port}/{database}"
"""
_CLOCK = """
begun, used = time.perf_counter(), time.process_time()
"""
_END = """
print(json.dumps({"seconds": time.perf_counter() - begun, "client": time.process_time() - used}))
"""
_ATTACH = """
lake.sql(f"ATTACH 'host={host} port={port} dbname={database} user={user} password={password}' AS s (TYPE postgres)")
"""


@dataclass(frozen=True)
class Program:
    """A program that is measured."""

    name: str
    requirements: Sequence[str]
    imported: str
    """What is imported before the clock starts: the start of an interpreter is not compared."""
    code: str
    most_rows: int | None = None
    """The most rows that it is measured with; None: any number."""
    most_samples: int | None = None
    """The most samples that are taken of it, where one takes long; None: as many as of the others."""

    @property
    def text(self) -> str:
        """The program, for ``python -c``."""
        return f"{_BEGIN}{self.imported}{_CLOCK}{self.code}{_END}"


_DUCKDB_IMPORT = """
import duckdb, glob, importlib.util
folder = importlib.util.find_spec("duckdb_ext").submodule_search_locations[0]
extension = glob.glob(folder + "/**/*.duckdb_extension", recursive=True)[0]
lake = duckdb.connect()
lake.sql(f"LOAD '{extension}'")
"""
_DUCKDB_READ = """rows = "SELECT * FROM s.public.payment"
lake.sql(f"COPY ({rows}) TO '{sys.argv[1]}' (FORMAT parquet, COMPRESSION zstd)")
"""
_DUCKDB_LOAD = """lake.sql(f"INSERT INTO s.public.copied SELECT * FROM '{sys.argv[1]}'")
"""
_DLT_IMPORT = """
import shutil
folder = sys.argv[1] + ".dlt"
os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", DLT_DATA_DIR=folder)  # it reports nothing, and writes nowhere else
shutil.rmtree(folder, ignore_errors=True)
import dlt
from dlt.sources.sql_database import sql_table
"""

READERS = (
    Program(
        "DuckDB, two connections",
        _DUCKDB_POSTGRES,
        _DUCKDB_IMPORT,
        _ATTACH + _DUCKDB_READ,
    ),
    Program(
        "ADBC, a stream",
        _ADBC,
        "import adbc_driver_postgresql.dbapi as adbc, pyarrow.parquet as pq\n",
        """
with adbc.connect(url) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT * FROM payment")
    reader = cursor.fetch_record_batch()
    with pq.ParquetWriter(sys.argv[1], reader.schema, compression="zstd", compression_level=1) as writer:
        for batch in reader:
            writer.write_batch(batch)
""",
    ),
    Program(
        "connectorx, in memory",
        (_CONNECTORX, _ARROW),
        "import connectorx, pyarrow.parquet as pq\n",
        """
rows = connectorx.read_sql(url, "SELECT * FROM payment", return_type="arrow")
pq.write_table(rows, sys.argv[1], compression="zstd", compression_level=1)
""",
    ),
    Program(
        "dlt, connectorx",
        _DLT,
        _DLT_IMPORT,
        """
pipeline = dlt.pipeline("payments", pipelines_dir=folder + "/state", dataset_name="lake",
    destination=dlt.destinations.filesystem("file://" + folder + "/lake"))
alchemy = url.replace("://", "+psycopg2://")
rows = sql_table(alchemy, table="payment", backend="connectorx", backend_kwargs={"conn": url, "return_type": "arrow"})
pipeline.run(rows, loader_file_format="parquet")
""",
        most_rows=1_000_000,
        most_samples=2,
    ),
    Program(
        "dlt, SQLAlchemy and pyarrow",
        _DLT,
        _DLT_IMPORT,
        """
pipeline = dlt.pipeline("payments", pipelines_dir=folder + "/state", dataset_name="lake",
    destination=dlt.destinations.filesystem("file://" + folder + "/lake"))
rows = sql_table(url.replace("://", "+psycopg2://"), table="payment", backend="pyarrow", chunk_size=65536)
pipeline.run(rows, loader_file_format="parquet")
""",
        most_rows=1_000_000,
        most_samples=2,
    ),
    Program(
        "pandas, in memory",
        _PANDAS,
        "import pandas, sqlalchemy\n",
        """
rows = pandas.read_sql("SELECT * FROM payment", sqlalchemy.create_engine(url.replace("://", "+psycopg2://")))
rows.to_parquet(sys.argv[1], compression="zstd", compression_level=1)
""",
        most_rows=1_000_000,
        most_samples=2,
    ),
)
"""Those that read a table of PostgreSQL and write it as Parquet."""

CONVERTERS = (
    Program(
        "pyarrow, a stream",
        FUNCTIONS,
        """
import glob
import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq
writer = None
""",
        """
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
""",
    ),
    Program(
        "Polars, two threads",
        ("polars==1.35.2",),
        "import glob\nimport polars as pl\n",
        """
made, updated = pl.col("created_at"), pl.col("last_updated")
names = glob.glob(sys.argv[1] + "/ingestion/data/payment/*/*.changes.parquet")
pl.concat([pl.scan_parquet(name) for name in names]).select(
    "payment_id", made.dt.date().alias("created_date"), made.dt.time().alias("created_time"),
    updated.dt.date().alias("last_updated_date"), updated.dt.time().alias("last_updated_time"),
    "transaction_id", "counterparty_id", "payment_amount", "currency_id", "payment_type_id", "paid",
    pl.col("payment_date").str.to_date(),
).sink_parquet(sys.argv[2], compression="zstd", compression_level=1)
""",
    ),
    Program(
        "DuckDB, two threads",
        DUCKDB,
        "import duckdb\n",
        """
duckdb.sql(f'''COPY (
    SELECT payment_id, created_at::date AS created_date, created_at::time AS created_time,
        last_updated::date AS last_updated_date, last_updated::time AS last_updated_time,
        transaction_id, counterparty_id, payment_amount, currency_id, payment_type_id, paid,
        payment_date::date AS payment_date
    FROM '{sys.argv[1]}/ingestion/data/payment/*/*.changes.parquet'
) TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)''')
""",
    ),
    Program(
        "pandas, Arrow's types",
        _PANDAS,
        "import glob\nimport pandas\n",
        """
names = sorted(glob.glob(sys.argv[1] + "/ingestion/data/payment/*/*.changes.parquet"))
rows = pandas.concat([pandas.read_parquet(name, dtype_backend="pyarrow") for name in names])
rows = rows.assign(
    created_date=rows.created_at.dt.date, created_time=rows.created_at.dt.time,
    last_updated_date=rows.last_updated.dt.date, last_updated_time=rows.last_updated.dt.time,
    payment_date=rows.payment_date.astype("timestamp[us][pyarrow]").astype("date32[pyarrow]"),
)
left = ["created_at", "last_updated", "company_ac_number", "counterparty_ac_number"]
rows[[name for name in rows if name not in left and not name.startswith("_")]].to_parquet(
    sys.argv[2], compression="zstd", compression_level=1
)
""",
        most_rows=1_000_000,
        most_samples=3,
    ),
)
"""Those that write what transform makes of the lake in the first argument as one Parquet file, the second."""

LOADERS = (
    Program(
        "DuckDB",
        _DUCKDB_POSTGRES,
        _DUCKDB_IMPORT,
        _ATTACH + _DUCKDB_LOAD,
    ),
    Program(
        "ADBC",
        _ADBC,
        "import adbc_driver_postgresql.dbapi as adbc, pyarrow.parquet as pq\n",
        """
file = pq.ParquetFile(sys.argv[1])
with adbc.connect(url) as connection:
    with connection.cursor() as cursor:
        cursor.adbc_ingest("copied", file.read().to_reader(65536), mode="append")
    connection.commit()
""",
    ),
    Program(
        "dlt, Parquet by ADBC",
        _DLT,
        f"{_DLT_IMPORT}import pyarrow.parquet as pq\n",
        """
pipeline = dlt.pipeline("orders", pipelines_dir=folder + "/state", dataset_name="by_dlt",
    destination=dlt.destinations.postgres(url))
rows = (batch for batch in pq.ParquetFile(sys.argv[1]).iter_batches(65536))
pipeline.run(rows, table_name="copied", loader_file_format="parquet")
""",
        most_samples=1,
    ),
    Program(
        "pandas, to_sql by COPY",
        _PANDAS,
        "import csv, io, pandas, sqlalchemy\n",
        """
def by_copy(table, connection, keys, rows):  # as pandas' documentation has it
    with connection.connection.cursor() as cursor:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        text.seek(0)
        cursor.copy_expert(f"COPY {table.name} ({', '.join(keys)}) FROM STDIN WITH CSV", text)
engine = sqlalchemy.create_engine(url.replace("://", "+psycopg2://"))
rows = pandas.read_parquet(sys.argv[1])
rows.to_sql("copied", engine, if_exists="append", index=False, method=by_copy, chunksize=100_000)
""",
        most_samples=1,
    ),
)
"""Those that load a Parquet file into the table ``copied`` of PostgreSQL."""
