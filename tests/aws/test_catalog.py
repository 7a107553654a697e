"""The Glue catalog: created once, drift by table, its owner, adopted, removed by destroy and when not declared."""

from __future__ import annotations

import base64
import dataclasses
import json

import pytest

from lambda_script import LimitError, OwnershipError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.spec.catalog import CatalogColumn, CatalogSpec, CatalogTable
from lambda_toolkit.spec.model import Deployment

NAME = "shop_dev"
ID = CatalogColumn("id", "int", "integer")
FILES = CatalogTable("files_order", (ID,), "s3://lake/data/order/")
LINES = CatalogTable("lines", (CatalogColumn("line", "string", "varchar"),), "s3://lake/manifests/", "lines")
VIEW = CatalogTable("current_order", (ID,), query='SELECT id FROM "files_order"')
SPEC = CatalogSpec(NAME, (VIEW, FILES, LINES))


def deployment(*catalogs: CatalogSpec, stage: str = "dev", **more) -> Deployment:
    return Deployment(catalogs=catalogs, application="shop", stage=stage, **more)


def deploy(aws, wanted: Deployment, *, prune: bool = False) -> None:
    assert execute(aws, make_plan(aws, wanted, prune=prune)).ok


def tables(client) -> dict:
    return {table["Name"]: table for table in client("glue").get_tables(DatabaseName=NAME)["TableList"]}


def databases(client) -> list[str]:
    return [database["Name"] for database in client("glue").get_databases()["DatabaseList"]]


def test_catalog_is_created_once(aws, client, recorder) -> None:
    [change] = make_plan(aws, deployment(SPEC)).changes
    assert (change.kind, change.name, change.action) == ("catalog", NAME, "create")
    assert change.details == ("3 tables and views",)
    deploy(aws, deployment(SPEC))
    found = tables(client)
    assert found["files_order"]["StorageDescriptor"]["Location"] == "s3://lake/data/order/"
    assert "Parquet" in found["files_order"]["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"]
    assert "Text" in found["lines"]["StorageDescriptor"]["InputFormat"]
    assert found["current_order"]["TableType"] == "VIRTUAL_VIEW"
    encoded = found["current_order"]["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
    assert json.loads(base64.b64decode(encoded)) == {
        "originalSql": VIEW.query,
        "catalog": "awsdatacatalog",
        "schema": NAME,
        "columns": [{"name": "id", "type": "integer"}],
    }
    recorder.clear()
    assert not make_plan(aws, deployment(SPEC))
    assert sorted({*recorder.calls} - {"ListFunctions"}) == ["GetDatabase", "GetTables", "GetTags"]


def test_drift_of_tables_and_views_is_repaired(aws, client) -> None:
    deploy(aws, deployment(SPEC))
    glue = client("glue")
    glue.delete_table(DatabaseName=NAME, Name="lines")
    changed = dict(tables(client)["files_order"]["StorageDescriptor"], Location="s3://other/")
    mark = {"managed-by": "lambda_script"}
    glue.update_table(
        DatabaseName=NAME,
        TableInput={
            "Name": "files_order",
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": changed,
            "Parameters": mark,
        },
    )
    glue.update_table(
        DatabaseName=NAME,
        TableInput={
            "Name": "current_order",
            "TableType": "VIRTUAL_VIEW",
            "ViewOriginalText": "mine",
            "Parameters": mark,
        },
    )
    [change] = make_plan(aws, deployment(SPEC)).changes
    shown = "\n".join(map(str, change.differences))
    assert "tables.lines: none -> s3://lake/manifests/" in shown
    assert "tables.files_order.location: s3://other/ -> s3://lake/data/order/" in shown
    assert "tables.current_order.query: mine -> SELECT id" in shown
    deploy(aws, deployment(SPEC))
    assert not make_plan(aws, deployment(SPEC))


def test_tags_alone_are_a_change_of_the_catalog(aws, client) -> None:
    deploy(aws, deployment(SPEC))
    tagged = deployment(dataclasses.replace(SPEC, tags={"team": "data"}))
    [change] = make_plan(aws, tagged).changes
    assert [difference.attribute for difference in change.differences] == ["tags.team"]
    deploy(aws, tagged)
    assert make_plan(aws, tagged).changes == ()


def test_table_that_is_no_longer_declared_is_deleted(aws, client) -> None:
    deploy(aws, deployment(SPEC))
    client("glue").create_table(DatabaseName=NAME, TableInput={"Name": "mine"})
    less = dataclasses.replace(SPEC, tables=(FILES,))
    [change] = make_plan(aws, deployment(less)).changes
    assert "tables.lines: not declared -> none" in map(str, change.differences)
    deploy(aws, deployment(less))
    assert sorted(tables(client)) == ["files_order", "mine"], "that of others stays"


def test_database_of_others_is_left_alone_unless_adopted(aws, client) -> None:
    client("glue").create_database(DatabaseInput={"Name": NAME})
    client("glue").create_table(DatabaseName=NAME, TableInput={"Name": "files_order"})
    with pytest.raises(OwnershipError, match="catalog `shop_dev` exists already"):
        make_plan(aws, deployment(SPEC))
    assert not make_destroy_plan(aws, deployment(SPEC)).changes
    deploy(aws, deployment(SPEC, adopt=True))
    assert sorted(tables(client)) == ["current_order", "files_order", "lines"]
    assert not make_plan(aws, deployment(SPEC))


def test_table_of_others_with_a_declared_name_is_refused(aws, client) -> None:
    deploy(aws, deployment(dataclasses.replace(SPEC, tables=(FILES,))))
    client("glue").create_table(DatabaseName=NAME, TableInput={"Name": "lines"})
    with pytest.raises(OwnershipError, match=r"`shop_dev.lines` exists already"):
        make_plan(aws, deployment(SPEC))


def test_other_stage_does_not_take_it(aws) -> None:
    deploy(aws, deployment(SPEC))
    with pytest.raises(OwnershipError, match="belongs to application `shop`, stage `dev`"):
        make_plan(aws, deployment(SPEC, stage="prod"))


def test_destroy_removes_the_catalog(aws, client) -> None:
    deploy(aws, deployment(SPEC))
    assert execute(aws, make_destroy_plan(aws, deployment(SPEC))).ok
    assert databases(client) == []


def test_destroy_keeps_a_database_with_tables_of_others(aws, client) -> None:
    deploy(aws, deployment(SPEC))
    client("glue").create_table(DatabaseName=NAME, TableInput={"Name": "mine"})
    [change] = make_destroy_plan(aws, deployment(SPEC)).changes
    assert change.details == ("the database stays, as it has 1 tables of others",)
    assert execute(aws, make_destroy_plan(aws, deployment(SPEC))).ok
    assert sorted(tables(client)) == ["mine"]
    assert not make_destroy_plan(aws, deployment(SPEC)).changes, "it is not the toolkit's any more"


def test_undeclared_catalog_is_pruned(aws, client) -> None:
    deploy(aws, deployment(SPEC))
    deploy(aws, deployment(), prune=True)
    assert databases(client) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (CatalogSpec("Shop-dev"), "`Shop-dev` cannot be the database"),
        (CatalogSpec(NAME, (FILES, FILES)), "two tables would be called `files_order`"),
        (CatalogSpec(NAME, (dataclasses.replace(FILES, name="a b"),)), "`a b` cannot be a table"),
        (CatalogSpec(NAME, (dataclasses.replace(FILES, columns=(ID, ID)),)), "two columns `id`"),
    ],
)
def test_names_that_athena_refuses_are_refused(aws, wrong, message) -> None:
    with pytest.raises(LimitError, match=message):
        make_plan(aws, deployment(wrong))
