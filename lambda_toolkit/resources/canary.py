"""Watch a canary: the alarms while a new version gets a share of the calls."""

from __future__ import annotations

from collections.abc import Sequence

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import CheckError

_INTERVAL = 10.0  # seconds between two reads of the alarms' states
_STEP = 1.0  # seconds that a sleep may last: an interruption is noticed after that


def watch(aws: Aws, alarms: Sequence[str], seconds: float) -> str | None:
    """Wait ``seconds`` and return which of ``alarms`` went into ALARM, as a sentence; ``None`` where none did.

    An alarm that is in ALARM from the start counts only after it was in another state. Raises CheckError where the
    program is interrupted.
    """
    started = aws.clock.now()
    before = set(_in_alarm(aws, alarms))
    while True:
        left = seconds - (aws.clock.now() - started)
        if left <= 0:
            return None
        _sleep(aws, min(left, _INTERVAL))
        now = _in_alarm(aws, alarms)
        before &= set(now)
        for name, reason in now.items():
            if name not in before:
                return f"the alarm {name} went into ALARM: {reason.rstrip('.') or 'no reason given'}."


def _sleep(aws: Aws, seconds: float) -> None:
    until = aws.clock.now() + seconds
    while (left := until - aws.clock.now()) > 0:
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
