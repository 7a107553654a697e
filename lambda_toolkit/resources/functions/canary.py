"""The canary: when its version gets all calls, when none any more, and how many it is expected to get meanwhile."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import Advice, AwsError, CheckError, Hint
from lambda_toolkit.resources.monitoring.alarm import alarm_name
from lambda_toolkit.resources.planning import alias
from lambda_toolkit.resources.planning.alias import LiveAlias
from lambda_toolkit.spec.model import Canary, FunctionSpec

_DAY = timedelta(days=1)
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_MINUTES = {"minute": 1, "hour": 60, "day": 1440}
_INTERVAL = 10.0  # seconds between two reads of the alarms' states
_STEP = 1.0  # seconds that a sleep may last: an interruption is noticed after that
_TICK = 0.001  # seconds: what remains is no time; a clock may not move by what rounding leaves of it


def try_version(aws: Aws, spec: FunctionSpec, live: LiveAlias, number: str) -> None:
    """Routes the canary's share of the calls to the version for its minutes; rolls back whatever ends it early.

    Raises CheckError where an alarm of ``spec`` went into ALARM meanwhile, and AwsError.
    """
    canary = spec.canary
    if canary is None:
        return
    finished = False
    try:
        alias.route(aws, spec.name, live.version, {number: canary.weight})
        alarms = [alarm_name(spec.name, alarm.name) for alarm in spec.alarms or () if alarm.watches_canary]
        raised = _watch(aws, alarms, canary.minutes * 60)
        if raised is not None:
            raise CheckError(f"Version {number} of {spec.name}, with {canary.weight:.0%} of the calls: {raised}")
        finished = True
    finally:
        if not finished:
            roll_back(aws, spec.name, live.version, number)


def roll_back(aws: Aws, function: str, stable: str, number: str) -> None:
    """Routes all calls to the version ``stable`` again. Raises AwsError, which says how to do it by hand."""
    try:
        alias.route(aws, function, stable, {})
    except AwsError as error:
        raise AwsError(
            f"{function} still routes a share of its calls to version {number}, and rolling back the traffic failed: "
            f"{error}",
            code=error.code,
            operation=error.operation,
            advice=Advice(Hint.ROLLBACK_TO, (function, stable)),
        ) from error


def _watch(aws: Aws, alarms: Sequence[str], seconds: float) -> str | None:
    """Wait ``seconds`` and return which of ``alarms`` went into ALARM, as a sentence; ``None`` where none did.

    An alarm that is in ALARM from the start counts only after it was in another state. Raises CheckError where the
    program is interrupted.
    """
    started = aws.clock.now()
    before = set(_in_alarm(aws, alarms))
    while True:
        left = seconds - (aws.clock.now() - started)
        if left <= _TICK:
            return None
        _sleep(aws, min(left, _INTERVAL))
        now = _in_alarm(aws, alarms)
        before &= set(now)
        for name, reason in now.items():
            if name not in before:
                return f"the alarm {name} went into ALARM: {reason.rstrip('.') or 'no reason given'}."


def _sleep(aws: Aws, seconds: float) -> None:
    until = aws.clock.now() + seconds
    while (left := until - aws.clock.now()) > _TICK:
        if aws.clock.interrupted.is_set():
            raise CheckError("It was interrupted while it was watched.")
        aws.clock.sleep(min(left, _STEP))


def _in_alarm(aws: Aws, alarms: Sequence[str]) -> dict[str, str]:
    """Those of ``alarms`` whose state is ALARM, with the reasons that CloudWatch gives."""
    answer = aws.call("cloudwatch", "describe_alarms", AlarmNames=list(alarms))
    return {
        str(alarm["AlarmName"]): str(alarm.get("StateReason", ""))
        for alarm in answer.get("MetricAlarms", ())
        if alarm["StateValue"] == "ALARM"
    }


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
