"""Errors of the server keep what helps, and lose the values of rows: they end in CloudWatch."""

from __future__ import annotations

import io
import re
import traceback
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.shared import runtime
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, connected
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message, without_values
from tests.support.function_logs import json_lines

SCHEMA = """
CREATE TABLE person (
    id int PRIMARY KEY, email text UNIQUE, name text NOT NULL, age smallint CHECK (age > 0),
    boss int REFERENCES person, born date
);
INSERT INTO person VALUES (1, 'hidden@example.com', 'hidden', 1);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name = 'hidden raise' THEN
        RAISE EXCEPTION 'person "%" aged % is refused', NEW.name, 4711 USING DETAIL = NEW.name, HINT = NEW.email;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@pytest.fixture
def people(empty: Connection) -> Iterator[Connection]:
    empty.run(SCHEMA)
    yield empty


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("INSERT INTO person VALUES (2, 'hidden@example.com', 'x')", 'duplicate key .* "person_email_key"'),
        ("INSERT INTO person VALUES (4711, 'hidden', NULL)", 'null value in column "name" of relation "person"'),
        ("INSERT INTO person VALUES (3, 'hidden', 'x', -4711)", 'check constraint "person_age_check"'),
        ("INSERT INTO person VALUES (3, 'x', 'x', 1, 4711)", 'foreign key constraint "person_boss_fkey"'),
        ("INSERT INTO person VALUES (3, 'x', 'x', 1, NULL, '4711-hidden')", "invalid input syntax for type date"),
        ("INSERT INTO person VALUES (3, 'x', 'x', CAST('hi\"dden' AS int))", "invalid input syntax for type integer"),
        ("INSERT INTO person VALUES (3, 'x', 'x', CAST('4711471147' AS int))", "out of range for type integer"),
        ("SELECT CAST('{\"hidden\": 4711' AS json)", "invalid input syntax for type json"),
        ("SELECT date '4711-13-45'", "out of range"),
        ("INSERT INTO person VALUES (3, 'hidden', 'hidden raise')", r"function or a trigger raised .* line 4 at RAISE"),
        ("CREATE UNIQUE INDEX ON (VALUES (1)) AS hidden_table", "syntax error"),
    ],
)
def test_values_of_rows_are_taken_out_of_an_error(people: Connection, statement: str, says: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        people.run(statement)

    assert_hidden(caught.value, says)


def test_copy_names_the_line_and_not_the_value(people: Connection) -> None:
    people.run("CREATE TABLE staging (id int, name text)")
    with pytest.raises(DatabaseError) as caught:
        people.copy_in("COPY staging FROM STDIN", [b"1\tx\n", b"hidden 4711\thidden\n"])

    assert_hidden(caught.value, r"type integer: \"\.\.\.\" · COPY staging, line 2, column id$")


def assert_hidden(error: DatabaseError, says: str) -> None:
    for text in (message(error), repr(error), str(error.__cause__), str(error.__context__)):
        assert "hidden" not in text.replace("hidden_table", "")
        assert "4711" not in text
    assert re.search(says, message(error)), message(error)


def test_unknown_fields_and_other_languages_are_hidden_too() -> None:
    text = "ungültige Eingabesyntax für Typ integer: "
    found = without_values({"S": "FEHLER", "C": "22P02", "M": f"{text}»geheim«", "D": "geheim", "Z": "geheim"})

    assert found == {"S": "FEHLER", "C": "22P02", "M": f'{text}"..."'}
    assert without_values({"C": "22021", "M": 'invalid byte sequence for encoding "UTF8": 0x00'})["M"].endswith("0x00")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the handlers log."""
    written = io.StringIO()
    monkeypatch.setattr(runtime.logger, "write", lambda line: written.write(line + "\n"))
    return written


@pytest.mark.parametrize("rows", [b"a,b\n1,hidden\n4711\n", b"a\nhidden 4711\n"])
def test_nothing_of_an_error_of_arrow_is_logged(log: io.StringIO, rows: bytes) -> None:
    """Arrow's messages quote a value that does not fit, or a whole row that has too few columns."""

    @runtime.logged
    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        types = pyarrow.csv.ConvertOptions(column_types={"a": pa.int64()})
        pyarrow.csv.read_csv(io.BytesIO(rows), convert_options=types)
        return {}

    with pytest.raises(PipelineError, match=r"ArrowInvalid: .* Raised at .*test_server_errors") as caught:
        handle({}, None)

    error, summary = json_lines(log.getvalue())
    assert (error["error"], summary["outcome"]) == ("ArrowInvalid", "failed")
    for value in ("hidden", "4711"):
        assert value not in "".join(traceback.format_exception(caught.value)) + log.getvalue()


def test_a_failing_handler_logs_no_value(people: Connection, credentials: Any, log: io.StringIO) -> None:
    """An error that no handler expects is logged with its traceback, and again by Lambda."""

    @runtime.logged
    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        with connected(credentials[1]) as connection:
            connection.run(event["statement"])
        return {}

    with pytest.raises(DatabaseError) as caught:
        handle({"statement": "INSERT INTO person VALUES (2, 'hidden@example.com', 'x')"}, None)

    assert "person_email_key" in log.getvalue()
    assert "hidden" not in log.getvalue() + str(caught.value)
