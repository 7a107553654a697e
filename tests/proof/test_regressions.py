"""Histories after which something was not as promised once: found at random, made short, kept by name."""

from __future__ import annotations

import pytest

from tests.proof.changes import Delete, Insert, Touch, Update
from tests.proof.proving import prove, prove_in_ranges
from tests.proof.steps import (
    CAUGHT,
    SAVEPOINT,
    SWALLOWED,
    UNDONE,
    Do,
    End,
    Extract,
    Load,
    Open,
    Overtake,
    Rebuild,
    SetClock,
    Transform,
    Truncate,
)

HISTORIES = {
    "the clock is set back between two batches": [
        Extract(),
        SetClock(1),
        Do(Update("payment", 1, "paid", "true")),
        Extract(),
    ],
    "a version equal to the last waits behind a pending one": [
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
    "a row is undeleted and deleted again while it waits": [
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
    "a change is committed between the snapshot and the reading of its table": [
        Extract(during=Do(Update("payment", 1, "paid", "true"))),
        Transform(),
        Load(),
    ],
    "a table is emptied while it is read": [
        Extract(during=Truncate()),
        Transform(),
        Load(),
        Do(Update("address", 1, "phone", "2")),
        Extract(during=Truncate()),
    ],
    "another run is quicker, and has a newer snapshot": [
        Extract(),
        Do(Update("address", 1, "phone", "2")),
        Open(1),
        Do(Update("payment", 1, "paid", "true"), session=1, how=SAVEPOINT),
        Extract(during=Overtake()),
        End(1),
        Extract(during=Overtake()),
    ],
    "staff who report to one another wait for a department": [
        Do(Insert("department", 4)),
        Do(Update("department", 4, "department_name", None)),
        Do(Insert("staff", 3)),
        Do(Update("staff", 3, "department_id", "4")),
        Do(Update("staff", 1, "reports_to", "3")),
        Do(Update("staff", 3, "reports_to", "1")),
        Do(Update("staff", 2, "reports_to", "2")),
        Extract(),
        Transform(),
        Load(),
        Do(Update("department", 4, "department_name", "Tech")),
        Extract(),
        Transform(),
        Rebuild(),
    ],
    "one who waits is deleted, and one who reports to them is back": [
        Do(Update("staff", 1, "reports_to", "4")),
        Do(Update("staff", 2, "reports_to", "1")),
        Extract(),
        Do(Insert("staff", 3)),
        Do(Delete("staff", 3)),
        Do(Insert("staff", 4)),
        Do(Update("staff", 4, "department_id", None)),
        Extract(),
        Do(Update("staff", 1, "last_name", "NA")),
        Do(Update("staff", 4, "department_id", "1")),
        Extract(),
        Transform(2),
        Transform(1),
        Transform(0),
        Rebuild(),
    ],
    "savepoints and exception blocks in a transaction that was open over two runs": [
        Open(1),
        Do(Update("sales_order", 1, "units_sold", "1"), session=1, how=SAVEPOINT),
        Do(Update("sales_order", 2, "units_sold", "1"), session=1, how=CAUGHT),
        Do(Update("payment", 1, "paid", "true"), session=1, how=UNDONE),
        Do(Update("payment", 2, "paid", "true"), session=1, how=SWALLOWED),
        Extract(),
        Do(Insert("payment", 3), session=1, how=SAVEPOINT),
        Do(Update("design", 1, "file_name", "NULL")),
        Extract(),
        End(1),
    ],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_it_is_as_promised_now(world, name):
    prove(world, HISTORIES[name])


def test_a_row_that_goes_before_its_range_is_read_never_arrives(world):
    prove_in_ranges(world, [Do(Delete("transaction", 2), session=1), Extract()])
