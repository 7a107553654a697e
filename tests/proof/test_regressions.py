"""Histories after which something was not as promised once: found at random, made short, kept by name."""

from __future__ import annotations

import pytest

from tests.proof.changes import Delete, Insert, Touch, Update
from tests.proof.proving import prove
from tests.proof.steps import Do, End, Extract, Load, Open, SetClock, Transform

HISTORIES = {
    "the clock is set back between two batches": [
        Extract(),
        SetClock(1),
        Do(Update("payment", 1, "paid", "true")),
        Extract(),
    ],
    "a version equal to the last waits behind one that is held": [
        Extract(),
        Do(Update("currency", 2, "currency_code", "ZZZ")),
        Do(Insert("currency", 4)),
        Do(Update("currency", 4, "currency_code", "ZZZ")),
        Do(Update("sales_order", 1, "currency_id", "4")),
        Extract(),
        Do(Update("sales_order", 1, "currency_id", "1")),
        Extract(),
        Transform(2),
        Transform(1),
        Transform(0),
        Load(),
    ],
    "a row is back and gone again while it waits": [
        Do(Insert("currency", 4)),
        Do(Update("currency", 4, "currency_code", "ZZZ")),
        Extract(),
        Do(Delete("payment", 2)),
        Extract(),
        Do(Insert("payment", 2)),
        Do(Update("payment", 2, "currency_id", "4")),
        Extract(),
        Do(Delete("payment", 2)),
        Extract(),
        Transform(3),
        Transform(2),
        Transform(1),
        Transform(0),
        Load(),
    ],
    "a row is met again by three runs while an older transaction is open": [
        Extract(),
        Open(1),
        Do(Touch("staff", 1)),
        Extract(),
        Do(Update("staff", 1, "last_name", "NA"), session=2),
        Extract(),
        End(2),
        Extract(),
        Do(Update("staff", 2, "last_name", ""), session=1),
        End(1),
    ],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_it_is_as_promised_now(world, name):
    prove(world, HISTORIES[name])
