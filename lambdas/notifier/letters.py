"""What is to be sent, and what became of it. Pure.

Each message is first written down, then claimed by one invocation, then sent, then written down as sent: two
invocations never send the same one, and one that was not sent is sent by the next. Only an invocation that ends between
sending and writing that down lets a message arrive twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from .incidents import Advance, Incident, Incidents

CLAIM = timedelta(minutes=3)  # longer than an invocation may take: see handler.TIMEOUT
SLACK_TRIES = timedelta(hours=1)  # after that, a message is not news any more, and the email has it
SLACK_PAUSE = timedelta(seconds=30)  # between two attempts, each of which is up to three
SEEN = 100  # messages of SNS that are remembered


class Kind(StrEnum):
    """What a message is about."""

    BEGIN = "begin"
    OVER = "over"
    NO_SLACK = "slack does not take messages"
    SLACK_AGAIN = "slack takes messages again"
    TEST = "test"
    NOTE = "note"
    """Something else that was published to the topic."""


class Slack(StrEnum):
    """What became of a message for Slack."""

    PENDING = "pending"
    SENT = "sent"
    NONE = "none"
    """There is no webhook, or it is not for Slack."""
    DROPPED = "dropped"
    """Slack refused it, or did not take it for an hour."""


@dataclass(frozen=True)
class Letter:
    """One message, for both channels."""

    id: str
    """Unique among all messages."""
    kind: Kind
    written: datetime
    incident: Incident | None = None
    text: str = ""
    """Of a note: its text. Of what Slack does: why."""
    subject: str = ""
    """Of a note."""
    emailed: bool = False
    slack: Slack = Slack.PENDING
    not_before: datetime | None = None
    """When Slack may be tried again."""
    claimed_by: str = ""
    claimed_until: datetime | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.emailed and self.slack != Slack.PENDING


@dataclass(frozen=True)
class State:
    """Everything that is remembered from one invocation to the next."""

    incidents: Incidents = field(default_factory=Incidents)
    letters: tuple[Letter, ...] = ()
    """What is not done yet."""
    seen: tuple[str, ...] = ()
    """The ids of messages of SNS that became a test or a note, the newest last."""
    slack_fails_since: datetime | None = None
    slack_reason: str = ""


def with_incidents(state: State, found: Advance, now: datetime) -> State:
    """``state`` with the incidents after a look, and a letter for each that began or is over."""
    began = [_of_incident(Kind.BEGIN, incident, now) for incident in found.began]
    over = [_of_incident(Kind.OVER, incident, now) for incident in found.over]
    return replace(state, incidents=found.incidents, letters=(*state.letters, *began, *over))


def with_others(state: State, others: Iterable[Letter]) -> State:
    """``state`` with tests and notes, each of which SNS may have delivered before."""
    new = {letter.id: letter for letter in others if letter.id not in state.seen}
    return replace(state, letters=(*state.letters, *new.values()), seen=(*state.seen, *new)[-SEEN:])


def _of_incident(kind: Kind, incident: Incident, now: datetime) -> Letter:
    return Letter(f"{kind} {incident.id}", kind, now, incident)


def claimed(state: State, by: str, now: datetime, *, emails_only: bool = False) -> State:
    """``state`` where the invocation ``by`` has claimed what is due and what no other one has; or only new emails."""

    def claim(letter: Letter) -> Letter:
        is_free = letter.claimed_until is None or letter.claimed_until <= now
        is_due = not letter.emailed or not (emails_only or (letter.not_before is not None and letter.not_before > now))
        return replace(letter, claimed_by=by, claimed_until=now + CLAIM) if is_free and is_due else letter

    return replace(state, letters=tuple(map(claim, state.letters)))


def claims(state: State, by: str) -> tuple[Letter, ...]:
    """The letters that the invocation ``by`` has claimed, in the order in which they were written."""
    return tuple(letter for letter in state.letters if letter.claimed_by == by)


def emailed(state: State, by: str, letter: str) -> State:
    """``state`` after the email of ``letter``, which ``by`` had claimed, was published."""
    return _changed(state, by, letter, lambda item: replace(item, emailed=True))


def posted(state: State, by: str, letter: str, slack: Slack, reason: str, retry_after: float, now: datetime) -> State:
    """``state`` after an attempt to post ``letter``, which ``by`` had claimed, and which is free again.

    Where Slack did not take a message for the first time, for ``reason``, a letter about that is added, by email alone;
    where it takes one again, another. ``retry_after``: seconds.
    """
    pause = max(timedelta(seconds=retry_after), SLACK_PAUSE)

    def after(item: Letter) -> Letter:
        is_old = slack == Slack.PENDING and item.written + SLACK_TRIES <= now
        return replace(
            item,
            slack=Slack.DROPPED if is_old else slack,
            not_before=now + pause,
            claimed_by="",
            claimed_until=None,
        )

    state = _changed(state, by, letter, after)
    if reason and state.slack_fails_since is None:
        state = replace(state, slack_fails_since=now, slack_reason=reason)
        return _with_letter(state, Kind.NO_SLACK, reason, now)
    if slack == Slack.SENT and state.slack_fails_since is not None:
        text = f"since {state.slack_fails_since:%Y-%m-%d %H:%M} UTC: {state.slack_reason}"
        return _with_letter(replace(state, slack_fails_since=None, slack_reason=""), Kind.SLACK_AGAIN, text, now)
    return state


def released(state: State, by: str) -> State:
    """``state`` where nothing is claimed by ``by``: the next invocation sends what is left."""
    free = (
        replace(letter, claimed_by="", claimed_until=None) if letter.claimed_by == by else letter
        for letter in state.letters
    )
    return replace(state, letters=tuple(free))


def _changed(state: State, by: str, letter: str, change: Callable[[Letter], Letter]) -> State:
    letters = (change(item) if item.id == letter and item.claimed_by == by else item for item in state.letters)
    return replace(state, letters=tuple(item for item in letters if not item.done))


def _with_letter(state: State, kind: Kind, text: str, now: datetime) -> State:
    letter = Letter(f"{kind} {now.isoformat()}", kind, now, text=text, slack=Slack.NONE)
    return replace(state, letters=(*state.letters, letter))
