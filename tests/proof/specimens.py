"""A source table with a column of each type, the hostile values that its rows take, and two tables that are made of it.

The fact has most columns in their own type, the dimension in another one. The fact refers to the dimension, so that its
rows wait with their values where the dimension rejects the same row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.values import hostile

TABLE, KEY = "specimen", "specimen_id"
FACT, DIMENSION = "fact_specimen", "dim_specimen"
RECORD = "specimen_record_id"
TIMESTAMP, TIMESTAMPTZ, TIME = "timestamp without time zone", "timestamp with time zone", "time without time zone"


@dataclass(frozen=True)
class Typed:
    """A column of the source: its type, those that the fact and the dimension have (None: they lack it), its values.

    The first of ``values`` is the one of a row that is inserted; every table accepts it. ``expressions``: that generate
    the column from others, the present one first; then it has no ``values``.
    """

    type: str
    fact: str | None
    dimension: str | None
    values: tuple[str | None, ...] = ()
    expressions: tuple[str, ...] = ()
    made_from: str = ""


_TEXTS = (
    *(
        "plain",
        "",
        " ",
        "\ufeff",
        "\ufeffkey",
        '\ufeff"x"',
        "NULL",
        r"\N",
        r"\.",
        '"',
        'say "so"',
        "a,b",
        "two\r\nlines\r",
    ),
    *("שלום", "Ωмир 漢字", "👜🏽", "e\u0301", "\x01", "ends  ", "twelve chars", "thirteen chars", "O'Keefe"),
)
_MOMENTS = (
    *("2024-01-05 08:00:00", "infinity", "-infinity", "0044-03-15 BC", "10000-01-01", "0001-01-01", "9999-12-31"),
    *("2024-06-30 23:59:59.999999", "2024-02-29 12:00:00.5", "1969-12-31 23:59:59.9995", "1883-11-18 12:00:00"),
)
_FLOATS = (
    *("0.35", "NaN", "Infinity", "-Infinity", "-0", "0", "1e300", "5e-324", "1.7976931348623157e+308", "1e23", "0.1"),
    *("9007199254740993", "1e15", "123456789012345", "1e-5", "16777217", "2.5"),
)
_DOCUMENTS = ("{}", "null", '"\ufeff"', '{"a": 1.0}', '{"a":1.00 }', "1e400", '{"b":1,"a":2}', "-0.0", '"é😀\\"\\\\"')

COLUMNS: Mapping[str, Typed] = {
    "label": Typed("text", "text NOT NULL", "character varying(12)", (*_TEXTS, None)),
    "whole": Typed("bigint", "integer NOT NULL", "text", ("7", "2147483648", "-9223372036854775808", "0", None)),
    "small": Typed("smallint", "real", "numeric(3,1)", ("5", "99", "100", "-32768", None)),
    "exact": Typed(
        "numeric",
        "numeric",
        "double precision",
        ("1.5", "1.50", "0.35", "NaN", "Infinity", "1e27", "-1e131071", f"0.{'1' * 60}", "9" * 40, "1e-16383", None),
    ),
    "price": Typed(
        "numeric(12,3)", "numeric(10,2)", "text", ("2.500", "2.505", "99999999.99", "100000000", "NaN", "-0.01", None)
    ),
    "approx": Typed("double precision", "double precision", "text", (*_FLOATS, None)),
    "ratio": Typed("double precision", "numeric", "real", (*_FLOATS, None)),
    "single": Typed(
        "real", "real", "double precision", ("0.35", "NaN", "-0", "3.4028235e+38", "1e-45", "16777216", None)
    ),
    "day": Typed("date", "date", "text", (*_MOMENTS, None)),
    "moment": Typed(TIMESTAMP, TIMESTAMP, "timestamp(0) without time zone", (*_MOMENTS, None)),
    "zoned": Typed(TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMP, (*_MOMENTS, "2024-03-31 01:30:00+05:45", None)),
    "clock": Typed(TIME, TIME, "text", ("08:00:00", "24:00:00", "23:59:59.999999", "00:00:00.1", None)),
    "span": Typed(
        "interval", "interval", "text", ("1 day", "24:00:00", "1 mon -1 day", "infinity", "-00:00:00.1", None)
    ),
    "flag": Typed("boolean", "boolean", "character(5)", ("true", "false", None)),
    "ident": Typed("uuid", "uuid", "text", ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "0" * 32, None)),
    "bytes": Typed("bytea", "bytea", "text", ("\\xdeadbeef", "\\x", "\\x00ff", "\\xefbbbf", None)),
    "mood": Typed(hostile.ENUM, "text", "character varying(5)", ("sad", "Ωmega", "so 'so'", "true", None)),
    "things": Typed("text[]", "text[]", "text", ("{a}", "{}", '{NULL,"NULL","",",","\\""}', "{\ufeff}", None)),
    "numbers": Typed("double precision[]", "double precision[]", "text", ("{0.1}", "{NaN,1e23,-0,NULL}", None)),
    "doc": Typed("jsonb", "jsonb", "json", (*_DOCUMENTS, None)),
    "raw": Typed("json", "json", "text", (*_DOCUMENTS, '"\\u0000"', " [ 1 ,\n2 ] ", None)),
    "address": Typed("inet", "inet", "text", ("10.0.0.1", "10.0.0.1/8", "::1", "::ffff:1.2.3.4", "0.0.0.0/0", None)),
    "letters": Typed("character(8)", "character(8)", "text", ("ab", "", "\ufeff", "  א", "12345678", None)),
    "said_number": Typed(
        "text", "numeric", "real", ("1.0", "1e3", " 7 ", "0x1F", "1_000", "", "nan", "1e400", "\ufeff1", None)
    ),
    "said_moment": Typed(
        "character varying",
        TIMESTAMPTZ,
        "date",
        ("2024-02-29", "2023-02-29", "2024-01-01 12:00:00+02:30", "2024-1-1", "infinity", "", "\ufeff2024-01-01", None),
    ),
    "doubled": Typed("numeric", "numeric", "numeric(12,2)", (), ("price * 2", "price * 3", "-price"), "price"),
    "shown": Typed("text", "text", "character varying(14)", (), ("'<' || label || '>'", "upper(label)"), "label"),
}
VALUES: Mapping[str, tuple[str | None, ...]] = {
    name: column.values for name, column in COLUMNS.items() if column.values
}
ROW: Mapping[str, str | None] = {name: values[0] for name, values in VALUES.items()}
GENERATED = {name: column for name, column in COLUMNS.items() if column.expressions}
REFUSED = (  # values that the fact or the dimension refuses
    *(("moment", "infinity"), ("day", "0044-03-15 BC"), ("zoned", "10000-01-01"), ("price", "NaN"), ("whole", None)),
    *(("said_number", "0x1F"), ("label", "thirteen chars"), ("exact", "1e27")),
)


def _columns(of: Mapping[str, str | None]) -> str:
    return "".join(f"{name} {kind}, " for name, kind in of.items() if kind)


def create_source() -> str:
    """The statements that create the source table. One generated column is stored, the other is not.

    A text is the first column, so that its first character is the first of what extract reads.
    """
    generated = {
        name: f"{column.type} GENERATED ALWAYS AS ({column.expressions[0]}) {kind}"
        for (name, column), kind in zip(GENERATED.items(), ("STORED", "VIRTUAL"), strict=True)
    }
    plain = {name: column.type for name, column in COLUMNS.items() if not column.expressions}
    return f"{hostile.CREATE_TYPES}; CREATE TABLE {TABLE} ({_columns({**plain, **generated})}{KEY} integer PRIMARY KEY)"


def create_warehouse() -> str:
    """The two tables, as warehouse.sql declares them."""
    fact = _columns({name: column.fact for name, column in COLUMNS.items()})
    dimension = _columns({name: column.dimension for name, column in COLUMNS.items()})
    return f"""
CREATE TABLE {DIMENSION} ({dimension}{KEY} integer PRIMARY KEY);
CREATE TABLE {FACT} (
    {RECORD} integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    {fact}
    {KEY} integer NOT NULL REFERENCES {DIMENSION}
);
"""


def declared() -> Mapping[str, Mapping[str, Any]]:
    """The two tables as pipeline.toml declares them."""
    columns = {name: {KEY: KEY, **{c: c for c, _ in wanted(name)}} for name in (FACT, DIMENSION)}
    return {
        DIMENSION: {"kind": "dimension", "from": TABLE, "key": KEY, "columns": columns[DIMENSION]},
        FACT: {"kind": "fact", "from": TABLE, "key": KEY, "record": RECORD, "columns": columns[FACT]},
    }


def wanted(table: str) -> Iterator[tuple[str, str]]:
    """Each column of the fact or the dimension, and its type there; with NOT NULL where it is."""
    for name, column in COLUMNS.items():
        kind = column.fact if table == FACT else column.dimension
        if kind:
            yield name, kind
