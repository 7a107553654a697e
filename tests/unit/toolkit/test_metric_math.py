"""Expressions of alarms: their values, and what is refused by its name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_toolkit.spec.metric_math import ExpressionError, fills_gaps, parse

VALUES = [1.0, None, 0.0, 4.0]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m", VALUES),
        ("FILL(m, 0)", [1.0, 0.0, 0.0, 4.0]),
        ("fill( m ,-2.5 )", [1.0, -2.5, 0.0, 4.0]),
        ("m * 2 + 1", [3.0, None, 1.0, 9.0]),
        ("1 + 2 * m - 3 - 1", [-1.0, None, -3.0, 5.0]),
        ("-(m + 1) / 2", [-1.0, None, -0.5, -2.5]),
        ("8 / m", [8.0, None, None, 2.0]),
        ("FILL(8 / m, 7)", [8.0, 7.0, 7.0, 2.0]),
        ("FILL(m, 1) / FILL(m, 1)", [1.0, 1.0, None, 1.0]),
        ("m + .5", [1.5, None, 0.5, 4.5]),
    ],
)
def test_values_of_an_expression(expression: str, expected: list[float | None]) -> None:
    assert parse(expression, ("m",))({"m": VALUES}, 4) == expected


def test_metric_without_any_value_has_nothing_to_fill() -> None:
    assert parse("FILL(m, 0) + 1", ("m",))({"m": None}, 2) == [None, None]
    assert parse("FILL(m, 0)", ("m",))({"m": [None, None]}, 2) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("RATE(m)", "the function RATE is not known here; FILL"),
        ("FILL(m, REPEAT)", "FILL with `REPEAT` is not known"),
        ("SEARCH('{AWS/Lambda} x', 'Sum')", "the function SEARCH is not known"),
        ("IF(m > 1, 1, 0)", "the function IF is not known"),
        ("m ^ 2", "`^` is not expected"),
        ("n + 1", "`n` is no metric of it; known are m"),
        ("m +", "ends too early"),
        ("(m", "ends too early"),
        ("m m", "`m` is not expected"),
        ("FILL(m 0)", "`,` is expected in place of `0`"),
        ("1 + 1", "names no metric; known are m"),
        ("", "ends too early"),
        ("m" + " " * 2048, "2049 characters; the limit is 2048"),
    ],
)
def test_what_is_not_evaluated_is_refused_by_its_name(expression: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(says)):
        parse(expression, ("m",))


@given(st.text("mFIL(),0123.+-*/ ^é", max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        values = parse(text, ("m",))({"m": VALUES}, 4)
    except ExpressionError as error:
        assert str(error)
    else:
        assert len(values) == 4


@given(st.recursive(st.sampled_from(["m", "2", "0.5"]), lambda part: st.tuples(part, st.sampled_from("+-*"), part)))
def test_arithmetic_is_that_of_python(tree: object) -> None:
    def text(node: object) -> str:
        return node if isinstance(node, str) else f"({text(node[0])} {node[1]} {text(node[2])})"  # type: ignore[index]

    expression = text(tree)
    expected = [eval(expression, {"m": value}) for value in (1.0, 3.0)]  # noqa: S307  # of this test
    assert parse(f"{expression} + m - m", ("m",))({"m": [1.0, 3.0]}, 2) == pytest.approx(expected)


def test_filled_gaps_are_recognized() -> None:
    assert fills_gaps("1 - fill (m, 0)")
    assert not fills_gaps("m / 60")
    assert not fills_gaps("REFILL + m")
