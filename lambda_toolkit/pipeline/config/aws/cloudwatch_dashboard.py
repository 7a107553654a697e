"""The pipeline's dashboard in CloudWatch: the picture of the web page, of metrics that the functions put. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lambda_script import Alarm, DashboardSpec, FunctionSpec
from lambda_toolkit.pipeline.config.aws.role_policy import partition
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.lambdas.shared.metrics import (
    BATCH_LATENCY,
    DIMENSION,
    MEMORY_USED,
    METRICS,
    OPEN_PENDING,
    OPEN_REJECTED,
    ROWS_EXTRACTED,
    ROWS_REJECTED,
    VERSIONS_WRITTEN,
    Metric,
)
from lambda_toolkit.pipeline.lambdas.shared.model.source_table import promise

START = "-PT12H"  # how far back the console shows at first
PERIOD = 300  # seconds
LAMBDA = "AWS/Lambda"
BEHIND = "How far the warehouse is behind, seconds"
_WIDTH, _HEIGHT = 12, 6  # grid units of a graph; the console has 24 across
_FRESHNESS = "freshness"  # the function that measures it

Panel = tuple[str, list[list[Any]]]
"""The title of a graph, and its metrics as CloudWatch has them."""


def dashboards(pipeline: Pipeline, functions: Sequence[FunctionSpec], account: str) -> tuple[DashboardSpec, ...]:
    """The dashboard, or none where none is declared. ``functions``: what is deployed, with their alarms.

    Raises ConfigurationError for a placeholder that is not known.
    """
    if pipeline.dashboard is None:
        return ()
    return (DashboardSpec(pipeline.expand(pipeline.dashboard, account), body(pipeline, functions, account)),)


def body(pipeline: Pipeline, functions: Sequence[FunctionSpec], account: str) -> dict[str, Any]:
    """CloudWatch's body: what to type on top, the states of the alarms, then two graphs in each row."""
    alarms = [_alarm_arn(pipeline, account, spec, alarm) for spec in functions for alarm in spec.alarms or ()]
    widgets = [_widget("text", 0, 0, 24, 2, {"markdown": _commands(pipeline)})]
    y = 2
    if alarms:
        height = 2 + (len(alarms) - 1) // 4
        widgets.append(_widget("alarm", 0, y, 24, height, {"title": "Alarms", "alarms": alarms}))
        y += height
    for number, (title, metrics) in enumerate(panels(pipeline)):
        properties: dict[str, Any] = {"title": title, "region": pipeline.region, "view": "timeSeries", "period": PERIOD}
        if title == BEHIND and (promised := _promise(pipeline)):
            properties["annotations"] = {"horizontal": [promised]}
        x, down = _WIDTH * (number % 2), _HEIGHT * (number // 2)
        widgets.append(_widget("metric", x, y + down, _WIDTH, _HEIGHT, {**properties, "metrics": metrics}))
    return {"start": START, "periodOverride": "inherit", "widgets": widgets}


def panels(pipeline: Pipeline) -> Iterator[Panel]:
    """The graphs, those without a metric of the declared functions excepted."""
    fresh = [metric for metric in METRICS if _FRESHNESS in metric.functions and metric is not MEMORY_USED]
    found: list[Panel] = [
        (BEHIND, _lines(pipeline, *fresh)),
        ("Latency of batches: snapshot to commit", _lines(pipeline, BATCH_LATENCY)),
        ("Rows and versions", _lines(pipeline, ROWS_EXTRACTED, VERSIONS_WRITTEN)),
        ("Rejected and pending rows", _lines(pipeline, OPEN_REJECTED, OPEN_PENDING, ROWS_REJECTED)),
        ("Errors", _of_lambda(pipeline, "Errors", "Sum")),
        ("Runs", _of_lambda(pipeline, "Invocations", "Sum")),
        ("Duration, milliseconds", _of_lambda(pipeline, "Duration", "Maximum")),
        ("Memory, MB", _lines(pipeline, MEMORY_USED)),
    ]
    return ((title, metrics) for title, metrics in found if metrics)


def _lines(pipeline: Pipeline, *metrics: Metric) -> list[list[Any]]:
    """The metrics, of each declared function that puts them."""
    return [
        [
            f"{pipeline.name}-{pipeline.stage}",
            metric.name,
            DIMENSION,
            pipeline.function_name(function),
            {"stat": metric.statistic, "label": f"{metric.name} ({function})"},
        ]
        for metric in metrics
        for function in metric.functions
        if function in pipeline.functions
    ]


def _of_lambda(pipeline: Pipeline, name: str, statistic: str) -> list[list[Any]]:
    """A metric that Lambda itself puts, of each declared function."""
    return [
        [LAMBDA, name, DIMENSION, pipeline.function_name(function), {"stat": statistic, "label": function}]
        for function in pipeline.functions
    ]


def _promise(pipeline: Pipeline) -> dict[str, Any] | None:
    """The line of what the pipeline promises, ``fresh_within``; tables may promise more, which no line shows."""
    within = promise("[pipeline]", pipeline.document)
    return {"label": f"promised: {pipeline.fresh_within}", "value": within.total_seconds()} if within else None


def _alarm_arn(pipeline: Pipeline, account: str, spec: FunctionSpec, alarm: Alarm) -> str:
    from lambda_toolkit.aws.account import Place  # imported on use, as what reads a file needs no AWS

    place = Place(account, pipeline.region, partition(pipeline.region))
    return place.arn("cloudwatch", f"alarm:{spec.name}-{alarm.name}")


def _commands(pipeline: Pipeline) -> str:
    stage = f"--stage {pipeline.stage}"
    return (
        f"**{pipeline.name}**, stage {pipeline.stage}. All in one: `status {stage}`. What failed: `logs {stage}`. "
        f"Rows that are missing, and why: `rejected {stage}`."
    )


def _widget(kind: str, x: int, y: int, width: int, height: int, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "x": x, "y": y, "width": width, "height": height, "properties": properties}
