"""Row sets, and their conditions evaluated by PostgreSQL."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.extract.row_set import (
    ALL,
    NONE,
    Dangling,
    Intersection,
    KeysAfter,
    KeysIn,
    KeysUpTo,
    ReferencedBy,
    Referencing,
    Union,
    WrittenSince,
    intersection,
    union,
)
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column, TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.conditions import condition

STAFF = TableInfo("staff", ("staff_id",), (Column("staff_id", "integer"), Column("department_id", "integer")))
DEPARTMENT = TableInfo("department", ("code",), (Column("code", "text"),))
OFFICE = TableInfo("office", ("office_id",), (Column("office_id", "bigint"),))
LINE = TableInfo("line", ("n", "code"), (Column("code", "text"), Column("n", "integer"), Column("staff_code", "text")))
TABLES = {"line": LINE, "staff": STAFF, "department": DEPARTMENT, "office": OFFICE}
WRITTEN = WrittenSince(700)
AGE = "(age(t.xmin) <= (SELECT age(CAST('700' AS xid8)::xid)) AND age(t.xmin) >= 0)"


def test_row_set_intersection_leaves_out_what_does_not_matter():
    assert intersection(ALL, WRITTEN, WRITTEN) == WRITTEN
    assert intersection(WRITTEN, NONE) == NONE
    assert intersection(ALL, ALL) == ALL
    assert intersection(WRITTEN, KeysUpTo(("9",))) == Intersection((WRITTEN, KeysUpTo(("9",))))


def test_row_set_union_leaves_out_what_does_not_matter():
    assert union(NONE, WRITTEN) == WRITTEN
    assert union(WRITTEN, ALL) == ALL
    assert union() == NONE
    assert union(WRITTEN, KeysAfter(("9",))) == Union((WRITTEN, KeysAfter(("9",))))


@pytest.mark.parametrize(
    ("rows", "table", "expected"),
    [
        (ALL, STAFF, "TRUE"),
        (NONE, STAFF, "FALSE"),
        (WRITTEN, STAFF, AGE),
        (KeysUpTo(("9",)), STAFF, '"t"."staff_id" <= \'9\''),
        (KeysAfter(("o'x",)), DEPARTMENT, '("t"."code" COLLATE "C") > \'o\'\'x\''),
        (KeysIn((("1",), ("2",))), STAFF, "\"t\".\"staff_id\" IN ('1', '2')"),
        (Intersection((WRITTEN, KeysUpTo(("9",)))), STAFF, f'({AGE} AND "t"."staff_id" <= \'9\')'),
        (Union((WRITTEN, KeysAfter(("9",)))), STAFF, f'({AGE} OR "t"."staff_id" > \'9\')'),
        (
            Referencing(("department_id",), "office", WRITTEN),
            STAFF,
            f'"t"."department_id" IN (SELECT "t"."office_id" FROM "public"."office" AS t WHERE {AGE})',
        ),
        (
            ReferencedBy("staff", ("department_id",), NONE),
            DEPARTMENT,
            '"t"."code"::text IN (SELECT "t"."department_id"::text FROM "public"."staff" AS t WHERE FALSE)',
        ),
        (
            Dangling(("department_id", "staff_id"), "line"),
            STAFF,
            '("t"."department_id" IS NOT NULL AND "t"."staff_id"::text IS NOT NULL AND NOT EXISTS (SELECT FROM'
            ' "public"."line" AS o WHERE "o"."n" = "t"."department_id" AND "o"."code"::text = "t"."staff_id"::text))',
        ),
        (KeysAfter(("9", "x")), LINE, '("t"."n", ("t"."code" COLLATE "C")) > (\'9\', \'x\')'),
        (KeysUpTo(("9", "x")), LINE, '("t"."n", ("t"."code" COLLATE "C")) <= (\'9\', \'x\')'),
        (KeysIn((("1", "2"), ("3", "4"))), LINE, "(\"t\".\"n\", \"t\".\"code\") IN (('1', '2'), ('3', '4'))"),
        (
            Referencing(("department_id", "staff_id"), "line", ALL),
            STAFF,
            '("t"."department_id", "t"."staff_id"::text) IN'
            ' (SELECT "t"."n", "t"."code"::text FROM "public"."line" AS t WHERE TRUE)',
        ),
        (
            ReferencedBy("staff", ("department_id", "staff_id"), ALL),
            LINE,
            '("t"."n", "t"."code"::text) IN'
            ' (SELECT "t"."department_id", "t"."staff_id"::text FROM "public"."staff" AS t WHERE TRUE)',
        ),
    ],
)
def test_row_set_as_condition(rows, table, expected):
    assert condition(rows, table, TABLES) == expected
