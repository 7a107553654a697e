"""Queues, streams and tables as AWS has them, for the functions that they invoke. They are read, never written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lambda_toolkit.aws.account import ACCESS_DENIED
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Key
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning import polling
from lambda_toolkit.resources.planning.destinations import MISSING_QUEUE
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger

Trigger = QueueTrigger | StreamTrigger
_TIMES = 6  # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_QUEUE_ATTRIBUTES = ("KmsMasterKeyId", "RedrivePolicy", "VisibilityTimeout")
_OWN_KEY = "alias/aws/sqs"  # SQS's, which needs no right of the role's


@dataclass(frozen=True)
class Source:
    """What a trigger reads from."""

    trigger: Trigger
    arn: str
    """The ARN that Lambda reads from: the queue, the stream or consumer, the latest stream of the table. Of a table
    that does not exist, or has no stream, the ARN of the table."""
    exists: bool
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Of a queue: its attributes; empty where they may not be read."""

    @property
    def name(self) -> str:
        """For people: ``queue orders``."""
        return polling.source_name(self.arn)

    @property
    def key(self) -> Key:
        """The kind and the name, as a plan notes what is missing."""
        kind, _, name = self.name.partition(" ")
        return Kind(kind), name


def read(reads: Reads, trigger: Trigger) -> Source:
    """The source of ``trigger``, once per plan. Raises AwsError."""
    of = (trigger.queue,) if isinstance(trigger, QueueTrigger) else (trigger.stream, trigger.table)
    found = reads.once(("event source", *of), lambda: read_now(reads.aws, reads, trigger))
    return replace(found, trigger=trigger)  # another function may have another trigger on it


def read_now(aws: Aws, arns: Reads | Aws, trigger: Trigger) -> Source:
    """As :func:`read`, without what was read before."""
    if isinstance(trigger, QueueTrigger):
        return _queue(aws, trigger, polling.queue_arn(trigger, arns))
    arn = polling.stream_arn(trigger, arns)
    return _stream(aws, trigger, arn) if trigger.is_kinesis else _table(aws, trigger, arn)


def absence(source: Source, function: str) -> str:
    """Why ``source`` invokes nothing, in a sentence; empty where it exists."""
    kind, name = source.key
    if source.exists:
        return ""
    if kind == Kind.TABLE:
        return (
            f"There is no table {name} with a stream to trigger {function}. Create it, or enable its stream: its "
            "StreamSpecification."
        )
    return f"There is no {kind} {name} to trigger {function}. Create it, or correct its name."


def queue_problem(source: Source, spec: FunctionSpec) -> str:
    """Why Lambda would reject the queue for the function, in a sentence; empty where it does not."""
    visible = _visibility(source)
    if visible is None or visible >= spec.timeout:
        return ""
    return (
        f"The {source.name} shows a message again after {visible} s, and `{spec.name}` may run for {spec.timeout} s: "
        f"Lambda rejects that. Give the queue a visibility timeout of {_TIMES * spec.timeout} s, or the function a "
        "shorter timeout."
    )


def queue_notes(source: Source, spec: FunctionSpec) -> list[str]:
    """What else deserves attention in a queue: a sentence each, without the period."""
    trigger, visible = source.trigger, _visibility(source)
    if not isinstance(trigger, QueueTrigger) or visible is None:
        return []
    found = []
    wanted = _TIMES * spec.timeout + trigger.batching_window
    if visible < wanted:
        found.append(
            f"{source.name}: its visibility timeout is {visible} s; AWS advises {wanted} s, six times the timeout of "
            f"{spec.name} and the batching window, or throttled messages are handled twice"
        )
    if not source.attributes.get("RedrivePolicy"):
        found.append(
            f"{source.name} has no dead-letter queue (its redrive policy): a message on which {spec.name} fails is "
            "tried until it expires"
        )
    key = source.attributes.get("KmsMasterKeyId", "")
    if key and key != _OWN_KEY and not _may_decrypt(spec):
        found.append(
            f"{source.name} is encrypted with the key {key}: {spec.name} needs kms:Decrypt on it in `permissions`"
        )
    return found


def _may_decrypt(spec: FunctionSpec) -> bool:
    """Whether a right to decrypt is declared; unknown, and so yes, where the role is of others."""
    return bool(spec.role) or any("kms:" in str(item.get("Action")) for item in spec.permissions or ())


def _visibility(source: Source) -> int | None:
    value = source.attributes.get("VisibilityTimeout")
    return None if value is None else int(value)


def _queue(aws: Aws, trigger: QueueTrigger, arn: str) -> Source:
    _, _, _, _, account, name = arn.split(":")
    try:
        url = aws.call("sqs", "get_queue_url", QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        answer = aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=list(_QUEUE_ATTRIBUTES))
    except AwsError as error:
        if error.code in MISSING_QUEUE:
            return Source(trigger, arn, False)
        if error.code in ACCESS_DENIED and account != aws.account_id:
            return Source(trigger, arn, True)  # of another account, which may not let us look
        raise
    return Source(trigger, arn, True, answer.get("Attributes") or {})


def _stream(aws: Aws, trigger: StreamTrigger, arn: str) -> Source:
    stream = arn.partition("/consumer/")[0]
    return Source(trigger, arn, aws.find("kinesis", "describe_stream_summary", StreamARN=stream) is not None)


def _table(aws: Aws, trigger: StreamTrigger, arn: str) -> Source:
    table = arn.partition("/stream/")[0]
    answer = aws.find("dynamodb", "describe_table", TableName=table)
    latest = str((answer or {"Table": {}})["Table"].get("LatestStreamArn") or "")
    if arn != table:  # a certain stream of the table
        return Source(trigger, arn, answer is not None)
    return Source(trigger, latest or arn, bool(latest))
