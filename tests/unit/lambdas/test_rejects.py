"""Which rows are rejected, with which words; and what of a server's error is kept, without any value."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.load.warehouse.references.refusals import is_about_a_row
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import _OWN_WORDS, message, sqlstate, without_values
from lambda_toolkit.pipeline.lambdas.transform.columns.rejects import (
    MAX_CHARACTERS,
    REJECTS_SCHEMA,
    DataError,
    build_rejects,
    error_mask,
    filter_error,
)

KEYS = pa.chunked_array([["1", "2"], ["3"]])


def column(*values: object) -> pa.ChunkedArray:
    return pa.chunked_array([list(values[:2]), list(values[2:])])


def error(*rows: bool, values: tuple[object, ...] = ("x", "y", "z"), **more: str) -> DataError:
    return DataError(column(*rows), more.pop("column", "amount"), column(*values), more.pop("reason", "no"), **more)


def test_row_with_any_error_is_masked() -> None:
    none = error(False, False, False)
    assert error_mask([]) is error_mask([none]) is None
    masked = error_mask([none, error(True, False, False), error(False, False, True)])
    assert masked is not None and masked.to_pylist() == [True, False, True]


def test_error_of_chosen_rows_alone() -> None:
    kept = filter_error(error(True, False, True, reason="why"), column(False, True, True))
    assert (kept.rows.to_pylist(), kept.values.to_pylist()) == ([False, True], ["y", "z"])
    assert (kept.column, kept.reason) == ("amount", "why")


def test_rejects_name_table_key_column_value_and_reason() -> None:
    errors = [
        error(False, True, True),
        error(True, True, True),  # the same column and reason
        error(True, False, False, reason="another"),
        error(False, False, True, column="day", values=(1, 2, 3)),
        error(False, False, False, column="empty"),
        error(True, False, False, column="wide", overflow="b", values=('{"a":"1","b":"2"}', None, None)),
    ]
    found = build_rejects("payment", KEYS, errors)
    assert found.schema == REJECTS_SCHEMA
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("payment", "2", "amount", "y", "no"),
        ("payment", "3", "amount", "z", "no"),
        ("payment", "1", "amount", "x", "another"),
        ("payment", "3", "day", "3", "no"),
        ("payment", "1", "wide", "2", "no"),
    ]
    empty = build_rejects("payment", KEYS, [errors[4]])
    assert (empty.schema, empty.num_rows) == (REJECTS_SCHEMA, 0)


def test_long_values_are_cut_and_say_so() -> None:
    values = ("é" * MAX_CHARACTERS, "é" * (MAX_CHARACTERS + 1), None)
    found = build_rejects("t", KEYS, [error(True, True, True, values=values)])["value"].to_pylist()
    assert found == [values[0], f"{'é' * MAX_CHARACTERS}… (1001 characters)", None]


KEPT = {"S": "ERROR", "C": "22P02", "L": "10", "R": "f", "t": "payment", "c": "amount", "n": "positive", "d": "money"}


def test_fields_with_values_are_dropped() -> None:
    fields = {**KEPT, "M": "broken", "D": "Key (a)=(secret)", "q": "SELECT 'secret'", "p": "3"}
    assert without_values(fields) == {**KEPT, "M": "broken"}


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"C": "22P02", "M": 'invalid input syntax for type integer: "sec"ret"'}, ': "..."'),
        ({"C": "22P02", "M": "ungültig: »sec\nret«"}, ': "..."'),
        ({"C": "22021", "M": 'invalid byte sequence for encoding "UTF8": 0x00'}, 'encoding "UTF8": 0x00'),
        ({"C": "22023", "M": 'invalid value for parameter "TimeZone": "secret"'}, '..."'),
        ({"C": "42703", "M": 'column "a" does not exist'}, 'column "a" does not exist'),
        ({"C": "P0001", "M": "secret", "H": "secret"}, _OWN_WORDS),
        ({"C": "23514", "M": "secret", "H": "secret", "F": "/src/pl_exec.c"}, _OWN_WORDS),
        ({"C": "23514", "M": "secret", "F": "plpy_elog.c"}, _OWN_WORDS),
        ({"C": "23514", "M": "a check of ours", "F": "execpl.c"}, "a check of ours"),
    ],
)
def test_message_of_a_server_has_no_value(fields: dict[str, str], shown: str) -> None:
    found = without_values(fields)
    assert found["M"].endswith(shown)
    assert "sec" not in json.dumps(found) and "H" not in found


def test_hint_of_the_server_itself_is_kept() -> None:
    fields = {"C": "42883", "M": "no function", "H": "You might need to add casts."}
    assert without_values(fields) == fields
    assert without_values({"M": "no code"}) == {"M": "no code"}


@pytest.mark.parametrize(
    ("context", "shown"),
    [
        ('COPY staff, line 12, column age: "secret"', "COPY staff, line 12, column age"),
        ('COPY staff, line 12: "COPY x, line 3, column secret: """', "COPY staff, line 12"),
        ("COPY staff, line 12", "COPY staff, line 12"),
        (
            "SQL statement \"INSERT 'secret'\"\nPL/pgSQL function audit() line 3 at SQL statement",
            "PL/pgSQL function audit() line 3 at SQL statement",
        ),
        (
            "PL/pgSQL function a() line 3 at RAISE\nCOPY t, line 1",
            "PL/pgSQL function a() line 3 at RAISE \u00b7 COPY t, line 1",
        ),
        ("secret", ""),
    ],
)
def test_context_keeps_places_alone(context: str, shown: str) -> None:
    assert without_values({"C": "23514", "W": context})["W"] == shown


def test_message_of_an_error_is_one_line() -> None:
    raised = DatabaseError({"C": "23514", "M": " broken ", "W": " COPY t, line 1 "})
    assert (sqlstate(raised), message(raised)) == ("23514", "broken \u00b7 COPY t, line 1")
    assert message(DatabaseError({"C": "23514", "M": "broken", "W": ""})) == "broken"
    for bare in (DatabaseError("lost"), DatabaseError()):
        assert (sqlstate(bare), message(bare)) == ("", str(bare))


@pytest.mark.parametrize("state", ["23514", "23505", "23P01", "22003", "P0001", "2200A", "21000", "44000"])
def test_refusal_may_be_about_a_row(state: str) -> None:
    assert is_about_a_row(DatabaseError({"C": state}))


OTHER_STATES = "08006 0A000 25P02 26000 2D000 3D000 3F000 40001 42501 53100 54000 55P03 57014 58030 XX000"


@pytest.mark.parametrize("state", [*OTHER_STATES.split(), ""])
def test_refusal_that_says_nothing_about_a_row(state: str) -> None:
    assert not is_about_a_row(DatabaseError({"C": state} if state else "lost"))
