"""The values of metrics, and of expressions over them, in periods that end now: what alarms with ``Metrics`` compare.

CloudWatch evaluates an alarm every minute, over periods that end then. So does this, at each look: a period is made of
slices of a tenth of it, which the emulator has data for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lambda_toolkit.spec.metric_math import Expression, ExpressionError, Series, parse

SLICES = 10  # of a period; periods are 10, 20, 30 or multiples of 60 seconds
_HOUR, _DAY = 3600, 86_400  # seconds
_QUERIES = 500  # GetMetricData takes at most this many per call
_MERGED: Mapping[str, Callable[[Iterable[float]], float]] = {
    "Sum": sum,
    "SampleCount": sum,
    "Maximum": max,
    "Minimum": min,
}

Read = Callable[..., Iterable[Mapping[str, Any]]]
"""The results of GetMetricData, of all pages, for its arguments."""


@dataclass(frozen=True)
class MathAlarm:
    """An alarm on an expression over metrics."""

    name: str
    expression: Expression
    text: str
    metrics: Mapping[str, Mapping[str, Any]]
    """Each ``MetricStat`` by its id."""
    period: int
    periods: int


def math_alarm(alarm: Mapping[str, Any]) -> MathAlarm:
    """``alarm``, as DescribeAlarms has it. Raises ExpressionError for what is not evaluated here, by its name."""
    metrics = {item["Id"]: item["MetricStat"] for item in alarm["Metrics"] if item.get("MetricStat")}
    results = [item for item in alarm["Metrics"] if item.get("ReturnData", True)]
    expressions = [item for item in alarm["Metrics"] if item.get("Expression")]
    if len(results) != 1 or any(item not in results for item in expressions):
        raise ExpressionError("one expression over metrics is known here")
    text = results[0].get("Expression") or results[0]["Id"]
    periods = {int(stat["Period"]) for stat in metrics.values()}
    if len(periods) != 1:
        raise ExpressionError("metrics of one period are known here")
    for stat in metrics.values():
        if stat["Stat"] not in _MERGED:
            raise ExpressionError(f"the statistic {stat['Stat']} is not known here; {', '.join(_MERGED)} are")
    return MathAlarm(
        alarm["AlarmName"], parse(text, metrics), text, metrics, periods.pop(), int(alarm["EvaluationPeriods"])
    )


class Windows:
    """Reads the windows of alarms. Remembers which metrics ever had a value."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known: set[str] = set()

    def values(self, alarms: Sequence[MathAlarm], now: float) -> dict[str, list[float | None]]:
        """By alarm: the values of its expression in its periods, from the one that ends now to the oldest."""
        stats = {_identity(stat): stat for alarm in alarms for stat in alarm.metrics.values()}
        self._known |= self._with_values({key: stats[key] for key in stats if key not in self._known}, now)
        wanted = [(alarm, name, stat) for alarm in alarms for name, stat in alarm.metrics.items()]
        queries = [{**stat, "Period": alarm.period // SLICES} for alarm, _, stat in wanted]
        longest = max((alarm.period * (alarm.periods + 1) for alarm in alarms), default=0)
        series: dict[str, dict[str, Series | None]] = {alarm.name: {} for alarm in alarms}
        for (alarm, name, stat), slices in zip(wanted, self._get(queries, now - longest, now), strict=True):
            known = _identity(stat) in self._known
            series[alarm.name][name] = _merged(slices, stat["Stat"], alarm, now) if known else None
        return {alarm.name: alarm.expression(series[alarm.name], alarm.periods) for alarm in alarms}

    def _with_values(self, stats: Mapping[str, Mapping[str, Any]], now: float) -> set[str]:
        """Which of the metrics had a value during the last day."""
        queries = [{**stat, "Period": _HOUR, "Stat": "SampleCount"} for stat in stats.values()]
        return {key for key, points in zip(stats, self._get(queries, now - _DAY, now), strict=True) if points}

    def _get(self, stats: Sequence[Mapping[str, Any]], start: float, now: float) -> list[dict[float, float]]:
        """For each of ``stats``, its value by the start of its period (seconds since 1970)."""
        found: list[dict[float, float]] = [{} for _ in stats]
        for first in range(0, len(stats), _QUERIES):
            some = range(first, min(first + _QUERIES, len(stats)))
            for result in self._read(
                MetricDataQueries=[{"Id": f"q{number}", "MetricStat": stats[number]} for number in some],
                StartTime=datetime.fromtimestamp(math.floor(start), UTC),
                EndTime=datetime.fromtimestamp(math.ceil(now) + 1, UTC),
            ):
                points = zip(result["Timestamps"], result["Values"], strict=True)
                found[int(result["Id"][1:])].update({at.timestamp(): value for at, value in points})
        return found


def _identity(stat: Mapping[str, Any]) -> str:
    metric = stat["Metric"]
    dimensions = sorted((item["Name"], item["Value"]) for item in metric.get("Dimensions") or ())
    return repr((metric["Namespace"], metric["MetricName"], dimensions))


def _merged(slices: Mapping[float, float], statistic: str, alarm: MathAlarm, now: float) -> list[float | None]:
    """The statistic in each period, of its slices. The newest period ends with the slice that ``now`` is in."""
    length = alarm.period // SLICES
    end = math.floor(now / length) * length + length
    windows: list[list[float]] = [[] for _ in range(alarm.periods)]
    for at, value in slices.items():
        number = math.floor((end - at - length) / alarm.period)
        if 0 <= number < alarm.periods:
            windows[number].append(value)
    return [_MERGED[statistic](window) if window else None for window in windows]
