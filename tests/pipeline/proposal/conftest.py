"""Databases with schemas that are not totesys, and a role that has SELECT and nothing else."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, connect
from tests.support.pipeline import credentials_of

PASSWORD = "select alone"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def selecting(postgres_server: Any) -> str:
    """The name of a role that may log in; what it may read, a test grants."""
    with connect(credentials_of(postgres_server, "postgres")) as admin:
        admin.run(f"CREATE ROLE selecting LOGIN PASSWORD '{PASSWORD}'")
    return "selecting"


Create = Callable[[str], Credentials]


@contextlib.contextmanager
def created_databases(server: Any) -> Iterator[Create]:
    """Creates databases in which statements were run, and returns their owner's credentials; drops them afterwards."""
    names = []

    def create(statements: str = "") -> Credentials:
        names.append(f"proposal_{next(_NUMBERS)}")
        with connect(credentials_of(server, "postgres")) as admin:
            admin.run(f"CREATE DATABASE {names[-1]} STRATEGY FILE_COPY")
        credentials = credentials_of(server, names[-1])
        if statements:
            with connect(credentials) as connection:
                connection.run(statements)
        return credentials

    yield create
    with connect(credentials_of(server, "postgres")) as admin:
        for name in names:
            admin.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(postgres_server: Any) -> Iterator[Create]:
    with created_databases(postgres_server) as create:
        yield create


@pytest.fixture(scope="module")
def module_database(postgres_server: Any) -> Iterator[Callable[[str], Connection]]:
    """As ``database``, for all tests of a module; returns a session of the owner."""
    with created_databases(postgres_server) as create, contextlib.ExitStack() as stack:
        yield lambda statements: stack.enter_context(connect(create(statements)))
