"""A CloudWatch, an SNS and an S3 in memory for the notifier, whose invocations may overlap or end anywhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from lambda_toolkit.pipeline.lambdas.notifier.delivering import Channels, deliver, look
from lambda_toolkit.pipeline.lambdas.notifier.incidents import ALARM, OK, Observation, Transition
from lambda_toolkit.pipeline.lambdas.notifier.letters import Kind, Letter, State
from lambda_toolkit.pipeline.lambdas.notifier.messages import Message
from lambda_toolkit.pipeline.lambdas.notifier.notices import Catalog, Notice
from lambda_toolkit.pipeline.lambdas.notifier.state_file import StateFile
from lambda_toolkit.pipeline.lambdas.notifier.webhook import Outcome
from tests.support.memory_s3 import MemoryS3

SETTLE = timedelta(seconds=60)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class CrashedError(Exception):
    """An invocation was ended from outside: nothing after this runs."""


def at(seconds: float) -> datetime:
    """The moment ``seconds`` after the beginning."""
    return BEGIN + timedelta(seconds=seconds)


def notice(incident: str, *, symptom: bool = False) -> Notice:
    """An alarm of the function that is called as its incident."""
    return Notice(incident, f"/aws/lambda/{incident}", incident, symptom, f"{incident} failed.", f"logs {incident}")


CATALOG = Catalog(
    "totes",
    "dev",
    {
        "extract-errors": notice("extract"),
        "extract-silent": notice("extract"),
        "load-errors": notice("load"),
        "fresh": notice("freshness", symptom=True),
    },
)


@dataclass
class World:
    """One notifier and all that it talks to."""

    catalog: Catalog
    bad: Mapping[str, Sequence[tuple[int, int]]]
    """By alarm, from when until when it is in ALARM; in seconds."""
    before_put: Callable[[World], object] = lambda world: None
    """Called before each write to S3: may run another invocation, or raise CrashedError."""
    after_email: Callable[[World], object] = lambda world: None
    now: float = 0.0
    emails: list[Letter] = field(default_factory=list)
    posts: list[Letter] = field(default_factory=list)
    slack: Callable[[Mapping[str, object]], Outcome] | None = None
    s3: MemoryS3 = field(default_factory=MemoryS3)
    is_exact: bool = True
    _numbers: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        """Creates the bucket."""
        self.s3.create_bucket("lake")

    def observe(self, names: Collection[str]) -> dict[str, Observation]:
        """What CloudWatch says now."""
        found = {}
        for name in names:
            state, since = OK, -1_000_000
            for begins, ends in self.bad.get(name, ()):
                if begins <= self.now:
                    state, since = (ALARM, begins) if self.now < ends else (OK, ends)
            found[name] = Observation(state, at(since), "because", is_exact=self.is_exact)
        return found

    def file(self) -> StateFile:
        """The state, whose writes call ``before_put``."""
        world = self

        class Client:
            exceptions = MemoryS3.exceptions

            def __getattr__(self, name: str) -> Any:
                return getattr(world.s3, name)

            def put_object(self, **request: Any) -> Any:
                world.before_put(world)
                return world.s3.put_object(**request)

        return StateFile(Client(), "lake")

    def state(self) -> State:
        """What is remembered."""
        return StateFile(self.s3, "lake").read()[1]

    def invoke(self, transitions: Sequence[Transition] = (), others: Sequence[Letter] = ()) -> None:
        """One invocation, now."""
        by, file = f"invocation {next(self._numbers)}", self.file()
        claimed = look(file, self.catalog, self.observe, transitions, others, by, at(self.now), SETTLE)
        deliver(file, claimed, self._channels(), by, lambda: at(self.now), lambda: True)

    def _channels(self) -> Channels:
        composing: list[Letter] = []

        def compose(letter: Letter) -> Message:
            composing.append(letter)
            return Message(letter.id, letter.text, {"letter": letter.id})

        def email(message: Message) -> str:
            self.emails.append(next(letter for letter in composing if letter.id == message.subject))
            self.after_email(self)
            return message.subject

        def post(payload: Mapping[str, object]) -> Outcome:
            assert self.slack is not None
            outcome = self.slack(payload)
            if outcome.sent:
                self.posts.append(next(letter for letter in composing if letter.id == payload.get("letter")))
            return outcome

        return Channels(compose, email, post if self.slack else None)

    def sent(self, kind: Kind) -> list[tuple[str, datetime]]:
        """Of the emails of ``kind``: the incident, and when it began."""
        return [
            (letter.incident.key, letter.incident.began)
            for letter in self.emails
            if letter.kind == kind and letter.incident
        ]


def transitions(bad: Mapping[str, Sequence[tuple[int, int]]]) -> list[Transition]:
    """What CloudWatch publishes of these alarms, in order."""
    found = [
        item
        for name, intervals in bad.items()
        for begins, ends in intervals
        for item in (Transition(name, OK, ALARM, at(begins)), Transition(name, ALARM, OK, at(ends)))
    ]
    return sorted(found, key=lambda item: item.at)
