"""What invokes a function, as frozen dataclasses: objects of S3, messages of topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class S3Trigger:
    """An S3 event notification that invokes the function.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
    """

    bucket: str
    """The bucket's name. The bucket must be in the function's region and account."""
    prefix: str = ""
    """Only objects whose keys begin with this."""
    suffix: str = ""
    """Only objects whose keys end with this."""
    events: tuple[str, ...] = ("s3:ObjectCreated:*",)
    """S3's event types."""

    @classmethod
    def of(cls, value: S3Trigger | Mapping[str, Any]) -> S3Trigger:
        """``value`` itself, or the trigger with the fields of a mapping. Raises TypeError for other values."""
        if isinstance(value, S3Trigger):
            return value
        events = value.get("events", cls.events)
        return cls(**{**value, "events": (events,) if isinstance(events, str) else tuple(events)})


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
