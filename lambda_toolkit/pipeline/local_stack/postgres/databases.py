"""Creates the source and the warehouse as databases of the local server, with their owners, users and privileges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pg8000.native import identifier, literal

from lambda_toolkit.pipeline.local_stack.postgres import sql_script
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.postgres_server import Server

SOURCE = "totesys"
WAREHOUSE = "warehouse"
SOURCE_READER = "totesys_reader"
SOURCE_ADMIN = "totesys_admin"
WAREHOUSE_LOADER = "warehouse_loader"
USERS = (SOURCE_READER, SOURCE_ADMIN, WAREHOUSE_LOADER)


def prepare(
    server: Server, source_schema: Path | None, passwords: Mapping[str, str], say: Callable[[str], None]
) -> tuple[Database, Database, Database]:
    """Create both databases and their users (USERS) where they are missing, and set each user's password.

    Returns the source for its reader, the source for its owner, and the warehouse for its owner. The reader has the
    SELECT privilege only, on future tables as well. An empty source gets the tables of ``source_schema``, and ``say``
    what of that was skipped; the pipeline's ``prepare`` fills the warehouse. Without a ``source_schema`` there is no
    source. Raises LocalError.
    """
    administrator = Database(server.host, server.port, "postgres", server.superuser, server.password)
    connection = administrator.connect()
    try:
        existing = {name for (name,) in connection.run("SELECT rolname FROM pg_roles")}
        for name in USERS:
            verb = "ALTER" if name in existing else "CREATE"
            connection.run(f"{verb} ROLE {identifier(name)} LOGIN PASSWORD {literal(passwords[name])}")
        present = {name for (name,) in connection.run("SELECT datname FROM pg_database")}
        owned = {WAREHOUSE: WAREHOUSE_LOADER} | ({SOURCE: SOURCE_ADMIN} if source_schema else {})
        for name, owner in owned.items():
            if name not in present:
                connection.run(f"CREATE DATABASE {identifier(name)} OWNER {identifier(owner)}")
            connection.run(f"REVOKE ALL ON DATABASE {identifier(name)} FROM PUBLIC")
        if source_schema:
            connection.run(f"GRANT CONNECT ON DATABASE {identifier(SOURCE)} TO {identifier(SOURCE_READER)}")
    finally:
        connection.close()
    made = {
        name: Database(server.host, server.port, database, name, passwords[name])
        for name, database in ((SOURCE_READER, SOURCE), (SOURCE_ADMIN, SOURCE), (WAREHOUSE_LOADER, WAREHOUSE))
    }
    if source_schema:
        _prepare_source(replace(administrator, database=SOURCE), source_schema, say)
    return made[SOURCE_READER], made[SOURCE_ADMIN], made[WAREHOUSE_LOADER]


def drop_warehouse(server: Server) -> None:
    """Drop the warehouse database if it exists."""
    connection = Database(server.host, server.port, "postgres", server.superuser, server.password).connect()
    try:
        connection.run(f"DROP DATABASE IF EXISTS {identifier(WAREHOUSE)} WITH (FORCE)")
    finally:
        connection.close()


def _prepare_source(superuser: Database, schema: Path, say: Callable[[str], None]) -> None:
    script = sql_script.read_script(schema)
    connection = superuser.connect()
    reader, owner = identifier(SOURCE_READER), identifier(SOURCE_ADMIN)
    try:
        if connection.run("SELECT 1 FROM pg_tables WHERE schemaname = 'public' LIMIT 1"):
            return
        connection.run("BEGIN")
        connection.run(f"GRANT USAGE ON SCHEMA public TO {reader}")
        connection.run(f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT SELECT ON TABLES TO {reader}")
        notes = sql_script.load(connection, SOURCE_ADMIN, script, schema)
        if connection.run("SELECT to_regclass('public._prisma_migrations')") == [[None]]:
            connection.run(f"SET LOCAL ROLE {owner}")
            connection.execute_simple(_UNDECLARED_TABLE)
        connection.run("COMMIT")
    finally:
        connection.close()
    for note in notes:
        say(note)


# The live database's migration tool keeps this table in the same schema: the pipeline must ignore it.
_UNDECLARED_TABLE = """
CREATE TABLE _prisma_migrations (
    id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz, migration_name varchar NOT NULL,
    logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(),
    applied_steps_count integer NOT NULL DEFAULT 0
);
INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, applied_steps_count)
VALUES ('5f7e2a1c-0000-4000-8000-000000000001', repeat('0', 64), '2022-11-03 14:20:00+00', '20221103142000_init', 1);
"""
