"""SNS topics whose messages invoke a function: the declaration, its forms, and what SNS would reject. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.errors import TriggerError
from lambda_toolkit.spec.limit_checks import Found

_TOPIC = re.compile(r"(arn:[a-z0-9-]+:sns:[a-z0-9-]+:\d{12}:)?[A-Za-z0-9_-]{1,256}", re.A)
_FILTER_SCOPES = ("MessageAttributes", "MessageBody")


@dataclass(frozen=True)
class TopicTrigger:
    """A subscription of the function to an SNS topic: each message invokes it.

    https://docs.aws.amazon.com/sns/latest/dg/sns-lambda-as-subscriber.html
    """

    topic: str
    """The name or the ARN of a standard topic in the function's region."""
    filter_policy: Mapping[str, Any] = field(default_factory=dict)
    """SNS's filter policy: only messages that match it. Empty: all, and a filter set elsewhere is removed.
    https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html"""
    filter_scope: str = "MessageAttributes"
    """What the filter policy is about: ``MessageAttributes`` or ``MessageBody``."""

    @classmethod
    def of(cls, value: TopicTrigger | Mapping[str, Any] | str) -> TopicTrigger:
        """``value`` itself, the trigger of a topic's name, or that with the fields of a mapping. Raises TypeError."""
        if isinstance(value, TopicTrigger):
            return value
        return cls(value) if isinstance(value, str) else cls(**value)


_OneTopic = str | TopicTrigger | Mapping[str, Any]
TopicTriggers = _OneTopic | Sequence[_OneTopic]
"""One or several topics: names, ARNs, or with the fields of :class:`TopicTrigger`."""


def read(value: Any) -> tuple[TopicTrigger, ...] | None:
    """The topic triggers that ``value`` declares; ``None`` where it is. Raises TriggerError."""
    if value is None:
        return None
    items = (value,) if isinstance(value, TopicTrigger | Mapping | str) else value
    try:
        triggers = tuple(TopicTrigger.of(item) for item in items)
    except TypeError as error:
        raise TriggerError(_message(value)) from error
    for trigger in triggers:
        are_strings = isinstance(trigger.topic, str) and isinstance(trigger.filter_scope, str)
        if not are_strings or not isinstance(trigger.filter_policy, Mapping):
            raise TriggerError(_message(trigger))
    return triggers


def problems(triggers: Sequence[TopicTrigger], function: object) -> Found:
    """What SNS would reject: a sentence each, with what to write instead."""
    topics = [trigger.topic for trigger in triggers]
    for topic in sorted({topic for topic in topics if topics.count(topic) > 1}):
        yield f"it has two triggers on the topic `{topic}`; SNS allows one subscription of a function to a topic."
    for trigger in triggers:
        if not trigger.topic:
            yield "its trigger names no topic; topic_trigger=[] removes all its subscriptions."
        elif not _TOPIC.fullmatch(trigger.topic):
            yield (
                f"its trigger's topic `{trigger.topic}` is neither the name of a standard topic (1 to 256 letters, "
                "digits, - and _; SNS delivers FIFO topics to no function) nor the ARN of one."
            )
        if trigger.filter_scope not in _FILTER_SCOPES:
            yield f"its trigger's filter_scope `{trigger.filter_scope}` must be {' or '.join(_FILTER_SCOPES)}."
        try:
            json.dumps(trigger.filter_policy)
        except (TypeError, ValueError) as error:
            yield f"its trigger's filter_policy cannot be written as JSON: {error}."


def _message(value: Any) -> str:
    return (
        "topic_trigger takes the name or the ARN of a topic, or `topic` with `filter_policy` and `filter_scope`: "
        f'"orders" or {{"topic": "orders", "filter_policy": {{"kind": ["new"]}}}}. {value!r} does not fit.'
    )
