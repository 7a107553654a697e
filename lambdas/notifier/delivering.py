"""One invocation: look at the alarms, write down what is to be sent, send it, write down what became of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .incidents import Observation, Transition, advance
from .letters import (
    Letter,
    Slack,
    State,
    claimed,
    claims,
    emailed,
    posted,
    released,
    with_incidents,
    with_others,
)
from .messages import Message, plain_payload
from .notices import Catalog
from .state_file import StateFile
from .webhook import Outcome

_REFUSED_FORM = ("invalid_payload", "invalid_blocks")


@dataclass(frozen=True)
class Channels:
    """How messages leave."""

    compose: Callable[[Letter], Message]
    email: Callable[[Message], str]
    """Publishes to the topic that people read, and returns SNS's id of it. Raises where it cannot."""
    slack: Callable[[Mapping[str, object]], Outcome] | None
    """Posts a payload to the webhook; ``None``: there is none."""


@dataclass(frozen=True)
class Sent:
    """What became of one message, for the log."""

    letter: Letter
    email: str
    """SNS's id; empty where it had been published before."""
    slack: Slack
    reason: str


def look(
    file: StateFile,
    catalog: Catalog,
    observe: Callable[[Collection[str]], Mapping[str, Observation]],
    transitions: Sequence[Transition],
    others: Iterable[Letter],
    by: str,
    now: datetime,
    settle: timedelta,
) -> tuple[Letter, ...]:
    """Bring the state up to date, and claim as ``by`` what is to be sent; returns that.

    ``observe`` describes alarms by their names. Raises ClientError and NotifierError.
    """
    letters = tuple(others)

    def change(state: State) -> State:
        names = {*catalog.notices, *(item.alarm for item in transitions)}
        names |= {trouble.alarm for incident in state.incidents.open for trouble in incident.troubles}
        found = advance(state.incidents, catalog, observe(names), transitions, now, settle)
        return claimed(with_others(with_incidents(state, found, now), letters), by, now)

    return claims(file.change(change), by)


def deliver(
    file: StateFile,
    letters: Sequence[Letter],
    channels: Channels,
    by: str,
    clock: Callable[[], datetime],
    has_time: Callable[[], bool],
) -> list[Sent]:
    """Send the claimed ``letters``, and those that this adds; returns what became of each.

    All emails are first, and do not depend on Slack, nor on how long it takes: where ``has_time`` says no, or where it
    does not take one, the rest of the posts is left to the next invocation. Raises what publishing raises; the letters
    are free then, and the next invocation sends them.
    """
    done: list[Sent] = []
    while letters:
        messages = {letter.id: channels.compose(letter) for letter in letters}
        published = _publish(file, letters, messages, channels, by)
        done += [Sent(letter, published[letter.id], letter.slack, "") for letter in letters]
        slack_works = True
        for number, letter in enumerate(letters, start=len(done) - len(letters)):
            if letter.slack != Slack.PENDING or not (slack_works and has_time()):
                continue
            slack, outcome = _post(messages[letter.id], channels)
            done[number] = replace(done[number], slack=slack, reason=outcome.reason)
            slack_works = slack != Slack.PENDING

            def after(state: State, letter: Letter = letter, slack: Slack = slack, outcome: Outcome = outcome) -> State:
                return posted(state, by, letter.id, slack, outcome.reason, outcome.retry_after, clock())

            file.change(after)
        state = file.change(lambda state: claimed(released(state, by), by, clock(), emails_only=True))
        letters = claims(state, by)
    return done


def _publish(
    file: StateFile, letters: Sequence[Letter], messages: Mapping[str, Message], channels: Channels, by: str
) -> dict[str, str]:
    """Publish what was not published yet; SNS's ids by the letters'."""
    published = dict.fromkeys(messages, "")
    try:
        for letter in letters:
            if not letter.emailed:
                published[letter.id] = channels.email(messages[letter.id])
                file.change(lambda state, name=letter.id: emailed(state, by, name))  # type: ignore[misc]
    except Exception:
        file.change(lambda state: released(state, by))
        raise
    return published


def _post(message: Message, channels: Channels) -> tuple[Slack, Outcome]:
    """Post to Slack. Where it refuses the form of the message, the same without any form."""
    if channels.slack is None:
        return Slack.NONE, Outcome(sent=False)
    outcome = channels.slack(message.slack)
    if outcome.final and any(word in outcome.reason for word in _REFUSED_FORM):
        outcome = channels.slack(plain_payload(message))
    if outcome.sent:
        return Slack.SENT, outcome
    return (Slack.DROPPED if outcome.final else Slack.PENDING), outcome
