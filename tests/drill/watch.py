"""When an alarm changed its state, and when its messages arrived."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from lambda_toolkit.pipeline.lambdas.notifier.state_file import StateFile
from lambda_toolkit.pipeline.local_stack.alerting import mail_sink
from tests.drill.site import Site

T = TypeVar("T")
POLL = 0.3  # seconds


class TooLateError(Exception):
    """Something did not happen within its time."""


@dataclass(frozen=True)
class Arrived:
    """The messages about one alarm."""

    subject: str
    email: float
    """Seconds from the breach."""
    slack: float

    def later(self, seconds: float) -> Arrived:
        """The same in seconds from a later moment."""
        return replace(self, email=self.email - seconds, slack=self.slack - seconds)

    def __str__(self) -> str:
        return f"email after {self.email:.1f} s, Slack after {self.slack:.1f} s: {self.subject}"


@dataclass(frozen=True)
class Watch:
    """One alarm, watched from the breach on."""

    site: Site
    alarm: str
    """Its name without application and stage."""
    since: float
    """When that was, in seconds since 1970."""
    promised: float = 0.0
    """Seconds from what broke it to the breach."""
    incident: str = ""
    """The alarm that its messages name, where that is another one."""
    messages: tuple[str, str] = ("", "")
    """Where no alarm rises: words in the subjects of the emails when it begins, and when it is over."""

    @property
    def has_post(self) -> bool:
        """Whether Slack has its messages, too: those about the notifier itself are emails alone."""
        return bool(self.alarm) and not self.alarm.startswith("notifier-")

    def raised(self, within: float) -> float:
        """Seconds from the breach to the alarm, or to the message where none rises."""
        if not self.alarm:
            return self.message(within).email
        return self._await(within, lambda: self._has("ALARM"), f"the alarm {self.alarm} did not rise")

    def over(self, since: float, within: float) -> float:
        """Seconds from ``since`` to the end of the alarm, 0 where it ended before, or where there is none."""
        if not self.alarm:
            return 0.0
        ended = self._await(within, lambda: self._has("OK"), f"the alarm {self.alarm} is not over")
        return max(0.0, ended + self.since - since)

    def message(self, within: float) -> Arrived:
        """The messages of the beginning."""
        return self._await(within, lambda: self._arrived(over=False), f"no message about {self.alarm} arrived")

    def message_over(self, within: float) -> Arrived:
        """The messages that it is over."""
        return self._await(within, lambda: self._arrived(over=True), f"no message arrived that {self.alarm} is over")

    def _arrived(self, *, over: bool) -> Arrived | None:
        """The first email and the first post about the alarm; None until both are there."""
        emails = [
            (email.subject, f"{email.subject}\n{email.body}", datetime.fromisoformat(email.received_at).timestamp())
            for email in mail_sink.read(self.site.stack.mail_sink)
        ]
        posts = [(post.text.partition("\n")[0], post.text, post.received_at) for post in self.site.slack.posts]
        found = [self._first(channel, over=over) for channel in (emails, posts if self.has_post else emails)]
        if None in found:
            return None
        return Arrived(str(found[0][0]), *(float(each[1]) - self.since for each in found if each))

    def _first(self, channel: Iterable[tuple[str, str, float]], *, over: bool) -> tuple[str, float] | None:
        for subject, text, at in channel:
            if at >= self.since - self.promised and self._is_about(subject, text, over=over):
                return subject, at
        return None

    def _is_about(self, subject: str, text: str, *, over: bool) -> bool:
        if not self.alarm:
            return self.messages[over] in subject
        is_end = "over:" in subject or subject.startswith("OK:")
        return is_end == over and self.site.name(self.incident or self.alarm) in text

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
