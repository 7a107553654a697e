"""The three handlers as Lambda calls them: events in, results out, failures raised, secrets from Secrets Manager."""

from __future__ import annotations

import functools
import io
import json
from types import SimpleNamespace
from urllib.parse import quote_plus

import boto3
import pytest

from lambda_toolkit.pipeline.lambdas.extract import handler
from lambda_toolkit.pipeline.lambdas.extract.handler import lambda_handler as extract
from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.extract.readers.fan_out import FanOut
from lambda_toolkit.pipeline.lambdas.load.handler import lambda_handler as load
from lambda_toolkit.pipeline.lambdas.shared import invoking as shared_invoking
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError, LakeError, PipelineError
from lambda_toolkit.pipeline.lambdas.transform import workers
from lambda_toolkit.pipeline.lambdas.transform.handler import lambda_handler as transform
from tests.support.function_logs import json_lines
from tests.support.large_table import PART_ROWS, ROWS, grow, step
from tests.support.pipeline import READER_PASSWORD
from tests.support.readers import quick
from tests.support.thresholds import small_thresholds

CONTEXT = SimpleNamespace(function_name="totes-test-transform", aws_request_id="r-1")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def s3_event(*keys):
    return {"Records": [{"s3": {"bucket": {"name": "ingestion"}, "object": {"key": quote_plus(key)}}} for key in keys]}


def test_handlers_carry_a_change_from_one_to_the_next(deployed, log):
    first = extract({}, CONTEXT)
    decided = [line["tables"] for line in json_lines(log.getvalue()) if line["message"] == "deletes"]
    assert [tables["payment"] for tables in decided] == ["compare: every row was read"]
    assert (first["batch"], first["last_batch"], first["rows"]["payment"], first["deleted"]) == (1, 1, 9, {})
    done = transform(s3_event("manifests/batch-000000000001.json"), CONTEXT)
    assert (done["batches"], done["rows"]["fact_payment"], done["rejected"]) == ([1], 9, {})
    assert load({"action": "report"}, CONTEXT)["last_batch"] is None
    loaded = load({}, CONTEXT)
    assert (loaded["loaded"], loaded["last_batch"], loaded["missing_batch"]) == ([1], 1, None)
    assert loaded["appended"]["fact_payment"] == 9
    assert loaded["extracted_at"] < loaded["loaded_at"]
    again = extract({}, CONTEXT)
    assert again == {"batch": None, "last_batch": 1, "rows": {}, "deleted": {}, "incomplete": {}}
    assert load({"action": "report"}, CONTEXT) == {**loaded, "loaded": [], "appended": {}}
    json.dumps([first, done, loaded, again])


def test_load_uses_the_connections_it_is_deployed_with(deployed, log, monkeypatch):
    """The log says how each large fact was filled first."""
    extract({}, CONTEXT)
    transform(s3_event("manifests/batch-000000000001.json"), CONTEXT)
    monkeypatch.setenv("LOAD_CONNECTIONS", "2")
    with small_thresholds():
        assert load({}, CONTEXT)["loaded"] == [1]
    ways = {line["table"]: line["what"] for line in json_lines(log.getvalue()) if line["message"] == "filling"}
    assert ways == dict.fromkeys(["fact_sales_order", "fact_purchase_orders", "fact_payment"], "2 connections")


def test_events_may_be_repeated_late_batched_or_unrelated(deployed):
    """Events may come twice late together and from other objects."""
    for phone in ("1", "2"):
        deployed.admin.run("UPDATE address SET phone = :phone", phone=phone)
        extract({}, CONTEXT)
    second, first = (f"manifests/batch-{n:012d}.json" for n in (2, 1))
    assert transform(s3_event(second), CONTEXT)["batches"] == [2]
    assert transform(s3_event(second, first, "address/x.parquet"), CONTEXT)["batches"] == [1, 2]
    assert transform(s3_event(first, first), CONTEXT)["batches"] == [1]
    assert transform({"Event": "s3:TestEvent"}, CONTEXT) == {"batches": [], "rows": {}, "rejected": {}}
    assert transform({"action": "transform", "batch": 1}, CONTEXT)["batches"] == [1]
    assert load({}, CONTEXT)["loaded"] == [1, 2]


def test_rejected_rows_metric_counts_each_row_once(deployed, capsys):
    """Rejected rows are counted once in the metric that the alarm names."""
    deployed.admin.run("UPDATE payment SET payment_date = '31/12/2024' WHERE payment_id < 4")
    extract({}, CONTEXT)
    capsys.readouterr()
    event = s3_event("manifests/batch-000000000001.json")
    assert transform(event, CONTEXT)["rejected"] == {"fact_payment": 3}
    metrics = [line for line in json_lines(capsys.readouterr().out) if "_aws" in line]
    assert [metric.get("RowsRejected") for metric in metrics] == [3, None]
    described = metrics[0]["_aws"]["CloudWatchMetrics"][0]
    assert (described["Namespace"], described["Dimensions"]) == ("totes-test", [["FunctionName"]])
    assert metrics[0]["FunctionName"] == "totes-test-transform"
    assert transform(event, CONTEXT)["rejected"] == {"fact_payment": 3}
    assert not [line for line in json_lines(capsys.readouterr().out) if "RowsRejected" in line]


def test_load_counts_pending_facts_in_the_same_metric(deployed, capsys):
    deployed.admin.run("UPDATE currency SET currency_code = 'ZZZ' WHERE currency_id = 1")
    extract({}, CONTEXT)
    transform({"action": "transform", "batch": 1}, CONTEXT)
    capsys.readouterr()
    pending = load({}, CONTEXT)["pending"]
    assert pending["fact_payment"] == 9
    lines = json_lines(capsys.readouterr().out)
    assert {line["table"]: line["RowsRejected"] for line in lines if "RowsRejected" in line} == pending


def test_a_failure_is_logged_once_and_raised(deployed, log):
    boto3.client("secretsmanager").put_secret_value(
        SecretId="totes/source",
        SecretString=json.dumps(
            {"host": "127.0.0.1", "port": 1, "dbname": "d", "username": "u", "password": "hunter2"}
        ),
    )
    with pytest.raises(ConnectionFailedError, match=r"127\.0\.0\.1:1, database d, as user u \(secret totes/source\)"):
        extract({}, CONTEXT)
    errors = [line for line in json_lines(log.getvalue()) if line["level"] == "ERROR"]
    assert [line["error"] for line in errors] == ["ConnectionFailedError"]
    assert "hunter2" not in log.getvalue()


def test_unexpected_error_is_logged_with_traceback_and_raised(deployed, monkeypatch, log):
    """An unexpected failure is logged with its trace and raised."""
    monkeypatch.setattr("lambda_toolkit.pipeline.lambdas.extract.handler.extract_all", lambda *_: {}["nothing"])
    with pytest.raises(PipelineError, match="KeyError: its message is not shown"):
        extract({}, CONTEXT)
    (error,) = [line for line in json_lines(log.getvalue()) if line["level"] == "ERROR"]
    assert (error["error"], "nothing" in error["message"]) == ("KeyError", False)
    assert "lambda_handler" in " ".join(error["stack"])


@pytest.mark.parametrize("handler", [extract, transform, load])
@pytest.mark.parametrize("event", [{"action": "dance"}, {"batch": 1}])
def test_an_event_that_a_handler_does_not_know_is_refused(deployed, handler, event):
    with pytest.raises(PipelineError, match="actions? .*check"):
        handler(event, CONTEXT)


def test_a_batch_that_is_not_there_is_an_error(deployed):
    with pytest.raises(LakeError, match="manifests/batch-000000000007"):
        transform({"action": "transform", "batch": 7}, CONTEXT)


def test_extract_refuses_full_refresh_of_an_unknown_table(deployed):
    """Extract refuses to read a table in full that it does not know."""
    with pytest.raises(PipelineError, match="nonsense"):
        extract({"action": "extract", "full": ["nonsense"]}, CONTEXT)
    assert extract({"action": "extract", "full": ["currency"]}, CONTEXT)["batch"] == 1
    assert extract({"action": "extract", "full": True}, CONTEXT)["rows"]["payment"] == 9


def test_secret_of_others_is_read_also_after_a_rotation(deployed, credentials, monkeypatch):
    """As RDS manages it: user and password in the secret, the rest in the declaration, which takes precedence."""
    to, secrets = credentials[0], boto3.client("secretsmanager")
    created = secrets.create_secret(Name="rds!db-1", SecretString='{"username": "reader", "password": "before"}')
    monkeypatch.setenv("SOURCE_SECRET", created["ARN"])
    with pytest.raises(ConnectionFailedError, match=r"lacks the key 'host': it must have it, or `host` in \[secrets"):
        extract({}, CONTEXT)
    declared = {"host": to.host, "port": to.port, "dbname": to.database, "sslmode": "prefer"}
    monkeypatch.setenv("SOURCE_CONNECTION", json.dumps(declared))
    try:
        for number, password in enumerate(("first", 'it\'s "second" %'), 1):
            deployed.admin.run(f"ALTER ROLE reader PASSWORD {quoted(password)}")
            stored = {"engine": "postgres", "user": "reader", "password": password, "host": "elsewhere", "port": "1"}
            secrets.put_secret_value(SecretId="rds!db-1", SecretString=json.dumps(stored))
            deployed.admin.run("UPDATE address SET phone = :phone", phone=password)
            assert extract({}, CONTEXT)["batch"] == number
    finally:
        deployed.admin.run(f"ALTER ROLE reader PASSWORD {quoted(READER_PASSWORD)}")
    secrets.put_secret_value(SecretId="rds!db-1", SecretString=json.dumps({**stored, "engine": "mysql"}))
    with pytest.raises(ConnectionFailedError, match="'engine' is 'mysql', and PostgreSQL is expected"):
        extract({}, CONTEXT)
    monkeypatch.setenv("SOURCE_SECRET", created["ARN"].replace("rds!", "none"))
    with pytest.raises(PipelineError, match=r"does not exist. Correct `arn` in \[secrets"):
        extract({}, CONTEXT)


def test_what_the_deployment_forgot_is_named(deployed, monkeypatch):
    monkeypatch.setenv("SOURCE_SECRET", "totes/elsewhere")
    with pytest.raises(PipelineError, match="totes/elsewhere does not exist"):
        extract({}, CONTEXT)
    monkeypatch.delenv("WAREHOUSE_SECRET")
    with pytest.raises(PipelineError, match="WAREHOUSE_SECRET is not set"):
        load({}, CONTEXT)


class InvokedHere:
    """The API of Lambda, whose functions run in this process: all that extract uses of it."""

    def __init__(self):
        self.asked = []
        self.answers = {}

    def invoke(self, **call):
        self.asked.append(call)
        event = json.loads(call["Payload"])
        answer = self.answers.get(event["number"]) or {
            "Payload": io.BytesIO(json.dumps(extract(event, CONTEXT)).encode())
        }
        return {"StatusCode": 200, **answer}


@pytest.mark.parametrize("answer", [None, {"FunctionError": "Unhandled", "Payload": b"{}"}, {"Payload": b"[]"}])
def test_extract_has_ranges_read_by_the_function_it_is_given(deployed, log, monkeypatch, answer):
    """Declared readers are invoked, with all that they need; where one fails, extract reads alone. No key is logged."""
    functions = InvokedHere()
    if answer is not None:
        functions.answers = {1: {**answer, "Payload": io.BytesIO(answer["Payload"])}}
    monkeypatch.setattr(shared_invoking, "_client", lambda together: functions)
    monkeypatch.setattr(handler, "_limits", lambda context: Limits(rows=150))
    monkeypatch.setenv("READER_FUNCTION", "totes-test-reader:live")
    monkeypatch.setenv("READERS", "2")
    monkeypatch.setattr(handler, "FanOut", functools.partial(FanOut, pause=0.0))
    grow(deployed)
    done = extract({}, CONTEXT)
    assert done["rows"]["payment"] == ROWS + 9
    assert {call["FunctionName"] for call in functions.asked} == {"totes-test-reader:live"}
    said = [line for line in json_lines(log.getvalue()) if line["message"] == "readers"]
    assert ["ranges, 2 at a time" in line["what"] for line in said] == [answer is None] * len(said)
    assert said
    assert all(line["level"] == ("INFO" if answer is None else "WARN") for line in said)
    assert (done["batch"] == 1) == (answer is None)


@pytest.mark.parametrize("fails", [False, True])
def test_transform_invokes_its_own_version_for_parts(deployed, readers, log, monkeypatch, fails, tmp_path):
    """Declared workers are invocations of this version; where they fail, transform does it. No key is logged."""
    tables = json.loads((tmp_path / "tables.json").read_text(encoding="utf-8"))
    (tmp_path / "tables.json").write_text(json.dumps({**tables, "part_rows": PART_ROWS}), encoding="utf-8")
    grow(deployed)
    step(deployed, quick(readers))
    context = SimpleNamespace(**vars(CONTEXT), function_version="7")
    asked = []

    def invoke(**call):
        asked.append(call["FunctionName"])
        if fails:
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": io.BytesIO(b"{}")}
        found = transform(json.loads(call["Payload"]), CONTEXT)
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(found).encode())}

    monkeypatch.setattr(shared_invoking, "_client", lambda together: SimpleNamespace(invoke=invoke))
    monkeypatch.setattr(workers, "FanOut", functools.partial(workers.FanOut, pause=0.0))
    monkeypatch.setenv("TRANSFORM_WORKERS", "2")
    done = transform(s3_event("manifests/batch-000000000001.json"), context)
    assert done["rows"]["fact_payment"] == ROWS + 9
    assert set(asked) == {"totes-test-transform:7"}
    lines = json_lines(log.getvalue())
    by_workers = [line["table"] for line in lines if line["message"] == "part transformed"]
    assert by_workers == ([] if fails else ["fact_payment"] * 5)
    assert sum("transformed without a worker" in line["message"] for line in lines) == (5 if fails else 0)
    with pytest.raises(PipelineError, match="`parts`"):
        transform({"action": "part", "batch": 1, "table": "fact_payment", "number": 0}, CONTEXT)
