"""Where failed events go: queues, topics, buckets, event buses and functions of others, which a plan looks for.

Lambda and EventBridge Scheduler accept a destination that does not exist, or refuse it half way through a deploy, so
the plan notes it. Only what a planned change newly names is looked for: a plan without changes costs no call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import ACCESS_DENIED
from lambda_toolkit.changes import Difference, Key
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning.attachment import Context
from lambda_toolkit.spec.model import Kind

MISSING_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
"""SQS's codes of a queue that does not exist, in its two protocols."""
_FORBIDDEN = ("AuthorizationError", "403")  # SNS's own code, and that of a HEAD request, which has no body
_MOVED = ("301", "PermanentRedirect")  # a bucket of another region
_KINDS = {
    "sqs": Kind.QUEUE,
    "sns": Kind.TOPIC,
    "s3": Kind.BUCKET,
    "events": Kind.EVENT_BUS,
    "lambda": Kind.FUNCTION,
}


def missing_destination(
    context: Context, arn: str | None, found: Iterable[Difference], attribute: str
) -> frozenset[Key]:
    """The key of the destination ``arn`` where it does not exist and ``attribute`` is among the differences ``found``.

    Empty too where the caller may not know; a destination of another account or region is not looked for. Raises
    AwsError.
    """
    if not arn or all(item.attribute != attribute for item in found):
        return frozenset()
    if context.reads.once(("destination", arn), lambda: _exists(context, arn)):
        return frozenset()
    return frozenset({(_KINDS[arn.split(":")[2]], _name(arn))})


def by_service(arns: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """The destinations that are named, once each, by the service that a plan asks for them."""
    named = dict.fromkeys(filter(None, arns))
    return {service: [arn for arn in named if arn.split(":")[2] == service] for service in _KINDS}


def _exists(context: Context, arn: str) -> bool:
    _, _, service, region, account, _ = arn.split(":", 5)
    if (region and region != context.aws.region) or (account and account != context.reads.account_id):
        return True
    operation, parameters = _look(service, arn)
    try:
        return context.aws.find(service, operation, **parameters) is not None
    except AwsError as error:
        if error.code in MISSING_QUEUE:
            return False
        if error.code in (*ACCESS_DENIED, *_FORBIDDEN, *_MOVED):
            return True
        raise


def _look(service: str, arn: str) -> tuple[str, dict[str, Any]]:
    """The operation that finds the destination, and its parameters."""
    match service:
        case "sqs":
            return "get_queue_url", {"QueueName": _name(arn)}
        case "sns":
            return "get_topic_attributes", {"TopicArn": arn}
        case "s3":
            return "head_bucket", {"Bucket": _name(arn)}
        case "events":
            return "describe_event_bus", {"Name": arn}
        case _:
            return "get_function", {"FunctionName": arn}


def _name(arn: str) -> str:
    """The last part of the ARN: of a function, without alias or version."""
    resource = arn.split(":", 5)[5]
    return resource.removeprefix("event-bus/").removeprefix("function:").partition(":")[0]
