"""An Iceberg catalog in a folder, a publication into it, and what its readers have of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from lambda_toolkit.pipeline.iceberg.publishing import Published, publish
from lambda_toolkit.pipeline.iceberg.snapshot import BATCH, VALID_FROM, WarehouseSnapshot
from lambda_toolkit.pipeline.iceberg.tables import DELETIONS, read_at
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import FACT, Declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, transaction

NAMESPACE = "published"
READ_ONLY = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def catalog_in(folder: Path) -> SqlCatalog:
    folder.mkdir(parents=True, exist_ok=True)
    return SqlCatalog("test", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")


def published(
    connection: Connection,
    catalog: SqlCatalog,
    declared: Declarations,
    on_commit: Callable[[str, int], None] = lambda table, batch: None,
) -> Published | None:
    """A publication of what the warehouse has."""
    with transaction(connection, READ_ONLY), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyiceberg warns where a delete meets no row
        return publish(WarehouseSnapshot(connection), catalog, NAMESPACE, declared, on_commit)


def tables_of(catalog: SqlCatalog, declared: Declarations) -> dict[str, Table]:
    """The published tables by name. Raises NoSuchTableError where one is missing."""
    return {name: catalog.load_table((NAMESPACE, name)) for name in (*declared.warehouse, DELETIONS)}


def compare(connection: Connection, catalog: SqlCatalog, declared: Declarations) -> int:
    """Every published table against the warehouse, row for row, by pyiceberg and by DuckDB; returns the rows."""
    tables = tables_of(catalog, declared)
    position, found = read_at(tables)
    assert position is not None, "no position is common"
    assert [[position.batch]] == connection.rows("SELECT max(batch) FROM pipeline.ledger")
    compared = 0
    for name, rows in found.items():
        expected = _in_warehouse(connection, declared, name, rows.schema)
        assert _texts(rows) == expected, (f"{name} differs", *_difference(_texts(rows), expected))
        files = [task.file.file_path for task in tables[name].scan().plan_files()]
        if files:
            assert _texts(_by_duckdb(files, rows.schema)) == expected, f"DuckDB reads other rows of {name}"
        compared += len(expected)
    return compared


def _by_duckdb(files: list[str], schema: pa.Schema) -> pa.Table:
    """The rows of the files of a table's present snapshot. No file of deletions belongs to it."""
    selected = ", ".join(f'"{field.name}"' for field in schema)
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = f"SELECT {selected} FROM read_parquet({files}, union_by_name = true)"
        return connection.sql(query).to_arrow_table()


def _in_warehouse(
    connection: Connection, declared: Declarations, name: str, schema: pa.Schema
) -> list[tuple[Any, ...]]:
    """The rows as load left them; a value that is published as a text as PostgreSQL writes it."""
    if name == DELETIONS:
        query = "SELECT d.table_name, d.key, d.batch, l.extracted_at AS deleted_at, d.undeleted_batch,"
        query += " u.extracted_at AS undeleted_at FROM pipeline.deletion AS d JOIN pipeline.ledger AS l USING (batch)"
        query += " LEFT JOIN pipeline.ledger AS u ON u.batch = d.undeleted_batch"
    elif declared.warehouse[name].kind == FACT and not declared.warehouse[name].versions:
        record = declared.warehouse[name].record
        query = f"SELECT t.*, v.batch AS {BATCH}, l.extracted_at AS {VALID_FROM} FROM {name} AS t"
        query += f" JOIN pipeline.version_range AS v ON v.table_name = '{name}'"
        query += f" AND t.{record} BETWEEN v.first_record AND v.last_record JOIN pipeline.ledger AS l USING (batch)"
    else:
        query = f"SELECT * FROM {name}"
    texts = ", ".join(f'"{field.name}"::text' for field in schema)
    plain = ", ".join(f'"{field.name}"{"::float8" * pa.types.is_floating(field.type)}' for field in schema)
    found = connection.rows(f"SELECT {plain}, {texts} FROM ({query}) AS q")
    rows = [(row[: len(schema)], row[len(schema) :]) for row in found]
    is_text = [pa.types.is_string(field.type) or pa.types.is_large_string(field.type) for field in schema]
    return sorted((tuple(map(_value, is_text, *row)) for row in rows), key=str)


def _value(is_text: bool, value: object, text: str | None) -> object:
    """The driver's value; of a text another value's text: that of a character(n) lacks its blanks."""
    return _text(text if is_text and not isinstance(value, str) else value)


def _difference(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> tuple[object, object]:
    """The rows that only one of the two has."""
    return [row for row in found if row not in expected][:2], [row for row in expected if row not in found][:2]


def _texts(rows: pa.Table) -> list[tuple[Any, ...]]:
    return sorted((tuple(map(_text, row.values())) for row in rows.to_pylist()), key=str)


def _text(value: object) -> object:
    if isinstance(value, float):
        return repr(value)
    return None if value is None else str(value)


__all__ = ["BATCH", "NAMESPACE", "VALID_FROM", "catalog_in", "compare", "published", "tables_of"]
