"""An alarm as it is declared and as CloudWatch describes it, in one form."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_toolkit.aws.account import Place
from lambda_toolkit.resources.monitoring import alarm as alarms
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.spec.model import Alarm

HERE = Place("123456789012", "eu-west-2")
TOPIC = "arn:aws:sns:eu-west-2:123456789012:alerts"
LIVE: dict[str, Any] = {  # as CloudWatch describes an alarm: it omits what is empty
    "AlarmName": "f-a",
    "ActionsEnabled": True,
    "MetricName": "Errors",
    "Namespace": "AWS/Lambda",
    "Statistic": "Sum",
    "Dimensions": [{"Name": "FunctionName", "Value": "f"}],
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "TreatMissingData": "notBreaching",
}
METRIC = {
    "Id": "m",
    "MetricStat": {
        "Metric": {
            "Namespace": "AWS/Lambda",
            "MetricName": "Errors",
            "Dimensions": [{"Name": "FunctionName", "Value": "f"}],
        },
        "Period": 60,
        "Stat": "Sum",
    },
    "ReturnData": False,
}
RESULT = {"Id": "e", "Expression": "FILL(m, 0)", "Label": "e", "ReturnData": True}
MEASURED = {
    **{name: value for name, value in LIVE.items() if name not in ("MetricName", "Namespace", "Statistic", "Period")},
    "Dimensions": [],
    "Metrics": [METRIC, RESULT],
}


def found(alarm: Alarm, live: dict[str, Any]) -> list[str]:
    desired = alarms._desired(HERE, "f", alarm)
    return [str(each) for each in differences(alarms._comparable(live), {**desired, **alarms._UNWANTED})]


SAME: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({}, LIVE),
    ({"threshold": 1}, LIVE),
    ({}, {**LIVE, "AlarmDescription": None, "AlarmActions": [], "Unit": "", "StateValue": "OK"}),
    ({}, {**LIVE, "DatapointsToAlarm": 1}),
    ({"evaluation_periods": 3, "datapoints_to_alarm": 3}, {**LIVE, "EvaluationPeriods": 3}),
    ({"evaluation_periods": 3, "datapoints_to_alarm": 3}, {**LIVE, "EvaluationPeriods": 3, "DatapointsToAlarm": 3}),
    ({"evaluation_periods": 3, "datapoints_to_alarm": 2}, {**LIVE, "EvaluationPeriods": 3, "DatapointsToAlarm": 2}),
    ({"topic": "alerts"}, {**LIVE, "AlarmActions": [TOPIC]}),
    ({"topic": TOPIC}, {**LIVE, "AlarmActions": [TOPIC], "OKActions": ["theirs"]}),
    ({"topic": TOPIC, "notify_on_ok": True}, {**LIVE, "AlarmActions": [TOPIC], "OKActions": [TOPIC]}),
    ({"topic": TOPIC, "notify_on_ok": False}, {**LIVE, "AlarmActions": [TOPIC]}),
    ({"notify_on_ok": True}, LIVE),
    ({"notify_on_insufficient_data": True}, LIVE),
    (
        {"topic": TOPIC, "notify_on_insufficient_data": True},
        {**LIVE, "AlarmActions": [TOPIC], "InsufficientDataActions": [TOPIC]},
    ),
    ({"dimensions": {}}, {**LIVE, "Dimensions": []}),
    ({"dimensions": {}}, {name: value for name, value in LIVE.items() if name != "Dimensions"}),
    (
        {"dimensions": {"b": "2", "a": "1"}},
        {**LIVE, "Dimensions": [{"Name": "a", "Value": "1"}, {"Name": "b", "Value": "2"}]},
    ),
    (
        {"alias": "live"},
        {**LIVE, "Dimensions": [*LIVE["Dimensions"], {"Name": "Resource", "Value": "f:live"}]},
    ),
    ({"expression": "FILL(m, 0)"}, MEASURED),
    ({"expression": "FILL(m, 0)"}, {**MEASURED, "Metrics": [RESULT, METRIC]}),
    ({"expression": "FILL(m, 0)"}, {**MEASURED, "Metrics": [METRIC, {"Id": "e", "Expression": "FILL(m, 0)"}]}),
)


@pytest.mark.parametrize(("declared", "live"), SAME)
def test_alarm_as_cloudwatch_describes_it_does_not_differ(declared: dict[str, Any], live: dict[str, Any]) -> None:
    assert found(Alarm("a", "Errors", **declared), live) == []


DIFFERENT: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
    ({"description": "d"}, LIVE, "AlarmDescription: none -> d"),
    ({}, {**LIVE, "AlarmDescription": "d"}, "AlarmDescription: d -> none"),
    ({}, {**LIVE, "MetricName": "Throttles"}, "MetricName: Throttles -> Errors"),
    ({}, {**LIVE, "Namespace": "own"}, "Namespace: own -> AWS/Lambda"),
    ({}, {**LIVE, "Statistic": "Average"}, "Statistic: Average -> Sum"),
    ({}, {**LIVE, "Period": 300}, "Period: 300 -> 60"),
    ({}, {**LIVE, "Dimensions": []}, "Dimensions.FunctionName: none -> f"),
    ({}, {**LIVE, "Threshold": 2.0}, "Threshold: 2.0 -> 1.0"),
    ({}, {**LIVE, "ComparisonOperator": "LessThanThreshold"}, "ComparisonOperator: LessThanThreshold -> Greater"),
    ({}, {**LIVE, "EvaluationPeriods": 2}, "EvaluationPeriods: 2 -> 1"),
    (
        {"evaluation_periods": 3},
        {**LIVE, "EvaluationPeriods": 3, "DatapointsToAlarm": 2},
        "DatapointsToAlarm: 2 -> none",
    ),
    ({}, {**LIVE, "TreatMissingData": "missing"}, "TreatMissingData: missing -> notBreaching"),
    ({}, {**LIVE, "AlarmActions": [TOPIC]}, f"AlarmActions: {TOPIC} -> none"),
    ({}, {**LIVE, "InsufficientDataActions": [TOPIC]}, f"InsufficientDataActions: {TOPIC} -> none"),
    ({"notify_on_ok": False}, {**LIVE, "OKActions": [TOPIC]}, f"OKActions: {TOPIC} -> none"),
    ({}, {**LIVE, "ActionsEnabled": False}, "ActionsEnabled: False -> True"),
    ({}, {**LIVE, "Unit": "Count"}, "Unit: Count -> none"),
    ({"expression": "FILL(m, 1)"}, MEASURED, "Metrics: "),
    ({"expression": "FILL(m, 0)", "period": 300}, MEASURED, "Metrics: "),
    ({"expression": "FILL(m, 0)", "statistic": "Average"}, MEASURED, "Metrics: "),
    ({"expression": "FILL(m, 0)", "alias": "live"}, MEASURED, "Metrics: "),
    ({"expression": "FILL(m, 0)"}, {**MEASURED, "Metrics": [{**METRIC, "ReturnData": True}, RESULT]}, "Metrics: "),
)


@pytest.mark.parametrize(("declared", "live", "says"), DIFFERENT)
def test_each_attribute_that_differs_is_named(declared: dict[str, Any], live: dict[str, Any], says: str) -> None:
    [difference] = found(Alarm("a", "Errors", **declared), live)
    assert difference.startswith(says)


def test_expression_takes_the_place_of_one_metric_and_back() -> None:
    of_one = ("MetricName", "Namespace", "Dimensions", "Statistic", "Period")
    for declared, live in (({}, MEASURED), ({"expression": "FILL(m, 0)"}, LIVE)):
        differing = {each.partition(":")[0].partition(".")[0] for each in found(Alarm("a", "Errors", **declared), live)}
        assert differing == {*of_one, "Metrics"}


def test_alarm_has_one_metric_or_an_expression() -> None:
    assert "Metrics" not in alarms._request(alarms._desired(HERE, "f", Alarm("a", "Errors")))
    measured = alarms._request(alarms._desired(HERE, "f", Alarm("a", "Errors", expression="FILL(m, 0)")))
    assert {"MetricName", "Namespace", "Dimensions", "Statistic", "Period"}.isdisjoint(measured)
    assert measured["Metrics"] == [{name: value for name, value in RESULT.items() if name != "Label"}, METRIC]
