"""Databases with schemas that are not totesys, and a role that has SELECT and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect
from tests.support.pipeline import credentials_of

PASSWORD = "select alone"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def selecting(postgres_server: Any) -> str:
    """The name of a role that may log in; what it may read, a test grants."""
    with connect(credentials_of(postgres_server, "postgres")) as admin:
        admin.run(f"CREATE ROLE selecting LOGIN PASSWORD '{PASSWORD}'")
    return "selecting"


@pytest.fixture
def database(postgres_server: Any) -> Iterator[Callable[[str], Credentials]]:
    """Creates a database in which statements were run; returns its owner's credentials. Dropped afterwards."""
    names = []

    def create(statements: str = "") -> Credentials:
        names.append(f"proposal_{next(_NUMBERS)}")
        with connect(credentials_of(postgres_server, "postgres")) as admin:
            admin.run(f"CREATE DATABASE {names[-1]}")
        credentials = credentials_of(postgres_server, names[-1])
        if statements:
            with connect(credentials) as connection:
                connection.run(statements)
        return credentials

    yield create
    with connect(credentials_of(postgres_server, "postgres")) as admin:
        for name in names:
            admin.run(f"DROP DATABASE {name} WITH (FORCE)")
