"""When an alarm changes to ALARM and back to OK, and which metrics a log line in the embedded metric format has."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.local_stack.alarm_evaluator import AlarmEvaluator, Datum, evaluate, metrics_in

NOON = 1_700_006_400.0  # the start of a minute


def alarm(**changes: Any) -> dict[str, Any]:
    return {
        "AlarmName": "errors", "Namespace": "AWS/Lambda", "MetricName": "Errors", "Statistic": "Sum",
        "Dimensions": [{"Name": "FunctionName", "Value": "extract"}], "Period": 60, "EvaluationPeriods": 1,
        "Threshold": 1.0, "ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching",
        "StateValue": "OK", **changes,
    }  # fmt: skip


def state(values: dict[float, float], now: float = NOON + 10, **changes: Any) -> str | None:
    evaluated = evaluate(alarm(**changes), values, now)
    return None if evaluated is None else evaluated[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "OK"),
        ({NOON: 0}, "OK"),
        ({NOON: 1}, "ALARM"),
        ({NOON - 60: 1}, "ALARM"),  # the minute that just ended: its last second must count
        ({NOON - 60: 1, NOON: 0}, "ALARM"),
        ({NOON - 120: 1}, "OK"),
    ],
)
def test_an_alarm_with_one_period(values: dict[float, float], expected: str) -> None:
    assert state(values) == expected


@pytest.mark.parametrize(
    ("treatment", "values", "expected"),
    [
        ("missing", {}, "INSUFFICIENT_DATA"),
        ("ignore", {}, None),
        ("breaching", {}, "ALARM"),
        ("notBreaching", {}, "OK"),
        ("missing", {NOON: 0}, "OK"),
        ("ignore", {NOON - 60: 0}, "OK"),
        ("breaching", {NOON - 60: 0}, "OK"),
    ],
)
def test_missing_data_is_treated_as_the_alarm_says(
    treatment: str, values: dict[float, float], expected: str | None
) -> None:
    assert state(values, TreatMissingData=treatment) == expected


def test_all_evaluation_periods_must_breach() -> None:
    assert state({NOON: 1}, EvaluationPeriods=2) == "OK"
    assert state({NOON: 1, NOON - 60: 1}, EvaluationPeriods=2) == "ALARM"


def test_unless_the_alarm_says_how_many() -> None:
    assert state({NOON - 120: 1, NOON: 0, NOON - 60: 0}, EvaluationPeriods=3, DatapointsToAlarm=1) == "ALARM"
    assert state({NOON - 120: 1}, EvaluationPeriods=3, DatapointsToAlarm=2) == "OK"


@pytest.mark.parametrize(
    ("comparison", "at", "above", "below"),
    [
        ("GreaterThanOrEqualToThreshold", "ALARM", "ALARM", "OK"),
        ("GreaterThanThreshold", "OK", "ALARM", "OK"),
        ("LessThanOrEqualToThreshold", "ALARM", "OK", "ALARM"),
        ("LessThanThreshold", "OK", "OK", "ALARM"),
    ],
)
def test_comparisons(comparison: str, at: str, above: str, below: str) -> None:
    found = [state({NOON: value}, ComparisonOperator=comparison) for value in (1, 2, 0)]
    assert found == [at, above, below]


def test_the_reason_says_what_was_found() -> None:
    evaluated = evaluate(alarm(), {NOON: 3}, NOON)
    assert evaluated is not None
    assert evaluated[1] == "Errors (Sum over 60 s) GreaterThanOrEqualToThreshold 1: 3"


def emf(**changes: Any) -> dict[str, Any]:
    directive = {
        "Namespace": "totes",
        "Dimensions": [["FunctionName"], []],
        "Metrics": [{"Name": "RowsRejected", "Unit": "Count"}],
    }
    metadata = {"Timestamp": 1_700_000_000_000, "CloudWatchMetrics": [directive]}
    return {"_aws": metadata, "FunctionName": "transform", "RowsRejected": [2.0, 1.0], **changes}


def test_a_log_line_may_hold_metrics() -> None:
    found = list(metrics_in("2026-01-01 INFO " + json.dumps(emf())))

    dimensions: list[tuple[tuple[str, str], ...]] = [(("FunctionName", "transform"),), ()]
    assert found == [Datum("totes", "RowsRejected", "Count", each, (2.0, 1.0), 1_700_000_000.0) for each in dimensions]
    assert found[0].request()["Dimensions"] == [{"Name": "FunctionName", "Value": "transform"}]
    assert found[0].request()["Timestamp"] == datetime.fromtimestamp(1_700_000_000, UTC)


@pytest.mark.parametrize(
    "line",
    [
        "an ordinary line",
        '{"message": "CloudWatchMetrics"}',
        'no JSON: "CloudWatchMetrics"',
        json.dumps({"_aws": {"CloudWatchMetrics": []}}),
        json.dumps(emf(RowsRejected="many")),
        json.dumps({key: value for key, value in emf().items() if key != "FunctionName"}),
    ],
)
def test_a_line_that_does_not_keep_to_the_format_stays_a_line(line: str) -> None:
    assert list(metrics_in(line)) == []


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_no_line_breaks_the_clock(line: str) -> None:
    assert list(metrics_in(line + '"CloudWatchMetrics"')) == []


class Api:
    """A CloudWatch and its logs in memory, one page for each answer."""

    def __init__(self, alarms: list[dict[str, Any]], lines: list[str], values: dict[float, float]) -> None:
        self.answers = {
            "describe_alarms": {"MetricAlarms": alarms},
            "describe_log_groups": {"logGroups": [{"logGroupName": "/aws/lambda/transform"}]},
            "filter_log_events": {
                "events": [{"logStreamName": "s", "timestamp": int(NOON * 1000), "message": line} for line in lines]
            },
        }
        self.values = values
        self.put: list[dict[str, Any]] = []
        self.states: list[tuple[str, str]] = []

    def get_paginator(self, operation: str) -> Any:
        api = self

        class Paginator:
            def paginate(self, **arguments: Any) -> list[dict[str, Any]]:
                if operation != "get_metric_data":
                    return [api.answers[operation]]
                times = [datetime.fromtimestamp(at, UTC) for at in api.values]
                return [
                    {"MetricDataResults": [{"Id": query["Id"], "Timestamps": times, "Values": [*api.values.values()]}]}
                    for query in arguments["MetricDataQueries"]
                ]

        return Paginator()

    def put_metric_data(self, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803
        self.put.extend({"Namespace": Namespace, **datum} for datum in MetricData)

    def set_alarm_state(self, AlarmName: str, StateValue: str, StateReason: str) -> None:  # noqa: N803
        self.states.append((AlarmName, StateValue))


def test_tick_publishes_each_line_once_and_only_new_states() -> None:
    """A tick publishes each line once and sets only what changed."""
    api = Api(
        [alarm(AlarmName="calm", Threshold=5.0), alarm(AlarmName="loud"), alarm(AlarmName="known", StateValue="ALARM")],
        [json.dumps(emf()), "an ordinary line"],
        {NOON: 1},
    )
    clock = AlarmEvaluator(api, api, since=NOON)

    clock.tick(NOON + 1)
    clock.tick(NOON + 2)

    assert [(datum["Namespace"], datum["MetricName"]) for datum in api.put] == [("totes", "RowsRejected")] * 2
    assert api.states == [("loud", "ALARM")] * 2  # the API in memory does not remember what was set


def test_without_alarms_nothing_is_asked_for() -> None:
    api = Api([], [], {})

    AlarmEvaluator(api, api, since=NOON).tick(NOON)

    assert (api.put, api.states) == ([], [])
