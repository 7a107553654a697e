"""Incidents: which begin and which are over, decided from what CloudWatch says now and what SNS delivered.

Truth is the state of the alarms (``DescribeAlarms``), looked at whenever a message of SNS arrives and on a schedule.
What SNS delivers, however often, late or out of order, only adds moments in which an alarm was not fine. An incident
begins with the first such moment that no earlier one covers. It is over when all of its alarms are fine and have been
for the time ``settle``, so that an alarm that comes and goes is one incident. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from .notices import Catalog

ALARM, OK, NO_DATA = "ALARM", "OK", "INSUFFICIENT_DATA"
CLOSED = 20  # incidents that are over and remembered
_REMEMBERED = timedelta(days=30)  # SNS tries to deliver for 23 days


@dataclass(frozen=True)
class Observation:
    """An alarm as CloudWatch describes it."""

    state: str
    since: datetime
    """When the state became what it is."""
    reason: str = ""
    needs_data: bool = False
    """Whether its topic is notified of INSUFFICIENT_DATA, too: then that is as bad as ALARM."""
    description: str = ""
    is_exact: bool = True
    """Whether ``since`` changes with the state alone."""


@dataclass(frozen=True)
class Transition:
    """A message of SNS: an alarm changed its state."""

    alarm: str
    old: str
    new: str
    at: datetime
    reason: str = ""
    description: str = ""

    @property
    def was_bad(self) -> bool:
        """Whether the alarm was not fine at this moment. A new alarm has no data before it has some: that is fine."""
        return self.new == ALARM or (self.new == NO_DATA and self.old != NO_DATA) or self.old == ALARM


@dataclass(frozen=True)
class Known:
    """What the last look found of an alarm."""

    state: str
    bad: bool
    since: datetime | None = None
    """When its state became what it was, where that is exact."""


@dataclass(frozen=True)
class Trouble:
    """One alarm of an incident, as it was when it became part of it."""

    alarm: str
    since: datetime
    reason: str = ""
    description: str = ""


@dataclass(frozen=True)
class Incident:
    """From the moment an alarm was not fine until all of its alarms are."""

    key: str
    """The text that its alarms share, see ``Notice.incident``."""
    began: datetime
    last_bad: datetime
    """The last moment in which one of its alarms is known not to have been fine."""
    troubles: tuple[Trouble, ...]
    """In the order in which they came."""
    over: bool = False

    @property
    def id(self) -> str:
        """Names it among all incidents."""
        return f"{self.key} {self.began.isoformat()}"

    def has(self, alarm: str) -> bool:
        """Whether ``alarm`` is part of it."""
        return any(trouble.alarm == alarm for trouble in self.troubles)


@dataclass(frozen=True)
class Incidents:
    """All that is remembered from one look to the next."""

    open: tuple[Incident, ...] = ()
    closed: tuple[Incident, ...] = ()
    """The newest last, at most :data:`CLOSED`."""
    covered: Mapping[str, datetime] = field(default_factory=dict)
    """By the key of an incident, and by the name of an alarm: no moment until then begins another one."""
    known: Mapping[str, Known] = field(default_factory=dict)
    """By the alarms' names."""


@dataclass(frozen=True)
class Advance:
    """What a look changed."""

    incidents: Incidents
    began: tuple[Incident, ...] = ()
    over: tuple[Incident, ...] = ()


def advance(
    before: Incidents,
    catalog: Catalog,
    observed: Mapping[str, Observation],
    transitions: Iterable[Transition],
    now: datetime,
    settle: timedelta,
) -> Advance:
    """The incidents after a look at ``now``, and which of them began or are over.

    ``observed`` are the alarms of the catalog, those of open incidents and those of ``transitions``, as far as they
    exist. An alarm that was deleted is fine.
    """
    known = {
        name: Known(item.state, _is_bad(item, before.known.get(name)), item.since if item.is_exact else None)
        for name, item in observed.items()
    }
    moments = sorted(
        [
            *_observed_moments(catalog, observed, known, before.known),
            *(_delivered(item) for item in transitions if item.was_bad),
        ],
        key=lambda moment: (catalog.of(moment.alarm).symptom, moment.since, moment.alarm),
    )
    found, began = {incident.key: incident for incident in before.open}, list[str]()
    for moment in moments:
        key = _incident_of(found.values(), catalog, moment.alarm)
        if key in found:
            found[key] = _extended(found[key], moment)
        elif not any(moment.until <= before.covered[name] for name in (key, moment.alarm) if name in before.covered):
            found[key] = Incident(key, moment.since, moment.until, (_trouble(moment),))
            began.append(key)
    bad = {name for name, item in known.items() if item.bad}
    for key, incident in found.items():
        found[key] = _until_now(incident, catalog, observed, before.known, now)
    over = [key for key, incident in found.items() if incident.last_bad + settle <= now and not _any_bad(incident, bad)]
    closed = tuple(replace(found[key], over=True) for key in over)
    after = Incidents(
        open=tuple(incident for key, incident in found.items() if key not in over),
        closed=(*before.closed, *closed)[-CLOSED:],
        covered=_covered(before.covered, closed, now),
        known={name: item for name, item in known.items() if name in catalog.notices or item.bad},
    )
    return Advance(after, tuple(found[key] for key in began), closed)


@dataclass(frozen=True)
class _Moment:
    """An alarm was not fine from ``since`` to ``until``."""

    alarm: str
    since: datetime
    until: datetime
    reason: str
    description: str


def _moment(alarm: str, item: Observation, until: datetime) -> _Moment:
    return _Moment(alarm, item.since, until, item.reason, item.description)


def _delivered(item: Transition) -> _Moment:
    return _Moment(item.alarm, item.at, item.at, item.reason, item.description)


def _observed_moments(
    catalog: Catalog, observed: Mapping[str, Observation], known: Mapping[str, Known], before: Mapping[str, Known]
) -> Iterator[_Moment]:
    """The alarms that are not fine now, and those that were not since the last look, although they are fine again.

    Of the latter SNS delivers a message too, which may be late. It is the declared alarms that are fine whenever they
    are not in ALARM; those of others may have been without data.
    """
    for name, item in observed.items():
        if known[name].bad:
            yield _moment(name, item, until=datetime.max.replace(tzinfo=item.since.tzinfo))
        elif name in catalog.notices and _was_bad_meanwhile(before.get(name), known[name]):
            yield _moment(name, item, until=item.since)


def _was_bad_meanwhile(before: Known | None, now: Known) -> bool:
    """Whether an alarm that was fine at the last look and is now became that in between."""
    if before is None or not before.state == now.state == OK or before.since is None or now.since is None:
        return False
    return now.since > before.since


def _is_bad(item: Observation, before: Known | None) -> bool:
    """A new alarm has no data until it has some, which is fine; one that had some and has none any more is not."""
    if item.state != NO_DATA:
        return item.state == ALARM
    if not item.needs_data or before is None:
        return False
    return before.bad if before.state == NO_DATA else True


def _incident_of(found: Iterable[Incident], catalog: Catalog, alarm: str) -> str:
    """The key of the incident that ``alarm`` is part of, or will be."""
    notice = catalog.of(alarm)
    incidents = list(found)
    own = next((item.key for item in incidents if item.has(alarm) or item.key == notice.incident), None)
    if own is not None or not notice.symptom:
        return own or notice.incident
    causes = [item for item in incidents if not all(catalog.of(trouble.alarm).symptom for trouble in item.troubles)]
    return min(causes, key=lambda item: item.began).key if causes else notice.incident


def _extended(incident: Incident, moment: _Moment) -> Incident:
    troubles = incident.troubles if incident.has(moment.alarm) else (*incident.troubles, _trouble(moment))
    return replace(incident, last_bad=max(incident.last_bad, moment.until), troubles=troubles)


def _trouble(moment: _Moment) -> Trouble:
    return Trouble(moment.alarm, moment.since, moment.reason, moment.description)


def _any_bad(incident: Incident, bad: Iterable[str]) -> bool:
    return any(incident.has(name) for name in bad)


def _covered(before: Mapping[str, datetime], closed: Iterable[Incident], now: datetime) -> dict[str, datetime]:
    covered = {name: until for name, until in before.items() if until > now - _REMEMBERED}
    for incident in closed:
        covered |= dict.fromkeys((incident.key, *(item.alarm for item in incident.troubles)), incident.last_bad)
    return covered


def _until_now(
    incident: Incident,
    catalog: Catalog,
    observed: Mapping[str, Observation],
    known: Mapping[str, Known],
    now: datetime,
) -> Incident:
    """``incident`` with its last bad moment: now, or when the last of its alarms became fine again.

    That of an alarm which is not fine has no end yet.
    """
    last = min(incident.last_bad, now)
    for name, item in observed.items():
        of_it = incident.has(name) or (catalog.of(name).incident == incident.key and _had_data(known.get(name)))
        if item.state == OK and of_it:
            last = max(last, item.since)
    return replace(incident, last_bad=last)


def _had_data(known: Known | None) -> bool:
    """Whether an alarm that is fine now was in ALARM before, and not only without data."""
    return known is not None and (known.state != NO_DATA or known.bad)
