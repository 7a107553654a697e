"""Decimals of Arrow with fewer decimals, exactly.

Arrow divides a decimal by a power of ten when it takes decimals away. Where that power is more than 32 bits, some
quotients are wrong: 18446744073709551615 with 14 decimals becomes 18446744067664922516, by a cast, by ``round`` and by
the check of a safe cast. A divisor of 32 bits has a method of its own, which is right.
"""

from __future__ import annotations

from typing import TypeVar

import pyarrow as pa

_DIGITS = 9  # 10^9 is the largest power of ten within 32 bits
_Column = TypeVar("_Column", pa.Array, pa.ChunkedArray)


def cut(column: _Column, scale: int) -> _Column:
    """Decimals with at most ``scale`` decimals, in a type of as many digits: what is beyond is cut, not rounded."""
    make = pa.decimal128 if pa.types.is_decimal128(column.type) else pa.decimal256
    while column.type.scale > scale:
        fewer = max(scale, column.type.scale - _DIGITS)
        column = column.cast(make(column.type.precision, fewer), safe=False)
    return column
