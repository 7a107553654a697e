"""The pipeline's dashboard in CloudWatch shows metrics that exist, of functions that are declared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.config.aws.cloudwatch_dashboard import body, dashboards
from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.lambdas.shared.metrics import METRICS
from lambda_toolkit.spec.dashboard import dashboard_problems, metrics_of
from lambda_toolkit.spec.model import DashboardSpec

ACCOUNT = "123456789012"
OF_LAMBDA = {"Errors", "Invocations", "Duration", "Throttles"}


@pytest.fixture
def pipeline() -> Pipeline:
    return replace(load(Path("config/pipeline.toml"), "prod", {}), dashboard="{name}-{stage}-{region}")


def test_body_is_one_that_cloudwatch_takes(pipeline: Pipeline) -> None:
    [spec] = deployment(pipeline, ACCOUNT, {}).dashboards
    assert spec.name == "totes-prod-eu-west-2"
    assert list(dashboard_problems(spec)) == []
    cells = [
        (x, y)
        for widget in spec.body["widgets"]
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells)), "no widget is on another"


def test_each_metric_of_the_functions_is_shown_and_no_other(pipeline: Pipeline) -> None:
    """Those that the functions put, with the dimension that they put them with; and those of Lambda."""
    found = {metric for widget in body(pipeline, (), ACCOUNT)["widgets"] for metric in metrics_of(widget)}
    own = {(metric.name, function) for metric in METRICS for function in metric.functions}
    declared = {(name, function) for name, function in own if function in pipeline.functions}
    assert {(m[1], m[3].removeprefix("totes-prod-")) for m in found if m[0] == "totes-prod"} == declared
    assert {metric[1] for metric in found if metric[0] == "AWS/Lambda"} <= OF_LAMBDA
    assert {metric[0] for metric in found} == {"totes-prod", "AWS/Lambda"}
    assert {metric[2] for metric in found} == {"FunctionName"}


def test_promise_is_a_line_where_there_is_one(pipeline: Pipeline) -> None:
    for within, expected in (("30 minutes", [1800.0]), (None, [])):
        widgets = body(replace(pipeline, fresh_within=within), (), ACCOUNT)["widgets"]
        lines = [
            each["properties"]["annotations"]["horizontal"] for each in widgets if "annotations" in each["properties"]
        ]
        assert [line["value"] for found in lines for line in found] == expected


def test_alarms_of_the_functions_are_shown(pipeline: Pipeline) -> None:
    wanted = deployment(pipeline, ACCOUNT, {})
    [widget] = [each for each in wanted.dashboards[0].body["widgets"] if each["type"] == "alarm"]
    names = [f"{spec.name}-{alarm.name}" for spec in wanted.functions for alarm in spec.alarms or ()]
    assert widget["properties"]["alarms"] == [f"arn:aws:cloudwatch:eu-west-2:{ACCOUNT}:alarm:{name}" for name in names]


def test_a_pipeline_without_the_table_has_no_dashboard(pipeline: Pipeline) -> None:
    assert dashboards(replace(pipeline, dashboard=None), (), ACCOUNT) == ()


def test_problem_of_the_body_is_found_by_its_metrics() -> None:
    """The check above would fail: a metric is read, and a wrong one is named."""
    widget = {"type": "metric", "x": 0, "y": 0, "width": 1, "height": 1}
    wrong = {**widget, "properties": {"region": "eu-west-2", "metrics": [["totes", "RowsLost", "FunctionName"]]}}
    [problem] = dashboard_problems(DashboardSpec("d", {"widgets": [wrong]}))
    assert "RowsLost" in problem
