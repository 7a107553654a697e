"""What the first rows of a fact cost over one connection, and over several: wall time, processor time of both sides.

Starts a PostgreSQL of its own in a temporary directory, and stops it; the lake is a directory, and server and client
share the machine. Load runs in an environment with what the functions have on Lambda. The connections take turns in
shuffled rounds. A run that took another way than the one that is measured fails.
Run: python -m benchmarks.loading_parallel, and see its --help
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import loading
from benchmarks.data_peers import FUNCTIONS
from benchmarks.files import Files
from benchmarks.load_step import CONNECTIONS
from benchmarks.loading_beside import KEYS, Scene, python_with, write_table
from benchmarks.rounds import Contestant
from benchmarks.sizes import REPOSITORY
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server
from lambda_toolkit.pipeline.warehouse.preparation import prepare

MAX_WAL_SIZE = "16GB"  # so that no sample meets a checkpoint that others do not


def main() -> int:
    """Measure both facts, print, and write the tables into their places where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading_parallel", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the fact (1,000,000)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 2, 4], help="at a time (1 2 4)")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each (5)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the tables into their places in this document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        scene = Scene(postgres_server.start(directory / "server", settings={"max_wal_size": MAX_WAL_SIZE}), directory)
        try:
            _prepare(scene, arguments.rows)
            for database, table in (("keys", "parallel with keys"), ("bare", "parallel without keys")):
                contestants = [_contestant(scene, database, count) for count in arguments.connections]
                write_table(scene, table, contestants, arguments.rounds, arguments.into)
        finally:
            postgres_server.remove(directory / "server")
    return 0


def _prepare(scene: Scene, rows: int) -> None:
    """A database with nine foreign keys on the fact, one without, and a batch with all rows."""
    with scene.connect("postgres") as admin:
        admin.run("CREATE DATABASE keys")
    (scene.directory / "tables.json").write_bytes(loading.declaration())
    lake = scene.directory / "batch"
    lake.mkdir()
    shutil.copy(scene.directory / "tables.json", lake)
    loading.write_batch(Lake(Files(lake / "lake"), "lake"), 1, loading.orders(np.arange(1, rows + 1), 1))
    with scene.connect("keys") as connection:
        schema = (REPOSITORY / "config" / "warehouse.sql").read_text(encoding="utf-8")
        prepare(connection, schema, loading.declared())
        for statement in loading.DIMENSIONS.split(";"):
            connection.run(statement)
    scene.copy("keys", "bare")
    with scene.connect("bare") as connection:
        for drop, _ in connection.rows(KEYS):
            connection.run(str(drop))


def _contestant(scene: Scene, database: str, connections: int) -> Contestant:
    measured = f"measured_{database}"
    return Contestant(
        "1 connection" if connections == 1 else f"{connections} connections",
        [python_with(FUNCTIONS), "-m", "benchmarks.load_step", scene.directory / "batch"],
        partial(scene.copy, database, measured),
        {**scene.variables(measured), CONNECTIONS: str(connections)},
    )


if __name__ == "__main__":
    sys.exit(main())
