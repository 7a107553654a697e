"""The SQL that makes the lake readable in an engine without the catalog: DuckDB, and a session of Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from lambda_toolkit.pipeline.lake.columns import TEXT
from lambda_toolkit.pipeline.lake.views import (
    DUCKDB,
    LINE,
    MANIFEST_LINES,
    PATH,
    REVISION_LINES,
    SPARK,
    Column,
    LakeTable,
    lake_table,
    views,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import DATA, DELETED, MANIFESTS, REVISIONS, folder_name
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations

_LINES = ((MANIFEST_LINES, MANIFESTS), (REVISION_LINES, REVISIONS))


def duckdb_script(declared: Declarations, root: str) -> tuple[str, ...]:
    """The statements, for DuckDB 2.0 or newer; ``root``: ``s3://bucket``, or a folder with a copy of the bucket."""
    tables = [lake_table(table, DUCKDB) for table in declared.warehouse.values()]
    return (*_duckdb_files(tables, root), *_duckdb_views(tables))


def duckdb_credentials(region: str, endpoint_url: str = "") -> tuple[str, ...]:
    """The statements by which DuckDB reads S3 with the credentials that it finds as boto3 does: none is in them.

    ``endpoint_url``: of another S3 than AWS's.
    """
    endpoint = urlsplit(endpoint_url)
    options = f"TYPE s3, PROVIDER credential_chain, REGION {_text(region)}"
    if endpoint.netloc:
        secure = str(endpoint.scheme == "https").lower()
        options += f", ENDPOINT {_text(endpoint.netloc)}, URL_STYLE 'path', USE_SSL {secure}"
    return ("INSTALL httpfs", "LOAD httpfs", "INSTALL aws", "LOAD aws", f"CREATE OR REPLACE SECRET lake ({options})")


def _duckdb_files(tables: Sequence[LakeTable], root: str) -> Iterator[str]:
    for name, folder in _LINES:
        yield (
            f"CREATE OR REPLACE VIEW {DUCKDB.quoted(name)} AS\n"  # nosec B608  # texts are quoted
            f"SELECT filename AS {DUCKDB.quoted(PATH)}, unnest(string_split(content, chr(10))) AS {LINE}\n"
            f"FROM read_text({_text(f'{root}/{folder}*.json')})"
        )
    for table in tables:
        yield _duckdb_parquet(table.files, table.columns, f"{root}/{DATA}{folder_name(table.name)}")
        if not table.is_calendar:
            yield _duckdb_parquet(table.deleted, table.keys, f"{root}/{DELETED}{folder_name(table.name)}")


def _duckdb_parquet(name: str, columns: Sequence[Column], folder: str) -> str:
    """A view of the Parquet files in the folders of batches: also of none, and of files without some of the columns."""
    quoted = DUCKDB.quoted
    names = [(quoted(column.name), column.kind.duckdb) for column in columns]
    typed = ", ".join(f"CAST({column} AS {kind}) AS {column}" for column, kind in names)
    empty = ", ".join(f"NULL AS {column}" for column, _ in names)
    options = f"filename = {_text(PATH)}, union_by_name = true, hive_partitioning = false, allow_empty = true"
    return "\n".join(
        (
            f"CREATE OR REPLACE VIEW {quoted(name)} AS",
            f"SELECT {typed}, {quoted(PATH)} FROM (",  # noqa: S608  # nosec B608  # names are quoted
            f"    SELECT {empty}, NULL AS {quoted(PATH)} WHERE false",
            "    UNION ALL BY NAME",
            f"    SELECT * FROM read_parquet({_text(f'{folder}/*/*.parquet')}, {options})",  # noqa: S608  # nosec B608
            ")",
        )
    )


def _duckdb_views(tables: Sequence[LakeTable]) -> Iterator[str]:
    for view in views(tables, DUCKDB):
        yield f"CREATE OR REPLACE VIEW {DUCKDB.quoted(view.name)} AS{view.query.rstrip()}"


def spark_script(declared: Declarations, root: str) -> tuple[str, ...]:
    """The statements for a session of Spark 3.5 or newer: its views are temporary.

    Without columns of times of day, which Spark 3 does not read.
    """
    tables = [lake_table(table, SPARK) for table in declared.warehouse.values()]
    quoted = SPARK.quoted
    statements: list[str] = []
    # Spark raises an error for a path with no file. One of braces needs one file in any of them, which the manifests,
    # and a table's rows, always have.
    both = f"{root}/{{{MANIFESTS.rstrip('/')},{REVISIONS.rstrip('/')}}}"
    for name, folder in _LINES:
        statements += _spark_files(name, (Column(LINE, TEXT),), "text", both, f"/{folder}")
    for table in tables:
        place = f"{root}/{{{DATA.rstrip('/')},{DELETED.rstrip('/')}}}/{folder_name(table.name)}"
        statements += _spark_files(table.files, table.columns, "parquet", place, f"/{DATA}")
        if not table.is_calendar:
            statements += _spark_files(table.deleted, table.keys, "parquet", place, f"/{DELETED}")
    for view in views(tables, SPARK):
        statements.append(f"CREATE OR REPLACE TEMPORARY VIEW {quoted(view.name)} AS{view.query.rstrip()}")
    return tuple(statements)


def _spark_files(name: str, columns: Sequence[Column], form: str, place: str, kind: str) -> Iterator[str]:
    """A view of the files at ``place`` whose addresses have ``kind``. A view hides `_metadata`."""
    typed = ", ".join(f"{SPARK.quoted(column.name)} {column.kind.hive}" for column in columns)
    all_of, path = SPARK.quoted(f"all_{name}"), SPARK.quoted(PATH)
    yield (
        f"CREATE OR REPLACE TEMPORARY VIEW {all_of} ({typed})\n"
        f"USING {form} OPTIONS (path {_text(place)}, recursiveFileLookup 'true')"
    )
    found = f"SELECT *, input_file_name() AS {path} FROM {all_of}"  # noqa: S608  # nosec B608  # names are quoted
    yield (
        f"CREATE OR REPLACE TEMPORARY VIEW {SPARK.quoted(name)} AS\n"  # nosec B608  # texts are quoted
        f"SELECT * FROM ({found}) AS f WHERE {path} LIKE {_text(f'%{kind}%')}"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
