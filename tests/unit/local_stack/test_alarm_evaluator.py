"""When an alarm changes to ALARM and back to OK, and which metrics a log line in the embedded metric format has."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.local_stack.alerting.alarm_evaluator import AlarmEvaluator, Datum, evaluate, metrics_in

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


def test_error_that_comes_late_is_seen_by_one_of_fifteen_periods() -> None:
    late = {NOON - 600: 1.0}  # of a run that ended now, and began ten minutes ago
    assert state(late) == "OK"
    assert state(late, EvaluationPeriods=15, DatapointsToAlarm=1) == "ALARM"
    assert state({NOON - 960: 1.0}, EvaluationPeriods=15, DatapointsToAlarm=1) == "OK"


@pytest.mark.parametrize(
    ("treatment", "values", "expected"),
    [
        ("missing", {}, "INSUFFICIENT_DATA"),
        (None, {}, "INSUFFICIENT_DATA"),
        ("ignore", {}, None),
        ("breaching", {}, "ALARM"),
        ("notBreaching", {}, "OK"),
        ("missing", {NOON: 0}, "OK"),
        ("ignore", {NOON - 60: 0}, "OK"),
        ("breaching", {NOON - 60: 0}, "OK"),
    ],
)
def test_missing_data_is_treated_as_the_alarm_says(
    treatment: str | None, values: dict[float, float], expected: str | None
) -> None:
    assert state(values, TreatMissingData=treatment) == expected


def test_what_was_before_the_alarm_was_made_is_not_missing() -> None:
    """Or each new alarm of which missing data are breaching would begin in alarm, until a function has run."""

    def found(made: float, values: dict[float, float], now: float) -> str:
        at = datetime.fromtimestamp(made, UTC)
        return state(values, now, TreatMissingData="breaching", AlarmConfigurationUpdatedTimestamp=at)

    assert found(NOON - 5, {}, NOON) == "OK"
    assert found(NOON - 5, {NOON: 0}, NOON + 30) == "OK"
    assert found(NOON - 5, {}, NOON + 61) == "ALARM", "a whole period without data has passed"
    assert found(NOON - 5, {NOON - 60: 1}, NOON) == "ALARM", "data are data"


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
    of_two = evaluate(alarm(EvaluationPeriods=2, DatapointsToAlarm=1), {NOON: 0, NOON - 60: 5}, NOON)
    assert of_two is not None and of_two[1].endswith(": 5"), "the value that breaches"


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
        pytest.param(json.dumps(emf(RowsRejected=10**400)), id="a number that is too large"),
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
        self.reasons: dict[str, str] = {}

    def get_paginator(self, operation: str) -> Any:
        api = self

        class Paginator:
            def paginate(self, **arguments: Any) -> list[dict[str, Any]]:
                if operation != "get_metric_data":
                    return [api.answers[operation]]
                start, end = (arguments[name].timestamp() for name in ("StartTime", "EndTime"))
                pages = []
                for query in arguments["MetricDataQueries"]:
                    period, found = query["MetricStat"]["Period"], dict[float, float]()
                    for at, value in api.values.items():
                        if start <= at < end:
                            found[at // period * period] = found.get(at // period * period, 0.0) + value
                    times = [datetime.fromtimestamp(at, UTC) for at in found]
                    result = {"Id": query["Id"], "Timestamps": times, "Values": [*found.values()]}
                    pages.append({"MetricDataResults": [result]})
                return pages

        return Paginator()

    def put_metric_data(self, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803
        self.put.extend({"Namespace": Namespace, **datum} for datum in MetricData)

    def set_alarm_state(self, AlarmName: str, StateValue: str, StateReason: str) -> None:  # noqa: N803
        self.states.append((AlarmName, StateValue))
        self.reasons[AlarmName] = StateReason


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


def silent(period: int = 60, periods: int = 3, expression: str = "FILL(m, 0)", **changes: Any) -> dict[str, Any]:
    metric = {
        "Namespace": "AWS/Lambda", "MetricName": "Invocations",
        "Dimensions": [{"Name": "FunctionName", "Value": "load"}],
    }  # fmt: skip
    return {
        "AlarmName": "silent", "EvaluationPeriods": periods, "Threshold": 1.0,
        "ComparisonOperator": "LessThanThreshold", "TreatMissingData": "missing", "StateValue": "OK",
        "Metrics": [
            {"Id": "e", "Expression": expression, "ReturnData": True},
            {"Id": "m", "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}, "ReturnData": False},
        ], **changes,
    }  # fmt: skip


def states_of(described: dict[str, Any], values: dict[float, float], *times: float) -> list[str]:
    """The state that is set at each of the times; that of before where none is."""
    found = []
    for now in times:
        api = Api([described], [], values)
        AlarmEvaluator(api, api, since=now).tick(now)
        found.append(api.states[-1][1] if api.states else described["StateValue"])
    return found


def test_silence_is_an_alarm_as_soon_as_its_time_has_passed() -> None:
    """Not before, and wherever in a period the last start was: the periods end now, as in CloudWatch."""
    for last in (NOON, NOON + 29, NOON + 59):
        at = [last + seconds for seconds in (0, 61, 150, 172, 187, 3600)]
        assert states_of(silent(), {last - 600: 1, last: 1}, *at) == ["OK"] * 4 + ["ALARM"] * 2
    again = {NOON: 1, NOON + 900: 1}
    assert states_of(silent(StateValue="ALARM"), again, NOON + 890, NOON + 901) == ["ALARM", "OK"]


def test_metric_without_any_value_is_no_silence() -> None:
    """A function that was just created was not started for a quarter of an hour, and nothing is wrong with it."""
    assert states_of(silent(), {}, NOON) == ["INSUFFICIENT_DATA"]
    assert states_of(silent(TreatMissingData="breaching"), {}, NOON) == ["ALARM"]
    assert states_of(silent(TreatMissingData="ignore"), {}, NOON) == ["OK"]


def test_so_many_points_of_an_expression_make_an_alarm() -> None:
    values = {NOON - 70: 1}  # in the second of four periods
    found = [states_of(silent(periods=4, DatapointsToAlarm=points), values, NOON) for points in (3, 4)]
    assert found == [["ALARM"], ["OK"]]


@pytest.mark.parametrize(
    ("expression", "changed", "says"),
    [
        ("RATE(m)", {}, "the function RATE is not known here"),
        ("FILL(m, 0)", {"Stat": "p99"}, "the statistic p99 is not known here"),
    ],
)
def test_expression_that_is_not_evaluated_is_named(expression: str, changed: dict[str, Any], says: str) -> None:
    described = silent(expression=expression)
    described["Metrics"][1]["MetricStat"].update(changed)
    api = Api([described, alarm(AlarmName="loud")], [], {NOON: 1})
    AlarmEvaluator(api, api, since=NOON).tick(NOON)
    assert sorted(api.states) == [("loud", "ALARM"), ("silent", "INSUFFICIENT_DATA")]
    assert says in api.reasons["silent"]
    api = Api([{**described, "StateValue": "INSUFFICIENT_DATA", "StateReason": api.reasons["silent"]}], [], {})
    AlarmEvaluator(api, api, since=NOON).tick(NOON)
    assert api.states == [], "it is said once"
    api = Api([{**described, "StateValue": "INSUFFICIENT_DATA", "StateReason": "of CloudWatch"}], [], {})
    AlarmEvaluator(api, api, since=NOON).tick(NOON)
    assert says in api.reasons["silent"]


def test_without_alarms_nothing_is_asked_for() -> None:
    api = Api([], [], {})

    AlarmEvaluator(api, api, since=NOON).tick(NOON)

    assert (api.put, api.states) == ([], [])
