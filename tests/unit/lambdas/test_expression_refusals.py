"""Why an expression is refused, and at which character: what people read when a configuration is wrong."""

from __future__ import annotations

from itertools import product

import pytest

from lambda_toolkit.pipeline.lambdas.shared.expression.resolve import resolve
from lambda_toolkit.pipeline.lambdas.shared.expression.tree import Call, Column, Constant, ExpressionError, Node
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression

TYPES = {
    "a": "integer",
    "b": "numeric(10,2)",
    "t": "text",
    "c": "character(3)",
    "d": "date",
    "ts": "timestamp without time zone",
    "tm": "time without time zone",
    "j": "jsonb",
    "r": "json",
    "e": "mood",
    "o": "other",
    "ci": "citext",
    "x": "double precision",
    "i": "interval",
    "f": "boolean",
    "arr": "text[]",
    "u": "uuid",
}
OWN = "; cast the value of your own type to text"
ALONE = "an interval can be added to a date or a timestamp, or subtracted from one"
NUMBERS = "smallint, or integer, or bigint, or numeric, or real, or double precision"
ROUNDED = "double precision, or numeric, or numeric and integer"
FIT = "decimal's precision is 1 to 38, and its scale no more than that"
WRITTEN = "decimal takes a number and the integers precision and scale"


def refused(given: str | Node) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        resolve(parse_expression(given) if isinstance(given, str) else given, lambda path: TYPES[path[0]])
    return caught.value


WHOLE = {
    "upper(a)": ("there is no function upper for integer: it takes text", 1),
    "t || upper(a)": ("there is no function upper for integer: it takes text", 6),
    " -t": (f"there is no operator - for text: it takes {NUMBERS}", 2),
    "+t": (f"there is no operator + for text: it takes {NUMBERS}", 1),
    "a LIKE 'x'": ("there is no operator like for integer and unknown: it takes text and text, or bpchar and text", 3),
    "left(e, 1)": (f"there is no function left for mood and integer: it takes text and integer{OWN}", 1),
    "trunc(t)": (
        f"there is no function trunc for text: it takes {ROUNDED}",
        1,
    ),
    "round(x, 2)": (
        "there is no function round for double precision and integer: it takes double precision, or numeric, or "
        "numeric and integer; cast to numeric first",
        1,
    ),
    "round(t, 2)": (
        f"there is no function round for text and integer: it takes {ROUNDED}",
        1,
    ),
    "trunc(x, 2)": (f"there is no function trunc for double precision and integer: it takes {ROUNDED}", 1),
    "f AND a": ("AND needs a boolean, not integer", 7),
    "a OR f": ("OR needs a boolean, not integer", 1),
    "NOT a": ("NOT needs a boolean, not integer", 5),
    "f AND a IS TRUE": ("IS TRUE needs a boolean, not integer", 7),
    "a IS NOT FALSE": ("IS FALSE needs a boolean, not integer", 1),
    "CASE WHEN a THEN 1 END": ("WHEN needs a boolean, not integer", 11),
    "f AND CASE WHEN f THEN 1 ELSE t END": ("CASE types text, integer cannot be matched: cast them to one type", 7),
    "CASE WHEN f THEN d ELSE 'x' END": ('invalid input syntax for type date: "x"', 25),
    "coalesce(a, 'x', t)": ("coalesce types integer, text cannot be matched: cast them to one type", 1),
    "t || greatest(j, NULL)": ("greatest cannot compare values of jsonb", 6),
    "greatest(e, 'x')": ("greatest cannot compare values of mood", 1),
    "least(r, r)": ("least cannot compare values of json", 1),
    "least(i, i)": ("least cannot compare values of interval", 1),
    "a = 'x'": ('invalid input syntax for type integer: "x"', 5),
    "1.5 < 'x'": ('invalid input syntax for type numeric: "x"', 7),
    "d = '2024-13-01'": ('invalid input syntax for type date: "2024-13-01"', 5),
    "a IN (1, 'x')": ('invalid input syntax for type integer: "x"', 10),
    "1e200000": ('value overflows numeric format: "1e200000"', 1),
    "t || j": ("|| joins texts, not text and jsonb: cast them", 3),
    "a || f": ("|| joins texts, not integer and boolean: cast them", 3),
    "arr || 'x'": ("|| joins texts, not text[] and unknown: cast them", 5),
    "t || concat(t, arr)": ("concat takes no array", 16),
    "t || concat_ws('-')": ("concat_ws takes more values", 6),
    "concat_ws(t, arr)": ("concat_ws takes no array", 14),
    "concat_ws(a + 1, t)": ("the separator of concat_ws must be a text", 13),
    "concat_ws(true, t)": ("the separator of concat_ws must be a text", 11),
    "interval '1 day' || t": (ALONE, 1),
    "t || coalesce(interval '1 day', NULL)": (ALONE, 15),
    " interval '1 day'": (ALONE, 2),
    "f AND interval '1 day' IS NULL": (ALONE, 7),
    "d + interval '1.5 days'": ('invalid input syntax for type interval: "1.5 days"', 14),
    "d + i": ("+ takes an interval that is a constant, such as interval '1 day'", 3),
    "ts - i": ("- takes an interval that is a constant, such as interval '1 day'", 4),
    "t LIKE t": ("like needs a constant, written in the expression", 3),
    "t ILIKE t": ("ilike needs a constant, written in the expression", 3),
    "t LIKE 'x\\'": ("the pattern of LIKE ends with its escape character, a backslash", 8),
    "t ILIKE 'x\\\\\\'": ("the pattern of LIKE ends with its escape character, a backslash", 9),
    "extract(hour from d)": ("a date has no hour", 9),
    "extract(day from tm)": ("a time without time zone has no day", 9),
    "date_trunc(t, ts)": ("date_trunc needs a constant, written in the expression", 1),
    "ts AT TIME ZONE t": ("at time zone needs a constant, written in the expression", 4),
    "j #>> '{a'": ('invalid input syntax for type text[]: "{a"', 7),
    "a || t::jsonb": ("a cast to jsonb is not in the list of docs/expressions.md", 7),
    "'x'::jsonb": ("a cast to jsonb is not in the list of docs/expressions.md", 4),
    "NULL::jsonb": ("a cast to jsonb is not in the list of docs/expressions.md", 5),
    "t = 'x'::integer": ('invalid input syntax for type integer: "x"', 5),
    "'x'::numeric(3,1)": ('invalid input syntax for type numeric: "x"', 1),
    "t || decimal(t, 3, 1)": ("decimal takes a number, not text", 6),
    "decimal(x, 3, 1)": ("decimal takes a number, not double precision", 1),
    **{f"decimal(b, {given})": (FIT, 1) for given in ("39, 1", "0, 0", "3, 4", "3, -1")},
    **{f"decimal(b, {given})": (WRITTEN, 1) for given in ("a, 1", "3, '1'", "3, 1.5", "3, a")},
}


@pytest.mark.parametrize("text", WHOLE)
def test_refusal_says_what_is_wrong_and_where(text: str) -> None:
    reason, at = WHOLE[text]
    found = refused(text)
    assert (str(found), found.at) == (f"{reason} (at character {at})", at - 1)


BEGINS = {
    "a + (t - 1)": ("there is no operator - for text and integer: it takes smallint and smallint, or ", 8),
    "1 + t": ("there is no operator + for integer and text: it takes ", 3),
    "1.5 + t": ("there is no operator + for numeric and text: it takes ", 5),
    "2147483648 + t": ("there is no operator + for bigint and text: it takes ", 12),
    "9223372036854775808 + t": ("there is no operator + for numeric and text: it takes ", 21),
    "true + t": ("there is no operator + for boolean and text: it takes ", 6),
    "-d + 1": ("there is no operator - for date: it takes ", 1),
    "e < 'x'": ("there is no operator < for mood and unknown: it takes ", 3),
    "e = t": ("there is no operator = for mood and text: it takes ", 3),
    "e <> o": ("there is no operator <> for mood and other: it takes ", 3),
    "ci = 'x'": ("there is no operator = for citext and unknown: it takes ", 4),
    "e IN ('a', o)": ("there is no operator = for mood and other: it takes ", 3),
    "t IN (1, 2)": ("there is no operator = for text and integer: it takes ", 3),
    "a IN (1, t)": ("there is no operator = for integer and text: it takes ", 3),
    "f OR nullif(a, t)": ("there is no operator = for integer and text: it takes ", 6),
    "a IS DISTINCT FROM t": ("there is no operator = for integer and text: it takes ", 3),
    "extract(moon from ts)": ("extract takes year, quarter, month, week, day, dow, isodow, doy, isoyear, hour, ", 9),
    "date_trunc('moon', ts)": ("date_trunc takes microseconds, milliseconds, second, minute, hour, day, week, ", 12),
    "date_trunc('day\\', ts)": ("date_trunc takes microseconds, milliseconds, second, minute, hour, day, week, ", 12),
    "ts AT TIME ZONE 'CET'": ("the time zone 'CET' is not known here. ", 17),
}


@pytest.mark.parametrize("text", BEGINS)
def test_refusal_lists_what_there_is(text: str) -> None:
    reason, at = BEGINS[text]
    found = refused(text)
    assert str(found).startswith(reason) and str(found).endswith(f" (at character {at})")
    assert (OWN in str(found)) is text.startswith(("e ", "ci "))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *(("coalesce", 0), ("greatest", 0), ("least", 0), ("concat", 0), ("concat_ws", 0), ("concat_ws", 1)),
        *(("decimal", 0), ("decimal", 2), ("decimal", 4), ("upper", 0), ("upper", 2)),
    ],
)
def test_number_of_values_is_checked_in_a_tree_of_others(name: str, arguments: int) -> None:
    """The parser counts them, too, but a package may have a tree of another release."""
    values: tuple[Node, ...] = (Column(("t",)), *(Constant("integer", "3"),) * 3)[:arguments]
    assert refused(Call(name, values, 6)).at == 6


ACCEPTED = {
    "e = 'x'": "boolean",
    "e <> e": "boolean",
    "e IN ('a', 'b', NULL)": "boolean",
    "nullif(e, 'x')": "mood",
    "nullif(c, 'x')": "character(3)",
    "greatest(u, u)": "uuid",
    "greatest(c, 'x')": "bpchar",
    "t || r": "text",
    "NULL || NULL": "text",
    "concat(t)": "text",
    "concat_ws(NULL, t)": "text",
    "t LIKE 'x\\\\'": "boolean",
    "t LIKE NULL": "boolean",
    "t LIKE ('x' || NULL)": "boolean",  # which is NULL whatever the other is, and so a constant
    "(NULL::integer)::text": "text",
    "extract(epoch from d)": "numeric",
    "extract(epoch from tm)": "numeric",
    "extract(HOUR from ts)": "numeric",
    "date_trunc('Day', ts)": "timestamp without time zone",
    "date_trunc(NULL, ts)": "timestamp without time zone",
    "ts AT TIME ZONE NULL": "timestamp with time zone",
    "d + interval '1 day'": "timestamp without time zone",
    "d + (interval '1 day')": "timestamp without time zone",
    "'7.55'::numeric(3,1)": "numeric(3,1)",
    "'a'::character(3)": "character(3)",
    "NULL::integer": "integer",
    "decimal(b, 38, 38)": "numeric(38,38)",
    "decimal(a, 1, 0)": "numeric(1,0)",
    "NULL": "text",
    "'x'": "text",
}


@pytest.mark.parametrize("text", ACCEPTED)
def test_expression_at_the_edge_of_the_list_is_accepted(text: str) -> None:
    assert resolve(parse_expression(text), lambda path: TYPES[path[0]]).type == ACCEPTED[text]


@pytest.mark.parametrize(
    ("text", "postgres_type", "at"),
    [
        ("a", "integer", 1),
        ("7", "integer", 1),
        ("1.5", "numeric", 1),
        ("5000000000", "bigint", 1),
        ("a::text", "text", 2),
        ("'a'::text", "text", 1),
        ("'x'::character(3)", "character(3)", 4),
        ("'7.5'::numeric(3,1)", "numeric(3,1)", 6),
        ("NULL::integer", "integer", 5),
        ("(a = 1)::text", "text", 8),
        ("CASE WHEN f THEN 1 END", "integer", 1),
        ("CASE WHEN f THEN a ELSE b END", "numeric", 1),
        ("coalesce(a, 1)", "integer", 1),
        ("nullif(a, 1)", "integer", 1),
        ("upper(NULL)", "text", 1),
        ("concat(t)", "text", 1),
        ("t || t", "text", 3),
        ("decimal(b, 3, 1)", "numeric(3,1)", 1),
    ],
)
def test_value_of_another_type_is_found_in_the_text(text: str, postgres_type: str, at: int) -> None:
    found = refused(f"CASE WHEN {text} THEN 1 END")
    assert str(found) == f"WHEN needs a boolean, not {postgres_type} (at character {at + 10})"


NUMBERED = {"s": "smallint", "a": "integer", "l": "bigint", "b": "numeric", "re": "real", "x": "double precision"}
DATED = {"d": "date", "ts": "timestamp without time zone", "tz": "timestamp with time zone"}


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "=", "<>", "<", "<=", ">", ">="])
def test_two_values_are_computed_in_the_larger_type(operator: str) -> None:
    """As PostgreSQL's own operators do: of a smallint and a bigint it makes no numeric, which is slower."""
    is_comparison = operator in ("=", "<>", "<", "<=", ">", ">=")
    for names in (("s", "a", "l"), ("re", "x"), ("b",), *([("d", "ts", "tz")] if is_comparison else [])):
        for one, other in product(names, repeat=2):
            larger = {**NUMBERED, **DATED}[max(one, other, key=names.index)]
            found = resolve(parse_expression(f"{one} {operator} {other}"), lambda path: {**NUMBERED, **DATED}[path[0]])
            assert [typed.type for typed in found.arguments] == [larger, larger], (one, other)
            assert found.type == ("boolean" if is_comparison else larger)
