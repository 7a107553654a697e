"""Each type of PostgreSQL in a DuckDB file: which type the column has there, and that a value of the lake arrives."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa

from lambda_toolkit.pipeline.lambdas.shared.database import connected
from lambda_toolkit.pipeline.lambdas.shared.duckdb.types import duckdb_type
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import arrow_type
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials

NOON = datetime(2024, 2, 29, 12, 30, 0, 500_000)
UUID = "11111111-2222-3333-4444-555555555555"
LARGE = "1" * 39
ARRIVED = {  # PostgreSQL's type: a value as the lake has it, the type in the file, the value there as text
    "smallint": (-1, "SMALLINT", "-1"),
    "integer": (2**31 - 1, "INTEGER", "2147483647"),
    "bigint": (2**53 + 1, "BIGINT", "9007199254740993"),
    "real": (1.5, "FLOAT", "1.5"),
    "double precision": (0.1, "DOUBLE", "0.1"),
    "boolean": (True, "BOOLEAN", "true"),
    "date": (date(2024, 2, 29), "DATE", "2024-02-29"),
    "timestamp without time zone": (NOON, "TIMESTAMP", "2024-02-29 12:30:00.5"),
    "timestamp with time zone": (NOON.replace(tzinfo=UTC), "TIMESTAMP WITH TIME ZONE", "2024-02-29 12:30:00.5+00"),
    "time without time zone": ("12:30:00.5", "TIME", "12:30:00.5"),
    "uuid": (UUID, "UUID", UUID),
    "bytea": ("\\x00ff41", "BLOB", "\\x00\\xFFA"),
    "json": ('{"a": 1}', "JSON", '{"a": 1}'),
    "jsonb": ("[1, null]", "JSON", "[1, null]"),
    "numeric(10,2)": (Decimal("1.50"), "DECIMAL(10,2)", "1.50"),
    "numeric(38,0)": (Decimal("1" * 38), "DECIMAL(38,0)", "1" * 38),
    "numeric(39,0)": (LARGE, "VARCHAR", LARGE),
    "numeric(2,-3)": ("12000", "VARCHAR", "12000"),
    "numeric": ("1.500", "VARCHAR", "1.500"),
    "text": ("1", "VARCHAR", "1"),
    "character varying(9)": ("é", "VARCHAR", "é"),
    "interval": ("1 mon", "VARCHAR", "1 mon"),
    "text[]": ("{a,b}", "VARCHAR", "{a,b}"),
    "inet": ("10.0.0.1/8", "VARCHAR", "10.0.0.1/8"),
}


def test_each_type_arrives_in_a_file(tmp_path):
    columns = tuple(f"c {number}" for number in range(len(ARRIVED)))
    arrays = [pa.array([value, None], arrow_type(kind)) for kind, (value, *_) in ARRIVED.items()]
    declared = ", ".join(f'"{name}" {duckdb_type(kind)}' for name, kind in zip(columns, ARRIVED, strict=True))
    to = sql.table("arrived")
    with connected(Credentials.of_file(str(tmp_path / "w.duckdb"), "a test", "the warehouse")) as session:
        session.execute(f"CREATE TABLE arrived ({declared})")
        assert session.append(to, columns, [pa.table(arrays, columns), pa.table(arrays, columns).slice(0, 0)]) == 2
        for name, (kind, (_, wanted, text)) in zip(columns, ARRIVED.items(), strict=True):
            query = f'SELECT typeof("{name}"), CAST("{name}" AS VARCHAR) FROM arrived'
            assert session.execute(query) == [[wanted, text], [wanted, None]], kind
