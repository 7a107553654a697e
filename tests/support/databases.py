"""Databases made on the session's server for one test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pg8000.native import identifier

from lambda_toolkit.pipeline.local_stack.databases import Database
from lambda_toolkit.pipeline.local_stack.postgres_server import Server

CONFIG = Path(__file__).parents[2] / "config"


@contextmanager
def made(server: Server, name: str, script: str) -> Iterator[Database]:
    """A database of the superuser with what ``script`` makes, dropped afterwards."""
    admin = Database(server.host, server.port, "postgres", server.superuser, server.password)
    database = Database(server.host, server.port, name, server.superuser, server.password)
    run(admin, f"CREATE DATABASE {identifier(name)}")
    try:
        execute(database, script)
        yield database
    finally:
        run(admin, f"DROP DATABASE {identifier(name)} WITH (FORCE)")


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
