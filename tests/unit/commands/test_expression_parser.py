"""The parser of expressions: PostgreSQL's precedence, the closed list, and messages with the place in the text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.shared.expression.resolve import resolve, resolve_condition
from lambda_toolkit.pipeline.lambdas.shared.expression.tree import ExpressionError, from_json, to_json
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression

TYPES = {
    "a": "integer",
    "b": "numeric(10,2)",
    "t": "text",
    "d": "date",
    "j": "jsonb",
    "e": "mood",
    "x": "double precision",
    "i": "interval",
}


def shape(text: str) -> str:
    """The tree in parentheses."""
    return _shape(parse_expression(text))


def _shape(node) -> str:
    kind, _, *rest = node if isinstance(node, list) else to_json(node)
    if kind == "column":
        return ".".join(rest)
    if kind == "constant":
        return str(rest[1])
    if kind == "call":
        return f"({rest[0]} {' '.join(map(_shape, rest[1:]))})"
    return f"({kind} {rest[0]} {_shape(rest[1])})" if kind == "cast" else "(case)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * c - d", "(- (+ a (* b c)) d)"),
        ("a || b + c", "(|| a (+ b c))"),
        ("a = b IS NULL", "(is null (= a b))"),
        ("NOT a = b", "(not (= a b))"),
        ("a || b -> 'x'", "(-> (|| a b) x)"),
        ("-a::int", "(negative (cast integer a))"),
        ("a->-1", "(-> a -1)"),
        ("-2147483648", "-2147483648"),
        ("a BETWEEN 1 AND 2 AND c", "(and (>= a 1) (<= a 2) c)"),
        ("a NOT IN (1, 2)", "(not (in a 1 2))"),
        ("a at time zone 'UTC' = b", "(= (at time zone UTC a) b)"),
        ("substring(a from 2 for 3)", "(substring a 2 3)"),
        ("trim(leading 'x' from a)", "(ltrim a x)"),
        ("e'it\\'s'", "it's"),
        ("a /* b /* c */ */ || $q$it's$q$ -- d", "(|| a it's)"),
        ('"First Name" || city.name', "(|| First Name city.name)"),
    ],
)
def test_text_is_read_as_postgresql_reads_it(text, expected):
    assert shape(text) == expected
    assert from_json(json.loads(json.dumps(to_json(parse_expression(text))))) == parse_expression(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a +", "expected a column, a constant or a function, found the end (at character 4)"),
        ("t || len(t)", "there is no function len"),
        ("a == 1", "there is no operator ==; known"),
        ("a = b = a", "cannot follow another comparison"),
        ("(SELECT 1)", "SELECT is not in the list"),
        ("now()", "there is no function now"),
        ("current_date", "CURRENT_DATE is not in the list"),
        ("a IN (SELECT 1)", "IN takes a list of values, not a query"),
        ("FirstName || t", 'write "FirstName" in double quotes'),
        ("'abc", "the string constant that begins here does not end"),
        ("a + 'x", "does not end"),
        ("a::nothing", "the type nothing is not known here"),
        ("a; drop table b", "expected an operator or the end, found ;"),
        ("1 / 2 || upper('x') + 1", "there is no operator + for text and integer"),
        ("upper(a, t)", "upper takes 1"),
        ("(" * 150 + "a" + ")" * 150, "nested more than 100 levels"),
        (" || ".join(["t"] * 150), "more than 100 operators follow each other"),
        ("t || " + "x" * 30_000, "20000 is the limit"),
        ("a - U&'x'", "write a text in single quotes"),
    ],
)
def test_text_outside_the_list_is_refused_with_its_place(text, message):
    with pytest.raises(ExpressionError) as refused:
        parse_expression(text)
    assert message in str(refused.value)
    assert "(at character" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t + 1", "there is no operator + for text and integer"),
        ("round(x, 2)", "cast to numeric first"),
        ("a AND true", "AND needs a boolean, not integer"),
        ("a = 'x'", 'invalid input syntax for type integer: "x" (at character 5)'),
        ("CASE WHEN a = 1 THEN t ELSE a END", "CASE types integer, text cannot be matched"),
        ("e = t", "cast the value of your own type to text"),
        ("e < 'x'", "there is no operator <"),
        ("interval '1 day' || t", "an interval can be added to a date or a timestamp"),
        ("coalesce(interval '1 day', NULL)", "an interval can be added to a date or a timestamp"),
        ("d + interval '1.5 days'", 'invalid input syntax for type interval: "1.5 days"'),
        ("d + i", "takes an interval that is a constant"),
        ("d - d::timestamp", "there is no operator - for date and timestamp without time zone"),
        ("j::integer", "take a value out of it with ->>"),
        ("t::jsonb", "is not in the list of docs/expressions.md"),
        ("t LIKE t", "like needs a constant"),
        ("t LIKE 'x\\'", "ends with its escape character"),
        ("extract(hour from d)", "a date has no hour"),
        ("date_trunc('moon', d)", "date_trunc takes"),
        ("d::timestamp at time zone 'Mars/Base'", "the time zone 'Mars/Base' is not known here"),
        ("d::timestamp at time zone 'CET'", "the time zone 'CET' is not known here"),
        ("j || 'x'", "|| joins texts"),
        ("decimal(t, 3, 1)", "decimal takes a number, not text"),
    ],
)
def test_types_that_do_not_fit_are_refused(text, message):
    with pytest.raises(ExpressionError) as refused:
        resolve(parse_expression(text), lambda path: TYPES[path[0]])
    assert message in str(refused.value)


def test_filter_must_be_a_boolean():
    with pytest.raises(ExpressionError, match="the filter needs a boolean, not integer"):
        resolve_condition(parse_expression("a"), lambda path: TYPES[path[0]])
    assert resolve_condition(parse_expression("a = 1"), lambda path: TYPES[path[0]]).type == "boolean"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([*"ab()+-*/%|<>=,.'\"[]:;", " and ", " not ", " is ", " case ", "1", "in", "::", "t"]),
        max_size=12,
    )
)
def test_any_text_is_read_or_refused(pieces):
    text = "".join(pieces)
    try:
        node = parse_expression(text)
        resolve(node, lambda path: TYPES.get(path[-1], "text"))
    except ExpressionError as refused:
        assert refused.at >= 0
