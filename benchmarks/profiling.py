"""Where the time of one function goes: what it does itself, and what the server does for each of its statements.

Times are of the processor, so that what else the machine does hardly matters. Those of the function are by what it
does; those of the server by statement, of the process that serves the connection, with what each adds to the
write-ahead log. Wall seconds of a statement have both in them, as far as one waits for the other.
Run: python -m benchmarks.profiling extract --rows 5000000, and see its --help
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks import loading
from benchmarks.files import Files
from benchmarks.loading_beside import DELTA, INDEXES, KEYS, Scene, load_once, ours, prepare_star
from benchmarks.report import show_table
from benchmarks.rounds import Contestant, measure
from benchmarks.subjects import LINEITEM, PAYMENT, TAXI, Subject
from benchmarks.whole_path import STEPS, WholePath, scene
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake

CLIENT_COLUMNS = ("the function", "cpu s", "of all")
SERVER_COLUMNS = ("times", "statement", "wall s", "function's cpu s", "server's cpu s", "of all", "log MB")
_LEAST = 0.01  # of all processor time: what takes less is one row together


def main() -> int:
    """Run what comes before, then the function under the profiler, and print."""
    others: Mapping[str, Callable[[Scene, int], Contestant]] = {
        "unchanged": _unchanged,
        "keys": _with_keys,
        "bare": _without_keys,
        "again": _again,
        "delta": _delta,
    }
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling", description=__doc__)
    parser.add_argument(
        "function",
        choices=(*STEPS, *others),
        help="a first run over a table's rows; or extract where nothing has changed (unchanged); or load of facts: the "
        "first rows with nine foreign keys and an index (keys), or with neither (bare), the same rows once more "
        f"(again), {DELTA:,} other versions over those that are there (delta)",
    )
    subjects = {subject.name: subject for subject in (PAYMENT, LINEITEM, TAXI)}
    parser.add_argument("--table", choices=subjects, default=PAYMENT.name, help=f"{PAYMENT.name}, or another")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table (1,000,000)")
    arguments = parser.parse_args()
    with scene() as here:
        name, rows = arguments.function, arguments.rows
        contestant = others[name](here, rows) if name in others else _first(here, subjects[arguments.table], name, rows)
        contestant.prepare()
        python, _, *module = map(str, contestant.command)
        done = subprocess.run(
            [python, "-m", "benchmarks.profiled", *module],
            env={**os.environ, **contestant.environment},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        _show(f"{contestant.name}, {rows:,} rows", json.loads(done.stdout))
    return done.returncode


def _first(here: Scene, subject: Subject, step: str, rows: int) -> Contestant:
    """The function ``step`` of STEPS, after what comes before it."""
    path = WholePath(here, subject, rows)
    path.prepare()
    for before in STEPS[: STEPS.index(step)]:
        measure([path.step(before)], 1, here.server.pid)
    return path.step(step)


def _unchanged(here: Scene, rows: int) -> Contestant:
    """Extract, after it has read everything."""
    first = _first(here, PAYMENT, "extract", rows)
    measure([first], 1, here.server.pid)
    return Contestant("extract, nothing changed", first.command, environment=first.environment)


def _without_keys(here: Scene, rows: int) -> Contestant:
    """Load of the first facts, where the warehouse has its primary key alone."""
    found = _with_keys(here, rows)
    with here.connect("star") as connection:
        for drop, _ in (*connection.rows(KEYS), *connection.rows(INDEXES)):
            connection.run(drop)
    return replace(found, name="load, neither keys nor index")


def _with_keys(here: Scene, rows: int) -> Contestant:
    """Load of the first facts."""
    prepare_star(here, "star")
    shutil.copy(here.directory / "tables.json", here.directory / "first")
    _write(here, 1, np.arange(1, rows + 1), 1)
    return Contestant("load, keys and index", ours(here.directory / "first"), environment=here.variables("star"))


def _again(here: Scene, rows: int) -> Contestant:
    """Load of the same facts once more."""
    return _second(here, rows, "load, the same rows again", np.arange(1, rows + 1), 1)


def _delta(here: Scene, rows: int) -> Contestant:
    """Load of other versions of some."""
    return _second(here, rows, f"load, {DELTA:,} other versions", np.arange(1, rows + 1, max(1, rows // DELTA)), 2)


def _second(here: Scene, rows: int, name: str, ids: Any, units: int) -> Contestant:
    _with_keys(here, rows)
    load_once(here, here.directory / "first", "star")
    with here.connect("star") as connection:
        connection.run("VACUUM ANALYZE fact_sales_order")
    write = partial(_write, here, 2, ids, units)
    return Contestant(name, ours(here.directory / "first"), write, here.variables("star"))


def _write(here: Scene, batch: int, ids: Any, units: int) -> None:
    lake = Lake(Files(here.directory / "first" / "lake"), "lake")
    loading.write_batch(lake, batch, loading.orders(ids, units))


def _show(name: str, counted: Mapping[str, Any]) -> None:
    """Print both tables."""
    activities: Mapping[str, float] = counted["activities"]
    used = sum(activities.values())
    rows = [
        [what, f"{seconds:.2f}", f"{seconds / used:.0%}"]
        for what, seconds in sorted(activities.items(), key=lambda item: -item[1])
    ]
    show_table(name, CLIENT_COLUMNS, [*rows, ["all", f"{used:.2f}", ""]], ())
    statements: Mapping[str, list[float]] = counted["statements"]
    every = [sum(parts) for parts in zip(*statements.values(), strict=True)]
    least = _LEAST * (every[2] + every[3])
    large = {text: parts for text, parts in statements.items() if parts[2] + parts[3] >= least}
    small = [parts for text, parts in statements.items() if text not in large]
    shown = sorted(large.items(), key=lambda item: -item[1][3])
    if small:
        shown.append(("each of the others", [sum(parts) for parts in zip(*small, strict=True)]))
    show_table(name, SERVER_COLUMNS, [_row(text, parts, every[3]) for text, parts in (*shown, ("all", every))], ())


def _row(text: str, parts: list[float], every: float) -> list[str]:
    times, wall, client, server, log = parts
    return [
        f"{times:.0f}",
        text,
        f"{wall:.3f}",
        f"{client:.3f}",
        f"{server:.3f}",
        f"{server / every:.0%}",
        f"{log:.1f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
