"""Numbers in the binary COPY format: each field, read as the format says, is the number with its decimals."""

from __future__ import annotations

import struct
from decimal import Decimal

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.binary.binary_fields import Fixed, UnencodableError, as_binary
from lambda_toolkit.pipeline.lambdas.load.warehouse.binary.binary_numeric import decimals, number_texts

SPECIAL = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
# Unscaled: around the digits to the base of 10,000, the 16 digits of a chunk, and the limits of 64 bits.
EDGES = [
    *(0, 1, 7, 9_999, 10_000, 10_001, 99_999_999, 10**8, 10**15 - 1, 10**15, 10**16 - 1, 10**16, 10**16 + 1),
    *(2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1, 2**64, 10**20 - 1, 10**20, 123_456_789 * 10**12, 10**32 - 1, 10**32),
    *(2**96 + 12_345, 10**37, 10**38 - 1, *(2**63 * 10**digits for digits in range(13, 17))),
    # What Arrow divides to a wrong quotient: see shared/decimals.py.
    *((2**63 - 1) * 10**18, (2**63 - 1) * 10**18 + 1, 184467440737095516149999999999999999),
]


def read(field: bytes) -> tuple[Decimal | str, int]:
    """The number and its decimals that are shown: from digits to the base of 10,000, the first of a given weight."""
    count, weight, sign, shown = struct.unpack_from("!HhHH", field)
    assert len(field) == 8 + 2 * count
    if sign in SPECIAL:
        return SPECIAL[sign], shown
    assert sign in (0, 0x4000)
    digits = struct.unpack_from(f"!{count}H", field, 8)
    assert all(digit < 10_000 for digit in digits)
    number = Decimal((0, tuple(map(int, "".join(f"{digit:04}" for digit in digits))), 4 * (weight - count + 1)))
    return (number if sign == 0 else number.copy_negate()), shown


def read_all(fields: Fixed | pa.Array, count: int) -> list[tuple[Decimal | str, int]]:
    return [read(field) for field in (as_binary(fields, count) if isinstance(fields, Fixed) else fields).to_pylist()]


def column(unscaled: list[int], scale: int) -> pa.Array:
    numbers = [Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -scale)) for number in unscaled]
    return pa.array(numbers, pa.decimal128(38, scale))


@pytest.mark.parametrize("scale", [0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 20, 37, 38])
def test_decimals_are_read_back_with_their_scale(scale: int) -> None:
    """Alone, negative, and beside smaller and other ones; and those of a part of a column."""
    for edge in EDGES:
        for unscaled in ([edge], [-edge], [edge, 1, 0, -edge, -1], [0, edge // 3, edge], [-edge, 0]):
            numbers = column([5, *unscaled, 6], scale)[1:-1]
            assert read_all(decimals(numbers), len(numbers)) == [(number.as_py(), scale) for number in numbers]


SHORT = {  # the number as PostgreSQL shows it
    text: text for text in ("0", "-7", "1.50", "0.000", "9999.9999", "12345.6789", f"{'9' * 20}.{'8' * 18}")
}
LONG = {
    **{text: text for text in (f"-{'1' * 21}", f"0.{'1' * 19}", f"{'9' * 45}.{'8' * 41}")},
    "00012.5": "12.5",
    "0e999999": "0",
    "1e3": "1000",
    "1e16": "10000000000000000",
    "1.5e-3": "0.0015",
    "1e-5": "0.00001",
    "123456.7e-2": "1234.567",
    "-25E+1": "-250",
    "+.5": "0.5",
    "5.": "5",
    " 12 ": "12",
}


def shown(text: str) -> tuple[Decimal, int]:
    return Decimal(text), len(text.partition(".")[2])


def test_texts_are_numbers_with_the_decimals_that_they_show() -> None:
    """Short ones together, beside long ones, and each alone."""
    assert read_all(number_texts(pa.array(list(SHORT))), len(SHORT)) == [shown(text) for text in SHORT]
    texts = {**SHORT, **LONG}
    assert read_all(number_texts(pa.array(list(texts))), len(texts)) == [shown(text) for text in texts.values()]
    for text, as_shown in texts.items():
        assert read_all(number_texts(pa.array([text])), 1) == [shown(as_shown)]


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("1e131071", f"1{'0' * 131_071}"),
        ("9" * 131_072, "9" * 131_072),
        ("1e-16383", f"0.{'0' * 16_382}1"),
        (f"0.{'1' * 16_383}", f"0.{'1' * 16_383}"),
    ],
    ids=["e", "nines", "e-", "ones"],
)
def test_numbers_may_be_as_long_as_those_of_the_server(text: str, as_shown: str) -> None:
    is_same = read_all(number_texts(pa.array([text])), 1) == [shown(as_shown)]
    assert is_same  # without the texts, which are long


def test_numbers_that_are_none_have_their_signs() -> None:
    texts = {"NaN": "NaN", "inf": "Infinity", "+Infinity": "Infinity", " -inf ": "-Infinity", "-INFINITY": "-Infinity"}
    assert read_all(number_texts(pa.array(list(texts))), len(texts)) == [(name, 0) for name in texts.values()]


OTHERS = ["", "x", ".", "1e", "1,5", "--1", "0x1", "1_000", "\u0661", "1e131072", "1e1310720", "1e-16384", "1e-131073"]
OTHERS += ["1e1234567", "1e999999", "-1e-999999", "9" * 131_073, f"0.{'1' * 16_384}"]


@pytest.mark.parametrize("number", range(len(OTHERS)))
def test_text_of_no_number_is_left_to_the_server(number: int) -> None:
    with pytest.raises(UnencodableError):
        number_texts(pa.array([OTHERS[number], "1"]))
