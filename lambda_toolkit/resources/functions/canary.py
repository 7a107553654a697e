"""How many calls a canary is expected to get: too few of them show nothing about a version."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import AwsError
from lambda_toolkit.spec.model import Canary, FunctionSpec

_DAY = timedelta(days=1)
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_MINUTES = {"minute": 1, "hour": 60, "day": 1440}


def expectation(aws: Aws, spec: FunctionSpec, canary: Canary) -> str:
    """The expected number of calls of ``canary``, as a sentence without its period.

    By the calls of the last day, one request; where these are none or cannot be read, by the schedule.
    """
    calls, source = _calls_of_last_day(aws, spec.name), "by those of the last day"
    if not calls:
        calls, source = _calls_by_schedule(spec.schedule), "by its schedule"
    if not calls:
        return (
            "how many calls the canary will get is not known: there were none in the last day, or they cannot be read"
        )
    all_calls = calls * canary.minutes / (_DAY / timedelta(minutes=1))
    expected = all_calls * canary.weight
    few = ": it may see none" if expected < 1 else ""
    share = f"{_number(expected)} of {_number(all_calls)} calls"
    return f"the canary is expected to get {share} in {canary.minutes:g} minutes, {source}{few}"


def _calls_of_last_day(aws: Aws, function: str) -> float:
    now = datetime.fromtimestamp(aws.clock.wall(), UTC).replace(microsecond=0)
    try:
        answer = aws.call(
            "cloudwatch",
            "get_metric_statistics",
            Namespace="AWS/Lambda",
            MetricName="Invocations",
            Dimensions=[{"Name": "FunctionName", "Value": function}],
            StartTime=now - _DAY,
            EndTime=now,
            Period=int(_DAY.total_seconds()),
            Statistics=["Sum"],
        )
    except AwsError:  # the plan is right without it
        return 0.0
    return sum(float(point["Sum"]) for point in answer.get("Datapoints", ()))


def _calls_by_schedule(schedule: str | None) -> float:
    """How often a day ``rate(...)`` invokes it; 0 for another schedule."""
    rate = _RATE.fullmatch(schedule or "")
    return _DAY / timedelta(minutes=int(rate[1]) * _MINUTES[rate[2]]) if rate else 0.0


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")
