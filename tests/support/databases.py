"""Databases made on the session's server for one test."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pg8000.native import identifier

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, connect
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.postgres_server import Server
from tests.support.pipeline import credentials_of

CONFIG = Path(__file__).parents[2] / "config"
_TEMPLATES: dict[tuple[int, str], str] = {}
"""The databases to copy, by the port of their server and the script that made them."""


@contextmanager
def made(server: Server, name: str, script: str) -> Iterator[Database]:
    """A database of the superuser with what ``script`` makes, dropped afterwards.

    The script runs once for a server: its outcome is a template, and each database a copy of it.
    """
    admin = database_of(server, "postgres")
    run(admin, f"CREATE DATABASE {identifier(name)} TEMPLATE {_template(server, script)}")
    try:
        yield database_of(server, name)
    finally:
        run(admin, f"DROP DATABASE {identifier(name)} WITH (FORCE)")


@contextmanager
def empty_database(server: Server, name: str) -> Iterator[Connection]:
    """The superuser's session in a new database, which is dropped afterwards."""
    admin = database_of(server, "postgres")
    run(admin, f"CREATE DATABASE {identifier(name)}")
    try:
        with connect(credentials_of(server, name)) as connection:
            yield connection
    finally:
        run(admin, f"DROP DATABASE {identifier(name)} WITH (FORCE)")


def _template(server: Server, script: str) -> str:
    """The database that ``script`` made; the server's end is its end."""
    key = (server.port, script)
    if key not in _TEMPLATES:
        name = f"template_{len(_TEMPLATES)}"
        run(database_of(server, "postgres"), f"CREATE DATABASE {name}")
        execute(database_of(server, name), script)
        _TEMPLATES[key] = name
    return _TEMPLATES[key]


def database_of(server: Server, name: str) -> Database:
    """A database of ``server``, as its superuser."""
    return Database(server.host, server.port, name, server.superuser, server.password)


def run(database: Database, statement: str) -> list[list[object]]:
    """The rows of one statement."""
    connection = database.connect()
    try:
        return list(connection.run(statement) or [])
    finally:
        connection.close()


def execute(database: Database, script: str) -> None:
    """Run several statements."""
    connection = database.connect()
    try:
        connection.execute_simple(script)
    finally:
        connection.close()


@contextmanager
def server_of_its_own(name: str) -> Iterator[Connection]:
    """A connection to an empty database on a server that is started for it, and removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix=f"lambda-script-{name}-"))
    directory.chmod(0o755)  # the server's account must reach it
    try:
        server = postgres_server.start(directory, settings={"autovacuum": "off", "jit": "off"})
        with connect(credentials_of(server, "postgres")) as connection:
            connection.run("CREATE DATABASE compared")
        with connect(credentials_of(server, "compared")) as connection:
            yield connection
    finally:
        postgres_server.remove(directory)
