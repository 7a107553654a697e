"""Who reads the catalog of the source: the function ``access``, else this machine; and why it cannot be read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from lambda_script import AwsError
from lambda_toolkit.pipeline.access import source_catalogs
from lambda_toolkit.pipeline.client.invocation import NotDeployedError
from lambda_toolkit.pipeline.client.sources import catalogs
from lambda_toolkit.pipeline.client.sources import source as looked_at
from lambda_toolkit.pipeline.client.sources.source_review import FirstLoad
from lambda_toolkit.pipeline.client.warehouses import access
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres import connection
from tests.support.repository import REPOSITORY

PIPELINE = load(DEFAULT_PATH)
URL = {"SOURCE_DATABASE_URL": "postgresql://me:s3cret@127.0.0.1/shop"}
FOUND: Any = SimpleNamespace(catalogs={})


def target(*, function: bool = False, secrets: bool = True, environ: Any = None) -> Any:
    functions = {**PIPELINE.functions, **({"access": PIPELINE.functions["load"]} if function else {})}
    pipeline = replace(PIPELINE, functions=functions, secrets=PIPELINE.secrets if secrets else {})
    return SimpleNamespace(pipeline=pipeline, environ=environ or {}, aws=lambda: None)


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ({}, False),
        ({"environ": URL}, True),
        ({"function": True}, True),
        ({"function": True, "secrets": False}, False),
        ({"environ": URL, "secrets": False}, False),
    ],
)
def test_source_is_read_where_something_says_where_it_is(given: dict[str, Any], known: bool) -> None:
    assert catalogs.may_be_read(target(**given)) is known
    if not known:
        assert catalogs.read_catalogs(target(**given), ("public",)) is None


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Answers of the function and of this machine: what is returned, or raised."""
    given = SimpleNamespace(function=FOUND, here=None, asked=[], tried=[])

    def of_function(schemas: Any, tables: Any) -> Any:
        given.asked.append((schemas, tables))
        if isinstance(given.function, Exception):
            raise given.function
        return given.function

    function = SimpleNamespace(function="totes-dev-access", catalogs=of_function)
    monkeypatch.setattr(access, "function_access", lambda of: function if "access" in of.pipeline.functions else None)
    monkeypatch.setattr(catalogs, "_from_here", lambda *of: given.tried.append(of) or given.here)
    return given


@pytest.mark.parametrize(
    ("function", "here", "found"),
    [
        (FOUND, "here", FOUND),
        (NotDeployedError("There is no function."), None, "There is no function."),
        (NotDeployedError("There is no function."), FOUND, FOUND),
        (NotDeployedError("There is no function."), "no answer", "no answer"),
        (CommandError("failed."), FOUND, "failed."),
        (ConnectionFailedError("no way."), FOUND, "no way."),
        (DatabaseError({"M": "denied", "C": "42501"}), FOUND, "denied"),
        (InterfaceError("closed"), FOUND, "closed"),
        (OSError("no route"), FOUND, "no route"),
        (AwsError("no", code="AccessDeniedException"), FOUND, "totes-dev-access may not be invoked"),
    ],
)
def test_function_is_asked_first(answers: Any, function: Any, here: Any, found: Any) -> None:
    answers.function, answers.here = function, here
    of = target(function=True)
    assert catalogs.read_catalogs(of, ("public", "x"), {"a": 1}) == found
    assert answers.asked == [(("public", "x"), {"a": 1})]
    assert answers.tried == [(of, ("public", "x"), {"a": 1})] * isinstance(function, NotDeployedError)


@pytest.mark.parametrize("error", [AwsError("no", code="Throttling"), ZeroDivisionError()])
def test_defect_of_reading_is_raised(answers: Any, error: Exception) -> None:
    answers.function = error
    with pytest.raises(type(error)):
        catalogs.read_catalogs(target(function=True), ("public",))


def test_machine_that_reaches_the_source_reads_it(answers: Any) -> None:
    answers.here = FOUND
    assert catalogs.read_catalogs(target(environ=URL), ("public",)) is FOUND and answers.asked == []
    assert catalogs.read_catalogs(target(function=True, secrets=False), ("public",)) is FOUND


def test_connection_from_here_is_tried_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the authorities that are declared, as a function has them in its package."""
    opened: list[Any] = []

    @contextmanager
    def connected(credentials: Any, *, connect_timeout: float) -> Iterator[str]:
        opened.append((credentials.host, credentials.sslrootcert, credentials.origin, credentials.role))
        assert 0 < connect_timeout < 60
        yield "connection"

    monkeypatch.setattr(connection, "connected", connected)
    monkeypatch.setattr(source_catalogs, "catalogs", lambda *of: of)
    given = target(environ={"SOURCE_DATABASE_URL": "postgresql://me:s3cret@shop.example.com/shop"})
    ca = REPOSITORY / "lambdas" / "shared" / "postgres" / "amazon-roots.pem"
    given.pipeline = replace(PIPELINE, secrets={"source": replace(PIPELINE.secrets["source"], ca=ca)})
    assert catalogs.read_catalogs(given, ("public",), {"a": 1}) == ("connection", ("public",), {"a": 1})
    where = "the environment variable SOURCE_DATABASE_URL"
    assert opened == [("shop.example.com", ca.read_text(encoding="utf-8"), where, "the source")]


def test_source_that_cannot_be_read_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = "no answer."
    monkeypatch.setattr(looked_at, "read_catalogs", lambda *_: found)
    aws: Any = SimpleNamespace(account_id="123456789012")
    assert looked_at.check_source(target(), aws) == looked_at.SourceCheck()
    notes = ("the source was not checked: no answer",)
    assert looked_at.check_source(target(environ=URL), aws) == looked_at.SourceCheck(notes=notes)
    found = None
    assert looked_at.check_source(target(environ=URL), aws) == looked_at.SourceCheck()


def test_last_batch_is_read_where_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    answer: Any = {"tables": {"a": {"columns": {"id": "integer"}}}}
    aws: Any = SimpleNamespace(account_id="123456789012")
    bucket = PIPELINE.bucket_name("ingestion", "123456789012")

    def last(of: Any, name: str) -> Any:
        assert (of, name) == (aws, bucket)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(looked_at, "last_manifest", last)
    assert looked_at._last_columns(target(), aws) == ({"a": {"id": "integer"}}, ())
    answer = None
    assert looked_at._last_columns(target(), aws) == (None, ())
    answer = AwsError("no", code="AccessDenied")
    note = f"the source was not compared with the last batch: s3://{bucket} may not be read"
    assert looked_at._last_columns(target(), aws) == (None, (note,))
    for answer in (AwsError("no", code="Throttling"), ZeroDivisionError()):
        with pytest.raises(type(answer)):
            looked_at._last_columns(target(), aws)
    without: Any = SimpleNamespace(pipeline=replace(PIPELINE, buckets={}))
    assert looked_at._last_columns(without, aws) == (None, ())


@pytest.mark.parametrize(
    ("rows", "unknown", "text"),
    [
        (0, (), "about 0 rows: 1 batch, and about 1 minute of work"),
        (1_000_000, (), "about 1,000,000 rows: 1 batch, and about"),
        (1_000_001, ("a",), "about 1,000,001 rows, and those of a, which were never analyzed: 2 batches, and about"),
        (10**9, ("a", "b"), "and those of a and b, which were never analyzed: 1,000 batches, and about"),
    ],
)
def test_first_load_is_a_sentence(rows: int, unknown: tuple[str, ...], text: str) -> None:
    found = FirstLoad(rows, unknown)
    assert text in str(found)
    assert found.batches == max(1, math.ceil(rows / 1_000_000))
