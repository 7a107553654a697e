"""What commands ask the function ``access``, and what its answers, its objects and its errors become here."""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_script import AwsError
from lambda_toolkit.aws.error_messages import FunctionFailure
from lambda_toolkit.pipeline.access import packing
from lambda_toolkit.pipeline.access.messages import Catalogs, Column, Prepared, QueryError
from lambda_toolkit.pipeline.client.invocation import Invocation
from lambda_toolkit.pipeline.client.warehouses import access
from lambda_toolkit.pipeline.client.warehouses.access import AccessError, FunctionAccess, function_access
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError, DeclarationError, PipelineError
from lambda_toolkit.pipeline.lambdas.shared.messages.message import Message
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import ConnectionLostError, StatementError
from tests.support.answering_aws import AnsweringAws

PIPELINE = load(DEFAULT_PATH)
KEY = f"answers/{'0' * 32}"


class Slowly(io.BytesIO):
    """Gives one byte at a time, as a network may: most of them make no text of what is compressed."""

    def read(self, size: int | None = None) -> bytes:
        return super().read(1 if size else size)


class Function:
    """The function: its answers in turn; keeps the events that it is given, and the objects of S3 that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[Any] = []
        self.events: list[Any] = []
        self.body = io.BytesIO()
        self.aws: Any = AnsweringAws(get_object=lambda **_: {"Body": self.body})
        self.access = FunctionAccess(self.aws, "f", "bucket")
        monkeypatch.setattr(access, "invoke", self.invoke)

    def invoke(self, aws: Any, function: str, event: Any) -> Invocation:
        assert (aws, function) == (self.aws, "f")
        self.events.append(event)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Invocation) else Invocation(answer, None, "")

    def says(self, content: bytes, **more: Any) -> None:
        self.answers = [{"content": base64.b64encode(content).decode(), **more}]


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Function:
    return Function(monkeypatch)


CATALOGS = Catalogs({}, {"a": {"b": "text"}}, ("k",))
PREPARED = Prepared(("table t",), differences=("d",))
MIRROR = SchemaNames.shadow("copy")


@pytest.mark.parametrize(
    ("ask", "event", "packed", "answer", "found"),
    [
        (
            lambda of: of.rows("SELECT :a", a=1),
            *({"action": "rows", "query": "SELECT :a", "parameters": {"a": 1}}, {}, [[1, {"numeric": "2"}]], [[1, 2]]),
        ),
        (
            lambda of: of.prepare(PIPELINE, "s", LIVE),
            *({"action": "prepare"}, {"declaration": {"schema": "s", "later": "", "tables": PIPELINE.tables}}),
            *(PREPARED, PREPARED),
        ),
        (
            lambda of: of.prepare(PIPELINE, "s", MIRROR, alter=True, later="l"),
            {"action": "prepare", "into": "copy", "alter": True},
            {"declaration": {"schema": "s", "later": "l", "tables": PIPELINE.tables}},
            *(PREPARED, PREPARED),
        ),
        (
            lambda of: of.catalogs(["public", "x"]),
            *({"action": "catalog", "schemas": ["public", "x"]}, {}, CATALOGS, CATALOGS),
        ),
        (
            lambda of: of.catalogs(["public"], {}),
            *({"action": "catalog", "schemas": ["public"]}, {"tables": {}}, CATALOGS, CATALOGS),
        ),
    ],
)
def test_event_has_what_is_asked_for(function: Function, ask: Any, event: Any, packed: Any, answer: Any, found: Any):
    function.says(packing.compressed(answer.to_json() if isinstance(answer, Message) else answer))
    assert ask(function.access) == found
    [sent] = function.events
    assert {name: packing.unpack(sent.pop(name), name) for name in packed} == packed
    assert {name: value for name, value in sent.items() if value not in (None, False)} == event


def test_rows_of_arrow_have_the_columns_of_the_query(function: Function) -> None:
    import pyarrow as pa

    table, buffer = pa.table({"0": [1, 2]}), io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table)
    function.says(buffer.getvalue(), columns=[{"name": "n", "type": "integer"}])
    assert function.access.table("SELECT 1") == ([Column("n", "integer")], table)
    assert function.events == [{"action": "table", "query": "SELECT 1"}]


def test_large_answer_is_read_closed_and_removed(function: Function) -> None:
    """Whether it can be removed or not, and whether it can be read or not: the next large answer removes it."""
    content = gzip.compress(b"a,b\n1,2\n")
    for last in ({}, AwsError("no", code="AccessDenied"), None):
        function.answers, function.body = [{"key": KEY}, last], Slowly(content)
        pieces: list[bytes] = []
        function.access.csv("SELECT 1", pieces.append)
        assert b"".join(pieces) == b"a,b\n1,2\n" and all(pieces) and function.body.closed
        assert function.events[-2:] == [{"action": "csv", "query": "SELECT 1"}, {"action": "discard", "key": KEY}]
    assert function.aws.asked == [("s3", "get_object", {"Bucket": "bucket", "Key": KEY})] * 3
    function.answers, function.aws.answers["get_object"] = [{"key": KEY}, {}], AwsError("no", code="AccessDenied")
    with pytest.raises(AwsError):
        function.access.rows("SELECT 1")
    assert function.events[-1] == {"action": "discard", "key": KEY}


@pytest.mark.parametrize("content", [gzip.compress(b"a,b\n1,2\n", mtime=0)[:-1], gzip.compress(b"", mtime=0)[:5], b""])
def test_csv_that_ends_too_early_is_an_error(function: Function, content: bytes) -> None:
    function.says(content)
    function.answers.append({})
    for _ in range(2):
        with pytest.raises(CommandError, match="f: the answer ended too early"):
            function.access.csv("SELECT 1", len)


def test_event_has_as_many_bytes_as_lambda_takes(function: Function) -> None:
    """Lambda takes 6 MB: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
    function.says(gzip.compress(b""))
    most = 6_000_000 - len('{"action": "csv", "query": ""}')
    function.access.csv("x" * most, len)
    with pytest.raises(CommandError, match="has 6,000,001 bytes, and Lambda takes 6,000,000 at most"):
        function.access.csv("x" * (most + 1), len)
    assert len(function.events) == 1


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        *((each.__name__, each) for each in (QueryError, StatementError, ConnectionLostError, DeclarationError)),
        ("ConnectionFailedError", ConnectionFailedError),
        ("PipelineError", PipelineError),
    ],
)
def test_error_of_the_function_is_raised_as_if_it_ran_here(function: Function, error: str, raised: type) -> None:
    function.answers = [Invocation(None, f"no. ({error})", "", FunctionFailure(error, f"no. ({error})", "no."))]
    with pytest.raises(PipelineError) as caught:
        function.access.rows("SELECT 1")
    assert (type(caught.value), str(caught.value)) == (raised, "no.")


@pytest.mark.parametrize(
    ("answer", "raised", "says"),
    [
        (Invocation(None, "no (X)", "", FunctionFailure("X", "no (X)", "no")), AccessError, "f failed: no (X)"),
        (Invocation(None, "no (Hint)", "", FunctionFailure("Hint", "no (Hint)", "no")), AccessError, "f failed: no (H"),
        (Invocation(None, "no", "", FunctionFailure("Error", "no", "no")), AccessError, "no"),
        ([1], CommandError, "f returned list. Was it deployed from here?"),
        (None, CommandError, "f returned NoneType. Was it deployed from here?"),
        ({"content": 1}, PipelineError, "The result of f"),
    ],
)
def test_answer_of_another_form_is_an_error(function: Function, answer: Any, raised: type, says: str) -> None:
    function.answers = [answer]
    with pytest.raises(raised) as caught:
        function.access.rows("SELECT 1")
    assert str(caught.value).startswith(says)


def test_broken_answer_is_named(function: Function) -> None:
    for content in (packing.compressed([])[:-1], b""):
        function.says(content)
        with pytest.raises(PipelineError, match="The answer of f is not a packed document"):
            function.access.rows("SELECT 1")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda of: of, None),
        (lambda of: _with_access(of), ("totes-dev-access", "totes-dev-processed-123456789012")),
        (lambda of: replace(_with_access(of), buckets={}), ("totes-dev-access", None)),
    ],
)
def test_function_is_asked_where_it_is_declared(change: Callable[[Any], Any], found: Any) -> None:
    aws: Any = AnsweringAws()
    target: Any = SimpleNamespace(pipeline=change(PIPELINE), aws=lambda: aws)
    assert function_access(target) == (found and FunctionAccess(aws, *found))


def _with_access(pipeline: Any) -> Any:
    return replace(pipeline, functions={**pipeline.functions, "access": pipeline.functions["load"]})
