"""A sample of `make values`: the main types to the main types with hostile values, compared with PostgreSQL itself."""

from __future__ import annotations

from tests.values.differential import Differential

SOURCES = {  # a source's type -> the types of the warehouse that it is compared with
    "bigint": ("smallint", "numeric(2,-3)", "real", "double precision", "text", "boolean"),
    "numeric": (
        "bigint",
        "numeric",
        "numeric(4,2)",
        "numeric(60,2)",
        "real",
        "double precision",
        "character varying(3)",
    ),
    "numeric(38,10)": ("integer", "numeric", "numeric(10,2)", "double precision", "text"),
    "real": ("integer", "numeric", "double precision", "text"),
    "double precision": ("bigint", "numeric", "numeric(4,2)", "real", "text"),
    "boolean": ("boolean", "character(4)", "integer"),
    "text": (
        *(
            "integer",
            "numeric",
            "numeric(10,2)",
            "numeric(60,2)",
            "real",
            "double precision",
            "boolean",
            "date",
            "text",
        ),
        *(
            "timestamp(0) without time zone",
            "timestamp with time zone",
            "time without time zone",
            "uuid",
            "character(4)",
        ),
    ),
    "character(8)": ("text", "integer", "character varying(3)", "bpchar"),
    "mood": ("text", "integer"),
    "date": ("date", "timestamp with time zone", "text"),
    "timestamp without time zone": ("date", "timestamp(0) without time zone", "text", "time without time zone"),
    "timestamp with time zone": ("timestamp without time zone", "text"),
    "time without time zone": ("time without time zone", "time(0) without time zone", "text"),
    "interval": ("interval", "text"),
    "json": ("json", "text", "jsonb"),
    "inet": ("inet", "text"),
    "double precision[]": ("double precision[]", "text"),
    "point": ("point", "text"),
}


def test_value_is_stored_as_postgresql_does_or_rejected(empty):
    differential = Differential(empty)
    for source, targets in SOURCES.items():
        rows = differential.source(source, 40, seed=1)
        for target in targets:
            differential.compare(source, target, rows)
    found = differential.found
    assert not found.differences, "\n".join(found.differences[:40])
    assert found.cells > 10_000
    assert found.stored > 4_000
