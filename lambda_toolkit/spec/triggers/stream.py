"""Streams whose records invoke a function: the declaration, its forms, and what Lambda would reject. Pure.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lambda_toolkit.spec.limit_checks import Found, in_range, unknown_value
from lambda_toolkit.spec.triggers.batches import batch_problems, with_filters
from lambda_toolkit.spec.triggers.forms import names, repeated, several

_KINESIS = re.compile(r"(arn:[a-z0-9-]+:kinesis:[a-z0-9-]+:\d{12}:stream/)?[A-Za-z0-9_.-]{1,128}", re.A)
_CONSUMER = re.compile(
    r"arn:[a-z0-9-]+:kinesis:[a-z0-9-]+:\d{12}:stream/[A-Za-z0-9_.-]+/consumer/[A-Za-z0-9_.-]+:\d+", re.A
)
_TABLE = re.compile(r"(arn:[a-z0-9-]+:dynamodb:[a-z0-9-]+:\d{12}:table/)?[A-Za-z0-9_.-]{3,255}", re.A)
_TABLE_STREAM = re.compile(r"arn:[a-z0-9-]+:dynamodb:[a-z0-9-]+:\d{12}:table/[A-Za-z0-9_.-]+/stream/[0-9T:.-]+", re.A)
_DESTINATION = re.compile(
    r"arn:[a-z0-9-]+:(sqs|sns):[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+|arn:[a-z0-9-]+:s3:::[^\s/:]+", re.A
)
_FACTOR, _RETRIES = (1, 10), (-1, 10_000)
_AGE, _ANY_AGE = (60, 604_800), -1  # seconds
_POSITIONS = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
_AT = "AT_TIMESTAMP"


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
        return cls(value) if isinstance(value, str) else cls(**with_filters(value))

    @property
    def is_kinesis(self) -> bool:
        """Whether the stream is one of Kinesis."""
        return (bool(self.stream) and not self.stream.startswith("arn:")) or ":kinesis:" in self.stream


_OneStream = str | StreamTrigger | Mapping[str, Any]
StreamTriggers = _OneStream | Sequence[_OneStream]
"""One or several streams: names or ARNs of Kinesis streams, or with the fields of :class:`StreamTrigger`."""


def read(value: Any) -> tuple[StreamTrigger, ...] | None:
    """The stream triggers that ``value`` declares; ``None`` where it is. Raises TriggerError."""
    expected = (
        "stream_trigger takes the name or the ARN of a Kinesis stream, or `stream` or `table` with "
        f'{names(StreamTrigger, "stream", "table")}: "clicks" or {{"table": "orders", "bisect": True}}'
    )
    return several(value, StreamTrigger, StreamTrigger.of, expected)


def problems(triggers: Sequence[StreamTrigger], function: object) -> Found:
    """What Lambda would reject: a sentence each, with what to write instead; and doubts."""
    yield from repeated("stream", (trigger.stream or trigger.table for trigger in triggers))
    for trigger in triggers:
        yield from _problems(trigger)


def parsed_timestamp(text: str) -> datetime:
    """``text`` as a time with a zone. Raises ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("it has no zone; write Z for UTC")
    return found


def _problems(trigger: StreamTrigger) -> Found:
    name = trigger.stream or trigger.table
    where = f"its trigger on stream `{name}`:"
    if bool(trigger.stream) == bool(trigger.table):
        yield "its stream trigger needs either `stream`, a stream of Kinesis, or `table`, a table of DynamoDB."
    elif trigger.table and not _TABLE.fullmatch(trigger.table):
        yield f"its trigger's table `{name}` is neither the name of a DynamoDB table (3 to 255 characters) nor its ARN."
    elif trigger.stream and not any(form.fullmatch(trigger.stream) for form in (_KINESIS, _CONSUMER, _TABLE_STREAM)):
        yield (
            f"its trigger's stream `{name}` is neither the name of a Kinesis stream nor the ARN of one, of its "
            "consumer or of the stream of a DynamoDB table."
        )
    yield from batch_problems(where, trigger)
    yield from _position_problems(where, trigger)
    factor = trigger.parallelization_factor
    yield from in_range(
        "lambda", "ParallelizationFactor", f"{where} parallelization_factor", factor, _FACTOR, "batches"
    )
    yield from in_range(
        "lambda", "MaximumRetryAttemptsEventSourceMapping", f"{where} retries", trigger.retries, _RETRIES, "attempts"
    )
    if trigger.max_record_age != _ANY_AGE:
        yield from in_range(
            "lambda",
            "MaximumRecordAgeInSeconds",
            f"{where} max_record_age",
            trigger.max_record_age,
            _AGE,
            f"seconds, and not {_ANY_AGE}, which means any age",
        )
    if trigger.on_failure and not _DESTINATION.fullmatch(trigger.on_failure):
        yield (
            f"{where} on_failure `{trigger.on_failure}` is not the ARN of a standard queue, a standard topic or a "
            "bucket; write it like arn:aws:sqs:eu-west-2:123456789012:failed."
        )


def _position_problems(where: str, trigger: StreamTrigger) -> Found:
    position = trigger.starting_position
    if position not in _POSITIONS:
        otherwise = f"is not one of {', '.join(_POSITIONS)}"
        yield from unknown_value("lambda", "EventSourcePosition", f"{where} starting_position", position, otherwise)
    if (position == _AT) != bool(trigger.starting_timestamp):
        yield f"{where} starting_position {_AT} and starting_timestamp need each other."
    if position == _AT and not trigger.is_kinesis:
        yield f"{where} a table's stream has no {_AT}; write TRIM_HORIZON or LATEST."
    if trigger.starting_timestamp:
        try:
            parsed_timestamp(trigger.starting_timestamp)
        except ValueError as error:
            yield f"{where} starting_timestamp `{trigger.starting_timestamp}` is no time of ISO 8601: {error}."
