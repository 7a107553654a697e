"""Databases made on the session's server for one test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pg8000.native import identifier

from lambda_toolkit.pipeline.local_stack.databases import Database
from lambda_toolkit.pipeline.local_stack.postgres_server import Server

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
