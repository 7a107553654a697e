"""The keys of a function about queues, streams, events and its URL, and what the toolkit declares for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lambda_script import Cors, EventTrigger, FunctionSpec, FunctionUrl, QueueTrigger, StreamTrigger
from lambda_toolkit.pipeline.config.schema.key_types import Key, Table, Type

_FILTERS = Key(
    "filters",
    Type.OBJECTS,
    "Event patterns: what matches none of them invokes nothing.",
    '[{ body = { kind = ["new"] } }]',
    default=(),
)
_REPORT = Key(
    "report_failures",
    Type.BOOLEAN,
    "Whether the function returns `batchItemFailures`, and only these come again.",
    "true",
    default=False,
)
_ENABLED = Key("enabled", Type.BOOLEAN, "Whether it invokes the function.", "false", default=True)
_WINDOW = Key("batching_window", Type.INTEGER, "Seconds to wait for more, 0 to 300.", "5", default=0)
_QUEUE = Table(
    "functions.<name>.queue_trigger",
    "An SQS queue whose messages start the function.",
    (
        Key("queue", Type.STRING, "The queue's name or ARN.", '"{name}-{stage}-orders"', required=True),
        Key("batch_size", Type.INTEGER, "Messages of one invocation.", "100", default=QueueTrigger.batch_size),
        _WINDOW,
        _FILTERS,
        _REPORT,
        Key("maximum_concurrency", Type.INTEGER, "Invocations at a time, 2 to 1000.", "10", absent="no limit"),
        _ENABLED,
    ),
)
_STREAM = Table(
    "functions.<name>.stream_trigger",
    "A Kinesis stream, or the stream of a DynamoDB table, whose records start the function.",
    (
        Key("stream", Type.STRING, "The name or the ARN of a Kinesis stream.", '"clicks"', default=""),
        Key(
            "table",
            Type.STRING,
            "Instead of `stream`: the name or the ARN of a DynamoDB table.",
            '"orders"',
            default="",
        ),
        Key(
            "starting_position",
            Type.STRING,
            "Where a new trigger begins to read.",
            '"LATEST"',
            default=StreamTrigger.starting_position,
            choices=("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"),
        ),
        Key(
            "starting_timestamp",
            Type.STRING,
            "With `AT_TIMESTAMP`, of Kinesis: ISO 8601 with a zone.",
            '"2026-11-01T00:00:00Z"',
            default="",
        ),
        Key("batch_size", Type.INTEGER, "Records of one invocation.", "500", default=StreamTrigger.batch_size),
        _WINDOW,
        _FILTERS,
        _REPORT,
        Key(
            "on_failure",
            Type.STRING,
            "The ARN of the queue, topic or bucket that is sent where failed records are.",
            '"arn:aws:sqs:{region}:{account}:failed"',
            default="",
        ),
        Key("parallelization_factor", Type.INTEGER, "Batches of one shard at a time, 1 to 10.", "4", default=1),
        Key("bisect", Type.BOOLEAN, "Whether a batch that failed is split in two.", "true", default=False),
        Key("retries", Type.INTEGER, "Tries of a failed batch; -1: until its records expire.", "3", default=-1),
        Key("max_record_age", Type.INTEGER, "Seconds, 60 to 604800; -1: records of any age.", "3600", default=-1),
        _ENABLED,
    ),
)
_EVENT = Table(
    "functions.<name>.event_trigger",
    "Events of EventBridge that start the function.",
    (
        Key("pattern", Type.OBJECT, "The event pattern.", '{ source = ["shop"] }', required=True),
        Key("name", Type.STRING, "Which of several it is.", '"orders"', default=EventTrigger.name),
        Key("bus", Type.STRING, "The name of the event bus.", '"shop"', default=EventTrigger.bus),
        _ENABLED,
    ),
)
_CORS = Table(
    "functions.<name>.url.cors",
    "Which web pages of other origins may call the URL.",
    (
        Key("origins", Type.STRINGS, "Origins, or `*`.", '["https://example.com"]', default=()),
        Key("methods", Type.STRINGS, "HTTP methods, or `*`.", '["GET"]', default=()),
        Key("headers", Type.STRINGS, "Request headers that they may send.", '["X-Key"]', default=()),
        Key("exposed_headers", Type.STRINGS, "Response headers that they may read.", '["Date"]', default=()),
        Key("credentials", Type.BOOLEAN, "Whether they may send cookies.", "true", default=False),
        Key("max_age", Type.INTEGER, "Seconds, up to 86400, that a browser keeps the answer.", "60", default=0),
    ),
)
_URL = Table(
    "functions.<name>.url",
    "An HTTPS endpoint of the function. `url = {}` removes it.",
    (
        Key(
            "auth",
            Type.STRING,
            "`AWS_IAM`: who signs the request and is permitted to; `NONE`: everyone on the internet.",
            '"AWS_IAM"',
            default="",
            choices=("AWS_IAM", "NONE", ""),
        ),
        Key("cors", Type.TABLE, "Which web pages may call it.", "{ origins = ['*'] }", default={}, table=_CORS),
        Key(
            "invoke_mode",
            Type.STRING,
            "`RESPONSE_STREAM`: the response is streamed, where the code does.",
            '"RESPONSE_STREAM"',
            default=FunctionUrl.invoke_mode,
            choices=("BUFFERED", "RESPONSE_STREAM"),
        ),
    ),
)
TRIGGERS = (
    Key(
        "queue_trigger",
        Type.TABLES,
        "The SQS queues whose messages start it ([triggers](triggers.md)). An empty list removes its triggers.",
        '{ queue = "orders" }',
        absent="not managed",
        table=_QUEUE,
    ),
    Key(
        "stream_trigger",
        Type.TABLES,
        "The streams whose records start it. An empty list removes its triggers.",
        '{ table = "orders" }',
        absent="not managed",
        table=_STREAM,
    ),
    Key(
        "event_trigger",
        Type.TABLES,
        "The events of EventBridge that start it. An empty list removes its triggers.",
        '{ pattern = { source = ["shop"] } }',
        absent="not managed",
        table=_EVENT,
    ),
    Key(
        "url",
        Type.TABLE,
        "Its HTTPS endpoint ([the URL](triggers.md#the-url)). `{}` removes it.",
        '{ auth = "AWS_IAM" }',
        absent="not managed",
        table=_URL,
    ),
)
"""The local stack uses none of them: it has no queues and streams of others."""


def trigger_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a FunctionSpec for the ``values`` of :data:`TRIGGERS`."""
    url = values["url"]
    return {
        "queue_triggers": _several(values["queue_trigger"], QueueTrigger.of),
        "stream_triggers": _several(values["stream_trigger"], StreamTrigger.of),
        "event_triggers": _several(values["event_trigger"], EventTrigger.of),
        "url": None if url is None else FunctionUrl(**{**url, "cors": Cors(**url["cors"])}) if url["auth"] else "",
    }


def expanded(spec: FunctionSpec, expand: Callable[[str], str]) -> dict[str, Any]:
    """The fields with placeholders replaced by ``expand``: names and ARNs of queues, streams, tables, destinations."""
    queues, streams, events = spec.queue_triggers, spec.stream_triggers, spec.event_triggers
    return {
        "queue_triggers": queues and tuple(replace(item, queue=expand(item.queue)) for item in queues),
        "stream_triggers": streams
        and tuple(
            replace(
                item,
                stream=expand(item.stream),
                table=expand(item.table),
                on_failure=expand(item.on_failure),
            )
            for item in streams
        ),
        "event_triggers": events and tuple(replace(item, bus=expand(item.bus)) for item in events),
    }


def without_triggers(spec: FunctionSpec) -> FunctionSpec:
    """``spec`` with neither queues, streams and events that start it, nor a URL."""
    return replace(spec, queue_triggers=None, stream_triggers=None, event_triggers=None, url=None)


def _several(values: Any, read: Callable[[Any], Any]) -> tuple[Any, ...] | None:
    return None if values is None else tuple(read(value) for value in values)
