"""Fills an empty source in one transaction, from one file per table or with generated data."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import pg8000.native
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.sql_script import message_of
from lambda_toolkit.pipeline.local_stack.totesys.generator import DEFAULT_ORDERS, DEFAULT_SEED, generate
from lambda_toolkit.pipeline.local_stack.totesys.schema import TABLES
from lambda_toolkit.pipeline.local_stack.totesys.statement import compose

# Opens what is to be copied into one table: its columns, in the order of the data, and the data as CSV with a header.
Opener = Callable[[], tuple[list[str], BinaryIO]]
OnTable = Callable[[str, int], object]


def is_empty(source: Database) -> bool:
    """Whether none of the source's tables has a row."""
    connection = source.connect()
    try:
        return not any(_has_rows(connection, table) for table in TABLES)
    finally:
        connection.close()


def generated(
    source: Database, *, orders: int = DEFAULT_ORDERS, seed: int = DEFAULT_SEED, on_table: OnTable | None = None
) -> dict[str, int]:
    """Fill the source with generated data; see the module generator. Returns the number of rows per table.

    ``on_table`` is called with the name of each table and its rows when they are copied. Raises LocalError.
    """
    tables = generate(orders, seed)
    return _load(source, {name: (f"the generated {name}", _table(table)) for name, table in tables.items()}, on_table)


def from_directory(source: Database, directory: Path, *, on_table: OnTable | None = None) -> dict[str, int]:
    """Fill the source from ``<table>.parquet`` or ``<table>.csv`` files. Returns the number of rows per table.

    A CSV file has a header; an empty field is NULL and a quoted empty one is ''. Raises LocalError, and loads nothing,
    when a file is missing or cannot be read, names a column that the table does not have, lacks one that it needs, or
    holds a value that does not fit.
    """
    return _load(source, {name: (str(path), _file(path)) for name, path in files_in(directory).items()}, on_table)


def files_in(directory: Path) -> dict[str, Path]:
    """The seed's file for each table. Raises LocalError where one is missing or there are two."""
    if not directory.is_dir():
        raise LocalError(
            f"The seed {directory} is not a directory. It must hold one Parquet or CSV file for each table."
        )
    found: dict[str, Path] = {}
    for table in TABLES:
        candidates = [path for path in (directory / f"{table}.parquet", directory / f"{table}.csv") if path.is_file()]
        if len(candidates) > 1:
            raise LocalError(f"The seed holds both {candidates[0]} and {candidates[1].name}: keep one of them.")
        if candidates:
            found[table] = candidates[0]
    missing = [table for table in TABLES if table not in found]
    if missing:
        raise LocalError(
            f"The seed {directory} holds no .parquet and no .csv file for: {', '.join(missing)}. "
            f"It must hold one for each of {', '.join(TABLES)}."
        )
    return found


def _file(path: Path) -> Opener:
    def open_parquet() -> tuple[list[str], BinaryIO]:
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise LocalError(f"{path} cannot be read as Parquet: {error}") from error
        try:
            return _table(table)()
        except pa.ArrowException as error:  # lists, structures, binary: no source column has such a type
            types = ", ".join(f"{field.name} {field.type}" for field in table.schema)
            raise LocalError(f"{path} cannot be converted to CSV: {error}. Its columns are {types}.") from error

    def open_csv() -> tuple[list[str], BinaryIO]:
        try:
            with path.open(encoding="utf-8-sig", newline="") as text:
                columns = next(csv.reader(text), [])
            stream = path.open("rb")
        except (OSError, UnicodeDecodeError) as error:
            raise LocalError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
        return columns, stream

    return open_parquet if path.suffix == ".parquet" else open_csv


def _table(table: pa.Table) -> Opener:
    def as_csv() -> tuple[list[str], BinaryIO]:
        written = io.BytesIO()
        # every value that is not NULL is quoted: an empty string must not become NULL
        pa_csv.write_csv(table, written, pa_csv.WriteOptions(quoting_style="all_valid"))
        written.seek(0)
        return list(table.column_names), written

    return as_csv


def _load(
    source: Database, openers: Mapping[str, tuple[str, Opener]], on_table: OnTable | None = None
) -> dict[str, int]:
    connection = source.connect()
    try:
        connection.run("BEGIN")
        full = [table for table in TABLES if _has_rows(connection, table)]
        if full:
            raise LocalError(
                f"The source already holds data ({', '.join(full)}): a seed fills an empty one. "
                f"Delete its data first with: {suggested('local down --wipe')}"
            )
        rows = {}
        for table in TABLES:
            name, opener = openers[table]
            rows[table] = _copy(connection, table, name, opener)
            if on_table is not None:
                on_table(table, rows[table])
        connection.run("COMMIT")
        connection.run("ANALYZE")
        return rows
    finally:
        connection.close()


def _copy(connection: pg8000.native.Connection, table: str, name: str, opener: Opener) -> int:
    columns, stream = opener()
    with stream:
        _check_columns(connection, table, name, columns)
        template = "COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv, HEADER true)"
        try:
            connection.run(compose(template, table=table, columns=columns), stream=stream)
        except pg8000.native.DatabaseError as error:
            raise LocalError(f"{name} does not fit table {table}: {message_of(error)}. Nothing was loaded.") from error
    return int(connection.row_count)


def _check_columns(connection: pg8000.native.Connection, table: str, name: str, columns: list[str]) -> None:
    known = {
        column: bool(needed)
        for column, needed in connection.run(
            "SELECT attname, attnotnull AND NOT atthasdef FROM pg_attribute "
            "WHERE attrelid = to_regclass(quote_ident(:table)) AND attnum > 0 AND NOT attisdropped",
            table=table,
        )
    }
    twice = sorted({column for column in columns if columns.count(column) > 1})
    unknown = [column for column in columns if column not in known]
    missing = [column for column, needed in known.items() if needed and column not in columns]
    if twice:
        raise LocalError(f"{name} has a column more than once: {', '.join(twice)}. Nothing was loaded.")
    if unknown:
        raise LocalError(
            f"{name} has a column that table {table} does not have: {', '.join(unknown)}. "
            f"Its columns are {', '.join(known)}. Nothing was loaded."
        )
    if missing:
        raise LocalError(f"{name} lacks a column that table {table} needs: {', '.join(missing)}. Nothing was loaded.")


def _has_rows(connection: pg8000.native.Connection, table: str) -> bool:
    return bool(connection.run(compose("SELECT 1 FROM {table} LIMIT 1", table=table)))
