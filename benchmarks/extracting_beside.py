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
from benchmarks.data_peers import CONVERTERS, FUNCTIONS, READERS
from benchmarks.loading_beside import Scene, beside, psql_path, python_with, write_table
from benchmarks.rounds import Contestant, measure
from lambda_toolkit.pipeline.config.aws.deployment import tables_json
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server

TABLES = ("dim_date", "fact_payment")
CHANGED = "UPDATE payment SET paid = NOT paid WHERE payment_id % (SELECT max(payment_id) / 1000 FROM payment) = 0"


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
    others, absent = beside(READERS, rows, [written], given)
    copy = r"\copy payment TO '/dev/null' (FORMAT {})"
    copies = [
        Contestant(f"psql, {style}, to nowhere", psql(copy.format(style)), environment=given)
        for style in ("csv", "binary")
    ]
    write_table(scene, f"first read{size}", [*copies, *others, first], times, into, absent)
    forget("ingestion", "processed")
    measure([first], 1, scene.server.pid)
    converters, absent = beside(CONVERTERS, rows, [home, written], given)
    transform = ours("transform", "transform", partial(forget, "processed"))
    write_table(scene, f"transform{size}", [*converters, transform], times, into, absent)
    unchanged = Contestant("psql, max(last_updated)", psql("SELECT max(last_updated) FROM payment"), environment=given)
    compared = ours("extract, 1,000 changed rows, all keys compared", "extract", change)
    write_table(
        scene, f"later runs{size}", [unchanged, ours("extract, nothing changed", "extract"), compared], times, into
    )


if __name__ == "__main__":
    sys.exit(main())
