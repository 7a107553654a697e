"""A load into a DuckDB file is killed (kill -9) at its statements: the file has whole batches; the next run goes on.

The file's write-ahead log decides what a killed process had committed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.load.handler import warehouse_of
from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.shared.database import connected
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials
from lambda_toolkit.pipeline.warehouse.duckdb_preparation import prepare
from tests.support.sample_star import FILE_SCHEMA, REFERRING, Batch, Row, expected, found, write
from tests.support.written_lake import WrittenLake

STEP = 20  # of the statements, every so many; and the last ones, about the commit
HISTORY = [
    Batch({1: Row((1, 1)), 2: Row((1, 1))}, {1: Row("one")}),
    Batch({1: Row((3, 7)), 2: Row((2, 1), rejected=True)}, {2: Row("two", rejected=True)}),
    Batch({1: Row((1, 1)), 2: None, 3: Row((4, 7))}, {7: Row("seven")}),
]
pytestmark = pytest.mark.no_cover


def load_until(file: Path, statements: int, asked: Any) -> None:
    """Loads, and kills its own process before one statement more than these; ``asked`` counts them."""
    lake = WrittenLake()
    for number, batch in enumerate(HISTORY, 1):
        write(lake, number, batch)
    with connected(Credentials.of_file(str(file), "a test")) as connection:
        run = connection.run

        def until_then(*arguments: Any, **named: Any) -> Any:
            if asked.value >= statements:
                os.kill(os.getpid(), signal.SIGKILL)
            asked.value += 1
            return run(*arguments, **named)

        connection.run = until_then  # type: ignore[method-assign]
        load(warehouse_of(connection), lake, REFERRING)


def test_load_killed_at_any_statement_leaves_whole_batches(tmp_path):
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])

    def run(file: Path, statements: int) -> tuple[int, int]:
        """The exit code of a process that loads, and how many statements it ran."""
        asked = processes.Value("i", 0)
        child = processes.Process(target=load_until, args=(file, statements, asked))
        child.start()
        child.join(60)
        return child.exitcode, asked.value

    states = [expected(HISTORY[:number]) for number in range(len(HISTORY) + 1)]
    seen, most = set(), 10**6
    whole, statements = run(_prepared(tmp_path / "whole.duckdb"), most)
    assert whole == 0
    assert statements > 80
    for lives in sorted({*range(1, statements, STEP), *range(statements - 3, statements)}):
        file = _prepared(tmp_path / f"killed-{lives}.duckdb")
        assert run(file, lives)[0] == -signal.SIGKILL
        state = _found(file)
        assert state in states, f"killed after {lives} statements"
        seen.add(states.index(state))
        assert run(file, most)[0] == 0
        assert _found(file) == states[-1]
    assert seen >= {0, 1, 2}


def _prepared(file: Path) -> Path:
    with connected(Credentials.of_file(str(file), "a test")) as connection:
        prepare(connection, FILE_SCHEMA, REFERRING)
    return file


def _found(file: Path) -> Any:
    with connected(Credentials.of_file(str(file), "a test")) as connection:
        return found(connection)
