"""How large a source is: by the rows that are given, by what the function ``access`` saw, or by a connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.access.messages import Catalogs
from lambda_toolkit.pipeline.client.sources import sizes
from lambda_toolkit.pipeline.client.sources.sizes import SourceSizes, read_sizes, source_sizes
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import Pipeline, ReadSecret
from lambda_toolkit.pipeline.cost.backfill import TableSize
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, Table

PIPELINE = load(DEFAULT_PATH)
URL = {"SOURCE_DATABASE_URL": "postgresql://me:s3cret@db.example.com:6000/shop"}
GIVEN = TableSize("payment", 1000, 80, 108_000, 13)
"""A thousand rows of 80 bytes and 28 more each, on pages of 8 KB."""


@pytest.fixture(autouse=True)
def _declarations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of a source alone, without a warehouse that is made of them."""

    def parse(names: list[str]) -> Any:
        return SimpleNamespace(source={name: SourceTable(name, ("id",)) for name in names})

    monkeypatch.setattr(sizes, "tables_json", lambda pipeline: json.dumps(pipeline.tables["source"]))
    monkeypatch.setattr(sizes.declarations, "parse", parse)


def having(*tables: str, access: bool = False, secrets: bool = True) -> Pipeline:
    """A pipeline that reads ``tables``."""
    functions = {**PIPELINE.functions, **({"access": PIPELINE.functions["load"]} if access else {})}
    declared: Any = {"source": tables}
    return replace(PIPELINE, functions=functions, tables=declared, secrets=PIPELINE.secrets if secrets else {})


def test_rows_that_are_given_need_no_source() -> None:
    found = source_sizes(Target(having("payment"), {}, False), {"payment": 1000})
    note = "the source was not asked: rows as given, columns of 16 bytes"
    assert found == SourceSizes((GIVEN,), None, (note,))


@pytest.mark.parametrize(
    ("secrets", "given", "says"),
    [
        (True, {}, "Nothing says how large the source is. Set the variable that has its URL, SOURCE_DATABASE_URL, or"),
        (False, {}, r"Set the variable that has its URL, of \[secrets\.source\], or"),
        (True, {"staff": 1}, r"--rows names staff, and .* declares no \[source\.staff\]"),
    ],
)
def test_what_is_missing_for_a_plan_is_named(secrets: bool, given: dict[str, int], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        source_sizes(Target(having("payment", secrets=secrets), {}, False), given)
    others = replace(PIPELINE.secrets["source"], environment="", read=ReadSecret("arn"))
    of_others = Target(replace(having("payment"), secrets={"source": others}), {}, False)
    with pytest.raises(CommandError, match=r"its URL, of \[secrets\.source\], or name the rows"):
        source_sizes(of_others, {})


COLUMNS = ("boolean", "smallint", "integer", "real", "date", "bigint", "double precision", "text", "numeric(9,2)")
WIDTH = 1 + 2 + 4 + 4 + 4 + 8 + 8 + 16 + 16
SEEN = {
    "payment": Table("payment", "r", tuple(Column(n, n, n, True) for n in COLUMNS), estimated_rows=1000),
    "staff": Table("staff", "r", (), estimated_rows=None),
    "design": Table("design", "r", (), estimated_rows=0),
}


def seen(monkeypatch: pytest.MonkeyPatch, *tables: str, answer: Any = None) -> Target:
    """The function ``access`` alone reaches the source, which has these tables of SEEN; or it gives ``answer``."""
    catalog = Catalog(tuple(SEEN[name] for name in tables if name in SEEN), {})
    target = Target(having(*tables, access=True), {}, False)

    def read(of: Target, schemas: tuple[str, ...]) -> Any:
        assert (of, schemas) == (target, ("public",))
        return answer or Catalogs({"public": catalog})

    monkeypatch.setattr(sizes, "read_catalogs", read)
    return target


def test_widths_are_those_of_types_where_no_statistics_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    payment = TableSize("payment", 1000, WIDTH, 1000 * (WIDTH + 28), 11)
    types = "the function `access` saw the source: widths of columns are those of their types"
    found = source_sizes(seen(monkeypatch, "payment", "design"), {})
    assert found == SourceSizes((payment, TableSize("design", 0, 0, 0, 0)), None, (types,))
    found = source_sizes(seen(monkeypatch, "staff", "currency", "payment"), {})
    assert (found.tables, found.notes[0], len(found.notes)) == ((payment,), types, 2)
    assert found.notes[1].endswith("which ANALYZE there makes: staff and currency")


def test_given_rows_are_as_wide_as_those_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"payment": 2000, "staff": 1000, "design": 1000}
    found = source_sizes(seen(monkeypatch, "payment", "staff", "design"), given)
    assert found.tables == (
        TableSize("payment", 2000, WIDTH, 2000 * (WIDTH + 28), 22),
        TableSize("design", 1000, 80, 108_000, 13),
        TableSize("staff", 1000, 80, 108_000, 13),
    )
    assert source_sizes(seen(monkeypatch, "staff"), {"staff": 1000}).tables == (replace(GIVEN, name="staff"),)


@pytest.mark.parametrize(
    ("tables", "answer", "says"),
    [
        (("staff",), None, "Nothing says how large the source is: the function `access` saw .* makes: staff. Or use"),
        (("staff",), "no way.", "^The source could not be read: no way"),
    ],
)
def test_source_of_which_nothing_is_known_is_an_error(monkeypatch, tables: Any, answer: Any, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        source_sizes(seen(monkeypatch, *tables, answer=answer), {})


def test_source_with_a_url_is_asked_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    known = SourceSizes((GIVEN,), 5, ("n",))
    opened: list[Any] = []

    @contextmanager
    def connected(credentials: Any, *, connect_timeout: float) -> Iterator[str]:
        opened.append((credentials.host, credentials.port, credentials.origin, credentials.role, connect_timeout))
        yield "connection"

    def read(connection: Any, declared: Any) -> SourceSizes:
        assert (connection, list(declared)) == ("connection", ["payment"])
        return known

    monkeypatch.setattr(sizes.postgres, "connected", connected)
    monkeypatch.setattr(sizes, "read_sizes", read)
    assert source_sizes(Target(having("payment", access=True), URL, False), {}) == known
    [(host, port, origin, role, timeout)] = opened
    where = "the environment variable SOURCE_DATABASE_URL"
    assert (host, port, origin, role, 0 < timeout < 60) == ("db.example.com", 6000, where, "the source", True)


@pytest.mark.parametrize(
    ("standby", "version", "free", "notes"),
    [
        (False, 140_000, 7, []),
        (True, 170_002, 7, ["a standby"]),
        (False, 139_999, 0, ["older than PostgreSQL 14"]),
    ],
)
def test_server_says_what_readers_may_do(monkeypatch, standby: bool, version: int, free: int, notes: list[str]) -> None:
    class Server:
        def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
            return [[1, 10, 8192, 1, 4.0]] if parameters else [[standby, version]]

    monkeypatch.setattr(sizes, "free_connections", lambda connection: 7)
    found = read_sizes(Server(), {"a": SourceTable("a", ("id",))})  # type: ignore[arg-type]
    assert (found.tables, found.free_connections) == ((TableSize("a", 10, 4.0, 8192, 1),), free)
    assert len(found.notes) == len(notes) and all(note in said for note, said in zip(notes, found.notes, strict=True))
