"""When an alarm changed its state, and when its messages arrived."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from lambda_toolkit.pipeline.lambdas.notifier.state_file import StateFile
from lambda_toolkit.pipeline.local_stack import mail_sink
from tests.drill.site import Site

T = TypeVar("T")
POLL = 0.3  # seconds


class TooLateError(Exception):
    """Something did not happen within its time."""


@dataclass(frozen=True)
class Watch:
    """One alarm, watched from the breach on."""

    site: Site
    alarm: str
    """Its name without application and stage."""
    since: float
    """Seconds since 1970."""

    def raised(self, within: float) -> float:
        """Seconds from the breach to the alarm."""
        return self._await(within, lambda: self._has("ALARM"), f"the alarm {self.alarm} did not rise")

    def over(self, since: float, within: float) -> float:
        """Seconds from ``since`` to the end of the alarm, 0 where it ended before."""
        ended = self._await(within, lambda: self._has("OK"), f"the alarm {self.alarm} is not over")
        return max(0.0, ended + self.since - since)

    def message(self, within: float, *, over: bool = False) -> tuple[float, mail_sink.Email]:
        """Seconds from the breach to the email that the alarm's incident began, or that it is over; and the email."""

        def found() -> tuple[float, mail_sink.Email] | None:
            for email in mail_sink.read(self.site.stack.mail_sink):
                received = datetime.fromisoformat(email.received_at).timestamp()
                if received >= self.since and self._is_about(email) and (": over: " in email.subject) is over:
                    return received - self.since, email
            return None

        return self._await(within, found, f"no message that {self.alarm} {'is over' if over else 'began'} arrived")

    def _is_about(self, email: mail_sink.Email) -> bool:
        return self.site.name(self.alarm) in f"{email.subject}\n{email.body}"

    def _has(self, state: str) -> float | None:
        """Seconds from the breach to now, where the alarm has that state."""
        now = time.time()
        return now - self.since if states(self.site)[self.site.name(self.alarm)] == state else None

    def _await(self, within: float, condition: Callable[[], T | None], otherwise: str) -> T:
        deadline = time.time() + within
        while (found := condition()) is None:
            if time.time() > deadline:
                raise TooLateError(f"{otherwise} within {within:.0f} s. Alarms: {in_alarm(self.site) or 'none'}")
            time.sleep(POLL)
        return found


def states(site: Site) -> dict[str, str]:
    """The state of each alarm."""
    pages = site.client("cloudwatch").get_paginator("describe_alarms").paginate()
    return {alarm["AlarmName"]: alarm["StateValue"] for page in pages for alarm in page["MetricAlarms"]}


def in_alarm(site: Site) -> list[str]:
    """The alarms that are in ALARM."""
    return [name for name, state in states(site).items() if state == "ALARM"]


def unsettled(site: Site) -> list[str]:
    """The alarms that are in ALARM, and the incidents that the notifier has not called over yet."""
    _, state = StateFile(site.client("s3"), site.bucket("ingestion")).read()
    return [*in_alarm(site), *(incident.key for incident in state.incidents.open)]
