"""Compares the warehouse with the source, value by value: an independent check of what the pipeline did.

It shares nothing with the pipeline: its queries are its own (lambda_toolkit.pipeline.local_stack.totesys.expected).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pg8000.native

from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import DuckdbConnection
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.sql_script import message_of
from lambda_toolkit.pipeline.local_stack.totesys.expected import (
    EXPECTATIONS,
    FOREIGN_KEYS,
    Expectation,
    Row,
    view_queries,
)
from lambda_toolkit.pipeline.local_stack.totesys.statement import compose
from lambda_toolkit.pipeline.local_stack.warehouse_file import WarehouseFile, copied_rows

EXAMPLES = 5  # differences reported for each table


@dataclass(frozen=True)
class TableCheck:
    """One warehouse table beside what the source says it must hold.

    ``versions`` counts the rows of all versions of a fact, deleted ones included; it is None for a dimension.
    ``differences`` counts the rows that are missing, wrong, or should not be there; ``examples`` tells of a few.
    """

    table: str
    source_rows: int
    warehouse_rows: int
    versions: int | None
    differences: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """The whole comparison. ``unenforced``: foreign keys that the warehouse does not have or does not enforce."""

    tables: tuple[TableCheck, ...]
    unenforced: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether source and warehouse say the same, every foreign key being enforced."""
        return not self.unenforced and not any(table.differences for table in self.tables)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {**asdict(self), "agrees": self.agrees}


def check(
    source: Database, warehouse: Database | WarehouseFile, expectations: Sequence[Expectation] = EXPECTATIONS
) -> Check:
    """Compare every value of every row with what ``expectations`` says. Only reads. ``source`` may be read-only.

    Both sides are read in one snapshot each, so a source that changes meanwhile is compared as it was at the start.
    Raises LocalError when one cannot be read, an unprepared warehouse for example.
    """
    reading = _snapshot(source)
    try:
        present = _snapshot(warehouse)
        try:
            return Check(
                tables=tuple(_compare(reading, present, expectation) for expectation in expectations),
                unenforced=tuple(_unenforced(present)),
            )
        finally:
            present.close()
    except pg8000.native.DatabaseError as error:
        raise LocalError(
            f"Source {source.database} and warehouse {warehouse.database} cannot be compared: {message_of(error)}. "
            f"Is the warehouse prepared? {suggested('prepare')}"
        ) from error
    finally:
        reading.close()


def _snapshot(database: Database | WarehouseFile) -> pg8000.native.Connection:
    connection = database.connect()
    connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    return connection


def _compare(
    source: pg8000.native.Connection, warehouse: pg8000.native.Connection, expectation: Expectation
) -> TableCheck:
    expected = {row[0]: row for row in map(expectation.finish, _rows(source, expectation.expected))}
    read = list(_rows(warehouse, expectation.present))
    found = {row[0]: row for row in read}
    differences = list(_differences(expectation, expected, found))
    if len(found) < len(read):
        differences.append(f"rows that repeat the {expectation.columns[0]} of another: {len(read) - len(found)}")
    if expectation.is_fact:
        for description, must, does in view_queries(expectation):
            wrong = set(_rows(warehouse, must)) ^ set(_rows(warehouse, does))
            differences += [f"{description} {record}" for (record,) in sorted(wrong, key=str)]
    return TableCheck(
        table=expectation.table,
        source_rows=len(expected),
        warehouse_rows=len(read),
        versions=_count(warehouse, expectation.table) if expectation.is_fact else None,
        differences=len(differences),
        examples=tuple(differences[:EXAMPLES]),
    )


def _differences(
    expectation: Expectation, expected: dict[str | None, Row], found: dict[str | None, Row]
) -> Iterator[str]:
    name = expectation.columns[0]
    for key, row in expected.items():
        present = found.get(key)
        if present is None:
            yield f"{name} {key} is missing"
        elif present != row:
            yield f"{name} {key}: {_wrong(expectation, row, present)}"
    for key, present in found.items():
        if key in expected:
            continue
        if not expectation.may_have_more:
            yield f"{name} {key} should not be there"
        elif present != expectation.finish((key,)):
            yield f"{name} {key}: {_wrong(expectation, expectation.finish((key,)), present)}"


def _wrong(expectation: Expectation, expected: Row, present: Row) -> str:
    return ", ".join(
        f"{column} is {is_!r} and should be {should!r}"
        for column, should, is_ in zip(expectation.columns, expected, present, strict=True)
        if should != is_
    )


def _rows(connection: pg8000.native.Connection, query: str) -> Iterator[Row]:
    """The rows of a query, each value as PostgreSQL writes it in text, NULL as None."""
    if isinstance(connection, DuckdbConnection):
        yield from copied_rows(connection, query)
        return
    written = io.BytesIO()
    connection.run(f"COPY ({query}) TO STDOUT", stream=written)
    for line in written.getvalue().decode("utf-8").split("\n")[:-1]:
        yield tuple(None if value == r"\N" else value for value in line.split("\t"))


def _count(connection: pg8000.native.Connection, table: str) -> int:
    return int(connection.run(compose("SELECT count(*) FROM {table}", table=table))[0][0])


def _dangling(warehouse: DuckdbConnection) -> Iterator[str]:
    """Of a file, which enforces nothing: the references of which some lead to no row."""
    keys = {expectation.table: expectation.columns[0] for expectation in EXPECTATIONS}
    query = (
        "SELECT count(*) FROM {table} AS f WHERE f.{column} IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM {dimension} AS d WHERE d.{key} = f.{column})"
    )
    for table, column, dimension in FOREIGN_KEYS:
        names = {"table": table, "column": column, "dimension": dimension, "key": keys[dimension]}
        if warehouse.execute(compose(query, **names)) != [[0]]:
            yield f"{table}.{column} -> {dimension}"


def _unenforced(warehouse: pg8000.native.Connection) -> Iterator[str]:
    """Foreign keys that should be there and are not, are not validated, or whose triggers are switched off."""
    if isinstance(warehouse, DuckdbConnection):
        yield from _dangling(warehouse)
        return
    enforced = {
        tuple(row)
        for row in warehouse.run(
            """
            SELECT facts.relname, attname, dimensions.relname
            FROM pg_constraint
            JOIN pg_class AS facts ON facts.oid = conrelid
            JOIN pg_class AS dimensions ON dimensions.oid = confrelid
            JOIN pg_attribute ON attrelid = conrelid AND conkey = ARRAY[attnum]
            WHERE contype = 'f' AND convalidated AND NOT EXISTS (
                SELECT FROM pg_trigger WHERE tgconstraint = pg_constraint.oid AND tgenabled NOT IN ('O', 'A'))
            AND EXISTS (SELECT FROM pg_trigger WHERE tgconstraint = pg_constraint.oid)
            """
        )
    }
    for table, column, dimension in FOREIGN_KEYS:
        if (table, column, dimension) not in enforced:
            yield f"{table}.{column} -> {dimension}"
