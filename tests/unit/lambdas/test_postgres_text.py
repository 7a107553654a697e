"""Columns as text, to the character as PostgreSQL 18 wrote these values."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.shared.postgres_text import (
    float_text,
    key_texts,
    postgres_text,
    real_text,
    without_trailing_zeros,
)

DOUBLES = {
    "1e15": "1e+15",
    "123456789012345": "123456789012345",
    "999999999999999": "999999999999999",
    "1e-4": "0.0001",
    "0.00012345": "0.00012345",
    "1e-5": "1e-05",
    "9.99e-5": "9.99e-05",
    "1.5e300": "1.5e+300",
    "0.30000000000000004": "0.30000000000000004",
    "-0": "-0",
    "0": "0",
    "nan": "NaN",
    "inf": "Infinity",
    "-inf": "-Infinity",
    "5e-324": "5e-324",
    "1.7976931348623157e308": "1.7976931348623157e+308",
    "-2.5": "-2.5",
    "100": "100",
    "1e22": "1e+22",
    "1e23": "9.999999999999999e+22",
    "9007199254740993": "9.007199254740992e+15",
    "4.35": "4.35",
    "2.2250738585072014e-308": "2.2250738585072014e-308",
    "-123456789012345680": "-1.2345678901234568e+17",
}
REALS = {
    "16777216": "1.6777216e+07",
    "0.1": "0.1",
    "1e6": "1e+06",
    "999999": "999999",
    "123456": "123456",
    "-1234567": "-1.234567e+06",
    "3.4028235e38": "3.4028235e+38",
    "1e-45": "1e-45",
    "-0": "-0",
    "nan": "NaN",
    "-inf": "-Infinity",
    "8388608.5": "8.388608e+06",
    "1e-4": "0.0001",
    "0.00012345": "0.00012345",
    "1e-5": "1e-05",
    "33554432": "3.3554432e+07",
    "1.1754944e-38": "1.1754944e-38",
}


def column(values: list[object], kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize("text", DOUBLES)
def test_double_is_the_shortest_text_that_postgresql_writes(text: str) -> None:
    assert float_text(float(text)) == DOUBLES[text]
    found = postgres_text(column([float(text), None], pa.float64()))
    assert found.to_pylist() == [DOUBLES[text], None]


@pytest.mark.parametrize("text", REALS)
def test_real_is_the_shortest_text_that_postgresql_writes(text: str) -> None:
    reals = column([float(text), None], pa.float32())
    assert postgres_text(reals).to_pylist() == [REALS[text], None]
    assert real_text(reals[0].as_py()) == REALS[text]


NOON = datetime.datetime(2024, 1, 1, 12, 30, microsecond=500_000)
ZONED, PLAIN = "timestamp with time zone", "timestamp(3) without time zone"


@pytest.mark.parametrize(
    ("values", "kind", "postgres_type", "texts"),
    [
        ([True, False], pa.bool_(), "boolean", ["true", "false"]),
        ([7, -7], pa.int16(), "smallint", ["7", "-7"]),
        ([Decimal("0.0000001"), Decimal(0)], pa.decimal128(38, 10), "", ["0.0000001000", "0.0000000000"]),
        ([Decimal("1.5"), Decimal(-123)], pa.decimal128(38, 10), "", ["1.5000000000", "-123.0000000000"]),
        ([NOON], pa.timestamp("us"), PLAIN, ["2024-01-01 12:30:00.5"]),
        ([NOON.replace(microsecond=0)], pa.timestamp("us"), PLAIN, ["2024-01-01 12:30:00"]),
        ([NOON], pa.timestamp("us", "UTC"), "", ["2024-01-01 12:30:00.5+00"]),
        ([NOON], pa.timestamp("us"), ZONED, ["2024-01-01 12:30:00.5+00"]),
        ([NOON], pa.timestamp("ns"), "", ["2024-01-01 12:30:00.5"]),
        ([NOON.time(), datetime.time()], pa.time64("us"), "", ["12:30:00.5", "00:00:00"]),
        ([NOON.date()], pa.date32(), "date", ["2024-01-01"]),
        (["a  ", "  "], pa.string(), "character(3)", ["a", ""]),
        (["a  "], pa.string(), "bpchar", ["a"]),
        (["a  ", "1"], pa.string(), "text", ["a  ", "1"]),
        (["10.0.0.1", "10.0.0.0/8"], pa.string(), "inet", ["10.0.0.1/32", "10.0.0.0/8"]),
        (["::1", "2001:db8::/32"], pa.string(), "inet", ["::1/128", "2001:db8::/32"]),
        (["10.0.0.1"], pa.string(), "", ["10.0.0.1"]),
    ],
)
def test_value_is_written_as_its_type_is(
    values: list[object], kind: pa.DataType, postgres_type: str, texts: list[str]
) -> None:
    assert postgres_text(column([*values, None], kind), postgres_type).to_pylist() == [*texts, None]


def test_zeros_at_the_end_of_a_fraction_are_not_written() -> None:
    given = {"1.500": "1.5", "1.000": "1", "100": "100", "10.010": "10.01", "12:30:00.000000": "12:30:00", "0.0": "0"}
    assert without_trailing_zeros(column(list(given), pa.string())).to_pylist() == list(given.values())


def test_key_of_several_columns_is_the_array_of_postgresql() -> None:
    one = column(["a", 'a"b\\c', None, "\t"], pa.string())
    other = column(["b", "\n\x1f", "é", ""], pa.string())
    assert key_texts([one]) is one
    assert key_texts([one, other]).to_pylist() == [
        *('["a", "b"]', '["a\\"b\\\\c", "\\n\\u001f"]', '[null, "é"]', '["\\t", ""]'),
    ]
    assert key_texts([other.slice(2), one.slice(0, 2), one.slice(2)]).to_pylist()[0] == '["é", "a", null]'
