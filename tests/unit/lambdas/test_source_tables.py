"""What a declaration says of a source table, and how the warehouse's requirements differ from those declared."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.references.requirements import Requirement, _differences, any_unmet
from lambda_toolkit.pipeline.lambdas.shared.errors import DeclarationError
from lambda_toolkit.pipeline.lambdas.shared.model.source_table import EVERY_RUN, NEVER, SourceTable, interval, promise
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql

INTERVALS = {
    "30 minutes": timedelta(minutes=30),
    "1 minute": timedelta(minutes=1),
    "1 hours": timedelta(hours=1),
    "2 days": timedelta(days=2),
    "99999 days": timedelta(days=99_999),
}
NO_INTERVALS = (
    "",
    "0 minutes",
    "00 days",
    "100000 days",
    "1 week",
    "1  hour",
    "1 hour ",
    " 1 hour",
    "1 hourss",
    "-1 day",
)
NO_INTERVALS += ("hour", "1", "1.5 hours", "1 HOUR", "1 day or so", "every  run")


@pytest.mark.parametrize(("text", "expected"), [*INTERVALS.items(), ("every run", EVERY_RUN), ("never", NEVER)])
def test_interval_of_deletes_is_read(text: str, expected: timedelta) -> None:
    assert interval("Here", text) == expected


@pytest.mark.parametrize("text", NO_INTERVALS)
def test_text_that_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError, match=r"^Here `deletes` must be .*, not "):
        interval("Here", text)
    with pytest.raises(DeclarationError, match=r"^Here `fresh_within` must be .*, not "):
        promise("Here", {"fresh_within": text})


@pytest.mark.parametrize(("text", "expected"), INTERVALS.items())
def test_promise_of_freshness_is_read(text: str, expected: timedelta) -> None:
    assert promise("Here", {"fresh_within": text}) == expected


@pytest.mark.parametrize("value", [5, None, ["1 day"], "never", "every run"])
def test_promise_of_another_form_is_refused(value: object) -> None:
    with pytest.raises(DeclarationError, match="fresh_within"):
        promise("Here", {"fresh_within": value})


def test_no_promise_is_none() -> None:
    assert promise("Here", {"deletes": "never"}) is None


def test_table_is_called_as_declared_unless_it_has_a_name() -> None:
    plain, named = SourceTable("staff", ("id",)), SourceTable("staff", ("id",), schema="hr", table='per"son')
    assert (plain.relation, plain.sql_name) == ("staff", '"public"."staff"')
    assert (named.relation, named.sql_name) == ('per"son', '"hr"."per""son"')
    assert (plain.deletes, plain.by_content, plain.fresh_within) == (None, False, None)


def requirement(*columns: str, of: str | None = None) -> Requirement:
    return Requirement(columns, of, sql.compose("true"))


def test_differences_of_requirements_are_sentences_in_order() -> None:
    wanted = {requirement("b"), requirement("a", "b", of="staff"), requirement("same")}
    present = {requirement("a"), requirement("a", of="town"), requirement("same")}
    assert list(_differences(wanted, present)) == [
        "column a is NOT NULL, expected nullable",
        "foreign key (a) to town is not declared",
        "foreign key (a, b) to staff is missing",
        "column b is nullable, expected NOT NULL",
    ]
    assert list(_differences(wanted, wanted)) == []
    assert any_unmet([]) == "false"
    assert any_unmet([requirement("a"), requirement("b")]) == "true OR true"
