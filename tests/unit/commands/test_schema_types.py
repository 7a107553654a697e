"""Every way to write a type in warehouse.sql, with what PostgreSQL's format_type() makes of it."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.warehouse.create_table import CreateTable
from lambda_toolkit.pipeline.warehouse.ddl import can_refer, statements

SAME = """
    text bytea uuid json jsonb xml date name oid money pg_lsn jsonpath inet cidr macaddr macaddr8 tsvector tsquery point
    line lseg box path polygon circle int4range int8range numrange tsrange tstzrange daterange int4multirange
    int8multirange nummultirange tsmultirange tstzmultirange datemultirange smallint integer bigint real boolean numeric
    bpchar interval
"""
INTERVALS = """second|year|month|day|hour|minute|year to month|day to hour|day to minute|day to second|hour to minute
    |hour to second|minute to second|minute to second(3)"""
OTHERWISE = """
    smallint: int2 | integer: int, int4, INTEGER, "int4", pg_catalog.int4, pg_catalog . "int4" | bigint: int8
    numeric: decimal, dec, "numeric" | numeric(1,0): numeric(1) | numeric(2,2): decimal(2,2)
    numeric(1000,-1000): numeric(1000,-1000) | numeric(3,1000): dec(3,1000) | numeric(3,1): pg_catalog.numeric(3,1)
    real: float(1), float(24), float4 | double precision: float, float(25), float(53), float8, double precision
    boolean: bool | "char": "char", pg_catalog.char | character(3): bpchar(3) | character(2): nchar(2)
    character(1): char, char(1), character, nchar, national char, national character
    character(10485760): character (10485760) | character varying(1): varchar(1), "varchar"(1), national char varying(1)
    character varying: varchar, character varying, char varying, nchar varying | bit(83886080): bit(83886080)
    bit(1): bit, bit(1) | bit varying: varbit, bit varying | bit varying(1): varbit(1), bit varying(1)
    time without time zone: time, time without time zone, "time" | time(0) with time zone: timetz(0), "timetz" (0)
    time(1) with time zone: time(1) with time zone | time(2) without time zone: "time"(2)
    timestamp with time zone: timestamptz, timestamp with time zone
    timestamp without time zone: "timestamp", pg_catalog.timestamp | interval: "interval"
    timestamp(6) without time zone: "timestamp"(6), timestamp (6) without time zone | interval(0): interval(0)
    interval second(6): interval second (6) | integer[]: int[], int[0], int[2147483647][], int array, int array[4]
    bit(1)[]: bit[] | numeric(5,2)[]: numeric(5,2)[1] | time with time zone[]: timetz[] | interval day[]: interval day[]
    character varying(3)[]: varchar(3)[]
"""  # as it is shown: ways to write it
WRITTEN = {kind: kind for kind in (*SAME.split(), *(f"interval {' '.join(of.split())}" for of in INTERVALS.split("|")))}
for entry in OTHERWISE.strip().replace("\n", "|").split("|"):
    shown, _, ways = entry.strip().partition(": ")
    WRITTEN |= dict.fromkeys(ways.split(", "), shown)
SERIAL = {
    **dict.fromkeys(("smallserial", "serial2"), "smallint"),
    **dict.fromkeys(("serial", "serial4", '"serial"'), "integer"),
    **dict.fromkeys(("bigserial", "serial8"), "bigint"),
}


def read(columns: str) -> CreateTable:
    [table] = statements(f"CREATE TABLE t ({columns})")
    return table


def test_type_is_read_as_postgresql_shows_it() -> None:
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate([*WRITTEN, *SERIAL]))
    found = list(read(columns).columns.values())
    shown = dict(zip([*WRITTEN, *SERIAL], [column.type for column in found], strict=True))
    assert shown == {**WRITTEN, **SERIAL}
    filled = [column for column in found if column.required and column.filled and not column.computed]
    assert [column.type for column in filled] == list(SERIAL.values())
    assert not any(column.required or column.filled or column.computed for column in found[: len(WRITTEN)])


UNKNOWN = "is not known here. Write one of PostgreSQL's own, such as text, integer, bigint, numeric(10,2), boolean, "
UNKNOWN += "date, timestamp, timestamptz, uuid or jsonb"
TEXTS, BITS, SECONDS = "the length of a text", "the length of a bit string", "the digits of a second"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("", "expected a type, found )"),
        ("7", "expected a type, found 7"),
        ("7 . text", "expected a type, found 7"),
        ("varchar(٣)", "the length of a text must be a whole number from 1 to 10485760, not ٣"),
        *((kind, f"the type {kind} {UNKNOWN}") for kind in ("wibble", '"integer"', '"decimal"', '"timestamp "')),
        ("pg_catalog.integer", f"the type integer {UNKNOWN}"),
        ("pg_catalog.serial", f"the type serial {UNKNOWN}"),
        ("pg_catalog.7", f"the type pg_catalog {UNKNOWN}"),
        ("pg_catalog.'text'", f"the type 'text' {UNKNOWN}"),
        ("public.text", "the type public. is of another schema: write a type of PostgreSQL itself"),
        ('"x".text', 'the type "x". is of another schema: write a type of PostgreSQL itself'),
        ("double", "expected PRECISION, found )"),
        ("national text", "expected CHARACTER after NATIONAL"),
        *(
            (f"float({bits})", f"the bits of a float must be a whole number from 1 to 53, not {bits}")
            for bits in (0, 54)
        ),
        ("float(1", "expected ), found its end"),
        *(
            (f"{kind}({length})", f"{TEXTS} must be a whole number from 1 to 10485760, not {length}")
            for kind, length in (("varchar", 0), ("char", 0), ("bpchar", 10485761), ("nchar varying", 10485761))
        ),
        *(
            (f"{kind}({length})", f"{BITS} must be a whole number from 1 to 83886080, not {length}")
            for kind, length in (("bit", 0), ("varbit", 0), ("varbit", 83886081), ("bit varying", 83886081))
        ),
        *(
            (f"{kind}(7)", f"{SECONDS} must be a whole number from 0 to 6, not 7")
            for kind in ("timestamptz", "time", "interval", "interval second", "interval day to second")
        ),
        ("numeric(0)", "the precision of a numeric must be a whole number from 1 to 1000, not 0"),
        ("numeric(1001)", "the precision of a numeric must be a whole number from 1 to 1000, not 1001"),
        ("numeric(5.0)", "the precision of a numeric must be a whole number from 1 to 1000, not 5.0"),
        ("numeric(x)", "the precision of a numeric must be a whole number from 1 to 1000, not x"),
        *(
            (f"numeric(5,{scale})", f"the scale of a numeric must be a whole number from -1000 to 1000, not {digits}")
            for scale, digits in ((1001, "1001"), (-1001, "1001"))
        ),
        ("numeric(5,2,1)", "expected ), found ,"),
        ("interval year to day", "INTERVAL YEAR TO DAY is no type"),
        ("interval month to month", "INTERVAL MONTH TO MONTH is no type"),
        ("interval second to second", "INTERVAL SECOND TO SECOND is no type"),
        ("serial[]", "an array of serial is no type: write integer[] or bigint[]"),
        ("int[-1]", "the size of an array must be a whole number from 0 to 2147483647, not 1"),
        ("int array[2147483648]", "the size of an array must be a whole number from 0 to 2147483647, not 2147483648"),
        ("int[1", "expected ], found its end"),
        ("int array[]", "the size of an array must be a whole number from 0 to 2147483647, not ]"),
    ],
)
def test_type_that_is_none_is_refused(kind: str, says: str) -> None:
    closed = "" if kind.endswith(("(1", "[1")) else ")"
    with pytest.raises(WarehouseError) as refused:
        statements(f"CREATE TABLE t (a text,\n b {kind}{closed}")
    assert str(refused.value) == f"line 2: table t, column b: {says}."


@pytest.mark.parametrize(
    "kind",
    [
        "int(4)",
        "text(3)",
        "date(1)",
        "boolean(1)",
        "interval day(2)",
        "interval(1) day",
        "time with time zone without time zone",
    ],
)
def test_type_without_a_length_takes_none(kind: str) -> None:
    with pytest.raises(
        WarehouseError, match=r"^line 1: table t, column a: (\(|day|without) is not read here\. Known are"
    ):
        read(f"a {kind}")


@pytest.mark.parametrize(
    ("one", "others"),
    [
        ("smallint", {"smallint", "integer", "bigint"}),
        ("real", {"real", "double precision"}),
        ("text", {"text", "character varying", "character varying(3)"}),
        ("character(2)", {"character(2)", "character(3)", "bpchar"}),
        ("date", {"date", "timestamp without time zone", "timestamp(3) with time zone"}),
        ("bit(3)", {"bit(3)", "bit varying"}),
        ("numeric(5,2)", {"numeric(5,2)", "numeric"}),
        ("uuid", {"uuid"}),
    ],
)
def test_types_of_a_family_refer_to_each_other(one: str, others: set[str]) -> None:
    every = "smallint|integer|bigint|real|double precision|text|character varying|character varying(3)|character(2)"
    every += "|character(3)|bpchar|date|timestamp without time zone|timestamp(3) with time zone|bit(3)|bit varying"
    every += "|numeric(5,2)|numeric|uuid"
    for other in every.split("|"):
        assert can_refer(one, other) is can_refer(other, one) is (other in others), other
