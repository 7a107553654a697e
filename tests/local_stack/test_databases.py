"""The source and the warehouse are made once, each for its owner, and the source's reader reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres import databases
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.postgres_server import Server
from tests.support.databases import database_of, run

PASSWORDS = {name: f"{name}'s" for name in databases.USERS}
ALL = "SELECT datname FROM pg_database WHERE datname IN ('totesys', 'warehouse') ORDER BY 1"
TABLES = "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture
def server(postgres_server: Server) -> Iterator[Server]:
    """The session's server, where these databases and their users are deleted afterwards."""
    yield postgres_server
    administrator = database_of(postgres_server, "postgres")
    for name in ("totesys", "warehouse"):
        run(administrator, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    for name in databases.USERS:
        run(administrator, f"DROP ROLE IF EXISTS {name}")


def refused(database: Database, statement: str, reason: str = "permission denied") -> None:
    with pytest.raises(Exception, match=reason):
        run(database, statement)


def test_databases_are_made_once_for_their_users(server: Server, tmp_path: Path) -> None:
    schema = tmp_path / "source.sql"
    said: list[str] = []

    def prepared(script: str, passwords: dict[str, str] = PASSWORDS) -> tuple[Database, Database, Database]:
        schema.write_text(script, encoding="utf-8")
        return databases.prepare(server, schema, passwords, said.append)

    with pytest.raises(LocalError, match=r"source\.sql, line 2"):
        prepared("CREATE TABLE a (id int);\nCREATE TABLE b (id odd);")
    assert run(database_of(server, "totesys"), TABLES) == [], "a script is loaded completely or not at all"
    reader, owner, loader = prepared("CREATE TABLE a AS SELECT 1 AS id; GRANT SELECT ON a TO stranger;")
    assert said == [f"{schema}: skipped 1 statement about owners, privileges and more"]
    assert [(each.host, each.port, each.database, each.user, each.password) for each in (reader, owner, loader)] == [
        ("127.0.0.1", server.port, database, user, PASSWORDS[user])
        for user, database in (
            *(("totesys_reader", "totesys"), ("totesys_admin", "totesys")),
            ("warehouse_loader", "warehouse"),
        )
    ]
    assert sorted(run(owner, TABLES)) == [["_prisma_migrations", "totesys_admin"], ["a", "totesys_admin"]]
    run(owner, "CREATE TABLE later AS SELECT 2 AS id")
    assert run(reader, "SELECT a.id, later.id, migration_name FROM a, later, _prisma_migrations") == [
        [1, 2, "20221103142000_init"]
    ]
    refused(reader, "INSERT INTO a VALUES (2)")
    run(loader, "CREATE SCHEMA star")
    for user, database in ((reader, "warehouse"), (owner, "warehouse"), (loader, "totesys")):
        there = Database(user.host, user.port, database, user.user, user.password)
        refused(there, "SELECT 1", "permission denied for database")

    others = {name: f"{name}!" for name in databases.USERS}
    again = prepared("this is no SQL", others)
    assert len(said) == 1 and [run(each, "SELECT 1") for each in again] == [[[1]]] * 3, "they have new passwords"
    refused(reader, "SELECT 1", "password authentication failed")
    assert run(again[0], "SELECT id FROM later") == [[2]]

    session = again[2].connect()
    for _ in range(2):
        databases.drop_warehouse(server)
    assert run(database_of(server, "postgres"), ALL) == [["totesys"]]
    with pytest.raises(Exception, match=r"terminating connection|network error"):
        session.run("SELECT 1")
    run(database_of(server, "postgres"), "DROP DATABASE totesys")
    databases.prepare(server, None, PASSWORDS, said.append)
    assert run(database_of(server, "postgres"), ALL) == [["warehouse"]], "the source is another"


def test_table_of_migrations_may_be_the_scripts_own(server: Server, tmp_path: Path) -> None:
    (tmp_path / "s.sql").write_text("CREATE TABLE _prisma_migrations (id int)", encoding="utf-8")
    reader, _, _ = databases.prepare(server, tmp_path / "s.sql", PASSWORDS, print)
    assert run(reader, "SELECT * FROM _prisma_migrations") == []
