"""COPY in the binary format: a table holds, bit by bit, what it holds after the same rows came as CSV."""

from __future__ import annotations

import datetime
import struct
import uuid
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.load.warehouse.binary import binary_fields, copying
from lambda_toolkit.pipeline.lambdas.load.warehouse.binary.copying import copy_rows, to_csv
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import sqlstate

TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=12)
NUMBERS = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,40})?", fullmatch=True),
    st.from_regex(r"-?(0|[1-9][0-9]{0,6})(\.[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "-0.00", "9999", "10000", "0.0001", "1e131071", "1.50e-3", "+.5"]),
)
JSON = st.sampled_from(['{"a": [1, 2.50, "\\u00e9"]}', "null", '"Ω"', " [1 ] ", "1e5", "{}"])
TIMES = st.times().map(str)


def decimals(precision, scale):
    limit = 10**precision - 1
    edges = st.sampled_from([0, 1, -1, limit, -limit, 10 ** min(scale, precision - 1), 2**63 % limit, -(2**63) % limit])
    numbers = st.one_of(edges, st.integers(-limit, limit), st.integers(-1000, 1000))
    return numbers.map(lambda number: Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -scale)))


def moments(zone=None, unit="us"):
    found = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31))
    if unit == "ms":
        found = found.map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
    return found.map(lambda moment: moment.replace(tzinfo=zone))


def integers(bits):
    return st.one_of(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1), st.integers(-3, 300))


COLUMNS = {  # PostgreSQL's type -> Arrow's, and the values
    "smallint": (pa.int16(), integers(16)),
    "integer": (pa.int32(), integers(32)),
    "bigint": (pa.int64(), integers(64)),
    "bigint /* of an integer */": (pa.int32(), integers(32)),
    "positive": (pa.int32(), st.integers(1, 2**31 - 1)),
    "real": (pa.float32(), st.floats(width=32)),
    "double precision": (pa.float64(), st.floats()),
    "boolean": (pa.bool_(), st.booleans()),
    "date": (pa.date32(), st.dates()),
    "time": (pa.time64("us"), st.times()),
    "time(3)": (pa.time32("ms"), st.times().map(lambda time: time.replace(microsecond=0))),
    "time /* as text */": (pa.string(), st.one_of(TIMES, st.just("24:00:00"), st.just("00:00:00.5"))),
    "timestamp": (pa.timestamp("us"), moments()),
    "timestamp(0)": (pa.timestamp("ms"), moments(unit="ms")),
    "timestamptz": (pa.timestamp("us", "UTC"), moments(datetime.UTC)),
    "timestamptz /* without zone */": (pa.timestamp("us"), moments()),
    "numeric(10, 2)": (pa.decimal128(10, 2), decimals(10, 2)),
    "numeric(18, 3)": (pa.decimal128(18, 3), decimals(18, 3)),
    "numeric(19, 0)": (pa.decimal128(19, 0), decimals(19, 0)),
    "numeric(38, 10)": (pa.decimal128(38, 10), decimals(38, 10)),
    "numeric(38, 37)": (pa.decimal128(38, 37), decimals(38, 37)),
    "numeric(38, 0)": (pa.decimal128(38, 0), decimals(38, 0)),
    "numeric /* of a decimal */": (pa.decimal128(38, 10), decimals(20, 10)),
    "numeric /* as text */": (pa.string(), NUMBERS),
    "numeric /* as short text */": (pa.string(), st.from_regex(r"-?[0-9]{1,5}(\.[0-9]{1,4})?", fullmatch=True)),
    "text": (pa.string(), TEXTS),
    "varchar(12)": (pa.string(), TEXTS),
    "char(12)": (pa.string(), TEXTS),
    "code": (pa.string(), TEXTS),
    "json": (pa.string(), JSON),
    "jsonb": (pa.string(), JSON),
    "uuid": (pa.string(), st.uuids().map(str)),
    "bytea": (pa.string(), st.binary(max_size=9).map(lambda content: f"\\x{content.hex()}")),
    "integer /* NULL alone */": (pa.null(), st.none()),
}
NAMES = {kind: f"c{number}" for number, kind in enumerate(COLUMNS)}


@st.composite
def tables(draw):
    """Rows of every type; each column has NULLs or has none."""
    rows = draw(st.integers(1, 6))
    columns = []
    for arrow, values in COLUMNS.values():
        some = st.one_of(st.none(), values) if draw(st.booleans()) else values
        columns.append(pa.array(draw(st.lists(some, min_size=rows, max_size=rows)), arrow))
    return pa.table(columns, names=list(NAMES.values())).slice(draw(st.integers(0, rows - 1)))


@pytest.fixture
def connection(empty):
    empty.run("CREATE DOMAIN positive AS integer CHECK (VALUE > 0); CREATE DOMAIN code AS text")
    for table in ("one", "other"):
        columns = ", ".join(f"{name} {kind}" for kind, name in NAMES.items())
        empty.run(f"CREATE TABLE {table} ({columns})")
    return empty


def stored(connection, table):
    """Every bit of the table, by column."""
    found = {}
    for kind, name in NAMES.items():
        pieces = []
        connection.copy_out(f"COPY (SELECT {name} FROM {table}) TO STDOUT (FORMAT binary)", pieces.append)
        found[kind] = b"".join(pieces)
    return found


@pytest.fixture
def formats(monkeypatch):
    """The formats of the statements that are run."""
    found, original = [], copying.sql.compose

    def noted(template, /, **parts):
        found.extend([str(parts["format"])] if "format" in parts else [])
        return original(template, **parts)

    monkeypatch.setattr(copying.sql, "compose", noted)
    return found


def test_every_bit_is_as_after_a_copy_of_csv(connection, formats):
    @settings(max_examples=60, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
    @given(tables())
    def compare(rows):
        connection.run("TRUNCATE one, other")
        formats.clear()
        assert copy_rows(connection, sql.table("one"), tuple(NAMES.values()), [rows]) == len(rows)
        assert formats == ["binary"]
        connection.copy_in("COPY other FROM STDIN (FORMAT csv)", to_csv([rows]))
        assert stored(connection, "one") == stored(connection, "other")

    compare()


def test_a_column_without_encoder_takes_csv_with_its_table(empty, formats):
    empty.run("CREATE TABLE t (id integer, v inet, list integer[], f double precision)")
    rows = pa.table({"id": pa.array([1]), "v": ["10.0.0.1"], "list": ["{1,2}"], "f": pa.array([0.1], pa.float32())})
    copy_rows(empty, sql.table("t"), ("id", "v", "list", "f"), [rows])
    copy_rows(empty, sql.table("t"), ("f",), [rows])  # of a real the text is read: 0.1 stays 0.1
    assert formats == ["csv", "csv"]
    assert empty.rows("SELECT id, v::text, list::text, f FROM t ORDER BY id") == [
        [1, "10.0.0.1/32", "{1,2}", 0.1],
        [None, None, None, 0.1],
    ]


def test_texts_of_another_form_are_read_by_the_server(empty, formats, monkeypatch):
    """One piece takes CSV, those before and after it do not, and the order of the rows stays."""
    monkeypatch.setattr(copying, "PIECE_ROWS", 2)
    empty.run("CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY, u uuid, b bytea, c time)")
    plain = ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "\\x00ff", "10:00:00")
    for other in (
        ("{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", plain[1], plain[2]),
        ("a0eebc999c0b4ef8bb6d6bb9bd380a11----", plain[1], plain[2]),
        ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g", plain[1], plain[2]),
        (plain[0], "abc", plain[2]),
        (plain[0], plain[1], "10:00 PM"),
    ):
        empty.run("TRUNCATE t RESTART IDENTITY")
        formats.clear()
        rows = [plain, plain, plain, other, plain]
        table = pa.table([pa.array(column) for column in zip(*rows, strict=True)], names=["u", "b", "c"])
        if other[0].endswith("g") or other[0].endswith("-"):
            with pytest.raises(DatabaseError, match="22P02"):
                copy_rows(empty, sql.table("t"), ("u", "b", "c"), [table])
            continue
        assert copy_rows(empty, sql.table("t"), ("u", "b", "c"), [table]) == len(rows)
        assert formats == ["binary", "csv", "binary"]
        wanted = [[uuid.UUID(u), b.encode() if b == "abc" else bytes.fromhex(b[2:])] for u, b, _ in rows]
        assert [[row[0], bytes(row[1])] for row in empty.rows("SELECT u, b FROM t ORDER BY id")] == wanted


def test_dates_before_christ_and_every_number_of_days_arrive(empty):
    """Also those that Arrow writes into no CSV."""
    empty.run("CREATE TABLE t (d date, m timestamp)")
    days, ticks = [-719529, -2440588, 2932896 + 400_000], [-62135596800000001, 253402300800000000, -1]
    moments = pa.array(ticks, pa.int64()).cast(pa.timestamp("us"))
    copy_rows(
        empty, sql.table("t"), ("d", "m"), [pa.table({"d": pa.array(days, pa.int32()).cast(pa.date32()), "m": moments})]
    )
    assert empty.rows("SELECT d - date '1970-01-01', CAST(extract(epoch FROM m) * 1000000 AS bigint) FROM t") == [
        [day, tick] for day, tick in zip(days, ticks, strict=True)
    ]
    assert empty.rows("SELECT d::text FROM t LIMIT 1") == [["0002-12-31 BC"]]


def test_rows_of_many_bytes_are_encoded_in_pieces(empty, monkeypatch):
    monkeypatch.setattr(binary_fields, "MAX_BYTES", 100)
    empty.run("CREATE TABLE t (id integer, v text)")
    rows = pa.table({"id": pa.array(range(50), pa.int32()), "v": ["Ω" * number for number in range(50)]})
    assert copy_rows(empty, sql.table("t"), ("id", "v"), [rows]) == 50
    assert empty.rows("SELECT count(*) FROM t WHERE v = repeat('Ω', id)") == [[50]]


@pytest.mark.parametrize(
    ("kind", "column", "state"),
    [
        ("varchar(3)", pa.array(["abcd"]), "22001"),
        ("positive", pa.array([-1], pa.int32()), "23514"),
        ("numeric(3, 1)", pa.array([Decimal("123.4")], pa.decimal128(5, 1)), "22003"),
        ("json", pa.array(["{"]), "22P02"),
        ("integer NOT NULL", pa.array([None], pa.int32()), "23502"),
    ],
)
def test_the_server_refuses_what_it_refuses_of_csv(connection, kind, column, state):
    connection.run(f"CREATE TABLE t (v {kind})")
    for copy in (
        lambda rows: copy_rows(connection, sql.table("t"), ("v",), [rows]),
        lambda rows: connection.copy_in("COPY t FROM STDIN (FORMAT csv, FORCE_NULL (v))", to_csv([rows])),
    ):
        with pytest.raises(DatabaseError) as refused:
            copy(pa.table({"v": column}))
        assert sqlstate(refused.value) == state


def test_a_nan_of_any_bits_is_the_one_of_postgresql(empty):
    empty.run("CREATE TABLE t (f double precision, r real)")
    bits = [struct.unpack("<d", struct.pack("<q", number))[0] for number in (0x7FF8000000000001, -0x8000000000000)]
    rows = pa.table({"f": pa.array(bits, pa.float64()), "r": pa.array([float("nan")] * 2, pa.float32())})
    copy_rows(empty, sql.table("t"), ("f", "r"), [rows])
    assert empty.rows(
        "SELECT DISTINCT float8send(f) = float8send('NaN'), float4send(r) = float4send('NaN') FROM t"
    ) == [[True, True]]
