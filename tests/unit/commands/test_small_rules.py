"""Rules of a few lines that commands follow: which events may be repeated, which files are scripts, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.client import scripts
from lambda_toolkit.pipeline.client.observing import failed_events
from lambda_toolkit.pipeline.client.observing.log_lines import parse
from lambda_toolkit.pipeline.client.target import refuse_file
from lambda_toolkit.pipeline.commands import rejected
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.shared.messages.events import OpenItem, RejectedResult
from lambda_toolkit.pipeline.warehouse import column_types, duckdb_preparation, preparation, verification
from tests.support.sample_star import DECLARED

PIPELINE = load(DEFAULT_PATH)


# -------------------------------------------------------------------------------------------------------- failed events


@pytest.mark.parametrize(
    ("event", "known"),
    [
        ({"action": "sweep"}, True),
        ({"action": 3}, False),
        ({"source": "aws.events"}, True),
        ({"source": "aws.scheduler"}, True),
        ({"source": "aws.s3"}, False),
        ({"Records": [{"eventSource": "aws:s3"}]}, True),
        ({"Records": [{"EventSource": "aws:sns"}, {"eventSource": "aws:s3"}]}, True),
        ({"Records": [{"eventSource": "aws:sqs"}]}, False),
        ({"Records": [{"eventSource": "aws:s3"}, {"eventSource": "aws:sqs"}]}, False),
        ({"Records": [{"eventSource": "aws:s3"}, "text"]}, False),
        ({"Records": []}, False),
        ({"Records": {"eventSource": "aws:s3"}}, False),
        ({"Records": 3}, False),
        ({}, False),
    ],
)
def test_event_is_known_by_its_source(event: dict[str, Any], known: bool) -> None:
    assert failed_events._is_known(event) is known
    reason = failed_events.refusal(PIPELINE, "totes-dev-load", {"requestPayload": event})
    assert reason == (None if known else "the event is none of those that load takes")


def test_record_of_another_function_is_refused() -> None:
    event = {"requestPayload": {"action": "sweep"}}
    assert failed_events.refusal(PIPELINE, "load", event) == "this pipeline has no such function"
    for document in ({}, {"requestPayload": None}, {"requestPayload": "text"}):
        assert failed_events.refusal(PIPELINE, "totes-dev-load", document) == "the record has no event"


def test_firings_of_a_schedule_are_one_event() -> None:
    fired = {"source": "aws.events", "id": "1", "time": "10:00", "resources": ["r"]}
    again = {**fired, "id": "2", "time": "10:05"}
    same = failed_events._identity(fired)
    assert same == failed_events._identity(again) == failed_events._identity(dict(reversed(fired.items())))
    assert same != failed_events._identity({**fired, "resources": ["other"]})
    called = {"action": "replay", "id": "1", "time": "10:00"}
    assert len({failed_events._identity({**called, "id": name}) for name in "12"}) == 2


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"responsePayload": {"errorType": "E", "errorMessage": "two\n words"}}, "E: two words"),
        ({"responsePayload": {"errorMessage": "m"}, "requestContext": {"condition": "c"}}, "m"),
        ({"responsePayload": {"errorType": "E", "errorMessage": ""}}, "E"),
        ({"responsePayload": {}, "requestContext": {"condition": "RetriesExhausted"}}, "RetriesExhausted"),
        ({"responsePayload": "text", "requestContext": "text"}, "not known"),
        ({"requestContext": {"condition": None}}, "not known"),
        ({"responsePayload": {"errorMessage": "x" * 200}}, "x" * 200),
        ({"responsePayload": {"errorMessage": "x" * 201}}, "x" * 199 + "…"),
    ],
)
def test_reason_of_a_failure_is_one_line(document: dict[str, Any], reason: str) -> None:
    assert failed_events._reason(document) == reason


# ------------------------------------------------------------------------------------------------------------ log lines


def test_fields_that_each_line_has_are_not_shown() -> None:
    context = {
        "level": "INFO",
        "log_level": "INFO",
        "message": "m",
        "timestamp": "t",
        "time": "t",
        "location": "l",
        "service": "s",
        "logger": "l",
        "type": "app",
        "record": 1,
        "cold_start": True,
        "function_name": "f",
        "function_memory_size": 1,
        "function_arn": "a",
        "function_request_id": "r",
        "request_id": "r",
        "requestId": "r",
        "sampling_rate": 0,
        "xray_trace_id": "x",
        "batch": 7,
    }
    assert str(parse(json.dumps(context))) == "INFO    m  batch=7"
    assert str(parse('{"message": "m", "FunctionName": "f", "_aws": 3}')) == "        m  FunctionName=f _aws=3"


@pytest.mark.parametrize(
    ("entry", "level", "runtime"),
    [
        ({"type": "platform.report", "record": {"status": "error"}}, "ERROR", False),
        ({"type": "platform.report", "record": {"status": "failure"}}, "ERROR", False),
        ({"type": "platform.report", "record": "text"}, "INFO", True),
        ({"type": "platform.report"}, "", False),
        ({"type": "other", "record": {"status": "error"}}, "", False),
    ],
)
def test_lines_of_the_platform_are_its_own(entry: dict[str, Any], level: str, runtime: bool) -> None:
    line = parse(json.dumps(entry))
    assert (line.level, line.is_runtime) == (level, runtime)


def test_values_are_written_so_that_they_differ() -> None:
    entry = {"message": "m", "a": "", "b": [], "c": {}, "d": None, "e": 0, "f": False, "g": "x y", "h": "é", "i": [1]}
    assert str(parse(json.dumps({**entry, "j": "é x"}))) == '        m  e=0 f=false g="x y" h=é i=[1] j="é x"'


# ----------------------------------------------------------------------------------------------------- scripts and more


def test_source_of_a_function_has_its_package_in_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    monkeypatch.chdir(tmp_path)
    handler = tmp_path / "shop.py"
    handler.write_text("def lambda_handler(event, context):\n    return {}\n", encoding="utf-8")
    [script] = scripts.scripts_of(Path("shop.py"))
    assert script.spec.source.name == "shop.py" and script.spec.zip_path == Path("build/shop.zip")
    for missing, words in ((Path("none.py"), "There is no file none.py"), (handler, "takes no arguments: a b")):
        with pytest.raises(UsageError, match=words):
            scripts.scripts_of(missing, ["a", "b"])
    beside = tmp_path / "several.py"
    beside.write_text(
        "import sys\nfrom lambda_script import Lambda_script\n"
        "for name in sys.argv[1:]:\n    Lambda_script('shop.py', function_name_template=name).deploy()\n",
        encoding="utf-8",
    )
    assert [each.spec.name for each in scripts.scripts_of(beside, ["one", "two"])] == ["one", "two"]
    (tmp_path / "folder").mkdir()
    handler.rename(tmp_path / "folder" / "lambda_function.py")
    [script] = scripts.scripts_of(Path("folder"))
    assert script.spec.source.name == "folder" and script.spec.zip_path == Path("build/folder.zip")
    assert [scripts.is_file(name) for name in ("a.py", "./a", "a/b", "load")] == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "declares"),
    [
        ("import lambda_script", True),
        ("from lambda_script import Lambda_script", True),
        ("def f():\n    import lambda_script", True),
        ("import json, lambda_scripts", False),
        ("from lambda_script_x import a", False),
        ("from . import lambda_script", False),
        ("broken(", False),
        ("", False),
    ],
)
def test_script_is_what_imports_lambda_script(tmp_path: Path, text: str, declares: bool) -> None:
    path = tmp_path / "a.py"
    path.write_text(text, encoding="utf-8")
    assert scripts._declares(path) is declares


@pytest.mark.parametrize(
    ("url", "declared", "local", "refused"),
    [
        ("postgresql://h/d", None, False, None),
        (None, None, False, None),
        ("duckdb:///w.duckdb", None, False, "WAREHOUSE_DATABASE_URL names a DuckDB file"),
        ("duckdb:///w.duckdb", None, True, None),
        ("postgresql://h/d", Path("w.duckdb"), False, r"\[warehouse\] declares a DuckDB file"),
        (None, Path("w.duckdb"), True, None),
    ],
)
def test_warehouse_in_a_file_is_of_this_machine_alone(url, declared, local, refused) -> None:
    environ = {} if url is None else {"WAREHOUSE_DATABASE_URL": url}
    pipeline = SimpleNamespace(secrets=PIPELINE.secrets, warehouse_file=declared, path=Path("p.toml"))
    target: Any = SimpleNamespace(pipeline=pipeline, environ=environ, is_local=local)
    if refused is None:
        refuse_file(target)
    else:
        with pytest.raises(CommandError, match=f"^p.toml: {refused}"):
            refuse_file(target)
    without = SimpleNamespace(secrets={}, warehouse_file=None)
    nothing: Any = SimpleNamespace(pipeline=without, environ={}, is_local=False)
    refuse_file(nothing)


def test_rejected_rows_are_those_of_load_and_of_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = SimpleNamespace(account_id="123456789012")
    target: Any = SimpleNamespace(aws=lambda: aws, pipeline=PIPELINE)
    asked: list[Any] = []

    def called(*of: Any) -> RejectedResult:
        asked.append(of[:2])
        return result

    def after(*of: Any) -> list[Any]:
        asked.append(of)
        return [SimpleNamespace(number=8), SimpleNamespace(number=9)]

    monkeypatch.setattr(rejected, "call", called)
    monkeypatch.setattr(rejected, "batches_after", after)
    bucket = PIPELINE.bucket_name("ingestion", "123456789012")
    for result, last in ((RejectedResult(last_batch=7), 7), (RejectedResult(), 0)):
        asked.clear()
        assert rejected.rejected(target) == {**result.to_json(), "not_loaded": [8, 9]}
        assert asked == [(aws, "totes-dev-load"), (aws, bucket, last)]


def test_value_of_an_open_row_is_cut_at_sixty() -> None:
    item = OpenItem(1, "t", "k", "c", "x" * 60, "why")
    assert rejected._cells(item) == ["1", "t", "k", "c", "x" * 60, "why"]
    assert rejected._cells(OpenItem(1, "t", "k", "c", "x" * 61, "why"))[4] == f"{'x' * 60}…"
    assert rejected._cells(OpenItem(1, "t", "k", "c", None, "why"))[4] == "NULL"


@pytest.mark.parametrize("name", ["parse", "tables"])
def test_defect_of_reading_a_schema_is_no_mistake_of_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An error that no declaration has is not dressed as one."""
    monkeypatch.setattr(column_types, "parse", lambda *_: None)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(column_types, name, broken)
    with pytest.raises(ZeroDivisionError):
        column_types.with_types({}, "", "warehouse.sql")


@pytest.mark.parametrize("does", [preparation.prepare, duckdb_preparation.prepare, verification.differences])
def test_defect_of_preparing_a_warehouse_is_no_refusal(does: Any) -> None:
    def run(statement: Any, *_: Any, **__: Any) -> None:
        if str(statement) not in ("BEGIN", "ROLLBACK"):
            raise ZeroDivisionError

    session = SimpleNamespace(run=run, rows=run, execute=run, column_types=run)
    with pytest.raises(ZeroDivisionError):
        does(session, "CREATE TABLE t (a int)", DECLARED)


def test_defect_of_replacing_a_view_drops_none(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def run(statement: Any) -> None:
        said.append(str(statement).partition(" ")[0])
        if said[-1] == "CREATE":
            raise ZeroDivisionError

    table = DECLARED.warehouse["dim_product"]
    session: Any = SimpleNamespace(run=run)
    for name, found in {
        "columns_of": table.column_names,
        "exists": True,
        "is_view": True,
        "difference": "other",
    }.items():
        monkeypatch.setattr(preparation, name, lambda *_, found=found: found)
    done = preparation.Prepared()
    with pytest.raises(ZeroDivisionError):
        preparation._prepare_views(session, LIVE, table, done)
    assert (said, done) == (["SAVEPOINT", "CREATE"], preparation.Prepared())
