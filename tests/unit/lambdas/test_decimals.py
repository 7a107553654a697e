"""Decimals with fewer decimals, compared with integers of Python: also where Arrow's own division is wrong."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from random import Random

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.shared.decimals import cut
from lambda_toolkit.pipeline.lambdas.transform.columns.numbers import integer, numeric

# Near them, and times a power of ten, Arrow's division by more than 32 bits goes wrong.
LIMITS = [2**power + by for power in (31, 32, 63, 64, 95, 96) for by in (-1, 0, 1)]


def as_decimal(unscaled: int, scale: int) -> Decimal:
    with localcontext() as context:
        context.prec = 80
        return Decimal(unscaled).scaleb(-scale)


@pytest.mark.parametrize("make", [pa.decimal128, pa.decimal256])
def test_decimals_are_cut_exactly(make: Callable[[int, int], pa.DataType]) -> None:
    most = make(1, 0).bit_width * 38 // 128
    numbers = {(limit * 10**zeros + more) % 10**most for limit in LIMITS for zeros in range(20) for more in (-1, 0, 1)}
    numbers |= {0, 1, 10**most - 1, *(Random(each).randrange(10**each) for each in range(1, most + 1))}  # noqa: S311 - the same each time
    for digits in range(1, most):
        signed = [number * sign for number in sorted(numbers) for sign in (1, -1)]
        column = pa.array([as_decimal(number, digits) for number in signed], make(most, digits))
        whole = [abs(number) // 10**digits * (1 if number > 0 else -1) for number in signed]
        assert cut(column, 0).equals(pa.array(map(Decimal, whole), make(most, 0))), digits


@pytest.mark.parametrize("digits", [14, 15, 17, 18, 19])
def test_numbers_that_arrow_divides_wrongly_keep_their_digits(digits: int) -> None:
    whole = [
        number for number in (*LIMITS, 922337203685477580799, 184467440737095516149) if number < 10 ** (38 - digits)
    ]
    column = pa.chunked_array([pa.array([Decimal(number) for number in whole], pa.decimal128(38, digits))])
    done = numeric(column, 38, 0)
    assert (done.values.to_pylist(), done.values.type) == (whole, pa.decimal128(38, 0))
    assert not any((done.invalid or pa.nulls(0)).to_pylist())
    small = [number if number < 2**63 else None for number in whole]
    assert integer(column, pa.int64(), is_number=True).values.to_pylist() == small


def test_column_with_fewer_decimals_is_the_same_column() -> None:
    column = pa.array([Decimal("1.5"), None], pa.decimal128(5, 2))
    assert cut(column, 2) is column and cut(column, 3) is column
    assert cut(pa.chunked_array([column, column]), 1).to_pylist() == [Decimal("1.5"), None] * 2
    assert cut(column, 1).type == pa.decimal128(5, 1)
