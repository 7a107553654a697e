"""Tables and views of the Glue catalog in the form in which two are compared, and the body of a dashboard."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lambda_toolkit.errors import LimitError
from lambda_toolkit.spec.catalog import CatalogColumn, CatalogSpec, CatalogTable, check_catalog, shape, table_input
from lambda_toolkit.spec.dashboard import dashboard_problems, metrics_of, owner_of, signed
from lambda_toolkit.spec.model import DashboardSpec

COLUMNS = (CatalogColumn("id", "int", "integer"), CatalogColumn("name", "string", "varchar"))
FILES = CatalogTable("orders", COLUMNS, "s3://lake/orders/")
VIEW = CatalogTable("current", COLUMNS, query="SELECT 1")


def test_shape_of_a_table_is_what_matters_of_it() -> None:
    expected: dict[str, Any] = {
        "type": "EXTERNAL_TABLE",
        "columns": ["id int", "name string"],
        "location": "s3://lake/orders/",
        "format": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "input": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "partitions": [],
        "query": None,
        "view columns": [],
        "view schema": None,
    }
    made = table_input(FILES, "shop", {"a": "b"})
    assert shape(made) == expected
    assert made["Parameters"] == {"EXTERNAL": "TRUE", "classification": "parquet", "a": "b"}
    partitioned = {**made, "PartitionKeys": [{"Name": "day"}], "ViewOriginalText": ""}
    assert shape(partitioned) == {**expected, "partitions": ["day"]}
    lines = table_input(CatalogTable("l", COLUMNS, "s3://lake/l/", "lines"), "shop", {})
    assert lines["Parameters"] == {"EXTERNAL": "TRUE"}
    assert shape(lines)["format"] == "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
    empty = dict.fromkeys(expected) | {"columns": [], "partitions": [], "view columns": []}
    assert shape({}) == shape({"StorageDescriptor": {"Location": "", "SerdeInfo": {}}}) == empty


def test_shape_of_a_view_is_what_athena_reads_in_it() -> None:
    found = shape(table_input(VIEW, "shop", {}))
    assert found == {
        "type": "VIRTUAL_VIEW",
        "columns": ["id int", "name string"],
        "location": None,
        "format": None,
        "input": None,
        "partitions": [],
        "query": "SELECT 1",
        "view columns": ["id integer", "name varchar"],
        "view schema": "shop",
    }
    encoded = base64.b64encode(b"[1]").decode()
    for text in (
        "SELECT 2",
        "/* Presto View: not base64 */",
        f"/* Presto View: {encoded} */",
        "/* Presto View: YQ== */",
    ):
        assert shape({"ViewOriginalText": text})["query"] == text
    without = base64.b64encode(json.dumps({"originalSql": "SELECT 3"}).encode()).decode()
    assert shape({"ViewOriginalText": f"/* Presto View: {without} */"})["view columns"] == []


@pytest.mark.parametrize("name", ["a", "a_1", "x" * 255])
def test_name_that_athena_takes_passes(name: str) -> None:
    check_catalog(CatalogSpec(name, (CatalogTable(name, COLUMNS),)))


@pytest.mark.parametrize("name", ["", "A", "a-b", "a b", "x" * 256])
def test_name_that_athena_refuses_is_refused(name: str) -> None:
    with pytest.raises(LimitError, match="cannot be the database") as refused:
        check_catalog(CatalogSpec(name, (CatalogTable(name, COLUMNS), FILES)))
    assert "cannot be a table" in str(refused.value)


def widget(kind: str = "metric", **different: Any) -> dict[str, Any]:
    properties = {
        "metric": {"region": "eu-west-2", "metrics": [["AWS/Lambda", "Errors", "FunctionName", "f", {"stat": "Sum"}]]},
        "text": {"markdown": "x"},
        "alarm": {"alarms": ["arn"]},
        "log": {"region": "eu-west-2", "query": "fields @message"},
    }[kind]
    place = {"x": 0, "y": 0, "width": 24, "height": 1}
    rest = {name: different.pop(name) for name in (*place, "type", "properties") if name in different}
    return {"type": kind, **place, "properties": {**properties, **different}, **rest}


def problems(*widgets: Any, name: str = "shop") -> list[str]:
    return list(dashboard_problems(DashboardSpec(name, {"widgets": list(widgets)})))


METRIC = ["own", "m"]
VIEWS = ["bar", "gauge", "pie", "singleValue", "timeSeries"]
TAKEN = (
    *(widget(kind) for kind in ("metric", "text", "alarm", "log")),
    widget(x=23, y=10_000, width=1, height=1000),
    *(widget(view=view) for view in VIEWS),
    *(widget(period=period) for period in (1, 5, 10, 30, 60, 300)),
    widget(metrics=[METRIC] * 500),
    widget("alarm", alarms=["arn"] * 100),
)


@pytest.mark.parametrize("taken", TAKEN)
def test_widget_that_cloudwatch_takes_has_no_problem(taken: dict[str, Any]) -> None:
    assert problems(taken) == []


REFUSED: tuple[tuple[Any, str], ...] = (
    ("text", "widget 1: its type must be one of"),
    ({**widget(), "type": "graph"}, "widget 1: its type must be one of"),
    *((widget(**{name: -1}), "must be integers from 0") for name in ("x", "y", "width", "height")),
    (widget(x="0"), "must be integers from 0"),
    (widget(x=True), "must be integers from 0"),
    (widget(x=1), "it must be within 24 grid units"),
    (widget(width=0), "it must be within 24 grid units"),
    (widget(height=0), "it must be within 24 grid units"),
    (widget(height=1001), "it must be within 24 grid units"),
    (widget(properties="x"), "it has no `properties`"),
    (widget(region=""), "its properties need `region`."),
    (widget(metrics=[]), "its properties need `metrics`."),
    (widget("text", markdown=""), "its properties need `markdown`."),
    (widget("alarm", alarms=[]), "its properties need `alarms`."),
    (widget("alarm", alarms=["arn"] * 101), "101 alarms are more than 100"),
    (widget("log", region="", query=""), "its properties need `region`, `query`."),
    (widget(view="table"), "its view `table` is not one of"),
    *((widget(period=period), f"its period {period} is neither") for period in (0, -60, 2, 45, 90, "60")),
    (widget(metrics=[METRIC] * 501), "501 metrics are more than 500"),
    *(
        (widget(metrics=[metric]), "must be a namespace, a name")
        for metric in (["own"], ["own", "m", "d"], ["own", ""], ["own", "."], ["own", "m", "...", "v"])
    ),
)


@pytest.mark.parametrize(("refused", "says"), REFUSED)
def test_widget_that_cloudwatch_refuses_has_one_problem(refused: Any, says: str) -> None:
    [found] = problems(refused)
    assert says in found
    assert found.startswith("widget 1: ")


def test_dashboard_has_limits_for_all_widgets_together() -> None:
    assert problems(*[widget("text")] * 499) == []
    [found] = problems(*[widget("text")] * 500)
    assert found.startswith("500 widgets are more than 499")
    assert problems(*[widget(metrics=[METRIC] * 500)] * 5) == []
    assert problems(*[widget(metrics=[METRIC] * 500)] * 5, widget()) == ["2501 metrics are more than 2500."]
    assert problems(name="x" * 255) == []
    for name in ("", "a b", "x" * 256):
        [found] = problems(name=name)
        assert found.startswith("its name must be")
    for body in ({}, {"widgets": "x"}, {"widgets": {"type": "text"}}):
        [found] = dashboard_problems(DashboardSpec("shop", body))
        assert found.startswith("its body must have `widgets`")


@pytest.mark.parametrize(
    ("given", "metrics"),
    [
        (widget(), [("AWS/Lambda", "Errors", "FunctionName", "f")]),
        (widget(metrics=[METRIC, "text", [{"expression": "m1"}], [5, "a"]]), [("own", "m"), ("a",)]),
        (widget(metrics="text"), []),
        ({"properties": []}, []),
        ({}, []),
        ("text", []),
    ],
)
def test_metrics_of_a_widget_are_those_written_out(given: Any, metrics: list[tuple[str, ...]]) -> None:
    assert metrics_of(given) == metrics


def test_owner_of_a_dashboard_is_in_its_first_text() -> None:
    tags = {"application": "shop", "stage": "dev"}
    body = signed(DashboardSpec("d", {"start": "-PT1H", "widgets": [widget(y=2)]}, tags))
    assert (body["start"], [item["y"] for item in body["widgets"]]) == ("-PT1H", [0, 3])
    owner = body["widgets"][0]
    assert {name: owner[name] for name in ("type", "x", "width", "height")} == {
        "type": "text",
        "x": 0,
        "width": 24,
        "height": 1,
    }
    assert owner_of(body) == {"managed-by": "lambda_script", **tags}
    assert owner_of(signed(DashboardSpec("d", {"widgets": []}))) == {"managed-by": "lambda_script"}
    moved = {"widgets": [widget("text"), "text", {"properties": {"markdown": 5}}, owner]}
    assert owner_of(moved) == {"managed-by": "lambda_script", **tags}
    for others in (None, {}, {"widgets": "x"}, {"widgets": [widget("text")]}):
        assert owner_of(others) == {}
