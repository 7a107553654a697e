"""SNS topics and the addresses that they mail to."""

from __future__ import annotations

from lambda_toolkit.aws import Aws
from lambda_toolkit.changes import Change, Key
from lambda_toolkit.model import TopicSpec
from lambda_toolkit.ownership import as_list, as_mapping, desired_tags, is_owned, missing_tags, require_owned
from lambda_toolkit.resources.difference import tag_differences

KIND = "topic"
_NEW = ("NotFound",)  # what was made a moment ago is not known everywhere


def plan(aws: Aws, spec: TopicSpec) -> list[Change]:
    """The change that brings the topic to ``spec``. Addresses that others subscribed stay. Raises OwnershipError."""
    arn = aws.arn("sns", spec.name)
    tags = desired_tags(spec.tags)
    live_tags = _tags(aws, arn)
    subscribed: set[str] = set()
    new_tags = tags
    if live_tags is not None:
        require_owned(KIND, spec.name, live_tags, adopt=spec.adopt)
        new_tags = missing_tags(live_tags, tags)
        subscriptions = aws.list_all("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=arn)
        subscribed = {str(item["Endpoint"]) for item in subscriptions if item["Protocol"] == "email"}
    new_emails = [address for address in dict.fromkeys(spec.emails) if address not in subscribed]
    details = tuple(f"{address} is asked to subscribe" for address in new_emails)
    found = tag_differences(live_tags, new_tags) if live_tags is not None else ()
    if live_tags is not None and not details and not found:
        return []

    def apply(aws: Aws) -> None:
        if live_tags is None:
            aws.call("sns", "create_topic", Name=spec.name, Tags=as_list(tags))
        elif new_tags:
            aws.call("sns", "tag_resource", ResourceArn=arn, Tags=as_list(new_tags))
        for address in new_emails:
            aws.call("sns", "subscribe", also_wait_for=_NEW, TopicArn=arn, Protocol="email", Endpoint=address)

    return [
        Change(KIND, spec.name, "create" if live_tags is None else "update", details, differences=found, apply=apply)
    ]


def plan_removal(aws: Aws, spec: TopicSpec, after: frozenset[Key]) -> list[Change]:
    """The change that removes the topic and its subscriptions, if the toolkit made it."""
    arn = aws.arn("sns", spec.name)
    if not is_owned(_tags(aws, arn) or {}):
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
