"""What CloudWatch does continuously and the emulator does not: evaluate alarms, and turn log lines into metrics.

A process of its own beside the emulator. Every second it

* publishes the metrics that functions wrote to their logs in the embedded metric format (EMF), and
* evaluates each metric alarm by its namespace, metric, dimensions, period, statistic and treatment of missing data, or
  by its expression over metrics (``metric_windows``), and sets its state when that changed, which is what makes the
  emulator tell the alarm's topic.

It uses the public API alone. It ends on SIGTERM or SIGINT, or when the emulator has ended.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from signal import SIGINT, SIGTERM, signal
from time import time
from typing import Any, Literal, TypeVar

from lambda_toolkit.pipeline.local_stack.alerting.metric_windows import MathAlarm, Windows, math_alarm
from lambda_toolkit.spec.metric_math import ExpressionError

T = TypeVar("T")
State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]

TICK = 1.0  # seconds
OVERLAP = 5.0  # seconds: log lines are read this far back again, as they may arrive late; each is counted once
_QUERIES = 500  # GetMetricData takes at most this many per call
_DATA = 1000  # PutMetricData takes at most this many per call
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


@dataclass(frozen=True)
class Datum:
    """One metric value with one set of dimensions, as PutMetricData takes it."""

    namespace: str
    name: str
    unit: str
    dimensions: tuple[tuple[str, str], ...]
    values: tuple[float, ...]
    timestamp: float  # seconds since 1970

    def request(self) -> dict[str, Any]:
        """An entry of MetricData."""
        return {
            "MetricName": self.name,
            "Unit": self.unit,
            "Dimensions": [{"Name": name, "Value": value} for name, value in self.dimensions],
            "Values": list(self.values),
            "Timestamp": datetime.fromtimestamp(self.timestamp, UTC),
        }


def metrics_in(line: str) -> Iterator[Datum]:
    """The metrics that one log line holds in the embedded metric format; none when it is an ordinary line."""
    if '"CloudWatchMetrics"' not in line:
        return
    try:
        document = json.loads(line[line.index("{") :])
        metadata = document["_aws"]
        for directive in metadata["CloudWatchMetrics"]:
            for names in directive["Dimensions"] or [[]]:
                dimensions = tuple(sorted((name, str(document[name])) for name in names))
                for metric in directive["Metrics"]:
                    values = document[metric["Name"]]
                    yield Datum(
                        namespace=directive["Namespace"],
                        name=metric["Name"],
                        unit=metric.get("Unit", "None"),
                        dimensions=dimensions,
                        values=tuple(float(value) for value in (values if isinstance(values, list) else [values])),
                        timestamp=metadata["Timestamp"] / 1000,
                    )
    except (ValueError, KeyError, TypeError, OverflowError):
        return  # like CloudWatch: a line that does not keep to the format stays a line of log


def evaluate(alarm: Mapping[str, Any], values: Mapping[float, float], now: float) -> tuple[State, str] | None:
    """The state of an alarm and its reason, or None when it stays what it is ("ignore" and no data).

    ``values``: the statistic by the start of its period (seconds since 1970). The period that is still open counts as
    soon as it has data, so that an alarm changes its state immediately. The complete periods before it count too: data
    of the last second of a period is not missed. What began before the alarm was made lacks no data: CloudWatch would
    say ALARM until a function has run first.
    """
    made = alarm.get("AlarmConfigurationUpdatedTimestamp")
    since = made.timestamp() if made is not None else -math.inf
    period, wanted = alarm["Period"], alarm["EvaluationPeriods"]
    needed = alarm.get("DatapointsToAlarm") or wanted
    missing = alarm.get("TreatMissingData") or "missing"
    breaches, threshold = _COMPARISONS[alarm["ComparisonOperator"]], alarm["Threshold"]
    current = math.floor(now / period) * period
    verdicts: list[State] = []
    for last in (current, current - period):
        starts = [last - step * period for step in range(wanted)]
        found = [values.get(start) for start in starts]
        if last == current and found[0] is None:
            continue  # the open period has no data yet: that is not the same as missing data
        count = sum(
            missing == "breaching" and start >= since if value is None else breaches(value, threshold)
            for start, value in zip(starts, found, strict=True)
        )
        if count >= needed:
            value = next((value for value in found if value is not None and breaches(value, threshold)), None)
            return "ALARM", _reason(alarm, "no data" if value is None else f"{value:g}")
        if all(value is None for value in found) and missing in ("missing", "ignore"):
            verdicts.append("INSUFFICIENT_DATA")
        else:
            verdicts.append("OK")
    if "OK" in verdicts:
        return "OK", _reason(alarm, "not so")
    return None if missing == "ignore" else ("INSUFFICIENT_DATA", "There is no data in the alarm's periods.")


def evaluate_expression(
    alarm: Mapping[str, Any], text: str, values: Sequence[float | None]
) -> tuple[State, str] | None:
    """The state of an alarm on the expression ``text`` and its reason, or None when it stays what it is.

    ``values`` are those of its periods, the newest first.
    """
    missing = alarm.get("TreatMissingData") or "missing"
    breaches, threshold = _COMPARISONS[alarm["ComparisonOperator"]], alarm["Threshold"]
    needed = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
    if all(value is None for value in values) and missing in ("missing", "ignore"):
        return None if missing == "ignore" else ("INSUFFICIENT_DATA", f"There is no data for {text}.")
    count = sum(missing == "breaching" if value is None else breaches(value, threshold) for value in values)
    shown = ", ".join("none" if value is None else f"{value:g}" for value in values)
    reason = f"{text} {alarm['ComparisonOperator']} {threshold:g} in {needed} of {len(values)} periods: {shown}"
    return ("ALARM" if count >= needed else "OK"), reason


def _reason(alarm: Mapping[str, Any], found: str) -> str:
    return (
        f"{alarm['MetricName']} ({alarm.get('Statistic') or alarm.get('ExtendedStatistic')} over {alarm['Period']} s) "
        f"{alarm['ComparisonOperator']} {alarm['Threshold']:g}: {found}"
    )


class AlarmEvaluator:
    """Publishes log metrics and evaluates alarms, once for each call of ``tick``."""

    def __init__(self, cloudwatch: Any, logs: Any, since: float) -> None:
        self._cloudwatch = cloudwatch
        self._logs = logs
        self._since = since  # log lines before this were counted
        self._windows = Windows(lambda **query: _pages(cloudwatch, "get_metric_data", "MetricDataResults", **query))
        self._counted: dict[Hashable, float] = {}  # log event -> its time, as far back as lines are read again

    def tick(self, now: float) -> None:
        """Do what is due at ``now`` (seconds since 1970)."""
        self.publish_log_metrics(now)
        self.evaluate_alarms(now)

    def publish_log_metrics(self, now: float) -> None:
        """Publish the metrics in log lines that came since the last time."""
        found: list[Datum] = []
        for group in _pages(self._logs, "describe_log_groups", "logGroups"):
            events = _pages(
                self._logs,
                "filter_log_events",
                "events",
                logGroupName=group["logGroupName"],
                startTime=int((self._since - OVERLAP) * 1000),
            )
            for event in events:
                # the emulator gives events no id; a metric's line holds its own time, so the line is one
                identity = (group["logGroupName"], event["logStreamName"], event["timestamp"], event["message"])
                if identity not in self._counted:
                    self._counted[identity] = event["timestamp"] / 1000
                    found.extend(metrics_in(event["message"]))
        for namespace in sorted({datum.namespace for datum in found}):
            for some in _batches((datum for datum in found if datum.namespace == namespace), _DATA):
                self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum.request() for datum in some])
        self._since = now
        self._counted = {event: at for event, at in self._counted.items() if at >= now - 2 * OVERLAP}

    def evaluate_alarms(self, now: float) -> None:
        """Set the state of the alarms whose state is another now."""
        alarms = [
            alarm
            for alarm in _pages(self._cloudwatch, "describe_alarms", "MetricAlarms")
            if alarm["ComparisonOperator"] in _COMPARISONS
        ]
        for some in _batches((alarm for alarm in alarms if alarm.get("MetricName")), _QUERIES):
            values = self._values(some, now)
            for alarm in some:
                self._set(alarm, evaluate(alarm, values[alarm["AlarmName"]], now))
        self._evaluate_expressions([alarm for alarm in alarms if alarm.get("Metrics")], now)

    def _evaluate_expressions(self, alarms: Sequence[Mapping[str, Any]], now: float) -> None:
        known: dict[str, MathAlarm] = {}
        for alarm in alarms:
            try:
                known[alarm["AlarmName"]] = math_alarm(alarm)
            except ExpressionError as error:
                self._set(alarm, ("INSUFFICIENT_DATA", f"The local stack does not evaluate it: {error}."))
        values = self._windows.values(list(known.values()), now)
        for alarm in alarms:
            name = alarm["AlarmName"]
            if name in known:
                self._set(alarm, evaluate_expression(alarm, known[name].text, values[name]))

    def _set(self, alarm: Mapping[str, Any], evaluated: tuple[State, str] | None) -> None:
        """Set the state where it is another, or its reason for staying without data where that is another."""
        if evaluated is None or (evaluated[0] == alarm["StateValue"] and not self._explains(alarm, evaluated)):
            return
        self._cloudwatch.set_alarm_state(
            AlarmName=alarm["AlarmName"], StateValue=evaluated[0], StateReason=evaluated[1]
        )

    def _explains(self, alarm: Mapping[str, Any], evaluated: tuple[State, str]) -> bool:
        return evaluated[1].startswith("The local stack") and alarm.get("StateReason") != evaluated[1]

    def _values(self, alarms: Iterable[Mapping[str, Any]], now: float) -> dict[str, dict[float, float]]:
        """By alarm: the statistic by the start of its period."""
        names, queries, start = {}, [], now
        for number, alarm in enumerate(alarms):
            names[f"a{number}"] = alarm["AlarmName"]
            queries.append(
                {
                    "Id": f"a{number}",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": alarm["Namespace"],
                            "MetricName": alarm["MetricName"],
                            "Dimensions": alarm.get("Dimensions", []),
                        },
                        "Period": alarm["Period"],
                        "Stat": alarm.get("Statistic") or alarm["ExtendedStatistic"],
                    },
                }
            )
            first = math.floor(now / alarm["Period"]) * alarm["Period"] - alarm["EvaluationPeriods"] * alarm["Period"]
            start = min(start, first)
        values: dict[str, dict[float, float]] = {name: {} for name in names.values()}
        if not queries:
            return values
        pages = _pages(
            self._cloudwatch,
            "get_metric_data",
            "MetricDataResults",
            MetricDataQueries=queries,
            StartTime=datetime.fromtimestamp(start, UTC),
            EndTime=datetime.fromtimestamp(math.ceil(now) + 1, UTC),
        )
        for result in pages:
            points = zip(result["Timestamps"], result["Values"], strict=True)
            values[names[result["Id"]]].update({at.timestamp(): value for at, value in points})
        return values


def _pages(client: Any, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(key, ())


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def run(stack_file: Path) -> None:
    """Tick until SIGTERM or SIGINT, or until the emulator of this stack has ended."""
    import boto3

    from lambda_toolkit.pipeline.local_stack.alerting.side_processes import READY
    from lambda_toolkit.pipeline.local_stack.description import read_stack
    from lambda_toolkit.pipeline.local_stack.process import is_alive
    from lambda_toolkit.pipeline.local_stack.running import EMULATOR, EVALUATOR

    stack = read_stack(stack_file)
    session = boto3.Session(
        aws_access_key_id=stack.access_key_id,
        aws_secret_access_key=stack.secret_access_key,
        region_name=stack.region,
    )
    cloudwatch, logs = (session.client(name, endpoint_url=stack.aws_endpoint_url) for name in ("cloudwatch", "logs"))
    clock = AlarmEvaluator(cloudwatch, logs, since=time())
    stopping = threading.Event()
    for number in (SIGTERM, SIGINT):
        signal(number, lambda *_: stopping.set())
    print(READY[EVALUATOR], flush=True)
    while not stopping.wait(TICK) and is_alive(stack.processes[EMULATOR]):
        try:
            clock.tick(time())
        except Exception:  # whatever it is, the next tick must come, and makes up for this one
            print(datetime.now(UTC).isoformat(), traceback.format_exc(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
