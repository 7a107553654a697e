"""Which errors of the server are about what a row contains: others may be accepted then."""

from __future__ import annotations

import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.load.warehouse.references.refusals import is_about_a_row

# https://www.postgresql.org/docs/current/errcodes-appendix.html
OF_A_ROW = {
    "22003": "numeric value out of range",
    "22001": "text too long",
    "22P02": "invalid text",
    "22012": "division",
    "23505": "unique",
    "23514": "check",
    "23P01": "exclusion",
    "P0001": "raised by a trigger",
    "ZZ001": "its own state",
    "2200L": "not an XML document",
    "44000": "check option of a view",
    "38000": "an external routine",
}
OF_SOMETHING_ELSE = {
    "08006": "connection failure",
    "0A000": "not supported",
    "25P02": "in a failed transaction",
    "26000": "no such prepared statement",
    "2D000": "invalid end of a transaction",
    "3D000": "no such database",
    "3F000": "no such schema",
    "40001": "serialization failure",
    "40P01": "deadlock",
    "42501": "no privilege",
    "42P01": "no such table",
    "53100": "disk full",
    "53300": "too many connections",
    "54000": "limit exceeded",
    "55P03": "lock not available",
    "57014": "canceled",
    "57P01": "shut down",
    "58030": "I/O error",
    "XX000": "internal error",
    "XX001": "data corrupted",
    "": "no state",
}


@pytest.mark.parametrize("state", OF_A_ROW)
def test_error_is_about_what_a_row_contains(state: str) -> None:
    assert is_about_a_row(DatabaseError({"C": state, "M": OF_A_ROW[state]}))


@pytest.mark.parametrize("state", OF_SOMETHING_ELSE)
def test_error_is_about_something_else_than_a_row(state: str) -> None:
    assert not is_about_a_row(DatabaseError({"C": state, "M": OF_SOMETHING_ELSE[state]}))
    assert not is_about_a_row(DatabaseError("a text"))
