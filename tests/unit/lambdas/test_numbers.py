"""Numbers of any length, as texts and as decimals, cast to numeric(p, s): exactly what Python's decimals say."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.transform.columns.numbers import numeric

TYPES = ((18, 2), (10, 2), (38, 10), (38, 0), (5, 5), (1, 0), (38, 38), (20, 18))
DIGITS = st.text("0123456789", max_size=45)
NUMBERS = st.builds(
    lambda sign, whole, fraction, zeros: f"{sign}{whole.lstrip('0') or '0'}" + (f".{fraction}{zeros}"),
    st.sampled_from(("", "-")),
    DIGITS,
    DIGITS,
    st.sampled_from(("0", "00", "0" * 17, "0" * 36, "0" * 120)),
)


def fits(text: str, precision: int, scale: int) -> bool:
    """Whether the number has at most the digits of the type, without rounding."""
    with localcontext() as context:
        context.prec = 400
        shifted = Decimal(text).scaleb(scale)
        return shifted == shifted.to_integral_value() and abs(shifted) < Decimal(10) ** precision


@given(st.lists(st.one_of(st.none(), NUMBERS), min_size=1, max_size=8), st.sampled_from(TYPES))
@example(["0.1" + "0" * 300, "7", None], (18, 2))
@example(["1" * 40, "-2"], (38, 0))
@example(["9" * 200], (10, 2))
@example(["1151.0"], (38, 38))
@example(["1234567890123456789012345678.0"], (38, 10))
@example(["12345678.90", "-12345678.900", None, "0"], (10, 2))
@example(["123456789", "1"], (10, 2))
@settings(max_examples=150, deadline=None)
def test_texts_of_numbers_are_cast_exactly_or_not(texts, kind) -> None:
    """Zeros at the end do not matter, however many; a value that does not fit is invalid, and no other is."""
    result = numeric(pa.chunked_array([texts, texts[::-1]], pa.string()), *kind, is_number=True)
    invalid = (result.invalid or pa.chunked_array([[False] * 2 * len(texts)])).to_pylist()
    for text, value, refused in zip([*texts, *texts[::-1]], result.values.to_pylist(), invalid, strict=True):
        assert refused == (text is not None and not fits(text, *kind)), text
        assert value == (None if text is None or refused else Decimal(text)), text


def test_decimals_of_the_wanted_type_are_not_checked_again() -> None:
    values = pa.chunked_array([pa.array([Decimal("1.20"), None], pa.decimal128(18, 2))])
    assert numeric(values, 18, 2).values is values
    assert numeric(values, 18, 3).values.to_pylist() == [Decimal("1.200"), None]
    assert numeric(values, 3, 0).values.to_pylist() == [None, None], "1.2 would be rounded"
