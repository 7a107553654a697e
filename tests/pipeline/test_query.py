"""``query`` and ``Warehouse``: a real server's values as Arrow, CSV, Parquet and JSON, and nothing written."""

from __future__ import annotations

import csv
import datetime
import io
import json
from decimal import Decimal
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import deploy
from lambda_toolkit.pipeline import Warehouse
from lambda_toolkit.pipeline.errors import CommandError
from tests.support.repository import CONFIG


@pytest.fixture
def url(credentials):
    of = credentials[1]
    return f"postgresql://{of.user}:{quote(of.password)}@{of.host}:{of.port}/{of.database}"


@pytest.fixture
def warehouse(url):
    return Warehouse.at(url)


@pytest.fixture
def query(url, monkeypatch):
    """Runs the command with arguments."""
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", url)

    def run(*arguments, **more):
        options = ("--config", str(CONFIG / "pipeline.toml"), "--stage", "dev")
        return CliRunner().invoke(deploy.main, ["query", *arguments, *options], **more)

    return run


def test_values_have_the_types_of_arrow(warehouse):
    found = warehouse.query("""
        SELECT 1::smallint AS small, 2::bigint AS large, 0.1::float8 AS float, true AS yes, date '2024-02-29' AS day,
            time '23:59:59.5' AS at, timestamptz '2024-01-01 12:00+02' AS moment, 1.50::numeric(5,2) AS price,
            'a:b ::c' AS text, ARRAY[1,NULL] AS list, NULL AS nothing, '{"a": 1}'::jsonb AS json -- ends here;
    """)
    assert found.to_pylist() == [
        {
            "small": 1,
            "large": 2,
            "float": 0.1,
            "yes": True,
            "day": datetime.date(2024, 2, 29),
            "at": datetime.time(23, 59, 59, 500000),
            "moment": datetime.datetime(2024, 1, 1, 10, tzinfo=datetime.UTC),
            "price": Decimal("1.50"),
            "text": "a:b ::c",
            "list": "{1,NULL}",
            "nothing": None,
            "json": '{"a": 1}',
        }
    ]
    assert found.schema.field("small").type == pa.int16()
    assert found.schema.field("price").type == pa.decimal128(5, 2)


def test_numbers_keep_every_digit(warehouse):
    """A numeric without precision has the scale of its longest value; with NaN, it stays text."""
    longest = "1" * 38 + "." + "2" * 38
    found = warehouse.query("SELECT x, -x AS y, x::text AS t FROM (VALUES (1.5), (-0.25), (NULL), (100)) AS v(x)")
    assert found["x"].to_pylist() == [Decimal("1.50"), Decimal("-0.25"), None, Decimal("100.00")]
    assert found["y"].type == pa.decimal128(38, 2)
    assert str(warehouse.query(f"SELECT {longest} AS x")["x"][0].as_py()) == longest
    assert warehouse.query(f"SELECT {longest}3 AS x")["x"].to_pylist() == [f"{longest}3"]
    assert warehouse.query("SELECT 'NaN'::numeric AS x UNION ALL SELECT 1")["x"].to_pylist() == ["NaN", "1"]
    assert warehouse.query("SELECT 'infinity'::date AS d")["d"].to_pylist() == ["infinity"]
    assert warehouse.query("SELECT 1.5 AS x WHERE false").num_rows == 0


def test_table_is_read_whole_and_unknown_ones_are_named(pipeline, warehouse):
    pipeline.run()
    found = warehouse.table("current_fact_sales_order")
    assert found.num_rows == pipeline.rows("SELECT count(*) FROM current_fact_sales_order")[0][0] > 0
    assert pa.types.is_decimal(found.schema.field("unit_price").type)
    with pytest.raises(CommandError, match="no table fact_sales_orders. Is fact_sales_order meant"):
        warehouse.table("fact_sales_orders")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("WITH d AS (DELETE FROM dim_staff RETURNING 1) SELECT * FROM d", "refuses the query"),
        ("DELETE FROM dim_staff", "refuses the query: syntax error"),
        ("SELECT 1; COMMIT; DROP TABLE dim_staff", "refuses the query: syntax error"),
        ("SELECT 1) AS a; DROP TABLE dim_staff; --", "refuses the query"),
        ("SELECT 1) TO PROGRAM 'true'; --", "refuses the query"),
        ("SELECT nextval('s')", "nextval"),
        ("SELECT lo_create(0)", "read-only transaction"),
        (" -- nothing\n/* at\nall */ ; ", "The query is empty"),
        ("SELECT * FROM no_such_table", 'relation "no_such_table" does not exist'),
        ("SELECT 1/0", "division by zero"),
        ("SELECT", "returns no columns"),
    ],
)
def test_whatever_is_no_query_writes_nothing(pipeline, warehouse, text, message):
    pipeline.warehouse.run("CREATE SEQUENCE s")
    with pytest.raises(CommandError, match=message):
        warehouse.query(text)
    with pytest.raises(CommandError, match=message):
        warehouse.csv(text, io.BytesIO().write)
    assert pipeline.rows("SELECT to_regclass('dim_staff') IS NOT NULL, last_value, is_called FROM s") == [
        [True, 1, False]
    ]


ROWS = "SELECT * FROM (VALUES (1, 'a,\"b\"', NULL), (2, '', 2.5)) AS v(number, text, price) ORDER BY 1"


def test_query_shows_a_table_and_says_how_to_see_the_rest(query):
    result = query(ROWS, "--rows", "1")
    assert result.exit_code == 0, result.output
    assert "2 rows" in result.output
    assert 'a,"b"' in result.output
    assert "The first 1 of them. All: --rows 2, --csv, or --output FILE." in result.output


def test_query_gives_csv_parquet_and_json(query, tmp_path):
    expected = [["number", "text", "price"], ["1", 'a,"b"', ""], ["2", "", "2.5"]]
    result = query(ROWS, "--csv")
    assert list(csv.reader(io.StringIO(result.stdout))) == expected
    assert '2,"",2.5' in result.stdout  # an empty text is not NULL
    assert query("-", "--output", str(tmp_path / "rows.csv"), input=ROWS).exit_code == 0
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8") == result.stdout
    assert query(ROWS, "-o", str(tmp_path / "rows.parquet")).exit_code == 0
    assert pq.read_table(tmp_path / "rows.parquet")["price"].to_pylist() == [None, Decimal("2.5")]
    document = json.loads(query(ROWS, "--json").stdout)
    assert document["columns"][0] == {"name": "number", "type": "int32"}
    assert document["rows"] == [[1, 'a,"b"', None], [2, "", "2.5"]]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((ROWS, "--csv", "--json"), 2, "exclude each other"),
        ((ROWS, "--output", "x.xlsx"), 2, "must end in .csv or .parquet"),
        (("SELECT 1 AS a, 2 AS a", "--output", "kept.parquet"), 1, "a is that of several"),
        (("SELECT 1/0", "--output", "kept.csv"), 1, "division by zero"),
    ],
)
def test_query_that_fails_leaves_the_file_as_it_was(query, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    for name in ("kept.csv", "kept.parquet"):
        (tmp_path / name).write_text("before")
    result = query(*arguments)
    assert result.exit_code == code
    assert message in result.output
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "kept.csv": "before",
        "kept.parquet": "before",
    }
