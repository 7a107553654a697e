"""What the function ``access`` makes of a request, with the databases and S3 replaced."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.access import answers, handler, packing, preparing, statements
from lambda_toolkit.pipeline.access.messages import Column
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import DuckdbConnection
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError

KEY = f"answers/{'0' * 32}"


class S3:
    """Keeps the names of its calls, with the keys."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**of: Any) -> dict[str, str]:
            self.asked.append((operation, of["Bucket"], of["Key"][:8]))
            return {"UploadId": "u", "ETag": "e"}

        return call


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> S3:
    found = S3()
    monkeypatch.setattr(handler.runtime, "client", lambda name: {"s3": found}[name])
    monkeypatch.setattr(handler, "remove_forgotten", lambda of, *at: found.asked.append((of is found, *at[:2])))
    monkeypatch.setattr(handler, "credentials_of", lambda name: f"those of {name}")
    monkeypatch.setenv("PROCESSED_BUCKET", "processed")
    return found


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """How the warehouse is opened; its queries have two rows."""
    opened: list[Any] = []

    @contextmanager
    def connected(*of: Any) -> Iterator[str]:
        opened.append(of)
        yield "connection"

    monkeypatch.setattr(statements, "reading", connected)
    monkeypatch.setattr(statements, "rows", lambda *of: [[1], list(of)])
    return opened


def call(event: dict[str, Any], left: float = 900) -> dict[str, Any]:
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: left * 1000)
    return dict(handler.lambda_handler(event, context))


@pytest.mark.parametrize(("left", "seconds"), [(300, 280), (560, 540), (900, 540)])
def test_query_ends_before_lambda_ends_it(s3: S3, reading: list[Any], left: float, seconds: float) -> None:
    """20 seconds before, so that the error is PostgreSQL's; and after nine minutes at most."""
    answer = call({"action": "rows", "query": "SELECT 1", "parameters": {"a": 2}}, left)
    found = packing.decompressed(base64.b64decode(answer["content"]), "it")
    assert found == [[1], ["connection", "SELECT 1", {"json": {"a": 2}}]]
    assert (reading, s3.asked) == ([("those of warehouse", seconds)], [])


def test_answers_are_removed_once_they_were_read(s3: S3, reading: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was read by a request, and each that no command read with the next large one."""
    call({"action": "discard", "key": KEY})
    assert s3.asked == [("delete_object", "processed", "answers/")]
    monkeypatch.setattr(answers, "INLINE", 1)
    answer = call({"action": "rows", "query": "large"})
    assert (answer["content"], str(answer["key"])[:8]) == (None, "answers/")
    assert [operation for operation, *_ in s3.asked[1:-1]] == [
        *("create_multipart_upload", "upload_part", "complete_multipart_upload"),
    ]
    assert s3.asked[-1] == (True, "processed", "answers/")
    monkeypatch.delenv("PROCESSED_BUCKET")
    s3.asked.clear()
    call({"action": "discard", "key": KEY})
    assert s3.asked == []


def test_answer_that_is_interrupted_leaves_nothing(s3: S3, reading: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends it: an upload that is not completed costs something."""

    def interrupted(connection: str, query: str, sink: Any) -> None:
        sink(bytes(range(256)) * 10)
        raise KeyboardInterrupt

    monkeypatch.setattr(answers, "INLINE", 1)
    monkeypatch.setattr(statements, "csv", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call({"action": "csv", "query": "SELECT 1"})
    assert [operation for operation, *_ in s3.asked] == ["create_multipart_upload", "abort_multipart_upload"]


DECLARED = {"schema": "CREATE TABLE a ()", "later": "", "tables": {}}


@pytest.mark.parametrize(
    ("declaration", "given", "says"),
    [
        (DECLARED, {}, (LIVE, False)),
        (DECLARED, {"into": "check", "alter": True}, (SchemaNames.shadow("check"), True)),
        (DECLARED, {"into": "pg_x"}, "The event's `into` cannot be 'pg_x'"),
        *((DECLARED | {name: 1}, {}, "must have the texts `schema` and `later`, and `tables`") for name in DECLARED),
    ],
)
def test_preparation_needs_its_three_parts(s3, monkeypatch, declaration, given, says) -> None:
    asked: list[Any] = []

    @contextmanager
    def connected(of: str) -> Iterator[str]:
        yield f"connection by {of}"

    def prepared(*of: Any, alter: bool, later: str) -> Any:
        asked.append((*of, alter, later))
        return SimpleNamespace(to_json=lambda: {"created": ["a"]})

    monkeypatch.setattr(handler.database, "connected", connected)
    monkeypatch.setattr(preparing, "prepared", prepared)
    event = {"action": "prepare", "declaration": packing.pack(declaration), **given}
    if isinstance(says, str):
        with pytest.raises(PipelineError, match=says):
            call(event)
        assert asked == []
    else:
        call(event)
        assert asked == [("connection by those of warehouse", DECLARED["schema"], {}, *says, "")]


# ------------------------------------------------------------------------------------- what both ways do by connections


@pytest.mark.parametrize(
    ("seconds", "is_duckdb", "limit"),
    [(None, False, None), (30.5, False, "30500"), (0.2, False, "1000"), (-3, False, "1000"), (30, True, None)],
)
def test_statement_has_a_second_at_least(monkeypatch, seconds, is_duckdb, limit) -> None:
    ran: list[Any] = []

    @contextmanager
    def connected(of: str, *, read_only: bool) -> Iterator[Any]:
        assert (of, read_only) == ("those", True)
        yield SimpleNamespace(run=lambda text, **values: ran.append(values or text), is_duckdb=is_duckdb)

    monkeypatch.setattr(statements, "connected", connected)
    with statements.reading("those", seconds):  # type: ignore[arg-type]
        pass
    timeout = [] if limit is None else [{"milliseconds": limit}]
    assert ran == ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", *timeout, "COMMIT"]


def test_query_is_a_part_of_a_statement() -> None:
    """What ends it is no part of it; a comment at its end ends with its line."""
    connection: Any = SimpleNamespace(rows=lambda text, **values: [str(text), values])
    found = statements.rows(connection, " SELECT :a -- last;\n ; ", {"a": 1})
    assert found == ["SELECT * FROM (\nSELECT :a -- last;\n) AS query", {"a": 1}]


def test_columns_of_equal_names_are_fields_by_number() -> None:
    kinds = ("smallint", "integer", "bigint", "real", "double precision", "boolean", "date", "numeric(5,2)", "text")
    found = statements.schema([Column("a", kind) for kind in kinds])
    assert found.names == [str(number) for number in range(len(kinds))]
    of_arrow = ("int16", "int32", "int64", "float", "double", "bool", "string", "string", "string")
    assert tuple(map(str, found.types)) == of_arrow


@pytest.mark.parametrize("of_duckdb", [True, False])
@pytest.mark.parametrize("alter", [True, False])
def test_what_was_refused_is_no_second_difference(monkeypatch, of_duckdb: bool, alter: bool) -> None:
    """And alterations of a later schema are named with the others, once, unless they are made."""
    connection: Any = object.__new__(DuckdbConnection) if of_duckdb else SimpleNamespace()
    done = SimpleNamespace(
        created=["a"], replaced=["b"], altered=["c"], alterations=["d", "e"], refused=["x lacks y: z"]
    )
    module: Any = preparing.duckdb_preparation if of_duckdb else preparing
    known = (connection, "schema", "declared", LIVE)
    monkeypatch.setattr(preparing.declarations, "parse", lambda tables, _: {"tables": "declared"}[tables])
    monkeypatch.setattr(
        module, "prepare", lambda *of, **named: done if (of, named) == (known, {"alter": alter}) else None
    )
    monkeypatch.setattr(module, "differences", lambda *of: ["x lacks y", "w lacks v"] if of == known else None)
    monkeypatch.setattr(preparing, "statements", lambda text: (text,))
    shown = [SimpleNamespace(shown=text) for text in ("e", "f")]
    monkeypatch.setattr(module, "alterations", lambda of, wanted, into: shown if wanted == ("later",) else [])
    found = preparing.prepared(connection, "schema", "tables", LIVE, alter=alter, later="later")  # type: ignore[arg-type]
    assert found.differences == ("x lacks y: z", "w lacks v")
    assert (found.created, found.replaced, found.altered) == (("a",), ("b",), ("c",))
    assert found.alterations == (("d", "e") if alter else ("d", "e", "f"))
    none = preparing.prepared(connection, "schema", "tables", LIVE, alter=alter)  # type: ignore[arg-type]
    assert none.alterations == ("d", "e")
