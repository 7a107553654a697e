"""What tests of several parts need: one PostgreSQL server for the session."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ROOM = 2 * 1024**3  # bytes: what the databases of all workers need, with much to spare


def pytest_sessionstart() -> None:
    """Collect no garbage while tests are collected: nothing of that is garbage, and each worker does it."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Let the garbage collector leave what was imported alone: to walk through it takes a quarter of a test's time."""
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A running server (postgres_server.Server) with no database but its own; stopped and deleted afterwards.

    Its files are kept in memory where there is room: tests make hundreds of databases, each of three hundred files.
    """
    from lambda_toolkit.pipeline.local_stack.postgres import postgres_server as postgres

    in_memory = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    made = Path(tempfile.mkdtemp(prefix="lambda-script-tests-", dir=MEMORY)) if in_memory else None
    if made:
        made.chmod(0o755)  # the server's account must reach it; the data itself is for that account alone
    directory = made or tmp_path_factory.mktemp("postgres")
    try:
        yield postgres.start(directory, settings={"autovacuum": "off", "jit": "off"})
    finally:
        postgres.remove(directory)
        if made:
            shutil.rmtree(made, ignore_errors=True)
