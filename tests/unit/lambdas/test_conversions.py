"""Which types of a source can be stored in which types of a warehouse."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.shared.conversions import refusal

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
