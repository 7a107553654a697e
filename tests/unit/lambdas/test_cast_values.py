"""What each cast makes of values at the edges of its type, as PostgreSQL's assignments have it.

`make values` compares millions of values with a server. These few are those that tell one rule from its neighbour, and
need no server.
"""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.transform.columns import numbers, times
from lambda_toolkit.pipeline.lambdas.transform.columns.cast import cast_column
from lambda_toolkit.pipeline.lambdas.transform.columns.cast_result import CastResult


class Refused:
    """A value that the type does not take."""

    def __repr__(self) -> str:
        return "refused"


X = Refused()
NAN, INF = math.nan, math.inf
FLAGS = pa.chunked_array([[True, None]])
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
BARE = UUID.replace("-", "")


def decimals(*texts: str) -> pa.Array:
    return pa.array([Decimal(text) for text in texts])


def moment(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts)  # type: ignore[arg-type]  # the lake's moments are in UTC


TEXTS = {
    "smallint": {"32767": 32767, "32768": X, "-32768": -32768, "-32769": X},
    "integer": {
        "1": 1,
        " 2\t\n": 2,
        "+3": 3,
        "-4": -4,
        "0": 0,
        "-0": 0,
        "0" * 30 + "7": 7,
        "2147483647": 2147483647,
        "2147483648": X,
        "-2147483648": -2147483648,
        "-2147483649": X,
        "": X,
        "1.0": X,
        "1e2": X,
        "--1": X,
        "1 2": X,
        "\uff11": X,
        "1\u00a0": X,
        "x": X,
    },
    "bigint": {
        "9223372036854775807": 2**63 - 1,
        "9223372036854775808": X,
        "-9223372036854775808": -(2**63),
        "-9223372036854775809": X,
        "1" * 19: int("1" * 19),
        "1" * 20: X,
        "9" * 5000: X,
        "0" * 5000: 0,
    },
    "numeric(5,2)": {
        "1.5": Decimal("1.50"),
        "999.99": Decimal("999.99"),
        "1000": X,
        "-999.99": Decimal("-999.99"),
        "0.005": X,
        "1e2": Decimal("100.00"),
        "1E+2": Decimal("100.00"),
        "1e3": X,
        "1e-2": Decimal("0.01"),
        "1e-3": X,
        "99999e-2": Decimal("999.99"),
        "1200e-1": Decimal("120.00"),
        "1.000": Decimal("1.00"),
        "0e9": Decimal(0),
        ".5": Decimal("0.50"),
        "5.": Decimal("5.00"),
        " 7 ": Decimal("7.00"),
        "-0": Decimal(0),
        "nan": X,
        "inf": X,
        "": X,
        ".": X,
        "1_0": X,
        "e1": X,
        "1e": X,
        "0x1": X,
    },
    "numeric(3,5)": {"0.00123": "0.00123", "0.00999": "0.00999", "0.01": X, "0.000001": X, "0": "0"},
    "numeric(3,-2)": {"12300": "12300", "99900": "99900", "100000": X, "12350": X, "1e2": "100"},
    "numeric(50,2)": {
        "1.50": "1.5",
        "100": "100",
        "100.00": "100",
        "1e47": f"1{'0' * 47}",
        "1e48": X,
        "0.125": X,
        "0.12": "0.12",
        "NaN": "NaN",
        " nan": "nan",
        "inf": X,
        "-Infinity": X,
        "x": X,
    },
    "numeric": {
        "1.50": "1.50",
        " 1e5 ": "1e5",
        "NaN": "NaN",
        "-inf": "-inf",
        "+Infinity": "+Infinity",
        "infinit": X,
        "1e131071": "1e131071",
        "1e131072": X,
        "1e-16383": "1e-16383",
        "1e-16384": X,
        "0e131072": "0e131072",
        "0e-16384": X,
        "": X,
        "1e1234567": X,
        "-nan": X,
    },
    "boolean": {
        **dict.fromkeys(("t", "TRUE", " yes ", "y", "tr", "on", "ON", "1", "ye"), True),
        **dict.fromkeys(("f", "False", "n", "no", "of", "off", "0", "\tfals"), False),
        **dict.fromkeys(("", " ", "o", "2", "truee", "10", "nope", "yess"), X),
    },
    "uuid": {
        **dict.fromkeys((UUID, UUID.upper(), BARE, f"{{{UUID}}}", f"{{{BARE}}}"), UUID),
        "-".join(BARE[n : n + 4] for n in range(0, 32, 4)): UUID,
        **dict.fromkeys(
            (
                f"{{{BARE}",
                f"{BARE}}}",
                f"x{BARE}}}",
                f"{{{BARE}x",
                BARE[:-1],
                f"{BARE}a",
                f"{BARE}-",
                f"g{BARE[1:]}",
                f" {UUID}",
                "",
            ),
            X,
        ),
        f"{BARE[:3]}-{BARE[3:]}": X,
    },
    "real": {
        "1.5": 1.5,
        "3.4028234e38": 3.4028234663852886e38,
        "3.5e38": X,
        "1e-60": X,
        "0e-60": 0.0,
        "-1e39": X,
        "NaN": NAN,
        "-inf": -INF,
        " infinity ": INF,
        "x": X,
        "": X,
        "1e": X,
    },
    "double precision": {
        "0.1": 0.1,
        "1e308": 1e308,
        "1e309": X,
        "-1e309": X,
        "1e-400": X,
        "0.0e-400": 0.0,
        " 5. ": 5.0,
        ".": X,
    },
    "date": {
        "2024-02-29": datetime.date(2024, 2, 29),
        "2023-02-29": X,
        "2023-2-3": X,
        "0001-01-01": datetime.date(1, 1, 1),
        "0000-01-01": X,
        "infinity": X,
        "2024-01-01 ": X,
        "9999-12-31": datetime.date(9999, 12, 31),
    },
    "timestamp without time zone": {
        "2024-01-01 10:00:00": moment(2024, 1, 1, 10),
        "2024-01-01T23:59:59.5": moment(2024, 1, 1, 23, 59, 59, 500_000),
        "2024-01-01 10:00:00.123456": moment(2024, 1, 1, 10, 0, 0, 123_456),
        "2024-01-01 10:00:00.1234567": X,
        "2024-01-01 24:00:00": X,
        "2024-01-01 10:60:00": X,
        "2024-01-01": X,
        "2024-02-30 10:00:00": X,
        "2024-01-01 10:00:00+01": X,
        "2024-01-01 10:00:00Z": X,
    },
    "timestamp with time zone": {
        "2024-01-01 10:00:00": moment(2024, 1, 1, 10),
        "2024-01-01 10:00:00+01": moment(2024, 1, 1, 9),
        "2024-01-01 10:00:00Z": moment(2024, 1, 1, 10),
        "2024-01-01 10:00:00-0530": moment(2024, 1, 1, 15, 30),
        "2024-01-01 10:00:00+14:00": moment(2023, 12, 31, 20),
        "2024-01-01 10:00:00+15": X,
        "2024-01-01 10:00:00+05:60": X,
        "0001-01-01 00:00:00+01": X,
        "9999-12-31 23:59:59-01": X,
    },
    "timestamp(0) without time zone": {"2024-01-01 10:00:00.0": moment(2024, 1, 1, 10), "2024-01-01 10:00:00.5": X},
    "timestamp(3) without time zone": {
        "2024-01-01 10:00:00.1234": X,
        "2024-01-01 10:00:00.123": moment(2024, 1, 1, 10, 0, 0, 123_000),
    },
    "character varying(3)": {"abc": "abc", "abcd": X, "äöü": "äöü", "": "", "ab  ": X},
}
OTHERS: list[tuple[str, pa.Array, str, list[Any]]] = [
    ("bigint", pa.array([2**31 - 1, 2**31, -(2**31), -(2**31) - 1]), "integer", [2**31 - 1, X, -(2**31), X]),
    ("integer", pa.array([7], pa.int32()), "bigint", [7]),
    ("integer", pa.array([7, 1000], pa.int32()), "numeric(3)", [Decimal(7), X]),
    ("date", pa.array([datetime.date(2024, 1, 1)]), "date", [datetime.date(2024, 1, 1)]),
    ("integer", pa.array([7, 32767, 32768], pa.int32()), "smallint", [7, 32767, X]),
    ("double precision", pa.array([1.0, 1.5, -0.0, NAN, INF]), "integer", [1, X, 0, X, X]),
    ("double precision", pa.array([2147483647.0, 2147483648.0]), "integer", [2147483647, X]),
    ("double precision", pa.array([-2147483648.0, -2147483649.0]), "integer", [-2147483648, X]),
    ("double precision", pa.array([2.0**62, 2.0**63, -(2.0**63)]), "bigint", [2**62, X, -(2**63)]),
    ("numeric(12,1)", decimals("1.0", "1.5", "2147483647.0", "2147483648.0"), "integer", [1, X, 2147483647, X]),
    ("numeric(12,1)", decimals("-2147483648.0", "-2147483649.0"), "integer", [-2147483648, X]),
    ("numeric", pa.array(["1.00", "1.5", "2147483648", "NaN", "-2", "0.0"]), "integer", [1, X, X, X, -2, 0]),
    ("numeric", pa.array(["1.00", "1.005", "999.99", "1000", "NaN"]), "numeric(5,2)",
     [Decimal("1.00"), X, Decimal("999.99"), X, X]),
    ("numeric", pa.array(["1.00", "Infinity", "NaN"]), "numeric", ["1.00", "Infinity", "NaN"]),
    ("integer", pa.array([99, 100, -99], pa.int32()), "numeric(3,1)", [Decimal("99.0"), X, Decimal("-99.0")]),
    ("numeric(5,2)", decimals("1.50", "1.25", "999.90"), "numeric(4,1)", [Decimal("1.5"), X, Decimal("999.9")]),
    ("numeric(5,2)", decimals("99.99", "100.00"), "numeric(4,2)", [Decimal("99.99"), X]),
    ("numeric(5,2)", decimals("0.10"), "numeric", [Decimal("0.10")]),
    ("double precision", pa.array([0.35, 123.456, 1 / 3, NAN, INF, 0.0, -0.0]), "numeric(10,2)",
     [Decimal("0.35"), X, X, X, X, Decimal("0.00"), Decimal("0.00")]),
    ("double precision", pa.array([0.1, NAN, -INF, INF, 1 / 3, 1e20, 1e-7, 0.0]), "numeric",
     ["0.1", "NaN", "-Infinity", "Infinity", X, f"1{'0' * 20}", "0.0000001", "0"]),
    ("real", pa.array([0.1, 0.1234567], pa.float32()), "numeric", ["0.1", X]),
    ("double precision", pa.array([0.5, 1e39, 1e-60, NAN, -INF, 0.0]), "real", [0.5, X, X, NAN, -INF, 0.0]),
    ("integer", pa.array([3], pa.int32()), "double precision", [3.0]),
    ("numeric(3,2)", decimals("0.35"), "double precision", [0.35]),
    ("numeric", pa.array(["0.35", "1" + "0" * 400]), "double precision", [0.35, X]),
    ("numeric", pa.array(["1" + "0" * 37, "1" + "0" * 38, "1" + "0" * 39]), "real",
     [9.999999933815813e36, 9.999999680285692e37, X]),
    ("timestamp without time zone", pa.array([moment(2024, 1, 1), moment(2024, 1, 1, 0, 0, 1)]), "date",
     [datetime.date(2024, 1, 1), X]),
    ("date", pa.array([datetime.date(2024, 1, 1)]), "timestamp without time zone", [moment(2024, 1, 1)]),
    ("timestamp without time zone", pa.array([moment(2024, 1, 1, 0, 0, 0, 1000), moment(2024, 1, 1, 0, 0, 0, 1)]),
     "timestamp(3) without time zone", [moment(2024, 1, 1, 0, 0, 0, 1000), X]),
    ("time without time zone", pa.array(["24:00:00", "24:00:01", "10:00:00.5", "10:00:00.000000", "9:00:00"]),
     "time(0) without time zone", ["24:00:00", X, X, "10:00:00.000000", X]),
    ("time without time zone", pa.array(["10:00:00.12", "10:00:00.123", "24:00:00.000000"]),
     "time(2) without time zone", ["10:00:00.12", X, "24:00:00.000000"]),
    ("time without time zone", pa.array(["10:00:00.123456", "10:00:00.1234567", "24:00:00.1"]),
     "time without time zone", ["10:00:00.123456", X, X]),
]  # fmt: skip


def shown(found: list[Any]) -> list[str]:
    """Values so that NaN is like NaN, -0 is not like 0, and 1.0 is not like 1."""
    return [repr(value) for value in found]


def cast(source: str, values: pa.Array, wanted: str) -> list[Any]:
    """Each value after the cast, of one column in two chunks with a NULL."""
    column = pa.chunked_array([values, pa.concat_arrays([values, pa.nulls(1, values.type)])])
    result = cast_column(column, source, wanted)
    invalid = [False] * len(column) if result.invalid is None else result.invalid.to_pylist()
    found = [X if refused else value for value, refused in zip(result.values.to_pylist(), invalid, strict=True)]
    assert all(value is None for value, refused in zip(result.values.to_pylist(), invalid, strict=True) if refused)
    assert shown(found) == shown([*found[: len(values)], *found[: len(values)], None])
    return found[: len(values)]


@pytest.mark.parametrize("wanted", TEXTS)
def test_texts_at_the_edges_of_a_type(wanted: str) -> None:
    found = dict(zip(TEXTS[wanted], cast("text", pa.array(list(TEXTS[wanted])), wanted), strict=True))
    assert {k: repr(v) for k, v in found.items()} == {
        k: repr(v.quantize(Decimal("0.01")) if isinstance(v, Decimal) else v) for k, v in TEXTS[wanted].items()
    }


@pytest.mark.parametrize(("source", "values", "wanted", "expected"), OTHERS, ids=lambda value: str(value)[:30])
def test_values_of_other_types_at_the_edges(source: str, values: pa.Array, wanted: str, expected: list[Any]) -> None:
    assert shown(cast(source, values, wanted)) == shown(expected)


def test_values_without_a_cast_are_all_refused() -> None:
    assert cast("uuid", pa.array([UUID]), "integer") == [X]
    assert cast("boolean", pa.array([True]), "date") == [X]


@pytest.mark.parametrize(
    ("found", "to"),
    [
        (numbers.integer(FLAGS, pa.int16(), is_number=False), pa.int16()),
        (numbers.floating(FLAGS, pa.float32(), is_number=False), pa.float32()),
        (numbers.numeric(FLAGS, 5, 2), pa.decimal128(38, 0)),
        (times.date(FLAGS), pa.date32()),
        (times.timestamp(FLAGS, 6, zoned=False), pa.timestamp("us")),
        (times.time_of_day(FLAGS, 6), pa.string()),
    ],
    ids=["integer", "floating", "numeric", "date", "timestamp", "time"],
)
def test_column_that_has_no_cast_is_refused_but_for_null(found: CastResult, to: pa.DataType) -> None:
    """Whatever type the lake has for it."""
    assert (found.values.type, found.values.to_pylist()) == (to, [None, None])
    assert found.invalid is not None and found.invalid.to_pylist() == [True, False]
