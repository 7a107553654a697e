"""The pipeline's dashboard in CloudWatch shows metrics that exist, of functions that are declared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.config.aws.cloudwatch_dashboard import BEHIND, body, dashboards
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


def test_graphs_are_two_in_a_row_below_the_alarms(pipeline: Pipeline) -> None:
    """What each shows, by metric and statistic; and where: 24 units across, the alarms four in a row."""
    wanted = deployment(pipeline, ACCOUNT, {})
    shown = body(pipeline, wanted.functions, ACCOUNT)
    assert (shown["start"], shown["periodOverride"]) == ("-PT12H", "inherit")
    text, alarms, *graphs = shown["widgets"]
    assert (text["type"], [text[key] for key in ("x", "y", "width", "height")]) == ("text", [0, 0, 24, 2])
    assert "stage prod" in text["properties"]["markdown"] and "status --stage prod" in text["properties"]["markdown"]
    count = sum(len(spec.alarms or ()) for spec in wanted.functions)
    height = 1 + -(-count // 4)
    assert [alarms[key] for key in ("x", "y", "width", "height")] == [0, 2, 24, height]
    assert alarms["properties"]["title"] == "Alarms"
    assert [(each["x"], each["y"], each["width"], each["height"]) for each in graphs] == [
        (12 * (at % 2), 2 + height + 6 * (at // 2), 12, 6) for at in range(8)
    ]
    kinds = {
        each["properties"]["title"]: sorted(
            {(metric[1], metric[4]["stat"]) for metric in each["properties"]["metrics"]}
        )
        for each in graphs
    }
    assert kinds == {
        BEHIND: [("SecondsBehind", "Maximum"), ("SecondsOverdue", "Maximum")],
        "Latency of batches: snapshot to commit": [("BatchLatency", "Maximum")],
        "Rows and versions": [("RowsExtracted", "Sum"), ("VersionsWritten", "Sum")],
        "Rejected and pending rows": [
            *(("OpenPendingRows", "Maximum"), ("OpenRejectedRows", "Maximum"), ("RowsRejected", "Sum")),
        ],
        "Errors": [("Errors", "Sum")],
        "Runs": [("Invocations", "Sum")],
        "Duration, milliseconds": [("Duration", "Maximum")],
        "Memory, MB": [("MemoryUsed", "Maximum")],
    }
    assert all(each["type"] == "metric" and each["properties"]["region"] == "eu-west-2" for each in graphs)
    assert {(each["properties"]["view"], each["properties"]["period"]) for each in graphs} == {("timeSeries", 300)}
    [line] = [metric for metric in graphs[4]["properties"]["metrics"] if metric[4]["label"] == "load"]
    assert line == ["AWS/Lambda", "Errors", "FunctionName", "totes-prod-load", {"stat": "Sum", "label": "load"}]
    rejected = [metric[4]["label"] for metric in graphs[3]["properties"]["metrics"]]
    assert "RowsRejected (transform)" in rejected and "RowsRejected (load)" in rejected
    few = replace(wanted.functions[0], alarms=(wanted.functions[0].alarms or ())[:1] * 5)
    assert [body(pipeline, [few], ACCOUNT)["widgets"][1]["height"], len(body(pipeline, (), ACCOUNT)["widgets"])] == [
        3,
        9,
    ]
    assert body(pipeline, (), ACCOUNT)["widgets"][1]["y"] == 2


def test_pipeline_without_a_function_lacks_its_graphs(pipeline: Pipeline) -> None:
    extract = replace(pipeline, functions={"extract": pipeline.functions["extract"]})
    titles = [each["properties"].get("title") for each in body(extract, (), ACCOUNT)["widgets"]]
    assert titles == [None, "Rows and versions", "Errors", "Runs", "Duration, milliseconds", "Memory, MB"]


def test_promise_is_a_line_where_there_is_one(pipeline: Pipeline) -> None:
    thirty = {"label": "promised: 30 minutes", "value": 1800.0}
    for within, expected in (("30 minutes", [thirty]), (None, [])):
        widgets = body(replace(pipeline, fresh_within=within), (), ACCOUNT)["widgets"]
        lines = [
            each["properties"]["annotations"]["horizontal"] for each in widgets if "annotations" in each["properties"]
        ]
        assert [line for found in lines for line in found] == expected


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
