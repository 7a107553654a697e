"""SNS topics and the addresses that they mail to."""

from __future__ import annotations

from collections.abc import Iterable

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.resources import tags
from lambda_toolkit.spec.model import TopicSpec
from lambda_toolkit.spec.ownership import as_list, as_mapping, desired_tags, is_owned, require_owned

KIND = "topic"
_NEW = ("NotFound",)  # what was made a moment ago is not known everywhere


def plan(aws: Aws, spec: TopicSpec) -> list[Change]:
    """The change that brings the topic and its email addresses to ``spec``. Raises OwnershipError."""
    arn = aws.arn("sns", spec.name)
    wanted = tuple(dict.fromkeys(spec.emails or ()))
    live_tags = _tags(aws, arn)
    if live_tags is None:

        def create(aws: Aws) -> None:
            aws.call("sns", "create_topic", Name=spec.name, Tags=as_list(desired_tags(spec.tags)))
            _subscribe(aws, arn, wanted)

        return [Change(KIND, spec.name, "create", _asked(wanted), apply=create)]

    require_owned(KIND, spec.name, live_tags, adopt=spec.adopt, declared=spec.tags)
    tag_change = tags.compare(live_tags, spec.tags)
    live = _addresses(aws, arn) if spec.emails is not None else {}
    new = tuple(address for address in wanted if address not in live)
    # One that never confirmed has no ARN by which it could be removed. It goes by itself after three days.
    dropped = {address: own for address, own in live.items() if address not in wanted and own.startswith("arn:")}
    found = (
        *(Difference(f"emails.{address}", None, "subscribed") for address in new),
        *(Difference(f"emails.{address}", "subscribed", None) for address in dropped),
        *tag_change.differences,
    )
    if not found:
        return []

    def update(aws: Aws) -> None:
        tag_change.apply(aws, "sns", arn)
        _subscribe(aws, arn, new)
        for subscription in dropped.values():
            aws.find("sns", "unsubscribe", SubscriptionArn=subscription)

    return [Change(KIND, spec.name, "update", _asked(new), differences=found, apply=update)]


def _addresses(aws: Aws, topic: str) -> dict[str, str]:
    """The addresses that the topic mails to, each with the ARN of its subscription."""
    subscriptions = aws.list_all("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
    return {
        str(item["Endpoint"]): str(item["SubscriptionArn"]) for item in subscriptions if item["Protocol"] == "email"
    }


def _subscribe(aws: Aws, topic: str, addresses: Iterable[str]) -> None:
    for address in addresses:
        aws.call("sns", "subscribe", also_wait_for=_NEW, TopicArn=topic, Protocol="email", Endpoint=address)


def _asked(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{address} is asked to subscribe" for address in addresses)


def plan_removal(aws: Aws, spec: TopicSpec, after: frozenset[Key]) -> list[Change]:
    """The change that removes the topic and its subscriptions, if the toolkit made it."""
    arn = aws.arn("sns", spec.name)
    if not is_owned(_tags(aws, arn) or {}, declared=spec.tags):
        return []

    def delete(aws: Aws) -> None:
        for item in aws.list_all("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=arn):
            if str(item["SubscriptionArn"]).startswith(
                "arn:"
            ):  # one that was never confirmed has no ARN and goes by itself
                aws.find("sns", "unsubscribe", SubscriptionArn=item["SubscriptionArn"])
        aws.find("sns", "delete_topic", TopicArn=arn)

    return [Change(KIND, spec.name, "delete", after=after, apply=delete)]


def _tags(aws: Aws, arn: str) -> dict[str, str] | None:
    """The topic's tags; ``None`` where there is no topic."""
    answer = aws.find("sns", "list_tags_for_resource", ResourceArn=arn)
    return as_mapping(answer["Tags"]) if answer else None
