"""How a script is divided into statements, and which of them are run: as psql does, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pg8000.native import DatabaseError

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres.sql_script import (
    Statement,
    fields_of,
    load,
    message_of,
    read_script,
    statements,
)

PATH = Path("source.sql")


def texts(script: str) -> list[str]:
    return [statement.text for statement in statements(script)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", []),
        (" \n-- nothing\n/* at all */ ;;\n", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;SELECT 2 ; \n", ["SELECT 1;", "SELECT 2 ;"]),
        ("/* a /* b */ c */ SELECT 1;", ["SELECT 1;"]),
        ("/* a /* b */ SELECT 1;", []),
        ("SELECT /* ; */ 1; SELECT 2;", ["SELECT /* ; */ 1;", "SELECT 2;"]),
        ("SELECT 1 -- ;\n+ 1; SELECT 2", ["SELECT 1 -- ;\n+ 1;", "SELECT 2"]),
        ("SELECT 'a;''b;'; SELECT \"c;\"\"d\";", ["SELECT 'a;''b;';", 'SELECT "c;""d";']),
        (r"SELECT E'\';'; SELECT e'\\'; SELECT 'a\';", [r"SELECT E'\';';", r"SELECT e'\\';", r"SELECT 'a\';"]),
        ("SELECT $$;$$; SELECT $a$ $b$;$a$; SELECT 1", ["SELECT $$;$$;", "SELECT $a$ $b$;$a$;", "SELECT 1"]),
        ("SELECT $1;SELECT a$b$;", ["SELECT $1;", "SELECT a$b$;"]),
        ("SELECT (1; 2); SELECT 3;", ["SELECT (1; 2);", "SELECT 3;"]),
        ("SELECT ((1; 2); 3); SELECT 4;", ["SELECT ((1; 2); 3);", "SELECT 4;"]),
        ("SELECT 1); SELECT 2;", ["SELECT 1);", "SELECT 2;"]),
        ("SELECT 'open; SELECT 2;", ["SELECT 'open;", "SELECT 2;"]),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3;",
            [
                "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;",
                "SELECT 3;",
            ],
        ),
        (
            "create or replace procedure p() BEGIN ATOMIC SELECT 1; END; SELECT 2;",
            ["create or replace procedure p() BEGIN ATOMIC SELECT 1; END;", "SELECT 2;"],
        ),
        ("BEGIN; SELECT 1; END;", ["BEGIN;", "SELECT 1;", "END;"]),
        ("CREATE TABLE begin (a int); SELECT 1;", ["CREATE TABLE begin (a int);", "SELECT 1;"]),
        ("CREATE VIEW v AS SELECT 1 AS function; SELECT begin; END;", None),
        ("CREATE FUNCTION f(x int DEFAULT CASE WHEN true THEN 1 END) AS 'a'; SELECT 1;", None),
    ],
)
def test_statement_ends_where_psql_ends_it(script: str, expected: list[str] | None) -> None:
    found = texts(script)
    assert found == expected or (expected is None and [text.count(";") for text in found] == [1] * len(found))


def test_words_and_lines_are_those_of_the_script() -> None:
    table = "Create  Table \"A\" (id /* x */ int, b text DEFAULT 'select');"
    assert list(statements(f"\n\n{table}\n\nINSERT INTO a VALUES (1),\n(2);SELECT 1")) == [
        Statement(table, 3, "create table id int b text default"),
        Statement("INSERT INTO a VALUES (1),\n(2);", 5, "insert into a values"),
        Statement("SELECT 1", 6, "select"),
    ]


@pytest.mark.parametrize("end", ["\\.\n", "\\. \t\r\n", "\\."])
def test_data_of_a_copy_follows_it(end: str) -> None:
    script = f"SELECT 0;\nCOPY a (id)\n FROM stdin;\n1\t;\n\\.x\n{end}"
    first, copy, *rest = statements(f"{script}SELECT 'after';" if end.endswith("\n") else script)
    assert first.data is None
    assert copy == Statement("COPY a (id)\n FROM stdin;", 2, "copy a id from stdin", "1\t;\n\\.x\n", 4)
    assert [each.text for each in rest] == (["SELECT 'after';"] if end.endswith("\n") else [])
    assert [each.line for each in rest] == ([7] if rest else [])


@pytest.mark.parametrize(
    ("script", "data"),
    [
        ("COPY a FROM stdin;\n1\n2\n", ["1\n2\n"]),
        ("COPY a FROM stdin;", [""]),
        ("COPY a FROM 'file'; SELECT 1;", [None, None]),
        ("COPY a TO stdout; SELECT 1;", [None, None]),
        ("SELECT copy FROM stdin; SELECT 1;", [None, None]),
        ("COPY a FROM STDIN WITH (FORMAT csv); x\n1\n\\.\n", ["1\n"]),
    ],
)
def test_only_a_copy_from_stdin_has_data(script: str, data: list[str | None]) -> None:
    assert [statement.data for statement in statements(script)] == data


def test_command_of_psql_is_a_line() -> None:
    script = "\\connect shop\nSELECT 1;\n  \\set ON_ERROR_STOP on\nSELECT 2;\n\\q"
    found = [(each.text, each.line, each.words) for each in statements(script)]
    assert found == [
        ("\\connect shop", 1, "connect"),
        ("SELECT 1;", 2, "select"),
        ("\\set ON_ERROR_STOP on", 3, "set"),
        ("SELECT 2;", 4, "select"),
        ("\\q", 5, "q"),
    ]


# ---------------------------------------------------------------------------------------------------------------- load


class Server:
    """Keeps what it is given; answers the statements in ``errors`` with these fields of an error."""

    def __init__(self, **errors: dict[str, str]) -> None:
        self.errors = errors
        self.ran: list[str] = []

    def run(self, statement: str) -> None:
        self.ran.append(statement)

    def execute_simple(self, statement: str) -> None:
        self.ran.append(statement)
        for text, fields in self.errors.items():
            if text in statement:
                raise DatabaseError(fields)

    def execute_unnamed(self, statement: str, *, stream: Any) -> None:
        self.execute_simple(statement)
        self.ran.append(stream.read().decode())


FRAME = ['SET LOCAL ROLE "the owner"', "RESET ALL", "RESET ROLE"]


def loaded(script: str, **errors: dict[str, str]) -> tuple[list[str], tuple[str, ...]]:
    """What a server was given between the statements that are always there; the notes."""
    server: Any = Server(**errors)
    notes = load(server, "the owner", script, PATH)
    assert [server.ran[0], *server.ran[-2:]] == FRAME
    return server.ran[1:-2], notes


@pytest.mark.parametrize(
    "statement",
    [
        *("GRANT a TO b;", "revoke a from b;", "BEGIN;", "COMMIT;", "END;", "START TRANSACTION;", "SECURITY LABEL x;"),
        *("ALTER DEFAULT PRIVILEGES x;", "ALTER EXTENSION x;", "CREATE DATABASE a;", "ALTER ROLE a;", "DROP USER a;"),
        *("CREATE GROUP a;", "CREATE TABLESPACE a;", "DROP PUBLICATION a;", "ALTER SUBSCRIPTION a;"),
        *("CREATE EVENT TRIGGER a;", "SET ROLE a;", "RESET ROLE;", "SET SESSION AUTHORIZATION a;", "SET LOCAL ROLE a;"),
        *("SET client_encoding = 'UTF8';", "SET default_tablespace = '';", "COMMENT ON EXTENSION a IS 'b';"),
        *("COMMENT ON DATABASE a IS 'b';", "COMMENT ON ROLE a IS 'b';", "ALTER TABLE a OWNER TO b;"),
        *("CREATE SCHEMA public;", "DROP SCHEMA IF EXISTS public;", "CREATE SCHEMA IF NOT EXISTS public;"),
    ],
)
def test_statement_about_the_server_is_skipped(statement: str) -> None:
    ran, notes = loaded(f"{statement}\nSELECT 1;\n\\restrict a\n")
    assert ran == ["SELECT 1;"]
    assert notes == ("source.sql: skipped 1 statement about owners, privileges and more",)
    assert loaded(statement * 2)[1][0].startswith("source.sql: skipped 2 statements")


@pytest.mark.parametrize(
    "statement",
    [
        *("CREATE TABLE database (a int);", "COMMENT ON TABLE a IS 'b';", "CREATE SCHEMA publicity;", "SELECT 1;"),
        *("CREATE SCHEMA parts;", "CREATE TRIGGER a;", "ANALYZE;", "INSERT INTO a VALUES (1);", "ENDED;", "GRANTED;"),
    ],
)
def test_statement_about_data_is_run(statement: str) -> None:
    assert loaded(statement) == ([statement], ())


@pytest.mark.parametrize(
    ("statement", "tolerated"),
    [
        ("SET a = 1;", ["42704", "22023"]),
        ("DROP TABLE a;", ["42P01", "3F000", "42704", "42883"]),
        ("ALTER TABLE a DROP CONSTRAINT b;", ["42P01", "3F000", "42704", "42883"]),
    ],
)
def test_error_that_an_empty_database_gives_is_tolerated(statement: str, tolerated: list[str]) -> None:
    assert loaded(statement)[0] == ["SAVEPOINT statement", statement]
    for code in ("42704", "22023", "42P01", "3F000", "42883", "0A000"):
        error = {statement: {"C": code, "M": "no"}}
        if code in tolerated:
            ran, notes = loaded(f"{statement} SELECT 1;", **error)
            expected = ["SAVEPOINT statement", statement, "ROLLBACK TO SAVEPOINT statement", "SELECT 1;"]
            assert (ran, notes) == (expected, ())
        else:
            with pytest.raises(LocalError, match=r"source\.sql, line 1: no\. Nothing of the file was loaded"):
                loaded(statement, **error)
    with pytest.raises(LocalError):
        loaded("SETTLE;", SETTLE={"C": "42704", "M": "no"})


@pytest.mark.parametrize(
    "command",
    [
        *("restrict", "unrestrict", "connect", "c", "encoding", "echo", "qecho", "warn", "set", "unset", "pset"),
        *("timing", "x", "a", "t", "q"),
    ],
)
def test_command_that_changes_no_data_is_skipped(command: str) -> None:
    assert loaded(f"\\{command} on\nSELECT 1;") == (["SELECT 1;"], ())


def test_extension_that_is_missing_is_named_twice() -> None:
    """Once among the notes, and where a later statement fails that may need it."""
    create = 'CREATE EXTENSION IF NOT EXISTS "post gis" WITH SCHEMA a;'
    ran, notes = loaded(create)
    assert (ran, notes) == (["SAVEPOINT statement", "RESET ROLE", create, 'SET LOCAL ROLE "the owner"'], ())
    missing = {"C": "0A000", "M": "no"}
    ran, notes = loaded(f"{create} create extension other;", EXTENSION=missing, extension={**missing, "C": "58P01"})
    assert notes == (
        'source.sql: the extension "post gis" is not available on this machine',
        "source.sql: the extension other is not available on this machine",
    )
    with pytest.raises(LocalError, match=r'no type\. Extensions that are not available on this machine: "post gis"\.'):
        loaded(f"{create} SELECT 1;", EXTENSION=missing, SELECT={"M": "no type"})


@pytest.mark.parametrize(
    ("script", "fields", "line"),
    [
        ("SELECT 0;\n\nSELECT\n x;", {"P": "9"}, 4),
        ("SELECT 0;\n\nSELECT\n x;", {"P": "7"}, 3),
        ("SELECT 0;\n\nSELECT\n x;", {}, 3),
        ("SELECT 0;\nCOPY a\nFROM stdin;\n1\nx\n\\.\n", {"W": "COPY a, line 2, column id"}, 5),
        ("SELECT 0;\nCOPY a\nFROM stdin;\n1\nx\n\\.\n", {"W": "COPY a, line 1"}, 4),
        ("SELECT 0;\nCOPY a\nFROM stdin;\n1\nx\n\\.\n", {}, 2),
    ],
)
def test_error_has_the_line_of_the_script(script: str, fields: dict[str, str], line: int) -> None:
    with pytest.raises(LocalError, match=rf"source\.sql, line {line}: "):
        loaded(script, **{"x" if "COPY" not in script else "COPY": fields})


def test_transaction_of_the_script_cannot_be_given_up() -> None:
    for word in ("ROLLBACK", "ABORT", "ROLLBACK WORK", "ROLLBACK TRANSACTION"):
        with pytest.raises(LocalError, match=r"line 2: a script is loaded completely or not at all"):
            loaded(f"SELECT 1;\n{word};")
    assert loaded("ROLLBACK TO a;")[0] == ["ROLLBACK TO a;"]
    with pytest.raises(LocalError, match=r"line 1: \\i is a command of psql"):
        loaded("\\i other.sql")


def test_copy_is_given_its_data() -> None:
    assert loaded("COPY a FROM stdin;\né\n\\.\n")[0] == ["COPY a FROM stdin;", "é\n"]


def test_message_has_detail_and_context() -> None:
    error = DatabaseError({"M": "one.", "D": "two.", "W": "three", "H": "hint"})
    assert message_of(error) == "one; two; three"
    assert (message_of(ValueError("other")), fields_of(ValueError("x")), fields_of(ValueError())) == ("other", {}, {})


def test_script_with_a_bad_byte_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "s.sql"
    path.write_bytes(b"a\nb\n\xff;")
    with pytest.raises(LocalError, match=r"line 3: this is not text"):
        read_script(path)
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        path.write_bytes(mark + "é;".encode(encoding))
        assert read_script(path) == "é;"
