"""Topic triggers: subscriptions of the function's alias to SNS topics, and the permission of each topic to invoke it.

A subscription has no tags. It is the toolkit's where its endpoint is the alias ``live`` and the topic's permission is
the toolkit's; subscriptions of others to the same topic stay as they are.

https://docs.aws.amazon.com/sns/latest/dg/sns-lambda-as-subscriber.html
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.retries import NOT_FOUND
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.errors import AwsError, OwnershipError, TriggerError
from lambda_toolkit.resources.planning import alias, invoke_permission
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.invoke_permission import Permission
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.triggers.topic import TopicTrigger

KIND = Kind.TOPIC_SUBSCRIPTION
DEPLOYER_ACTIONS = DeployerActions(
    "Subscriptions",
    "sns",
    ("ListSubscriptionsByTopic", "Subscribe"),
    lists=("GetSubscriptionAttributes", "SetSubscriptionAttributes"),  # IAM knows no resource for them
)
_STATEMENTS = f"{invoke_permission.PREFIX}sns-"
_PROTOCOL = "lambda"
_NEW = ("NotFound",)  # eventual consistency: a new topic is not known everywhere yet
_POLICY, _SCOPE = "FilterPolicy", "FilterPolicyScope"
_WHOLE_SCOPE = "MessageAttributes"  # SNS's scope where none is set


def subscription_name(function: str, topic: str) -> str:
    """The name of the change of the subscription of ``function`` to ``topic``, a name or an ARN."""
    return f"{function} on {_topic_name(topic)}"


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The topics of the declared triggers."""
    return sorted(_declared(spec, arns))


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """None: SNS invokes the function."""
    return ()


def prefetch(context: Context) -> Prefetch:
    """The invoke permissions, and the subscriptions of the declared topics."""
    reads, spec = context.reads, context.spec
    if not spec.topic_triggers:
        return Prefetch({})
    return Prefetch({}, [lambda: reads.grants(spec.name), lambda: _read_declared(context)])


@dataclass(frozen=True)
class _Subscription:
    """A subscription of the function, as it is on AWS."""

    arn: str
    endpoint: str
    """The ARN of the alias, or of the function itself."""
    attributes: Mapping[str, str]
    """Of one to the alias: its attributes; of another: empty."""


def plan(context: Context) -> list[Change]:
    """The changes, one per topic, that bring the subscriptions to ``context.spec``.

    Topics without a declared trigger are found by the function's invoke permissions. Raises TriggerError for a topic
    of another region, and OwnershipError where the function itself is subscribed beside its alias: each message would
    invoke it twice.
    """
    spec = context.spec
    if spec.topic_triggers is None:
        return []
    grants = _grants(context) if context.function_is_ours() else {}
    wanted = _declared(spec, context.reads)
    unwanted = sorted({*grants.values()} - {*wanted, ""})
    return [
        *(change for topic, trigger in wanted.items() for change in _plan_topic(context, topic, trigger, grants)),
        *(_removal(context, topic, grants) for topic in unwanted),
    ]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """The removal of the subscriptions of a function whose topic triggers are no longer declared.

    They have no tags: they are found by the permissions that the toolkit gave their topics.
    """
    if context.spec.topic_triggers is not None or not tagged or not context.function_is_ours():
        return []
    grants = _grants(context)
    return [_removal(context, topic, grants) for topic in sorted({*grants.values()} - {""})]


def plan_removal(context: Context) -> list[Change]:
    """The changes that end the subscriptions of the function to all topics.

    The topics are those that may invoke it. Where the permissions were deleted with the function, the declared topics
    are read.
    """
    grants = _grants(context)
    granted = {*grants.values()} - {""}
    left = {topic for topic in {*_declared(context.spec, context.reads)} - granted if _read(context, topic)}
    return [_removal(context, topic, grants) for topic in sorted(granted | left)]


def _declared(spec: FunctionSpec, arns: ArnFormat) -> dict[str, TopicTrigger]:
    """The declared triggers by the ARN of their topic."""
    return {_arn(trigger.topic, arns): trigger for trigger in spec.topic_triggers or ()}


def _arn(topic: str, arns: ArnFormat) -> str:
    return topic if topic.startswith("arn:") else arns.arn("sns", topic)


def _topic_name(topic: str) -> str:
    return topic.rpartition(":")[2]


def _grants(context: Context) -> dict[str, str]:
    """The policy statements that allow topics to invoke the function: by statement id, the topic's ARN."""
    statements = context.reads.grants(context.spec.name)
    return {key: arn for key, arn in statements.items() if key.startswith(_STATEMENTS)}


def _plan_topic(context: Context, topic: str, trigger: TopicTrigger, grants: dict[str, str]) -> list[Change]:
    spec, reads = context.spec, context.reads
    function = alias.arn(reads, spec.name)
    _require_same_region(spec.name, topic, reads.arn("sns", _topic_name(topic)))
    permission = Permission("sns", "sns.amazonaws.com", topic, reads.account_id)
    known = _read(context, topic)
    found = known or ()
    own = next((item for item in found if item.endpoint == function), None)
    beside = [item for item in found if item.endpoint != function]
    if beside and not spec.adopt:
        raise OwnershipError(
            f"`{spec.name}` is subscribed to the topic {_topic_name(topic)} beside its alias `{alias.LIVE}` "
            f"({beside[0].arn}), which this tool did not do: each message would invoke it twice. Remove that "
            "subscription, or adopt it, which replaces it."
        )
    is_granted = grants.get(permission.statement_id) == topic
    filtered = _filter_differences(own, trigger) if own else ()
    differences = (
        *([] if own else [Difference("subscription", None, function)]),
        *filtered,
        *(Difference("subscription", item.endpoint, None) for item in beside),
        *([] if is_granted else [Difference("permission to invoke", None, function)]),
    )
    if not differences:
        return []

    def apply(executor_aws: Aws) -> None:
        invoke_permission.grant(executor_aws, spec.name, permission, grants)
        if own is None:
            _subscribe(executor_aws, spec.name, topic, function, trigger)
        elif filtered:
            _set_filter(executor_aws, own.arn, trigger)
        for item in beside:
            executor_aws.find("sns", "unsubscribe", SubscriptionArn=item.arn)

    name = subscription_name(spec.name, topic)
    after: frozenset[Key] = frozenset({context.function_key, (Kind.TOPIC, _topic_name(topic))})
    if own is None and not beside:
        details = (f"messages with {_shown(trigger)}",) if trigger.filter_policy else ()
        missing: frozenset[Key] = frozenset({(Kind.TOPIC, _topic_name(topic))} if known is None else ())
        return [Change(KIND, name, "create", details, after, apply=apply, missing=missing)]
    return [Change(KIND, name, "update", (), after, differences, apply=apply)]


def _removal(context: Context, topic: str, grants: Mapping[str, str]) -> Change:
    function = alias.arn(context.reads, context.spec.name)
    statements = [key for key, arn in grants.items() if arn == topic]

    def apply(executor_aws: Aws) -> None:
        for item in executor_aws.list_existing("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic):
            if item["Protocol"] == _PROTOCOL and item["Endpoint"] == function:
                executor_aws.find("sns", "unsubscribe", SubscriptionArn=item["SubscriptionArn"])
        invoke_permission.revoke(executor_aws, context.spec.name, statements)  # last: by it, the rest can be found

    return Change(KIND, subscription_name(context.spec.name, topic), "delete", apply=apply)


def _read_declared(context: Context) -> None:
    for topic in _declared(context.spec, context.reads):
        _read(context, topic)


def _read(context: Context, topic: str) -> tuple[_Subscription, ...] | None:
    """The subscriptions of the function, or of its alias, to ``topic``; ``None`` where there is no such topic."""
    return context.reads.once(("subscriptions", context.spec.name, topic), lambda: _read_uncached(context, topic))


def _read_uncached(context: Context, topic: str) -> tuple[_Subscription, ...] | None:
    aws, function = context.aws, alias.arn(context.reads, context.spec.name)
    unqualified = function.rpartition(":")[0]
    found = []
    try:
        listed = aws.list_all("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
    except AwsError as error:
        if error.code in NOT_FOUND:
            return None
        raise
    for item in listed:
        endpoint, arn = str(item["Endpoint"]), str(item["SubscriptionArn"])
        if item["Protocol"] != _PROTOCOL or endpoint not in (function, unqualified):
            continue
        answer = aws.find("sns", "get_subscription_attributes", SubscriptionArn=arn) if endpoint == function else None
        found.append(_Subscription(arn, endpoint, answer["Attributes"] if answer else {}))
    return tuple(found)


def _subscribe(aws: Aws, function: str, topic: str, alias_arn: str, trigger: TopicTrigger) -> None:
    policy = {_POLICY: _policy(trigger), _SCOPE: trigger.filter_scope} if trigger.filter_policy else {}
    try:
        aws.call(
            "sns",
            "subscribe",
            also_retry=_NEW,
            TopicArn=topic,
            Protocol=_PROTOCOL,
            Endpoint=alias_arn,
            Attributes=policy,
        )
    except AwsError as error:
        if error.code not in _NEW:
            raise
        raise AwsError(
            f"There is no topic {_topic_name(topic)} to trigger {function}. Create it, or deploy everything.",
            code=error.code,
        ) from error


def _set_filter(aws: Aws, subscription: str, trigger: TopicTrigger) -> None:
    """Set the filter; an empty policy removes it. The scope goes with it: SNS checks one by the other."""
    wanted = {_SCOPE: trigger.filter_scope, _POLICY: _policy(trigger)}
    if not trigger.filter_policy:
        wanted = {_POLICY: wanted[_POLICY]}
    for name, value in wanted.items():
        aws.call(
            "sns",
            "set_subscription_attributes",
            SubscriptionArn=subscription,
            AttributeName=name,
            AttributeValue=value,
        )


def _filter_differences(own: _Subscription, trigger: TopicTrigger) -> tuple[Difference, ...]:
    live = _parsed(own.attributes.get(_POLICY))
    wanted = json.loads(_policy(trigger))
    scope = own.attributes.get(_SCOPE) or _WHOLE_SCOPE
    differs = [Difference("filter_policy", live or None, wanted or None)] if live != wanted else []
    if wanted and scope != trigger.filter_scope:
        differs.append(Difference("filter_scope", scope, trigger.filter_scope))
    return tuple(differs)


def _parsed(policy: str | None) -> Any:
    try:
        return json.loads(policy) if policy else {}
    except ValueError:
        return policy


def _policy(trigger: TopicTrigger) -> str:
    return json.dumps(trigger.filter_policy, sort_keys=True)


def _shown(trigger: TopicTrigger) -> str:
    return f"{trigger.filter_scope} {_policy(trigger)}"


def _require_same_region(function: str, topic: str, here: str) -> None:
    region = topic.split(":")[3]
    if region != here.split(":")[3]:
        raise TriggerError(
            f"The topic {topic} of a trigger of `{function}` is in {region}, and the function is in "
            f"{here.split(':')[3]}. Subscribe it to a topic of its own region."
        )
