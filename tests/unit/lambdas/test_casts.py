"""Which casts an expression may ask for, each pair of types, and what a refusal proposes."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.shared.expression import constants
from lambda_toolkit.pipeline.lambdas.shared.expression.casts import cast_refusal

NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
TEXTS = ("text", "character varying", "character(3)")
MOMENTS = ("date", "timestamp without time zone", "timestamp with time zone")
TIME = "time without time zone"
OTHERS = ("boolean", "uuid", "json", "jsonb", "mood", "interval", "bytea", TIME)
TYPES = (*NUMBERS, *TEXTS, *MOMENTS, *OTHERS)
ALLOWED = (
    {(one, other) for kinds in (NUMBERS, MOMENTS) for one in kinds for other in kinds}
    | {(one, text) for one in TYPES for text in TEXTS}
    | {(text, other) for text in TEXTS for other in (*NUMBERS, *MOMENTS, "boolean", "uuid", TIME)}
    | {(one, one) for one in ("boolean", "uuid", "json", TIME)}
    | {("boolean", "integer"), ("integer", "boolean"), ("jsonb", "json")}
    | {(one, TIME) for one in MOMENTS if one != "date"}
)
HINTS = {
    "mood": ": cast it to text first",
    "json": ": take a value out of it with ->> and cast that",
    "jsonb": ": take a value out of it with ->> and cast that",
}


@pytest.mark.parametrize("source", TYPES)
def test_cast_is_of_the_list_or_refused_with_a_hint(source: str) -> None:
    for wanted in TYPES:
        if (source, wanted) in ALLOWED:
            said = None
        elif wanted in ("jsonb", "mood", "interval", "bytea"):
            said = f"a cast to {wanted} is not in the list of docs/expressions.md"
        else:
            hint = HINTS.get(source, "")
            said = f"PostgreSQL's cast of {source} to {wanted} is not in the list of docs/expressions.md{hint}"
        assert cast_refusal(source, wanted) == said, wanted


@pytest.mark.parametrize(
    "base", ["timestamp{} without time zone", "timestamp{} with time zone", "time{} without time zone"]
)
def test_cast_that_would_round_the_second_is_refused(base: str) -> None:
    plain = base.format("")
    for digits in (0, 5):
        said = cast_refusal("text", base.format(f"({digits})"))
        assert said is not None and said.endswith(f"would round the second: cast to {plain}, or use date_trunc")
    assert cast_refusal("text", base.format("(6)")) is None
    assert cast_refusal("numeric(9,4)", "numeric(3,0)") is None


@pytest.mark.parametrize("name", ["right/UTC", "posix/Europe/Berlin", "/Europe/Berlin", "CET", "utc", ""])
def test_zone_that_postgresql_takes_for_another_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the machine has it: some have leap seconds under ``right/``."""
    monkeypatch.setattr(constants.zoneinfo, "ZoneInfo", str)
    with pytest.raises(constants.InvalidValueError, match="is not known here"):
        constants.time_zone.__wrapped__(name)
    assert constants.time_zone.__wrapped__("Europe/Berlin") == "Europe/Berlin"
    assert constants.time_zone.__wrapped__("UTC") == "UTC"
