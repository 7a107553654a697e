"""What PostgreSQL gives for chosen expressions over chosen rows, recorded: to compare without a server.

``tests/unit/lambdas/test_recorded_expressions.py`` compares the code with the record, and
``tests/pipeline/test_expressions.py`` the record with a server. For another expression add it to ``recorded.json`` with
any value, and let that test call ``write(asked(connection))`` for a moment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.shared.expression.resolve import resolve
from lambda_toolkit.pipeline.lambdas.shared.expression.tree import from_json, to_json
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import arrow_type
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.lambdas.transform.expressions.evaluate import evaluate, output
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression

FILE = Path(__file__).with_name("recorded.json")
REFUSED = ["refused"]
"""In place of a value: the server refuses the row."""

_OUTSIDE = re.compile(r"^\d{5}-\d\d-| BC$")  # the years of the lake are 1 to 9999

TYPES = {
    "small": "smallint",
    "whole": "integer",
    "large": "bigint",
    "price": "numeric(10,2)",
    "rate": "numeric(6,4)",
    "amount": "numeric",
    "single": "real",
    "num": "double precision",
    "flag": "boolean",
    "name": "text",
    "mark": "character(5)",
    "born": "date",
    "seen": "timestamp without time zone",
    "noted": "timestamp with time zone",
    "clock": "time without time zone",
    "who": "uuid",
    "doc": "jsonb",
    "raw": "json",
}
_ROWS = {
    "small": ["7", "-32768", "32767", "0", "-3"],
    "whole": ["7", "-2147483648", "2147483647", "0", "-1"],
    "large": ["7", "-9223372036854775808", "9223372036854775807", "0", "-1"],
    "price": ["12.50", "-0.05", "99999999.99", "0.00", "-12.50"],
    "rate": ["1.2345", "-0.0001", "99.9999", "0.0000", "3.0000"],
    "amount": ["1.50", "NaN", "Infinity", "-100000000000000000000.000001", "0"],
    "single": ["2.5", "NaN", "Infinity", "-0.5", "3.4028235e+38"],
    "num": ["2.5", "NaN", "-Infinity", "-0.5", "1e+308"],
    "flag": ["true", "false", None, "true", "false"],
    "name": ["abc", "Äbc ß_b", "", "  a%b\\c ", "12.5"],
    "mark": ["ab   ", "abcde", "     ", " a   ", "Z    "],
    "born": ["2024-02-29", "1969-12-31", "0001-01-01", "9999-12-31", "2024-12-30"],
    "seen": ["2024-02-29 13:45:59.5", "1969-12-31 23:59:59.999999", "0001-01-01", "9999-12-31 23:59:59", "2024-03-31"],
    "noted": ["2024-03-31 01:30:00", "2024-10-27 00:30:00", "0001-01-02", "9999-12-30", "1970-01-01"],
    "clock": ["13:45:59.5", "24:00:00", "00:00:00", "23:59:59.999999", "01:02:03"],
    "who": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"] * 4 + ["00000000-0000-0000-0000-000000000000"],
    "doc": [
        '{"a": [1, {"b": "x"}], "b": null}',
        '{"a": {"b": "é\\"\\\\"}, "b": [1.50, -2]}',
        '["q", 2, null]',
        '"s"',
        "5",
    ],
    "raw": ['{ "a" : 1, "a" : [ 2 ] }', '[[1, 2], "]", {"b": "}"}]', '{"b": "\\u00e9\\n"}', "null", " true "],
}


def rows() -> pa.Table:
    """The rows in the lake's types; the last one has NULLs alone."""
    return pa.table({name: _column(TYPES[name], texts) for name, texts in _ROWS.items()})


def _column(kind: str, texts: list[str | None]) -> pa.Array:
    to = arrow_type(kind)
    plain = pa.timestamp("us") if pa.types.is_timestamp(to) else to
    return pa.array([*texts, None], pa.string()).cast(plain).cast(to)


def computed(text: str, given: pa.Table) -> tuple[str, list[Any]]:
    """The type, and the value of each row, as the code has it."""
    typed = resolve(from_json(to_json(parse_expression(text))), lambda path: TYPES[path[0]])
    values, reasons = evaluate(typed, lambda path: given[path[0]], given.num_rows)
    why = reasons.to_pylist() if reasons is not None else [None] * given.num_rows
    texts = output(values, typed.type).to_pylist()
    return typed.type, [value if reason is None else REFUSED for value, reason in zip(texts, why, strict=True)]


def asked(connection: Connection) -> dict[str, Any]:
    """Each recorded expression with the type, and the value of each row, as the server has it. Creates ``given``."""
    declared = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    connection.run(f"CREATE TABLE given (id integer PRIMARY KEY, {declared})")
    connection.run("SET TimeZone = 'UTC'")
    for number, values in enumerate(zip(*([*texts, None] for texts in _ROWS.values()), strict=True)):
        shown = ", ".join("NULL" if value is None else sql.constant(value) for value in values)
        connection.run(f"INSERT INTO given VALUES ({number}, {shown})")
    texts = list(json.loads(FILE.read_text(encoding="utf-8")))
    return {
        text: [kind, _values(connection, text)] for text, kind in zip(texts, _types(connection, texts), strict=True)
    }


def _types(connection: Connection, texts: Sequence[str]) -> list[str]:
    columns = ", ".join(f"({text}) AS c{number}" for number, text in enumerate(texts))
    connection.run(f"CREATE TEMPORARY VIEW typed AS SELECT {columns} FROM given")
    found = connection.rows(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'pg_temp.typed'::regclass ORDER BY attnum"
    )
    return [kind for (kind,) in found]


def _values(connection: Connection, text: str) -> list[Any]:
    query = (
        f"SELECT CASE WHEN v IS NULL THEN NULL ELSE format('%s', v) END FROM (SELECT id, ({text}) AS v FROM given) AS s"
    )
    try:
        return [value for (value,) in connection.rows(f"{query} ORDER BY id")]
    except DatabaseError:  # of some row: then one after the other
        numbers = range(len(next(iter(_ROWS.values()))) + 1)
        return [_value(connection, f"{query} WHERE id = {number}") for number in numbers]


def _value(connection: Connection, query: str) -> Any:
    try:
        return connection.rows(query)[0][0]
    except DatabaseError:
        return REFUSED


def recorded() -> dict[str, tuple[str, list[Any]]]:
    """The record: of each expression its type, and the value of each row; REFUSED for a moment that no lake has."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        text: (kind, [REFUSED if isinstance(value, str) and _OUTSIDE.search(value) else value for value in values])
        for text, (kind, values) in found.items()
    }


def write(found: dict[str, Any]) -> None:
    """Writes the record, an expression in a line."""
    lines = [f"{json.dumps(text)}: {json.dumps(value, ensure_ascii=False)}" for text, value in found.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
