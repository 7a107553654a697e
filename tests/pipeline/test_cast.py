"""The transform's verdict on a value is PostgreSQL's own: it passes when the server gives it back as it was."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.load.warehouse.session import to_csv
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import transaction
from lambda_toolkit.pipeline.lambdas.transform.columns.cast import cast_column

WHOLE = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([b + d for b in (-(2**31), 2**31, -(2**15), 2**15, 0) for d in (-1, 0, 1)]),
    st.integers(-99_999, 99_999),
)
DECIMAL = st.one_of(
    st.decimals(-(10**12), 10**12, places=4),
    st.sampled_from([Decimal(f"{sign}{text}") for sign in ("", "-") for text in ("99.99", "99.995", "100", "0.0001")]),
    st.decimals(-999, 999, places=0),
    st.sampled_from([Decimal(n * 10**e) for n in (1, -9, 12) for e in (3, 5, 9)]),
)
TEXT = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=7),
    st.sampled_from(["", " ", "ab   ", "abc ", "😀😀😀", "😀😀😀😀", "e\u0301e\u0301", "\\N", '"', "a\nb", "א,ב"]),
)
MOMENT = st.one_of(
    st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)),
    st.datetimes().map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)),
    st.datetimes().map(lambda moment: moment.replace(hour=0, minute=0, second=0, microsecond=0)),
)
FLOAT = st.one_of(st.floats(), st.sampled_from([1e38, 3.5e38, 1e-45, 1e-46, 0.1, -0.0, 5.0]))

CASES = [
    (WHOLE, pa.int64(), ["smallint", "integer", "bigint", "numeric(5,2)", "numeric(3,-2)", "character varying(4)"]),
    (
        DECIMAL,
        pa.decimal128(38, 10),
        ["numeric(4,2)", "numeric(10,2)", "numeric", "numeric(2,-3)", "numeric(3,5)", "numeric(50,1)", "integer"],
    ),
    (TEXT, pa.string(), ["character varying(3)", "character(4)", "character varying", "text"]),
    (MOMENT, pa.timestamp("us"), ["timestamp without time zone", "timestamp(3) without time zone", "date"]),
    (FLOAT, pa.float64(), ["real", "double precision"]),
]


@pytest.mark.parametrize(("values", "kind", "types"), CASES, ids=["whole", "decimal", "text", "moment", "float"])
def test_cast_accepts_exactly_what_postgresql_stores_unchanged(pipeline, values, kind, types):
    """What passes is stored unbent and what is refused could not be."""
    for number, name in enumerate(types):
        pipeline.warehouse.run(f"CREATE TABLE probe_{number} (v {name})")
        pipeline.warehouse.run(f"CREATE TABLE given_{number} (n int, v {_wide(kind)})")

    @settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(st.one_of(st.none(), values), min_size=30, max_size=40))
    def agree(column):
        rows = pa.chunked_array([pa.array(column, kind)])
        for number, name in enumerate(types):
            result = cast_column(rows, name)
            refused = result.invalid.to_pylist() if result.invalid is not None else [False] * len(rows)
            assert _verdicts(pipeline.warehouse, number, rows, name) == [not bad for bad in refused], name
            kept = pa.table({"v": result.values})
            with transaction(pipeline.warehouse):
                pipeline.warehouse.run(f"TRUNCATE probe_{number}")
                pipeline.warehouse.copy_in(f"COPY probe_{number} FROM STDIN (FORMAT csv)", to_csv([kept]))

    agree()


def _wide(kind):
    """A type of PostgreSQL that holds every value of the lake's."""
    if pa.types.is_decimal(kind):
        return "numeric"
    if pa.types.is_integer(kind):
        return "bigint"
    return {pa.string(): "text", pa.timestamp("us"): "timestamp", pa.float64(): "double precision"}[kind]


_TRY = """
DO $$
DECLARE entry record; stored text;
BEGIN
    CREATE TEMPORARY TABLE verdict (n int, taken boolean) ON COMMIT DROP;
    FOR entry IN SELECT * FROM given_{number} ORDER BY n LOOP
        BEGIN
            TRUNCATE probe_{number};
            INSERT INTO probe_{number} VALUES (entry.v);
            INSERT INTO verdict SELECT entry.n, {unbent} FROM probe_{number};
        EXCEPTION WHEN data_exception THEN
            INSERT INTO verdict VALUES (entry.n, false);
        END;
    END LOOP;
END $$
"""


def _verdicts(connection, number, rows, name):
    """For each row whether the server stores it and gives it back as it is: its own word, value by value."""
    unbent = "coalesce(v = entry.v, true)"
    if name.startswith("character("):
        unbent = "coalesce(rtrim(v::text, ' ') = rtrim(entry.v, ' ') AND length(entry.v) <= 4, true)"
    elif name.startswith("character") or name == "text":
        unbent = "coalesce(v::text = entry.v::text, true)"
    elif name in ("real", "double precision"):
        unbent = "true"  # of a float, being in range is all that is asked
    given_rows = pa.table({"n": pa.array(range(len(rows)), pa.int32()), "v": rows})
    with transaction(connection):
        connection.run(f"TRUNCATE given_{number}")
        connection.copy_in(f"COPY given_{number} FROM STDIN (FORMAT csv)", to_csv([given_rows]))
        connection.run(_TRY.format(number=number, unbent=unbent))
        return [taken for (taken,) in connection.rows("SELECT taken FROM verdict ORDER BY n")]
