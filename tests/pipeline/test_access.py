"""The function ``access`` as Lambda calls it, beside what the same code does over a connection."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.access import answers, packing
from lambda_toolkit.pipeline.access.handler import lambda_handler
from lambda_toolkit.pipeline.access.messages import QueryError
from lambda_toolkit.pipeline.client.invocation import Invocation
from lambda_toolkit.pipeline.client.warehouses import access
from lambda_toolkit.pipeline.client.warehouses.access import FunctionAccess
from lambda_toolkit.pipeline.client.warehouses.query import Warehouse
from lambda_toolkit.pipeline.client.warehouses.reader import WarehouseReader
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError, PipelineError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import StatementError
from tests.support.repository import configuration

CONTEXT = SimpleNamespace(function_name="totes-test-access", aws_request_id="r-1")
VALUES = (
    "SELECT 1::smallint, 2::bigint, 0.1::float8, true, NULL, date '2024-02-29', time '23:59:59.5', 1.50::numeric(5,2),"
    " timestamptz '2024-01-01 12:00:00.25+02', timestamp '2024-01-01', interval '3 days 2 seconds', ARRAY[1, NULL],"
    " ARRAY['a', 'null'], '{\"a\": [1]}'::jsonb, '\\x00ff'::bytea, 'a49b7d4e-0000-4000-8000-000000000000'::uuid,"
    " '\u00e9\U0001f600', 'infinity'::float8"
)
LARGE = "SELECT g, md5(g::text) FROM generate_series(1, 60000) AS g"
LAMBDAS = 6_291_556  # bytes: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html


@pytest.fixture
def function(deployed, emulated_aws, monkeypatch) -> FunctionAccess:
    """The access by the handler, called as Lambda does: JSON in, JSON out, an error as its document."""

    def invoke(_aws: Any, _function: str, event: dict[str, Any]) -> Invocation:
        from lambda_toolkit.aws.error_messages import function_failure

        try:
            result = json.dumps(lambda_handler(json.loads(json.dumps(event)), CONTEXT))
        except Exception as error:
            document = {"errorType": type(error).__name__, "errorMessage": str(error)}
            failure = function_failure(json.dumps(document))
            return Invocation(None, failure.text, "", failure)
        assert len(result) < LAMBDAS
        return Invocation(json.loads(result), None, "")

    monkeypatch.setattr(access, "invoke", invoke)
    aws = SimpleNamespace(call=lambda service, operation, **given: getattr(emulated_aws, operation)(**given))
    return FunctionAccess(aws, "totes-test-access", "processed")


@pytest.fixture
def direct(credentials) -> WarehouseReader:
    return WarehouseReader(dataclasses.replace(credentials[1], role="the warehouse"))


def kept(s3: Any) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket="processed", Prefix="answers/").get("Contents", ())]


def test_values_arrive_as_the_driver_has_them(function, direct):
    assert function.rows(VALUES) == direct.rows(VALUES)
    assert [type(value) for value in function.rows(VALUES)[0]] == [type(value) for value in direct.rows(VALUES)[0]]
    query = "SELECT :name AS name, CAST(:number AS bigint) AS number, :nothing::text AS nothing"
    given = {"name": "it's", "number": 2**40, "nothing": None}
    assert function.rows(query, **given) == direct.rows(query, **given) == [["it's", 2**40, None]]


def test_a_table_is_the_same_in_arrow(function, direct):
    for query in (
        VALUES.replace("NULL, date", "NULL AS n, date"),
        "SELECT 1 AS a, 'b' AS a",
        "SELECT 'x' AS t LIMIT 0",
    ):
        by_function, by_connection = Warehouse(function).query(query), Warehouse(direct).query(query)
        assert by_function.schema == by_connection.schema
        assert by_function.to_pandas().equals(by_connection.to_pandas())
        texts: list[list[bytes]] = [[], []]
        for warehouse, found in zip((function, direct), texts, strict=True):
            warehouse.csv(query, found.append)
        assert b"".join(texts[0]) == b"".join(texts[1]) != b""


def test_large_answers_are_objects_until_they_are_read(function, direct, emulated_aws, monkeypatch):
    monkeypatch.setattr(answers, "INLINE", 100_000)
    parts: list[int] = []
    put = answers.AnswerFile._put
    monkeypatch.setattr(
        answers.AnswerFile, "_put", lambda self, content: parts.append(len(content)) or put(self, content)
    )
    monkeypatch.setattr(answers, "PART", 5 * 1024 * 1024)
    query = LARGE.replace("60000", "300000")
    assert Warehouse(function).query(query).num_rows == 300_000
    assert len(parts) > 1 and parts[0] == answers.PART and kept(emulated_aws) == []
    assert function.rows(LARGE) == direct.rows(LARGE)
    assert kept(emulated_aws) == []


def test_answers_that_no_command_read_are_removed(function, emulated_aws, monkeypatch):
    monkeypatch.setattr(answers, "INLINE", 1000)
    emulated_aws.put_object(Bucket="processed", Key=f"answers/{'0' * 32}", Body=b"left")
    emulated_aws.put_object(Bucket="processed", Key="data/x", Body=b"data")
    function.rows(LARGE)
    assert kept(emulated_aws) == [f"answers/{'0' * 32}"], "it may be being read"
    monkeypatch.setattr(answers, "FORGOTTEN", datetime.timedelta(seconds=-60))
    monkeypatch.setattr(access.messages, "DiscardRequest", lambda key: pytest.fail("the command ended meanwhile"))
    with pytest.raises(pytest.fail.Exception):
        function.rows(LARGE)
    assert kept(emulated_aws) == []
    assert emulated_aws.list_objects_v2(Bucket="processed", Prefix="data/")["KeyCount"] == 1


def test_answers_that_fail_leave_nothing(function, emulated_aws, monkeypatch):
    """A statement that fails on its last row, and one whose answer is too large."""
    monkeypatch.setattr(answers, "INLINE", 1000)
    with pytest.raises(CommandError, match="division by zero"):
        Warehouse(function).query(f"{LARGE} UNION ALL SELECT 1, (1 / (SELECT 0))::text")
    monkeypatch.setattr(answers, "LIMIT", 200_000)
    with pytest.raises(PipelineError, match=r"larger than 0 GiB\. Ask for fewer columns"):
        Warehouse(function).query(LARGE)
    monkeypatch.delenv("PROCESSED_BUCKET")
    with pytest.raises(PipelineError, match="has no bucket `processed`"):
        function.csv(LARGE, lambda content: None)
    assert kept(emulated_aws) == []
    assert emulated_aws.list_multipart_uploads(Bucket="processed").get("Uploads", []) == []


REFUSED = (
    "DELETE FROM dim_staff",
    "SELECT nextval('fact_sales_order_sales_record_id_seq')",
    "SELECT 1; DROP TABLE dim_staff",
    "SELECT 1) AS a; COMMIT; DROP TABLE dim_staff; SELECT (1",
    "COMMIT",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "WITH past AS (DELETE FROM dim_staff RETURNING 1) SELECT * FROM past",
    "SELECT * FROM dim_staff FOR UPDATE",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "DO $$ BEGIN COMMIT; DROP TABLE dim_staff; END $$",
    "SELECT no_such",
    "",
)


def test_only_queries_run_and_both_ways_refuse_alike(function, direct, deployed):
    before = deployed.warehouse.rows("SELECT count(*) FROM pg_class")
    for query, call in itertools.product(REFUSED, ("query", "csv", "rows")):
        said = []
        for each in (function, direct):
            arguments = (query, bytes) if call == "csv" else (query,)
            with pytest.raises((CommandError, StatementError)) as caught:
                getattr(Warehouse(each), call)(*arguments)
            said.append((caught.type, str(caught.value).replace("secret totes/warehouse", "the credentials")))
        assert said[0] == said[1]
    assert deployed.warehouse.rows("SELECT count(*) FROM pg_class") == before


def test_preparation_is_the_same_and_runs_no_other_statement(function, direct, deployed):
    from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
    from tests.support.repository import CONFIG

    schema = (CONFIG / "warehouse.sql").read_text(encoding="utf-8")
    pipeline = SimpleNamespace(tables=configuration())
    into = [(SchemaNames.shadow(name)) for name in ("one", "two")]
    ways = (function, direct)
    first = [way.prepare(pipeline, schema, names) for way, names in zip(ways, into, strict=True)]
    assert [text.replace("two", "one") for text in first[1].created] == list(first[0].created) != []
    deployed.warehouse.run("ALTER TABLE dim_staff DROP COLUMN email_address CASCADE")
    assert ways[0].prepare(pipeline, schema, LIVE).created == ("view current_dim_staff",)
    left = [way.prepare(pipeline, schema, LIVE, later=schema) for way in ways]
    assert left[0] == left[1] and "email_address" in left[0].differences[0]
    for hostile in ("DROP TABLE dim_staff;", "CREATE TABLE x (a int); DELETE FROM dim_staff", "DO $$ BEGIN END $$"):
        said = []
        for way in ways:
            with pytest.raises(PipelineError) as caught:
                way.prepare(pipeline, f"{schema};\n{hostile}", LIVE)
            said.append((caught.type, str(caught.value)))
        assert said[0] == said[1]
    with pytest.raises(PipelineError, match="`into` cannot be 'pg_x': PostgreSQL reserves that name"):
        ways[0].prepare(pipeline, schema, SchemaNames.shadow("pg_x"))


def test_catalog_of_the_source_is_the_same(function, credentials):
    from lambda_toolkit.pipeline.access.source_catalogs import catalogs
    from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
    from tests.support.pipeline import READER_PASSWORD

    reader = credentials[0].__class__(*_address(credentials[0]), "reader", READER_PASSWORD)
    with connect(reader) as connection:
        direct = catalogs(connection, ("public", "none"), configuration())
    assert function.catalogs(("public", "none"), configuration()) == direct
    assert direct.catalogs["public"].by_name["design"].columns and direct.types["design"]


def _address(of: Any) -> tuple[str, int, str]:
    return of.host, of.port, of.database


def test_server_that_is_down_is_the_same_error(function, monkeypatch):
    import boto3

    boto3.client("secretsmanager").put_secret_value(
        SecretId="totes/warehouse",
        SecretString='{"host": "127.0.0.1", "port": 1, "dbname": "w", "username": "u", "password": "hidden"}',
    )
    with pytest.raises(ConnectionFailedError, match="Cannot connect to the warehouse at 127.0.0.1:1") as caught:
        function.rows("SELECT 1")
    assert "hidden" not in str(caught.value)


def test_log_has_no_query_no_value_and_no_password(function, log):
    function.rows("SELECT :name::text AS name", name="zebra")
    for query in ("SELECT 'zebra'", "SELECT 'zebra'::integer", "SELECT zebra"):
        try:
            Warehouse(function).query(query)
        except CommandError:
            continue
    text = log.getvalue()
    assert '"action": "table"' in text
    assert "SELECT" not in text and "'zebra'" not in text and text.count("zebra") <= 2, text


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text()
        | st.decimals(allow_nan=False)
        | st.dates()
        | st.times()
        | st.datetimes(timezones=st.just(datetime.UTC))
        | st.timedeltas()
        | st.uuids()
        | st.binary()
        | st.dictionaries(st.text(), st.integers()),
        st.lists,
    )
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_value_survives_json(value):
    again = packing.from_json(packing.decompressed(packing.compressed(packing.to_json(value)), "it"))
    assert again == value and type(again) is type(value)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ([], "must be a JSON object, not list"),
        ({}, "the actions are table, csv, rows, prepare, catalog, discard, check"),
        ({"action": "sql"}, "access has the actions .*, not 'sql'"),
        ({"action": "table"}, "lacks the key `query`"),
        ({"action": "table", "query": 1}, "`query` must be a string"),
        ({"action": "table", "query": "SELECT 1", "write": True}, "unknown key `write`"),
        ({"action": "rows", "query": "SELECT 1", "parameters": {"a": [1]}}, "`parameters` must be"),
        ({"action": "discard", "key": "data/x"}, "`key` is not that of an answer"),
        ({"action": "discard", "key": f"answers/{'0' * 32}/../../data/x"}, "`key` is not that of an answer"),
        ({"action": "discard", "key": f"answers/{'0' * 32}\n"}, "`key` is not that of an answer"),
        ({"action": "prepare", "declaration": "!"}, "is not base64"),
        ({"action": "prepare", "declaration": "AAAA"}, "is not a packed document"),
        ({"action": "prepare", "declaration": packing.pack({})}, "must have the texts `schema` and `later`"),
        ({"action": "catalog", "schemas": "public"}, "`schemas` must be a list of strings"),
        ({"action": "catalog", "schemas": [], "tables": packing.pack({"x": "0" * packing.LARGEST})}, "has more than"),
    ],
)
def test_event_that_is_not_exactly_a_request_is_refused(deployed, event, reason):
    with pytest.raises(PipelineError, match=reason):
        lambda_handler(event, CONTEXT)


def test_decimals_of_the_driver_are_decimals(function):
    assert function.rows("SELECT 0.10::numeric, 'NaN'::numeric::text") == [[Decimal("0.10"), "NaN"]]
    with pytest.raises(QueryError):
        function.table("SELECT")
