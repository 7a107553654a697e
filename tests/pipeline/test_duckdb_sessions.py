"""A connection to a DuckDB file: its statements, its columns, its one writer, and who waits for whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.shared import database
from lambda_toolkit.pipeline.lambdas.shared.duckdb import connection as files
from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import DuckdbConnection
from lambda_toolkit.pipeline.lambdas.shared.duckdb.dialect import create_json_text
from lambda_toolkit.pipeline.lambdas.shared.duckdb.types import duckdb_type
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import StatementError
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import Credentials


@pytest.fixture
def session(tmp_path: Path) -> Iterator[DuckdbConnection]:
    made = files.connect(str(tmp_path / "shop.duckdb"))
    yield made
    made.close()


def test_statements_have_their_values_and_count_what_they_wrote(session: DuckdbConnection) -> None:
    assert (session.rows("CREATE TABLE public.t (a int, ab text)"), session.row_count) == ([], 0)
    session.run("INSERT INTO public.t VALUES (:a, :ab), (:a + 1, :ab::text || 'y')", a=1, ab="x")
    assert session.row_count == 2
    assert session.rows('SELECT a AS "Count", ab FROM public.t ORDER BY a') == [[1, "x"], [2, "xy"]]
    assert session.row_count == 0, "nothing was written"
    session.run("UPDATE public.t SET a = 7 WHERE a = 2")
    assert session.row_count == 1
    session.run("DELETE FROM public.t WHERE a = 9")
    assert session.row_count == 0
    [[moment]] = session.rows("SELECT clock_timestamp()")
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=1)
    assert session.rows("SELECT current_setting('TimeZone')") == [["UTC"]]
    assert session.rows("SELECT v FROM (VALUES (NULL), (1)) AS t(v) ORDER BY v DESC") == [[None], [1]], "as PostgreSQL"
    with pytest.raises(DatabaseError, match="42P01"):
        session.run("SELECT 1 FROM absent")
    assert (session.server, session.is_duckdb) == (f"the DuckDB file {session.file}", True)
    assert session.driver.execute("SELECT 1").fetchall() == [(1,)]
    session.set_timeout(1.0)


def test_columns_of_a_table_are_known_until_they_are_forgotten(session: DuckdbConnection) -> None:
    session.execute('CREATE SCHEMA "of ""x"; CREATE TABLE "of ""x"."a ""b" (n BIGINT)')
    session.execute("CREATE TABLE main.t (b VARCHAR, a INTEGER); CREATE TEMPORARY TABLE t (c BLOB)")
    assert session.column_types('"public"."t"') == {"b": "VARCHAR", "a": "INTEGER"}
    assert list(session.column_types('"public"."t"')) == ["b", "a"]
    assert session.column_types('"pg_temp"."t"') == {"c": "BLOB"}
    assert session.column_types('"of ""x"."a ""b"') == {"n": "BIGINT"}
    assert session.absent_tables(['"public"."t"', '"public"."u"', '"other"."t"']) == {'"public"."u"', '"other"."t"'}
    session.execute("ALTER TABLE shop.main.t ADD COLUMN d DATE; ALTER TABLE temp.t ADD COLUMN d DATE")
    session.execute("CREATE TABLE main.u (e DATE)")
    assert list(session.column_types('"public"."t"')) == ["b", "a"], "each look takes a query"
    assert list(session.column_types('"pg_temp"."t"')) == ["c", "d"], "a batch makes its own"
    assert session.column_types('"public"."u"') == {"e": "DATE"}, "what was absent is looked up again"
    session.forget_columns()
    assert list(session.column_types('"public"."t"')) == ["b", "a", "d"]
    session.drop_temporary()
    assert session.column_types('"pg_temp"."t"') == {} and session.column_types('"public"."t"')


def test_rows_of_arrow_are_appended_in_the_types_of_the_table(session: DuckdbConnection) -> None:
    session.execute("CREATE TABLE main.t (text VARCHAR, bytes BLOB, price DECIMAL(5,1), id UUID, born DATE)")
    uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    texts = {"bytes": ["\\x00ff", None], "text": ["1", "x"], "id": [uuid, None], "price": ["1.25", "2"]}
    rows = pa.table({**texts, "born": pa.array(["2024-02-29", None]).cast(pa.date32())})
    to, columns = sql.table("t"), ("price", "text", "bytes", "id", "born")
    assert session.append(to, columns, [rows, rows.slice(0, 0), rows.slice(1)]) == 3
    found = session.rows("SELECT text, bytes, price::text, id::text, born::text FROM public.t ORDER BY text")
    assert found == [["1", b"\x00\xff", "1.3", uuid, "2024-02-29"], *[["x", None, "2.0", None, None]] * 2]
    with pytest.raises(DatabaseError, match=r'Could not convert string "\.\.\."'):
        session.append(to, ("price",), [pa.table({"price": ["jane"]})])
    with pytest.raises(DatabaseError, match="42P01"):
        session.rows("SELECT 1 FROM appended_rows")
    assert session.append(to, ("text",), []) == 0


def test_one_connection_of_a_process_loads(session: DuckdbConnection) -> None:
    other = files.connect(str(session.file))
    assert session.try_lock(1) and session.try_lock(1), "its own lock is no other's"
    assert not other.try_lock(1)
    other.unlock_writers()
    assert not other.try_lock(1), "it had no lock"
    session.unlock_writers()
    assert other.try_lock(2) and not session.try_lock(1)
    other.close()
    assert session.try_lock(1, of_transaction=True)


class LockedError(Exception):
    """DuckDB's IOException."""


def driver(*errors: Exception | None) -> tuple[Any, list[Any]]:
    """A package duckdb whose connections fail in this order; and how it was asked."""
    asked: list[Any] = []

    def connect(file: str, *, read_only: bool) -> Any:
        asked.append((file, read_only))
        error = errors[min(len(asked), len(errors)) - 1]
        if error is not None:
            raise error
        return SimpleNamespace(execute=asked.append, close=lambda: None)

    return SimpleNamespace(connect=connect, IOException=LockedError, Error=ValueError), asked


@pytest.mark.parametrize(("read_only", "pause", "tries"), [(True, 0.01, 100), (False, 0.25, 4)])
def test_file_that_is_open_elsewhere_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool, pause: float, tries: int
) -> None:
    file, paused = tmp_path / "shop.duckdb", list[float]()
    file.touch()

    def opened(*errors: Exception | None, wait: float = 1.0) -> list[Any]:
        made, asked = driver(*errors)
        monkeypatch.setattr(files, "_driver", lambda: made)
        paused.clear()
        files.connect(str(file), read_only=read_only, wait=wait, pause=paused.append)
        return asked

    first, *settings = opened(None)
    assert (first, paused, len(settings)) == ((str(file), read_only), [], 2)
    busy = LockedError("Could not set LOCK on file")
    assert len(opened(busy, busy, None)) == 5 and paused == [pause, pause]
    with pytest.raises(ConnectionFailedError, match="Another process has the DuckDB file .* open, and had it for 1 s"):
        opened(busy)
    assert len(paused) == tries - 1
    with pytest.raises(ConnectionFailedError, match="Another process has"):
        opened(busy, wait=0)
    assert paused == []
    for other in (LockedError("no space\nleft"), ValueError("not a database\nfile")):
        with pytest.raises(ConnectionFailedError, match=r"cannot be opened: (no space|not a database)\.$"):
            opened(other)
        assert paused == []


def test_file_that_cannot_be_there_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailedError, match="There is no DuckDB file .*absent.duckdb. `prepare` creates it"):
        files.connect(str(tmp_path / "absent.duckdb"), read_only=True)
    with pytest.raises(ConnectionFailedError, match="there is no folder .*/none"):
        files.connect(str(tmp_path / "none" / "a.duckdb"))
    assert list(tmp_path.iterdir()) == []


def test_block_ends_with_a_closed_file_and_an_own_error(tmp_path: Path) -> None:
    where = Credentials.of_file(str(tmp_path / "shop.duckdb"), "a test", "the warehouse")
    with database.connected(where) as made:
        made.execute("CREATE TABLE t (a INTEGER)")
    with database.connected(where, read_only=True) as reader, pytest.raises(DatabaseError, match="read-only"):
        reader.run("INSERT INTO public.t VALUES (1)")
    says = rf"An error of the warehouse in the DuckDB file {tmp_path}.*absent"
    with pytest.raises(StatementError, match=says), database.connected(where) as made:
        made.run("SELECT 1 FROM absent")
    with pytest.raises(StatementError, match="^own$"), database.connected(where):
        raise StatementError("own")
    with pytest.raises(Exception, match="closed"):
        made.driver.execute("SELECT 1")


def test_text_of_json_is_escaped_as_postgresql_does(session: DuckdbConnection) -> None:
    session.execute("CREATE SCHEMA pipeline")
    session.execute(create_json_text())
    texts = [*map(chr, range(1, 128)), "é", "", 'a\\"\n\x1f', "null"]
    session.driver.register("given", pa.table({"n": range(len(texts)), "t": texts}))
    found = session.rows('SELECT "pipeline".json_text(t) FROM given ORDER BY n')
    assert [text for (text,) in found] == [json.dumps(text, ensure_ascii=False) for text in texts]
    assert session.rows('SELECT "pipeline".json_text(NULL)') == [["null"]]


@pytest.mark.parametrize(
    ("postgres", "found"),
    [
        *(("smallint", "SMALLINT"), ("integer", "INTEGER"), ("bigint", "BIGINT"), ("real", "FLOAT")),
        *(("double precision", "DOUBLE"), ("boolean", "BOOLEAN"), ("date", "DATE"), ("uuid", "UUID"), ("json", "JSON")),
        *(("timestamp(3) without time zone", "TIMESTAMP"), ("time without time zone", "TIME"), ("jsonb", "JSON")),
        *(("timestamp with time zone", "TIMESTAMP WITH TIME ZONE"), ("bytea", "BLOB"), ("text", "VARCHAR")),
        *(("numeric(38,38)", "DECIMAL(38,38)"), ("numeric(5)", "DECIMAL(5,0)"), ("numeric(1,0)", "DECIMAL(1,0)")),
        *(("numeric(39,0)", "VARCHAR"), ("numeric(3,-1)", "VARCHAR"), ("numeric(2,3)", "VARCHAR")),
        *(("numeric", "VARCHAR"), ("interval", "VARCHAR"), ("integer[]", "VARCHAR"), ("mood", "VARCHAR")),
    ],
)
def test_type_of_a_column_in_a_file(postgres: str, found: str) -> None:
    assert duckdb_type(postgres) == found
