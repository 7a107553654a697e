"""A DuckDB that reads a copy of the processed bucket by the script that the command ``lake`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from lambda_toolkit.pipeline.lake.scripts import duckdb_script
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations


def copied(client: Any, bucket: str, folder: Path) -> Path:
    """``folder`` with the objects of ``bucket`` that it does not have: none is ever changed."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            path = folder / entry["Key"]
            if not path.exists() and not entry["Key"].endswith("/"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
    return folder


@contextmanager
def reading(declared: Declarations, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the views of the lake in ``folder``, times in UTC."""
    connection = duckdb.connect(config={"threads": 1})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for statement in duckdb_script(declared, str(folder)):
            connection.execute(statement)
        yield connection
    finally:
        connection.close()


def texts(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str]) -> list[tuple[str | None, ...]]:
    """The rows of ``relation`` with each value as text, sorted."""
    selected = ", ".join(f'CAST("{column}" AS VARCHAR)' for column in columns)
    rows = connection.execute(f'SELECT {selected} FROM "{relation}"').fetchall()
    return sorted(rows, key=_order)


def _order(row: Sequence[str | None]) -> list[tuple[bool, str]]:
    return [(value is None, value or "") for value in row]
