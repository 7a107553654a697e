"""A warehouse in a DuckDB file as commands read it: each type in Arrow, names in CSV, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.access import preparing
from lambda_toolkit.pipeline.access.messages import Column, QueryError
from lambda_toolkit.pipeline.client.warehouses import file_reader
from lambda_toolkit.pipeline.client.warehouses.file_reader import FileReader
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.shared.duckdb import connection as files
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import StatementError
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import Credentials


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> FileReader:
    path = tmp_path_factory.mktemp("warehouse") / "w.duckdb"
    made = files.connect(str(path))
    made.execute("CREATE TABLE main.t (a INTEGER, b VARCHAR); INSERT INTO main.t VALUES (1, 'x'), (2, NULL)")
    made.close()
    return FileReader(Credentials.of_file(str(path), "a test", "the warehouse"))


TYPES = {
    "true": "bool",
    "CAST(1 AS TINYINT)": "int8",
    "CAST(1 AS SMALLINT)": "int16",
    "CAST(1 AS INTEGER)": "int32",
    "CAST(1 AS BIGINT)": "int64",
    "CAST(1 AS HUGEINT)": "decimal128(38, 0)",
    "CAST(1 AS DECIMAL(5, 2))": "decimal128(5, 2)",
    "CAST(1 AS FLOAT)": "float",
    "CAST(1 AS DOUBLE)": "double",
    "DATE '2024-02-29'": "date32[day]",
    "TIME '01:02:03'": "time64[us]",
    "CAST('x' AS BLOB)": "binary",
    "TIMESTAMP '2024-02-29 01:02:03'": "timestamp[us]",
    "CAST('2024-02-29 01:02:03+00' AS TIMESTAMP WITH TIME ZONE)": "timestamp[us, tz=UTC]",
    "CAST('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AS UUID)": "string",
    "INTERVAL '1 day'": "string",
    "[1, 2]": "string",
}
"""Values, and the types of Arrow that they have."""


def test_type_that_arrow_has_is_arrows(reader: FileReader) -> None:
    columns, found = reader.table(f'SELECT {", ".join(TYPES)}, 1 AS n, 2 AS "A name", NULL AS n')
    kinds = [str(of.type) for of in found.schema]
    assert dict(zip(TYPES, kinds, strict=False)) == TYPES and kinds[len(TYPES) :][:2] == ["int32"] * 2
    assert found.column_names == [str(number) for number in range(len(TYPES) + 3)] and found.num_rows == 1
    assert [column.name for column in columns][-3:-1] == ["n", "A name"]
    assert {column.type for column in columns} == {"text"} and all(isinstance(each, Column) for each in columns)


@pytest.mark.parametrize("end", ["", ";", " ; ", "\n-- the end", " -- the end;\n"])
def test_query_may_end_as_people_write_it(reader: FileReader, end: str) -> None:
    query = f"\n SELECT b, a FROM t WHERE a >= :least ORDER BY a{end}"
    assert reader.rows(query, least=1) == [["x", 1], [None, 2]]
    plain = query.replace(":least", "1")
    assert reader.table(plain)[1].to_pylist() == [{"0": "x", "1": 1}, {"0": None, "1": 2}]
    written: list[bytes] = []
    reader.csv(plain, written.append)
    assert b"".join(written) == b'b,a\n"x","1"\n,"2"\n' and len(written) > 1


def test_names_of_columns_are_quoted_where_csv_needs_it(reader: FileReader) -> None:
    written: list[bytes] = []
    reader.csv('SELECT 1 AS plain, 2 AS "a,b", 3 AS "a""b", 4 AS "a\nb", 5 AS "a\rb", 6 AS "a b#X"', written.append)
    assert b"".join(written) == b'plain,"a,b","a""b","a\nb","a\rb",a b#X\n"1","2","3","4","5","6"\n'


@pytest.mark.parametrize("query", ["", " \t\r\n;", ";;"])
def test_query_that_is_empty_is_refused(reader: FileReader, query: str) -> None:
    with pytest.raises(QueryError, match=r"^The query is empty\.$"):
        reader.table(query)


def test_reader_writes_nothing_and_says_what_duckdb_says(reader: FileReader, monkeypatch: Any) -> None:
    for query in (
        "DELETE FROM t",
        "SELECT * FROM absent",
        "SELECT CAST(b AS INTEGER) FROM t",
        "SELECT 1; DROP TABLE t",
    ):
        for read in (reader.table, lambda query: reader.csv(query, len)):
            with pytest.raises(QueryError, match=r"^The warehouse refuses the query: .*[^.]\.$"):
                read(query)
        with pytest.raises(StatementError):
            reader.rows(query)
    with reader._reading() as connection, pytest.raises(DatabaseError, match="read-only"):
        connection.execute("DROP TABLE main.t")
    assert reader.rows("SELECT count(*) FROM t") == [[2]]

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(file_reader, "_described", broken)
    with pytest.raises(ZeroDivisionError):
        reader.table("SELECT 1")
    absent = FileReader(Credentials.of_file("/none/w.duckdb", "a test", "the warehouse"))
    with pytest.raises(ConnectionFailedError):
        absent.table("SELECT 1")


def test_file_is_prepared_as_a_server_is(reader: FileReader, monkeypatch: Any) -> None:
    given: list[Any] = []
    monkeypatch.setattr(preparing, "prepared", lambda connection, *of, **named: given.append((of, named)) or "done")
    pipeline: Any = SimpleNamespace(tables={"a": 1})
    assert reader.prepare(pipeline, "s", LIVE) == reader.prepare(pipeline, "s", LIVE, alter=True, later="l") == "done"
    of = ("s", {"a": 1}, LIVE)
    assert given == [(of, {"alter": False, "later": ""}), (of, {"alter": True, "later": "l"})]
