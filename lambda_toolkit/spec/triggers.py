"""What invokes a function, as frozen dataclasses: objects of S3, messages of topics and queues, records, events."""

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


@dataclass(frozen=True)
class QueueTrigger:
    """An SQS queue whose messages invoke the function: Lambda polls it with the function's role.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """

    queue: str
    """The name or the ARN of a queue in the function's region. Its redrive policy says where messages go that fail."""
    batch_size: int = 10
    """How many messages one invocation gets at most: 1 to 10,000, of a FIFO queue 10. More than 10 need a window."""
    batching_window: int = 0
    """For how many seconds Lambda gathers messages before it invokes: 0 to 300. FIFO queues have none."""
    filters: tuple[Mapping[str, Any], ...] = ()
    """Event patterns: a message that matches none of them is deleted without an invocation. Empty: all match."""
    report_failures: bool = False
    """Whether the function returns ``batchItemFailures``: then only these messages of a batch come again."""
    maximum_concurrency: int | None = None
    """How many invocations of this queue run at most at a time: 2 to 1,000. ``None``: no limit of its own."""
    enabled: bool = True
    """Whether Lambda polls."""

    @classmethod
    def of(cls, value: QueueTrigger | Mapping[str, Any] | str) -> QueueTrigger:
        """``value`` itself, the trigger of a queue's name, or that with the fields of a mapping. Raises TypeError."""
        if isinstance(value, QueueTrigger):
            return value
        return cls(value) if isinstance(value, str) else cls(**_with_filters(value))

    @property
    def is_fifo(self) -> bool:
        """Whether the queue keeps the order of its messages."""
        return self.queue.endswith(".fifo")


@dataclass(frozen=True)
class StreamTrigger:
    """A Kinesis stream, or the stream of a DynamoDB table, whose records invoke the function, each shard in order.

    https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html,
    https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
    """

    stream: str = ""
    """The name or the ARN of a Kinesis stream, or the ARN of one of its consumers or of a table's stream."""
    table: str = ""
    """In place of ``stream``: the name or the ARN of a DynamoDB table, whose latest stream is found."""
    starting_position: str = "TRIM_HORIZON"
    """Where the first read begins: ``TRIM_HORIZON``, the oldest record, ``LATEST`` or ``AT_TIMESTAMP``. It has an
    effect only when Lambda begins to read the stream for the function."""
    starting_timestamp: str = ""
    """With ``AT_TIMESTAMP``, of Kinesis alone: ISO 8601 with a zone, ``2026-11-01T00:00:00Z``."""
    batch_size: int = 100
    """How many records one invocation gets at most: 1 to 10,000."""
    batching_window: int = 0
    """For how many seconds Lambda gathers records before it invokes: 0 to 300."""
    filters: tuple[Mapping[str, Any], ...] = ()
    """Event patterns: records that match none of them are skipped. Empty: all match."""
    report_failures: bool = False
    """Whether the function returns ``batchItemFailures``: then a batch is tried again from the first of these on."""
    on_failure: str = ""
    """The ARN of the queue, topic or bucket that is sent where failed records are; empty: they are discarded."""
    parallelization_factor: int = 1
    """How many batches of one shard run at a time: 1 to 10. Records of one partition key stay in order."""
    bisect: bool = False
    """Whether a batch that failed is split in two."""
    retries: int = -1
    """How often a failed batch is tried again: 0 to 10,000; -1: until its records expire, which blocks the shard."""
    max_record_age: int = -1
    """Records older than so many seconds are skipped: 60 to 604,800; -1: none."""
    enabled: bool = True
    """Whether Lambda reads."""

    @classmethod
    def of(cls, value: StreamTrigger | Mapping[str, Any] | str) -> StreamTrigger:
        """``value`` itself, the trigger of a stream's name, or that with the fields of a mapping. Raises TypeError."""
        if isinstance(value, StreamTrigger):
            return value
        return cls(value) if isinstance(value, str) else cls(**_with_filters(value))

    @property
    def is_kinesis(self) -> bool:
        """Whether the stream is one of Kinesis."""
        return (bool(self.stream) and not self.stream.startswith("arn:")) or ":kinesis:" in self.stream


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


def _with_filters(value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with a single filter as one of several. Raises TypeError where they are no mapping."""
    filters = value.get("filters", ()) if isinstance(value, Mapping) else None
    if filters is None:
        raise TypeError
    return {**value, "filters": (filters,) if isinstance(filters, Mapping) else tuple(filters)}
