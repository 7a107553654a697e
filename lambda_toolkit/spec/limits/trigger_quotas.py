"""What AWS would reject of the triggers that Lambda polls, and of event triggers. Pure.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from lambda_toolkit.spec.event_pattern import pattern_problems
from lambda_toolkit.spec.function_url import url_problems
from lambda_toolkit.spec.limit_checks import Doubt, Found, in_range, unknown_value
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.triggers import EventTrigger, QueueTrigger, StreamTrigger

_QUEUE = re.compile(r"(arn:[a-z0-9-]+:sqs:[a-z0-9-]+:\d{12}:)?[A-Za-z0-9_-]{1,75}([A-Za-z0-9_-]{0,5}|\.fifo)", re.A)
_KINESIS = re.compile(r"(arn:[a-z0-9-]+:kinesis:[a-z0-9-]+:\d{12}:stream/)?[A-Za-z0-9_.-]{1,128}", re.A)
_CONSUMER = re.compile(
    r"arn:[a-z0-9-]+:kinesis:[a-z0-9-]+:\d{12}:stream/[A-Za-z0-9_.-]+/consumer/[A-Za-z0-9_.-]+:\d+", re.A
)
_TABLE = re.compile(r"(arn:[a-z0-9-]+:dynamodb:[a-z0-9-]+:\d{12}:table/)?[A-Za-z0-9_.-]{3,255}", re.A)
_TABLE_STREAM = re.compile(r"arn:[a-z0-9-]+:dynamodb:[a-z0-9-]+:\d{12}:table/[A-Za-z0-9_.-]+/stream/[0-9T:.-]+", re.A)
_DESTINATION = re.compile(
    r"arn:[a-z0-9-]+:(sqs|sns):[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+|arn:[a-z0-9-]+:s3:::[^\s/:]+", re.A
)
_BUS = re.compile(r"[A-Za-z0-9_./-]{1,256}", re.A)
_RULE = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.A)
_SCHEDULE = "schedule"  # the rule of a function's schedule is called <function>-schedule
_BATCH, _FIFO_BATCH, _WITHOUT_WINDOW = (1, 10_000), 10, 10  # messages or records
_WINDOW = (0, 300)  # seconds
_CONCURRENCY, _FACTOR = (2, 1000), (1, 10)
_FILTERS = 5  # of one mapping; AWS raises it to 10 on request
_RETRIES = (-1, 10_000)
_AGE, _ANY_AGE = (60, 604_800), -1  # seconds
_POSITIONS = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
_AT = "AT_TIMESTAMP"


def trigger_problems(spec: FunctionSpec) -> Found:
    """What AWS would reject of triggers and of the URL: a sentence each, with what to write instead; and doubts."""
    queues, streams, events = spec.queue_triggers or (), spec.stream_triggers or (), spec.event_triggers or ()
    yield from _repeated("queue", (trigger.queue for trigger in queues))
    yield from _repeated("stream", (trigger.stream or trigger.table for trigger in streams))
    yield from _repeated("event trigger", (trigger.name for trigger in events), "give each a name of its own")
    for queue in queues:
        yield from _queue_problems(spec, queue)
    for stream in streams:
        yield from _stream_problems(stream)
    for event in events:
        yield from _event_problems(event)
    if spec.url is not None and not isinstance(spec.url, str):
        yield from url_problems(spec.url)


def parsed_timestamp(text: str) -> datetime:
    """``text`` as a time with a zone. Raises ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("it has no zone; write Z for UTC")
    return found


def _repeated(what: str, names: Iterable[str], remedy: str = "declare it once") -> Found:
    found = list(names)
    for name in sorted({name for name in found if found.count(name) > 1}):
        yield f"it has two triggers on the {what} `{name}`; {remedy}."


def _queue_problems(spec: FunctionSpec, trigger: QueueTrigger) -> Found:
    where = f"its trigger on queue `{trigger.queue}`:"
    if not _QUEUE.fullmatch(trigger.queue):
        yield (
            f"its trigger's queue `{trigger.queue}` is neither the name of an SQS queue (1 to 80 letters, digits, - "
            "and _, of a FIFO queue with .fifo at the end) nor the ARN of one."
        )
    yield from _batch_problems(where, trigger)
    if trigger.is_fifo and trigger.batch_size > _FIFO_BATCH:
        yield f"{where} batch_size {trigger.batch_size} is more than {_FIFO_BATCH}, the most of a FIFO queue."
    elif trigger.batch_size > _WITHOUT_WINDOW and not trigger.batching_window:
        yield f"{where} a batch_size of more than {_WITHOUT_WINDOW} needs a batching_window of 1 second or more."
    if trigger.is_fifo and trigger.batching_window:
        yield f"{where} a FIFO queue has no batching_window."
    wanted = trigger.maximum_concurrency
    if wanted is not None:
        yield from in_range(
            "lambda", "MaximumConcurrency", f"{where} maximum_concurrency", wanted, _CONCURRENCY, "invocations"
        )
        if isinstance(spec.concurrency, int) and wanted > spec.concurrency:
            yield Doubt(
                f"{where} maximum_concurrency {wanted} is more than the function's concurrency {spec.concurrency}, so "
                "that Lambda takes messages which it cannot deliver, and some of them may be taken for failed"
            )


def _batch_problems(where: str, trigger: QueueTrigger | StreamTrigger) -> Found:
    yield from in_range("lambda", "BatchSize", f"{where} batch_size", trigger.batch_size, _BATCH, "records")
    yield from in_range(
        "lambda",
        "MaximumBatchingWindowInSeconds",
        f"{where} batching_window",
        trigger.batching_window,
        _WINDOW,
        "seconds",
    )
    if len(trigger.filters) > _FILTERS:
        yield Doubt(f"{where} {len(trigger.filters)} filters are more than the {_FILTERS} that AWS allows unasked")
    for number, pattern in enumerate(trigger.filters, start=1):
        yield from pattern_problems(f"{where} filter {number}", pattern)


def _stream_problems(trigger: StreamTrigger) -> Found:
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
    yield from _batch_problems(where, trigger)
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


def _event_problems(trigger: EventTrigger) -> Found:
    where = f"its event trigger `{trigger.name}`:"
    if not _RULE.fullmatch(trigger.name) or trigger.name == _SCHEDULE:
        yield f"{where} its name must be 1 to 40 letters, digits, `.`, `-` and `_`, and not {_SCHEDULE}."
    if not _BUS.fullmatch(trigger.bus):
        yield f"{where} bus `{trigger.bus}` is not the name of an event bus."
    if trigger.bus.startswith("arn:"):
        yield f"{where} bus `{trigger.bus}` must be the name of a bus of the function's own account, not an ARN."
    yield from pattern_problems(f"{where} its pattern", trigger.pattern)
