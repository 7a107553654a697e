"""TPC-H's lineitem and New York's taxi trips, from the source to the warehouse, with every value compared.

Who compares is DuckDB, which shares no code with the functions: it reads what psql wrote of the source, the Parquet
files of both lakes, and what psql wrote of the warehouse. Exit status 1 where one value differs, or a row is missing or
there twice.
Run: python -m benchmarks.every_value, and see its --help
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data_peers import DUCKDB
from benchmarks.loading_beside import Scene, psql_path, python_with
from benchmarks.report import machine_now, markdown_table, replace_between, show_table
from benchmarks.rounds import Sample, measure, spread
from benchmarks.subjects import LINEITEM, TAXI, Subject
from benchmarks.whole_path import STEPS, WholePath, scene

COST_COLUMNS = ("", "wall s", "client cpu s", "rows per client cpu s", "server cpu s", "peak MB")
VALUE_COLUMNS = ("compared with the source", "rows", "values", "missing", "too many", "different")
_KINDS = {"numeric": "DECIMAL", "char": "VARCHAR", "text": "VARCHAR", "double precision": "DOUBLE"}
COMPARE = """
import json, sys
import duckdb
given = json.loads(sys.argv[1])
columns, keys = given["columns"], given["keys"]
names = ", ".join(columns)
duckdb.sql("SET memory_limit = '4GB'; SET preserve_insertion_order = false")
def rows(name, found):
    if found.endswith(".csv"):
        of = (f"read_csv('{found}', columns = {json.dumps(columns)}, header = false, auto_detect = false,"
              " quote = '\\"', escape = '\\"', nullstr = '\\\\N', allow_quoted_nulls = false, parallel = false)")
    else:
        of = f"read_parquet('{found}')"
    duckdb.sql(f"CREATE TABLE {name} AS SELECT {names} FROM {of}")
rows("truth", given["truth"])
for place, found in given["found"].items():
    rows("found", found)
    same = " AND ".join(f"t.{key} = f.{key}" for key in keys)
    different = " + ".join(f"count(*) FILTER (t.{name} IS DISTINCT FROM f.{name})" for name in columns)
    both = f"truth AS t JOIN found AS f ON {same}"
    answer = duckdb.sql(f"SELECT count(*), {different} FROM {both}").fetchone()
    of_truth, of_found = (duckdb.sql(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("truth", "found"))
    unique = duckdb.sql(f"SELECT count(*) FROM (SELECT DISTINCT {', '.join(keys)} FROM found)").fetchone()[0]
    duckdb.sql("DROP TABLE found")
    print(json.dumps([place, of_truth, of_truth * len(columns), of_truth - min(unique, answer[0]),
                      of_found - min(unique, answer[0]), answer[1]]))
"""


def main() -> int:
    """Measure both tables, compare, print, and write the tables into their places where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.every_value", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of each table (1,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each function (3)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the tables into their places in this document")
    arguments = parser.parse_args()
    costs, values = [], []
    with scene() as here:
        for subject in (LINEITEM, TAXI):
            path = WholePath(here, subject, arguments.rows)
            path.prepare()
            samples: dict[str, list[Sample]] = {}
            for step in STEPS:
                samples |= measure([path.step(step)], arguments.rounds, here.server.pid)
            costs += [_cost(subject.name, step, arguments.rows, found) for step, found in samples.items()]
            values += _compared(here, path)
            path.remove()
    show_table("public schemas", COST_COLUMNS, costs, ())
    show_table("every value", VALUE_COLUMNS, values, ())
    if arguments.into:
        when = f"{machine_now(arguments.rounds)}\n\n"
        replace_between(arguments.into, "public schemas", when + markdown_table(COST_COLUMNS, costs))
        replace_between(arguments.into, "every value", markdown_table(VALUE_COLUMNS, values))
    wrong = [row[0] for row in values if any(cell != "0" for cell in row[3:])]
    if wrong:
        print(f"not as the source: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def _cost(name: str, step: str, rows: int, samples: Sequence[Sample]) -> list[str]:
    client = sorted(sample.client for sample in samples)[len(samples) // 2]
    return [
        f"{name}, {step}",
        spread([sample.seconds for sample in samples]),
        spread([sample.client for sample in samples]),
        f"{rows / client / 1e6:.2f} M",
        spread([sample.server for sample in samples]),
        f"{max(sample.peak for sample in samples)}",
    ]


def _compared(here: Scene, path: WholePath) -> list[list[str]]:
    """What DuckDB says of both lakes and of the warehouse, a row for each."""
    subject = path.subject
    truth, copied = (path.home / f"{name}.csv" for name in ("source", "warehouse"))
    _write(here, path.source, subject, subject.name, truth)
    _write(here, path.warehouse, subject, subject.fact, copied)
    given = {
        "columns": {name: _duckdb_type(kind) for name, kind in subject.columns.items()},
        "keys": subject.keys,
        "truth": str(truth),
        "found": {
            "lake, as extract wrote it": f"{path.home}/ingestion/data/{subject.name}/*/*.changes.parquet",
            "lake, as transform wrote it": f"{path.home}/processed/data/{subject.fact}/*/*.parquet",
            "warehouse": str(copied),
        },
    }
    command = [python_with(DUCKDB), "-c", COMPARE, json.dumps(given)]
    answer = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=True)
    found = [json.loads(line) for line in answer.stdout.splitlines()]
    return [[f"{subject.name}, {place}", *(f"{number:,}" for number in numbers)] for place, *numbers in found]


def _write(here: Scene, database: str, subject: Subject, table: str, file: Path) -> None:
    copy = rf"\copy {table} ({', '.join(subject.columns)}) TO '{file}' (FORMAT csv, NULL '\N')"
    command = [psql_path(), "-q", "-v", "ON_ERROR_STOP=1", "-c", copy]
    subprocess.run(command, env=dict(here.variables(database)), check=True)


def _duckdb_type(declared: str) -> str:
    kind = declared.removesuffix(" NOT NULL")
    base, bracket, arguments = kind.partition("(")
    if base == "numeric":
        return f"{_KINDS[base]}{bracket}{arguments}"
    return _KINDS.get(base, base.upper())


if __name__ == "__main__":
    sys.exit(main())
