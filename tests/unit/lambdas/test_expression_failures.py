"""Why rows of an expression cannot be computed, which no server says of each row; and documents of json."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.shared.expression.resolve import resolve
from lambda_toolkit.pipeline.lambdas.transform.expressions.evaluate import evaluate, output
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression

TYPES = {
    "a": "integer",
    "b": "integer",
    "name": "text",
    "num": "numeric",
    "exact": "numeric(20,5)",
    "seen": "timestamp without time zone",
    "doc": "jsonb",
    "raw": "json",
}
ZERO = "division by zero"
NO_INTEGER = "invalid input syntax for type integer"
NO_JSON = "invalid input syntax for type json"


def computed(text: str, **columns: Any) -> list[str | None]:
    """What the rows of ``columns`` give, as PostgreSQL writes it, or the reason why they give nothing."""
    typed = resolve(parse_expression(text), lambda path: TYPES[path[0]])
    arrays = {name: pa.chunked_array([values]) for name, values in columns.items()}
    rows = len(next(iter(arrays.values())))
    values, reasons = evaluate(typed, lambda path: arrays[path[0]], rows)
    why = reasons.to_pylist() if reasons is not None else [None] * rows
    texts = output(values, typed.type).to_pylist()
    assert all(text is None for text, reason in zip(texts, why, strict=True) if reason)
    return [reason or text for text, reason in zip(texts, why, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7 / a + name::integer", [ZERO, NO_INTEGER]),
        ("name::integer + 7 / a", [NO_INTEGER, NO_INTEGER]),
        ("7 / a", [ZERO, "7"]),
        ("coalesce(7 / a, name::integer)", [ZERO, "7"]),
        ("7 / a > 1 AND name::integer > 1", [ZERO, NO_INTEGER]),
        ("7 / a > 1 OR name::integer > 1", [ZERO, "t"]),
        ("a = 0 AND 7 / a > 1 AND name::integer > 1", [ZERO, "f"]),
        ("CASE WHEN 7 / a > 1 THEN name::integer END", [ZERO, NO_INTEGER]),
        ("CASE WHEN 7 / a < 1 THEN 2 ELSE name::integer END", [ZERO, NO_INTEGER]),
        ("CASE WHEN a = 0 THEN 7 / a ELSE name::integer END", [ZERO, NO_INTEGER]),
        ("greatest(7 / a, name::integer)", [ZERO, NO_INTEGER]),
        ("concat(7 / a, name::integer)", [ZERO, NO_INTEGER]),
        ("concat_ws('-', 7 / a, name::integer)", [ZERO, NO_INTEGER]),
        ("nullif(7 / a, name::integer)", [ZERO, NO_INTEGER]),
        ("7 / a IS DISTINCT FROM name::integer", [ZERO, NO_INTEGER]),
        ("7 / a IS NULL", [ZERO, "f"]),
    ],
)
def test_first_failure_of_a_row_is_its_reason(text: str, expected: list[str]) -> None:
    """Of parts that fail the one that is computed first. No row has a NULL."""
    assert computed(text, a=pa.array([0, 1], pa.int32()), name=pa.array(["x", "x"])) == expected


def test_constant_that_fails_fails_where_it_is_reached() -> None:
    a = pa.array([0, 2], pa.int32())
    assert computed("CASE WHEN a = 0 THEN 1 / 0 ELSE a END", a=a) == [ZERO, "2"]
    assert computed("coalesce(nullif(a, 0), 1 / 0)", a=a) == [ZERO, "2"]
    assert computed("a + 1 / 0", a=a) == [ZERO, ZERO]
    assert computed("NULL + 1 / 0 + a", a=a) == [None, None]


def test_decimal_is_a_number_that_fits_without_rounding() -> None:
    """PostgreSQL has no such function: a cast would round."""
    misfit = "does not fit numeric(4,1)"
    texts = pa.array(["1.50", "999.9", "1000", "1.25", "NaN", None, "-7"])
    assert computed("decimal(num, 4, 1)", num=texts) == ["1.5", "999.9", misfit, misfit, misfit, None, "-7.0"]
    assert computed("decimal(num, 4, 1) + 1", num=texts[:2]) == ["2.5", "1000.9"]
    exact = pa.array([Decimal("1.50000"), Decimal("1.25000")], pa.decimal128(20, 5))
    assert computed("decimal(exact, 4, 1)", exact=exact) == ["1.5", misfit]
    assert computed("decimal(exact, 20, 5)", exact=exact) == ["1.50000", "1.25000"]


SURROGATE = r'{"a": "\ud800", "b": 1}'
DEEP = "[" * 100_000 + r'"\u00e9"' + "]" * 100_000


@pytest.mark.parametrize(
    ("text", "document", "expected"),
    [
        ("raw ->> 'a'", r'{"a": "\u0000"}', "unsupported Unicode escape sequence"),
        ("raw ->> 'a'", r'{"a": "\\u0000"}', r"\u0000"),
        ("raw ->> 'b'", r'{"a": "\\\u0000", "b": 1}', "unsupported Unicode escape sequence"),
        ("raw ->> 'b'", SURROGATE, NO_JSON),
        ("raw -> 'b'", SURROGATE, NO_JSON),
        ("raw #>> '{b}'", SURROGATE, NO_JSON),
        ("raw ->> 'a'", r'{"a": "\ud83d\ude00"}', "\U0001f600"),
        ("raw ->> 'ab'", r'{"a\u0062": 1}', "1"),
        ("raw -> 1", r'["\u00e9", "\u00e9"]', r'"\u00e9"'),
        ("raw ->> 0", DEEP, NO_JSON),
        ("raw -> 2 ->> 'b'", r'[1, "a]", {"b": "}\"" , "c": {}}, [], ""]', '}"'),
        ("raw ->> 3", '[1, "a]", {"b": "}"}, [ ] , ""]', "[ ]"),
        ("raw ->> -1", "[1 ,2\t,\n3 ]", "3"),
        ("raw -> 0", " [[1, [2]] , 3]", "[1, [2]]"),
        ("raw ->> 'b'", ' {"a" : {"b": 1} , "b" : 2 } ', "2"),
        ("raw ->> 'a'", ' {"a" :null}', None),
        ("raw ->> 'a'", "{}", None),
        ("raw ->> 0", "[]", None),
        ("raw ->> 0", "5", None),
        ("doc ->> 0", "5", "5"),
        ("doc ->> -1", "5", "5"),
        ("doc ->> 1", "5", None),
        ("doc ->> -2", "5", None),
        ("doc ->> 0", "true", "true"),
        ("doc ->> 'a'", "[1]", None),
        ("doc ->> 0", '{"0": 1}', None),
        ("doc #>> '{0}'", '{"0": 1}', "1"),
        ("doc #>> '{1}'", "[1, 2]", "2"),
        ("doc #>> '{-2}'", "[1, 2]", "1"),
        ("doc #>> '{-3}'", "[1, 2]", None),
        ("doc #>> '{a}'", "[1, 2]", None),
        ("doc #>> '{a,b}'", '{"a": 1}', None),
        ("raw #>> '{}'", ' "x" ', "x"),
        ("raw #>> '{}'", " 12 ", " 12"),
        ("raw #>> '{}'", " true ", " true"),
        ("raw #>> '{}'", " null ", None),
        ("raw #>> '{}'", " [1] ", "[1]"),
        ("raw #>> '{}'", ' {"a": 1} ', '{"a": 1}'),
    ],
)
def test_json_gives_what_the_server_gives(text: str, document: str, expected: str | None) -> None:
    """What PostgreSQL answered of a column with this document."""
    assert computed(text, **{text[:3]: pa.array([document])}) == [expected]


def test_text_that_is_longer_than_any_type_is_refused() -> None:
    a = pa.array([10_485_761, 2], pa.int32())
    assert computed("length(lpad(name, a))", a=a, name=pa.array(["x", "x"])) == ["requested length too large", "2"]
