"""Watching a new version while it takes a part of the calls."""

from __future__ import annotations

from collections.abc import Sequence

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import CheckError

_LOOK = 10.0  # seconds between two looks at the alarms
_STEP = 1.0  # seconds that a sleep may last: an interruption is noticed after that


def watch(aws: Aws, alarms: Sequence[str], seconds: float) -> str | None:
    """What went off among ``alarms`` within ``seconds``, in a sentence; ``None`` where none did.

    An alarm that had gone off before counts once it has been quiet in between. Raises CheckError where the program is
    told to end before.
    """
    begun = aws.clock.now()
    before = set(_gone_off(aws, alarms))
    while True:
        left = seconds - (aws.clock.now() - begun)
        if left <= 0:
            return None
        _sleep(aws, min(left, _LOOK))
        now = _gone_off(aws, alarms)
        before &= set(now)
        for name, reason in now.items():
            if name not in before:
                return f"the alarm {name} went off: {reason.rstrip('.') or 'no reason given'}."


def _sleep(aws: Aws, seconds: float) -> None:
    until = aws.clock.now() + seconds
    while (left := until - aws.clock.now()) > 0:
        if aws.stopping.is_set():
            raise CheckError("It was interrupted while it was watched.")
        aws.clock.sleep(min(left, _STEP))


def _gone_off(aws: Aws, alarms: Sequence[str]) -> dict[str, str]:
    """The alarms that are in alarm, with their reasons."""
    answer = aws.call("cloudwatch", "describe_alarms", AlarmNames=list(alarms))
    return {
        str(alarm["AlarmName"]): str(alarm.get("StateReason", ""))
        for alarm in answer.get("MetricAlarms", ())
        if alarm["StateValue"] == "ALARM"
    }
