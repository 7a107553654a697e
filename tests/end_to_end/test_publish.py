"""``lake`` and ``publish`` on the local stack: what DuckDB and pyiceberg read is what the warehouse has."""

from __future__ import annotations

import duckdb
from click.testing import Result
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.catalog.sql import SqlCatalog

from tests.support.command_line import CommandLine
from tests.support.lake_reader import copied

NAMESPACE = "totes_local_published"


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def present(line: CommandLine, relation: str) -> int:
    [[count]] = line.document("query", f"SELECT count(*) FROM {relation}")["rows"]
    return int(count)


def test_catalog_of_a_deploy_names_the_files(filled, aws):
    """The tables that Athena has: each at the place of the files, with their columns."""
    glue = aws(filled, "glue")
    tables = {table["Name"]: table for table in glue.get_tables(DatabaseName="totes_local")["TableList"]}
    assert {"files_fact_sales_order", "current_fact_sales_order", "history_dim_staff", "lake_files"} <= set(tables)
    storage = tables["files_fact_sales_order"]["StorageDescriptor"]
    bucket, _, prefix = storage["Location"].removeprefix("s3://").partition("/")
    assert aws(filled, "s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"]


def test_duckdb_reads_a_copy_of_the_bucket(filled, aws, tmp_path):
    bucket = f"totes-local-processed-{filled.stack.account_id}"
    folder = copied(aws(filled, "s3"), bucket, tmp_path)
    with duckdb.connect() as connection:
        for statement in filled.document("lake", "--root", str(folder))["statements"]:
            connection.execute(statement)
        for relation in ("current_fact_sales_order", "history_fact_payment", "current_dim_staff"):
            [(count,)] = connection.execute(f"SELECT count(*) FROM {relation}").fetchall()
            assert count == present(filled, relation)


def test_lake_prints_no_credentials(filled):
    shown = done(filled("lake"))
    assert f"s3://totes-local-processed-{filled.stack.account_id}/data/" in shown
    assert "credential_chain" in shown and filled.stack.secret_access_key not in shown
    assert "USING parquet" in done(filled("lake", "--engine", "spark", "--root", "s3a://bucket"))


def test_publish_makes_tables_in_the_glue_catalog(filled):
    first = filled.document("publish")
    assert first["namespace"] == NAMESPACE and first["commits"] >= 12
    assert done(filled("publish")).startswith(f"Nothing new: {NAMESPACE} has everything up to batch")
    stack = filled.stack
    keys = {"client.access-key-id": stack.access_key_id, "client.secret-access-key": stack.secret_access_key}
    endpoints = {"glue.endpoint": stack.aws_endpoint_url, "s3.endpoint": stack.aws_endpoint_url}
    catalog = GlueCatalog("glue", **keys, **endpoints, **{"client.region": stack.region})
    for table in ("fact_sales_order", "dim_staff"):
        rows = catalog.load_table((NAMESPACE, table)).scan().to_arrow()
        assert rows.num_rows == present(filled, table)


def test_publish_into_a_folder(filled, tmp_path):
    done(filled("publish", "--into", str(tmp_path / "tables"), "--namespace", "shop"))
    catalog = SqlCatalog("folder", uri=f"sqlite:///{tmp_path / 'tables' / 'catalog.db'}")
    rows = catalog.load_table(("shop", "fact_payment")).scan().to_arrow()
    assert rows.num_rows == present(filled, "fact_payment")
