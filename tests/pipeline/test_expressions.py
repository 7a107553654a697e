"""A sample of `make expressions`: random expressions over hostile rows, and the case of every character."""

from __future__ import annotations

import json
import sys
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

from lambda_toolkit.pipeline.lambdas.shared.expression.resolve import resolve
from lambda_toolkit.pipeline.lambdas.transform.expressions.evaluate import evaluate
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
from tests.expressions import recorded
from tests.expressions.differential import Differential

# What random expressions rarely meet: the rules that are easy to get wrong.
CHOSEN = (
    *("7 / 2", "-7 / 2", "-7 % 3", "7 % -3", "price / 3", "amount / amount2", "price * rate", "1.10 + 2.2", "1 / 3.0"),
    *(
        "100000000000000000000 / 7",
        "0.000001 / 3",
        "round(-2.5)",
        "round(2.5::float8)",
        "round(whole, -1)",
        "2.5::integer",
    ),
    *("2.5::float8::integer", "(-0.5)::numeric(3,0)", "'Infinity'::numeric - amount", "num / 0", "0.1::real + num"),
    *("single + whole", "price + num", "abs(small)", "coalesce(price, 1)", "greatest(price, 1.50)", "NULL + 1 / whole"),
    *(
        "name || NULL",
        "concat(name, NULL, flag, mark)",
        "concat_ws('-', name, NULL, code)",
        "mark || '|'",
        "length(mark)",
    ),
    *(
        "upper(name) || lower(code)",
        "substring(name, -1, 3)",
        "left(name, -1)",
        "right(name, -1)",
        "replace(name, '', 'x')",
    ),
    *(
        "name LIKE 'a%'",
        "mark LIKE 'a%'",
        "name LIKE '%\\_%'",
        "mark = 'a'",
        "mark = name",
        "name > 'Z'",
        "code IN ('a', name)",
    ),
    *("state = 'sad'", "state::text || '!'", "flag || '!'", "flag::text", "flag::int", "whole::boolean", "born + 1"),
    *("born - born2", "seen::date", "noted::date - born", "date_trunc('week', seen)", "date_trunc('quarter', born)"),
    *("extract(week from born)", "extract(second from seen)", "extract(epoch from noted)", "extract(epoch from clock)"),
    *("noted AT TIME ZONE 'America/St_Johns'", "seen AT TIME ZONE 'Australia/Lord_Howe'", "seen::time::text"),
    *("doc -> 'a' ->> 0", "doc #>> '{a,1,b}'", "raw ->> 'b'", "doc -> -1", "raw #>> '{}'", "(doc ->> 'b')::numeric"),
    *(
        "CASE flag WHEN true THEN price ELSE 0 END",
        "CASE WHEN whole = 0 THEN 0 ELSE 100 / whole END",
        "nullif(small, large)",
    ),
    *(
        "price BETWEEN 1 AND whole",
        "price NOT IN (1, NULL)",
        "flag IS NOT TRUE",
        "(flag AND NULL) IS UNKNOWN",
        "not flag or flag2",
    ),
    *(
        "num = 'NaN'",
        "num > num2",
        "amount = amount2",
        "amount::numeric(10,2)",
        "name::numeric",
        "amount::double precision",
    ),
    *("name ILIKE 'A%'", "split_part(name, 'b', -1)", "lpad(code, 5, 'xy')", "rpad(mark, 3)", "trunc(price / 3, 2)"),
    *("sign(num)", "sign(amount)", "mod(whole, 3)", "position('b' in name)", "starts_with(name, 'a')", "trunc(-num)"),
    *("born + interval '1 month'", "seen - interval '1 year 2 mons -3 days'", "interval '-90 minutes' + noted"),
    *("born + interval '1 day' * 2", "timestamp '2024-01-31' + interval '1 month'", "born - '1 week'::interval"),
    *("num::numeric", "single::numeric", "large::real", "amount::bigint", "code::date", "name::boolean", "who::text"),
)


def test_expression_gives_what_postgresql_gives(empty):
    differential = Differential(empty, seed=1)
    for text in CHOSEN:
        differential.compare(text)
    assert differential.found.accepted > len(CHOSEN) - 3  # a constant that fails is refused by both
    found = differential.run(250, seed=1)
    assert not found.differences, "\n".join(found.differences[:20])
    assert found.accepted > 250
    assert found.cells > 25_000


def test_recorded_values_are_those_of_the_server(empty):
    assert json.loads(recorded.FILE.read_text(encoding="utf-8")) == recorded.asked(empty)


STORED = {  # expressions that fail for no row -> the types of columns that have every one of their values
    "price * rate": ("numeric", "numeric(30,6)", "numeric(50,10)", "text", "double precision"),
    "price / 3": ("numeric", "text"),
    "round(price / 3, 2)": ("numeric(12,2)", "numeric", "character varying(20)"),
    "small + 1": ("integer", "bigint", "numeric", "text", "real"),
    "num > 0": ("boolean", "text"),
    "coalesce(price, 1.5)": ("numeric",),
    "noted AT TIME ZONE 'Asia/Kolkata' AT TIME ZONE 'UTC'": ("timestamp with time zone", "text"),
    "date_trunc('day', seen)": ("timestamp without time zone", "date", "text"),
    "seen::date": ("date", "timestamp without time zone", "text"),
    "seen::time": ("time without time zone", "text"),
    "doc -> 'a'": ("jsonb", "json", "text"),
    "raw ->> 'b'": ("text",),
    "who": ("uuid", "text"),
    "mark || name": ("text",),
    "coalesce(mark, 'x')": ("character(8)", "text"),
    "single + 1": ("real", "double precision", "text"),
    "extract(second from seen)": ("numeric", "numeric(8,6)", "text"),
    "extract(year from born)": ("integer", "numeric"),
    "abs(amount)": ("numeric", "text"),
    "NULL": ("text",),
    "1": ("integer",),
    "concat(flag, mark, price)": ("text",),
    "state": ("text",),
}


def test_results_are_stored_as_postgresql_stores_them(empty):
    differential = Differential(empty, seed=2, rows=60)
    for text, targets in STORED.items():
        for wanted in targets:
            query = f"SELECT id, v::text FROM (SELECT id, CAST({text} AS {wanted}) AS v FROM given) AS s ORDER BY id"
            assert differential.store(text, wanted) == [tuple(row) for row in empty.rows(query)], (text, wanted)


def test_every_character_has_the_case_of_the_locale(empty):
    points = [chr(number) for number in range(1, sys.maxunicode + 1) if not 0xD800 <= number < 0xE000]
    characters = pa.chunked_array([pa.array(points, pa.string())])
    for name in ("upper", "lower"):
        theirs = dict(
            empty.rows(
                f"SELECT chr(n), {name}(chr(n)) FROM generate_series(1, 1114111) AS n"
                f" WHERE n NOT BETWEEN 55296 AND 57343 AND {name}(chr(n)) <> chr(n)"
            )
        )
        typed = resolve(parse_expression(f"{name}(c)"), lambda path: "text")
        found = evaluate(typed, lambda path: characters, len(points))[0]
        changed = pc.not_equal(found, characters)
        ours = dict(zip(characters.filter(changed).to_pylist(), found.filter(changed).to_pylist(), strict=True))
        assert len(theirs) > 1300
        differing = {(c, theirs.get(c, c), ours.get(c, c)) for c in {*theirs, *ours} if theirs.get(c) != ours.get(c)}
        # A character, or its counterpart, that a newer Unicode has on one side: docs/expressions.md names them.
        assert {found for found in differing if not any(unicodedata.category(c) == "Cn" for c in found)} == set()
        assert len(differing) < 100
