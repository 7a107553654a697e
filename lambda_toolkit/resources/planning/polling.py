"""What Lambda needs to poll queues and streams for a function: the rights of its role, and those of who deploys.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/iam-policy-example-lamda-process-dynamodb-streams.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger

Statement = Mapping[str, Any]
_QUEUES, _STREAMS, _CONSUMERS, _LISTS, _TABLES = (
    "QueueTriggers",
    "StreamTriggers",
    "StreamConsumers",
    "StreamLists",
    "TableTriggers",
)
_FAILURES = {"sqs": "FailedRecordsToQueue", "sns": "FailedRecordsToTopic", "s3": "FailedRecordsToBucket"}
_BUCKETS = "FailedRecordsBucket"
_OF_QUEUE = ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
_OF_STREAM = (
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
)
_OF_CONSUMER = ("kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard")
_OF_TABLE = ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams")
_SENDING = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "s3": "s3:PutObject"}


def queue_arn(trigger: QueueTrigger, arns: ArnFormat) -> str:
    """The ARN of the queue."""
    return trigger.queue if trigger.queue.startswith("arn:") else arns.arn("sqs", trigger.queue)


def stream_arn(trigger: StreamTrigger, arns: ArnFormat) -> str:
    """The ARN of the stream or consumer, or of the table."""
    name = trigger.stream or trigger.table
    if name.startswith("arn:"):
        return name
    return arns.arn("kinesis", f"stream/{name}") if trigger.stream else arns.arn("dynamodb", f"table/{name}")


def source_name(arn: str) -> str:
    """The name of a queue, stream or table, for people: ``queue orders``."""
    service, resource = arn.split(":")[2], arn.split(":", 5)[5]
    if service == "sqs":
        return f"queue {resource}"
    kind, _, rest = resource.partition("/")
    return f"{kind} {rest.partition('/')[0]}"


def statements(spec: FunctionSpec, arns: ArnFormat) -> Iterator[Statement]:
    """The statements of the role: one for each service, with the exact ARNs."""
    queues = [queue_arn(trigger, arns) for trigger in spec.queue_triggers or ()]
    streams = [stream_arn(trigger, arns) for trigger in spec.stream_triggers or () if trigger.is_kinesis]
    tables = [stream_arn(trigger, arns) for trigger in spec.stream_triggers or () if not trigger.is_kinesis]
    consumers = [arn for arn in streams if "/consumer/" in arn]
    yield from _allowing(_QUEUES, _OF_QUEUE, queues)
    yield from _allowing(_STREAMS, _OF_STREAM, {arn.partition("/consumer/")[0] for arn in streams})
    yield from _allowing(_CONSUMERS, _OF_CONSUMER, consumers)
    yield from _allowing(_LISTS, ("kinesis:ListStreams",), ["*"] if streams else ())  # it knows no resource
    yield from _allowing(_TABLES, _OF_TABLE, {arn if "/stream/" in arn else f"{arn}/stream/*" for arn in tables})
    failed = {trigger.on_failure for trigger in spec.stream_triggers or ()} - {""}
    for service, sid in _FAILURES.items():
        found = {arn for arn in failed if arn.split(":")[2] == service}
        if service == "s3":  # Lambda checks that the bucket exists
            yield from _allowing(_BUCKETS, ("s3:ListBucket",), found)
            found = {f"{arn}/*" for arn in found}
        yield from _allowing(sid, (_SENDING[service],), found)


def managed_statements(spec: FunctionSpec) -> frozenset[str]:
    """The ids of the statements that ``spec`` manages: those of triggers that are declared, and be it empty."""
    of_streams = (_STREAMS, _CONSUMERS, _LISTS, _TABLES, *_FAILURES.values(), _BUCKETS)
    return frozenset(
        (
            *((_QUEUES,) if spec.queue_triggers is not None else ()),
            *(of_streams if spec.stream_triggers is not None else ()),
        )
    )


def deployer_needs(functions: Iterable[FunctionSpec], arns: ArnFormat) -> Mapping[str, Sequence[str]]:
    """By service, the queues, streams and tables that a plan looks at."""
    found: dict[str, dict[str, None]] = {"sqs": {}, "kinesis": {}, "dynamodb": {}}
    for spec in functions:
        for queue in spec.queue_triggers or ():
            found["sqs"][queue_arn(queue, arns)] = None
        for stream in spec.stream_triggers or ():
            arn = stream_arn(stream, arns).partition("/consumer/")[0].partition("/stream/20")[0]
            found["kinesis" if stream.is_kinesis else "dynamodb"][arn] = None
    return {service: list(items) for service, items in found.items()}


def _allowing(sid: str, actions: Sequence[str], resources: Iterable[str]) -> Iterator[Statement]:
    named = sorted(set(resources))
    if named:
        yield {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": named}
