"""How a warehouse is reached, and what becomes of its texts in Arrow."""

from __future__ import annotations

from dataclasses import replace
from datetime import time
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.access import preparing
from lambda_toolkit.pipeline.access.messages import Column, Prepared, QueryError
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.client.warehouses import query
from lambda_toolkit.pipeline.client.warehouses import reader as readers
from lambda_toolkit.pipeline.client.warehouses import warehouse as preparation
from lambda_toolkit.pipeline.client.warehouses.access import FunctionAccess
from lambda_toolkit.pipeline.client.warehouses.file_reader import FileReader
from lambda_toolkit.pipeline.client.warehouses.query import Warehouse
from lambda_toolkit.pipeline.client.warehouses.reader import WarehouseReader, warehouse_of
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import Credentials
from tests.support.answering_aws import AnsweringAws

PIPELINE = load(DEFAULT_PATH)
URL = "postgresql://me:s3cret@db.example.com:6000/star"


def server(origin: str) -> Credentials:
    return Credentials("db.example.com", 6000, "star", "me", "s3cret", origin=origin, role="the warehouse")


def test_warehouse_at_a_url_is_a_server_or_a_file() -> None:
    assert Warehouse.at(URL).access == WarehouseReader.at(URL) == WarehouseReader(server("the URL"))
    assert Warehouse.at("duckdb:///w.duckdb").access == FileReader(
        Credentials.of_file("/w.duckdb", "the URL", "the warehouse")
    )


def test_warehouse_of_a_pipeline_is_reached_by_its_function() -> None:
    """Unless it has none, or the warehouse is a file, which no function of AWS reaches."""
    environ = {"WAREHOUSE_DATABASE_URL": URL}
    aws: Any = AnsweringAws()
    plain = Target(PIPELINE, environ, is_local=False)
    functions = {**PIPELINE.functions, "access": PIPELINE.functions["load"]}
    given = type("Given", (Target,), {"aws": lambda _: aws})
    asked = given(replace(PIPELINE, functions=functions), environ, is_local=False)
    here = WarehouseReader(server("the environment variable WAREHOUSE_DATABASE_URL"))
    assert Warehouse.of(plain).access == warehouse_of(plain) == here
    function = FunctionAccess(aws, "totes-dev-access", "totes-dev-processed-123456789012")
    assert warehouse_of(asked) == function
    file = replace(asked, pipeline=replace(asked.pipeline, warehouse_file=Path("/w")))
    assert warehouse_of(file) == here, "the variable has the file's URL then"


@pytest.mark.parametrize(
    ("given", "done"),
    [
        ({}, ("own", LIVE, {"alter": False, "later": ""})),
        ({"alter": True}, ("own", LIVE, {"alter": True, "later": ""})),
        ({"source": True}, ("own", LIVE, {"alter": False, "later": "of the source"})),
        ({"source": True, "alter": True}, ("own", LIVE, {"alter": True, "later": ""})),
        ({"warehouse": SchemaNames.shadow("copy")}, ("own", SchemaNames.shadow("copy"), {"alter": False, "later": ""})),
    ],
)
def test_preparation_shows_what_the_source_takes_without_a_run(monkeypatch, given: Any, done: Any) -> None:
    asked: list[Any] = []

    def prepare(pipeline: Any, schema: str, into: Any, **named: Any) -> Prepared:
        asked.append((pipeline, schema, into, named))
        return Prepared(("t",))

    target, source = (SimpleNamespace(pipeline=name) for name in ("own", "of the source"))
    monkeypatch.setattr(preparation, "warehouse_of", lambda of: {id(target): SimpleNamespace(prepare=prepare)}[id(of)])
    monkeypatch.setattr(preparation, "schema_sql", lambda pipeline: pipeline)
    named = {**given, "source": source} if "source" in given else given
    found = preparation.prepare(target, **named)  # type: ignore[arg-type]
    assert found == Prepared(("t",)).to_json() and asked == [("own", *done)]


def test_server_is_prepared_over_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    class Opened:
        def __init__(self, credentials: Any) -> None:
            self.credentials = credentials

        def __enter__(self) -> Any:
            return self.credentials

        def __exit__(self, *_: object) -> None:
            given.append("closed")

    monkeypatch.setattr(readers, "connected", Opened)
    monkeypatch.setattr(preparing, "prepared", lambda *of, **named: given.append((of, named)) or "done")
    reader, pipeline = WarehouseReader(server("x")), SimpleNamespace(tables={"a": 1})
    assert reader.prepare(pipeline, "s", LIVE) == "done"  # type: ignore[arg-type]
    reader.prepare(pipeline, "s", LIVE, alter=True, later="l")  # type: ignore[arg-type]
    of = (server("x"), "s", {"a": 1}, LIVE)
    assert given[::2] == [(of, {"alter": False, "later": ""}), (of, {"alter": True, "later": "l"})]


class Access:
    """Reads one column of texts, or raises; has these tables."""

    def __init__(self, answer: Any, *tables: str) -> None:
        self.answer, self.tables = answer, tables

    def rows(self, statement: str) -> list[list[str]]:
        return [[name] for name in self.tables]

    def table(self, query: str) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def csv(self, query: str, sink: Any) -> None:
        raise self.answer


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        (("dim_staff", "dim_stafff"), "^no way$"),
        (("dim_stafff", "dim_stagg", "x"), r"^The warehouse has no table dim_staff\. Is dim_stafff meant\?$"),
        (("a", "b"), r"^The warehouse has no table dim_staff\. It has: a, b\.$"),
        ((), r"^The warehouse has no table dim_staff\. It has: none\.$"),
    ],
)
def test_unknown_table_is_asked_about_by_its_name(tables: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        Warehouse(Access(QueryError("no way"), *tables)).table("dim_staff")  # type: ignore[arg-type]
    with pytest.raises(CommandError, match="^no way$"):
        Warehouse(Access(QueryError("no way"))).csv("SELECT", len)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        Warehouse(Access(ZeroDivisionError())).table("dim_staff")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "texts", "arrow", "first"),
    [
        ("numeric", ["1.5", "-0.25", None], pa.decimal128(38, 2), Decimal("1.50")),
        ("numeric", ["1", None], pa.decimal128(38, 0), Decimal(1)),
        ("numeric", [None], pa.decimal128(38, 0), None),
        ("numeric", [], pa.decimal128(38, 0), None),
        ("numeric", ["-" + "1" * 36, "0.25"], pa.decimal128(38, 2), Decimal("-" + "1" * 36)),
        ("numeric", ["1" * 37, "0.25"], pa.decimal256(76, 2), Decimal("1" * 37)),
        ("numeric", ["1" * 74, "0.25"], pa.decimal256(76, 2), Decimal("1" * 74)),
        ("numeric", ["1" * 75, "0.25"], pa.string(), "1" * 75),
        ("numeric", ["1", "NaN"], pa.string(), "1"),
        ("numeric", ["Infinity"], pa.string(), "Infinity"),
        ("numeric(5,2)", ["1.50", None], pa.decimal128(5, 2), Decimal("1.50")),
        ("numeric(5,2)", ["NaN"], pa.string(), "NaN"),
        ("time without time zone", ["23:59:59.5", None], pa.time64("us"), time(23, 59, 59, 500_000)),
        ("time without time zone", ["24:00:00"], pa.string(), "24:00:00"),
        ("date", ["infinity"], pa.string(), "infinity"),
        ("integer", ["7"], pa.int32(), 7),
        ("interval", ["1 day"], pa.string(), "1 day"),
    ],
)
def test_text_is_arrows_where_every_value_fits(kind: str, texts: Any, arrow: pa.DataType, first: Any) -> None:
    columns = [Column("same", kind), Column("same", "integer")]
    rows = pa.table({"0": pa.array(texts, pa.string()), "1": pa.array([7] * len(texts), pa.int64())})
    found = Warehouse(Access((columns, rows))).query("SELECT")  # type: ignore[arg-type]
    assert found.column_names == ["same", "same"] and found.num_rows == len(texts)
    assert [column.type for column in found.columns] == [arrow, pa.int64()], "what is no text stays as it is"
    if texts and first is not None:
        assert found.column(0)[0].as_py() == first


def test_defect_of_a_type_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a value that does not fit leaves its column as texts."""

    def broken(kind: str) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(query, "arrow_type", broken)
    answer = ([Column("a", "integer")], pa.table({"0": ["7"]}))
    with pytest.raises(ZeroDivisionError):
        Warehouse(Access(answer)).query("SELECT")  # type: ignore[arg-type]
