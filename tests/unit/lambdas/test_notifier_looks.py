"""One look at the alarms: which incidents it begins, which it makes longer, which are over, and what it remembers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lambda_toolkit.pipeline.lambdas.notifier.incidents import (
    ALARM,
    NO_DATA,
    OK,
    Advance,
    Incident,
    Incidents,
    Known,
    Observation,
    Transition,
    Trouble,
    advance,
)
from lambda_toolkit.pipeline.lambdas.notifier.notices import Catalog
from tests.support.notified import CATALOG, SETTLE, at, notice


def moved(before: Incidents, *given: Transition, now: int = 100, **found: Observation) -> Advance:
    return advance(before, CATALOG, found, given, at(now), SETTLE)


@pytest.mark.parametrize("covered", ["extract", "extract-errors"])
def test_moment_that_an_earlier_incident_had_begins_none(covered: str) -> None:
    """Of the incident, or of the alarm, which may have been part of another one."""
    before = Incidents(covered={covered: at(10)})
    late, new = (Transition("extract-errors", OK, ALARM, at(seconds)) for seconds in (10, 11))
    assert moved(before, late).began == ()
    [incident] = moved(before, late, new).began
    assert (incident.key, incident.began, incident.last_bad) == ("extract", at(11), at(11))


def test_alarm_that_is_not_fine_is_not_over_without_a_pause() -> None:
    bad, fine = {"fresh": Observation(ALARM, at(0))}, {"fresh": Observation(OK, at(20))}
    began = moved(Incidents(), now=10, **bad).incidents
    again = advance(began, CATALOG, bad, (), at(20), timedelta(0))
    assert (again.over, again.incidents.open[0].last_bad) == ((), at(20))
    ended = advance(again.incidents, CATALOG, fine, (), at(20), timedelta(0))
    assert [incident.over for incident in ended.over] == [True]


def test_alarm_of_others_is_known_while_it_is_not_fine() -> None:
    found = moved(Incidents(), theirs=Observation(ALARM, at(1)), others=Observation(OK, at(2)))
    assert dict(found.incidents.known) == {"theirs": Known(ALARM, True, at(1))}
    inexact = moved(Incidents(), fresh=Observation(OK, at(3), is_exact=False))
    assert dict(inexact.incidents.known) == {"fresh": Known(OK, False, None)}


def test_alarm_that_is_not_declared_any_more_begins_nothing() -> None:
    """It was fine, and is: of another owner's alarm, a new time may be that of a state without data."""
    before = Incidents(known={name: Known(OK, False, at(0)) for name in ("theirs", "fresh")})
    assert moved(before, theirs=Observation(OK, at(20))).began == ()
    [incident] = moved(before, fresh=Observation(OK, at(20))).began
    assert (incident.key, incident.began, incident.last_bad) == ("freshness", at(20), at(20))
    assert moved(before, fresh=Observation(OK, at(0))).began == ()


def test_symptom_joins_the_oldest_cause() -> None:
    causes = [
        Incident(key, at(since), at(99), (Trouble(f"{key}-errors", at(since)),))
        for key, since in (("load", 2), ("extract", 1))
    ]
    alone = Incident("freshness of others", at(0), at(99), (Trouble("fresh", at(0)),))
    fresh = Observation(ALARM, at(50), "late", description="words")
    bad = {f"{incident.key}-errors": Observation(ALARM, incident.began) for incident in causes}
    found = moved(Incidents(open=tuple(causes)), fresh=fresh, **bad)
    assert found.began == ()
    assert {incident.key: [trouble.alarm for trouble in incident.troubles] for incident in found.incidents.open} == {
        "load": ["load-errors"],
        "extract": ["extract-errors", "fresh"],
    }
    assert found.incidents.open[1].troubles[1] == Trouble("fresh", at(50), "late", "words")
    joined = moved(Incidents(open=(*causes, alone)), fresh=fresh, **bad)
    assert [len(incident.troubles) for incident in joined.incidents.open] == [1, 1, 1], "it stays where it was"


def test_symptom_joins_its_own_incident_before_a_cause() -> None:
    catalog = Catalog(
        *("totes", "dev"),
        {"errors": notice("extract"), **{name: notice("freshness", symptom=True) for name in ("fresh", "late")}},
    )
    since = {"extract": ("errors", 5), "freshness": ("late", 1)}
    opened = {key: Incident(key, at(at_), at(9), (Trouble(name, at(at_)),)) for key, (name, at_) in since.items()}
    bad = {name: Observation(ALARM, at(1)) for name in ("errors", "fresh", "late")}

    def joined(*keys: str) -> dict[str, list[str]]:
        before = Incidents(open=tuple(opened[key] for key in keys))
        found = advance(before, catalog, bad, (), at(20), SETTLE).incidents.open
        return {incident.key: [trouble.alarm for trouble in incident.troubles] for incident in found}

    assert joined("extract", "freshness") == {"extract": ["errors"], "freshness": ["late", "fresh"]}
    theirs = Incident("theirs", at(0), at(9), (Trouble("late", at(0)),))
    mixed = Incident("extract", at(5), at(9), (Trouble("errors", at(5)), Trouble("late", at(6))))
    symptoms = {name: bad[name] for name in ("fresh", "late")}
    for before, began in ((theirs, ["freshness"]), (mixed, [])):
        found = advance(Incidents(open=(before,)), catalog, symptoms, (), at(20), SETTLE)
        assert [incident.key for incident in found.began] == began, "symptoms alone are no cause"


@pytest.mark.parametrize(
    ("before", "until"),
    [
        (None, 20),
        (Known(OK, False), 30),
        (Known(ALARM, True), 30),
        (Known(NO_DATA, True), 30),
        (Known(NO_DATA, False), 20),
    ],
)
def test_alarm_of_an_incident_counts_where_it_had_data(before: Known | None, until: int) -> None:
    """It is fine now, and was not, although no look and no message said so; one of another incident does not count."""
    known = {"load-errors": Known(ALARM, True), **({"extract-silent": before} if before else {})}
    opened = Incident("extract", at(1), at(10), (Trouble("extract-errors", at(1)),))
    fine = {"extract-errors": 20, "extract-silent": 30, "load-errors": 40}
    found = {name: Observation(OK, at(seconds)) for name, seconds in fine.items()}
    [incident] = moved(Incidents(open=(opened,), known=known), now=70, **found).incidents.open
    assert incident.last_bad == at(until)


@pytest.mark.parametrize(("seconds", "last"), [(60, 60), (40, 50)])
def test_late_moment_may_make_an_incident_longer_alone(seconds: int, last: int) -> None:
    before = Incidents(open=(Incident("extract", at(1), at(50), (Trouble("extract-errors", at(1)),)),))
    fine = {"extract-errors": Observation(OK, at(30))}
    given = Transition("extract-errors", OK, ALARM, at(seconds))
    [incident] = advance(before, CATALOG, fine, (given,), at(100), SETTLE).incidents.open
    assert (incident.began, incident.last_bad, len(incident.troubles)) == (at(1), at(last), 1)


@pytest.mark.parametrize(("before", "is_exact"), [(None, True), (0, False), (None, False)])
def test_times_that_are_not_exact_are_not_compared(before: int | None, is_exact: bool) -> None:
    known = Known(OK, False, None if before is None else at(before))
    now = Observation(OK, at(20), is_exact=is_exact)
    assert moved(Incidents(known={"fresh": known}), fresh=now).began == ()
