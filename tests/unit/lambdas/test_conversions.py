"""Which types of a source can be stored in which types of a warehouse."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.shared import conversions
from lambda_toolkit.pipeline.lambdas.shared.conversions import refusal
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations, parse
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import parse_expression

STORED = """
smallint integer bigint numeric real double-precision boolean date uuid bytea json jsonb xml interval inet cidr macaddr
macaddr8 bit tsvector tsquery oid pg_lsn point line lseg box path polygon circle text int4range int8range numrange
tsrange tstzrange daterange int4multirange int8multirange nummultirange tsmultirange tstzmultirange datemultirange
"""
TYPES = [name.replace("-", " ") for name in STORED.split()]
TYPES += ["timestamp without time zone", "timestamp with time zone", "time without time zone", "time with time zone"]
TYPES += ["bit varying", "character varying"]
OF_TEXT = {"smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean", "date", "uuid"} | {
    name for name in TYPES if name.startswith("time") and name != "time with time zone"
}


@pytest.mark.parametrize("name", TYPES)
def test_each_type_is_stored_as_itself_and_as_text(name: str) -> None:
    assert refusal(name, name) is None
    assert refusal(name, "text") is None


@pytest.mark.parametrize("name", sorted(set(TYPES) - {"text", "character varying"}))
def test_text_is_read_as_few_types(name: str) -> None:
    """The others would need PostgreSQL's own reading of each text."""
    assert (refusal("text", name) is None) == (name in OF_TEXT)


def test_a_number_is_no_shape() -> None:
    assert refusal("integer", "polygon") is not None
    assert refusal("money", "money") is not None


NUMBERS = ["smallint", "integer", "bigint", "numeric", "real", "double precision"]
DATES = ["date", "timestamp without time zone", "timestamp with time zone"]
ASSIGNED = {(a, b) for kinds in (NUMBERS, DATES) for a in kinds for b in kinds}
ASSIGNED |= {("jsonb", "json"), ("cidr", "inet"), ("macaddr", "macaddr8")}
HINTS = {
    ("timestamp without time zone", "time without time zone"): "use time(column)",
    ("timestamp with time zone", "time without time zone"): "use time(column)",
    ("boolean", "integer"): "declare the column as boolean",
    ("json", "jsonb"): "not every json is a jsonb; declare the column as json",
}
ANOTHER = sorted({name for name in TYPES if name not in ("text", "character varying")})


@pytest.mark.parametrize("source", ANOTHER)
def test_type_is_assigned_to_those_that_postgresql_names(source: str) -> None:
    for wanted in ANOTHER:
        found = refusal(source, wanted)
        if source == wanted or (source, wanted) in ASSIGNED:
            assert found is None, wanted
        else:
            hint = HINTS.get((source, wanted), "declare the column with the source's type, or as text")
            assert found == f"PostgreSQL does not assign {source} to {wanted} without loss: {hint}"


@pytest.mark.parametrize(
    ("source", "wanted", "fits"),
    [
        ("bit(3)", "bit(3)", True),
        ("bit(3)", "bit(4)", False),
        ("bit(3)", "bit", True),
        ("bit", "bit(3)", False),
        ("bit varying(3)", "bit varying(3)", True),
        ("bit varying(3)", "bit varying(4)", True),
        ("bit varying(4)", "bit varying(3)", False),
        ("bit varying", "bit varying(3)", False),
        ("interval(3)", "interval(4)", True),
        ("interval(4)", "interval(3)", False),
        ("time(3) with time zone", "time(2) with time zone", False),
        ("numeric(9,2)", "numeric(3,1)", True),  # each value is looked at
        ("timestamp(6) without time zone", "timestamp(0) without time zone", True),
        ("numeric(9,2)[]", "numeric(9,2)[]", True),
        ("numeric(9,2)[]", "numeric(10,2)[]", False),
        ("numeric(9,2)[]", "numeric[]", True),
        ("integer[]", "bigint[]", False),
        ("mood", "text", True),
        ("mood", "integer", True),
        ("mood", "jsonb", False),
        ("mood[]", "integer", False),
        ("character(3)", "bpchar", True),
        ("interval year", "interval year", True),
    ],
)
def test_length_of_a_type_decides_what_fits(source: str, wanted: str, fits: bool) -> None:
    found = refusal(source, wanted)
    assert (found is None) == fits, found
    if not fits and conversions.base_type(source) == conversions.base_type(wanted):
        assert found == f"values of {source} may not fit {wanted}: declare the column as {source}"


def test_modifiers_are_the_integers_of_a_type() -> None:
    found = {
        name: conversions.modifiers(name)
        for name in ("numeric(10,2)", "numeric(3, -2)", "character varying(255)", "time(3) with time zone", "numeric")
    }
    assert found == {
        "numeric(10,2)": (10, 2),
        "numeric(3, -2)": (3, -2),
        "character varying(255)": (255,),
        "time(3) with time zone": (3,),
        "numeric": (),
    }
    assert conversions.modifiers("geometry(Point,4326)") == conversions.modifiers("geometry(4326,Point)") == ()
    assert conversions.base_type("timestamp(3) with time zone") == "timestamp with time zone"


def test_column_of_an_unknown_type_is_read_as_text_and_no_array() -> None:
    texts = ("text", "character varying(3)", "character(3)", "bpchar", "mood", "public.mood", "citext")
    assert all(map(conversions.is_text, texts))
    known = [name for name in [*TYPES, "money", "mood[]", "text[]"] if name not in ("text", "character varying")]
    assert not any(map(conversions.is_text, known))


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("money", "the text of a money depends on the server's lc_monetary: declare the column as numeric or text"),
        ("money[]", "the text of a money depends on the server's lc_monetary: declare the column as numeric or text"),
        ("mood", "mood is not a type that the pipeline writes: declare the column as text"),
        ("mood[]", "mood[] is not a type that the pipeline writes: declare the column as text"),
        ("numeric(3,1)[]", None),
        ("interval day to second(3)", None),
        ("bpchar", None),
    ],
)
def test_type_that_the_warehouse_cannot_have_is_named(wanted: str, says: str | None) -> None:
    assert conversions.unsupported(wanted) == says
    if says:
        assert refusal("text", wanted) == says


def test_types_without_equality_are_no_keys() -> None:
    refused = {name for name in TYPES if conversions.unfit_key(name) is not None}
    assert refused == {"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"}
    assert conversions.unfit_key("json[]") == (
        "PostgreSQL cannot compare two values of json[], so it is no key: declare the column as text"
    )


def test_values_are_compared_as_text_where_equal_ones_may_differ() -> None:
    by_value = {name for name in [*TYPES, "character"] if not conversions.is_compared_as_text(name)}
    assert by_value == {
        *("smallint", "integer", "bigint", "boolean", "text", "character varying", "character", "uuid", "bytea", "oid"),
        *("macaddr", "macaddr8", "bit", "bit varying", "time without time zone", *DATES),
    }
    assert conversions.is_compared_as_text("numeric") and not conversions.is_compared_as_text("numeric(9,2)")
    assert conversions.is_compared_as_text("interval(3)")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("integer", "numeric(9,2)", True),
        ("real", "bigint", True),
        ("date", "timestamp(3) with time zone", True),
        ("text", "character varying(9)", True),
        ("bpchar", "character(3)", True),
        ("uuid", "uuid", True),
        ("integer", "text", False),
        ("date", "text", False),
        ("integer", "date", False),
        ("json", "jsonb", False),
    ],
)
def test_values_of_two_types_have_one_equality_or_none(one: str, other: str, same: bool) -> None:
    assert conversions.have_one_equality(one, other) is conversions.have_one_equality(other, one) is same


@pytest.mark.parametrize(
    ("expression", "source", "result"),
    [
        ("c", "numeric(9,2)", "numeric(9,2)"),
        ("decimal(c, 12, 3)", "text", "numeric(12,3)"),
        ("date(c)", "text", "date"),
        ("time(c)", "text", "time without time zone"),
        ("currency_name(c)", "character(3)", "text"),
    ],
)
def test_type_of_an_expression_is_that_of_its_function(expression: str, source: str, result: str) -> None:
    assert conversions.result_type(parse_expression(expression), source) == result


def declared(types: dict[str, str], on: str = "shop_id", **columns: str) -> Declarations:
    source = {"sale": {"key": "sale_id"}, "shop": {"key": "shop_id"}}
    table = {"kind": "dimension", "from": "sale", "key": "sale_id", "join": {"shop": on}, "columns": columns}
    types = {name: {"type": kind, "required": False} for name, kind in types.items()}
    return parse({"format": 1, "source": source, "warehouse": {"dim_sale": {**table, "types": types}}})


def test_each_column_that_nothing_fits_is_named_with_both_types() -> None:
    found = declared(
        {"sale_id": "bigint", "price": "json", "town": "uuid"},
        sale_id="sale_id",
        price="price",
        town="shop.town",
        day="date(sold)",
    )
    types = {"sale": {"sale_id": "integer", "price": "integer", "sold": "text"}, "shop": {"town": "integer"}}
    assert list(conversions.refused_columns(found, types)) == [
        "The source column sale.price (integer) cannot be stored in dim_sale.price (json): PostgreSQL does not assign "
        "integer to json without loss: declare the column with the source's type, or as text.",
        "The source column shop.town (integer) cannot be stored in dim_sale.town (uuid): PostgreSQL does not assign "
        "integer to uuid without loss: declare the column with the source's type, or as text.",
    ]
    [only] = conversions.refused_columns(found, {"shop": types["shop"]})
    assert only.startswith("The source column shop.town")
    assert not list(conversions.refused_columns(found, {}))


@pytest.mark.parametrize(
    ("referring", "key", "refused"),
    [
        ("integer", "bigint", []),
        ("json", "json", ["sale.shop_id (json)", "shop.shop_id (json)"]),
        ("integer", "point", ["shop.shop_id (point)"]),
        ("interval", "interval", ["sale.shop_id (interval) equal"]),
        ("interval", "text", []),
        ("jsonb", "jsonb", ["sale.shop_id (jsonb) equal"]),
        ("citext", "citext", ["sale.shop_id (citext) equal"]),
        ("numrange", "numrange", ["sale.shop_id (numrange) equal"]),
        ("nummultirange", "nummultirange", ["sale.shop_id (nummultirange) equal"]),
        ("numeric[]", "numeric(3,1)[]", ["sale.shop_id (numeric[]) equal"]),
        ("interval[]", "interval[]", ["sale.shop_id (interval[]) equal"]),
        ("jsonb[]", "jsonb[]", ["sale.shop_id (jsonb[]) equal"]),
        ("numeric", "numeric", []),
        ("int4range", "int4range", []),
        ("interval", None, []),
    ],
)
def test_join_by_values_that_cannot_be_looked_up_is_refused(referring: str, key: str | None, refused: list) -> None:
    found = declared({}, sale_id="sale_id", town="shop.town")
    types = {"sale": {"shop_id": referring}, "shop": {"shop_id": key} if key else {}}
    said = []
    for sentence in conversions.refused_columns(found, types):
        named = sentence.removeprefix("The source column ").partition(" cannot join shop: ")
        said.append(named[0] + (" equal" if named[2].startswith("values that PostgreSQL takes for equal") else ""))
    assert said == refused
