"""S3 triggers: our own entries in a bucket's notification configuration.

Others have entries in it as well, and PutBucketNotificationConfiguration replaces all of them: theirs are sent back
unchanged. https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import Locks
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.errors import AwsError, TriggerError
from lambda_toolkit.resources.planning import alias, invoke_permission
from lambda_toolkit.resources.planning.attachment import (
    Context,
    DeployerActions,
    PlanScope,
    Statement,
    notification_name,
)
from lambda_toolkit.resources.planning.invoke_permission import Permission
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.ownership import short_hash
from lambda_toolkit.spec.triggers.s3 import S3Trigger

KIND = Kind.S3_NOTIFICATION
DEPLOYER_ACTIONS = DeployerActions("Triggers", "s3", ("GetBucketNotification", "PutBucketNotification"))
_LAMBDA = "LambdaFunctionConfigurations"
_OTHERS = ("QueueConfigurations", "TopicConfigurations")
_STATEMENTS = f"{invoke_permission.PREFIX}s3-"
_LOCKS = Locks()  # by bucket: a bucket's configuration can only be read and replaced as one document
_TARGETS = ("LambdaFunctionArn", "QueueArn", "TopicArn")

Configuration = dict[str, Any]


def check_declared(functions: Sequence[FunctionSpec]) -> None:
    """Raise TriggerError where two declared triggers match one object: S3 rejects such a configuration."""
    declared = [(spec.name, trigger) for spec in functions for trigger in spec.s3_triggers or ()]
    for index, (name, trigger) in enumerate(declared):
        for other_name, other in declared[index + 1 :]:
            if trigger.bucket == other.bucket and overlap(_entry("", name, trigger), _entry("", other_name, other)):
                raise TriggerError(
                    f"S3 allows no two triggers for one object: {_shown(trigger)} of `{name}` and {_shown(other)} of "
                    f"`{other_name}` overlap. Give them prefixes or suffixes of which none begins or ends the other."
                )


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The buckets of the declared triggers."""
    return [arns.arn("s3", bucket) for bucket in _declared(spec)]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """None: S3 invokes the function. What it does with the object is declared as ``permissions``."""
    return ()


def prefetch(context: Context) -> Prefetch:
    """The invoke permissions, where triggers are declared."""
    reads, spec = context.reads, context.spec
    return Prefetch({}, [lambda: reads.grants(spec.name)] if spec.s3_triggers else [])


def plan(context: Context) -> list[Change]:
    """The changes, one per bucket, that bring the notifications to ``context.spec``.

    Buckets without a declared trigger are found by the function's invoke permissions. Raises TriggerError where an
    entry on AWS matches the same objects, unless the same plan replaces that one: then one call writes both.
    """
    spec = context.spec
    if spec.s3_triggers is None:
        return []
    grants = _grants(context) if context.function_is_ours() else {}
    wanted = _declared(spec)
    unwanted = sorted(_buckets(grants) - {*wanted})
    return [
        *(change for bucket in wanted for change in _plan_bucket(context, bucket, grants)),
        *(_removal(spec.name, bucket, grants, context.scope) for bucket in unwanted),
    ]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """None: notifications have no tags."""
    return []


def plan_removal(context: Context) -> list[Change]:
    """The changes that remove the function's notifications from every bucket.

    The buckets are those that may invoke it. Where the permissions were deleted with the function, the declared
    buckets are read.
    """
    function, grants = context.spec.name, _grants(context)
    granted = _buckets(grants)
    left = {item for item in {*_declared(context.spec)} - granted if _own(_read(context.aws, item) or {}, function)}
    return [_removal(function, bucket, grants, context.scope) for bucket in sorted(granted | left)]


def _declared(spec: FunctionSpec) -> list[str]:
    """The buckets of the declared triggers, sorted."""
    return sorted({trigger.bucket for trigger in spec.s3_triggers or ()})


def _grants(context: Context) -> dict[str, str]:
    """The policy statements that allow buckets to invoke the function: by statement id, the bucket's ARN."""
    statements = context.reads.grants(context.spec.name)
    return {key: arn for key, arn in statements.items() if key.startswith(_STATEMENTS)}


def _buckets(grants: Mapping[str, str]) -> set[str]:
    """The buckets that ``grants`` allow."""
    return {_bucket(arn) for arn in grants.values() if arn}


def _granted_to(grants: Mapping[str, str], bucket: str) -> list[str]:
    """The ids of the statements of ``grants`` that allow ``bucket``."""
    return [key for key, arn in grants.items() if arn and _bucket(arn) == bucket]


def _bucket(arn: str) -> str:
    return arn.rpartition(":")[2]


def _plan_bucket(context: Context, bucket: str, grants: dict[str, str]) -> list[Change]:
    spec, scope = context.spec, context.scope
    arn = alias.arn(context.reads, spec.name)
    triggers = [trigger for trigger in spec.s3_triggers or () if trigger.bucket == bucket]
    desired = [_entry(arn, spec.name, trigger) for trigger in triggers]
    permission = Permission("s3", "s3.amazonaws.com", context.reads.arn("s3", bucket), context.reads.account_id)
    live = _read(context.aws, bucket)
    missing = frozenset({(Kind.BUCKET, bucket)} if live is None else ())
    configuration = live or {}
    _check_others(configuration, desired, context, bucket)
    own = _own(configuration, spec.name)
    entries = Difference("notifications", sorted(map(_described, own)), sorted(map(_described, desired)))
    entries_differ = entries.live != entries.desired
    is_granted = grants.get(permission.statement_id) == permission.source_arn
    stale = [key for key in _granted_to(grants, bucket) if key != permission.statement_id]
    found = (
        *([entries] if entries_differ else []),
        *([] if is_granted else [Difference("permission to invoke", None, arn)]),
    )
    details = ("removes a permission that is no longer needed",) if stale else ()
    if not found and not details:
        return []

    def apply(executor_aws: Aws) -> None:
        invoke_permission.grant(executor_aws, spec.name, permission, grants)
        if entries_differ:
            _merge(executor_aws, bucket, spec.name, desired, scope)
        invoke_permission.revoke(executor_aws, spec.name, stale)

    name = notification_name(spec.name, bucket)
    after: frozenset[Key] = frozenset({context.function_key, (Kind.BUCKET, bucket)})
    if not own:
        shown = (*map(_shown, triggers), *details)
        return [Change(KIND, name, "create", shown, after, missing=missing, apply=apply)]
    return [Change(KIND, name, "update", details, after, found, apply=apply)]


def _removal(function: str, bucket: str, grants: Mapping[str, str], scope: PlanScope) -> Change:
    statements = _granted_to(grants, bucket)

    def apply(executor_aws: Aws) -> None:
        _merge(executor_aws, bucket, function, [], scope)
        invoke_permission.revoke(executor_aws, function, statements)

    return Change(KIND, notification_name(function, bucket), "delete", apply=apply)


def _merge(aws: Aws, bucket: str, function: str, desired: list[Configuration], scope: PlanScope) -> None:
    """Read the configuration, replace our own entries, write it back with those of others and EventBridge's unchanged.

    Entries of another function that the same plan replaces, and that overlap ``desired``, are removed by the same
    call: S3 allows no overlap, and two functions that swap their triggers would wait for each other.
    """
    with _LOCKS.get(bucket):
        configuration = _read(aws, bucket)
        written = scope.written.setdefault(bucket, {})
        if configuration is None:
            if not desired:
                return
            raise AwsError(
                f"There is no bucket {bucket} to trigger {function}. Create it, or deploy everything.",
                code="NoSuchBucket",
            )
        others = [
            entry
            for entry in _with_written(configuration.get(_LAMBDA, ()), written)
            if not is_own(entry, function)
            and not (scope.replaces(_owner_of(entry), bucket) and any(overlap(entry, item) for item in desired))
        ]
        merged = {**configuration, _LAMBDA: [*others, *desired]}
        if merged[_LAMBDA] == configuration.get(_LAMBDA, []):
            return
        aws.call(
            "s3",
            "put_bucket_notification_configuration",
            Bucket=bucket,
            NotificationConfiguration={
                key: value for key, value in merged.items() if value or key == "EventBridgeConfiguration"
            },
            # Otherwise S3 refuses to remove an entry while the target of any other no longer exists.
            SkipDestinationValidation=not desired,
        )
        wanted = {str(entry["Id"]): entry for entry in merged[_LAMBDA]}
        before = {str(entry["Id"]) for entry in configuration.get(_LAMBDA, ())}
        written.update({**dict.fromkeys(before - {*wanted}), **wanted})

        def is_visible() -> bool | None:
            live = _read(aws, bucket)
            ids = {str(entry["Id"]) for entry in (live or {}).get(_LAMBDA, ())}  # and what others add meanwhile
            return live is None or (ids >= {*wanted} and not ids & (before - {*wanted})) or None

        aws.wait_until(is_visible, f"The notifications of {bucket} show {function}")


def _with_written(entries: Iterable[Configuration], written: Mapping[str, Configuration | None]) -> list[Configuration]:
    """``entries`` as they are after what this plan has written: a read may not show it yet."""
    kept = [entry for entry in entries if str(entry.get("Id")) not in written]
    return [*kept, *(entry for entry in written.values() if entry is not None)]


def _read(aws: Aws, bucket: str) -> Configuration | None:
    answer = aws.find("s3", "get_bucket_notification_configuration", Bucket=bucket)
    if answer is None:
        return None
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def _entry(arn: str, function: str, trigger: S3Trigger) -> Configuration:
    rules = [
        {"Name": name, "Value": value}
        for name, value in (("prefix", trigger.prefix), ("suffix", trigger.suffix))
        if value
    ]
    identity = short_hash(json.dumps([trigger.prefix, trigger.suffix, sorted(trigger.events)]))
    entry: Configuration = {
        "Id": f"{_owner(function)}{identity}",
        "LambdaFunctionArn": arn,
        "Events": sorted(trigger.events),
    }
    return {**entry, "Filter": {"Key": {"FilterRules": rules}}} if rules else entry


def _owner(function: str) -> str:
    return f"lambda-script:{function}:"


def _owner_of(entry: Configuration) -> str:
    """The function that the toolkit created ``entry`` for; empty where it did not create it."""
    mark, _, rest = str(entry.get("Id", "")).partition(":")
    return rest.rpartition(":")[0] if mark == "lambda-script" else ""


def _own(configuration: Configuration, function: str) -> list[Configuration]:
    return [entry for entry in configuration.get(_LAMBDA, ()) if is_own(entry, function)]


def is_own(entry: Configuration, function: str) -> bool:
    """Whether the toolkit created ``entry`` for ``function``."""
    return str(entry.get("Id", "")).startswith(_owner(function))


def overlap(one: Configuration, other: Configuration) -> bool:
    """Whether one object could match both: S3 then rejects the configuration.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    """
    if not any(_same_event(event, another) for event in one["Events"] for another in other["Events"]):
        return False
    prefix, suffix = _filters(one)
    other_prefix, other_suffix = _filters(other)
    begins = prefix.startswith(other_prefix) or other_prefix.startswith(prefix)
    ends = suffix.endswith(other_suffix) or other_suffix.endswith(suffix)
    return begins and ends


def _same_event(one: str, other: str) -> bool:
    return one == other or any(
        wide.endswith("*") and narrow.startswith(wide[:-1]) for wide, narrow in ((one, other), (other, one))
    )


def _filters(entry: Configuration) -> tuple[str, str]:
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    values = {str(rule["Name"]).lower(): str(rule.get("Value", "")) for rule in rules}
    return values.get("prefix", ""), values.get("suffix", "")


def _described(entry: Configuration) -> str:
    """An entry on one line, the form in which two are compared: S3 changes spelling and order."""
    prefix, suffix = _filters(entry)
    events = " ".join(sorted(entry["Events"]))
    return f"{entry['Id']} {events} {prefix}*{suffix} {entry['LambdaFunctionArn']}"


def _check_others(
    configuration: Configuration, desired: Iterable[Configuration], context: Context, bucket: str
) -> None:
    """Raise TriggerError where another entry matches the same objects and this plan does not replace it."""
    spec = context.spec
    others = [
        entry
        for key in (_LAMBDA, *_OTHERS)
        for entry in configuration.get(key, ())
        if key != _LAMBDA or not is_own(entry, spec.name)
    ]
    for entry in desired:
        for other in others:
            if overlap(entry, other) and not context.scope.replaces(_owner_of(other), bucket):
                prefix, suffix = _filters(other)
                target = next((str(other[key]) for key in _TARGETS if key in other), "something else")
                raise TriggerError(
                    f"The trigger of `{spec.name}` on bucket {bucket} overlaps an existing notification: "
                    f"{prefix}*{suffix} for {target} (id {other.get('Id', 'none')}). S3 allows no two for one "
                    "object. Give the trigger another prefix or suffix, or remove the other one."
                )


def _shown(trigger: S3Trigger) -> str:
    return f"s3://{trigger.bucket}/{trigger.prefix}*{trigger.suffix}"
