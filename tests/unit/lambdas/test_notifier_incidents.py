"""Incidents: one message when one begins, one when it is over, whatever SNS does and however invocations overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.notifier.incidents import (
    ALARM,
    NO_DATA,
    OK,
    Incidents,
    Observation,
    Transition,
    Trouble,
    advance,
)
from lambda_toolkit.pipeline.lambdas.notifier.letters import CLAIM, Kind
from lambda_toolkit.pipeline.lambdas.notifier.webhook import Outcome
from tests.support.notified import CATALOG, SETTLE, CrashedError, World, at, transitions

GROUPS = {"extract-errors": "extract", "extract-silent": "extract", "load-errors": "load"}
LOOKS = 25  # seconds between two scheduled invocations: less than SETTLE
SETTLED = SETTLE.total_seconds()


@st.composite
def timelines(draw: st.DrawFn) -> dict[str, list[tuple[int, int]]]:
    """When alarms are in ALARM: alarms that come and go, and incidents that are clearly apart.

    Two that are apart by about SETTLE are one or two incidents, as the looks fall.
    """
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in GROUPS}
    for group in ("extract", "load"):
        names = [name for name, own in GROUPS.items() if own == group]
        now = draw(st.integers(1, 200))
        for _ in range(draw(st.integers(0, 3))):
            for _ in range(draw(st.integers(1, 4))):  # comes and goes
                length = draw(st.integers(1, 120))
                found[draw(st.sampled_from(names))].append((now, now + length))
                now += length + draw(st.integers(1, int(SETTLED) - 2))
            now += 2 * int(SETTLED) + 2 * LOOKS + draw(st.integers(0, 300))
    return {name: sorted(intervals) for name, intervals in found.items()}


def incidents_of(bad: Mapping[str, Sequence[tuple[int, int]]]) -> list[tuple[str, datetime, datetime]]:
    """What a person calls an incident, from when until when: moments of one group that are less than SETTLE apart."""
    found: list[tuple[str, datetime, datetime]] = []
    for group in sorted(set(GROUPS.values())):
        last: int | None = None
        for begins, ends in sorted(each for name, all_ in bad.items() if GROUPS[name] == group for each in all_):
            if last is not None and begins - last < SETTLED:
                group, began, until = found.pop()
                found.append((group, began, max(until, at(ends))))
            else:
                found.append((group, at(begins), at(ends)))
            last = max(ends, last or 0)
    return found


def matched(sent: list[tuple[str, datetime]], bad: Mapping[str, Sequence[tuple[int, int]]]) -> list[int]:
    """For each incident, how many of the messages ``sent`` are about it; the last number: those that are about none.

    Of an incident that was over before SNS said that it began, the moment may be any of its own.
    """
    found = incidents_of(bad)
    about = [[key == group and begins <= began <= ends for group, begins, ends in found] for key, began in sent]
    return (
        [*(sum(column) for column in zip(*about, strict=True)), sum(not any(each) for each in about)]
        if sent
        else [*([0] * len(found)), 0]
    )


def once(bad: Mapping[str, Sequence[tuple[int, int]]]) -> list[int]:
    """Each incident once, and nothing else."""
    return [*([1] * len(incidents_of(bad))), 0]


def play(world: World, bad: Mapping[str, Sequence[tuple[int, int]]], data: st.DataObject) -> None:
    """Deliver every transition, some of them repeatedly, late and out of order, between scheduled looks."""
    events: list[tuple[float, list[Transition]]] = []
    for item in transitions(bad):
        for _ in range(data.draw(st.sampled_from([1, 1, 2, 3]))):
            delay = data.draw(st.sampled_from([0, 1, 5, 90, 700]))
            events.append(((item.at - at(0)).total_seconds() + delay, [item]))
    end = max([moment for moment, _ in events], default=0) + 3 * SETTLED + CLAIM.total_seconds()
    looks = [(float(moment), list[Transition]()) for moment in range(0, int(end) + LOOKS, LOOKS)]
    for moment, items in sorted([*events, *looks], key=lambda event: event[0]):
        world.now = max(world.now, moment)
        try:
            world.invoke(items)
        except CrashedError:
            continue


@settings(max_examples=40, deadline=None)
@given(bad=timelines(), data=st.data())
def test_each_incident_has_one_message_at_each_end(bad, data) -> None:
    """Deliveries are doubled, reordered and delayed, and invocations overlap at any write."""
    depth = []

    def overlap(world: World) -> None:
        if len(depth) < 2 and data.draw(st.integers(0, 5)) == 0:
            depth.append(1)
            world.invoke()
            depth.pop()

    world = World(CATALOG, bad, before_put=overlap)
    play(world, bad, data)
    assert matched(world.sent(Kind.BEGIN), bad) == once(bad)
    assert matched(world.sent(Kind.OVER), bad) == once(bad)
    assert world.state().letters == ()
    assert world.state().incidents.open == ()
    order = [(letter.incident.key, letter.kind) for letter in world.emails if letter.incident]
    for group in ("extract", "load"):
        kinds = [kind for key, kind in order if key == group]
        assert kinds == [Kind.BEGIN, Kind.OVER] * (len(kinds) // 2)


@settings(max_examples=25, deadline=None)
@given(bad=timelines(), data=st.data())
def test_invocation_may_end_anywhere_and_no_message_is_lost(bad, data) -> None:
    """A message may arrive twice then: where the end is between sending it and writing that down."""
    ends: list[str] = []

    def end(place: str):
        def maybe(world: World) -> None:
            if len(ends) < 4 and data.draw(st.integers(0, 7)) == 0:
                ends.append(place)
                raise CrashedError

        return maybe

    world = World(CATALOG, bad, before_put=end("before a write"), after_email=end("after an email"))
    play(world, bad, data)
    assert matched(list(set(world.sent(Kind.BEGIN))), bad) == once(bad)
    assert matched(list(set(world.sent(Kind.OVER))), bad) == once(bad)
    assert len(world.emails) <= 2 * len(incidents_of(bad)) + len(ends)
    assert world.state().letters == ()


def run(bad: Mapping[str, Sequence[tuple[int, int]]], until: int, every: int = 10, **more) -> World:
    """A world in which SNS delivers nothing: only the schedule looks."""
    world = World(CATALOG, bad, **more)
    for moment in range(0, until, every):
        world.now = moment
        world.invoke()
    return world


def test_incidents_are_found_where_sns_delivers_nothing() -> None:
    world = run({"extract-errors": [(101, 104), (400, 450)]}, until=700)
    assert [key for key, _ in world.sent(Kind.BEGIN)] == ["extract", "extract"], "one was over between two looks"
    assert [key for key, _ in world.sent(Kind.OVER)] == ["extract", "extract"]


def test_moment_that_is_not_exact_begins_no_incident() -> None:
    """Where CloudWatch's time may be that of something else than a transition."""
    assert run({"extract-errors": [(101, 104)]}, until=300, is_exact=False).emails == []


@pytest.mark.parametrize(
    ("old", "new", "is_news"),
    [
        *((OK, ALARM, True), (OK, NO_DATA, True), (ALARM, OK, True), (ALARM, NO_DATA, True)),
        *((NO_DATA, OK, False), (NO_DATA, NO_DATA, False), (OK, OK, False)),
    ],
)
def test_sns_alone_may_know_that_an_alarm_was_not_fine(old: str, new: str, is_news: bool) -> None:
    """Where a look finds it fine again, and cannot say since when it is."""
    world = World(CATALOG, {}, now=130, is_exact=False)
    world.invoke([Transition("extract-errors", old, new, at(120), "because", "words")])
    begun = [letter.incident.troubles for letter in world.emails if letter.incident]
    assert begun == ([(Trouble("extract-errors", at(120), "because", "words"),)] if is_news else [])


def test_incident_lasts_until_the_last_of_its_alarms_is_fine() -> None:
    """Not until an alarm changes that is without data, nor one of another incident."""
    began = step(Incidents(), {"extract-errors": Observation(ALARM, at(0))}, 10).incidents
    found = {
        "extract-errors": Observation(OK, at(20)),
        "extract-silent": Observation(NO_DATA, at(50)),
        "load-errors": Observation(OK, at(60)),
    }
    [ended] = step(began, found, 10 + int(SETTLED) + 20).over
    assert ended.last_bad == at(20)


def test_look_asks_for_alarms_of_others_while_they_are_open() -> None:
    world = World(CATALOG, {"theirs": [(100, 500)]}, now=100)
    world.invoke([Transition("theirs", OK, ALARM, at(100))])
    for world.now in (200, 300, 450):
        world.invoke()
    assert world.sent(Kind.OVER) == [], "it is still in ALARM, and no declaration names it"


def test_symptom_joins_the_incident_that_is_open() -> None:
    world = run({"extract-errors": [(100, 300)], "fresh": [(200, 400)]}, until=700)
    assert world.sent(Kind.BEGIN) == [("extract", at(100))]
    [over] = [letter.incident for letter in world.emails if letter.kind == Kind.OVER]
    assert over is not None
    assert [trouble.alarm for trouble in over.troubles] == ["extract-errors", "fresh"]
    assert over.last_bad == at(400), "it is not over before both are"
    world.invoke([Transition("fresh", OK, ALARM, at(200))])
    assert len(world.emails) == 2, "which SNS delivers again, much later"


def test_symptom_has_an_incident_where_no_other_is_open() -> None:
    world = run({"fresh": [(100, 200)], "load-errors": [(150, 160)]}, until=500)
    assert world.sent(Kind.BEGIN) == [("freshness", at(100)), ("load", at(150))], "the cause is news"


def test_an_alarm_of_others_has_an_incident_of_its_own() -> None:
    world = World(CATALOG, {"theirs": [(100, 200)]})
    world.now = 100
    world.invoke([Transition("theirs", OK, ALARM, at(100), description="Their disk is full.")])
    for world.now in range(110, 400, 10):
        world.invoke()
    assert world.sent(Kind.BEGIN) == world.sent(Kind.OVER) == [("theirs", at(100))]


def observed(state: str, since: int, *, needs_data: bool = True) -> dict[str, Observation]:
    return {"extract-silent": Observation(state, at(since), needs_data=needs_data)}


def step(before: Incidents, found: dict[str, Observation], now: int):
    return advance(before, CATALOG, found, (), at(now), SETTLE)


def test_a_new_alarm_without_data_is_no_incident() -> None:
    first = step(Incidents(), observed(NO_DATA, 0), 10)
    assert first.began == ()
    later = step(first.incidents, observed(NO_DATA, 0), 1000)
    assert later.began == ()
    assert step(later.incidents, observed(OK, 1010), 1020).began == ()


@pytest.mark.parametrize("needs_data", [True, False])
def test_no_data_any_more_is_an_incident_where_data_are_needed(needs_data) -> None:
    fine = step(Incidents(), observed(OK, 0), 10)
    missing = step(fine.incidents, observed(NO_DATA, 100, needs_data=needs_data), 110)
    assert bool(missing.began) is needs_data
    again = step(missing.incidents, observed(OK, 200, needs_data=needs_data), 300)
    assert bool(again.over) is needs_data


def test_alarm_that_was_deleted_is_over() -> None:
    began = step(Incidents(), observed(ALARM, 0), 10)
    assert began.began
    assert step(began.incidents, {}, 10 + int(SETTLED)).over


def slack_that(*outcomes: Outcome):
    rest = list(outcomes)
    return lambda payload: rest.pop(0) if len(rest) > 1 else rest[0]


SENT = Outcome(sent=True)
DEAD = Outcome(sent=False, reason="the webhook answered 404 no_service", final=True)
BUSY = Outcome(sent=False, reason="the webhook answered 429", retry_after=50)


def test_dead_webhook_is_one_email_and_delays_none() -> None:
    world = run({"extract-errors": [(100, 200)], "load-errors": [(120, 220)]}, until=500, slack=slack_that(DEAD))
    kinds = [letter.kind for letter in world.emails]
    assert sorted(kinds) == sorted([Kind.BEGIN, Kind.BEGIN, Kind.OVER, Kind.OVER, Kind.NO_SLACK])
    assert world.emails[0].kind == Kind.BEGIN
    assert world.posts == []
    assert world.state().letters == (), "what Slack refuses for good is not tried again"


def test_slack_that_works_again_is_one_email() -> None:
    world = run({"extract-errors": [(100, 200)]}, until=500, slack=slack_that(DEAD, SENT))
    kinds = [letter.kind for letter in world.emails]
    assert kinds == [Kind.BEGIN, Kind.NO_SLACK, Kind.OVER, Kind.SLACK_AGAIN]
    assert [letter.kind for letter in world.posts] == [Kind.OVER]


def test_message_that_slack_delayed_arrives_later() -> None:
    world = run({"extract-errors": [(100, 300)]}, until=160, slack=slack_that(BUSY, SENT))
    assert [letter.kind for letter in world.posts] == [Kind.BEGIN]
    assert world.posts[0].written == at(100)
    assert [letter.kind for letter in world.emails] == [Kind.BEGIN, Kind.NO_SLACK, Kind.SLACK_AGAIN]


def test_message_that_slack_does_not_take_for_an_hour_is_dropped() -> None:
    world = run({"extract-errors": [(100, 10_000)]}, until=4000, every=60, slack=slack_that(BUSY))
    assert world.state().letters == ()
    assert [letter.kind for letter in world.emails] == [Kind.BEGIN, Kind.NO_SLACK]
