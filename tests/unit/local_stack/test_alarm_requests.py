"""What the clock of the alarms asks CloudWatch and its logs for, and how it puts values together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack.alerting import alarm_evaluator, metric_windows
from lambda_toolkit.pipeline.local_stack.alerting.alarm_evaluator import AlarmEvaluator, evaluate_expression
from lambda_toolkit.pipeline.local_stack.alerting.metric_windows import Windows, math_alarm
from lambda_toolkit.spec.metric_math import ExpressionError

NOON = 1_700_006_400.0  # the start of a minute


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOON + seconds, UTC)


class Asked:
    """Answers with the pages that are given for each operation; keeps what it was asked for."""

    def __init__(self, **pages: list[dict[str, Any]]) -> None:
        self.pages = pages
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def get_paginator(self, operation: str) -> Any:
        api = self

        class Paginator:
            def paginate(self, **arguments: Any) -> list[dict[str, Any]]:
                api.asked.append((operation, arguments))
                return api.pages.get(operation, [{}])

        return Paginator()

    def put_metric_data(self, **arguments: Any) -> None:
        self.asked.append(("put", arguments))

    def set_alarm_state(self, **arguments: Any) -> None:
        self.asked.append(("set", arguments))


METRIC = {"Namespace": "AWS/Lambda", "MetricName": "Errors"}
ALARM = {
    "AlarmName": "one",
    **METRIC,
    "ExtendedStatistic": "p99",
    "Period": 60,
    "EvaluationPeriods": 3,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "StateValue": "OK",
}


def test_values_of_alarms_are_read_from_the_first_period_on() -> None:
    dimensions = [{"Name": "FunctionName", "Value": "f"}]
    other = {**ALARM, "AlarmName": "two", "Statistic": "Sum", "Period": 300, "EvaluationPeriods": 1}
    unknown = {**ALARM, "AlarmName": "three", "ComparisonOperator": "LessThanLowerOrGreaterThanUpperThreshold"}
    results = [
        {"Id": "a0", "Timestamps": [at(0)], "Values": [5.0]},
        {"Id": "a1", "Timestamps": [at(0)], "Values": [7.0]},
        {"Id": "a1", "Timestamps": [at(-300)], "Values": [8.0]},
    ]
    api: Any = Asked(
        describe_alarms=[{"MetricAlarms": [ALARM]}, {"MetricAlarms": [{**other, "Dimensions": dimensions}, unknown]}],
        get_metric_data=[{"MetricDataResults": results[:1]}, {"MetricDataResults": results[1:]}],
    )
    evaluator = AlarmEvaluator(api, api, since=NOON)
    evaluator.evaluate_alarms(NOON + 70.5)
    _, (operation, arguments), *states = api.asked
    assert (operation, arguments) == (
        "get_metric_data",
        {
            "MetricDataQueries": [
                {
                    "Id": "a0",
                    "MetricStat": {"Metric": {**METRIC, "Dimensions": []}, "Period": 60, "Stat": "p99"},
                },
                {
                    "Id": "a1",
                    "MetricStat": {"Metric": {**METRIC, "Dimensions": dimensions}, "Period": 300, "Stat": "Sum"},
                },
            ],
            "StartTime": at(-300),
            "EndTime": at(72),
        },
    )
    assert [each["AlarmName"] for _, each in states] == ["two"], "the first has one breach in three periods"
    assert evaluator._values([ALARM, other], NOON) == {"one": {NOON: 5.0}, "two": {NOON: 7.0, NOON - 300: 8.0}}
    assert evaluator._values([], NOON) == {}


def line(at_: float) -> dict[str, Any]:
    directive = {"Namespace": f"n{at_}", "Dimensions": [], "Metrics": [{"Name": "a"}]}
    text = json.dumps({"_aws": {"Timestamp": NOON * 1000, "CloudWatchMetrics": [directive]}, "a": 3})
    return {"logStreamName": "s", "timestamp": int((NOON + at_) * 1000), "message": text}


def test_lines_are_read_again_and_counted_once() -> None:
    """They may arrive five seconds late; what is older than ten is forgotten, and is not read any more."""
    api: Any = Asked(describe_log_groups=[{"logGroups": [{"logGroupName": "/g"}]}])
    clock = AlarmEvaluator(api, api, since=NOON)
    published = []
    for now, events in ((1, [0]), (2, [0, -4]), (3, [0, -4]), (13, [0, 3])):
        api.asked.clear()
        api.pages["filter_log_events"] = [{"events": [line(each)]} for each in events]
        clock.publish_log_metrics(NOON + now)
        published.append([each["Namespace"] for name, each in api.asked if name == "put"])
        begin = next(each for name, each in api.asked if name == "filter_log_events")
        assert begin["logGroupName"] == "/g"
        assert begin["startTime"] == int((NOON - 5 + {1: 0, 2: 1, 3: 2, 13: 3}[now]) * 1000)
    assert published == [["n0"], ["n-4"], [], ["n3"]]
    assert sorted(clock._counted.values()) == [NOON + 3]


def test_metrics_are_put_by_namespace_and_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm_evaluator, "_DATA", 2)
    api: Any = Asked(
        describe_log_groups=[{"logGroups": [{"logGroupName": "/g"}]}],
        filter_log_events=[{"events": [{**line(0), "logStreamName": str(n)} for n in range(3)] + [line(1)]}],
    )
    AlarmEvaluator(api, api, since=NOON).publish_log_metrics(NOON)
    put = [(each["Namespace"], len(each["MetricData"])) for name, each in api.asked if name == "put"]
    assert put == [("n0", 2), ("n0", 1), ("n1", 1)]
    datum = {"MetricName": "a", "Unit": "None", "Dimensions": [], "Values": [3.0], "Timestamp": at(0)}
    assert next(each for name, each in api.asked if name == "put")["MetricData"][0] == datum


@pytest.mark.parametrize(
    ("changed", "values", "state", "reason"),
    [
        ({}, [5.0, None, 1.0], "OK", "a + b GreaterThanThreshold 1 in 3 of 3 periods: 5, none, 1"),
        ({"DatapointsToAlarm": 1}, [5.0, None], "ALARM", "a + b GreaterThanThreshold 1 in 1 of 2 periods: 5, none"),
        ({"DatapointsToAlarm": 2}, [5.0, None], "OK", None),
        ({"DatapointsToAlarm": 2, "TreatMissingData": "breaching"}, [5.0, None], "ALARM", None),
        ({"TreatMissingData": "notBreaching"}, [None, None], "OK", None),
        ({}, [None, None], "INSUFFICIENT_DATA", "There is no data for a + b."),
        ({"TreatMissingData": "breaching"}, [None, None, None], "ALARM", None),
        ({"TreatMissingData": "ignore"}, [None, None], None, None),
        ({"TreatMissingData": "ignore"}, [0.0, None], "OK", None),
    ],
)
def test_expression_breaches_in_so_many_periods(changed, values, state, reason) -> None:
    found = evaluate_expression({**ALARM, **changed}, "a + b", values)
    assert (found and found[0]) == state
    assert reason is None or (found is not None and found[1] == reason)


STAT = {"Metric": METRIC, "Period": 60, "Stat": "Sum"}
OTHER = {"Metric": {**METRIC, "Dimensions": [{"Name": "b", "Value": "2"}]}, "Period": 60, "Stat": "Maximum"}


def math(*items: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {"AlarmName": "math", "EvaluationPeriods": 2, "Metrics": list(items), **changed}


M = {"Id": "m", "MetricStat": STAT, "ReturnData": False}
N = {"Id": "n", "MetricStat": OTHER, "ReturnData": False}
E = {"Id": "e", "Expression": "m + n"}


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ([M, N], "one expression over metrics"),
        ([M, N, E, {"Id": "f", "Expression": "m"}], "one expression over metrics"),
        ([M, N, E, {"Id": "f", "Expression": "m", "ReturnData": False}], "one expression over metrics"),
        ([M, {**N, "ReturnData": True}, E], "one expression over metrics"),
        ([M, {**N, "MetricStat": {**OTHER, "Period": 300}}, E], "metrics of one period"),
        ([M, {**N, "MetricStat": {**OTHER, "Stat": "Average"}}, E], "the statistic Average is not known here"),
    ],
)
def test_expression_that_is_not_known_is_refused(items: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        math_alarm(math(*items))


def test_expression_has_its_metrics() -> None:
    found = math_alarm(math(M, N, E))
    assert (found.name, found.text, found.period, found.periods) == ("math", "m + n", 60, 2)
    assert found.metrics == {"m": STAT, "n": OTHER}
    assert math_alarm(math({"Id": "m", "MetricStat": STAT})).text == "m", "a metric alone"


def test_windows_end_now_and_are_made_of_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_windows, "_QUERIES", 1)
    asked: list[dict[str, Any]] = []
    points = {
        "Sum": {18: 1.0, 12: 2.0, -36: 4.0, -42: 8.0, -96: 16.0, -102: 32.0},
        "Maximum": {18: 1.0, -36: 5.0},
        "SampleCount": {-3600: 1.0},
    }

    def read(**query: Any) -> Iterator[dict[str, Any]]:
        asked.append(query)
        [one] = query["MetricDataQueries"]
        found = points[one["MetricStat"]["Stat"]]
        yield {"Id": one["Id"], "Timestamps": [at(each) for each in found], "Values": list(found.values())}

    windows = Windows(read)
    alarm = math_alarm(math(M, N, E))
    # The newest period ends with the slice of 6 s that 20 is in: at 24; it begins at -36.
    assert windows.values([alarm], NOON + 20) == {"math": [1 + 2 + 4 + 5, None]}
    first, _, third, fourth = asked
    assert first == {
        "MetricDataQueries": [{"Id": "q0", "MetricStat": {**STAT, "Period": 3600, "Stat": "SampleCount"}}],
        "StartTime": at(20 - 86_400),
        "EndTime": at(21),
    }
    assert third == {
        "MetricDataQueries": [{"Id": "q0", "MetricStat": {**STAT, "Period": 6}}],
        "StartTime": at(20 - 180),
        "EndTime": at(21),
    }
    assert fourth["MetricDataQueries"] == [{"Id": "q1", "MetricStat": {**OTHER, "Period": 6}}]
    asked.clear()
    windows.values([alarm], NOON + 20)
    assert len(asked) == 2, "that they have values is remembered"
    filled = math_alarm(math(M, {"Id": "e", "Expression": "FILL(m, 0)"}))
    assert windows.values([filled], NOON + 20) == {"math": [7.0, 24.0]}
    points["SampleCount"] = {}
    assert Windows(read).values([filled], NOON + 20) == {"math": [None, None]}
    assert Windows(read).values([], NOON) == {}


@pytest.mark.parametrize(
    ("statistic", "value"), [("Sum", 6.0), ("SampleCount", 6.0), ("Maximum", 4.0), ("Minimum", 2.0)]
)
def test_slices_are_put_together_by_their_statistic(statistic: str, value: float) -> None:
    def read(**query: Any) -> Iterator[dict[str, Any]]:
        for one in query["MetricDataQueries"]:
            yield {"Id": one["Id"], "Timestamps": [at(12), at(18)], "Values": [4.0, 2.0]}

    alarm = math_alarm(math({"Id": "m", "MetricStat": {**STAT, "Stat": statistic}}))
    assert Windows(read).values([alarm], NOON + 20) == {"math": [value, None]}


def test_calls_keep_to_the_limits_of_cloudwatch() -> None:
    """500 queries a call, and 1000 values."""
    asked: list[int] = []
    windows = Windows(lambda **query: asked.append(len(query["MetricDataQueries"])) or ())
    assert windows._get([STAT] * 501, NOON, NOON) == [{}] * 501 and asked == [500, 1]
    alarms = [{**ALARM, "AlarmName": str(number)} for number in range(501)]
    api: Any = Asked(
        describe_alarms=[{"MetricAlarms": alarms}],
        describe_log_groups=[{"logGroups": [{"logGroupName": "/g"}]}],
        filter_log_events=[{"events": [{**line(0), "logStreamName": str(number)} for number in range(1001)]}],
    )
    AlarmEvaluator(api, api, since=NOON).tick(NOON)
    sizes = [len(of["MetricData"]) for name, of in api.asked if name == "put"]
    assert sizes == [1000, 1]
    assert [len(of["MetricDataQueries"]) for name, of in api.asked if name == "get_metric_data"] == [500, 1]
