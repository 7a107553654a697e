"""SNS topics and their email subscriptions."""

from __future__ import annotations

from collections.abc import Iterable

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.resources.planning import tags
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.spec.model import Kind, TopicSpec
from lambda_toolkit.spec.ownership import as_list, as_mapping, desired_tags, is_owned, require_owned

KIND = Kind.TOPIC
_KEY = "KmsMasterKeyId"
_NEW = ("NotFound",)  # eventual consistency: a new resource is not known everywhere yet


def plan(reads: Reads, spec: TopicSpec) -> list[Change]:
    """The change that brings the topic and its email subscriptions to ``spec``. Raises OwnershipError."""
    aws = reads.aws
    arn = reads.arn("sns", spec.name)
    wanted = tuple(dict.fromkeys(spec.emails or ()))
    live_tags = _tags(aws, arn)
    if live_tags is None:

        def create(executor_aws: Aws) -> None:
            executor_aws.call(
                "sns",
                "create_topic",
                Name=spec.name,
                Tags=as_list(desired_tags(spec.tags)),
                Attributes={_KEY: spec.kms_key} if spec.kms_key else {},
            )
            _subscribe(executor_aws, arn, wanted)

        encrypted = (f"encrypted with {spec.kms_key}",) if spec.kms_key else ()
        return [Change(KIND, spec.name, "create", (*encrypted, *_invited(wanted)), apply=create)]

    require_owned(KIND, spec.name, live_tags, adopt=spec.adopt, declared=spec.tags)
    tag_change = tags.compare(live_tags, spec.tags)
    live = _live_addresses(reads, arn) if spec.emails is not None else {}
    new = tuple(address for address in wanted if address not in live)
    # A subscription that was never confirmed has no ARN to unsubscribe. SNS deletes it after three days.
    removed = {address: own for address, own in live.items() if address not in wanted and own.startswith("arn:")}
    key = _kms_key(aws, arn) if spec.kms_key is not None else None
    key_differs = key != spec.kms_key
    found = (
        *([Difference("kms_key", key or None, spec.kms_key or None)] if key_differs else []),
        *(Difference(f"emails.{address}", None, "subscribed") for address in new),
        *(Difference(f"emails.{address}", "subscribed", None) for address in removed),
        *tag_change.differences,
    )
    if not found:
        return []

    def update(executor_aws: Aws) -> None:
        tag_change.apply(executor_aws, "sns", arn)
        if key_differs:
            executor_aws.call(
                "sns", "set_topic_attributes", TopicArn=arn, AttributeName=_KEY, AttributeValue=spec.kms_key
            )
        _subscribe(executor_aws, arn, new)
        for subscription in removed.values():
            executor_aws.find("sns", "unsubscribe", SubscriptionArn=subscription)

    return [Change(KIND, spec.name, "update", _invited(new), differences=found, apply=update)]


def notes(reads: Reads, spec: TopicSpec) -> tuple[str, ...]:
    """What a plan says about the topic: which declared addresses have not confirmed. Raises AwsError."""
    if not spec.emails:
        return ()
    live = _live_addresses(reads, reads.arn("sns", spec.name))
    return tuple(
        f"{address} has not confirmed its subscription to topic {spec.name}, so nothing is sent to it: its owner must "
        "follow the link that AWS sent, within three days"
        for address in dict.fromkeys(spec.emails)
        if address in live and not live[address].startswith("arn:")
    )


def _live_addresses(reads: Reads, topic: str) -> dict[str, str]:
    """:func:`_addresses` of a topic, read once; none of one that does not exist."""
    return reads.once(("addresses", topic), lambda: _addresses(reads.aws, topic))


def _kms_key(aws: Aws, topic: str) -> str:
    """The key that encrypts the topic's messages; empty where there is none."""
    answer = aws.find("sns", "get_topic_attributes", TopicArn=topic) or {}
    return str(answer.get("Attributes", {}).get(_KEY, ""))


def _addresses(aws: Aws, topic: str) -> dict[str, str]:
    """The subscribed email addresses, each with the ARN of its subscription (or ``PendingConfirmation``)."""
    subscriptions = aws.list_existing("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
    return {
        str(item["Endpoint"]): str(item["SubscriptionArn"]) for item in subscriptions if item["Protocol"] == "email"
    }


def _subscribe(aws: Aws, topic: str, addresses: Iterable[str]) -> None:
    for address in addresses:
        aws.call("sns", "subscribe", also_retry=_NEW, TopicArn=topic, Protocol="email", Endpoint=address)


def _invited(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{address} gets a request to confirm its subscription" for address in addresses)


def plan_removal(reads: Reads, spec: TopicSpec, after: frozenset[Key]) -> list[Change]:
    """The change that deletes the topic and its subscriptions, if the toolkit created it. It waits for ``after``."""
    aws = reads.aws
    arn = reads.arn("sns", spec.name)
    if not is_owned(_tags(aws, arn) or {}, declared=spec.tags):
        return []

    def delete(executor_aws: Aws) -> None:
        for item in executor_aws.list_existing("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=arn):
            # SNS deletes a subscription that was never confirmed, and has no ARN, after three days.
            if str(item["SubscriptionArn"]).startswith("arn:"):
                executor_aws.find("sns", "unsubscribe", SubscriptionArn=item["SubscriptionArn"])
        executor_aws.find("sns", "delete_topic", TopicArn=arn)

    return [Change(KIND, spec.name, "delete", after=after, apply=delete)]


def _tags(aws: Aws, arn: str) -> dict[str, str] | None:
    """The topic's tags; ``None`` where the topic does not exist.

    Not every AWS reports a missing topic when its tags are listed: without tags, its attributes show whether it exists.
    """
    answer = aws.find("sns", "list_tags_for_resource", ResourceArn=arn)
    if answer is None:
        return None
    labels = as_mapping(answer.get("Tags"))
    return labels if labels or aws.find("sns", "get_topic_attributes", TopicArn=arn) else None
