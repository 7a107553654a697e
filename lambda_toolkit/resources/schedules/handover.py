"""From one way to schedule a function to another, without missing a firing: when the old one may be removed.

AWS starts a target at any second of the minute of a firing, or of the flexible window after it, and a new schedule is
not known everywhere at the moment of its creation. So the old one stays until a firing that is due about now has
certainly been started. Where both start it, the function runs twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import ToolkitError
from lambda_toolkit.spec.schedules.fire_times import fires

_MINUTE = timedelta(minutes=1)
_LONGEST = timedelta(minutes=3)  # that an apply waits; two of them are the most without a flexible window
_STEP = 1.0  # seconds between two looks at whether the program was interrupted


@dataclass(frozen=True)
class Old:
    """What is to be replaced."""

    expression: str
    timezone: str = ""
    window: timedelta = timedelta()
    """The flexible window."""
    is_on: bool = True

    @classmethod
    def of_rule(cls, rule: Mapping[str, Any]) -> Old:
        """A rule as DescribeRule and ListRules return it."""
        return cls(str(rule.get("ScheduleExpression", "")), is_on=rule.get("State") != "DISABLED")

    @classmethod
    def of_schedule(cls, schedule: Mapping[str, Any]) -> Old:
        """A schedule as GetSchedule returns it."""
        minutes = (schedule.get("FlexibleTimeWindow") or {}).get("MaximumWindowInMinutes") or 0
        return cls(
            str(schedule.get("ScheduleExpression", "")),
            str(schedule.get("ScheduleExpressionTimezone") or ""),
            timedelta(minutes=int(minutes)),
            schedule.get("State") != "DISABLED",
        )

    def busy_until(self, now: datetime) -> datetime | None:
        """When a firing that is due about ``now`` has certainly been started; ``None`` where none is due.

        A rate has no times: it counts from its creation.
        """
        if not self.is_on:
            return None
        try:
            due = list(
                takewhile(
                    lambda fire: fire <= now + _MINUTE,
                    fires(self.expression, self.timezone, now - _MINUTE - self.window),
                )
            )
        except (KeyError, ValueError):  # what was written by hand, or a zone that this machine does not know
            return None
        return due[-1] + self.window + _MINUTE if due else None


def wait(aws: Aws, what: str, old: Old) -> None:
    """Return once ``old``, which is called ``what``, may be removed. Its replacement is there already.

    Raises ToolkitError where that takes longer than minutes, as in a flexible window, and where the program is
    interrupted: then the old one stays, and the same command removes it.
    """
    now = datetime.fromtimestamp(aws.clock.wall(), UTC)
    until = old.busy_until(now)
    if until is None:
        return
    if until - now > _LONGEST:
        raise ToolkitError(
            f"{what} may still start the function for its last firing until {until:%Y-%m-%d %H:%M} UTC, so it is kept "
            "beside the new schedule: the same command removes it after that."
        )
    left = (until - now).total_seconds()
    while left > 0:
        if aws.clock.interrupted.is_set():
            raise ToolkitError(f"{what} is kept, as the wait for its last firing was interrupted.")
        aws.clock.sleep(min(_STEP, left))
        left -= _STEP
