"""Events of EventBridge that invoke a function: the declaration, its forms, and what AWS would reject. Pure.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.spec.event_pattern import pattern_problems
from lambda_toolkit.spec.limit_checks import Found
from lambda_toolkit.spec.triggers.forms import names, repeated, several

_BUS = re.compile(r"[A-Za-z0-9_./-]{1,256}", re.A)
_RULE = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.A)
_SCHEDULE = "schedule"  # the rule of a function's schedule is called <function>-schedule


@dataclass(frozen=True)
class EventTrigger:
    """Events of an EventBridge bus that match a pattern and invoke the function.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
    """

    pattern: Mapping[str, Any]
    """The event pattern."""
    name: str = "events"
    """Which of the function's event triggers it is: the rule is called ``<function>-<name>``."""
    bus: str = "default"
    """The name of the event bus, in the function's region and account."""
    enabled: bool = True
    """Whether events invoke the function."""

    @classmethod
    def of(cls, value: EventTrigger | Mapping[str, Any]) -> EventTrigger:
        """``value`` itself, or the trigger with the fields of a mapping. Raises TypeError for other values."""
        return value if isinstance(value, EventTrigger) else cls(**value)


_OneEvent = EventTrigger | Mapping[str, Any]
EventTriggers = _OneEvent | Sequence[_OneEvent]
"""One or several event triggers, or mappings with the fields of :class:`EventTrigger`."""


def read(value: Any) -> tuple[EventTrigger, ...] | None:
    """The event triggers that ``value`` declares; ``None`` where it is. Raises TriggerError."""
    expected = (
        f"event_trigger takes `pattern`, and may take {names(EventTrigger, 'pattern')}: "
        '{"pattern": {"source": ["shop"], "detail-type": ["order placed"]}}'
    )
    return several(value, EventTrigger, EventTrigger.of, expected)


def problems(triggers: Sequence[EventTrigger], function: object) -> Found:
    """What AWS would reject: a sentence each, with what to write instead."""
    yield from repeated("event trigger", (trigger.name for trigger in triggers), "give each a name of its own")
    for trigger in triggers:
        yield from _problems(trigger)


def _problems(trigger: EventTrigger) -> Found:
    where = f"its event trigger `{trigger.name}`:"
    if not _RULE.fullmatch(trigger.name) or trigger.name == _SCHEDULE:
        yield f"{where} its name must be 1 to 40 letters, digits, `.`, `-` and `_`, and not {_SCHEDULE}."
    if not _BUS.fullmatch(trigger.bus):
        yield f"{where} bus `{trigger.bus}` is not the name of an event bus."
    if trigger.bus.startswith("arn:"):
        yield f"{where} bus `{trigger.bus}` must be the name of a bus of the function's own account, not an ARN."
    yield from pattern_problems(f"{where} its pattern", trigger.pattern)
