"""One row: broken, noticed, repaired by what the runbook says, over; and nothing lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lambda_toolkit.pipeline.local_stack.independent_check import Check, check
from lambda_toolkit.pipeline.local_stack.postgres.databases import WAREHOUSE
from lambda_toolkit.pipeline.local_stack.totesys.expected import EXPECTATIONS, Expectation
from tests.drill.rows import Row, Shell
from tests.drill.runbook import Cause
from tests.drill.site import Site
from tests.drill.watch import Arrived, TooLateError, Watch, in_alarm, unsettled
from tests.support.account import eventually

LIMIT = 60.0  # seconds from the breach to the message, and from the repair to the message that it is over
LOOKS = 30.0  # seconds in which the commands that show the cause are repeated
CALM = 180.0  # seconds until the alarms of the row before are over


class TooEarlyError(Exception):
    """An alarm was over before its cause was."""


@dataclass(frozen=True)
class Times:
    """When what happened, in seconds from the breach; the last three from the repair."""

    cause: str
    alarm: str
    raised: float
    begun: Arrived
    repaired: float
    over: float
    ended: Arrived


def provoke(site: Site, row: Row, cause: Cause, say: Callable[[str], None]) -> Times:
    """Break the component of ``row``, and repair it as ``cause`` says.

    Raises TooLateError where alarm or message does not come within LIMIT, TooEarlyError where the alarm ends before the
    repair, CommandFailedError where a command of the runbook fails, and AssertionError where it shows something else
    than the runbook says, or a row is lost.
    """
    _await(lambda: not unsettled(site), CALM, lambda: f"not over yet: {unsettled(site)}")
    with site.business.open():
        since = time.time() + row.promised
        shell = row.breaks(site)
        watch = Watch(site, cause.alarm, since, row.promised, row.incident, row.messages)
        raised = watch.raised(row.promised + LIMIT)
        begun = watch.message(LIMIT)
        say(f"{cause.alarm or 'no alarm'} after {raised:.1f} s; {begun}")
        _look(site, cause, shell)
        for old, new in cause.edits:
            site.edit(old, new)
        started = time.time()
        if cause.alarm and not row.passes and site.name(cause.lasting) not in in_alarm(site):
            raise TooEarlyError(f"the alarm {cause.lasting} is over, and nothing is repaired yet")
        site.type(_filled(cause.repair, shell), shell)
        repaired = time.time()
        say(f"repaired in {repaired - started:.1f} s")
        over = replace(watch, alarm=cause.lasting).over(repaired, LIMIT)
        ended = watch.message_over(LIMIT + repaired - since)
    _await(lambda: _agrees(site), row.complete_within, lambda: str(_compared(site)))
    after = repaired - since
    times = Times(cause.title, cause.alarm, raised, begun, after, over, ended.later(after))
    say(f"over after {over:.1f} s; {times.ended}; no row is lost")
    return times


def _look(site: Site, cause: Cause, shell: Shell) -> None:
    """What the runbook says that one sees is what one sees, at the latest once the next load ended."""

    def missing() -> tuple[list[str], str]:
        shown = site.type(_filled(cause.look, shell), shell, must_succeed=False)
        seen = " ".join(shown.split())
        return [text for text in cause.said if " ".join(_filled(text, shell).split()) not in seen], shown

    deadline = time.time() + LOOKS
    while (found := missing())[0]:
        assert time.time() < deadline, f"{cause.look}does not show {found[0]}, but:\n{found[1]}"


def _filled(text: str, shell: Shell) -> str:
    """``text`` with the words in capitals that stand for a value, such as BATCH."""
    for name, value in shell.items():
        text = text.replace(name, value) if name.isupper() and name != "PGDATA" else text
    return text


def _await(condition: Callable[[], bool], within: float, otherwise: Callable[[], str]) -> None:
    try:
        eventually(condition, within)
    except AssertionError:
        raise TooLateError(f"{otherwise()} after {within:.0f} s") from None


def _agrees(site: Site) -> bool:
    time.sleep(1)  # it reads both databases in full
    return _compared(site).agrees


def _compared(site: Site) -> Check:
    return check(site.stack.source_admin, site.warehouse.superuser(WAREHOUSE), expectations(site))


def expectations(site: Site) -> Sequence[Expectation]:
    """What the warehouse must hold: other expressions where the declaration has others by now."""
    return [site.expected.get(expectation.table, expectation) for expectation in EXPECTATIONS]
