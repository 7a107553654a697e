"""Who may send a message, and when: claims, attempts, what is remembered; and the order of the two channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.notifier import letters
from lambda_toolkit.pipeline.lambdas.notifier.delivering import Channels, deliver
from lambda_toolkit.pipeline.lambdas.notifier.incidents import OK, Incident, Incidents, Observation, Trouble, advance
from lambda_toolkit.pipeline.lambdas.notifier.letters import CLAIM, SEEN, SLACK_PAUSE, Kind, Letter, Slack, State
from lambda_toolkit.pipeline.lambdas.notifier.messages import Message
from lambda_toolkit.pipeline.lambdas.notifier.notices import Catalog
from lambda_toolkit.pipeline.lambdas.notifier.state_file import StateFile
from lambda_toolkit.pipeline.lambdas.notifier.webhook import Outcome
from tests.support.memory_s3 import MemoryS3
from tests.support.notified import SETTLE, at, notice

SECOND = timedelta(seconds=1)
NEW = Letter("a", Kind.NOTE, at(0))
CATALOG = Catalog("totes", "dev", {"errors": notice("extract")})


TEN = at(10)


def claim(letter: Letter, now: datetime = TEN, **more: bool) -> Letter:
    [found] = letters.claimed(State(letters=(letter,)), "me", now, **more).letters
    return found


def test_claim_is_as_long_as_an_invocation() -> None:
    assert claim(NEW) == replace(NEW, claimed_by="me", claimed_until=at(10) + CLAIM)


def test_claim_of_another_invocation_holds_until_its_end() -> None:
    theirs = replace(NEW, claimed_by="them", claimed_until=at(10))
    assert claim(theirs, at(9)) == theirs
    assert claim(theirs, at(10)).claimed_by == "me"


@pytest.mark.parametrize(
    ("emailed", "not_before", "emails_only", "is_due"),
    [
        (False, None, False, True),
        (False, None, True, True),
        (False, at(99), True, True),
        (True, None, False, True),
        (True, None, True, False),
        (True, at(11), False, False),
        (True, at(10), False, True),
        (True, at(10), True, False),
    ],
)
def test_emails_are_due_now_and_posts_after_a_pause(
    emailed: bool, not_before: datetime | None, emails_only: bool, is_due: bool
) -> None:
    letter = replace(NEW, emailed=emailed, not_before=not_before)
    assert bool(claim(letter, emails_only=emails_only).claimed_by) is is_due


def test_only_the_own_letter_changes_and_is_free_afterwards() -> None:
    mine = replace(NEW, claimed_by="me", claimed_until=at(99), emailed=True)
    others = (replace(mine, id="b"), replace(mine, id="c", claimed_by="them"))
    state = State(letters=(mine, *others))
    assert letters.claims(state, "me") == (mine, others[0])
    for by, letter in (("them", "a"), ("me", "c"), ("me", "d")):
        assert letters.posted(state, by, letter, Slack.SENT, "", 0, at(5)) == state
        assert letters.emailed(state, by, letter) == state
    assert letters.posted(state, "me", "a", Slack.SENT, "", 0, at(5)).letters == others, "nothing is left to do"
    for retry_after, pause in ((0, SLACK_PAUSE), (29, SLACK_PAUSE), (31, 31 * SECOND)):
        waiting = letters.posted(state, "me", "a", Slack.PENDING, "", retry_after, at(5)).letters[0]
        assert waiting == replace(NEW, emailed=True, not_before=at(5) + pause)
    freed = letters.released(state, "me").letters
    assert freed == (replace(NEW, emailed=True), replace(NEW, id="b", emailed=True), others[1])


def test_slack_is_tried_for_an_hour() -> None:
    state = State(letters=(replace(NEW, claimed_by="me"),), slack_fails_since=at(0))
    for now, slack in ((3599, Slack.PENDING), (3600, Slack.DROPPED)):
        [letter] = letters.posted(state, "me", "a", Slack.PENDING, "busy", 0, at(now)).letters
        assert letter.slack == slack
    [letter] = letters.posted(state, "me", "a", Slack.NONE, "", 0, at(9999)).letters
    assert letter.slack == Slack.NONE, "nothing is dropped that is not for Slack"


def test_failing_slack_is_news_twice() -> None:
    claimed = State(letters=(replace(NEW, claimed_by="me"),))
    failed = letters.posted(claimed, "me", "a", Slack.PENDING, "busy", 0, at(60))
    assert (failed.slack_fails_since, failed.slack_reason) == (at(60), "busy")
    notice = failed.letters[1]
    assert (notice.kind, notice.text, notice.slack, notice.emailed) == (Kind.NO_SLACK, "busy", Slack.NONE, False)
    again = letters.posted(letters.claimed(failed, "me", at(90)), "me", "a", Slack.PENDING, "dead", 0, at(90))
    assert (len(again.letters), again.slack_reason) == (2, "busy"), "of the first failure alone"
    works = letters.posted(letters.claimed(again, "me", at(120)), "me", "a", Slack.SENT, "", 0, at(120))
    assert (works.slack_fails_since, works.slack_reason) == (None, "")
    assert works.letters[-1].text == "since 2026-01-01 00:01 UTC: busy"
    assert len({letter.id for letter in works.letters}) == 3
    assert letters.posted(claimed, "me", "a", Slack.NONE, "", 0, at(60)).letters[1:] == ()


def test_messages_of_sns_are_remembered_in_order() -> None:
    first = letters.with_others(State(), [Letter(str(number), Kind.NOTE, at(0)) for number in range(SEEN)])
    assert len(first.letters) == len(first.seen) == SEEN
    twice = letters.with_others(first, [Letter("0", Kind.NOTE, at(1)), *[Letter("x", Kind.NOTE, at(1))] * 2])
    assert [letter.id for letter in twice.letters[SEEN:]] == ["x"]
    assert (twice.seen[0], twice.seen[-1], len(twice.seen)) == ("1", "x", SEEN)
    assert letters.with_others(twice, [Letter("x", Kind.NOTE, at(2))]) == twice


def test_closed_incidents_are_remembered_for_a_while() -> None:
    old = tuple(Incident(str(number), at(0), at(0), ()) for number in range(20))
    ending = Incident("extract", at(0), at(10), (Trouble("errors", at(0)),))
    month = timedelta(days=30)
    now = at(0) + month
    covered = {"older": at(0), "old": at(1)}
    before = Incidents(open=(ending,), closed=old, covered=covered)
    after = advance(before, CATALOG, {"errors": Observation(OK, at(20))}, (), now, SETTLE)
    assert [item.key for item in after.incidents.closed] == [*(str(number) for number in range(1, 20)), "extract"]
    assert after.incidents.closed[-1].over and after.over[0].last_bad == at(20)
    assert after.incidents.covered == {"old": at(1), "extract": at(20), "errors": at(20)}


class Post:
    """The two channels: what was sent, in order, and what Slack answers."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.done: list[str] = []

    def email(self, message: Message) -> str:
        self.done.append(f"email {message.subject}")
        return f"id of {message.subject}"

    def slack(self, payload: Mapping[str, Any]) -> Outcome:
        self.done.append(f"slack {payload.get('letter', 'plain')}")
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]

    def deliver(self, state: State, *, seconds: int = 99, has_slack: bool = True) -> tuple[list[Any], State]:
        s3 = MemoryS3()
        s3.create_bucket("lake")
        file = StateFile(s3, "lake")
        file.change(lambda _: letters.claimed(state, "me", at(0)))
        times = iter([True] * seconds + [False] * 99)
        channels = Channels(
            lambda letter: Message(letter.id, letter.text, {"letter": letter.id}),
            self.email,
            self.slack if has_slack else None,
        )
        mine = letters.claims(file.read()[1], "me")
        sent = deliver(file, mine, channels, "me", lambda: at(1), lambda: next(times))
        return [(item.letter.id, item.email, item.slack, item.reason) for item in sent], file.read()[1]


TWO = State(letters=(NEW, replace(NEW, id="b")))
SENT = Outcome(sent=True)


def test_emails_leave_before_the_first_post() -> None:
    post = Post(SENT)
    sent, state = post.deliver(TWO)
    assert post.done == ["email a", "email b", "slack a", "slack b"]
    assert sent == [("a", "id of a", Slack.SENT, ""), ("b", "id of b", Slack.SENT, "")]
    assert state == State()


def test_posts_without_time_are_left_to_the_next_invocation() -> None:
    post = Post(SENT)
    sent, state = post.deliver(TWO, seconds=1)
    assert post.done == ["email a", "email b", "slack a"]
    assert sent[1] == ("b", "id of b", Slack.PENDING, "")
    assert state.letters == (replace(NEW, id="b", emailed=True),), "free for the next one"


def test_slack_that_is_busy_is_not_asked_again() -> None:
    post = Post(Outcome(sent=False, reason="busy", retry_after=50.0))
    sent, state = post.deliver(TWO)
    assert post.done[:3] == ["email a", "email b", "slack a"] and len(post.done) == 4, "and an email says so"
    assert [(item[2], item[3]) for item in sent] == [(Slack.PENDING, "busy"), (Slack.PENDING, ""), (Slack.NONE, "")]
    assert [letter.not_before for letter in state.letters] == [at(51), None]
    assert state.slack_reason == "busy"


@pytest.mark.parametrize("word", ["invalid_payload", "invalid_blocks"])
def test_refused_form_is_posted_again_as_plain_text(word: str) -> None:
    post = Post(Outcome(sent=False, reason=f"400 {word}: no", final=True), SENT)
    sent, state = post.deliver(State(letters=(NEW,)))
    assert post.done == ["email a", "slack a", "slack plain"]
    assert sent == [("a", "id of a", Slack.SENT, "")] and state == State()


def test_webhook_that_refuses_for_good_drops_the_post() -> None:
    post = Post(Outcome(sent=False, reason="404 no_service", final=True))
    sent, state = post.deliver(TWO)
    assert post.done[2:4] == ["slack a", "slack b"], "what is final of one message is not of the next"
    assert [item[2] for item in sent] == [Slack.DROPPED, Slack.DROPPED, Slack.NONE]
    assert state.letters == ()


def test_without_a_webhook_there_are_emails_alone() -> None:
    post = Post(SENT)
    sent, state = post.deliver(TWO, has_slack=False)
    assert [item[2] for item in sent] == [Slack.NONE, Slack.NONE]
    assert post.done == ["email a", "email b"] and state == State()


def test_what_was_published_before_is_not_again() -> None:
    post = Post(SENT)
    sent, _ = post.deliver(State(letters=(replace(NEW, emailed=True),)))
    assert post.done == ["slack a"] and sent == [("a", "", Slack.SENT, "")]
