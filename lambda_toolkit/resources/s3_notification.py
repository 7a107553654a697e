"""S3 triggers: our own entries in a bucket's notification configuration.

That configuration is shared with others, and S3 only takes it as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.errors import AwsError, TriggerError
from lambda_toolkit.resources import alias, invoke_permission
from lambda_toolkit.resources.invoke_permission import Permission
from lambda_toolkit.spec.model import FunctionSpec, S3Trigger
from lambda_toolkit.spec.ownership import short_hash

KIND = "trigger"
_LAMBDA = "LambdaFunctionConfigurations"
_OTHERS = ("QueueConfigurations", "TopicConfigurations")
_STATEMENTS = f"{invoke_permission.PREFIX}s3-"
_TARGETS = ("LambdaFunctionArn", "QueueArn", "TopicArn")

Configuration = dict[str, Any]
SeenTo = Callable[[str, str], bool]  # whether the same plan sees to a function's entries on a bucket: both names


def check_declared(functions: Sequence[FunctionSpec]) -> None:
    """Raise TriggerError where two declared triggers would both start on one object, which S3 refuses."""
    declared = [(spec.name, trigger) for spec in functions for trigger in spec.s3_triggers or ()]
    for index, (name, trigger) in enumerate(declared):
        for other_name, other in declared[index + 1 :]:
            if trigger.bucket == other.bucket and overlap(_entry("", name, trigger), _entry("", other_name, other)):
                raise TriggerError(
                    f"S3 takes no two triggers for one object: {_shown(trigger)} of `{name}` and {_shown(other)} of "
                    f"`{other_name}` overlap. Give them prefixes or suffixes of which none begins or ends the other."
                )


def change_name(function: str, bucket: str) -> str:
    """What a change of the function's entries on ``bucket`` is called."""
    return f"{function} on {bucket}"


def plan(aws: Aws, spec: FunctionSpec, *, function_is_ours: Callable[[], bool], seen_to: SeenTo) -> list[Change]:
    """The changes, one for each bucket, that give ``spec`` its triggers and take away those it no longer declares.

    Where ``spec`` says nothing of triggers, nothing is read. Raises TriggerError where an entry on AWS starts on the
    same objects, unless the plan sees to that one too: then it makes room with the same call.
    """
    if spec.s3_triggers is None:
        return []
    grants = _grants(aws, spec.name) if function_is_ours() else {}
    wanted = {trigger.bucket for trigger in spec.s3_triggers}
    dropped = _buckets(grants) - wanted
    return [
        *(change for bucket in sorted(wanted) for change in _plan_bucket(aws, spec, bucket, grants, seen_to)),
        *(change for bucket in sorted(dropped) for change in _plan_dropped(spec.name, bucket, grants)),
    ]


def plan_removal(aws: Aws, function: str, declared: Iterable[str] = ()) -> list[Change]:
    """The changes that take ``function`` out of every bucket that starts it.

    Which these are, its permissions say; where those are gone with the function, ``declared`` are looked into.
    """
    grants = _grants(aws, function)
    left = {bucket for bucket in {*declared} - _buckets(grants) if _own(_read(aws, bucket) or {}, function)}
    buckets = sorted(_buckets(grants) | left)
    return [change for bucket in buckets for change in _plan_dropped(function, bucket, grants)]


def _grants(aws: Aws, function: str) -> dict[str, str]:
    """The statements that allow buckets to invoke the alias: by statement id, the bucket's ARN."""
    statements = invoke_permission.read(aws, function)
    return {key: arn for key, arn in statements.items() if key.startswith(_STATEMENTS)}


def _buckets(grants: Mapping[str, str]) -> set[str]:
    """The buckets that ``grants`` allow."""
    return {_bucket(arn) for arn in grants.values() if arn}


def _granted_to(grants: Mapping[str, str], bucket: str) -> list[str]:
    """The ids of the statements of ``grants`` that allow ``bucket``."""
    return [key for key, arn in grants.items() if arn and _bucket(arn) == bucket]


def _bucket(arn: str) -> str:
    return arn.rpartition(":")[2]


def _plan_bucket(aws: Aws, spec: FunctionSpec, bucket: str, grants: dict[str, str], seen_to: SeenTo) -> list[Change]:
    arn = alias.arn(aws, spec.name)
    desired = [_entry(arn, spec.name, trigger) for trigger in spec.s3_triggers or () if trigger.bucket == bucket]
    permission = Permission("s3", "s3.amazonaws.com", aws.arn("s3", bucket), aws.account_id)
    configuration = _read(aws, bucket) or {}
    _check_others(configuration, desired, spec, bucket, seen_to)
    own = _own(configuration, spec.name)
    entries = Difference("notifications", sorted(map(_described, own)), sorted(map(_described, desired)))
    entries_differ = entries.live != entries.desired
    permission_differs = grants.get(permission.statement_id) != permission.source_arn
    stale = [key for key in _granted_to(grants, bucket) if key != permission.statement_id]
    found = (
        *([entries] if entries_differ else []),
        *([Difference("permission to invoke", None, arn)] if permission_differs else []),
    )
    details = ("a permission that is no longer needed goes",) if stale else ()
    if not found and not details:
        return []

    def apply(aws: Aws) -> None:
        invoke_permission.grant(aws, spec.name, permission, grants)
        if entries_differ:
            _merge(aws, bucket, spec.name, desired, seen_to)
        invoke_permission.revoke(aws, spec.name, stale)

    name = change_name(spec.name, bucket)
    after: frozenset[Key] = frozenset({("function", spec.name), ("bucket", bucket)})
    if not own:
        shown = (_shown(trigger) for trigger in spec.s3_triggers or () if trigger.bucket == bucket)
        return [Change(KIND, name, "create", (*shown, *details), after, apply=apply)]
    return [Change(KIND, name, "update", details, after, found, apply=apply)]


def _plan_dropped(function: str, bucket: str, grants: Mapping[str, str]) -> list[Change]:
    statements = _granted_to(grants, bucket)

    def apply(aws: Aws) -> None:
        _merge(aws, bucket, function, [], lambda function, bucket: False)
        invoke_permission.revoke(aws, function, statements)

    return [Change(KIND, change_name(function, bucket), "delete", apply=apply)]


def _merge(aws: Aws, bucket: str, function: str, desired: list[Configuration], seen_to: SeenTo) -> None:
    """Read, replace our own entries, write back. Everybody else's stay, EventBridge's switch included.

    What another function of the plan has there until now and would be in the way goes with the same call: S3 takes no
    two, and two functions that change places would wait for each other.
    """
    with aws.lock(f"notifications of {bucket}"):
        configuration = _read(aws, bucket)
        if configuration is None:
            if not desired:
                return
            raise AwsError(
                f"There is no bucket {bucket} to trigger {function}. Create it, or deploy everything.",
                code="NoSuchBucket",
            )
        others = [
            entry
            for entry in configuration.get(_LAMBDA, ())
            if not is_own(entry, function)
            and not (seen_to(_owner_of(entry), bucket) and any(overlap(entry, item) for item in desired))
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
            # Else S3 would keep an entry from going because the target of somebody else's no longer exists.
            SkipDestinationValidation=not desired,
        )


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
    """The function that the toolkit made ``entry`` for; empty where it made none."""
    mark, _, rest = str(entry.get("Id", "")).partition(":")
    return rest.rpartition(":")[0] if mark == "lambda-script" else ""


def _own(configuration: Configuration, function: str) -> list[Configuration]:
    return [entry for entry in configuration.get(_LAMBDA, ()) if is_own(entry, function)]


def is_own(entry: Configuration, function: str) -> bool:
    """Whether the toolkit made ``entry`` for ``function``."""
    return str(entry.get("Id", "")).startswith(_owner(function))


def overlap(one: Configuration, other: Configuration) -> bool:
    """Whether one object could match both: S3 refuses the whole configuration then.

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
    """An entry on one line, the shape in which two are compared: S3 spells and sorts as it likes."""
    prefix, suffix = _filters(entry)
    events = " ".join(sorted(entry["Events"]))
    return f"{entry['Id']} {events} {prefix}*{suffix} {entry['LambdaFunctionArn']}"


def _check_others(
    configuration: Configuration, desired: Iterable[Configuration], spec: FunctionSpec, bucket: str, seen_to: SeenTo
) -> None:
    """Raise TriggerError where an entry matches the same objects, and is not this plan's: somebody else's, or that of
    another deployment, such as another stage.
    """
    others = [
        entry
        for key in (_LAMBDA, *_OTHERS)
        for entry in configuration.get(key, ())
        if key != _LAMBDA or not is_own(entry, spec.name)
    ]
    for entry in desired:
        for other in others:
            if overlap(entry, other) and not seen_to(_owner_of(other), bucket):
                prefix, suffix = _filters(other)
                target = next((str(other[key]) for key in _TARGETS if key in other), "something else")
                raise TriggerError(
                    f"The trigger of `{spec.name}` on bucket {bucket} overlaps a notification that is there already: "
                    f"{prefix}*{suffix} for {target} (id {other.get('Id', 'none')}). S3 takes no two for one "
                    "object. Give the trigger another prefix or suffix, or remove the other one."
                )


def _shown(trigger: S3Trigger) -> str:
    return f"s3://{trigger.bucket}/{trigger.prefix}*{trigger.suffix}"
