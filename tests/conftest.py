"""What tests of several parts need: one PostgreSQL server for the session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")  # tests make do with the Pythons that are here


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A running server (local.postgres.Server) with no database but its own; stopped and deleted afterwards."""
    from local import postgres

    directory: Path = tmp_path_factory.mktemp("postgres")
    try:
        yield postgres.start(directory)
    finally:
        postgres.remove(directory)
