"""Where failed events go: queues, topics, buckets, event buses and functions of others, which a plan looks for.

Lambda and EventBridge Scheduler accept a destination that does not exist, or refuse it half way through a deploy, so
the plan notes it. Only what a planned change newly names is looked for: a plan without changes costs no call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lambda_toolkit.aws.account import ACCESS_DENIED
from lambda_toolkit.aws.client import Aws
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

    Raises AwsError.
    """
    if not arn or all(item.attribute != attribute for item in found):
        return frozenset()
    return frozenset() if exists(context, arn) else frozenset({(_KINDS[arn.split(":")[2]], _name(arn))})


def exists(context: Context, arn: str) -> bool:
    """Whether there is the queue, topic, bucket, event bus or function; asked once in a plan. Raises AwsError.

    True too where the caller may not know, and for one of another account or region, which is not looked for.
    """
    return context.reads.once(("exists", arn), lambda: _exists(context, arn))


def by_service(arns: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """The destinations that are named, once each, by the service that a plan asks for them."""
    named = dict.fromkeys(arns)
    return {service: [arn for arn in named if arn.split(":")[2] == service] for service in _KINDS}


def _exists(context: Context, arn: str) -> bool:
    _, _, service, region, account, _ = arn.split(":", 5)
    if (region and region != context.aws.region) or (account and account != context.reads.account_id):
        return True
    try:
        return _find(context.aws, service, arn) is not None
    except AwsError as error:
        if error.code in MISSING_QUEUE:
            return False
        if error.code in (*ACCESS_DENIED, *_FORBIDDEN, *_MOVED):
            return True
        raise


def _find(aws: Aws, service: str, arn: str) -> object:
    """What AWS answers about the destination; ``None`` where it does not exist."""
    match service:
        case "sqs":
            return aws.find("sqs", "get_queue_url", QueueName=_name(arn))
        case "sns":
            return aws.find("sns", "get_topic_attributes", TopicArn=arn)
        case "s3":
            return aws.find("s3", "head_bucket", Bucket=_name(arn))
        case "events":
            return aws.find("events", "describe_event_bus", Name=arn)
        case _:
            return aws.find("lambda", "get_function", FunctionName=arn)


def _name(arn: str) -> str:
    """The last part of the ARN: of a function, without alias or version."""
    resource = arn.split(":", 5)[5]
    return resource.removeprefix("event-bus/").removeprefix("function:").partition(":")[0]
