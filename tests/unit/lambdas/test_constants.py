"""What a text means as a constant, without a server; ``tests/pipeline/test_constants.py`` compares with one."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.expression.constants import (
    READERS,
    InvalidValueError,
    as_integer,
    as_numeric,
    nearest_real,
)

READ: dict[str, dict[str, Any]] = {
    "text[]": {
        "{}": (),
        "{ }": (),
        "{ \t\n}": (),
        " {a} ": ("a",),
        '{""}': ("",),
        "{ a b , c }": ("a b", "c"),
        '{a,"b c",NULL,"NULL",null}': ("a", "b c", None, "NULL", None),
        '{"a\\"b",c\\,d}': ('a"b', "c,d"),
    },
    "interval": {
        "1 year 2 months -3 days": (14, -3, 0),
        "1year": (12, 0, 0),
        " +2 WEEKS ": (0, 14, 0),
        "3 days": (0, 3, 0),
        "1 hour 2 min 3 secs": (0, 0, 3_723_000_000),
        "-90 minutes": (0, 0, -5_400_000_000),
        "1 mon 1 second": (1, 0, 1_000_000),
    },
    "boolean": {
        **dict.fromkeys(("t", "TRUE", "tr", "y", "yes", "on", "1", " on "), True),
        **dict.fromkeys(("f", "fals", "n", "no", "of", "off", "0"), False),
    },
    "smallint": {"32767": 32_767, "-32768": -32_768, " +007\n": 7, "0" * 30 + "5": 5, "-0": 0},
    "integer": {"2147483647": 2**31 - 1, "-2147483648": -(2**31)},
    "bigint": {"9223372036854775807": 2**63 - 1, "-9223372036854775808": -(2**63)},
    "uuid": dict.fromkeys(
        ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"),
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    "time without time zone": {
        "12:30:00.500000": "12:30:00.5",
        "24:00:00.000": "24:00:00",
        "00:00:00": "00:00:00",
        "23:59:50": "23:59:50",
    },
}
REFUSED = {
    "text[]": ("", "{", "a", "{a", "a}", "{a,}", "{,a}", "{{a}}", '{"a"b}', '{a"b"}', "{,}"),
    "interval": ("", "5", "days", "1.5 days", "1 day 2", "1 day 2 days", "1 week 1 weeks", "1 fortnight", "1  day"),
    "boolean": ("", "o", "2", "truest", "yess"),
    "smallint": ("32768", "-32769", "9" * 20, "", "-", "1.0", "1_000", "²"),
    "bigint": ("9223372036854775808", "-9223372036854775809"),
    "uuid": ("", "a0eebc999c0b4ef8bb6d6bb9bd380a1", "{a0eebc999c0b4ef8bb6d6bb9bd380a11", "g" * 32),
    "time without time zone": ("24:00:01", "7:00:00", "12:60:00", "12:00", "12:00:00.1234567"),
}


@pytest.mark.parametrize("kind", READ)
def test_text_is_the_value_of_its_type(kind: str) -> None:
    assert {text: READERS[kind](text) for text in READ[kind]} == READ[kind]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in REFUSED.items() for text in texts])
def test_text_that_is_no_value_is_refused(kind: str, text: str) -> None:
    with pytest.raises(InvalidValueError, match=rf"^(invalid input syntax for type )?{kind.replace('[]', '..')}"):
        READERS[kind](text)


def test_any_number_of_digits_is_out_of_range() -> None:
    """Python itself refuses to read more than a few thousand."""
    for digits in (20, 5000):
        with pytest.raises(InvalidValueError, match="^bigint out of range$"):
            READERS["bigint"]("9" * digits)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        *(("1e3", "1000"), ("1.50", "1.50"), ("-0.00", "0.00"), ("-1E-2", "-0.01"), ("0e5", "0"), ("NaN", "NaN")),
        *(("Infinity", "Infinity"), ("-Infinity", "-Infinity"), ("1.5e1", "15")),
    ],
)
def test_number_has_no_exponent_and_no_negative_zero(number: str, shown: str) -> None:
    assert str(as_numeric(Decimal(number))) == shown


def test_numeric_has_as_many_digits_as_postgresqls() -> None:
    assert as_numeric(Decimal("9e131071")) == Decimal("9e131071")
    assert as_numeric(Decimal("1e-16383")) == Decimal("1e-16383")
    for beyond in ("1e131072", "1e-16384", "0e-16384"):
        with pytest.raises(InvalidValueError, match="value overflows numeric format"):
            as_numeric(Decimal(beyond))
    assert (as_integer(32_767, "smallint"), as_integer(-32_768, "smallint")) == (32_767, -32_768)
    for number in (32_768, -32_769):
        with pytest.raises(InvalidValueError, match="smallint out of range"):
            as_integer(number, "smallint")


@pytest.mark.parametrize(
    ("exact", "real"),
    [
        *(("16777217", 16_777_216.0), ("16777217.0000001", 16_777_218.0), ("-16777217.0000001", -16_777_218.0)),
        *(("0.1", 0.10000000149011612), ("8388609.4999999999", 8_388_609.0), ("8388608.5000000001", 8_388_609.0)),
        *(("0", 0.0), ("1e-46", 0.0), ("1e-45", 1.401298464324817e-45), ("1e39", math.inf), ("-1e39", -math.inf)),
        *(
            ("3.4028234e38", 3.4028234663852886e38),
            ("7.0064923216240853e-46", 0.0),
            ("7.0064923216240854e-46", 2**-149),
        ),
    ],
)
def test_real_is_the_nearest_one_rounded_once(exact: str, real: float) -> None:
    assert nearest_real(Decimal(exact)) == real
