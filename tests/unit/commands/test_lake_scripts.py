"""The statements by which Spark reads the lake, catalogs of published tables, and the rows of a warehouse in a file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pyiceberg.catalog.glue
import pyiceberg.catalog.sql
import pytest

from lambda_toolkit.pipeline.config.aws.deployment import tables_json
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.iceberg import catalogs
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lake.scripts import duckdb_script, spark_script
from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import connect
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.local_stack.warehouse_file import WarehouseFile, copied_rows, warehouse_in
from tests.support.sample_star import COMPOSITE

PRODUCT = "`shop` int, `code` string"
ORDER = "`year` smallint, `number` string"
FILES = [
    ("lake_manifest_lines", "`line` string", "text", "{manifests,revisions}", "/manifests/"),
    ("lake_revision_lines", "`line` string", "text", "{manifests,revisions}", "/revisions/"),
    ("files_dim_product", f"{PRODUCT}, `name` string", "parquet", "{data,deleted}/dim_product", "/data/"),
    ("deleted_dim_product", PRODUCT, "parquet", "{data,deleted}/dim_product", "/deleted/"),
    (
        "files_fact_order",
        f"{ORDER}, `amount` string, `product_shop` int, `product_code` string",
        *("parquet", "{data,deleted}/fact_order", "/data/"),
    ),
    ("deleted_fact_order", ORDER, "parquet", "{data,deleted}/fact_order", "/deleted/"),
]
VIEWS = ["lake_files", "lake_batches", "dim_product", "history_dim_product", "current_dim_product"]
VIEWS += ["history_fact_order", "current_fact_order"]


def test_spark_reads_files_by_their_kind() -> None:
    """One view has the files of both kinds, as Spark needs one file at least; the next one those of one kind."""
    statements = spark_script(COMPOSITE.declared, "s3://o'b")
    expected: list[str] = []
    for name, columns, form, place, kind in FILES:
        expected += [
            f"CREATE OR REPLACE TEMPORARY VIEW `all_{name}` ({columns})\n"
            f"USING {form} OPTIONS (path 's3://o''b/{place}', recursiveFileLookup 'true')",
            f"CREATE OR REPLACE TEMPORARY VIEW `{name}` AS\n"
            f"SELECT * FROM (SELECT *, input_file_name() AS `$path` FROM `all_{name}`) AS f "
            f"WHERE `$path` LIKE '%{kind}%'",
        ]
    assert list(statements[: len(expected)]) == expected
    views = statements[len(expected) :]
    assert [statement.partition(" AS")[0] for statement in views] == [
        f"CREATE OR REPLACE TEMPORARY VIEW `{name}`" for name in VIEWS
    ]
    assert all(statement == statement.rstrip() and "\nSELECT" in statement for statement in views)


def test_duckdb_has_the_same_views_as_spark() -> None:
    statements = duckdb_script(COMPOSITE.declared, "/copy")
    names = [statement.partition('VIEW "')[2].partition('"')[0] for statement in statements]
    assert names == [*(name for name, *_ in FILES), *VIEWS]
    types = {"string": "VARCHAR", "bigint": "BIGINT", "int": "INTEGER", "smallint": "SMALLINT"}
    by_name = dict(zip(names, statements, strict=True))
    for statement in spark_script(COMPOSITE.declared, "/copy")[2 * len(FILES) :]:
        name = statement.partition("VIEW `")[2].partition("`")[0]
        if name not in ("lake_files", "lake_batches"):
            same = statement.replace("`", '"').replace("TEMPORARY VIEW", "VIEW")
            for hive, duckdb in types.items():
                same = same.replace(f" AS {hive})", f" AS {duckdb})")
            assert by_name[name] == same


def test_calendar_has_no_deletions_and_spark_no_times_of_day() -> None:
    declared = parse(json.loads(tables_json(load(DEFAULT_PATH))))
    spark, duckdb = (script(declared, "/copy") for script in (spark_script, duckdb_script))
    for statements in (spark, duckdb):
        text = "\n".join(statements)
        assert "files_dim_date" in text and "deleted_dim_date" not in text and "deleted_dim_staff" in text
        assert ("created_time" in text) is (statements is duckdb)


# -------------------------------------------------------------------------------------------------------------- iceberg


def test_folder_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(pyiceberg.catalog.sql, "SqlCatalog", lambda name, **named: made.append((name, named)))
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        catalogs.folder_catalog(Path("a/b"))
    place = tmp_path.resolve() / "a" / "b"
    properties = {"uri": f"sqlite:///{place}/catalog.db", "warehouse": place.as_uri()}
    assert made == [("folder", properties)] * 2 and place.is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"The folder .*file cannot be created"):
        catalogs.folder_catalog(tmp_path / "file")


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:5000"])
def test_glue_has_the_keys_of_its_target(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    made: list[Any] = []
    monkeypatch.setattr(pyiceberg.catalog.glue, "GlueCatalog", lambda name, **named: made.append((name, named)))
    environ = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": endpoint}
    target: Any = SimpleNamespace(environ=environ, is_local=True, pipeline=SimpleNamespace(region="eu-west-2"))
    catalogs.glue_catalog(target, "bucket")
    [(name, properties)] = made
    assert name == "glue"
    assert properties == {
        "warehouse": "s3://bucket/iceberg",
        "client.region": "eu-west-2",
        "client.access-key-id": "key",
        "client.secret-access-key": "secret",
        **({"glue.endpoint": endpoint, "s3.endpoint": endpoint} if endpoint else {}),
    }


def test_keys_on_aws_are_those_that_boto3_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    target: Any = SimpleNamespace(is_local=False, environ={})
    frozen = SimpleNamespace(access_key="a", secret_key="s", token="t")
    found: Any = SimpleNamespace(get_frozen_credentials=lambda: frozen)
    monkeypatch.setattr(botocore.session, "Session", lambda: SimpleNamespace(get_credentials=lambda: found))
    keys = {"client.access-key-id": "a", "client.secret-access-key": "s"}
    assert catalogs._credentials(target) == {**keys, "client.session-token": "t"}
    frozen.token = None
    assert catalogs._credentials(target) == keys
    found = None
    with pytest.raises(CommandError, match="no credentials of AWS"):
        catalogs._credentials(target)


# ------------------------------------------------------------------------------------------------ a warehouse in a file


def test_rows_of_a_file_are_as_copy_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    writer = connect(str(file), read_only=False)
    writer.execute("CREATE TABLE t (a integer, b boolean, c varchar, d numeric(5, 2))")
    rows = "(1, true, E'a\\\\b\\n\\r\\t', 1.50), (2, false, NULL, NULL), (NULL, NULL, '', 0)"
    writer.execute(f"INSERT INTO t VALUES {rows}")
    writer.close()
    reader = WarehouseFile(file).connect()
    try:
        assert list(copied_rows(reader, "SELECT a, b, c, d FROM t ORDER BY a")) == [
            ("1", "t", "a\\\\b\\n\\r\\t", "1.50"),
            ("2", "f", None, None),
            (None, None, "", "0.00"),
        ]
        scaled = "SELECT trim_scale(x) FROM (VALUES (1.50), (2.00), (10.00), (0.05)) AS v(x) ORDER BY x"
        assert [row[0] for row in copied_rows(reader, scaled)] == ["0.05", "1.5", "2", "10"]
    finally:
        reader.close()


def test_warehouse_of_a_stack_is_the_file_where_one_is_declared() -> None:
    stack: Any = SimpleNamespace(warehouse="server")
    target: Any = SimpleNamespace(pipeline=SimpleNamespace(warehouse_file=None))
    assert warehouse_in(stack, target) == "server"
    target.pipeline.warehouse_file = Path("w.duckdb")
    found = warehouse_in(stack, target)
    assert found == WarehouseFile(Path("w.duckdb")) and found.database == "w.duckdb"
